"""The verifier pool: every answer is judged once, by the caller's clock, whatever the other answers do."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from prorl.errors import RunFailed, UserError
from prorl.prompts.mini import make_prompt
from prorl.records import Prompt, Score
from prorl.rewards import verifier as pool_module
from prorl.rewards.verifier import TOLERANT, VERIFIERS, Verifier, VerifierPool

SAMPLES = Path(__file__).with_name("sample_functions.py")
PROMPT = Prompt(id="p", domain="sample", task="t", content="x", answer="right")
RIGHT, WRONG = Score(1.0, "correct"), Score(0.0, "wrong")


def open_pool(
    function: str = "misbehave", *, workers: int = 1, timeout_seconds: float = 20.0, memory_mb: int = 256
) -> VerifierPool:
    functions = {"sample": f"{SAMPLES}:{function}"}
    return VerifierPool(workers=workers, timeout_seconds=timeout_seconds, memory_mb=memory_mb, functions=functions)


@pytest.fixture(scope="module")
def misbehaving() -> Iterator[VerifierPool]:
    with open_pool() as pool:
        yield pool


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until_gone(pids: list[int]) -> list[int]:
    """The processes that still run after some seconds."""
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline and any(is_running(pid) for pid in pids):
        time.sleep(0.01)
    return [pid for pid in pids if is_running(pid)]


def pids_of(pool: VerifierPool, num_answers: int) -> list[int]:
    """The processes that judge now, by asking the function `process`."""
    scores = pool.verify([(PROMPT, ["x"])] * num_answers)
    return [int(match[1]) for (score,) in scores if (match := re.search(r"pid=(\d+)", score.detail))]


@pytest.mark.parametrize("act", ["sleep", "busy", "power"])
def test_an_answer_that_hangs_times_out_alone(act: str) -> None:
    with open_pool(timeout_seconds=0.3) as pool:
        first, second = pool.verify([(PROMPT, ["right", act, "wrong", act, "right"]), (PROMPT, ["right"])])
        late = Score(0.0, "timeout", "took over 0.3 seconds")
        assert first == (RIGHT, late, WRONG, late, RIGHT)
        assert second == (RIGHT,)
        assert pool.outcomes == Counter(correct=3, wrong=1, timeout=2)
        assert sorted(pool.timeouts) == [("p", 1), ("p", 3)]


@pytest.mark.parametrize(
    ("act", "detail"),
    [
        ("exit", "the verifier process ended with exit code 3"),
        ("segfault", "the verifier process ended with signal SIGSEGV"),
        ("kill", "the verifier process ended with signal SIGKILL"),
        ("one big block", "MemoryError: more than reward.memory_mb"),
        ("hog", "MemoryError: more than reward.memory_mb"),
        ("raise", "ValueError: bad value " + "x" * 178),
        ("raise surrogate", "ValueError: \\ud800 "),
        ("raise unprintable", "Unprintable"),
        ("sys.exit", "SystemExit: 1"),
        ("interrupt", "KeyboardInterrupt: "),
        ("nan", "score nan is outside [0, 1]"),
        ("above", "score 1.5 is outside [0, 1]"),
        ("below", "score -0.1 is outside [0, 1]"),
        ("text", "the score is of type str, not a number"),
        ("nothing", "no score"),
        ("unknown outcome", "malformed Score: outcome 'great', detail of type str"),
        ("text in a score", "the score is of type str, not a number"),
        ("flood", "the verifier process broke its protocol: a report of over 65536 bytes"),
        ("forge garbage", "the verifier process broke its protocol: a report that nests too deep"),
    ],
)
def test_a_verifier_that_fails_is_an_error_of_that_answer_alone(
    act: str, detail: str, misbehaving: VerifierPool
) -> None:
    misbehaving.outcomes.clear()
    first, second = misbehaving.verify([(PROMPT, ["right", act, "wrong"]), (PROMPT, ["wrong", "right"])])
    assert first == (RIGHT, Score(0.0, "error", detail), WRONG)
    assert second == (WRONG, RIGHT)
    assert misbehaving.outcomes == Counter(correct=2, wrong=2, error=1)


def test_forged_reports_are_scores_at_most_once_and_never_out_of_range() -> None:
    with open_pool(timeout_seconds=0.5) as pool:
        (scores,) = pool.verify([(PROMPT, ["right", "forge scores", "wrong"])])
        assert scores[0] == RIGHT
        assert {score.value for score in scores[1:]} == {0.0}
        assert pool.outcomes.total() == 3


def test_a_child_that_a_function_forked_reports_nothing() -> None:
    with open_pool() as pool:
        before = pool._workers[0].process.pid
        for _ in range(3):
            (scores,) = pool.verify([(PROMPT, ["fork", "wrong", "right"] * 4)])
            assert scores == (RIGHT, WRONG, RIGHT) * 4
        # A report too many would have been a breach of the protocol.
        assert pool._workers[0].process.pid == before


def test_children_of_a_killed_worker_die_with_it(tmp_path: Path) -> None:
    prompt = dataclasses.replace(PROMPT, metadata={"pids": str(tmp_path / "pids")})
    with open_pool(timeout_seconds=1.0) as pool:
        assert pool.verify([(prompt, ["child"])])[0][0].outcome == "timeout"
        (child,) = [int(line) for line in (tmp_path / "pids").read_text().split()]
        assert not wait_until_gone([child])


@pytest.mark.parametrize(
    "answer", ["", "\x00", "\ud800\udfff", "é\u2028\n\r\x1b[0m", "x" * 2**20, "\U0001f600" * 2**18]
)
def test_hostile_text_arrives_as_it_is(answer: str) -> None:
    with open_pool("equal") as pool:
        prompt = dataclasses.replace(PROMPT, answer=answer)
        (scores,) = pool.verify([(prompt, [answer, answer + "x"] * 10)])
        assert scores == (RIGHT, WRONG) * 10


def test_an_answer_too_big_for_the_worker_is_an_error_alone() -> None:
    with open_pool("equal", memory_mb=200) as pool:
        first, second = pool.verify([(PROMPT, ["right", "x" * 120_000_000, "right"]), (PROMPT, ["right"])])
        assert first[0] == first[2] == RIGHT
        assert first[1].outcome == "error"
        assert second == (RIGHT,)


def test_a_thousand_answers_come_back_in_order() -> None:
    with open_pool("thousandth", workers=2) as pool:
        items = [(PROMPT, [str(10 * group + index) for index in range(10)]) for group in range(100)]
        expected = [
            tuple(Score((10 * group + index) / 1000, "partial", str(10 * group + index)) for index in range(10))
            for group in range(100)
        ]
        assert pool.verify(items) == expected
        assert pool.outcomes == Counter(partial=1000)
        (long_group,) = pool.verify([(PROMPT, [str(index) for index in range(1000)])])
        assert [score.detail for score in long_group] == [str(index) for index in range(1000)]


def test_nothing_is_lost_or_swapped_when_workers_are_killed_from_outside() -> None:
    with open_pool("slow", workers=2) as pool:
        items = [(PROMPT, ["0.002"] * 20) for _ in range(30)]
        tickets = [pool.submit(prompt, responses) for prompt, responses in items]
        done: dict[int, tuple[Score, ...]] = {}
        num_kills = 0
        while len(done) < len(tickets):
            done.update(pool.collect(block=True))
            if num_kills < 6:
                os.kill(pool._workers[num_kills % 2].process.pid, signal.SIGKILL)
                num_kills += 1
        assert sorted(done) == tickets
        scores = [score for ticket in tickets for score in done[ticket]]
        lost = [score for score in scores if score != RIGHT]
        assert len(scores) == pool.outcomes.total() == 600
        assert len(lost) <= num_kills == 6
        assert {score.outcome for score in lost} <= {"error"}


def test_a_worker_killed_while_idle_costs_nothing() -> None:
    with open_pool("process") as pool:
        (before,) = pids_of(pool, 1)
        os.kill(before, signal.SIGKILL)
        assert not wait_until_gone([before])
        (after,) = pids_of(pool, 1)
        assert after != before
        assert pool.outcomes == Counter(correct=2)


def test_a_busy_trainer_causes_no_timeout() -> None:
    # Eight answers of 0.2 s; the trainer is away for longer than the 1 s that each may take.
    with open_pool("slow", timeout_seconds=1.0) as pool:
        before = pool._workers[0].process.pid
        ticket = pool.submit(PROMPT, ["0.2"] * 8)
        time.sleep(0.1)
        assert pool.collect(block=False) == []  # but it learns here that the first answer has been started
        time.sleep(1.5)
        assert pool.collect(block=True) == [(ticket, (RIGHT,) * 8)]
        assert pool._workers[0].process.pid == before


def test_a_trainer_that_returns_late_still_finds_the_timeout() -> None:
    # 0.6 s against a limit of 0.3 s, over before the trainer looks; the verdict must not depend on that.
    with open_pool("slow", timeout_seconds=0.3) as pool:
        ticket = pool.submit(PROMPT, ["0.6", "0"])
        time.sleep(1.2)
        assert pool.collect(block=True) == [(ticket, (Score(0.0, "timeout", "took over 0.3 seconds"), RIGHT))]


def test_submit_does_not_wait_for_a_busy_worker() -> None:
    with open_pool("slow") as pool:
        first = pool.submit(PROMPT, ["1.5"])
        # 40 MB, far more than a pipe holds: a blocking write would end after the first answer only.
        prompt = dataclasses.replace(PROMPT, metadata={"noise": "x" * 2**20})
        rest = [pool.submit(prompt, ["0"]) for _ in range(40)]
        assert pool.collect(block=False) == []
        assert pool.num_pending == 41
        done: dict[int, tuple[Score, ...]] = {}
        while pool.num_pending:
            done.update(pool.collect(block=True))
        assert done == dict.fromkeys([first, *rest], (RIGHT,))


def test_collect_and_verify_share_the_pool() -> None:
    with open_pool("equal") as pool:
        ticket = pool.submit(PROMPT, ["right"])
        assert pool.verify([(PROMPT, []), (PROMPT, ["wrong"])]) == [(), (WRONG,)]
        assert pool.collect(block=True) == [(ticket, (RIGHT,))]
        assert pool.collect(block=True) == []
        empty = pool.submit(PROMPT, [])
        assert pool.collect(block=False) == [(empty, ())]


def test_what_a_function_prints_goes_nowhere() -> None:
    with open_pool("chatty") as pool:
        assert pool.verify([(PROMPT, ["x"] * 3)]) == [(RIGHT,) * 3]


def test_workers_hold_no_torch_and_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "torch" in sys.modules
    with open_pool("process") as pool:
        # The built-in verifier first, so that its imports are seen too.
        mini = dataclasses.replace(make_prompt("add", 1, 0), domain="mini")
        assert pool.verify([(mini, [mini.answer, ""])])[0][0] == RIGHT
        ((score,),) = pool.verify([(PROMPT, ["x"])])
        assert score.detail.endswith("heavy=[] threads=1 seed=0")


def test_the_limit_of_memory_is_the_workers_own() -> None:
    with open_pool("equal", memory_mb=200):
        assert len(bytearray(2**28)) == 2**28


def test_no_worker_outlives_close() -> None:
    pool = open_pool("process", workers=2)
    pids = [worker.process.pid for worker in pool._workers]
    pool.submit(PROMPT, ["x"])
    assert all(is_running(pid) for pid in pids)
    pool.close()
    assert not any(is_running(pid) for pid in pids)
    pool.close()


def test_no_worker_outlives_a_killed_trainer() -> None:
    program = (
        "import sys, time\n"
        "from prorl.records import Prompt\n"
        "from prorl.rewards.verifier import VerifierPool\n"
        "pool = VerifierPool(workers=2, timeout_seconds=1000, memory_mb=256, functions={'s': sys.argv[1]})\n"
        "pool.submit(Prompt(id='p', domain='s', task='', content=''), ['busy'])\n"
        "time.sleep(0.3)\n"
        "print(pool._server.pid, *(worker.process.pid for worker in pool._workers), flush=True)\n"
        "time.sleep(1000)\n"
    )
    command = [sys.executable, "-c", program, f"{SAMPLES}:misbehave"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None
        pids = [int(pid) for pid in trainer.stdout.readline().split()]
        assert len(pids) == 3
        assert all(is_running(pid) for pid in pids)
        trainer.kill()
    assert not wait_until_gone(pids)


def test_the_verifier_is_the_prompts_own_or_its_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERIFIERS, "sample", f"{SAMPLES}:equal")
    monkeypatch.setitem(TOLERANT, "sample", f"{SAMPLES}:slow")
    limits = {"workers": 1, "timeout_seconds": 20.0, "memory_mb": 256}
    named = dataclasses.replace(PROMPT, domain="elsewhere", verifier="sample")
    custom = dataclasses.replace(PROMPT, domain="mine", verifier="sample")
    with VerifierPool(**limits, functions={"mine": f"{SAMPLES}:thousandth"}) as pool:
        assert pool.verify([(PROMPT, ["right"]), (named, ["0"])]) == [(RIGHT,), (WRONG,)]
        assert pool.verify([(custom, ["250"])]) == [(Score(0.25, "partial", "250"),)]
        with pytest.raises(
            UserError, match=r"no verifier 'chess': must be one of code, .*logic, math, mine, mini, sample, stem, or"
        ):
            pool.submit(dataclasses.replace(PROMPT, domain="chess"), ["x"])
        assert pool.num_pending == 0
    with VerifierPool(**limits, reading="tolerant") as pool:
        assert pool.verify([(PROMPT, ["0"]), (named, ["0"])]) == [(RIGHT,), (RIGHT,)]


def test_every_verifier_has_both_readings() -> None:
    assert VERIFIERS.keys() == TOLERANT.keys()
    assert isinstance(make_prompt, Verifier)  # structural: any callable


def test_a_built_in_verifier_that_cannot_be_imported_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERIFIERS, "sample", "no_such_package:verify")
    with VerifierPool(workers=1, timeout_seconds=20.0, memory_mb=256) as pool:
        ((score,),) = pool.verify([(PROMPT, ["x"])])
        assert score.outcome == "error"
        assert score.detail == (
            "cannot use no_such_package:verify: ModuleNotFoundError: No module named 'no_such_package'"
        )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import os; os._exit(5)", "ended with exit code 5 while importing it"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("import time; time.sleep(100)", "did not begin in time while importing it"),
        ("def g(prompt, response): return 1.0", "has no 'f'"),
        ("def f(question): return 1.0", "must be one of: f\\(prompt, response\\).*TRL.*verl"),
    ],
)
def test_a_function_that_cannot_be_used_is_refused_at_once(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "START_SECONDS", 1.5)
    path = tmp_path / "rewards.py"
    path.write_text(source)
    functions = {"aaa": f"{SAMPLES}:equal", "math": f"{path}:f"}
    with pytest.raises(UserError, match=rf"reward\.functions\.math: .*{re.escape(str(path))}.*{message}"):
        VerifierPool(workers=2, timeout_seconds=0.2, memory_mb=256, functions=functions)


def test_a_module_in_the_working_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards.py").write_text("def score(completions, **kwargs): return [0.5 for _ in completions]")
    (tmp_path / "pickle.py").write_text("raise RuntimeError('a file of the user shadows the standard library')")
    monkeypatch.chdir(tmp_path)
    functions: Mapping[str, str] = {"sample": "my_rewards:score"}
    with VerifierPool(workers=1, timeout_seconds=20.0, memory_mb=256, functions=functions) as pool:
        assert pool.verify([(PROMPT, ["x"])]) == [(Score(0.5, "partial"),)]


def test_workers_that_no_longer_start_end_the_run(tmp_path: Path) -> None:
    path = tmp_path / "rewards.py"
    path.write_text("import os\ndef f(prompt, response): os._exit(1)")
    with VerifierPool(workers=1, timeout_seconds=20.0, memory_mb=256, functions={"sample": f"{path}:f"}) as pool:
        path.write_text("raise OSError('gone')")
        with pytest.raises(RunFailed, match=r"3 verifier processes in a row did not start. .*OSError: gone"):
            pool.verify([(PROMPT, ["x", "y"])])


def test_a_process_that_cannot_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="the verifier processes cannot start: their server ended with code 1"):
        VerifierPool(workers=1, timeout_seconds=20.0, memory_mb=256)
