"""vLLM's CPU build against the learner and the definition: log-probs after updates, seeds, ends, versions, limits."""

import copy
import sys
import weakref
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from prorl.errors import RunFailed, UserError
from prorl.learner.torch_learner import TorchLearner
from prorl.records import Batch, Request, Sampling
from prorl.rollouts.engine import Engine
from vllm_models import (
    EOS,
    KINDS,
    LONGEST_PROMPT,
    LONGEST_RESPONSE,
    TEMPERATURE,
    definition,
    gap,
    loaded_model,
    make_requests,
    make_rows,
    open_engine,
    recipe,
    spoken,
    tiny_model,
)

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(3600)]
FAR = 1e-2
"""What stale weights or prompts change at least, against the 1e-4 that engine and learner may differ by."""


@pytest.fixture(scope="module")
def model():
    """A model with a tied head."""
    return tiny_model("llama", True)


@pytest.fixture(scope="module")
def opened():
    """The engine that tests share, until one opens another: a process has one at a time."""
    engines = []
    yield engines
    engines[0].close()


@pytest.fixture
def engine(model, opened):
    # Imported by `open_engine`, which keeps the library's warnings to itself.
    if not opened or opened[0] not in sys.modules["prorl.rollouts.vllm_engine"]._current:
        opened[:] = [open_engine(model)]
    yield opened[0]
    if opened[0]._version != 0:
        opened[0].load_weights(dict(model.named_parameters()), 0)


def weights_of(model) -> dict[str, Tensor]:
    return dict(model.named_parameters())


def test_it_is_an_engine_and_knows_its_version(engine):
    assert isinstance(engine, Engine)
    assert engine.version == 0


def test_tokens_logprobs_and_ends(engine, model):
    requests = make_requests(12)
    rollouts = list(engine.generate(requests))
    assert sorted(spoken(rollouts)) == [(key, index) for key in range(12) for index in range(4)]
    assert gap(model, requests, rollouts) < 1e-4
    assert {r.finish_reason for r in rollouts} == {"stop", "length"}
    assert {int(r.tokens[-1]) for r in rollouts if r.finish_reason == "stop"} == set(EOS)
    for r in rollouts:
        assert (r.tokens.dtype, r.logprobs.dtype) == (np.int64, np.float32)
        assert len(r.tokens) == len(r.logprobs)
        assert not set(r.tokens[:-1].tolist()) & set(EOS)
        assert (r.finish_reason == "stop") == (int(r.tokens[-1]) in EOS)
        assert len(r.tokens) == LONGEST_RESPONSE or r.finish_reason == "stop"
        assert r.versions == ((0, len(r.tokens)),)


def test_the_same_seed_says_the_same_whatever_it_is_batched_with(engine):
    requests = make_requests(8)
    all_at_once = spoken(engine.generate(requests))
    assert spoken(engine.generate(requests)) == all_at_once
    alone = {}
    for request in requests[::-1]:
        alone |= spoken(engine.generate([request]))
    assert alone == all_at_once
    assert len({tuple(tokens) for tokens in all_at_once.values()}) > 24  # seeds, not one stream


def test_greedy_takes_the_largest_logit(engine, model):
    requests = make_requests(3, group=1, temperature=0.0)
    rollouts = list(engine.generate(requests))
    assert gap(model, requests, rollouts) < 1e-4  # log-probs at temperature 1
    for r in rollouts:
        tokens = torch.tensor([[*requests[r.key].tokens, *r.tokens.tolist()]])
        with torch.no_grad():
            best = model(tokens).logits[0, len(requests[r.key].tokens) - 1 : -1].argmax(-1)
        assert r.tokens.tolist() == best.tolist()


def test_a_nucleus_is_renormalised(engine, model):
    """top-p 0.4: a token's log-prob is above the full distribution's, by the same for every token of a position."""
    (request,) = make_requests(1, group=8, top_p=0.4, max_tokens=1)
    for r in engine.generate([request]):
        with torch.no_grad():
            logits = model(torch.tensor([request.tokens])).logits[0, -1]
        probs = torch.softmax(logits / TEMPERATURE, -1).sort(descending=True).values
        mass = float(probs[: int((probs.cumsum(0) < 0.4).sum()) + 1].sum())
        full = float(definition(model, request.tokens, r.tokens.tolist())[0])
        assert float(r.logprobs[0]) == pytest.approx(full - np.log(mass), abs=1e-4)


