"""What `prorl plan --probe` measures on this machine: an update of a few real packs, and a short rollout.

The recipe's model, learner and engine with random prompts; responses are cut where a pack is full, so times are scaled
by tokens to the recipe's lengths.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from prorl import models
from prorl.assembly import make_engine
from prorl.config import Config, Optimizer
from prorl.learner.torch_learner import TorchLearner
from prorl.planning.footprint import longest_row
from prorl.planning.workload import forward_flops, num_passes
from prorl.records import Batch, Request, Row, Sampling
from prorl.seeds import stream_seed

PACKS, MOST_ROLLED = 2, 64
"""Packs of the timed update; tokens of a timed rollout."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Response tokens a second of one device, as measured, and what was."""

    trained_per_second: float
    sampled_per_second: float
    text: str


def probe(config: Config, response_tokens: float) -> Probe:
    """Time the recipe's own model; `response_tokens` is the mean that the plan takes for granted."""
    loaded = models.load(config.model)
    size = models.measure(config.model)
    vocabulary = size.vocabulary
    rng = np.random.default_rng(config.train.seed)
    prompt_tokens = max(1, min(config.data.max_prompt_tokens, 64))
    length = max(2, min(int(response_tokens), config.learner.token_budget - prompt_tokens))
    num_rows = max(2, PACKS * config.learner.token_budget // (prompt_tokens + length))
    prompt = tuple(map(int, rng.integers(0, vocabulary, prompt_tokens)))
    rows = tuple(
        Row(prompt, rng.integers(0, vocabulary, length), np.zeros(length, np.float32), 1.0) for _ in range(num_rows)
    )
    learner = TorchLearner(loaded, config)
    updating = _seconds(lambda: learner.update(Batch((rows,), {}), config, 0.0))
    # One mini-batch has no pass of the old policy; the recipe's others may have one.
    passes = num_passes(config) / num_passes(replace(config, optimizer=_one_update(config)))
    trained = num_rows * length / (updating * passes)
    engine = make_engine(loaded, config)
    engine.load_weights(learner.weights(), 1)
    rolled = min(config.rollouts.max_response_tokens, MOST_ROLLED)
    at_a_time = max(1, config.rollouts.token_budget // longest_row(config))
    group = min(config.rollouts.group_size, at_a_time)
    requests = [
        Request(
            key=number,
            tokens=prompt,
            num_rollouts=group,
            sampling=Sampling(config.rollouts.temperature, 1.0, rolled),
            seeds=tuple(stream_seed(config.train.seed, "probe", number, index) for index in range(group)),
        )
        for number in range(max(1, min(at_a_time // group, config.rollouts.prompts_per_step)))
    ]
    counted: list[int] = []
    sampling = _seconds(lambda: counted.append(sum(len(made.tokens) for made in engine.generate(requests))))
    engine.close()
    # Attention reaches further back in a longer response.
    longer = forward_flops(size, response_tokens) / forward_flops(size, rolled)
    return Probe(
        trained_per_second=trained,
        sampled_per_second=counted[-1] / sampling / longer,
        text=(
            f"update of {num_rows} rows of {prompt_tokens} + {length} tokens in {updating:.2g} s; rollout of "
            f"{len(requests)} x {group} up to {rolled} tokens in {sampling:.2g} s"
        ),
    )


def _one_update(config: Config) -> Optimizer:
    return replace(config.optimizer, minibatch_prompts=config.rollouts.prompts_per_step)


def _seconds(call: Callable[[], object]) -> float:
    """Of the second of two calls: the first warms up."""
    call()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
