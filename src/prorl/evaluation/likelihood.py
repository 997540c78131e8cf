"""Stage 7: how probable the base finds a response: is a solution of the trained model within the base's reach?

It asks an engine that holds the base's weights, and it averages. It samples nothing and loads no weights.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prorl.errors import RunFailed
from prorl.evaluation.intervals import stratified_interval
from prorl.rollouts.engine import Engine

CHUNK = 64
"""Responses given to the engine at a time."""
Pair = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class ResponseLogprob:
    """Log-probability of one response given its prompt, in nats."""

    total: float
    """Sum over the response's tokens, the end token included where the response has it: exp(total) is the probability
    that a draw at temperature 1 and top-p 1 is this response, or starts with it where it was cut."""
    num_tokens: int

    @property
    def per_token(self) -> float:
        """Mean over the tokens."""
        return self.total / self.num_tokens


def base_logprobs(engine: Engine, pairs: Sequence[Pair]) -> list[ResponseLogprob]:
    """Log-probability, at temperature 1, of each (prompt tokens, response tokens) under the weights of the engine.

    Neither part may be empty. Equal pairs are computed once. RunFailed where the engine gives something that is not
    a finite number.
    """
    assert all(prompt and response for prompt, response in pairs), "a prompt and a response have at least one token"
    different = list(dict.fromkeys((tuple(prompt), tuple(response)) for prompt, response in pairs))
    known = dict(zip(different, _scored(engine, different), strict=True))
    return [known[tuple(prompt), tuple(response)] for prompt, response in pairs]


def _scored(engine: Engine, pairs: Sequence[Pair]) -> Iterator[ResponseLogprob]:
    for start in range(0, len(pairs), CHUNK):
        for logprobs in engine.score(pairs[start : start + CHUNK], 1.0):
            total = float(logprobs.double().sum())
            if not math.isfinite(total):
                raise RunFailed(f"the base gives a response a log-probability of {total}; check the base's weights")
            yield ResponseLogprob(total, len(logprobs))


def summary(
    values: Mapping[str, Mapping[str, Sequence[ResponseLogprob]]], *, num_samples: int, rng: np.random.Generator
) -> dict[str, Any]:
    """What the base finds of each role's responses, given as role -> problem -> values.

    mean_per_token, mean_total: nats. out_of_reach: share of responses whose probability under the base is below
    1 / num_samples, so that as many draws are expected to give that response less than once. Every problem weighs the
    same. Intervals: 95 %, bootstrap of whole problems; absent for one problem. A role without responses is left out.
    """
    assert num_samples >= 1, num_samples
    entries: dict[str, Any] = {}
    for role, problems in values.items():
        means = np.array([_means(responses, num_samples) for _, responses in sorted(problems.items()) if responses])
        if not len(means):
            continue
        per_token, total, out_of_reach = means.mean(axis=0).tolist()
        entry: dict[str, Any] = {"mean_per_token": per_token, "mean_total": total, "out_of_reach": out_of_reach}
        entry |= {"num_texts": sum(map(len, problems.values())), "num_problems": len(means)}
        if len(means) > 1:
            low, high = stratified_interval(means, np.zeros(len(means), dtype=np.int64), rng=rng)
            bounds = np.stack([low, high], axis=1).tolist()
            entry |= dict(zip(("interval", "interval_total", "interval_out_of_reach"), bounds, strict=True))
        entries[role] = entry
    return entries


def _means(responses: Sequence[ResponseLogprob], num_samples: int) -> tuple[float, float, float]:
    """Means over one problem's responses: nats per token, nats, and the share less probable than 1 / num_samples."""
    count = len(responses)
    return (
        math.fsum(x.per_token for x in responses) / count,
        math.fsum(x.total for x in responses) / count,
        sum(x.total < -math.log(num_samples) for x in responses) / count,
    )
