"""Adapters: merged by hand, gradients from the dense ones, a reference without a second model, and what is refused."""

import copy
import json
import sys
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from torch import nn

from prorl import models
from prorl.checkpoint import Checkpoints, Snapshot
from prorl.checks import check
from prorl.config import Config, Data, Learner, Loss, Model, Optimizer, Reset, Rollouts, Run, Source
from prorl.errors import UserError
from prorl.learner.torch_learner import TorchLearner
from prorl.recipe import measurement_config
from prorl.records import Batch
from prorl.rollouts.generate_engine import GenerateEngine
from prorl.rollouts.torch_engine import TorchEngine
from tiny_models import EOS, loaded, random_rows, tiny_model

RATE = 1e-2
RANK = 4
ROWS = random_rows(12, seed=4)
Q = "model.layers.0.self_attn.q_proj"
A, B = (f"base_model.model.{Q}.lora_{factor}.weight" for factor in "AB")


def make_config(*, rank=RANK, alpha=0, targets=("all-linear",), reset=None, checkpointing=False):
    return Config(
        model=Model(lora_rank=rank, lora_alpha=alpha, lora_targets=targets),
        rollouts=Rollouts(temperature=1.2),
        loss=Loss(kl_coefficient=0.05, engine_logprobs_below=0.0),
        optimizer=Optimizer(max_grad_norm=0.0, weight_decay=0.0),
        learner=Learner(logprob_chunk=16, activation_checkpointing=checkpointing),
        reset=Reset(**reset or {}),
    )


def make_learner(config=None, *, kind="llama", seed=0):
    return TorchLearner(loaded(tiny_model(kind, seed)), config or make_config())


def batch_of(*minibatches):
    return Batch(tuple(map(tuple, minibatches)), {})


def state(learner):
    """The learner's state as values of its own, as a checkpoint gives it back."""
    found = learner.state_dict()
    adapter = {"settings": found["adapter"]["settings"], "tensors": copies(found["adapter"]["tensors"])}
    return {
        "weights": copies(found["weights"]),
        "adapter": adapter,
        "reference": copies(found["reference"]),
        "optimizer": copy.deepcopy(found["optimizer"]),
    }


def copies(tensors):
    return {name: value.detach().clone() for name, value in tensors.items()}


def adapter(learner):
    return copies(learner.state_dict()["adapter"]["tensors"])


def reference(learner):
    return copies(learner.state_dict()["reference"])


def equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def dense(learner, kind="llama"):
    """A model of its own with the merged weights."""
    model = tiny_model(kind, seed=5)
    weights = learner.weights()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    return model


def moved(config=None, kind="llama", steps=2):
    learner = make_learner(config, kind=kind)
    for _ in range(steps):
        learner.update(batch_of(ROWS[:6], ROWS[6:]), config or make_config(), RATE)
    return learner


def test_a_merged_weight_by_hand():
    """W = [[1, 2], [3, 4]], A = [[1, -1]], B = [[2], [0.5]], alpha / rank = 3 / 1: W + 3 [[2, -2], [0.5, -0.5]]."""
    config = make_config(rank=1, alpha=3, targets=("q_proj",))
    learner = make_learner(config)
    parameters = learner._trained.parameters()
    layer = learner._model.get_submodule(Q)
    with torch.no_grad():
        for tensor in (layer.base_layer.weight, parameters[A], parameters[B]):
            tensor.zero_()
        layer.base_layer.weight[:2, :2] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        parameters[A][0, :2] = torch.tensor([1.0, -1.0])
        parameters[B][:2, 0] = torch.tensor([2.0, 0.5])
    merged = learner.weights()[f"{Q}.weight"]
    assert merged[:2, :2].tolist() == [[7.0, -4.0], [4.5, 2.5]]
    assert int(merged.count_nonzero()) == 4
    assert layer.base_layer.weight[:2, :2].tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_alpha_is_twice_the_rank_where_it_is_left_out():
    assert make_learner().state_dict()["adapter"]["settings"]["lora_alpha"] == 2 * RANK


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_at_the_start_the_policy_is_the_base_to_the_bit(kind):
    """gpt2 keeps its weights transposed."""
    learner, base = make_learner(kind=kind), tiny_model(kind)
    assert equal(dict(learner.weights()), copies(dict(base.named_parameters())))
    assert learner.update(batch_of(ROWS), make_config(), RATE)["kl/reference"] == 0.0


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_merged_model_computes_what_the_learner_does_and_the_base_stays(kind):
    learner, base = moved(kind=kind), tiny_model(kind)
    plain = TorchLearner(loaded(dense(learner, kind)), config := make_config(rank=0))
    for mine, other in zip(learner.evaluate(ROWS, config), plain.evaluate(ROWS, config), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)
    held = {name.replace(".base_layer", ""): value for name, value in learner._model.named_parameters()}
    assert all(torch.equal(held[name], value) for name, value in base.named_parameters())
    assert not torch.equal(*(model.state_dict()[_some_weight(kind)] for model in (dense(learner, kind), base)))


