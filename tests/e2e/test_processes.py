"""Two processes a run: exact resumes over phases and resets, and nothing left behind however the run ends."""

import os
import signal
import time
from pathlib import Path

import pytest

from runs import RECIPE, prorl, records, reproducible, start, write_recipe

PHASES = """
phases = [
  {name = "one", steps = 6},
  {name = "larger groups, longer", rollouts = {group_size = 6, max_response_tokens = 32, token_budget = 4000}},
]
"""
TEXT = PHASES + RECIPE + "processes = 2\n"


def replicas_of(pid: int) -> list[int]:
    """The second processes of a run, by number."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command, status = (folder / "cmdline").read_bytes(), (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"prorl.replica_process" in command and int(status.rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pids: list[int], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while any(map(is_alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(is_alive, pids))


def started(recipe, out, steps, *more):
    """A run that has done some steps, and its second process."""
    process = start("train", recipe, "--out", out, *more)
    while not (out / "metrics.jsonl").exists() or len(records(out)) < steps:
        time.sleep(0.01)
        assert process.poll() is None, process.communicate()[0]
    children = replicas_of(process.pid)
    assert len(children) == 1
    return process, children


def final_bytes(folder):
    checkpoint = folder / "checkpoints" / "step_12"
    names = ("policy/model.safetensors", "reference.safetensors", "optimizer.safetensors")
    return [(checkpoint / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    recipe = write_recipe(folder, TEXT)
    done = prorl("train", recipe, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    assert "on cpu, 2 processes of 1 threads, into" in done.stdout
    assert [event["event"] for event in records(folder / "run", "events")].count("phase") == 1
    assert any(event["event"] == "reset" for event in records(folder / "run", "events"))
    return recipe, folder / "run"


pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")


def test_the_first_step_is_that_of_one_process_up_to_rounding(whole, tmp_path):
    recipe, folder = whole
    done = prorl("train", recipe, "--out", tmp_path / "run", "--set", "model.processes=1", "--set", "train.steps=1")
    assert done.returncode == 0, done.stderr
    assert reproducible(folder)[0] == pytest.approx(reproducible(tmp_path / "run")[0], rel=1e-3, abs=1e-6)


def test_killed_hard_it_leaves_no_process_and_resumes_exactly(whole, tmp_path):
    recipe, folder = whole
    out, resume = tmp_path / "run", []
    before = set(os.listdir("/dev/shm"))
    for steps in (3, 7):
        process, children = started(recipe, out, steps, *resume)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert gone(children)
        resume = ["--resume"]
    assert not [name for name in set(os.listdir("/dev/shm")) - before if "prorl" in name]
    done = prorl("train", recipe, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert reproducible(out) == reproducible(folder)
    assert final_bytes(out) == final_bytes(folder)


def test_ctrl_c_leaves_no_process_and_resumes_exactly(whole, tmp_path):
    recipe, folder = whole
    process, children = started(recipe, tmp_path / "run", 4)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert not any(map(is_alive, children))
    done = prorl("train", recipe, "--out", tmp_path / "run", "--resume")
    assert done.returncode == 0, done.stderr
    assert reproducible(tmp_path / "run") == reproducible(folder)
    assert final_bytes(tmp_path / "run") == final_bytes(folder)


def test_a_second_process_that_dies_ends_the_run_with_one_line_and_it_resumes(whole, tmp_path):
    recipe, folder = whole
    process, children = started(recipe, tmp_path / "run", 4)
    os.kill(children[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "Traceback" not in output
    last = output.strip().splitlines()[-1]
    assert "process 2 of 2 of this run ended with -9" in last
    assert "--resume" in last
    done = prorl("train", recipe, "--out", tmp_path / "run", "--resume")
    assert done.returncode == 0, done.stderr
    assert reproducible(tmp_path / "run") == reproducible(folder)


def test_the_boundary_goes_through_both_processes(tmp_path):
    recipe = write_recipe(tmp_path, RECIPE + "processes = 2\n")
    options = ["--set", "train.steps=1", "--set", "evaluation.boundary_samples=4"]
    done = prorl("train", recipe, "--out", tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "boundary.json").exists()


def test_more_processes_than_the_cache_holds_rollouts_are_refused(tmp_path):
    recipe = write_recipe(tmp_path)
    done = prorl("train", recipe, "--out", tmp_path / "run", "--set", "model.processes=64")
    assert done.returncode == 2
    # 64 times 48 + 24 tokens are 4,608.
    assert "rollouts.token_budget = 2304: must hold one rollout" in done.stderr
    assert "(72) for each of model.processes = 64" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_plan_names_the_processes(tmp_path):
    recipe = write_recipe(tmp_path, RECIPE + "processes = 2\n")
    done = prorl("plan", recipe)
    assert done.returncode == 0, done.stderr
    assert "processes   2 on one CPU, 1 threads each\n" in done.stdout
    assert "on 2 CPU cores" in done.stdout
