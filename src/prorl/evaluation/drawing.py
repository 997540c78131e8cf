"""Stage 7: draws what a measurement still lacks of one model's samples, and puts it into the store.

Whatever was interrupted, and wherever, a second call draws the rest and no sample twice: a sample is a function of its
seed, which is made of run seed, role, problem and index. What is sampled beside it moves its log-probability by the
rounding of float32, and its text only where a draw falls that close to the border between two tokens.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from types import TracebackType
from typing import Self

from prorl.errors import RunFailed
from prorl.evaluation.budget import Budget
from prorl.evaluation.samples import Sample, SampleStore, Stream, problem_digest
from prorl.evaluation.sampling import TRUNCATED
from prorl.judging import Judge, Judged
from prorl.prompts.template import Template
from prorl.records import Prompt, Request, Sampling
from prorl.seeds import stream_seed

BLOCK_TOKENS = 32768
MIN_BLOCK, MAX_BLOCK = 16, 256
"""Samples of one problem that are drawn and kept together: they share the prompt, and as few are lost as can be."""
COMMIT, COMMIT_SECONDS = 2048, 1.0
"""Samples that are written at a time, or sooner once so much time has passed since the last: what a kill can lose."""


def encoded(problems: Sequence[Prompt], template: Template) -> dict[str, tuple[int, ...]]:
    """The tokens of each problem by its id."""
    return {problem.id: template.encode(problem) for problem in problems}


def digests(problems: Sequence[Prompt], tokens: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """What a store knows each problem by: a changed text, answer or template is another problem."""
    return {
        problem.id: problem_digest(
            [tokens[problem.id], problem.domain, problem.task, problem.answer, problem.metadata, problem.verifier]
        )
        for problem in problems
    }


def draw(
    problems: Sequence[Prompt],
    tokens: Mapping[str, tuple[int, ...]],
    store: SampleStore,
    judge: Judge,
    *,
    stream: Stream,
    budget: Budget,
    threshold: float = 1.0,
    progress: Callable[[str], None] = lambda text: None,
) -> int:
    """Bring every problem to the samples that the budget wants; returns how many were drawn.

    The judge's verifiers are the strict reading, then the tolerant one. A truncated answer scores 0 under both.
    """
    by_id = {problem.id: problem for problem in problems}
    sampling = Sampling(stream.temperature, stream.top_p, stream.max_tokens)
    drawn = 0
    while lacking := _lacking(store.solved(threshold), budget):
        requests, places = [], []
        for key, (id, indices) in zip(count(), _blocks(lacking, stream.max_tokens)):
            seeds = tuple(stream_seed(stream.seed, "boundary", stream.role, id, index) for index in indices)
            requests.append(Request(key, tokens[id], len(indices), sampling, seeds))
            places.append((id, indices))
        prompts = {key: by_id[id] for key, (id, _) in enumerate(places)}
        done, total = 0, sum(len(indices) for _, indices in places)
        with _Writer(store) as writer:
            for judged in judge.stream(requests, prompts):
                id, indices = places[judged.request.key]
                writer.add([(id, sample) for sample in _samples(judged, indices)])
                done += len(indices)
                progress(f"{done:,} of {total:,} samples")
        drawn += total
    return drawn


class _Writer:
    """Samples on their way into the store: in parts, and what is left when drawing ends, however it ends."""

    def __init__(self, store: SampleStore) -> None:
        self._store, self._waiting, self._last = store, list[tuple[str, Sample]](), time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._write()

    def add(self, samples: Sequence[tuple[str, Sample]]) -> None:
        self._waiting += samples
        if len(self._waiting) >= COMMIT or time.monotonic() - self._last >= COMMIT_SECONDS:
            self._write()

    def _write(self) -> None:
        samples, self._waiting = self._waiting, []  # what the store refuses is not offered to it again
        self._store.add(samples)
        self._last = time.monotonic()


def _lacking(solved: Mapping[str, Mapping[int, bool]], budget: Budget) -> dict[str, list[int]]:
    """The missing indices of each problem that wants more samples."""
    lacking = {}
    for id, found in solved.items():
        beginning: list[bool] = []  # up to the first gap: what follows one counts once it is filled
        while len(beginning) in found:
            beginning.append(found[len(beginning)])
        missing = [index for index in range(budget.wanted(beginning)) if index not in found]
        if missing:
            lacking[id] = missing
    return lacking


def _blocks(lacking: Mapping[str, Sequence[int]], max_tokens: int) -> Iterator[tuple[str, Sequence[int]]]:
    size = min(max(BLOCK_TOKENS // max_tokens, MIN_BLOCK), MAX_BLOCK)
    for id, indices in lacking.items():
        for start in range(0, len(indices), size):
            yield id, indices[start : start + size]


def _samples(judged: Judged, indices: Sequence[int]) -> Iterator[Sample]:
    """The judged rollouts under their indices in the store."""
    for index, rollout, text, strict, tolerant in zip(
        indices, judged.rollouts, judged.texts, *judged.scores, strict=True
    ):
        cut = rollout.finish_reason == "length"
        first, second = (TRUNCATED, TRUNCATED) if cut else (strict, tolerant)
        logprob = float(rollout.logprobs.sum(dtype="float64"))
        if not math.isfinite(logprob):
            raise RunFailed(f"the model gives a response a log-probability of {logprob}; check its weights")
        yield Sample(
            index=index,
            text=text,
            num_tokens=len(rollout.tokens),
            finish=rollout.finish_reason,
            logprob=logprob,
            strict=first.value,
            strict_outcome=first.outcome,
            tolerant=second.value,
            tolerant_outcome=second.outcome,
            answer="" if cut else second.answer or first.answer,
        )