def _some_weight(kind):
    return "transformer.h.0.mlp.c_fc.weight" if kind == "gpt2" else f"{Q}.weight"


def test_gradients_are_those_of_the_dense_weight_through_the_product():
    """dL/dB = s (dL/dW) A^T and dL/dA = s B^T (dL/dW), with dL/dW from a learner whose merged weights all train.

    After an AdamW's first step the first moment is (1 - beta1) times the gradient. A rank of 48 is more than any layer
    needs, so the factors are of full rank.
    """
    config = make_config(rank=48, alpha=24)
    learner = moved(config, steps=1)
    learner.reset(None, None, config)  # clears the moments; and the penalty's gradient is 0 in both
    plain = TorchLearner(loaded(dense(learner)), full := make_config(rank=0))
    before = adapter(learner)
    learner.update(batch_of(ROWS), config, RATE)
    plain.update(batch_of(ROWS), full, RATE)
    names = list(learner._trained.parameters())
    found = {names[i]: s["exp_avg"] / 0.1 for i, s in learner.state_dict()["optimizer"]["state"].items()}
    of_dense = [s["exp_avg"] / 0.1 for s in plain.state_dict()["optimizer"]["state"].values()]
    wanted = dict(zip(plain._trained.parameters(), of_dense, strict=True))
    assert len(names) == 2 * 7 * 2  # two factors of seven layers of two blocks
    for a in [name for name in names if ".lora_A." in name]:
        b = a.replace("lora_A", "lora_B")
        gradient = wanted[a.removeprefix("base_model.model.").replace(".lora_A", "")]
        torch.testing.assert_close(found[b], 0.5 * gradient @ before[a].T, atol=1e-6, rtol=1e-3)
        torch.testing.assert_close(found[a], 0.5 * before[b].T @ gradient, atol=1e-6, rtol=1e-3)
        assert float(found[a].abs().max()) > 1e-5


def test_only_the_adapter_trains_and_the_optimizer_holds_nothing_else():
    learner = moved()
    model, names = learner._model, list(learner._trained.parameters())
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    assert len(trained) == len(names) == 28
    assert all(".policy." in name for name in trained)
    group = learner._optimizer.param_groups[0]["params"]
    assert list(map(id, group)) == list(map(id, learner._trained.parameters().values()))
    assert len(learner.state_dict()["optimizer"]["state"]) == 28
    assert all(value.grad is None for value in model.parameters())


def test_there_is_no_second_model():
    learner = make_learner()
    base = sum(value.numel() for value in tiny_model().parameters())
    both = 2 * sum(value.numel() for value in learner._trained.parameters().values())
    assert sum(value.numel() for value in learner._model.parameters()) == base + both
    with learner._trained.as_reference() as scorer:
        assert scorer is learner._trained.scorer


def test_named_targets_are_the_only_ones():
    learner = make_learner(make_config(targets=("q_proj", "v_proj")))
    names = {name.split(".")[-3] for name in learner._trained.parameters()}
    assert names == {"q_proj", "v_proj"}
    assert len(learner._trained.parameters()) == 8


