"""The fast paths against their slow twins: engine against transformers, packed learner against padded forward."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from prorl.config import Config, Learner, Loss, Optimizer, Rollouts
from prorl.learner import packing
from prorl.learner.packing import micro_batches, num_pack_tokens, num_row_tokens, pack
from prorl.learner.torch_learner import TorchLearner
from prorl.models import LoadedModel
from prorl.records import Batch, Request, Row, Sampling
from prorl.rollouts.torch_engine import TorchEngine

SIZES = {
    "vocab_size": 61,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "head_dim": 32,
    "max_position_embeddings": 256,
}
VARIANTS = [(kind, tied, kv) for kind in ("llama", "qwen2", "qwen3") for tied in (True, False) for kv in (2, 4)]


def make_model(kind, tied, kv_heads, seed=0):
    torch.manual_seed(seed)
    sizes = dict(SIZES, hidden_size=128) if kind == "qwen2" else SIZES
    config = AutoConfig.for_model(
        kind, **sizes, num_key_value_heads=kv_heads, tie_word_embeddings=tied, pad_token_id=0, eos_token_id=1
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Far from the initial near-uniform logits, with biases and norms that matter.
            parameter.add_(torch.randn_like(parameter) * (0.3 if "norm" in name or "bias" in name else 0.08))
    return model


def make_engine(model, budget=4096, max_length=96):
    engine = TorchEngine(
        model.config,
        eos_ids=[1],
        max_length=max_length,
        token_budget=budget,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    engine.load_weights(model.state_dict(), 7)
    return engine


def prompts(count, seed=0, longest=40):
    rng = np.random.default_rng(seed)
    return [tuple(int(t) for t in rng.integers(2, 61, rng.integers(1, longest))) for _ in range(count)]


def hf_logprobs(model, prompt, response, temperature):
    """One row, no batch, no packing: the definition."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits / temperature, -1).gather(-1, torch.tensor(list(response))[:, None])[:, 0]


@pytest.mark.parametrize(("kind", "tied", "kv"), VARIANTS)
def test_greedy_equals_transformers_generate_token_for_token(kind, tied, kv):
    model = make_model(kind, tied, kv)
    requests = [Request(i, p, 1, Sampling(0.0, 1.0, 24), (i,)) for i, p in enumerate(prompts(9))]
    rollouts = {r.key: r for r in make_engine(model, budget=96 * 4).generate(requests)}
    for request in requests:
        tokens = torch.tensor([request.tokens])
        expected = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=24, do_sample=False)[
            0, len(request.tokens) :
        ].tolist()
        assert rollouts[request.key].tokens.tolist() == expected
        assert rollouts[request.key].finish_reason == ("stop" if expected[-1] == 1 else "length")


@pytest.mark.parametrize(("kind", "tied", "kv"), VARIANTS)
def test_engine_logprobs_equal_the_model_at_the_sampling_temperature(kind, tied, kv):
    model = make_model(kind, tied, kv)
    engine = make_engine(model)
    requests = [Request(i, p, 3, Sampling(1.3, 1.0, 20), (i, i + 100, i + 200)) for i, p in enumerate(prompts(6))]
    for rollout in engine.generate(requests):
        request = requests[rollout.key]
        expected = hf_logprobs(model, request.tokens, rollout.tokens, 1.3)
        torch.testing.assert_close(torch.from_numpy(rollout.logprobs), expected, atol=2e-5, rtol=0)
        scored = engine.score([(request.tokens, tuple(rollout.tokens.tolist()))], 1.3)[0]
        torch.testing.assert_close(scored, expected, atol=2e-5, rtol=0)
        assert rollout.versions == ((7, len(rollout.tokens)),)


def test_a_rollout_does_not_depend_on_what_it_is_batched_with():
    model = make_model("llama", True, 2)
    requests = [
        Request(i, p, 5, Sampling(1.0, 1.0, 30), tuple(range(i * 5, i * 5 + 5))) for i, p in enumerate(prompts(12))
    ]
    many = {(r.key, r.index): r.tokens.tolist() for r in make_engine(model).generate(requests)}
    few = {(r.key, r.index): r.tokens.tolist() for r in make_engine(model, budget=96 * 3).generate(requests[::-1])}
    assert many == few
    assert len(many) == 60
    assert len({tuple(tokens) for tokens in many.values()}) > 50


