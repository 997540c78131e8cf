"""The handle of a rollout process: order, errors as what they are, death and silence in one line, no orphan."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest

import rollout_stand_in
from prorl.asynchronous import rollout_process
from prorl.asynchronous.rollout_process import RolloutProcess, gpus
from prorl.errors import NoGroups, RunFailed, UserError
from prorl.interrupt import Interrupted
from rollout_orders import ORDER

ORPHAN = """
import sys, time
from pathlib import Path
import rollout_stand_in
from prorl.asynchronous import rollout_process
rollout_process.BOOT = rollout_stand_in.BOOT
from rollout_orders import ORDER
process = rollout_process.RolloutProcess(ORDER, [], Path("."))
process.wait(process.ask("echo"), lambda text: None)
process.ask("freeze")
print(process.pid, flush=True)
time.sleep(600)
"""


def quiet(text):
    pass


@pytest.fixture
def process(tmp_path, monkeypatch):
    monkeypatch.setattr(rollout_process, "BOOT", rollout_stand_in.BOOT)
    process = RolloutProcess(ORDER, [], tmp_path)
    yield process
    process.close()


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


def test_replies_come_under_their_numbers_also_when_asked_for_in_another_order(process):
    first, second, third = (process.ask("echo", number) for number in (1, 2, 3))
    assert process.wait(second, quiet) == [2]
    process.forget(first)
    assert process.wait(third, quiet) == [3]


def test_a_step_without_groups_is_not_its_end(process):
    with pytest.raises(NoGroups, match=r"^nothing to learn$"):
        process.wait(process.ask("no groups"), quiet)
    dropped = process.ask("no groups")
    process.forget(dropped)
    assert process.wait(process.ask("echo", 1), quiet) == [1]
    assert not process.is_over


def test_an_error_for_people_comes_as_what_it_is(process, tmp_path):
    with pytest.raises(UserError, match=r"^data.sources = \[\]: name one$"):
        process.wait(process.ask("wrong"), quiet)
    assert process.is_over
    assert not (tmp_path / "rollouts.log").exists()


def test_any_other_error_is_one_line_and_a_log(process, tmp_path):
    with pytest.raises(RunFailed) as caught:
        process.wait(process.ask("crash"), quiet)
    log = tmp_path / "rollouts.log"
    assert str(caught.value) == (
        f"the rollout process failed: KeyError: 3; its log is {log} (last: Traceback: deep in a library); "
        "go on with --resume"
    )
    assert log.read_text() == "Traceback: deep in a library\n"


def test_a_killed_process_is_one_line(process, tmp_path):
    before, ticket = process.ask("echo", 1), process.ask("die")
    assert process.wait(before, quiet) == [1]
    with pytest.raises(RunFailed, match=r"ended with signal SIGKILL .*rollouts.log \(last: last words\)"):
        process.wait(ticket, quiet)
    assert (tmp_path / "rollouts.log").read_text() == "last words\n"


def test_an_error_ahead_is_what_ends_the_run_once_it_is_gone(process):
    process.ask("wrong")
    process.ask("leave")
    with pytest.raises(UserError, match="name one"):
        process.wait(process.ask("echo"), quiet)


def test_a_process_that_leaves_is_one_line(process):
    with pytest.raises(RunFailed, match="the rollout process ended with exit code 7; "):
        process.wait(process.ask("leave"), quiet)
    process.ask("echo")  # which nobody hears


def test_silence_ends_the_run(process, monkeypatch):
    assert process.wait(process.ask("echo"), quiet) == []
    monkeypatch.setattr(rollout_process, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(rollout_process, "MAX_SILENT_POLLS", 3)
    with pytest.raises(RunFailed, match="the rollout process does not answer any more; its log is "):
        process.wait(process.ask("freeze"), quiet)
    process.close()
    assert is_gone(process.pid)


def test_a_heart_that_beats_is_not_enough(process, monkeypatch):
    assert process.wait(process.ask("echo"), quiet) == []
    monkeypatch.setattr(rollout_process, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(rollout_process, "MAX_IDLE_POLLS", 5)
    with pytest.raises(RunFailed, match="does not answer any more"):
        process.wait(process.ask("beat"), quiet)


def test_an_interrupt_gives_up_what_is_waited_for_and_nothing_else(process):
    texts = []

    def say(text):
        texts.append(text)
        if text:
            raise Interrupted

    with pytest.raises(Interrupted):
        process.wait(process.ask("long"), say)
    assert texts[-1] == "rollout 64/128"


def test_warnings_appear_where_the_learners_do(process, caplog):
    with caplog.at_level(logging.WARNING):
        process.wait(process.ask("warn"), quiet)
    assert caplog.record_tuples == [("prorl.assembly", logging.WARNING, "slower")]


def test_a_run_that_never_began_has_its_log_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(rollout_process, "BOOT", rollout_stand_in.BOOT)
    monkeypatch.setattr(rollout_process.tempfile, "tempdir", str(tmp_path))
    process = RolloutProcess(ORDER, [], tmp_path / "run")
    with pytest.raises(RunFailed, match=rf"its log is {tmp_path}/prorl-rollouts-\w+.log \(last: Traceback"):
        process.wait(process.ask("crash"), quiet)
    process.close()
    assert not (tmp_path / "run").exists()


def test_closing_ends_a_busy_process(process):
    assert process.wait(process.ask("echo"), quiet) == []
    process.ask("freeze")
    process.close()
    assert is_gone(process.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends with its pipes")
def test_a_killed_learner_leaves_no_orphan():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    learner = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True, env=environment)
    pid = int(learner.stdout.readline())
    assert not is_gone(pid)
    learner.send_signal(signal.SIGKILL)
    learner.wait()
    learner.stdout.close()
    for _ in range(600):
        if is_gone(pid):
            return
        time.sleep(0.05)
    raise AssertionError("the rollout process outlived its learner")


@pytest.mark.parametrize(
    ("seen", "learners", "size", "expected"),
    [
        ("0", 1, 1, ["0"]),  # shared with the learner
        ("0,1", 1, 1, ["1"]),
        ("4,5,6,7", 2, 1, ["6", "7"]),  # one each behind the learners'
        ("0,1", 2, 1, ["0", "1"]),
        ("0,1,2", 2, 1, ["2", "0"]),
        ("0,1,2", 1, 2, ["1,2"]),
        ("0,1", 1, 2, ["1,0"]),
    ],
)
def test_which_gpus_the_rollouts_get(seen, learners, size, expected):
    assert [",".join(gpus(seen.split(","), learners, rank, size)) for rank in range(learners)] == expected
