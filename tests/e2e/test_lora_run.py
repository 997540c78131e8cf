"""A run that trains an adapter: resets, kill and resume to the bit, two ranks, and checkpoints that others read."""

import shutil
import signal
import time
from pathlib import Path

import pytest
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from ranked_runs import assert_alike, recorded
from rules import ROOT
from runs import RECIPE, prorl, records, reproducible, start

pytestmark = pytest.mark.slow
STEPS, INTERVAL = 7, 3
FILES = (
    "policy/model.safetensors",
    "adapter/adapter_model.safetensors",
    "adapter/adapter_config.json",
    "reference.safetensors",
    "optimizer.safetensors",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lora")
    recipe = RECIPE.replace("steps = 12", f"steps = {STEPS}").replace("checkpoint_every = 2", "checkpoint_every = 1")
    recipe = recipe.replace("patience = 1", f"interval = {INTERVAL}").replace("min_delta = 1.0\n", "")
    recipe = recipe.replace("minibatch_prompts = 2", "minibatch_prompts = 4")  # one update a step
    # A validation asks for the same streams again, with other weights: a recording knows each stream once.
    recipe = recipe.replace("every = 3", "every = 0").replace("1e-3", "3e-3") + "lora_rank = 8\n"
    (folder / "tiny.toml").write_text(recipe)
    return folder


@pytest.fixture(scope="module")
def one(folder) -> Path:
    return recorded(1, "record", folder, "one")


@pytest.fixture(scope="module")
def begun(folder) -> Path:
    """Stopped at the step of the first reset."""
    out = folder / "begun"
    done = prorl("train", folder / "tiny.toml", "--out", out, "--set", f"train.steps={INTERVAL}")
    assert done.returncode == 0, done.stderr
    return out


def at(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / f"step_{step}"


def test_the_kl_is_exactly_zero_at_the_start_and_after_each_reset_and_only_there(one):
    assert [event["step"] for event in records(one, "events") if event["event"] == "reset"] == [3, 6]
    values = {record["step"]: record["kl/reference"] for record in records(one)}
    assert len(values) == STEPS
    assert [step for step, value in values.items() if value == 0.0] == [1, 4, 7]


def test_a_stopped_and_a_killed_run_go_on_to_the_bit(folder, one, begun):
    out = folder / "killed"
    shutil.copytree(begun, out)
    arguments = ("train", folder / "tiny.toml", "--out", out, "--resume", "--set", f"train.steps={STEPS}")
    process = start(*arguments)
    try:
        while process.poll() is None and not at(out, INTERVAL + 2).exists():
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert not at(out, STEPS).exists(), "the run ended before the kill"
    done = prorl(*arguments)
    assert done.returncode == 0, done.stderr
    assert reproducible(out) == reproducible(one)  # with a KL of 0 at the step after the first reset
    for name in FILES:
        assert (at(out, STEPS) / name).read_bytes() == (at(one, STEPS) / name).read_bytes(), name


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft asks for it
def test_the_checkpoint_is_read_by_transformers_and_by_peft(one):
    checkpoint = at(one, STEPS)
    merged = AutoModelForCausalLM.from_pretrained(checkpoint / "policy")
    base = AutoModelForCausalLM.from_pretrained(ROOT / "src" / "prorl" / "assets" / "mini_base")
    before = {name: value.detach().clone() for name, value in base.named_parameters()}
    adapted = PeftModel.from_pretrained(base, checkpoint / "adapter").merge_and_unload()
    apart = 0.0
    for name, parameter in adapted.named_parameters():
        value = parameter.detach()
        assert float((value - merged.get_parameter(name).detach()).abs().max()) < 1e-6
        apart = max(apart, float((value - before[name]).abs().max()))
    assert apart > 1e-3
    assert {name for name, value in merged.named_parameters() if bool((value == before[name]).all())} == {
        name for name in before if "proj" not in name
    }


@pytest.mark.thorough
def test_two_ranks_are_one_and_go_on_as_one(folder, one):
    recorded(2, "replay", folder, "two", "--set", "train.steps=4")
    assert_alike(folder / "two", one, 4)
    recorded(1, "replay", folder, "two", "--resume", "--set", f"train.steps={STEPS}")
    assert_alike(folder / "two", one, STEPS)
    mine, other = (load_file(at(place, STEPS) / FILES[1]) for place in (folder / "two", one))
    assert mine.keys() == other.keys()
    assert max(float((mine[name] - other[name]).abs().max()) for name in mine) < 1e-4  # the rate is 3e-3


@pytest.mark.thorough
def test_a_checkpoint_of_one_rank_goes_on_with_two(folder, one, begun):
    shutil.copytree(begun, folder / "grown")
    recorded(2, "replay", folder, "grown", "--resume", "--set", f"train.steps={STEPS}")
    assert_alike(folder / "grown", one, STEPS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ("model.lora_rank=0",),
            "model.lora_rank = 0: the checkpoint is of a run that trained an adapter; go on with ",
        ),
        (("model.lora_alpha=4",), "model.lora_alpha: the adapter has 4, the checkpoint's 16; go on with that"),
    ],
)
def test_a_run_goes_on_with_its_own_adapter_only(folder, begun, changes, message):
    sets = [word for change in changes for word in ("--set", change)]
    done = prorl("train", folder / "tiny.toml", "--out", begun, "--resume", *sets, "--set", f"train.steps={INTERVAL}")
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("prorl: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in done.stderr