def test_the_reference_is_computed_by_the_reference_adapter():
    """Against a model of its own with the merged weights of the reset."""
    learner, config = moved(), make_config()
    learner.reset(None, None, config)
    at_reset = dense(learner)
    for _ in range(2):
        learner.update(batch_of(ROWS), config, RATE)
    plain = TorchLearner(loaded(at_reset), make_config(rank=0))
    part = learner._packs(ROWS, config)[0]
    with torch.no_grad(), learner._trained.as_reference() as scorer:
        found, _ = learner._logprobs(scorer, part, config)
    expected, _ = plain._logprobs(plain._trained.scorer, part, config)
    torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=0)
    policy, _ = learner._logprobs(learner._trained.scorer, part, config)
    assert policy.requires_grad
    assert float((policy.detach() - found).abs().max()) > 1e-2


@pytest.mark.parametrize("checkpointing", [False, True])
def test_kl_is_exactly_zero_after_a_reset_and_then_grows(checkpointing):
    config = make_config(checkpointing=checkpointing)
    learner = moved(config)
    assert learner.update(batch_of(ROWS), config, RATE)["kl/reference"] > 1e-6
    learner.reset(None, None, config)
    assert equal(reference(learner), adapter(learner))
    assert learner.update(batch_of(ROWS), config, RATE)["kl/reference"] == 0.0
    assert not equal(reference(learner), adapter(learner))
    assert learner.update(batch_of(ROWS), config, RATE)["kl/reference"] > 1e-6


def test_activation_checkpointing_changes_nothing():
    """The reference's pass between forward and backward must not change what is recomputed."""
    assert equal(adapter(moved(make_config(checkpointing=True))), adapter(moved()))


