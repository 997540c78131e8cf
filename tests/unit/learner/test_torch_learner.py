"""The update: splitting, skipped steps, old log-probs, resets, and a state that goes on bit by bit."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from prorl.config import Config, Learner, Loss, Optimizer, Reset, Rollouts
from prorl.errors import UserError
from prorl.learner.learner import Learner as LearnerProtocol
from prorl.learner.packing import micro_batches
from prorl.learner.torch_learner import TorchLearner
from prorl.records import Batch
from tiny_models import loaded, random_rows, tiny_model

RATE = 1e-2


def make_config(*, token_budget=4000, reset=None, checkpointing=False, on_host=False, **loss):
    return Config(
        rollouts=Rollouts(temperature=1.2),
        loss=Loss(**{"kl_coefficient": 0.05, "engine_logprobs_below": 0.0} | loss),
        optimizer=Optimizer(max_grad_norm=0.0),
        learner=Learner(
            token_budget=token_budget,
            logprob_chunk=16,
            activation_checkpointing=checkpointing,
            reference_on_host=on_host,
        ),
        reset=Reset(**reset or {}),
    )


def make_learner(config=None, *, kind="llama", seed=0):
    return TorchLearner(loaded(tiny_model(kind, seed)), config or make_config())


def batch_of(*minibatches):
    return Batch(tuple(map(tuple, minibatches)), {})


def weights(learner):
    return {name: value.detach().clone() for name, value in learner.weights().items()}


def reference(learner):
    return {name: value.clone() for name, value in learner.state_dict()["reference"].items()}


def moments(learner):
    """The optimizer's state by parameter, copied."""
    return copy.deepcopy(learner.state_dict()["optimizer"]["state"])


def gradients(learner):
    """From the first moments after the first step: (1 - beta1) times the gradient."""
    return [state["exp_avg"] / (1 - 0.9) for state in moments(learner).values()]


def equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def same_moments(left, right):
    return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)


def on_policy(learner, rows, config, shift=0.0):
    """The rows with the policy's own log-probs as the engine's, plus a shift."""
    values = learner.evaluate(rows, config)
    return tuple(
        replace(row, behaviour_logprobs=value.numpy() + np.float32(shift))
        for row, value in zip(rows, values, strict=True)
    )


def count_forwards(learner):
    counts = {"policy": 0, "reference": 0}
    for name, model in (("policy", learner._model), ("reference", learner._trained._reference)):

        def count(*_, name=name):
            counts[name] += 1

        model.get_decoder().register_forward_hook(count)
    return counts


def test_it_is_a_learner():
    assert isinstance(make_learner(), LearnerProtocol)


ROWS = random_rows(12, seed=4)
BUDGETS = {1: 4000, 2: 110, 4: 50}


@pytest.mark.parametrize("packs", [2, 4])
def test_a_gradient_does_not_depend_on_the_split_into_packs(packs):
    whole, split = make_learner(), make_learner()
    metrics = []
    for learner, count in ((whole, 1), (split, packs)):
        assert len(micro_batches(ROWS, BUDGETS[count])) == count
        metrics.append(learner.update(batch_of(ROWS), make_config(token_budget=BUDGETS[count]), RATE))
    for one, other in zip(gradients(whole), gradients(split), strict=True):
        torch.testing.assert_close(other, one, atol=1e-6 * float(one.abs().max()), rtol=1e-4)
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-4, abs=1e-7)


def test_activation_checkpointing_changes_no_gradient():
    plain, checkpointed = make_learner(), make_learner(config := make_config(checkpointing=True))
    plain.update(batch_of(ROWS), make_config(), RATE)
    checkpointed.update(batch_of(ROWS), config, RATE)
    assert equal(weights(plain), weights(checkpointed))


def test_nothing_drops_out_under_activation_checkpointing():
    """GPT-2 has dropout of 0.1 in training mode, which checkpointing needs."""
    plain, checkpointed = (
        make_learner(kind="gpt2"),
        make_learner(config := make_config(checkpointing=True), kind="gpt2"),
    )
    plain.update(batch_of(ROWS), make_config(), RATE)
    metrics = checkpointed.update(batch_of(ROWS), config, RATE)
    assert metrics["kl/reference"] == 0.0
    assert equal(weights(plain), weights(checkpointed))


