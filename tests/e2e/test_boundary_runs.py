"""The boundary measurement at the end of a run: when it is made again, and what must not disturb it."""

import io
import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file

from prorl.assembly import open_run
from prorl.boundary_run import _Beside, _load, _Order
from prorl.errors import UserError
from prorl.interrupt import Interrupted
from prorl.recipe import load_run
from prorl.train import train
from runs import write_recipe


def run(folder, recipe, *overrides, resume=False, terminal=None):
    changes = [override.partition("=")[0] for override in overrides]
    loaded = load_run(str(recipe), overrides)
    return train(loaded, folder, resume=resume, changes=changes, terminal=terminal or io.StringIO())


@pytest.fixture
def recipe(tmp_path):
    text = write_recipe(tmp_path).read_text()
    sources = 'sources = [{source = "mini", tasks = ["sort"], min_level = 4, max_level = 4}]'
    old = next(line for line in text.splitlines() if line.startswith("sources"))
    boundary = "[evaluation]\nboundary_problems = 2"
    return write_recipe(tmp_path, text.replace(old, sources).replace("[evaluation]", boundary))


@pytest.fixture
def alone(monkeypatch):
    """Without a core to spare the base is measured by this process, which saves the start of another."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)


def measured(folder):
    return json.loads((folder / "boundary.json").read_text())


def test_an_older_measurement_is_not_taken_for_that_of_the_last_step(recipe, tmp_path, alone):
    """The run is made longer, and ends after its last checkpoint and before its boundary is measured again."""
    out = tmp_path / "run"
    run(out, recipe, "train.steps=1", "evaluation.boundary_samples=2")
    assert measured(out)["asked"]["step"] == 1
    run(out, recipe, "train.steps=2", "evaluation.boundary_samples=0", resume=True)
    assert measured(out)["asked"]["step"] == 1
    assert "answers each, after step 1." in (out / "report.html").read_text()
    run(out, recipe, "train.steps=2", "evaluation.boundary_samples=2", resume=True)
    assert measured(out)["asked"]["step"] == 2


def test_a_measurement_with_other_samples_is_made_when_it_is_asked_for_and_the_same_only_once(recipe, tmp_path, alone):
    out = tmp_path / "run"
    run(out, recipe, "train.steps=1", "evaluation.boundary_samples=2")
    run(out, recipe, "train.steps=1", "evaluation.boundary_samples=4", resume=True)
    assert measured(out)["summary"]["settings"]["samples"] == 4
    before = (out / "boundary.json").stat().st_mtime_ns
    run(out, recipe, "train.steps=1", "evaluation.boundary_samples=4", resume=True)
    assert (out / "boundary.json").stat().st_mtime_ns == before
    (out / "boundary.json").write_text("[")
    run(out, recipe, "train.steps=1", "evaluation.boundary_samples=4", resume=True)
    assert measured(out)["summary"]["settings"]["samples"] == 4


class Editor(io.StringIO):
    """A terminal that, when something is first written to it, edits a file."""

    def __init__(self, path, text):
        super().__init__()
        self._path, self._text = path, text

    def write(self, text):
        if self._path.exists():
            self._path.write_text(self._text)
        return super().write(text)


def test_the_base_is_measured_as_the_run_began_whatever_became_of_its_folder(recipe, tmp_path, monkeypatch):
    """Neither an edited config.toml nor a file named like a module, where the command was started, counts."""
    out = tmp_path / "run"
    whole, edited = tmp_path / "whole", Editor(out / "config.toml", "[evaluation]\nboundary_samples = 1\n")
    options = ("train.steps=1", "evaluation.boundary_samples=4")
    run(whole, recipe, *options)
    (tmp_path / "queue.py").write_text("raise RuntimeError('not a module of prorl')")
    monkeypatch.chdir(tmp_path)
    run(out, recipe, *options, terminal=edited)
    assert "[train]" not in (out / "config.toml").read_text()
    assert measured(out) == measured(whole)


def test_waiting_for_the_base_can_be_given_up(recipe, tmp_path):
    loaded = load_run(str(recipe), ["evaluation.boundary_samples=4096"])
    calls = []

    def give_up(text):
        calls.append(text)
        raise Interrupted

    with pytest.raises(Interrupted), _Beside(_Order(loaded, 0, ("base",), tmp_path)) as beside:
        beside.result(give_up)
    assert calls == ["boundary, the other process"]


def test_checkpoints_on_the_way_stay_and_are_measured_too(recipe, tmp_path, monkeypatch):
    """By one process or by two, with the same outcome; the run's own retention would keep the last step only."""
    options = ("train.steps=5", "train.boundary_every=2", "train.keep_checkpoints=1", "train.checkpoint_every=1")
    two = ("evaluation.boundary_samples=2", "evaluation.every=0", "reset.patience=0")
    run(tmp_path / "two", recipe, *options, *two)
    assert sorted(path.name for path in (tmp_path / "two/checkpoints").glob("step_*")) == ["step_2", "step_4", "step_5"]
    result = measured(tmp_path / "two")
    assert result["summary"]["checkpoints"] == [2, 4]
    assert [sorted(level["checkpoints"]) for level in result["levels"]] == [["2", "4"]]
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    run(tmp_path / "one", recipe, *options, *two)
    assert measured(tmp_path / "one") == result
    torn = tmp_path / "one/checkpoints/step_2"
    (tmp_path / "one/boundary.json").unlink()
    os.truncate(torn / "policy/model.safetensors", 1000)
    with pytest.raises(UserError, match=r"step_2 is refused: .*torn; delete .*step_2 to measure"):
        run(tmp_path / "one", recipe, *options, *two, resume=True)
    shutil.rmtree(torn)
    run(tmp_path / "one", recipe, *options, *two, resume=True)
    assert measured(tmp_path / "one")["summary"]["checkpoints"] == [4]


def test_a_checkpoint_on_the_way_is_measured_with_its_own_weights(tmp_path):
    """Log-probs of one text by the base, and by the policies of steps 1 and 2 as their files have them."""
    recipe, options = write_recipe(tmp_path), ("train.steps=3", "train.boundary_every=1")
    run(tmp_path / "run", recipe, *options)
    loaded = load_run(str(recipe), options)
    with open_run(loaded, tmp_path / "run", print, print) as parts:
        seen = {}
        for role in ("base", "1", "2"):
            _load(parts, role)
            seen[role] = parts.phase.engine.score([((5, 6), (7, 8))], 1.0)[0]
        expected = load_file(tmp_path / "run/checkpoints/step_2/policy/model.safetensors")
        parts.phase.engine.load_weights(expected, version=9)
        torch.testing.assert_close(seen["2"], parts.phase.engine.score([((5, 6), (7, 8))], 1.0)[0], rtol=0, atol=0)
    assert not torch.equal(seen["base"], seen["1"])
    assert not torch.equal(seen["1"], seen["2"])
