"""`train.wandb` in a whole run, offline, with a resume; and refused before anything is built."""

import io
import sys

import pytest

from prorl.errors import UserError
from prorl.recipe import load_run
from prorl.train import train
from runs import ENVIRONMENT, prorl, records, write_recipe
from wandb_files import logged_out, recorded


def test_offline_files_hold_the_metrics_and_a_resumed_run_goes_on_under_its_id(tmp_path, monkeypatch):
    for name, value in {**logged_out(tmp_path / "home"), "WANDB_MODE": "offline"}.items():
        monkeypatch.setitem(ENVIRONMENT, name, value)
    out, recipe = tmp_path / "my run", write_recipe(tmp_path)
    done = prorl("train", recipe, "--out", out, "--set", "train.steps=2", "--set", "train.wandb=my-project")
    assert done.returncode == 0, done.stderr
    (first,) = out.glob("wandb/offline-run-*")
    assert f"wandb: offline; `wandb sync {first}` uploads it" in done.stdout
    assert done.stderr == ""

    written = recorded(first)
    assert (written["run"].project, written["run"].display_name) == ("my-project", "my run")
    assert written["config"]["loss"]["clip_high"] == 0.4
    assert written["config"]["data"]["sources"][0]["tasks"] == ["sort", "merge", "chain"]
    expected = {record.pop("step"): record for record in records(out)}
    assert sorted(expected) == [1, 2]
    assert written["history"] == expected
    assert written["exit"] == 0

    # patience = 1 and min_delta = 1: the validation of step 3 is no new best, so step 3 resets.
    more = ("--set", "train.steps=4", "--set", "train.wandb=my-project", "--resume")
    done = prorl("train", recipe, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    (second,) = set(out.glob("wandb/offline-run-*")) - {first}
    resumed = recorded(second)
    assert resumed["run"].run_id == written["run"].run_id == (out / "wandb_id").read_text().strip()
    expected = {record.pop("step"): record for record in records(out)[2:]}
    (reset,) = [event for event in records(out, "events") if event["event"] == "reset"]
    assert reset["step"] == 3
    expected[3]["events/reset"] = 1
    assert resumed["history"] == {2: {"events/resume": 1}, **expected}
    del reset["event"]
    assert resumed["summary"]["last_reset"] == reset


def test_not_installed_is_one_line_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delitem(sys.modules, "prorl.weights_and_biases", raising=False)
    run = load_run(str(write_recipe(tmp_path)), ["train.wandb=p"])
    with pytest.raises(UserError) as caught:
        train(run, tmp_path / "run", terminal=io.StringIO())
    assert str(caught.value).startswith("train.wandb = 'p': Weights & Biases is not installed (")
    assert "pip install 'prorl[wandb]'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
