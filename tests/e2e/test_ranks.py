"""Several ranks are one run: the same numbers and resets, and checkpoints that any number of ranks goes on from."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from ranked_runs import assert_alike, launch, recorded
from runs import ENVIRONMENT, RECIPE, prorl, records, reproducible

pytestmark = pytest.mark.slow
STEPS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    recipe = RECIPE.replace("steps = 12", f"steps = {STEPS}").replace("patience = 1", "interval = 6")
    # A validation asks for the same streams again, with other weights: a recording knows each stream once.
    recipe = recipe.replace("min_delta = 1.0\n", "").replace("every = 3", "every = 0").replace("1e-3", "5e-5")
    (folder / "tiny.toml").write_text(recipe)
    return folder


@pytest.fixture(scope="module")
def one(folder) -> Path:
    return recorded(1, "record", folder, "one")


@pytest.fixture(scope="module")
def two(folder, one) -> Path:
    return recorded(2, "replay", folder, "two")


@pytest.fixture(scope="module")
def half(folder, one) -> Path:
    return recorded(2, "replay", folder, "half", "--set", "train.steps=10")


def weights(folder: Path, step: int, name: str = "policy/model") -> dict:
    checkpoint = folder / "checkpoints" / f"step_{step}"
    index = checkpoint / f"{name}.safetensors.index.json"
    if not index.exists():
        return load_file(checkpoint / f"{name}.safetensors")
    files = set(json.loads(index.read_text())["weight_map"].values())
    return {key: value for file in files for key, value in load_file(index.parent / file).items()}


def test_two_ranks_are_one_on_recorded_rollouts(one, two):
    assert [event for event in records(one, "events") if event["event"] == "reset"]
    assert len(records(one, "events")) == len(records(two, "events"))
    assert_alike(two, one, STEPS)
    for name in ("policy/model", "reference"):
        mine, other = weights(two, STEPS, name), weights(one, STEPS, name)
        assert mine.keys() == other.keys()
        assert max(float((mine[key] - other[key]).abs().max()) for key in mine) < 1e-5


@pytest.mark.thorough
def test_two_ranks_that_recompute_their_activations_are_one(folder, one):
    recomputed = recorded(2, "replay", folder, "recomputed", "--set", "learner.activation_checkpointing=true")
    assert_alike(recomputed, one, STEPS)


@pytest.mark.thorough
def test_in_bfloat16_the_first_update_is_one_ranks(tmp_path):
    """Log-probs to float32's rounding, gradients to bfloat16's; later steps differ by what Adam makes of that."""
    recipe = RECIPE.replace("steps = 12", "steps = 1").replace("minibatch_prompts = 2", "minibatch_prompts = 4")
    recipe = recipe.replace("patience = 1", "interval = 6").replace("min_delta = 1.0\n", "")
    (tmp_path / "tiny.toml").write_text(recipe.replace("every = 3", "every = 0") + 'dtype = "bfloat16"\n')
    single, double = (recorded(n, mode, tmp_path, mode) for n, mode in ((1, "record"), (2, "replay")))
    (expected,), (found,) = reproducible(single), reproducible(double)
    assert found.pop("grad_norm") == pytest.approx(expected.pop("grad_norm"), rel=1e-3)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("num_ranks", [1, pytest.param(3, marks=pytest.mark.thorough)])
def test_a_checkpoint_of_two_ranks_goes_on_with_another_number(folder, one, half, num_ranks):
    out = f"resumed-{num_ranks}"
    shutil.copytree(half, folder / out)
    recorded(num_ranks, "replay", folder, out, "--resume", "--set", f"train.steps={STEPS}")
    assert_alike(folder / out, one, STEPS)


@pytest.mark.thorough
def test_resuming_on_as_many_ranks_is_exact(folder, one, half, two):
    shutil.copytree(half, folder / "exact")
    recorded(2, "replay", folder, "exact", "--resume", "--set", f"train.steps={STEPS}")
    assert reproducible(folder / "exact") == reproducible(two)


def test_transformers_reads_the_policy_that_two_ranks_wrote(one, half):
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    found = AutoModelForCausalLM.from_pretrained(half / "checkpoints" / "step_10" / "policy").state_dict()
    expected = weights(half, 10)
    assert all((found[name] == value).all() for name, value in expected.items())


@pytest.mark.thorough
def test_live_runs_agree_at_the_first_step_and_in_their_resets(folder):
    outs = []
    for num_ranks in (1, 2):
        outs.append(folder / f"live-{num_ranks}")
        arguments = ("-m", "prorl.cli", "train", folder / "tiny.toml", "--out", outs[-1], "--set", "train.steps=8")
        arguments += ("--set", "evaluation.every=3")
        done = launch(num_ranks, *arguments)
        assert done.returncode == 0, done.stderr
    resets = [[(e["step"], e["trigger"]) for e in records(out, "events") if e["event"] == "reset"] for out in outs]
    assert resets[0] == resets[1] == [(6, "interval")]
    for mine, other in zip(*map(reproducible, outs), strict=True):
        assert mine == pytest.approx(other, rel=1e-5, abs=1e-5)
        break


def test_ranks_that_disagree_are_refused_in_one_line(folder):
    script = folder / "disagree.py"
    script.write_text(
        "import os, sys\nfrom prorl.cli import main\n"
        "sys.exit(main(sys.argv[1:] + ['--set', f'train.seed={os.environ[\"RANK\"]}']))\n"
    )
    done = launch(2, script, "train", folder / "tiny.toml", "--out", folder / "disagree")
    lines = [line for line in done.stderr.splitlines() if line.startswith("prorl: ")]
    assert lines == ["prorl: rank 1 has another recipe than rank 0: 'seed = 1', not 'seed = 0'; start all alike"]
    assert not (folder / "disagree").exists()


def test_a_launcher_without_its_address_is_refused(folder):
    environment = {**ENVIRONMENT, "WORLD_SIZE": "2", "RANK": "0"}
    command = [sys.executable, "-m", "prorl.cli", "train", str(folder / "tiny.toml"), "--out", str(folder / "alone")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert (done.returncode, done.stderr) == (
        2,
        "prorl: WORLD_SIZE = 2, but LOCAL_RANK is not set; start with torchrun\n",
    )


@pytest.mark.thorough
def test_a_taken_folder_is_refused_once(folder, one):
    done = launch(2, "-m", "prorl.cli", "train", folder / "tiny.toml", "--out", one)
    assert done.stderr.count("holds a run already") == 1
    assert prorl("train", folder / "tiny.toml", "--out", one).returncode == 2
