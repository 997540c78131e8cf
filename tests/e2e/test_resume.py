"""Resuming is exact: every metric of every step and the final weights equal the uninterrupted run's, bit for bit."""

import os
import random
import signal
import time

import pytest

from runs import RECIPE, prorl, records, reproducible, start, write_recipe

KILLS = int(os.environ.get("PRORL_KILLS", "3"))
STEPS = max(12, 4 * KILLS)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    recipe = write_recipe(folder, RECIPE.replace("steps = 12", f"steps = {STEPS}"))
    done = prorl("train", recipe, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return recipe, folder / "run"


def final_bytes(folder):
    checkpoint = folder / "checkpoints" / f"step_{STEPS}"
    names = ("policy/model.safetensors", "reference.safetensors", "optimizer.safetensors")
    return [(checkpoint / name).read_bytes() for name in names]


def kill_and_resume(recipe, out, rng):
    """Kill the run again and again, a step or two after it has gone on, then let it end."""
    resume: list[str] = []
    for _ in range(KILLS):
        process = start("train", recipe, "--out", out, *resume)
        metrics = out / "metrics.jsonl"
        seen = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
        more = rng.randint(1, 2)
        while process.poll() is None:
            # On a resume the file is cut back first.
            lines = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
            seen = min(seen, lines)
            if lines >= seen + more:
                break
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.2))
        assert process.poll() is None, "the run ended before all kills; give it more steps"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        resume = ["--resume"]
    done = prorl("train", recipe, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr


def test_the_reference_run_has_what_the_others_are_compared_in(reference):
    _, folder = reference
    resets = [event for event in records(folder, "events") if event["event"] == "reset"]
    assert resets
    assert resets[0]["trigger"] == "stagnation"
    steps = reproducible(folder)
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    assert sum(record.get("kl/reference", 0.0) > 0 for record in steps) >= 6


def test_killed_at_random_moments(reference, tmp_path):
    """PRORL_KILLS=20 for the long version."""
    recipe, folder = reference
    kill_and_resume(recipe, tmp_path / "run", random.Random(1))
    assert reproducible(tmp_path / "run") == reproducible(folder)
    assert final_bytes(tmp_path / "run") == final_bytes(folder)


def test_resumed_after_its_end_it_does_nothing(reference):
    recipe, folder = reference
    before = reproducible(folder)
    done = prorl("train", recipe, "--out", folder, "--resume")
    assert done.returncode == 0, done.stderr
    assert reproducible(folder) == before


def test_ctrl_c_saves_and_resumes(reference, tmp_path):
    recipe, folder = reference
    process = start("train", recipe, "--out", tmp_path / "run")
    while not (tmp_path / "run" / "metrics.jsonl").exists() or len(records(tmp_path / "run")) < 4:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    done = prorl("train", recipe, "--out", tmp_path / "run", "--resume")
    assert done.returncode == 0, done.stderr
    assert reproducible(tmp_path / "run") == reproducible(folder)
    assert final_bytes(tmp_path / "run") == final_bytes(folder)


def test_into_a_differently_seeded_process_with_a_half_written_checkpoint(reference, tmp_path, monkeypatch):
    recipe, folder = reference
    out = tmp_path / "run"
    assert prorl("train", recipe, "--out", out, "--set", "train.steps=5").returncode == 0
    torn = out / "checkpoints" / "step_9"
    torn.mkdir()
    (torn / "manifest.json").write_text("{")
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    done = prorl("train", recipe, "--out", out, "--resume", "--set", f"train.steps={STEPS}")
    assert done.returncode == 0, done.stderr
    assert "step_9" in done.stdout
    assert reproducible(out) == reproducible(folder)
    assert final_bytes(out) == final_bytes(folder)


def test_a_changed_recipe_is_refused_with_the_difference(reference, tmp_path):
    _, folder = reference
    changed = tmp_path / "tiny.toml"
    changed.write_text(write_recipe(tmp_path).read_text().replace("learning_rate = 1e-3", "learning_rate = 2e-3"))
    before = (folder / "config.toml").read_bytes()
    done = prorl("train", changed, "--out", folder, "--resume")
    assert done.returncode == 2
    assert "optimizer.learning_rate: 0.001 -> 0.002" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (folder / "config.toml").read_bytes() == before


def test_ctrl_c_during_the_boundary_measurement(tmp_path):
    recipe = write_recipe(tmp_path)
    out = tmp_path / "run"
    many = ["--set", "train.steps=1", "--set", "evaluation.boundary_samples=4096"]
    process = start("train", recipe, "--out", out, *many)
    while not (out / "checkpoints" / "step_1").exists():
        time.sleep(0.05)
        assert process.poll() is None
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "boundary given up" in output
    assert not (out / "boundary.json").exists()
    few = ["--set", "train.steps=1", "--set", "evaluation.boundary_samples=4"]
    done = prorl("train", recipe, "--out", out, "--resume", *few)
    assert done.returncode == 0, done.stderr
    assert (out / "boundary.json").exists()
