"""Ragged batches of stated lengths for benchmarks of the learner.

A step's lengths are a list of groups, each `(prompt tokens, (response tokens, ...))`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from prorl.records import Row

Group = tuple[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Prompt lengths uniform, response lengths log-normal around their group's median, cut at the longest."""

    num_prompts: int
    group_size: int
    prompts: tuple[int, int]
    longest_response: int
    median: float = 0.45
    """Of the groups' medians, as a share of the longest response."""
    between: float = 0.4
    """Standard deviation of the groups' log medians."""
    within: float = 0.45
    """Standard deviation of log lengths in a group."""

    def draw(self, seed: int = 0) -> list[Group]:
        """A step's groups."""
        rng = np.random.default_rng(seed)
        groups = []
        for _ in range(self.num_prompts):
            middle = np.log(self.median * self.longest_response) + self.between * rng.normal()
            drawn = np.exp(middle + self.within * rng.normal(size=self.group_size))
            sizes = np.clip(np.rint(drawn), 1, self.longest_response).astype(int)
            prompt = int(rng.integers(self.prompts[0], self.prompts[1] + 1))
            groups.append((prompt, tuple(map(int, sizes))))
        return groups


def make_rows(groups: Sequence[Group], vocabulary: int, seed: int = 0) -> tuple[Row, ...]:
    """Rows of random tokens with those lengths and normal advantages; the engine's log-probs are zeros."""
    rng = np.random.default_rng(seed)
    rows = []
    for prompt_size, responses in groups:
        prompt = tuple(map(int, rng.integers(2, vocabulary, prompt_size)))
        for size in responses:
            tokens = rng.integers(2, vocabulary, size)
            rows.append(Row(prompt, tokens, np.zeros(size, np.float32), float(rng.normal())))
    return tuple(rows)


def groups_of(rows: Sequence[Row]) -> list[Group]:
    """The lengths of rows; those that follow each other with one prompt are a group."""
    return [
        (len(prompt), tuple(len(row.response_tokens) for row in members))
        for prompt, members in groupby(rows, key=lambda row: row.prompt_tokens)
    ]


def num_row_tokens(groups: Sequence[Group]) -> int:
    """Tokens of all rows, each with its own prompt; the last of each predicts nothing and is left out."""
    return sum(prompt + size - 1 for prompt, responses in groups for size in responses)


def num_padded_tokens(groups: Sequence[Group]) -> int:
    """Places of one padded batch: prompts padded to the longest prompt, responses to the longest response."""
    count = sum(len(responses) for _, responses in groups)
    return count * (max(prompt for prompt, _ in groups) + max(max(responses) for _, responses in groups) - 1)
