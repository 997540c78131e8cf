"""The verifier pool judges equal answers once; killed servers, recycled workers and full queues lose nothing."""

import dataclasses
import gc
import hashlib
import os
import pickle
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prorl.errors import RunFailed, UserError
from prorl.records import Prompt, Score
from prorl.rewards import server_process, verifier, worker
from prorl.rewards.functions import TwoStageVerifier
from prorl.rewards.verifier import VERIFIERS, VerifierPool

HERE = Path(__file__)
RIGHT, WRONG = Score(1.0, "correct"), Score(0.0, "wrong")


def find(prompt: Prompt, response: str) -> str | Score:
    """The last word; an empty response has none."""
    return response.split()[-1] if response.split() else Score(0.0, "unparsable", "empty")


def judge(prompt: Prompt, answer: str) -> Score:
    """Logs each answer it is given; `hang` hangs."""
    with Path(prompt.metadata["log"]).open("a") as log:
        log.write(f"{answer}\n")
    if answer == "hang":
        time.sleep(1000)
    if answer == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return RIGHT if answer == prompt.answer else WRONG


two_stage = TwoStageVerifier(find, judge)


def quick(prompt: Prompt, response: str) -> Score:
    return Score(1.0, "correct", str(os.getpid()))


def open_pool(name: str = "two_stage", *, workers: int = 1, timeout_seconds: float = 20.0) -> VerifierPool:
    functions = {"sample": f"{HERE}:{name}"}
    return VerifierPool(workers=workers, timeout_seconds=timeout_seconds, memory_mb=512, functions=functions)


@pytest.fixture
def prompt(tmp_path: Path) -> Prompt:
    (tmp_path / "log").touch()
    return Prompt(id="p", domain="sample", task="t", content="x", answer="5", metadata={"log": str(tmp_path / "log")})


@pytest.fixture
def pool() -> Iterator[VerifierPool]:
    with open_pool() as pool:
        yield pool


def judged(prompt: Prompt) -> list[str]:
    return Path(prompt.metadata["log"]).read_text().split()


def test_equal_answers_to_a_problem_are_judged_once(pool: VerifierPool, prompt: Prompt) -> None:
    (scores,) = pool.verify([(prompt, ["a 5", "b 6", "", "c 5", "d 6"])])
    assert scores == (RIGHT, WRONG, Score(0.0, "unparsable", "empty"), RIGHT, WRONG)
    assert pool.verify([(prompt, ["later 5", "7"])]) == [(RIGHT, WRONG)]
    assert judged(prompt) == ["5", "6", "7"]
    # Another gold answer is another problem.
    other = Prompt(id="p", domain="sample", task="t", content="x", answer="6", metadata=prompt.metadata)
    assert pool.verify([(other, ["5", "6"])]) == [(WRONG, RIGHT)]
    assert judged(prompt) == ["5", "6", "7", "5", "6"]


def digest(answer: str) -> str:
    """What the answer is called, made here from its bytes."""
    return hashlib.blake2b(answer.encode(), digest_size=16).hexdigest()


def test_each_score_names_the_answer_it_judges_also_when_the_verdict_was_known(
    pool: VerifierPool, prompt: Prompt
) -> None:
    five, six = digest("5"), digest("6")
    (first,) = pool.verify([(prompt, ["a 5", "b 6", "", "c 5", "d 6"])])
    (again,) = pool.verify([(prompt, ["6", "x 5", "5"])])  # every verdict is known by now
    assert [score.answer for score in first] == [five, six, "", five, six]
    assert [score.answer for score in again] == [six, five, five]
    # Two scores of the same value are equal, whatever was answered; nothing but the name of the answer differs.
    (seven,) = pool.verify([(prompt, ["7", "6"])])
    assert seven[0] == seven[1] == WRONG
    assert seven[0].answer != seven[1].answer


def test_answers_that_hang_or_kill_have_their_names_too(prompt: Prompt) -> None:
    with open_pool(timeout_seconds=0.5) as pool:
        (scores,) = pool.verify([(prompt, ["hang", "again hang", "die", "5", ""])])
        assert [score.outcome for score in scores] == ["timeout", "timeout", "error", "correct", "unparsable"]
        assert [score.answer for score in scores] == [digest("hang")] * 2 + [digest("die"), digest("5"), ""]