def test_a_soft_reset_blends_the_factors():
    learner, config = moved(), make_config(reset={"blend": 0.25})
    old, policy = reference(learner), adapter(learner)
    learner.reset(None, None, config)
    for name, value in reference(learner).items():
        torch.testing.assert_close(value, 0.75 * old[name] + 0.25 * policy[name], atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("mode", ["clear", "keep"])
def test_a_reset_clears_or_keeps_the_optimizer(mode):
    config = make_config(reset={"optimizer": mode})
    learner = moved(config)
    before = copy.deepcopy(learner.state_dict()["optimizer"]["state"])
    learner.reset(None, None, config)
    after = learner.state_dict()["optimizer"]["state"]
    assert after.keys() == ({} if mode == "clear" else before).keys()
    assert all(torch.equal(after[key]["exp_avg"], before[key]["exp_avg"]) for key in after)


def test_the_policy_goes_back_to_the_best_adapter():
    learner, config = moved(steps=1), make_config()
    best, version = adapter(learner), learner.version
    learner.update(batch_of(ROWS), config, RATE)
    learner.reset(best, best, config)
    assert equal(adapter(learner), best)
    assert equal(reference(learner), best)
    assert learner.version == version + 2
    assert learner.update(batch_of(ROWS), config, RATE)["kl/reference"] == 0.0
    with pytest.raises(UserError, match="reference weights do not fit the model"):
        learner.reset(dict(learner.weights()), None, config)


def test_the_seed_draws_the_adapter_and_leaves_the_global_generator_alone():
    model = loaded(tiny_model())
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    one = TorchLearner(model, make_config())
    assert torch.equal(torch.rand(3), expected)
    assert equal(adapter(one), adapter(make_learner()))
    config = make_config()
    other = make_learner(replace(config, train=replace(config.train, seed=1)))
    assert not torch.equal(adapter(one)[A], adapter(other)[A])
    assert float(adapter(one)[B].abs().max()) == 0.0


def save(learner, folder, step=3):
    found = learner.state_dict()
    snapshot = Snapshot(
        step=step, state={}, weights=found["weights"], reference=found["reference"], reference_id="r",
        optimizer=found["optimizer"], config_toml="", versions={}, adapter=found["adapter"],
    )  # fmt: skip
    return Checkpoints(folder, keep=2).save(snapshot, write_model_files=lambda path: None, pinned={})


def restored(learner, path):
    found = Checkpoints(path.parent, keep=2).load(path)
    learner.load_state_dict({name: getattr(found, name) for name in ("weights", "adapter", "reference", "optimizer")})
    return learner


def test_a_restored_learner_goes_on_bit_by_bit(tmp_path):
    """Also into another seed's learner; and the KL of the step after a reset is 0 there too."""
    learner, config = moved(), make_config()
    learner.reset(None, None, config)
    path = save(learner, tmp_path)
    other = replace(config, train=replace(config.train, seed=8))
    again = restored(make_learner(other), path)
    for rows in ((ROWS,), (ROWS[:5], ROWS[5:])):
        metrics = [one.update(batch_of(*rows), config, RATE / 3) for one in (learner, again)]
        assert metrics[0] == metrics[1]
        assert (metrics[0]["kl/reference"] == 0.0) == (rows == (ROWS,))
    assert equal(adapter(learner), adapter(again))
    assert equal(reference(learner), reference(again))
    assert Checkpoints(tmp_path, keep=2).load_weights(path, "adapter").keys() == adapter(learner).keys()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft asks for it
def test_peft_reads_the_adapter_and_it_is_the_merged_policy(tmp_path):
    learner = moved(make_config(targets=("q_proj", "down_proj"), alpha=6))
    path = save(learner, tmp_path)
    policy = Checkpoints(tmp_path, keep=2).load_weights(path, "policy")
    assert equal(policy, copies(learner.weights()))
    found = PeftModel.from_pretrained(tiny_model(), path / "adapter").merge_and_unload()
    for name, value in found.named_parameters():
        torch.testing.assert_close(value, policy[name], atol=1e-7, rtol=0)
    settings = json.loads((path / "adapter" / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"], settings["peft_type"]) == (RANK, 6, "LORA")


REFUSED = {
    "rank": (make_config(rank=2), r"model.lora_rank: the adapter has 2, the checkpoint's 4; go on with that"),
    "alpha": (make_config(alpha=5), r"model.lora_alpha: the adapter has 5, the checkpoint's 8; go on with that"),
    "targets": (make_config(targets=("q_proj",)), r"adapter weights do not fit the model: base_model.model.*in all\)"),
    "full": (make_config(rank=0), r"model.lora_rank = 0: the checkpoint is of a run that trained an adapter; .*"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_checkpoint_of_another_adapter_is_refused_in_one_line(case, tmp_path):
    config, message = REFUSED[case]
    path = save(moved(steps=1), tmp_path)
    learner = make_learner(config)
    before = copies(learner.weights())
    with pytest.raises(UserError, match=f"^{message}$"):
        restored(learner, path)
    assert equal(copies(learner.weights()), before)


def test_a_checkpoint_without_an_adapter_or_on_another_base_is_refused(tmp_path):
    path = save(moved(make_config(rank=0), steps=1), tmp_path / "full")
    with pytest.raises(UserError, match=r"^model.lora_rank = 4: the checkpoint is of a run that trained all weights; "):
        restored(make_learner(), path)
    path = save(moved(steps=1), tmp_path / "lora")
    model = tiny_model()
    with torch.no_grad():
        model.get_submodule(Q).weight[3, 5] += 0.01
    with pytest.raises(UserError, match=rf"^model.path: {Q}.weight differs from the checkpoint's, whose adapter is "):
        restored(TorchLearner(loaded(model), make_config()), path)


def test_engines_take_the_merged_weights():
    learner, config = moved(), make_config()
    expected = learner.evaluate(ROWS, config)
    pairs = [(row.prompt_tokens, tuple(row.response_tokens.tolist())) for row in ROWS]
    engine = TorchEngine(
        learner._model.config, eos_ids=[EOS], max_length=40, token_budget=400, dtype=torch.float32,
        device=torch.device("cpu"),
    )  # fmt: skip
    engine.load_weights(learner.weights(), 1)
    for mine, other in zip(engine.score(pairs, 1.2), expected, strict=True):
        torch.testing.assert_close(mine, other, atol=2e-5, rtol=0)
    empty = models.same_architecture(loaded(learner._model), config.model)
    general = GenerateEngine(empty, eos_ids=[EOS], max_length=40, token_budget=400, dtype=torch.float32)
    general.load_weights(learner.weights(), 1)
    plain = dict(empty.named_parameters())
    assert equal(copies(plain), copies(learner.weights()))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("q_proj", "nope"), r'"nope" is no linear layer of LlamaForCausalLM besides its head; there are down_proj'),
        (("lm_head",), r'"lm_head" is no linear layer .* besides its head'),
        (("embed_tokens",), r'"embed_tokens" is no linear layer'),
        (("norm",), r'"norm" is no linear layer'),
        (("(",), r'"\(" is no linear layer'),
    ],
)
def test_targets_that_are_no_linear_layers_are_refused(targets, message):
    with pytest.raises(UserError, match=f"^model.lora_targets = .*{message}") as error:
        make_learner(make_config(targets=targets))
    assert "\n" not in str(error.value)


def test_a_model_without_linear_layers_besides_its_head_is_refused():
    model = tiny_model()
    model.model.layers = nn.ModuleList()
    with pytest.raises(UserError, match=r"^model.lora_targets = \['all-linear'\]: LlamaForCausalLM has no linear"):
        TorchLearner(loaded(model), make_config())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(lora_alpha=8), r"model.lora_alpha = 8 is for an adapter; set model.lora_rank, or leave it out"),
        (Model(lora_targets=("q_proj",)), r"model.lora_targets = \[\"q_proj\"\] is for an adapter; "),
        (Model(lora_rank=4, lora_targets=()), r"model.lora_targets = \[\]: must be "),
        (Model(lora_rank=4, lora_targets=("all-linear", "q")), r"model.lora_targets = .*: must be "),
        (Model(lora_rank=4), r"learner.reference_on_host = true: with model.lora_rank the reference is an adapter "),
    ],
)
def test_options_that_do_not_fit_are_refused(model, message):
    learner = Learner(reference_on_host=model == Model(lora_rank=4))
    config = Config(model=model, learner=learner, data=Data(sources=(Source(),)))
    with pytest.raises(UserError, match=f"^{message}"):
        check(Run(name="r", phases=(config,)))