def test_loaded_weights_replace_the_old_ones():
    first, second = make_model("qwen3", True, 2), make_model("qwen3", True, 2, seed=5)
    engine = make_engine(first)
    engine.load_weights(dict(second.named_parameters()), 8)
    prompt, response = prompts(1)[0], (5, 9, 30, 2)
    expected = hf_logprobs(second, prompt, response, 1.0)
    torch.testing.assert_close(engine.score([(prompt, response)], 1.0)[0], expected, atol=2e-5, rtol=0)
    assert engine.version == 8


def make_rows(count, seed=3):
    rng = np.random.default_rng(seed)
    return tuple(
        Row(
            prompt,
            rng.integers(0, 61, size := rng.integers(1, 30)),
            rng.normal(-2, 0.1, size).astype(np.float32),
            float(rng.normal()),
        )
        for prompt in prompts(-(-count // 3), seed)
        for _ in range(3)
    )[:count]


def make_learner(model, **loss):
    config = Config(
        rollouts=Rollouts(temperature=1.3),
        loss=Loss(**loss),
        optimizer=Optimizer(learning_rate=1e-2, max_grad_norm=0.0),
        learner=Learner(token_budget=200, logprob_chunk=64),
    )
    loaded = LoadedModel(model, None, torch.device("cpu"), torch.float32, (1,))
    return TorchLearner(loaded, config), config


@pytest.mark.parametrize(("kind", "tied", "kv"), VARIANTS)
def test_packed_logprobs_equal_one_row_at_a_time(kind, tied, kv):
    model = make_model(kind, tied, kv)
    rows = make_rows(17)
    expected = [hf_logprobs(model, row.prompt_tokens, row.response_tokens.tolist(), 1.3) for row in rows]
    learner, config = make_learner(model)
    for actual, wanted in zip(learner.evaluate(rows, config), expected, strict=True):
        torch.testing.assert_close(actual, wanted, atol=2e-5, rtol=0)


def test_engine_and_learner_agree_to_1e_4():
    model = make_model("qwen2", True, 2)
    requests = [Request(i, p, 4, Sampling(1.3, 1.0, 24), (1, 2, 3, i)) for i, p in enumerate(prompts(8))]
    rollouts = list(make_engine(model).generate(requests))
    rows = [Row(requests[r.key].tokens, r.tokens, r.logprobs, 0.0) for r in rollouts]
    learner, config = make_learner(model)
    for row, actual in zip(rows, learner.evaluate(rows, config), strict=True):
        assert np.abs(actual.numpy() - row.behaviour_logprobs).max() < 1e-4


def test_packs_hold_every_row_once_within_the_budget():
    rows = make_rows(40)
    parts = micro_batches(rows, 200)
    assert sorted(id(row) for part in parts for row in part) == sorted(map(id, rows))
    assert all(num_pack_tokens(part) <= 200 for part in parts)
    packed = pack(parts[0], torch.device("cpu"))
    # No padding in the pack, and a shared prompt once.
    assert packed.tokens.shape[1] == num_pack_tokens(parts[0])
    assert num_pack_tokens(parts[0]) < sum(map(num_row_tokens, parts[0]))


def test_a_group_shares_its_prompt_in_the_pack():
    first, second = (
        Row((7, 8, 9), np.array([2, 3]), np.zeros(2), 1.0),
        Row((7, 8, 9), np.array([4, 5, 6]), np.zeros(3), 0.0),
    )
    packed = pack([second, first], torch.device("cpu"))
    # Two of the three tokens of the longer response (five keys), the prompt (three), one of the two of the shorter one.
    assert packed.tokens.tolist() == [[4, 5, 7, 8, 9, 2]]
    assert packed.positions.tolist() == [[3, 4, 0, 1, 2, 3]]
    assert packed.predictors.tolist() == [4, 0, 1, 4, 5]
    assert packed.targets.tolist() == [4, 5, 6, 2, 3]
    # The first two share a bucket of three queries and five keys, the last has one query and four keys.
    first, last = packed.layout.buckets
    assert (first.shape, last.shape) == ((2, 3, 5), (1, 1, 4))
    assert first.before.tolist() == [3, 0]
    assert packed.layout.queries.tolist() == [0, 1, 2, 2, 3, 4, 5]
    assert packed.layout.keys.tolist() == [2, 3, 4, 0, 1, 2, 3, 4, 2, 2, 2, 3, 4, 5]
    assert packed.layout.outputs.tolist() == [0, 1, 3, 4, 5, 6]
    seen = (first.bias[:, 0, :, 0] == 0).tolist()
    assert seen == [
        [[True, True, True, True, False], [True] * 5, [True] * 5],
        [[True, False, False, False, False], [True, True, False, False, False], [True, True, True, False, False]],
    ]


@pytest.mark.parametrize("short", [0, 20, 192])
@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_short_and_long_pieces_have_the_gradients_of_one_row_at_a_time(kind, short, monkeypatch):
    """All pieces through the fused kernel, some, none; mistral looks back at seven tokens only."""
    monkeypatch.setattr(packing, "SHORT", short)
    torch.manual_seed(1)
    window = {"sliding_window": 7} if kind == "mistral" else {}
    config = AutoConfig.for_model(
        kind, **SIZES, **window, num_key_value_heads=2, tie_word_embeddings=False, pad_token_id=0, eos_token_id=1
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    rows = make_rows(12)
    expected = torch.stack(
        [torch.log_softmax(logits / 1.3, -1).gather(-1, chosen).sum() for logits, chosen in plain(model, rows)]
    )
    weights = torch.linspace(-1, 1, len(rows))
    wanted = torch.autograd.grad((expected * weights).sum(), list(model.parameters()))
    learner, options = make_learner(model)
    kinds = set()
    total = torch.tensor(0.0)
    of_row = {id(row): weight for row, weight in zip(rows, weights, strict=True)}
    for part in micro_batches(rows, 200):
        packed = pack(part, torch.device("cpu"))
        kinds |= {bucket.bias is None for bucket in packed.layout.buckets}
        values, _ = learner._logprobs(learner._trained.scorer, packed, options)
        sizes = [len(row.response_tokens) for row in part]
        total = total + sum(of_row[id(row)] * v.sum() for row, v in zip(part, values.split(sizes), strict=True))
    assert kinds == {0: {True}, 20: {True, False}, 192: {False}}[short]
    torch.testing.assert_close(total, (expected * weights).sum(), atol=1e-4, rtol=1e-5)
    for actual, gradient in zip(torch.autograd.grad(total, list(model.parameters())), wanted, strict=True):
        torch.testing.assert_close(actual, gradient, atol=2e-5, rtol=1e-4)


def plain(model, rows):
    """Logits of each row's response by itself, and its tokens."""
    for row in rows:
        tokens = torch.tensor([[*row.prompt_tokens, *row.response_tokens.tolist()]])
        logits = model(tokens).logits[0, len(row.prompt_tokens) - 1 : -1]
        yield logits, torch.from_numpy(row.response_tokens)[:, None]


def test_update_equals_a_naive_one():
    """One mini-batch, then a second that is off-policy: weights after two steps against a plain implementation."""
    loss = {
        "clip_low": 0.2,
        "clip_high": 0.4,
        "kl_coefficient": 0.1,
        "kl_estimator": "k2",
        "engine_logprobs_below": 0.0,
    }
    rows = make_rows(12)
    learner, config = make_learner(make_model("llama", True, 2), **loss)
    metrics = learner.update(Batch((rows[:6], rows[6:]), {}), config, 1e-2)

    model, reference = make_model("llama", True, 2), make_model("llama", True, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.01, betas=(0.9, 0.999))

    def naive(net, row):
        tokens = torch.tensor([[*row.prompt_tokens, *row.response_tokens.tolist()]])
        logits = net(tokens).logits[0, len(row.prompt_tokens) - 1 : -1] / 1.3
        return torch.log_softmax(logits, -1).gather(-1, torch.from_numpy(row.response_tokens)[:, None])[:, 0]

    old = [naive(model, row).detach() for row in rows]
    for part in (range(6), range(6, 12)):
        total = 0.0
        for i in part:
            new = naive(model, rows[i])
            ratio = (new - old[i]).exp()
            surrogate = -torch.minimum(ratio * rows[i].advantage, ratio.clamp(0.8, 1.4) * rows[i].advantage)
            penalty = 0.5 * (new - naive(reference, rows[i]).detach()) ** 2
            total = total + (surrogate + 0.1 * penalty).sum()
        optimizer.zero_grad()
        (total / sum(len(rows[i].response_tokens) for i in part)).backward()
        optimizer.step()
    for name, value in model.named_parameters():
        # AdamW divides by the gradient's size, so rounding shows where a gradient is nearly zero.
        torch.testing.assert_close(learner.weights()[name], value, atol=2e-4, rtol=0)
    assert metrics["tokens/trained"] == sum(len(row.response_tokens) for row in rows)
    assert metrics["clip_fraction/low"] + metrics["clip_fraction/high"] > 0
    assert metrics["updates_skipped"] == 0
