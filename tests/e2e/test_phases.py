"""Phases, resets by hand and switched-off ingredients, through the whole loop."""

import fcntl
import io
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from prorl.errors import RunFailed, UserError
from prorl.recipe import load_run
from prorl.train import train
from runs import ENVIRONMENT, RECIPE, records, reproducible, write_recipe

PHASES = """
phases = [
  {name = "one", steps = 3},
  {name = "more tasks", steps = 4, data = {sources = [{source = "mini", max_level = 3}]}},
  {name = "larger groups, longer", rollouts = {group_size = 6, max_response_tokens = 32, token_budget = 4000}},
]
"""


def run(folder, recipe, *overrides, resume=False):
    loaded = load_run(str(recipe), overrides)
    changes = [override.partition("=")[0] for override in overrides]
    return train(loaded, folder, resume=resume, changes=changes, terminal=io.StringIO())


def test_phases_change_data_group_size_and_length_and_resume_exactly(tmp_path):
    recipe = write_recipe(tmp_path, PHASES + RECIPE)
    run(tmp_path / "whole", recipe)
    for steps in (2, 3, 5, 7, 9):
        run(tmp_path / "parts", recipe, f"train.steps={steps}", resume=(tmp_path / "parts").exists())
    run(tmp_path / "parts", recipe, "train.steps=12", resume=True)
    steps = reproducible(tmp_path / "whole")
    assert [record["phase"] for record in steps] == [0] * 3 + [1] * 4 + [2] * 5
    assert "score/stem" not in steps[2]
    assert any("score/stem" in record for record in steps[3:])
    # Four groups of six instead of four: more rollouts a group drawn.
    assert reproducible(tmp_path / "parts") == steps
    for name in ("policy/model.safetensors", "reference.safetensors", "optimizer.safetensors"):
        whole, parts = (tmp_path / run / "checkpoints" / "step_12" / name for run in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes()
    events = [event for event in records(tmp_path / "whole", "events") if event["event"] == "phase"]
    assert [event["step"] for event in events] == [3, 7]


def test_a_reset_by_hand_is_made_once_and_the_reference_is_the_policy(tmp_path):
    recipe = write_recipe(tmp_path)
    out = tmp_path / "run"
    run(out, recipe, "train.steps=2", "reset.patience=0")
    (out / "reset.request").touch()
    run(out, recipe, "train.steps=4", "reset.patience=0", resume=True)
    assert not (out / "reset.request").exists()
    resets = [event for event in records(out, "events") if event["event"] == "reset"]
    assert [(event["step"], event["trigger"]) for event in resets] == [(3, "manual")]
    checkpoint = out / "checkpoints" / "step_3"
    policy, reference = (
        load_file(checkpoint / "policy/model.safetensors"),
        load_file(checkpoint / "reference.safetensors"),
    )
    assert policy.keys() == reference.keys()
    assert all(torch.equal(policy[name], reference[name]) for name in policy)
    # Cleared: no moments of the three steps before.
    assert json.loads((checkpoint / "optimizer.json").read_text())["state"] in ({}, {"__dict__": []})


def test_a_reset_on_entering_a_phase_is_made_and_survives_a_resume(tmp_path):
    phases = "phases = [{steps = 2}, {steps = 2, phase = {reset = true}, reset = {patience = 0}}]\n"
    recipe = write_recipe(tmp_path, phases + RECIPE)
    run(tmp_path / "run", recipe, "evaluation.every=0", "reset.patience=0")
    events = records(tmp_path / "run", "events")
    assert [(event["step"], event["event"], event.get("trigger")) for event in events] == [
        (2, "reset", "phase"),
        (2, "phase", None),
    ]
    checkpoint = tmp_path / "run" / "checkpoints" / "step_2"
    policy, reference = (
        load_file(checkpoint / "policy/model.safetensors"),
        load_file(checkpoint / "reference.safetensors"),
    )
    assert all(torch.equal(policy[name], reference[name]) for name in policy)
    assert json.loads((checkpoint / "optimizer.json").read_text())["state"] in ({}, {"__dict__": []})
    run(tmp_path / "parts", recipe, "evaluation.every=0", "reset.patience=0", "train.steps=2")
    run(tmp_path / "parts", recipe, "evaluation.every=0", "reset.patience=0", "train.steps=12", resume=True)
    assert reproducible(tmp_path / "parts") == reproducible(tmp_path / "run")


OFF = {
    "no dynamic sampling": ["filter.enabled=false"],
    "no kl": ["loss.kl_coefficient=0"],
    "no reset": ["reset.patience=0"],
    "no validation": ["evaluation.every=0", "reset.patience=0"],
    "no clip-higher": ["loss.clip_high=0.2"],
    "ProRL v2": [
        "loss.advantage=batch",
        "loss.kl_estimator=k2",
        "loss.behaviour_correction=icepop",
        "reset.optimizer=keep",
        "reward.length_penalty=0.1",
    ],
    "roll back to the best": ["reset.roll_back=true", "reset.reference=best"],
    "soft reset": ["reset.blend=0.5", "reset.interval=3"],
    "one domain": ['data.sources=[{source = "mini", tasks = ["sort"], max_level = 5}]'],
    "other engine": ["rollouts.engine=generate", "train.steps=3"],
    "masked truncation, kl weighed": ["reward.truncation=mask", "loss.kl_importance=true"],
}


@pytest.mark.parametrize("overrides", OFF.values(), ids=OFF.keys())
def test_every_ingredient_can_be_changed(tmp_path, overrides):
    recipe = write_recipe(tmp_path)
    steps = [] if any("train.steps" in override for override in overrides) else ["train.steps=7"]
    result = run(tmp_path / "run", recipe, *overrides, *steps)
    assert result.outcome == "done"
    steps = records(tmp_path / "run")
    events = [event["event"] for event in records(tmp_path / "run", "events")]
    assert any("kl/reference" in record for record in steps) == ("loss.kl_coefficient=0" not in overrides)
    assert ("reset" in events) == ("reset.patience=0" not in overrides)
    assert (tmp_path / "run" / "report.html").exists()


def test_a_reward_function_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def score(prompts, completions, **columns):\n    return [len(c) % 2 for c in completions]\n"
    )
    recipe = write_recipe(tmp_path)
    run(tmp_path / "run", recipe, f'reward.functions={{logic = "{tmp_path}/mine.py:score"}}', "train.steps=2")
    for record in records(tmp_path / "run", "samples"):
        if record["domain"] == "logic":
            assert record["score"] == len(record["response"]) % 2