def test_score_is_the_definition_at_any_temperature(engine, model):
    requests = make_requests(4, group=1)
    pairs = [(r.tokens, tuple(range(6, 6 + 5 * i + 1))) for i, r in enumerate(requests)]
    longest = (tuple(range(6, 56)) * 3)[:LONGEST_PROMPT], (7, 8, 9, 1) * (LONGEST_RESPONSE // 4)
    for temperature in (1.0, 0.6, 1.3):
        for (prompt, response), found in zip(
            [*pairs, longest], engine.score([*pairs, longest], temperature), strict=True
        ):
            torch.testing.assert_close(found, definition(model, prompt, response, temperature), atol=5e-5, rtol=0)
    rollouts = list(engine.generate(requests))  # and sampling goes on at its own temperature
    assert gap(model, requests, rollouts) < 1e-4


@pytest.mark.parametrize(("kind", "tied_head"), KINDS)
def test_logprobs_equal_the_learners_after_every_update(kind, tied_head):
    """Prompts of three to five cache blocks, the same ones each time: a block that was kept would show."""
    model = tiny_model(kind, tied_head)
    config = recipe()
    learner = TorchLearner(loaded_model(model), config)
    engine = open_engine(model)
    requests = make_requests(5, group=2, shortest=100)
    for update in range(4):
        engine.load_weights(learner.weights(), learner.version)
        rollouts = list(engine.generate(requests))
        rows = make_rows(requests, rollouts, seed=update)
        for row, learned in zip(rows, learner.evaluate(rows, config), strict=True):
            assert np.abs(learned.numpy() - row.behaviour_logprobs).max() < 1e-4
        assert {version for r in rollouts for version, _ in r.versions} == {learner.version}
        learner.update(Batch((rows,), {}), config, 3e-3)
        after = torch.cat(learner.evaluate(rows, config)).numpy()
        assert np.abs(after - np.concatenate([row.behaviour_logprobs for row in rows])).max() > FAR
    engine.close()


@pytest.mark.parametrize("tied_head", [True, False])
def test_a_roll_back_brings_back_every_token(tied_head):
    first, second = tiny_model("qwen2", tied_head), tiny_model("qwen2", tied_head, seed=1)
    engine = open_engine(first)
    requests = make_requests(4, shortest=100)
    before = list(engine.generate(requests))
    engine.load_weights(weights_of(second), 1)
    other = list(engine.generate(requests))
    assert gap(second, requests, other) < 1e-4
    assert gap(first, requests, other) > FAR
    engine.load_weights(weights_of(first), 2)
    again = list(engine.generate(requests))
    assert spoken(again) == spoken(before)
    assert gap(first, requests, again) < 1e-4
    engine.close()
    with pytest.raises(AssertionError):
        next(engine.generate(requests))


def test_a_new_engine_with_the_weights_of_before_says_the_same():
    """A resume. The new engine closes the old one; that one's own close changes nothing."""
    model = tiny_model("qwen3", True)
    requests = make_requests(6)
    old = open_engine(model)
    before = list(old.generate(requests))
    new = open_engine(copy.deepcopy(model), version=9)
    old.close()
    after = list(new.generate(requests))
    assert spoken(after) == spoken(before)
    assert gap(model, requests, after) < 1e-4
    assert {r.versions for r in after} == {((9, len(r.tokens)),) for r in after}
    new.close()


@pytest.fixture
def fresh():
    """An engine that a test may break, with two sets of weights."""
    first, second = tiny_model("llama", True), tiny_model("llama", True, seed=1)
    engine = open_engine(first)
    yield first, second, engine
    engine.close()


def test_kept_prompts_would_be_seen(fresh, monkeypatch):
    """The tests above can fail: without the reset, prompts of several blocks are served from the old weights' cache."""
    _, second, engine = fresh
    requests = make_requests(4, shortest=100)
    list(engine.generate(requests))
    monkeypatch.setattr(engine._engine, "reset_prefix_cache", lambda **options: True)
    engine.load_weights(weights_of(second), 1)
    assert gap(second, requests, list(engine.generate(requests))) > FAR


def test_a_head_that_is_not_packed_anew_would_be_seen(fresh, monkeypatch):
    _, second, engine = fresh
    module = __import__("prorl.rollouts.vllm_engine", fromlist=["ParallelLMHead"])
    monkeypatch.setattr(module, "ParallelLMHead", type("None_", (), {}))
    engine.load_weights(weights_of(second), 1)
    requests = make_requests(4)
    assert gap(second, requests, list(engine.generate(requests))) > FAR


def test_weights_may_change_while_rollouts_are_under_way(fresh):
    """Each token has the log-prob and the version of the weights that drew it; the prompt is read anew."""
    first, second, engine = fresh
    requests = make_requests(6, shortest=100)
    source = engine.generate(requests)
    rollouts = [next(source)]
    engine.load_weights(weights_of(second), 1)
    rollouts += list(source)
    mixed = [r for r in rollouts if len(r.versions) == 2]
    assert len(mixed) > 6
    for r in mixed:
        (old, count), (new, rest) = r.versions
        assert (old, new, count + rest) == (0, 1, len(r.tokens))
        prompt, tokens = requests[r.key].tokens, r.tokens.tolist()
        before = definition(first, prompt, tokens)[:count]
        after = definition(second, prompt, tokens)[count:]
        assert np.abs(torch.cat([before, after]).numpy() - r.logprobs).max() < 1e-4


def test_a_group_is_prefilled_once(engine, monkeypatch):
    (request,) = make_requests(1, group=8, shortest=LONGEST_PROMPT)
    cached, step = [], engine._step

    def watched():
        ended = step()
        cached.extend(output.num_cached_tokens for output in ended)
        return ended

    monkeypatch.setattr(engine, "_step", watched)
    engine._engine.reset_prefix_cache()
    list(engine.generate([request]))
    # 150 tokens are four whole blocks of 32; the first rollout computes them, the others read them.
    assert sorted(cached) == [0] + [128] * 7


def test_requests_are_pulled_as_room_comes_free(model):
    engine = open_engine(model, budget=(LONGEST_PROMPT + LONGEST_RESPONSE) * 4)
    pulled = []

    def source() -> Iterator[Request]:
        for request in make_requests(10, group=2):
            pulled.append(request.key)
            yield request

    ahead = [len(pulled) * 2 - number for number, _ in enumerate(engine.generate(source()))]
    assert pulled == list(range(10))
    assert max(ahead) <= 4 + 2
    engine.close()


def test_what_is_left_of_an_abandoned_call_goes():
    model = tiny_model("llama", True)
    engine = open_engine(model)
    requests = make_requests(6)
    source = engine.generate(requests)
    next(source)
    source.close()
    assert engine._engine.get_num_unfinished_requests() == 0
    assert len(spoken(engine.generate(requests))) == 24
    busy, second = engine.generate(requests), engine.generate(requests)
    next(busy)
    with pytest.raises(AssertionError, match="one generate"):
        next(second)
    busy.close()
    assert list(engine.generate(iter(()))) == []
    engine.close()


def test_lengths(engine, model):
    full = (tuple(range(6, 56)) * 3)[:LONGEST_PROMPT]
    fits = Request(0, full, 1, Sampling(TEMPERATURE, 1.0, LONGEST_RESPONSE), (3,))
    (r,) = engine.generate([fits])
    assert gap(model, [fits], [r]) < 1e-4
    (one,) = engine.generate([Request(0, (7,), 1, Sampling(TEMPERATURE, 1.0, 1), (3,))])
    assert len(one.tokens) == 1
    for tokens in ((*full, 7), ()):
        with pytest.raises(UserError, match="in all"):
            list(engine.generate([Request(0, tokens, 1, fits.sampling, (3,))]))


def test_prompts_that_no_step_takes_in_at_once(engine, model):
    """vLLM would cut the one at the limit of a step in two, and a CPU's random stream cannot be turned back for it."""
    requests = make_requests(40, group=1)
    assert sum(len(request.tokens) for request in requests) > 3000
    rollouts = list(engine.generate(requests))
    assert len(spoken(rollouts)) == 40
    assert gap(model, requests, rollouts) < 1e-4


class Lazy(Mapping[str, Tensor]):
    """Values that are made when they are asked for, as a sharded learner's are; counts those that are alive."""

    def __init__(self, values: dict[str, Tensor]) -> None:
        self.values_of, self.given, self.alive, self.most = values, [], weakref.WeakSet(), 0

    def __getitem__(self, name: str) -> Tensor:
        self.given.append(name)
        value = self.values_of[name].detach().clone()
        self.alive.add(value)
        self.most = max(self.most, sum(v.numel() * v.element_size() for v in self.alive))
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_of)

    def __len__(self) -> int:
        return len(self.values_of)


