"""Rollouts through transformers' `generate`: the embedded engine's, for any architecture."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from prorl.assembly import make_engine
from prorl.config import Config, Data, Rollouts
from prorl.errors import UserError
from prorl.records import Request, Sampling
from prorl.rollouts.engine import Engine
from prorl.rollouts.generate_engine import GenerateEngine
from prorl.rollouts.torch_engine import TorchEngine
from tiny_models import EOS, VOCABULARY, loaded, random_prompts, tiny_model

MAX_LENGTH = 24


def make_requests(temperature=1.1, top_p=0.9):
    return [
        Request(key, tokens, 2, Sampling(temperature, top_p, 12), (key, key + 100))
        for key, tokens in enumerate(random_prompts(7))
    ]


def make_generate(model, rows=5, eos=(EOS,)):
    engine = GenerateEngine(
        model, eos_ids=eos, max_length=MAX_LENGTH, token_budget=rows * MAX_LENGTH, dtype=torch.float32
    )
    engine.load_weights(dict(model.named_parameters()), 3)
    return engine


def make_torch(model):
    engine = TorchEngine(
        model.config,
        eos_ids=[EOS],
        max_length=MAX_LENGTH,
        token_budget=14 * MAX_LENGTH,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    engine.load_weights(model.state_dict(), 3)
    return engine


def by_rollout(rollouts):
    return {(rollout.key, rollout.index): rollout for rollout in rollouts}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for key, rollout in left.items():
        assert rollout.tokens.tolist() == right[key].tokens.tolist()
        np.testing.assert_allclose(rollout.logprobs, right[key].logprobs, atol=2e-5)
        assert rollout.finish_reason == right[key].finish_reason
        assert rollout.versions == right[key].versions


@pytest.mark.parametrize(("temperature", "top_p"), [(1.1, 0.9), (1.0, 1.0), (0.0, 1.0)])
def test_it_says_what_the_embedded_engine_says(temperature, top_p):
    """Five rows for fourteen rollouts: groups are split over batches of different padding."""
    model, requests = tiny_model(), make_requests(temperature, top_p)
    expected = by_rollout(make_torch(model).generate(requests))
    actual = by_rollout(make_generate(model).generate(requests))
    assert len(expected) == 14
    assert_same(actual, expected)
    assert {rollout.finish_reason for rollout in actual.values()} == {"stop", "length"}


def test_the_models_own_generation_options_do_not_change_what_is_sampled():
    model = tiny_model()
    expected = by_rollout(make_torch(model).generate(make_requests()))
    model.generation_config = GenerationConfig(
        repetition_penalty=3.0, no_repeat_ngram_size=2, min_new_tokens=6, suppress_tokens=[5, 6, 7], eos_token_id=9
    )
    assert_same(by_rollout(make_generate(model).generate(make_requests())), expected)


def test_an_architecture_that_the_embedded_engine_does_not_know():
    model = tiny_model("gpt2")
    engine = make_generate(model)
    assert isinstance(engine, Engine)
    assert not TorchEngine.supports(model.config)
    for rollout in engine.generate(make_requests(1.3, 1.0)):
        prompt = make_requests()[rollout.key].tokens
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *rollout.tokens.tolist()]])).logits[0, len(prompt) - 1 : -1]
        expected = torch.log_softmax(logits / 1.3, -1).gather(-1, torch.from_numpy(rollout.tokens)[:, None])[:, 0]
        np.testing.assert_allclose(rollout.logprobs, expected.numpy(), atol=2e-5)
        (scored,) = engine.score([(prompt, tuple(rollout.tokens.tolist()))], 1.3)
        torch.testing.assert_close(scored, expected, atol=2e-5, rtol=0)


def test_any_end_token_ends():
    rollouts = list(make_generate(tiny_model(), eos=range(VOCABULARY)).generate(make_requests()))
    assert [(len(r.tokens), r.finish_reason) for r in rollouts] == [(1, "stop")] * 14


def test_loaded_weights_replace_the_old_ones():
    first, second = tiny_model(), tiny_model(seed=5)
    engine = make_generate(first)
    engine.load_weights(dict(second.named_parameters()), 8)
    assert engine.version == 8
    expected = make_torch(second).generate(make_requests())
    expected = [replace(rollout, versions=((8, len(rollout.tokens)),)) for rollout in expected]
    assert_same(by_rollout(engine.generate(make_requests())), by_rollout(expected))


def test_missing_weights_and_prompts_that_do_not_fit_are_refused():
    model = tiny_model()
    engine = make_generate(model)
    weights = {name: value for name, value in model.named_parameters() if "norm" not in name}
    with pytest.raises(UserError, match=r"engine weights lack model\.layers\.0\.input_layernorm\.weight"):
        engine.load_weights(weights, 1)
    for size in (0, 13):
        request = Request(0, tuple([5] * size), 1, Sampling(1.0, 1.0, 12), (0,))
        with pytest.raises(UserError, match=rf"a prompt of {size} tokens with 12 to generate: .* 1 to 24 in all"):
            list(engine.generate([request]))


def config_for(engine):
    return Config(
        data=Data(max_prompt_tokens=12), rollouts=Rollouts(engine=engine, max_response_tokens=12, token_budget=480)
    )


def test_the_recipe_chooses_the_engine_and_an_unknown_architecture_falls_back_with_one_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert isinstance(make_engine(loaded(tiny_model()), config_for("torch")), TorchEngine)
        assert isinstance(make_engine(loaded(tiny_model()), config_for("generate")), GenerateEngine)
        assert isinstance(make_engine(loaded(tiny_model("gpt2")), config_for("generate")), GenerateEngine)
        assert caplog.messages == []
        assert isinstance(make_engine(loaded(tiny_model("gpt2")), config_for("torch")), GenerateEngine)
    assert len(caplog.messages) == 1
    assert "GPT2LMHeadModel" in caplog.messages[0]
    assert "generate" in caplog.messages[0]
