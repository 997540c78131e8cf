"""Stage 1: the stream of prompts: weighted, seeded, resumable.

Domains are mixed by exact quotas (smooth weighted round robin: the set with the largest credit gives the next prompt),
so any stretch of the stream holds each domain's share. Which prompt stands where depends on the seed, the draws before
it and the lanes, all of it in `state_dict`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prorl.config import Data, Filter
from prorl.errors import UserError
from prorl.prompts.sources import PromptSet, lane, open_source
from prorl.records import Prompt
from prorl.seeds import uniform

_MAX_LANE_SKIPS = 64
_MAX_SKIPS = 10_000


class Stream:
    """Prompts of a mixture, one position after the other."""

    def __init__(self, data: Data, options: Filter, *, seed: int, held_out: frozenset[str] = frozenset()) -> None:
        """`held_out`: texts of evaluation problems, skipped in training."""
        self._seed, self._options, self._held_out = seed, options, held_out
        self._sets: list[PromptSet] = []
        weights: list[float] = []
        for source in data.sources:
            sets = open_source(source)
            total = sum(prompts.size for prompts in sets)
            self._sets += sets
            weights += [source.weight * prompts.size / total for prompts in sets]
        self._weights = _domain_quotas(self._sets, weights, data.domain_weights)
        self._credits = [0.0] * len(self._sets)
        self._cursors = [0] * len(self._sets)
        self._streaks: dict[str, int] = {}
        self.position = 0
        self._refuse_held_out()

    @property
    def domains(self) -> list[str]:
        return sorted({prompts.domain for prompts in self._sets})

    def kinds(self) -> list[Prompt]:
        """A prompt of each kind of verification that the stream can bring."""
        return [prompt for prompts in self._sets for prompt in prompts.kinds()]

    def rows(self) -> Iterator[Prompt]:
        """Every prompt of a file that the stream can bring."""
        return (prompt for prompts in self._sets for prompt in prompts.rows())

    @property
    def shares(self) -> dict[str, float]:
        """Each domain's share of the stream."""
        shares = dict.fromkeys(self.domains, 0.0)
        for prompts, weight in zip(self._sets, self._weights, strict=True):
            shares[prompts.domain] += weight / sum(self._weights)
        return shares

    def draw(self, count: int, boost: Mapping[str, float]) -> list[tuple[int, Prompt]]:
        """The next `count` prompts with their positions; `boost` multiplies the domains' quotas."""
        drawn = []
        weights = [
            weight * boost.get(prompts.domain, 1.0) for weight, prompts in zip(self._weights, self._sets, strict=True)
        ]
        total = sum(weights)
        for _ in range(count):
            self._credits = [credit + weight / total for credit, weight in zip(self._credits, weights, strict=True)]
            index = max(range(len(weights)), key=self._credits.__getitem__)
            self._credits[index] -= 1.0
            drawn.append((self.position, self._next(index)))
            self.position += 1
        return drawn

    def _next(self, index: int) -> Prompt:
        """The set's next prompt that is not held out and, if there is one near, not kept back by its lane."""
        prompts = self._sets[index]
        for skips in range(_MAX_SKIPS):
            prompt = prompts.draw(self._seed, self._cursors[index])
            self._cursors[index] += 1
            if prompt.text in self._held_out:
                continue
            if skips >= _MAX_LANE_SKIPS or not self._kept_back(lane(prompt), index):
                return prompt
        raise UserError(
            f"data.sources: {prompts.domain}: {_MAX_SKIPS} problems in a row are held out for evaluation; "
            "lower evaluation.problems_per_level or boundary_problems, or name other evaluation.sources"
        )

    def _refuse_held_out(self) -> None:
        """A set that is held out as a whole is refused now and not at its first draw."""
        for index, weight in enumerate(self._weights):
            if weight > 0:
                self._next(index)
                self._cursors[index] = 0

    def _kept_back(self, name: str, index: int) -> bool:
        streak = self._streaks.get(name, 0)
        limit = self._options.solved_streak if streak > 0 else self._options.unsolved_streak
        if limit == 0 or abs(streak) < limit:
            return False
        return uniform(self._seed, "lane", name, self._cursors[index]) >= self._options.slow_lane_share

    def observe(self, prompt: Prompt, scores: Sequence[float]) -> None:
        """Count how often in a row a problem was solved (or failed) by all of its rollouts."""
        name = lane(prompt)
        streak = self._streaks.get(name, 0)
        if min(scores) >= 1.0:
            self._streaks[name] = max(streak, 0) + 1
        elif max(scores) <= 0.0:
            self._streaks[name] = min(streak, 0) - 1
        else:
            self._streaks.pop(name, None)

    def state_dict(self) -> dict[str, Any]:
        return {
            "sets": [[prompts.domain, prompts.size] for prompts in self._sets],
            "position": self.position,
            "credits": list(self._credits),
            "cursors": list(self._cursors),
            "streaks": dict(self._streaks),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        own = [[prompts.domain, prompts.size] for prompts in self._sets]
        if state["sets"] != own:
            raise UserError(f"data.sources: the checkpoint's stream was over {state['sets']}, the recipe's is {own}")
        self.position = state["position"]
        self._credits, self._cursors = list(state["credits"]), list(state["cursors"])
        self._streaks = dict(state["streaks"])

    def carry_over(self, state: Mapping[str, Any]) -> None:
        """Start of a phase with another mixture: go on at the same position with the same lanes."""
        self.position = state["position"]
        self._streaks = dict(state["streaks"])
        # Beyond every draw that was made, those that lanes kept back included: no generated problem comes twice.
        self._cursors = [max(state["position"], *state["cursors"])] * len(self._sets)


def _domain_quotas(sets: Sequence[PromptSet], weights: list[float], quotas: Mapping[str, float]) -> list[float]:
    """The sets' weights, scaled so that each domain has its quota where quotas are given."""
    if not quotas:
        return weights
    domains = {prompts.domain for prompts in sets}
    if domains != quotas.keys():
        odd = sorted(domains ^ quotas.keys())[0]
        raise UserError(f"data.domain_weights: {odd}: name each domain of the sources ({', '.join(sorted(domains))})")
    of_domain = dict.fromkeys(domains, 0.0)
    for prompts, weight in zip(sets, weights, strict=True):
        of_domain[prompts.domain] += weight
    for domain, weight in of_domain.items():
        if not weight:
            raise UserError(
                f"data.domain_weights.{domain} = {quotas[domain]}: every source of {domain} has weight 0; give one of "
                "them a weight above 0, or remove those sources"
            )
    return [
        quotas[prompts.domain] * weight / of_domain[prompts.domain]
        for prompts, weight in zip(sets, weights, strict=True)
    ]