BAD = [replace(ROWS[0], advantage=math.nan), replace(ROWS[0], advantage=math.inf)]


@pytest.mark.parametrize("bad", BAD, ids=["nan", "inf"])
def test_an_update_that_is_not_finite_is_skipped_and_counted(bad):
    learner = make_learner()
    before = weights(learner)
    metrics = learner.update(batch_of([bad, *ROWS[1:]]), make_config(), RATE)
    assert equal(weights(learner), before)
    assert moments(learner) == {}
    assert metrics["updates_skipped"] == 1
    assert "grad_norm" not in metrics
    assert all(map(math.isfinite, metrics.values()))


def test_a_skipped_update_leaves_no_trace_in_the_others():
    """Good, bad, good equals good, good: weights, moments, step counts and gradient norm."""
    config = make_config(kl_coefficient=0.0)
    one, other = make_learner(), make_learner()
    rows = on_policy(one, ROWS, config)
    metrics = one.update(batch_of(rows[:6], [BAD[0]], rows[6:]), config, RATE)
    clean = other.update(batch_of(rows[:6], rows[6:]), config, RATE)
    assert equal(weights(one), weights(other))
    assert same_moments(moments(one), moments(other))
    assert metrics["updates_skipped"] == 1
    assert clean["updates_skipped"] == 0
    assert metrics["grad_norm"] == clean["grad_norm"]


SHIFT = 0.05
MISMATCH = math.exp(-SHIFT) - 1 + SHIFT
"""kl/engine, k3, when the engine's log-probs are the policy's plus SHIFT."""


def test_engine_mismatch_is_measured_on_the_first_minibatch():
    learner, config = make_learner(), make_config()
    metrics = learner.update(batch_of(on_policy(learner, ROWS[:6], config, SHIFT), ROWS[6:]), config, RATE)
    assert metrics["kl/engine"] == pytest.approx(MISMATCH, rel=1e-3)


@pytest.mark.parametrize(("bound", "uses_engine"), [(MISMATCH * 1.01, True), (MISMATCH * 0.99, False)])
def test_the_engines_log_probs_serve_below_the_bound(bound, uses_engine):
    """The second mini-batch's engine log-probs are 1 too low, so its ratio would be e, above the upper clip.

    At a learning rate of 0 the policy's own old log-probs give a ratio of 1.
    """
    learner = make_learner()
    config = make_config(engine_logprobs_below=bound)
    rows = [replace(row, advantage=1.0) for row in ROWS]
    first, second = on_policy(learner, rows[:6], config, SHIFT), on_policy(learner, rows[6:], config, -1.0)
    counts = count_forwards(learner)
    metrics = learner.update(batch_of(first, second), config, 0.0)
    tokens = [sum(len(row.response_tokens) for row in part) for part in (first, second)]
    assert metrics["clip_fraction/high"] == (pytest.approx(tokens[1] / sum(tokens)) if uses_engine else 0.0)
    assert metrics["clip_fraction/low"] == 0.0
    # One pass for each pack, and one for the old log-probs where they are measured.
    assert counts["policy"] == (2 if uses_engine else 3)


def test_old_log_probs_are_those_of_before_the_first_update():
    """Measured after the first step instead, the second mini-batch's ratio would be 1 and nothing clipped."""
    learner, config = make_learner(), make_config(clip_high=1e-4, kl_coefficient=0.0)
    rows = [replace(row, advantage=1.0) for row in ROWS]
    moved = learner.update(batch_of(rows, rows), config, RATE)
    assert moved["clip_fraction/high"] > 0.3


