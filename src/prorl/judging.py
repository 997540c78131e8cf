"""Stages 2 and 3 side by side: sample requests, and verify each prompt's answers as soon as they are all there.

The sampling pool and the evaluation share it: one takes all results in the order of the requests, the other each one
as soon as it is judged.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prorl.prompts.template import Template
from prorl.records import Prompt, Request, Rollout, Score
from prorl.rewards.verifier import VerifierPool
from prorl.rollouts.engine import Engine


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The rollouts of one request, in order, with their texts and scores."""

    request: Request
    prompt: Prompt
    rollouts: tuple[Rollout, ...]
    texts: tuple[str, ...]
    scores: tuple[tuple[Score, ...], ...]
    """By verifier pool (reading), then by rollout."""


class Judge:
    """An engine with the verifiers that judge what it samples."""

    def __init__(
        self,
        engine: Engine,
        template: Template,
        verifiers: Sequence[VerifierPool],
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._engine, self._template, self._verifiers = engine, template, verifiers
        self._progress = progress
        self.seconds_rollout = self.seconds_reward = 0.0
        """Of all calls: time in which the engine was sampling, and time waited for verifiers after that."""

    def run(self, requests: Sequence[Request], prompts: Mapping[int, Prompt]) -> list[Judged]:
        """Sample and verify; `prompts` by request key. Equal answers to one prompt are verified once."""
        by_key = {item.request.key: item for item in self.stream(requests, prompts)}
        return [by_key[request.key] for request in requests]

    def stream(self, requests: Sequence[Request], prompts: Mapping[int, Prompt]) -> Iterator[Judged]:
        """The same, one by one as they are judged; what has been given is not kept here."""
        start = time.perf_counter()
        job = _Job({request.key: request for request in requests}, prompts, self._template, self._verifiers)
        total = sum(request.num_rollouts for request in requests)
        for count, rollout in enumerate(self._engine.generate(iter(requests)), 1):
            job.add(rollout)
            yield from job.take_finished()
            if count % 64 == 0:
                self._progress(f"rollout {count}/{total}")
        middle = time.perf_counter()
        self._progress("verify")
        while job.is_waiting:
            job.collect(block=True)
            yield from job.take_finished()
        self.seconds_rollout += middle - start
        self.seconds_reward += time.perf_counter() - middle


class _Job:
    """What has come in of one call's rollouts and scores, and was not taken yet."""

    def __init__(
        self,
        requests: Mapping[int, Request],
        prompts: Mapping[int, Prompt],
        template: Template,
        verifiers: Sequence[VerifierPool],
    ) -> None:
        self._requests, self._prompts = requests, prompts
        self._template, self._verifiers = template, verifiers
        self._parts: dict[int, list[Rollout]] = defaultdict(list)
        self._texts: dict[int, tuple[str, ...]] = {}
        self._tickets: list[dict[int, int]] = [{} for _ in verifiers]
        self._verdicts: list[dict[int, tuple[Score, ...]]] = [{} for _ in verifiers]
        self._finished: list[int] = []

    @property
    def is_waiting(self) -> bool:
        return any(self._tickets)

    def add(self, rollout: Rollout) -> None:
        """Take a rollout; the last one of a group sends the group's answers to the verifiers."""
        key, parts = rollout.key, self._parts[rollout.key]
        parts.append(rollout)
        if len(parts) < self._requests[key].num_rollouts:
            return
        parts.sort(key=lambda part: part.index)
        self._texts[key] = tuple(self._template.decode(part.tokens) for part in parts)
        for tickets, pool in zip(self._tickets, self._verifiers, strict=True):
            tickets[pool.submit(self._prompts[key], _unique(self._texts[key]))] = key
        self.collect(block=False)

    def collect(self, *, block: bool) -> None:
        for tickets, verdicts, pool in zip(self._tickets, self._verdicts, self._verifiers, strict=True):
            for ticket, scores in pool.collect(block=block and bool(tickets)):
                key = tickets.pop(ticket)
                verdicts[key] = scores
                if all(key in of_reading for of_reading in self._verdicts):
                    self._finished.append(key)

    def take_finished(self) -> Iterator[Judged]:
        finished, self._finished = self._finished, []
        for key in finished:
            texts = self._texts.pop(key)
            unique = _unique(texts)
            by_text = [dict(zip(unique, verdicts.pop(key), strict=True)) for verdicts in self._verdicts]
            scores = tuple(tuple(verdict[text] for text in texts) for verdict in by_text)
            yield Judged(self._requests[key], self._prompts[key], tuple(self._parts.pop(key)), texts, scores)


def _unique(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))