@pytest.mark.parametrize("tied_head", [True, False])
def test_lazy_weights_are_gone_through_once_in_small_buckets(tied_head, monkeypatch):
    first, second = tiny_model("qwen2", tied_head), tiny_model("qwen2", tied_head, seed=1)
    engine = open_engine(first)
    module = __import__("prorl.rollouts.vllm_engine", fromlist=["BUCKET_BYTES"])
    monkeypatch.setattr(module, "BUCKET_BYTES", 1000)
    weights = Lazy(weights_of(second))
    engine.load_weights(weights, 1)
    assert weights.given == list(weights_of(second))
    total = sum(v.numel() * v.element_size() for v in weights_of(second).values())
    assert weights.most < 0.6 * total
    requests = make_requests(4)
    assert gap(second, requests, list(engine.generate(requests))) < 1e-4
    engine.close()


def test_weights_that_do_not_fit_are_refused_and_nothing_is_sampled_from_them(fresh):
    first, _, engine = fresh
    short = weights_of(first)
    removed = sorted(short)[0]
    del short[removed]
    with pytest.raises(UserError, match=f"lack {removed}"):
        engine.load_weights(short, 1)
    with pytest.raises(AssertionError, match="weights come first"):
        next(engine.generate(make_requests(1)))


def test_an_unknown_name_is_refused(fresh):
    first, _, engine = fresh
    with pytest.raises(UserError, match=r"have model\.other"):
        engine.load_weights(weights_of(first) | {"model.other": torch.zeros(2)}, 1)