def test_a_verifier_of_one_stage_names_no_answer() -> None:
    with open_pool("quick") as pool:
        ((score,),) = pool.verify([(Prompt(id="p", domain="sample", task="t", content="x"), ["x"])])
        assert score.answer == ""


@pytest.mark.parametrize("key", ["0" * 31, "0" * 33, "G" * 32, "0" * 32 + "\n", "x" * 1000])
def test_a_report_of_an_answer_under_another_kind_of_name_is_a_breach_of_the_protocol(key: str) -> None:
    with open_pool("quick") as pool:
        busy = pool._workers[0]
        for report in (["answer", key], ["score", 1.0, "correct", "", 0.0, key]):
            with pytest.raises(ValueError, match="report"):
                pool._take(busy, report)


def test_a_verdict_is_kept_only_under_the_name_that_was_given_before_the_judging(prompt: Prompt) -> None:
    with open_pool() as pool:
        busy, tickets = pool._workers[0], pool._tickets
        tickets.add(prompt, pool.spec_of(prompt), ["x", "y", "z"], 20.0)
        chunk = tickets.queue.popleft()
        busy.in_flight.append(chunk)
        forged = ["score", 1.0, "correct", "", 0.0, digest("6")]
        pool._take(busy, forged)  # type: ignore[arg-type]
        assert tickets.message(chunk)[2] == {}
        pool._take(busy, ["answer", digest("6")])
        pool._take(busy, forged)  # type: ignore[arg-type]
        assert tickets.message(chunk)[2] == {digest("6"): RIGHT}


def test_an_answer_that_hangs_costs_its_group_one_timeout_and_is_tried_again_later(prompt: Prompt) -> None:
    late = Score(0.0, "timeout", "took over 0.5 seconds")
    with open_pool(timeout_seconds=0.5) as pool:
        start = time.monotonic()
        (scores,) = pool.verify([(prompt, [f"{number} hang" for number in range(16)] + ["5"])])
        assert scores == (late,) * 16 + (RIGHT,)
        assert time.monotonic() - start < 7.5  # sixteen timeouts would take eight seconds
        assert judged(prompt) == ["hang", "5"]
        assert pool.verify([(prompt, ["again hang"])]) == [(late,)]
        assert judged(prompt) == ["hang", "5", "hang"]


def test_a_death_is_not_remembered(pool: VerifierPool, prompt: Prompt) -> None:
    ((first, second),) = pool.verify([(prompt, ["die", "again die"])])
    assert first.outcome == second.outcome == "error"
    assert judged(prompt) == ["die", "die"]


def test_a_killed_server_costs_at_most_the_answers_in_progress() -> None:
    with open_pool("quick", workers=2) as pool:
        item = (Prompt(id="p", domain="sample", task="t", content="x"), ["x"] * 50)
        servers = set()
        for _ in range(3):
            servers.add(pool._server.pid)
            os.kill(pool._server.pid, signal.SIGKILL)
            scores = [score for scores in pool.verify([item] * 8) for score in scores]
            assert len(scores) == 400
            assert sum(score.outcome == "error" for score in scores) <= 2
        assert len(servers) == 3


def test_a_server_that_cannot_start_again_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_pool("quick") as pool:
        monkeypatch.setattr(server_process.sys, "executable", "/bin/false")
        os.kill(pool._server.pid, signal.SIGKILL)
        with pytest.raises(RunFailed, match="cannot be started again"):
            pool.verify([(Prompt(id="p", domain="sample", task="t", content="x"), ["x"] * 50)] * 4)


def test_workers_are_recycled_and_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    # The worker's constant travels with the import path, not with this process: five thousand answers, in 100 tickets.
    item = (Prompt(id="p", domain="sample", task="t", content="x"), ["x"] * 64)
    with open_pool("quick") as pool:
        gc.collect()  # what earlier tests left to it is not this test's
        before = len(os.listdir("/proc/self/fd"))
        (count, rest) = divmod(worker.RECYCLE_ANSWERS, 64)
        results = pool.verify([item] * (3 * (count + (rest > 0))))
        pids = [score.detail for scores in results for score in scores]
        assert len(set(pids)) == 3
        # 5,000 answers are 79 messages of 64; the message that reaches the number is finished.
        assert pids.count(pids[0]) == 79 * 64 == 5056
        assert len(os.listdir("/proc/self/fd")) <= before
        assert pool.outcomes == {"correct": 3 * 5056}


