"""Rollouts in a process of their own: the same run, an asynchronous one that resumes exactly, either side killed."""

import os
import signal
import subprocess
import time

import pytest

from ranked_runs import launch
from runs import RECIPE, prorl, records, reproducible, start, write_recipe

pytestmark = pytest.mark.slow
STEPS = 8
EVERY = RECIPE.replace("steps = 12", f"steps = {STEPS}").replace("every = 3", "every = 4")
SYNCHRONOUS = EVERY.replace("checkpoint_every = 2", "checkpoint_every = 3")
ONE_STALE = SYNCHRONOUS.replace("[rollouts]", "[rollouts]\nprocess = true\nmax_staleness = 1").replace(
    "[loss]", '[loss]\nbehaviour_correction = "truncated"'
)
# The first validation is a best, the others reset: steps 1, 3, 4, 6 and 8 are saved, and what is ahead of them dropped.
STALENESS = [0, 0, 1, 0, 0, 1, 0, 1]


def final_bytes(folder):
    checkpoint = folder / "checkpoints" / f"step_{STEPS}"
    names = ("policy/model.safetensors", "reference.safetensors", "optimizer.safetensors")
    return [(checkpoint / name).read_bytes() for name in names]


@pytest.fixture(scope="module")
def stale(tmp_path_factory):
    """An uninterrupted asynchronous run."""
    folder = tmp_path_factory.mktemp("stale")
    recipe = write_recipe(folder, ONE_STALE)
    done = prorl("train", recipe, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return recipe, folder / "run"


def children(pid):
    """Numbers of the process's children: of a learner that is its rollout process alone."""
    return list(map(int, subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()))


def is_gone(pid):
    return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout[:1] in ("", "Z")


def wait_until(condition, seconds=240):
    for _ in range(seconds * 100):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def begun(recipe, out, num_steps, *arguments):
    """A run that has come to a step, with its rollout process."""
    process = start("train", recipe, "--out", out, *arguments)
    metrics = out / "metrics.jsonl"
    wait_until(lambda: process.poll() is not None or (metrics.exists() and len(records(out)) >= num_steps))
    assert process.poll() is None, process.stdout.read()
    (rollouts,) = children(process.pid)
    return process, rollouts


def test_staleness_0_is_the_synchronous_run_bit_for_bit(tmp_path):
    recipe = write_recipe(tmp_path, SYNCHRONOUS)
    for name, value in (("here", "false"), ("beside", "true")):
        done = prorl("train", recipe, "--out", tmp_path / name, "--set", f"rollouts.process={value}")
        assert done.returncode == 0, done.stderr
    assert len(reproducible(tmp_path / "here")) == STEPS
    assert reproducible(tmp_path / "beside") == reproducible(tmp_path / "here")
    assert final_bytes(tmp_path / "beside") == final_bytes(tmp_path / "here")
    assert all("seconds/wait" in record for record in records(tmp_path / "beside"))


def test_an_asynchronous_run_is_as_stale_as_it_says(stale):
    _, folder = stale
    found = records(folder)
    assert [record["staleness/mean"] for record in found] == STALENESS
    assert [event["step"] for event in records(folder, "events") if event["event"] == "reset"] == [4, 8]
    for record in found:
        # The engine's weights were the learner's, or others.
        assert (abs(record["kl/engine"]) < 1e-6) == (record["staleness/mean"] == 0)
        assert (abs(record["importance_weight/mean"] - 1) < 1e-3) == (record["staleness/mean"] == 0)


def test_killed_on_either_side_it_goes_on_as_if_nothing_had_happened(stale, tmp_path):
    recipe, folder = stale
    out = tmp_path / "run"
    process, rollouts = begun(recipe, out, 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    wait_until(lambda: is_gone(rollouts))

    process, rollouts = begun(recipe, out, 5, "--resume")
    os.kill(rollouts, signal.SIGKILL)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 1
    lines = [line for line in said.splitlines() if line.startswith("prorl: ")]
    assert len(lines) == 1, said
    assert "the rollout process ended with signal SIGKILL" in lines[0]
    assert f"its log is {out}/rollouts.log" in lines[0]
    assert "Traceback" not in said
    assert (out / "rollouts.log").exists()

    done = prorl("train", recipe, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert reproducible(out) == reproducible(folder)
    assert final_bytes(out) == final_bytes(folder)


def test_interrupted_it_saves_and_leaves_nobody_behind(stale, tmp_path):
    recipe, _ = stale
    out = tmp_path / "run"
    process, rollouts = begun(recipe, out, 1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 130, said
    assert said.count("interrupted: saving") == 1
    assert is_gone(rollouts)
    steps = len(records(out))
    assert (out / "checkpoints" / "latest").read_text().strip() == f"step_{steps}"


@pytest.mark.thorough
def test_two_ranks_have_two_rollout_processes_and_one_run(stale, tmp_path):
    recipe, folder = stale
    done = launch(2, "-m", "prorl.cli", "train", recipe, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    found = records(tmp_path / "run")
    assert [record["staleness/mean"] for record in found] == STALENESS
    resets = [[event["step"] for event in records(run, "events")] for run in (tmp_path / "run", folder)]
    assert resets[0] == resets[1]
    expected = reproducible(folder)[0]
    assert reproducible(tmp_path / "run")[0] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_what_one_rank_lacks_ends_all_in_one_line(tmp_path):
    script = tmp_path / "one_lacks.py"
    script.write_text(
        "import os, sys\nfrom prorl import models\nfrom prorl.cli import main\nfrom prorl.errors import UserError\n"
        "def missing(options):\n    raise UserError('model.path = a: no such folder')\n"
        "if os.environ['RANK'] == '1':\n    models.load = missing\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    done = launch(2, script, "train", write_recipe(tmp_path, ONE_STALE), "--out", tmp_path / "run")
    assert [line for line in done.stderr.splitlines() if line.startswith("prorl: ")] == [
        "prorl: model.path = a: no such folder"
    ]
    assert not (tmp_path / "run").exists()