def test_a_missing_peft_is_one_line(monkeypatch):
    monkeypatch.delitem(sys.modules, "prorl.adapters")
    monkeypatch.setitem(sys.modules, "peft", None)
    message = r"^model.lora_rank = 4: peft is not installed .*; pip install 'prorl\[lora\]', or set 0$"
    with pytest.raises(UserError, match=message):
        make_learner()


def test_a_measurement_takes_no_adapter_options():
    with pytest.raises(
        UserError, match=r"model.lora_rank=4\": a measurement trains nothing; name a checkpoint's policy/"
    ):
        measurement_config(["model.lora_rank=4"], {})


def test_the_plan_counts_what_trains():
    """Ranks times inputs plus outputs of each layer: q 32+32, k and v 32+16, o 32+32, gate and up 32+48, down 48+32."""
    by_hand = 2 * RANK * (64 + 48 + 48 + 64 + 80 + 80 + 80)
    learner = make_learner()
    assert sum(value.numel() for value in learner._trained.parameters().values()) == by_hand
    base, adapted = (models.measure(Model(device="cpu", lora_rank=rank)) for rank in (0, RANK))
    assert base.trained == base.parameters == adapted.parameters
    # mini-base: 4 blocks of width 64 with a key width of 32 and an MLP of 160
    config = models.load(Model(device="cpu")).model.config
    h, k, m = config.hidden_size, config.num_key_value_heads * config.head_dim, config.intermediate_size
    assert adapted.trained == config.num_hidden_layers * RANK * (4 * h + 2 * (h + k) + 3 * (h + m))
    assert replace(adapted, trained=base.trained) == base
