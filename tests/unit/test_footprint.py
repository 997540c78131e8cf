"""Bytes of a recipe on its devices by hand, against a real update, and what is said of a recipe that does not fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from prorl.cli import main
from prorl.commands.plan import measured
from prorl.config import Config, Data, Learner, Loss, Model, Optimizer, Rollouts
from prorl.learner.torch_learner import TorchLearner
from prorl.models import LoadedModel, Size
from prorl.planning import fitting, footprint
from prorl.recipe import load_run
from prorl.records import Batch, Row

TINY = Size(
    parameters=1000 + 2 * 100 * 10,  # two layers of 500, embedding and head of 100 x 10
    trained=3000,
    multiplied=2000,
    vocabulary=100,
    layers=2,
    hidden=10,
    queries=10,
    keys=5,
    mlp=20,
    itemsize=2,
    published=False,
)
SMALL = Config(
    data=Data(max_prompt_tokens=10),
    rollouts=Rollouts(prompts_per_step=4, group_size=2, max_response_tokens=30, token_budget=100),
    optimizer=Optimizer(minibatch_prompts=2),
    learner=Learner(token_budget=64, logprob_chunk=8, activation_checkpointing=True),
)


def by_hand(parts: dict[str, float]) -> dict[str, float]:
    return {name: pytest.approx(1.02 * value) for name, value in parts.items()}


def test_one_device_by_hand() -> None:
    """Two rows of 40 tokens in the cache; micro-batches of 64 tokens.

    A layer keeps 2 * 10 * (4 + 4 + 2) + 2 * (3 * 10 + 2 * 5) + 4 * 2 * 20 = 440 bytes a token, of which recomputed ones
    leave 4 * 10; its backward pass takes 2 * 4 * 10 + 3 * 2 * 20 = 200 more. The largest is that: 64 * 640 = 40,960;
    the log-probs take 8 * 100 * 4 + 100 * 10 * (4 + 2) + 3 * 64 * 10 * 4 = 16,880, the copies 2 * 1000 and 64 * 440.
    """
    found = footprint.footprint(SMALL, TINY)
    resident = {
        "policy": 12_000,
        "optimizer": 24_000,
        "reference": 12_000,
        "engine": 6000,
        "cache": 80 * 2 * 2 * 5 * 2,
    }
    # One prompt of ten tokens, its MLP of 4 * 20 + 3 * 10 numbers, and three tensors of two rows of logits.
    assert found.sampling == by_hand({**resident, "prefill": 10 * 110 * 2 + 3 * 2 * 100 * 4})
    updating = {**resident, "gradients": 12_000, "activations": 64 * 2 * 40, "one layer": 40_960}
    assert found.updating == by_hand(updating)
    assert found.peak == pytest.approx(1.02 * sum(updating.values()))


def test_four_devices_by_hand() -> None:
    """State is shared; two layers are gathered in 2 bytes and twice the outer weights in 4, and the gradients of both,
    as they are and in 4 bytes."""
    found = footprint.footprint(SMALL, TINY, devices=4)
    gathered = 2 * 500 * 2 + 2 * 2000 * 4 + 2 * 500 * (2 + 4) + 2000 * (4 + 4)
    expected = {"policy": 3000, "optimizer": 6000, "reference": 3000, "gradients": 3000, "gathered": gathered}
    assert {name: found.updating[name] for name in expected} == by_hand(expected)
    assert found.updating["engine"] == pytest.approx(1.02 * 6000)


def test_a_rollout_process_by_hand() -> None:
    """Of five devices with engines over two one learns, two sample and two are left; a single one holds both sides."""
    apart = replace(SMALL, rollouts=replace(SMALL.rollouts, process=True, tensor_parallel_size=2))
    found = footprint.footprint(apart, TINY, devices=5)
    assert found.sampling == by_hand({"engine": 3000, "cache": 1600, "prefill": 10 * 110 * 2 + 3 * 2 * 100 * 4})
    learner = {"policy": 12_000, "optimizer": 24_000, "reference": 12_000, "gradients": 12_000}
    assert found.updating == by_hand({**learner, "activations": 64 * 2 * 40, "one layer": 40_960})
    assert found.peak == sum(found.updating.values())
    shared = footprint.footprint(replace(apart, rollouts=replace(apart.rollouts, tensor_parallel_size=1)), TINY)
    assert shared.peak == pytest.approx(1.02 * (6000 + 3200 + 4600 + 60_000 + 64 * 80 + 40_960))
    six = footprint.footprint(apart, TINY, devices=6)
    assert six.updating["policy"] == pytest.approx(1.02 * 6000)


def test_options_by_hand() -> None:
    kept = replace(SMALL, learner=replace(SMALL.learner, activation_checkpointing=False))
    updating = footprint.footprint(kept, TINY).updating
    assert updating["activations"] == pytest.approx(1.02 * 64 * 2 * 440)
    assert updating["16-bit copy"] == pytest.approx(1.02 * 1000 * 2)
    eight = replace(SMALL, optimizer=Optimizer(name="adamw_8bit", minibatch_prompts=2))
    assert footprint.footprint(eight, TINY).updating["optimizer"] == pytest.approx(1.02 * 3000 * (2 + 8 / 256))
    host = replace(SMALL, learner=replace(SMALL.learner, reference_on_host=True))
    assert "reference" not in footprint.footprint(host, TINY).sampling
    assert footprint.footprint(host, TINY).updating["reference"] == pytest.approx(1.02 * 12_000)
    assert "reference" not in footprint.footprint(host, TINY, devices=2).updating
    assert "reference" not in footprint.footprint(replace(host, loss=Loss(kl_coefficient=0.0)), TINY).updating
    adapter = footprint.footprint(SMALL, replace(TINY, trained=100)).updating
    assert adapter["gradients"] == adapter["reference"] == pytest.approx(1.02 * 400)
    assert adapter["policy"] == pytest.approx(1.02 * 12_000)


def test_the_papers_first_and_last_phase_fit_one_gpu() -> None:
    run = load_run("prorl_1.5b")
    size = measured(run.model)
    assert footprint.outer_parameters(size) == 2 * 151_936 * 1536
    for config in (run.phases[0], run.phases[-1]):
        assert 55e9 < footprint.footprint(config, size).peak < 80e9
    longest = run.phases[-1]
    assert footprint.micro_batch_tokens(longest) == footprint.longest_row(longest) == 17_408
    assert footprint.cache_rows(longest) == 33


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_activations_against_what_an_update_keeps(dtype: torch.dtype) -> None:
    """Bytes that autograd holds for a micro-batch of a model of the paper's proportions, the weights' copies aside."""
    torch.set_num_threads(1)
    settings = AutoConfig.for_model(
        "qwen2",
        vocab_size=64,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=2,
        intermediate_size=1493,
    )
    model = AutoModelForCausalLM.from_config(settings)
    rng = np.random.default_rng(0)
    prompt = tuple(map(int, rng.integers(2, 64, 20)))
    rows = tuple(Row(prompt, rng.integers(2, 64, n), np.zeros(n, np.float32), 1.0) for n in (200, 190, 180, 170))
    config = Config(learner=Learner(token_budget=4000), loss=Loss(kl_coefficient=0.0))
    learner = TorchLearner(LoadedModel(model, None, torch.device("cpu"), dtype, (1,)), config)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    shapes = {tuple(parameter.shape) for parameter in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage().data_ptr()
        is_weight = tuple(tensor.shape) in shapes or tuple(tensor.t().shape if tensor.ndim == 2 else ()) in shapes
        if storage not in weights and not is_weight:
            kept[storage] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        learner.update(Batch((rows,), {}), config, 0.0)
    held = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    size = replace(measured(Model()), layers=4, hidden=256, queries=256, keys=64, mlp=1493, itemsize=dtype.itemsize)
    tokens = 20 + 199 + 189 + 179 + 169
    assert footprint.kept_bytes(config, size) * tokens == pytest.approx(held, rel=0.3)


@pytest.mark.parametrize(
    ("config", "capacity", "expected"),
    [
        (SMALL, 1e9, []),
        (replace(SMALL, learner=replace(SMALL.learner, activation_checkpointing=False)), 130e3, ["learner.activation"]),
        (SMALL, 108e3, ["learner.token_budget = 40"]),
        (SMALL, 82e3, ["optimizer.name = adamw_8bit"]),
        (SMALL, 80e3, ["--devices"]),
    ],
)
def test_what_is_enough(config: Config, capacity: float, expected: list[str]) -> None:
    changes = fitting.enough(config, TINY, 1, capacity)
    assert changes is not None
    assert len(changes) >= len(expected)
    assert all(str(change).startswith(start) for change, start in zip(changes[-1:], expected, strict=False))
    ranks = 1
    for change in changes:
        config, ranks = fitting._changed(config, ranks, change)
    assert fitting.peak(config, TINY, ranks) <= capacity


def test_nothing_helps_where_a_layer_does_not_fit() -> None:
    assert fitting.enough(SMALL, TINY, 1, 1000.0) is None


def test_a_recipe_that_does_not_fit_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    keep = ("--set", "learner.activation_checkpointing=false")
    assert main(["plan", "prorl_1.5b", *keep]) == 2
    error = capsys.readouterr().err
    assert error.startswith("prorl: phase 1 does not fit: ")
    assert error.endswith("set learner.activation_checkpointing = true\n")
    assert "80 GB (--device-memory)" in error
    assert main(["plan", "prorl_1.5b", "--device-memory", "24"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--devices" in error
    assert main(["plan", "quickstart", "--device-memory", "0.001"]) == 2
    error = capsys.readouterr().err
    assert "prorl: phase 1 does not fit" in error
    assert " 0.0 GB" not in error


def test_memory_by_half_and_device_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "prorl_1.5b", "--devices", "8"]) == 0
    text = capsys.readouterr().out
    assert "GB a device: policy 0.9, optimizer 1.8" in text
    assert "a device has 80 GB (--device-memory): every phase fits" in text


def test_a_probe_is_measured_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    small = ["--set", "learner.token_budget=256", "--set", "rollouts.token_budget=512"]
    assert main(["plan", "quickstart", "--probe", *small]) == 0
    text = capsys.readouterr().out
    assert "measured    here, on one device (--probe): update of " in text
    assert "computed from it, by tokens" in text
    assert "response tokens a second while updating" in text
    assert Model().path in text
