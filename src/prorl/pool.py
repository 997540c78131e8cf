"""Stages 1 to 4: the sampling pool: draw prompts, sample groups, verify them, keep the informative ones, refill.

Which groups are kept depends on stream position and scores only: a round's prompts are fixed before it begins, and its
groups are looked at in stream order after all of them are scored. Verification of finished groups overlaps sampling.

On several ranks each draws the whole round and samples and verifies every world-th prompt of it; then all ranks have
all groups, and go on alike.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prorl import distributed
from prorl.algorithm.groups import is_informative
from prorl.config import Config
from prorl.errors import NoGroups
from prorl.judging import Judge, Judged
from prorl.prompts.mixture import Stream
from prorl.prompts.template import Template
from prorl.records import Group, Prompt, Request, Sampling
from prorl.rewards.verifier import VerifierPool
from prorl.rollouts.engine import Engine
from prorl.seeds import stream_seed

MAX_ROUND = 4
"""Groups of a round at most, in `rollouts.prompts_per_step`."""
_FIRST_ACCEPTANCE = 0.5
_ACCEPTANCE_DECAY = 0.9
_LOWEST_ACCEPTANCE = 0.1


@dataclass(slots=True)
class Tally:
    """What a step's rounds added up to."""

    drawn: int = 0
    rounds: int = 0
    tokens: int = 0
    truncated: int = 0
    rollouts: int = 0
    too_long: int = 0
    verifier_error: str = ""
    timeouts: list[tuple[str, int]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    scores: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    other_scores: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[str, float] = field(default_factory=lambda: {"rollout": 0.0, "reward": 0.0})


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What one rank sampled and verified of a round."""

    items: list[Judged]
    timeouts: list[tuple[str, int]]
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """The kept groups of a step in stream order, what was sampled for them, and time-outs as (prompt id, index)."""

    groups: tuple[Group, ...]
    metrics: Mapping[str, float]
    timeouts: tuple[tuple[str, int], ...]
    verifier_error: str = ""
    """What the first verifier that failed in the step said."""


class Pool:
    """Fills batches with informative groups."""

    def __init__(
        self,
        stream: Stream,
        template: Template,
        engine: Engine,
        verifiers: Sequence[VerifierPool],
        *,
        seed: int,
        progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        """The first of `verifiers` gives the scores that are trained on; a second one's are logged."""
        self._stream, self._template = stream, template
        self._engine, self._verifiers, self._seed, self._progress = engine, verifiers, seed, progress
        self._acceptance = dict.fromkeys(stream.domains, _FIRST_ACCEPTANCE)

    def fill(self, step: int, config: Config) -> Filled:
        """Groups for step `step`, at most `rollouts.prompts_per_step`."""
        wanted, options = config.rollouts.prompts_per_step, config.filter
        tally, kept = Tally(), list[Group]()
        while len(kept) < wanted and tally.rounds < options.max_rounds:
            if options.max_tokens and tally.tokens >= options.max_tokens:
                break
            tally.rounds += 1
            groups = self._round(step, self._num_to_draw(wanted - len(kept), config), config, tally)
            teaching = (group for group in groups if not options.enabled or self._teaches(group, config))
            kept += [group for group in teaching if len(group.rollouts) >= 2]
        if not tally.drawn:
            raise NoGroups(
                f"step {step}: all {tally.too_long} prompts drawn are longer than data.max_prompt_tokens = "
                f"{config.data.max_prompt_tokens} tokens; raise it, or look at the data"
            )
        if len(kept) < wanted and options.on_exhausted == "stop":
            raise NoGroups(
                f"step {step}: {len(kept)} of {wanted} informative groups after {tally.rounds} rounds and "
                f"{tally.tokens} tokens; raise filter.max_rounds or set filter.on_exhausted = train"
            )
        metrics = _metrics(tally, len(kept), wanted)
        return Filled(tuple(kept[:wanted]), metrics, tuple(tally.timeouts), tally.verifier_error)

    def _num_to_draw(self, missing: int, config: Config) -> int:
        """Prompts to draw so that `missing` groups are expected to be informative, and some more."""
        if not config.filter.enabled:
            return missing
        shares, rates = self._stream.shares, self._acceptance
        draws_a_group = sum(share / max(rates[domain], _LOWEST_ACCEPTANCE) for domain, share in shares.items())
        number = math.ceil(missing * config.filter.oversampling * draws_a_group)
        return min(number, MAX_ROUND * config.rollouts.prompts_per_step)

    def _boost(self, config: Config) -> dict[str, float]:
        """Domains that yield less are drawn more, so that the kept groups keep the quotas."""
        if not config.filter.enabled:
            return {}
        return {domain: 1.0 / max(rate, _LOWEST_ACCEPTANCE) for domain, rate in self._acceptance.items()}

    def _round(self, step: int, count: int, config: Config, tally: Tally) -> list[Group]:
        """Draw, sample and verify `count` prompts; the groups in stream order."""
        drawn = dict(self._stream.draw(count, self._boost(config)))
        tokens = {position: self._template.encode(prompt) for position, prompt in drawn.items()}
        fitting = {p: t for p, t in tokens.items() if len(t) <= config.data.max_prompt_tokens}
        tally.too_long += len(tokens) - len(fitting)
        requests = [self._request(position, fitting[position], config) for position in fitting]
        mine = requests[distributed.rank() :: distributed.world()]
        found = distributed.together(lambda: self._judged(mine, drawn))
        by_key = {item.request.key: item for part in found for item in part.items}
        judged = [by_key[request.key] for request in requests]
        groups = [_group(item) for item in judged]
        tally.timeouts += [late for part in found for late in part.timeouts]
        for name in tally.seconds:  # of the slowest rank, for which the others wait
            tally.seconds[name] += max(part.seconds[name] for part in found)
        for item in judged:
            for other in item.scores[1:]:
                tally.other_scores[item.prompt.domain] += [s.value for s in other if s.outcome != "error"]
        accepted: dict[str, list[bool]] = defaultdict(list)
        for group in groups:
            self._count(group, tally)
            scores = [score.value for score in group.scores if score.outcome != "error"]
            accepted[group.prompt.domain].append(self._teaches(group, config))
            if scores:
                self._stream.observe(group.prompt, scores)
        for domain, hits in accepted.items():
            weight = _ACCEPTANCE_DECAY ** (len(hits) / 16)
            rate = self._acceptance.get(domain, _FIRST_ACCEPTANCE)
            self._acceptance[domain] = weight * rate + (1 - weight) * sum(hits) / len(hits)
        return [_without_errors(group) for group in groups]

    def _judged(self, requests: Sequence[Request], prompts: Mapping[int, Prompt]) -> "_Part":
        """Sample and verify with this rank's engine and verifiers."""
        judge = Judge(self._engine, self._template, self._verifiers, self._progress)
        items = judge.run(requests, prompts)
        timeouts = list(self._verifiers[0].timeouts)
        for pool in self._verifiers:
            pool.timeouts.clear()
        return _Part(items, timeouts, {"rollout": judge.seconds_rollout, "reward": judge.seconds_reward})

    def _request(self, position: int, tokens: tuple[int, ...], config: Config) -> Request:
        options = config.rollouts
        sampling = Sampling(options.temperature, 1.0, options.max_response_tokens)
        seeds = tuple(stream_seed(self._seed, "rollout", position, i) for i in range(options.group_size))
        return Request(position, tokens, options.group_size, sampling, seeds)

    def _teaches(self, group: Group, config: Config) -> bool:
        scores = [score.value for score in group.scores if score.outcome != "error"]
        floor = config.filter.score_floor.get(group.prompt.domain, 0.0)
        return is_informative(scores, min_spread=config.filter.min_spread, floor=floor)

    def _count(self, group: Group, tally: Tally) -> None:
        tally.drawn += 1
        for rollout, score in zip(group.rollouts, group.scores, strict=True):
            tally.rollouts += 1
            tally.tokens += len(rollout.tokens)
            tally.truncated += rollout.finish_reason == "length"
            tally.outcomes[score.outcome] += 1
            if score.outcome == "error":
                tally.verifier_error = tally.verifier_error or f"{group.prompt.id}: {score.detail}"
            else:
                tally.scores[group.prompt.domain].append(score.value)

    def state_dict(self) -> dict[str, Any]:
        return {"stream": self._stream.state_dict(), "acceptance": dict(self._acceptance)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._stream.load_state_dict(state["stream"])
        self._acceptance = dict(state["acceptance"])

    def carry_over(self, state: Mapping[str, Any]) -> None:
        """Go on in a new phase where the old one's pool stood: same position, same lanes, known acceptance rates."""
        self._stream.carry_over(state["stream"])
        self._acceptance = {domain: state["acceptance"].get(domain, _FIRST_ACCEPTANCE) for domain in self._acceptance}


def _group(item: Judged) -> Group:
    return Group(item.request.key, item.prompt, item.request.tokens, item.rollouts, item.texts, item.scores[0])


def _without_errors(group: Group) -> Group:
    """The group without rollouts whose verifier failed."""
    keep = [i for i, score in enumerate(group.scores) if score.outcome != "error"]
    if len(keep) == len(group.scores):
        return group
    return Group(
        group.position,
        group.prompt,
        group.prompt_tokens,
        tuple(group.rollouts[i] for i in keep),
        tuple(group.texts[i] for i in keep),
        tuple(group.scores[i] for i in keep),
    )


def _metrics(tally: Tally, informative: int, wanted: int) -> dict[str, float]:
    metrics: dict[str, float] = {
        "groups/drawn": tally.drawn,
        "groups/kept": min(informative, wanted),
        "groups/surplus": max(informative - wanted, 0),
        "rounds": tally.rounds,
        "tokens/generated": tally.tokens,
        "seconds/rollout": tally.seconds["rollout"],
        "seconds/reward": tally.seconds["reward"],
    }
    if tally.too_long:
        metrics["prompts/too_long"] = tally.too_long
    if tally.rollouts:
        metrics["response_length/mean"] = tally.tokens / tally.rollouts
        metrics["truncated_fraction"] = tally.truncated / tally.rollouts
        for outcome, count in sorted(tally.outcomes.items()):
            metrics[f"outcomes/{outcome}"] = count / tally.rollouts
    for name, by_domain in (("score", tally.scores), ("score_other", tally.other_scores)):
        for domain, scores in sorted(by_domain.items()):
            if scores:
                metrics[f"{name}/{domain}"] = math.fsum(scores) / len(scores)
        everything = [score for scores in by_domain.values() for score in scores]
        if everything:
            metrics[f"{name}/mean"] = math.fsum(everything) / len(everything)
    return metrics