def test_a_failing_step_is_one_line_with_the_log(fresh, monkeypatch):
    _, _, engine = fresh

    def fail() -> None:
        raise RuntimeError("the device\nis gone")

    monkeypatch.setattr(engine._engine, "step", fail)
    with pytest.raises(
        RunFailed, match=r"^vLLM could not finish a step \(RuntimeError: the device is gone\); its log: .*vllm.log$"
    ) as caught:
        list(engine.generate(make_requests(1)))
    with open(str(caught.value).rpartition(" ")[2]) as log:
        assert "RuntimeError: the device" in log.read()


def test_an_engine_that_steps_without_end_is_a_failure(fresh, monkeypatch):
    _, _, engine = fresh
    monkeypatch.setattr(engine._engine, "step", list)
    with pytest.raises(RunFailed, match="ended none of 4 rollouts"):
        list(engine.generate(make_requests(1)))


class Recorder:
    """In place of vLLM's engine: its calls, in order; each step ends what was added."""

    def __init__(self, engine) -> None:
        self._engine, self.calls = engine, []

    def __getattr__(self, name: str):
        def called(*arguments, **options):
            if name in ("sleep", "release_kv_cache_memory", "wake_up"):
                self.calls.append((name, *arguments, *options.values()))
                return None
            if name in ("add_request", "collective_rpc"):
                self.calls.append((name,))
            return getattr(self._engine, name)(*arguments, **options)

        return called


def test_the_cache_is_given_back_while_nothing_is_under_way(fresh, monkeypatch):
    """The order of vLLM's calls; what they do to the memory of a GPU is not seen here."""
    _, second, engine = fresh
    recorder = Recorder(engine._engine)
    monkeypatch.setattr(engine, "_engine", recorder)
    monkeypatch.setattr(engine, "_sleeps", True)
    requests = make_requests(1, group=1)
    list(engine.generate(requests))
    assert recorder.calls == [("add_request",), ("sleep", 0), ("release_kv_cache_memory",)]
    recorder.calls.clear()
    engine.load_weights(weights_of(second), 1)  # weights stay where they are
    assert {name for name, *_ in recorder.calls} == {"collective_rpc"}
    recorder.calls.clear()
    list(engine.generate(requests))
    assert recorder.calls == [("wake_up",), ("add_request",), ("sleep", 0), ("release_kv_cache_memory",)]