def test_a_hundred_killed_workers_leave_no_process_and_no_pipe(prompt: Prompt) -> None:
    with open_pool(workers=2) as pool:
        pool.verify([(prompt, ["5"])] * 4)
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        scores = [score for scores in pool.verify([(prompt, ["die"])] * 100) for score in scores]
        assert [score.outcome for score in scores] == ["error"] * 100
        assert len(os.listdir("/proc/self/fd")) <= before
        children = Path(f"/proc/{pool._server.pid}/task/{pool._server.pid}/children").read_text().split()
        assert sorted(map(int, children)) == sorted(worker.process.pid for worker in pool._workers)


def test_submit_waits_while_too_much_is_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "MAX_PENDING_CHARACTERS", 1000)
    item = Prompt(id="p", domain="sample", task="t", content="x")
    with open_pool("quick") as pool:
        for number in range(50):
            pool.submit(item, ["x" * 100] * 5)
            assert pool.num_pending <= 2, number  # 500 characters a ticket
        done = 0
        while pool.num_pending or done < 50:
            done += len(pool.collect(block=True))
        assert done == 50


def test_verifiers_are_imported_before_the_workers_are_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERIFIERS, "sample", "no_such_package:verify")
    message = "the verifier no_such_package cannot be imported .*ModuleNotFoundError.*prorl\\[tasks\\]"
    with pytest.raises(UserError, match=message):
        VerifierPool(workers=1, timeout_seconds=20.0, memory_mb=512, preload=["sample"])


def test_what_cannot_be_judged_is_refused_with_nothing_queued(pool: VerifierPool, prompt: Prompt) -> None:
    with pytest.raises(TypeError):
        pool.submit(prompt, [None])  # type: ignore[list-item]
    unpicklable = dataclasses.replace(prompt, metadata={**prompt.metadata, "f": lambda: 0})
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pool.submit(unpicklable, ["5"])
    with pytest.raises(UserError, match="no verifier 'chess'"):
        pool.verify([(prompt, ["5"]), (dataclasses.replace(prompt, domain="chess"), ["5"])])
    assert pool.num_pending == 0
    assert pool.verify([(prompt, ["5"])]) == [(RIGHT,)]


def by_task(prompt: Prompt, answer: str) -> Score:
    return Score(1.0, "correct", prompt.task)


tasks = TwoStageVerifier(find, by_task)


def test_a_verdict_belongs_to_one_task() -> None:
    one = Prompt(id="p", domain="sample", task="one", content="x")
    with open_pool("tasks") as pool:
        scores = pool.verify([(one, ["5"]), (dataclasses.replace(one, task="two"), ["5"]), (one, ["5"])])
    assert [score.detail for (score,) in scores] == ["one", "two", "one"]


def test_a_server_killed_several_times_is_replaced() -> None:
    item = (Prompt(id="p", domain="sample", task="t", content="x"), ["x"] * 20)
    with open_pool("quick", workers=2) as pool:
        for _ in range(6):  # each time a worker has begun in between
            for _ in range(2):
                os.kill(pool._server.pid, signal.SIGKILL)
                pool.collect(block=False)
            assert len(pool.verify([item])[0]) == 20


def test_without_descriptors_the_run_ends_and_with_some_it_goes_on() -> None:
    item = (Prompt(id="p", domain="sample", task="t", content="x"), ["x"] * 5)
    with open_pool("quick") as pool:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        os.kill(pool._workers[0].process.pid, signal.SIGKILL)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        spare = [os.dup(0) for _ in range(highest)]  # no number below the limit is free
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            for _ in range(2):
                with pytest.raises(RunFailed, match=r"a verifier process cannot be started: .*Too many open files"):
                    pool.verify([item])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for descriptor in spare:
                os.close(descriptor)
        assert len(pool.verify([item])[0]) == 5
