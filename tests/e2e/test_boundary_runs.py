"""The boundary measurement at the end of a run: when it is made again, and what must not disturb it."""

import io
import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from prorl import models
from prorl.errors import UserError
from prorl.evaluation.budget import Budget
from prorl.evaluation.suites import open_suite
from prorl.interrupt import Interrupted
from prorl.laboratory import Order, _Beside, model_digest
from prorl.recipe import load_run
from prorl.records import Sampling
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
    (config,) = load_run(str(recipe)).phases
    order = Order(
        config=config,
        problems=open_suite("mini", tasks=["sort"], max_level=2, per_level=2).problems,
        models={"base": config.model},
        budget=Budget(4096),
        sampling=Sampling(max_tokens=9),
        seed=0,
        threshold=1.0,
        folder=tmp_path / "samples",
    )
    calls = []

    def give_up(text):
        calls.append(text)
        raise Interrupted

    with pytest.raises(Interrupted), _Beside(order) as beside:
        beside.result(give_up)
    assert calls == ["the other process"]


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


def test_every_role_is_measured_with_its_own_weights(tmp_path, alone):
    """By a digest of the weights as the checkpoints' files have them."""
    recipe = write_recipe(tmp_path)
    options = ("train.steps=3", "train.boundary_every=1", "evaluation.boundary_samples=2", "evaluation.every=0")
    run(tmp_path / "run", recipe, *options, "reset.patience=0", "evaluation.boundary_problems=2")
    found = measured(tmp_path / "run")["summary"]["settings"]["models"]
    (config,) = load_run(str(recipe)).phases
    expected = {"base": config.model}
    for role, step in (("1", 1), ("2", 2), ("trained", 3)):
        expected[role] = replace(config.model, path=str(tmp_path / f"run/checkpoints/step_{step}/policy"))
    digests = {role: model_digest(models.load(options)) for role, options in expected.items()}
    assert {role: model["hash"] for role, model in found.items()} == digests
    assert len(set(digests.values())) == 4


def test_a_measurement_that_was_given_up_goes_on(recipe, tmp_path, alone):
    """Interrupted while it samples, after some of the samples are in the store: the rest is drawn, with one outcome."""
    options = ("train.steps=1", "evaluation.boundary_samples=64", "evaluation.every=0", "reset.patience=0")
    run(tmp_path / "whole", recipe, *options)
    out = tmp_path / "run"
    run(out, recipe, *options)
    assert measured(out) == measured(tmp_path / "whole")
    (out / "boundary.json").unlink()
    (store,) = (out / "samples").glob("trained-*.sqlite")
    with closing(sqlite3.connect(store)) as database, database:
        before = dict(database.execute("SELECT key, text FROM sample"))
        database.execute("DELETE FROM sample WHERE key % 3 = 0")
    run(out, recipe, *options, resume=True)
    assert measured(out) == measured(tmp_path / "whole")
    with closing(sqlite3.connect(store)) as database:
        assert dict(database.execute("SELECT key, text FROM sample")) == before