def test_weights_against_the_engine_by_hand():
    """The engine's log-probs are ln 3 lower: weight 3, cut to 2, or outside of the band up to 2."""
    config = make_config(behaviour_correction="truncated", kl_coefficient=0.0)
    learner = make_learner()
    rows = on_policy(learner, ROWS, config, -math.log(3))
    before = weights(learner)
    assert learner.update(batch_of(rows), config, RATE)["importance_weight/mean"] == pytest.approx(2.0)
    doubled = gradients(learner)
    plain = make_learner()
    assert "importance_weight/mean" not in plain.update(batch_of(rows), make_config(kl_coefficient=0.0), RATE)
    for one, two in zip(gradients(plain), doubled, strict=True):
        torch.testing.assert_close(two, 2 * one, atol=1e-7, rtol=1e-4)
    icepop = make_config(behaviour_correction="icepop", kl_coefficient=0.0)
    outside = make_learner()
    metrics = outside.update(batch_of(rows), icepop, 0.0)
    assert metrics["importance_weight/mean"] == 0.0
    assert metrics["grad_norm"] == 0.0
    assert equal(weights(outside), before)


def test_without_kl_the_reference_is_never_run():
    learner, config = make_learner(), make_config(kl_coefficient=0.0)
    counts = count_forwards(learner)
    metrics = learner.update(batch_of(ROWS[:6], ROWS[6:]), config, RATE)
    assert counts["reference"] == 0
    assert "kl/reference" not in metrics
    learner.update(batch_of(ROWS[:6], ROWS[6:]), make_config(), RATE)
    assert counts["reference"] == 2


@pytest.mark.parametrize(("coefficient", "expected"), [(0.05, ["to", "run", "run", "to"]), (0.0, [])])
def test_a_reference_on_the_host_comes_for_its_passes_and_goes_back(monkeypatch, coefficient, expected):
    config = make_config(kl_coefficient=coefficient, on_host=True)
    learner = make_learner(config)
    events = []
    monkeypatch.setattr(learner._trained._reference, "to", lambda device: events.append("to"))
    learner._trained._reference.get_decoder().register_forward_hook(lambda *_: events.append("run"))
    learner.update(batch_of(ROWS[:6], ROWS[6:]), config, RATE)
    assert events == expected
    assert {value.device.type for value in reference(learner).values()} == {"cpu"}


def test_kl_is_exactly_zero_after_a_reset_and_then_grows():
    learner, config = make_learner(), make_config()
    learner.update(batch_of(ROWS), config, RATE)
    assert learner.update(batch_of(ROWS), config, RATE)["kl/reference"] > 1e-6
    learner.reset(None, None, config)
    assert learner.update(batch_of(ROWS), config, RATE)["kl/reference"] == 0.0
    assert learner.update(batch_of(ROWS), config, RATE)["kl/reference"] > 1e-6


@pytest.mark.parametrize("mode", ["clear", "keep"])
def test_a_reset_makes_the_reference_the_policy_and_clears_or_keeps_the_optimizer(mode):
    learner, config = make_learner(), make_config(reset={"optimizer": mode})
    start = weights(learner)
    learner.update(batch_of(ROWS), config, RATE)
    assert equal(reference(learner), start)
    policy, before, version = weights(learner), moments(learner), learner.version
    learner.reset(None, None, config)
    assert equal(reference(learner), policy)
    assert equal(weights(learner), policy)
    assert learner.version == version
    assert before != {}
    assert same_moments(moments(learner), {} if mode == "clear" else before)
    # The reference is a copy: the next update leaves it alone.
    learner.update(batch_of(ROWS), config, RATE)
    assert equal(reference(learner), policy)
    assert not equal(weights(learner), policy)


def test_a_soft_reset_goes_part_of_the_way():
    learner, config = make_learner(), make_config(reset={"blend": 0.25})
    old = reference(learner)
    learner.update(batch_of(ROWS), config, RATE)
    learner.reset(None, None, config)
    policy = weights(learner)
    for name, value in reference(learner).items():
        torch.testing.assert_close(value, 0.75 * old[name] + 0.25 * policy[name], atol=1e-7, rtol=1e-6)


def test_the_best_policy_becomes_the_reference_and_the_policy_goes_back_to_it():
    learner, config = make_learner(), make_config()
    best = weights(make_learner(seed=9))
    policy = weights(learner)
    learner.reset(best, None, config)
    assert equal(reference(learner), best)
    assert equal(weights(learner), policy)
    assert learner.version == 0
    learner.reset(best, best, config)
    assert equal(weights(learner), best)
    assert learner.version == 1
    learner.reset(None, policy, config)  # rolled back first: the reference is the policy of after
    assert equal(reference(learner), policy)


