"""The base's log-probability of a response: transformers' own, and averages by hand."""

import json
import math

import numpy as np
import pytest
import torch

from prorl.config import Model
from prorl.errors import RunFailed
from prorl.evaluation.likelihood import CHUNK, ResponseLogprob, base_logprobs, summary
from prorl.models import load
from prorl.rollouts.torch_engine import TorchEngine
from prorl.shipped import mini_base_path

PROMPTS = ("Sort: 3 1 2\n", "What is 1 + 1?")
RESPONSES = ("<think>1 2 3</think><answer>1 2 3</answer>", "2", "a much worse answer")


def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def base():
    return load(Model(path=str(mini_base_path())))


@pytest.fixture(scope="module")
def engine(base):
    engine = TorchEngine(
        base.model.config,
        eos_ids=base.eos_ids,
        max_length=128,
        token_budget=1024,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    engine.load_weights(dict(base.model.named_parameters()), 0)
    return engine


def test_the_mini_base_as_transformers_has_it(base, engine):
    """Position t - 1 of the forward pass over prompt and response predicts token t; log-softmax, the token picked."""
    pairs, expected = [], []
    for prompt in PROMPTS:
        for response in RESPONSES:
            asked = base.tokenizer(prompt, add_special_tokens=False)["input_ids"]
            answer = [*base.tokenizer(response, add_special_tokens=False)["input_ids"], base.eos_ids[0]]
            with torch.no_grad():
                logits = base.model(torch.tensor([asked + answer])).logits[0].double()
            logprobs = torch.log_softmax(logits, dim=-1)
            expected.append([logprobs[len(asked) - 1 + t, token].item() for t, token in enumerate(answer)])
            pairs.append((tuple(asked), tuple(answer)))
    found = base_logprobs(engine, pairs)
    for got, tokens in zip(found, expected, strict=True):
        assert got.num_tokens == len(tokens)
        assert got.total == pytest.approx(sum(tokens), abs=1e-4)
        assert got.per_token == pytest.approx(sum(tokens) / len(tokens), abs=1e-5)
    assert len({got.total for got in found}) == len(pairs)


def test_probabilities_of_all_answers_of_one_token_sum_to_one(base, engine):
    """At temperature 1 and nothing else; at any other temperature each would differ."""
    asked = tuple(base.tokenizer(PROMPTS[0], add_special_tokens=False)["input_ids"])
    found = base_logprobs(engine, [(asked, (token,)) for token in range(base.model.config.vocab_size)])
    assert math.fsum(math.exp(x.total) for x in found) == pytest.approx(1, abs=1e-5)


class Echo:
    """An engine whose log-probability of a token is minus the token; it counts what it is asked."""

    def __init__(self):
        self.calls = []

    def score(self, sequences, temperature):
        assert temperature == 1.0
        self.calls.append(len(sequences))
        return [-torch.tensor(response, dtype=torch.float32) for _, response in sequences]


def test_equal_pairs_are_computed_once_and_every_pair_is_answered():
    """CHUNK + 1 different responses, each three times: two calls. Order as asked."""
    echo = Echo()
    pairs = [((1,), (n, 1)) for n in range(CHUNK + 1)] * 3
    found = base_logprobs(echo, pairs)
    assert [(x.total, x.num_tokens, x.per_token) for x in found] == [
        (-(n + 1.0), 2, -(n + 1) / 2) for _, (n, _) in pairs
    ]
    assert echo.calls == [CHUNK, 1]
    assert base_logprobs(echo, []) == []


def test_the_same_response_to_two_prompts_is_two_pairs(base, engine):
    first, second = base_logprobs(engine, [((5, 6), (7,)), ((6, 5), (7,))])
    assert first != second


def test_broken_weights_end_the_run():
    class Broken(Echo):
        def score(self, sequences, temperature):
            return [torch.tensor([0.0, float("nan")])]

    with pytest.raises(RunFailed, match="log-probability of nan"):
        base_logprobs(Broken(), [((1,), (2, 3))])
    for pair in (((), (1,)), ((1,), ())):
        with pytest.raises(AssertionError):
            base_logprobs(Echo(), [pair])


def test_averages_by_hand():
    """n = 4: below 1/4 is a total under -log 4 = -1.386.

    p: totals -1, -3 over 2 and 3 tokens: per token -1/2, -1: mean -3/4; total -2; one of two out of reach.
    q: total -8 over 4 tokens: -2, -8, out of reach. Means of the two problems: -11/8, -5, 3/4.
    """
    values = {
        "trained": {
            "q": [ResponseLogprob(-8.0, 4)],
            "p": [ResponseLogprob(-1.0, 2), ResponseLogprob(-3.0, 3)],
            "r": [],
        },
        "base": {"p": [ResponseLogprob(-1.0, 2)]},
        "500": {"p": []},
    }
    found = summary(values, num_samples=4, rng=rng())
    assert found["trained"] == {
        "mean_per_token": -1.375,
        "mean_total": -5.0,
        "out_of_reach": 0.75,
        "num_texts": 3,
        "num_problems": 2,
        # Two problems: each resample is one of them.
        "interval": [-2.0, -0.75],
        "interval_total": [-8.0, -2.0],
        "interval_out_of_reach": [0.5, 1.0],
    }
    assert found["base"] == {
        "mean_per_token": -0.5,
        "mean_total": -1.0,
        "out_of_reach": 0.0,
        "num_texts": 1,
        "num_problems": 1,
    }
    assert "500" not in found
    json.dumps(found, allow_nan=False)


def test_the_edge_of_reach():
    """One draw in n, expected: a probability of just 1/n is within reach."""
    at = ResponseLogprob(-math.log(256), 1)
    below = ResponseLogprob(-math.log(256) - 1e-9, 1)
    found = summary({"x": {"p": [at]}, "y": {"p": [below]}}, num_samples=256, rng=rng())
    assert (found["x"]["out_of_reach"], found["y"]["out_of_reach"]) == (0, 1)
