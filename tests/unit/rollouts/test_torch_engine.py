"""Continuous batching at its edges, and its bound on memory."""

import weakref
from dataclasses import replace

import pytest
import torch

from prorl.errors import UserError
from prorl.records import Request, Sampling
from prorl.rollouts.cache import Prefix
from prorl.rollouts.decoder import num_cache_bytes
from prorl.rollouts.engine import Engine
from prorl.rollouts.torch_engine import TorchEngine
from tiny_models import EOS, SIZES, VOCABULARY, random_prompts, tiny_model

MAX_LENGTH = 24
MODEL = tiny_model()


def make_engine(rows, eos=(EOS,), version=4, model=MODEL):
    engine = TorchEngine(
        model.config,
        eos_ids=eos,
        max_length=MAX_LENGTH,
        token_budget=rows * MAX_LENGTH,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    engine.load_weights(model.state_dict(), version)
    return engine


def make_requests(count, group=3, max_tokens=12, top_p=1.0, temperature=1.0):
    return [
        Request(
            key, tokens, group, Sampling(temperature, top_p, max_tokens), tuple(1000 * key + i for i in range(group))
        )
        for key, tokens in enumerate(random_prompts(count))
    ]


def spoken(rollouts):
    return {(r.key, r.index): (r.tokens.tolist(), r.finish_reason) for r in rollouts}


REQUESTS = make_requests(10)


@pytest.fixture(scope="module")
def expected():
    """Everything in one batch."""
    return spoken(make_engine(30).generate(REQUESTS))


def test_it_is_an_engine():
    assert isinstance(make_engine(1), Engine)


def test_the_sample_has_answers_that_end_and_answers_that_are_cut(expected):
    """Or the tests below would show little."""
    assert {reason for _, reason in expected.values()} == {"stop", "length"}
    assert len({len(tokens) for tokens, _ in expected.values()}) > 5


@pytest.mark.parametrize("rows", [1, 2, 4, 7, 29, 64])
def test_answers_do_not_depend_on_the_number_of_rows(expected, rows):
    """With 1 and 2 rows a group of 3 is larger than the engine; with 4 and 7 groups are split over refills."""
    assert spoken(make_engine(rows).generate(REQUESTS)) == expected


def test_every_rollout_comes_once_with_its_version():
    rollouts = list(make_engine(4, version=9).generate(REQUESTS))
    assert sorted((r.key, r.index) for r in rollouts) == [(key, index) for key in range(10) for index in range(3)]
    for rollout in rollouts:
        assert rollout.versions == ((9, len(rollout.tokens)),)
        assert len(rollout.logprobs) == len(rollout.tokens) > 0
        assert (rollout.tokens[-1] == EOS) == (rollout.finish_reason == "stop")
        assert EOS not in rollout.tokens[:-1]
        assert len(rollout.tokens) <= 12


def test_one_token_each_all_finish_at_once(expected):
    rollouts = spoken(make_engine(7).generate(make_requests(10, max_tokens=1)))
    assert {key: tokens for key, (tokens, _) in rollouts.items()} == {k: t[:1] for k, (t, _) in expected.items()}
    assert {reason == "stop" for tokens, reason in rollouts.values() if tokens == [EOS]} <= {True}
    assert all(reason == "length" for tokens, reason in rollouts.values() if tokens != [EOS])


def test_any_end_token_ends():
    rollouts = list(make_engine(5, eos=range(VOCABULARY)).generate(REQUESTS))
    assert [(len(r.tokens), r.finish_reason) for r in rollouts] == [(1, "stop")] * 30


def test_limits_may_differ_between_requests(expected):
    limits = [1, 12, 3, 7, 12, 2, 5, 12, 4, 9]
    requests = [
        Request(r.key, r.tokens, 3, Sampling(1.0, 1.0, limit), r.seeds)
        for r, limit in zip(REQUESTS, limits, strict=True)
    ]
    for (key, index), (tokens, reason) in spoken(make_engine(5).generate(requests)).items():
        whole, end = expected[key, index]
        assert tokens == whole[: limits[key]]
        assert reason == (end if len(whole) <= limits[key] else "length")


@pytest.mark.parametrize(("rows", "group", "most"), [(2, 1, 2), (4, 1, 4), (4, 2, 5), (8, 2, 9)])
def test_requests_are_pulled_only_when_there_is_room(rows, group, most):
    """As many rollouts are under way as there are rows; the last free row may begin a group of two."""
    pulled = 0

    def source():
        nonlocal pulled
        for request in make_requests(12, group=group):
            pulled += 1
            yield request

    under_way = []
    for number, _ in enumerate(make_engine(rows).generate(source())):
        under_way.append(group * pulled - number)
    assert len(under_way) == 12 * group
    assert under_way[0] == rows
    assert max(under_way) == most


def test_a_group_that_does_not_fit_is_not_pulled_beyond():
    """Of groups of 5 a 4-row engine holds one at a time: the rest of it waits for room before another is asked for."""
    pulled = 0

    def source():
        nonlocal pulled
        for request in make_requests(3, group=5):
            pulled += 1
            yield request

    rollouts = make_engine(4).generate(source())
    next(rollouts)
    assert pulled == 1
    assert len(list(rollouts)) == 14
    assert pulled == 3


def test_no_requests_no_rollouts():
    assert list(make_engine(2).generate(iter(()))) == []


@pytest.mark.parametrize("size", [0, MAX_LENGTH - 12 + 1])
def test_a_prompt_that_does_not_fit_is_refused_by_size(size):
    request = Request(0, tuple([5] * size), 1, Sampling(1.0, 1.0, 12), (0,))
    with pytest.raises(UserError, match=rf"a prompt of {size} tokens with 12 to generate: .* 1 to 24 in all"):
        list(make_engine(2).generate([request]))


def test_a_prompt_that_just_fits(expected):
    tokens = tuple(5 + i % 7 for i in range(MAX_LENGTH - 12))
    request = Request(0, tokens, 2, Sampling(1.0, 1.0, 12), (1, 2))
    wide, narrow = (spoken(make_engine(rows).generate([request])) for rows in (2, 1))
    assert wide == narrow
    assert len(wide) == 2


def test_an_abandoned_call_leaves_nothing_behind(expected):
    engine = make_engine(5)
    for _, _rollout in zip(range(3), engine.generate(make_requests(10, max_tokens=6)), strict=False):
        pass
    assert spoken(engine.generate(REQUESTS)) == expected


def test_the_rows_cache_holds_responses_and_is_kept_until_closed():
    engine = make_engine(6)
    list(engine.generate(REQUESTS))
    cache = engine._cache
    # By hand: 6 rows of 12 tokens, keys and values of 2 layers, 1 head of 16 numbers, 4 bytes each.
    layers, heads, width = SIZES["num_hidden_layers"], SIZES["num_key_value_heads"], 32 // 2
    assert cache.keys.nbytes + cache.values.nbytes == 6 * 12 * 2 * layers * heads * width * 4
    assert num_cache_bytes(engine._decoder.shape, torch.float32) == 2 * layers * heads * width * 4
    list(engine.generate(make_requests(10, max_tokens=6)))
    assert engine._cache is cache
    list(engine.generate(make_requests(10, max_tokens=13)))
    assert engine._cache.length == 13
    engine.close()
    assert engine._cache is None
    assert len(list(engine.generate(REQUESTS))) == 30


def test_a_longer_limit_in_the_same_call_keeps_what_was_generated(expected):
    """The rows' cache grows while rows are under way."""
    longer = Sampling(1.0, 1.0, 13)
    late = [replace(request, key=request.key + 100, sampling=longer) for request in REQUESTS]
    both = spoken(make_engine(5).generate([*REQUESTS, *late]))
    assert {key: value for key, value in both.items() if key[0] < 100} == expected
    alone = spoken(make_engine(30).generate(late))
    assert {key: value for key, value in both.items() if key[0] >= 100} == alone


@pytest.mark.parametrize("group", [1, 2, 5])
def test_prompts_held_never_exceed_the_rows_and_unused_ones_are_given_up(group, monkeypatch):
    """So that rows and prompts together stay within the token budget; the answers are those of one batch."""
    held = weakref.WeakSet()
    made = Prefix.__init__

    def record(self, *arguments):
        made(self, *arguments)
        held.add(self)

    monkeypatch.setattr(Prefix, "__init__", record)
    requests = make_requests(40, group=group)
    most, rollouts = 0, []
    for rollout in make_engine(7).generate(requests):
        rollouts.append(rollout)
        most = max(most, sum(len(prefix) for prefix in held))
    assert 0 < most <= 7
    assert not held
    assert spoken(rollouts) == spoken(make_engine(200).generate(requests))


def test_a_budget_below_one_rollout_is_refused():
    with pytest.raises(UserError, match=r"rollouts\.token_budget = 23: must hold one rollout, .* = 24 tokens"):
        TorchEngine(
            MODEL.config,
            eos_ids=[EOS],
            max_length=24,
            token_budget=23,
            dtype=torch.float32,
            device=torch.device("cpu"),
        )


def test_nucleus_log_probs_are_renormalised_at_the_temperature():
    """Against transformers' logits and a plain sort: a token is in while those before it hold less than top-p."""
    temperature, top_p = 0.8, 0.6
    for rollout in make_engine(5).generate(make_requests(6, top_p=top_p, temperature=temperature)):
        prompt = REQUESTS[rollout.key].tokens
        with torch.no_grad():
            logits = MODEL(torch.tensor([[*prompt, *rollout.tokens.tolist()]])).logits[0, len(prompt) - 1 : -1]
        for step, token in enumerate(rollout.tokens.tolist()):
            probs = torch.softmax(logits[step].double() / temperature, -1).tolist()
            mass, inside = 0.0, []
            for candidate in sorted(range(VOCABULARY), key=lambda t: -probs[t]):
                if mass >= top_p:
                    break
                inside.append(candidate)
                mass += probs[candidate]
            assert token in inside
            assert rollout.logprobs[step] == pytest.approx(torch.tensor(probs[token] / mass).log().item(), abs=1e-4)


def test_missing_weights_are_refused_by_name():
    weights = {name: value for name, value in MODEL.state_dict().items() if "layers.1.mlp.down" not in name}
    with pytest.raises(UserError, match=r"engine weights lack model\.layers\.1\.mlp\.down_proj\.weight"):
        make_engine(1).load_weights(weights, 1)