def test_a_restored_learner_goes_on_bit_by_bit():
    learner, config = make_learner(), make_config()
    learner.update(batch_of(ROWS[:6], ROWS[6:]), config, RATE)
    learner.reset(None, None, config)
    learner.update(batch_of(ROWS[:6]), config, RATE)
    state = copy.deepcopy(learner.state_dict())
    again = make_learner(config, seed=7)
    again.load_state_dict(state)
    assert equal(weights(again), weights(learner))
    assert equal(reference(again), reference(learner))
    assert again.version == 1
    metrics = [one.update(batch_of(ROWS[6:], ROWS[:6]), config, RATE / 3) for one in (learner, again)]
    assert metrics[0] == metrics[1]
    assert equal(weights(again), weights(learner))
    assert same_moments(moments(again), moments(learner))
    assert equal(reference(again), state["reference"])


def mistaken(weights, mistake):
    names = list(weights)
    if mistake == "missing":
        return {name: weights[name] for name in names[1:]}
    if mistake == "unknown":
        return {**weights, "extra.weight": weights[names[0]]}
    return {**weights, names[-1]: torch.zeros(3)}


@pytest.mark.parametrize("mistake", ["missing", "unknown", "shape"])
@pytest.mark.parametrize("part", ["weights", "reference"])
def test_weights_that_do_not_fit_are_refused_by_name_and_change_nothing(mistake, part):
    learner = make_learner()
    before = weights(learner), reference(learner)
    state = make_learner(seed=3).state_dict()
    name = {"missing": next(iter(state[part])), "unknown": "extra.weight", "shape": list(state[part])[-1]}[mistake]
    what = {"weights": "policy", "reference": "reference"}[part]
    with pytest.raises(UserError, match=f"{what} weights do not fit the model: {name} ") as error:
        learner.load_state_dict({**state, part: mistaken(state[part], mistake)})
    assert "\n" not in str(error.value)
    assert equal(before[0], weights(learner))
    assert equal(before[1], reference(learner))
    with pytest.raises(UserError, match=f"reference weights do not fit the model: {name} "):
        learner.reset(mistaken(state[part], mistake), None, make_config())


def test_the_learning_rate_of_the_step_is_used():
    """AdamW's first step moves a weight by the rate, times the sign of its gradient, and decays it by rate * 0.01."""
    learner, still = make_learner(), make_learner()
    before = weights(learner)
    still.update(batch_of(ROWS), make_config(), 0.0)
    assert equal(weights(still), before)
    learner.update(batch_of(ROWS), make_config(), 1e-3)
    for (name, value), gradient in zip(weights(learner).items(), gradients(learner), strict=True):
        large = gradient.abs() > 1e-4  # where AdamW's epsilon does not show
        expected = before[name] * (1 - 1e-3 * 0.01) - 1e-3 * gradient.sign()
        torch.testing.assert_close(value[large], expected[large], atol=2e-6, rtol=0)


def test_an_empty_batch_changes_nothing():
    learner = make_learner()
    assert learner.update(Batch((), {}), make_config(), RATE) == {}
    assert learner.version == 0


def test_tokens_and_entropy_are_of_all_minibatches():
    learner, config = make_learner(), make_config()
    metrics = learner.update(batch_of(ROWS[:6], ROWS[6:]), config, 0.0)
    assert metrics["tokens/trained"] == sum(len(row.response_tokens) for row in ROWS)
    total, count = 0.0, 0
    model = tiny_model()
    for row in ROWS:
        tokens = torch.tensor([[*row.prompt_tokens, *row.response_tokens.tolist()]])
        with torch.no_grad():
            logits = model(tokens).logits[0, len(row.prompt_tokens) - 1 : -1] / 1.2
        total += float(torch.distributions.Categorical(logits=logits).entropy().sum())
        count += len(row.response_tokens)
    assert metrics["entropy"] == pytest.approx(total / count, rel=1e-5)


def test_a_model_whose_attention_cannot_be_replaced_is_refused():
    config = AutoConfig.for_model("bloom", vocab_size=31, hidden_size=16, n_layer=1, n_head=2)
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(UserError, match="BloomForCausalLM: its attention cannot be replaced"):
        TorchLearner(loaded(model), make_config())
