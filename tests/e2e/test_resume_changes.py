"""What --set may change in a resumed run, what it may not, and runs and folders at the edge of being any."""

import io
import os

import pytest

from prorl import session
from prorl.errors import UserError
from prorl.recipe import load_run
from prorl.train import train
from runs import records, write_recipe

SOURCES = 'data.sources=[{source = "mini", tasks = ["sort", "merge", "chain"], min_level = 5, max_level = 7, %s}]'


def run(folder, recipe, *overrides, resume=False):
    changes = [override.partition("=")[0] for override in overrides]
    loaded = load_run(str(recipe), overrides)
    return train(loaded, folder, resume=resume, changes=changes, terminal=io.StringIO())


@pytest.fixture
def recipe(tmp_path):
    return write_recipe(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        SOURCES % "weight = 3.0",
        "data.domain_weights={logic = 2, code = 1}",
        "filter.score_floor={logic = 0.5}",
        "filter.score_floor.logic=0.5",
    ],
)
def test_a_table_or_a_list_of_tables_may_be_changed(recipe, tmp_path, change):
    run(tmp_path / "run", recipe, "train.steps=1")
    assert run(tmp_path / "run", recipe, "train.steps=2", change, resume=True).outcome == "done"
    assert [record["step"] for record in records(tmp_path / "run")] == [1, 2]


def test_a_change_covers_no_other_option(recipe, tmp_path):
    run(tmp_path / "run", recipe, "train.steps=1")
    recipe.write_text(recipe.read_text().replace("max_rounds = 4", "max_rounds = 5"))
    with pytest.raises(UserError, match=r"has changed since this checkpoint: filter\.max_rounds: 4 -> 5"):
        run(tmp_path / "run", recipe, "train.steps=2", "filter.max_tokens=99", resume=True)
    loaded = load_run(str(recipe), ["train.steps=2"])
    for changes in (["rounds"], ["filter.max"], ["5"], ["max_rounds"]):
        with pytest.raises(UserError, match="has changed since this checkpoint"):
            train(loaded, tmp_path / "run", resume=True, changes=["train.steps", *changes], terminal=io.StringIO())


def test_a_folder_whose_name_is_not_utf_8(recipe, tmp_path):
    folder = tmp_path / os.fsdecode(b"run\xff")
    with pytest.raises(UserError, match="the name is not UTF-8; choose another folder"):
        run(folder, recipe, "train.steps=1")
    assert not folder.exists()


def test_a_run_of_no_steps_measures_the_model_it_would_begin_with(recipe, tmp_path):
    sources = 'data.sources=[{source = "mini", tasks = ["sort"], max_level = 1}]'
    options = (sources, "evaluation.boundary_samples=2", "evaluation.boundary_problems=2")
    assert run(tmp_path / "run", recipe, "train.steps=0", *options).outcome == "done"
    assert (tmp_path / "run" / "boundary.json").exists()
    assert run(tmp_path / "run", recipe, "train.steps=1", *options, resume=True).outcome == "done"


def test_a_folder_that_another_process_used_while_this_one_started(recipe, tmp_path, monkeypatch):
    out, opened = tmp_path / "run", session.open_run

    def slow(*arguments):
        monkeypatch.setattr(session, "open_run", opened)
        run(out, recipe, "train.steps=1")
        return opened(*arguments)

    monkeypatch.setattr(session, "open_run", slow)
    with pytest.raises(UserError, match="holds a run already; go on with --resume"):
        run(out, recipe, "train.steps=2")
    assert [record["step"] for record in records(out)] == [1]
    # The inner run finds the folder taken by the outer one, which has read its checkpoint under the lock.
    monkeypatch.setattr(session, "open_run", lambda *arguments: run(out, recipe, "train.steps=2", resume=True))
    with pytest.raises(UserError, match="another process is running in it"):
        run(out, recipe, "train.steps=2", resume=True)
    assert [record["step"] for record in records(out)] == [1]


def test_checkpoints_without_a_config_are_a_run_too(recipe, tmp_path):
    run(tmp_path / "run", recipe, "train.steps=1")
    (tmp_path / "run" / "config.toml").unlink()
    with pytest.raises(UserError, match="holds a run already"):
        run(tmp_path / "run", recipe, "train.steps=1")
    assert run(tmp_path / "run", recipe, "train.steps=2", resume=True).outcome == "done"