def test_boundary_at_the_end(tmp_path):
    recipe = write_recipe(tmp_path)
    source = 'data.sources=[{source = "mini", tasks = ["sort"], max_level = 4}]'
    boundary = ("evaluation.boundary_samples=8", "evaluation.boundary_problems=3")
    run(tmp_path / "run", recipe, source, "train.steps=2", *boundary)
    result = json.loads((tmp_path / "run" / "boundary.json").read_text())
    assert [level["level"] for level in result["levels"]] == [1, 2, 3, 4]
    sort = next(level for level in result["levels"] if (level["family"], level["level"]) == ("sort", 1))
    assert sort["num_problems"] == 3
    assert sort["base"]["pass@8"] == 1.0
    assert sort["base"]["pass@1"] > 0.5
    assert set(sort["base"]) >= {"pass@1", "pass@2", "pass@4", "pass@8", "tolerant/pass@8", "well_formed"}


def test_what_is_wrong_with_a_later_phase_is_said_before_the_first_step(tmp_path):
    later = '[{steps = 1}, {data = {sources = [{source = "missing.jsonl"}]}}]'
    recipe = write_recipe(tmp_path, f"phases = {later}\n{RECIPE}")
    with pytest.raises(UserError, match=r"missing\.jsonl: no such file"):
        run(tmp_path / "run", recipe)
    assert not (tmp_path / "run").exists()


def test_one_process_a_folder(tmp_path):
    recipe = write_recipe(tmp_path)
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is running in it"):
            run(tmp_path / "run", recipe)
    assert run(tmp_path / "run", recipe, "train.steps=1").outcome == "done"


def test_training_from_a_script_without_a_main_guard(tmp_path):
    """The base is measured by a second process, which must not run the caller's script again."""
    recipe = write_recipe(tmp_path)
    overrides = ["train.steps=1", "evaluation.boundary_samples=4", "evaluation.boundary_problems=2"]
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom prorl.recipe import load_run\nfrom prorl.train import train\n"
        f"result = train(load_run({str(recipe)!r}, {overrides!r}), Path({str(tmp_path / 'run')!r}))\n"
        "print('outcome', result.outcome)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    assert done.stdout.count("outcome done") == 1, done.stderr
    assert done.stdout.count("Reasoning boundary") == 1
    assert (tmp_path / "run" / "boundary.json").exists()


def test_a_run_that_finds_no_batch_is_saved_at_the_step_before(tmp_path):
    recipe = write_recipe(tmp_path)
    out, stop = tmp_path / "run", ("filter.max_rounds=1", "rollouts.prompts_per_step=40", "filter.oversampling=1.0")
    assert run(out, recipe, "train.steps=1", *stop).outcome == "done"
    with pytest.raises(RunFailed, match=r"step 2: \d+ of 40 informative groups after 1 rounds"):
        run(out, recipe, "train.steps=12", *stop, "filter.on_exhausted=stop", resume=True)
    assert run(out, recipe, "train.steps=2", *stop, "filter.on_exhausted=train", resume=True).outcome == "done"
    assert [record["step"] for record in records(out)] == [1, 2]


def test_a_failing_reward_function_and_an_empty_step_are_said(tmp_path):
    (tmp_path / "mine.py").write_text("def score(prompts, completions, **columns):\n    raise KeyError('gold')\n")
    recipe = write_recipe(tmp_path)
    terminal = io.StringIO()
    loaded = load_run(str(recipe), [f'reward.functions={{logic = "{tmp_path}/mine.py:score"}}', "train.steps=2"])
    with pytest.raises(RunFailed):
        train(loaded, tmp_path / "run", terminal=terminal)
    loaded = load_run(
        str(recipe),
        [
            f'reward.functions={{logic = "{tmp_path}/mine.py:score"}}',
            "train.steps=2",
            "evaluation.every=0",
            "reset.patience=0",
        ],
    )
    train(loaded, tmp_path / "other", terminal=terminal)
    said = terminal.getvalue()
    assert said.count("a verifier failed, its answer is left out: mini/") == 1
    assert "KeyError: 'gold'" in said
