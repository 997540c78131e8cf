"""Ragged batches of stated lengths for benchmarks of the learner.

A step's lengths are a list of groups, each `(prompt tokens, (response tokens, ...))`.
"""

from collections.abc import Sequence

import numpy as np

from prorl.records import Row

Group = tuple[int, tuple[int, ...]]
_MEDIAN = 0.45
_BETWEEN, _WITHIN = 0.4, 0.45
"""Log-normal: medians of groups around 0.45 of the longest response, responses around their group's median."""


def ragged_lengths(
    num_prompts: int, group_size: int, prompts: tuple[int, int], longest_response: int, seed: int = 0
) -> list[Group]:
    """Prompt lengths uniform in `prompts`, response lengths log-normal and cut at the longest (about a tenth are)."""
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(num_prompts):
        median = np.log(_MEDIAN * longest_response) + _BETWEEN * rng.normal()
        drawn = np.exp(median + _WITHIN * rng.normal(size=group_size))
        responses = np.clip(np.rint(drawn), 1, longest_response).astype(int)
        groups.append((int(rng.integers(prompts[0], prompts[1] + 1)), tuple(map(int, responses))))
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


def num_row_tokens(groups: Sequence[Group]) -> int:
    """Tokens of all rows, each with its own prompt: what a padded trainer computes at no padding at all."""
    return sum(prompt + size for prompt, responses in groups for size in responses)


def num_padded_tokens(groups: Sequence[Group]) -> int:
    """Places of one padded batch: prompts padded to the longest prompt, responses to the longest response."""
    count = sum(len(responses) for _, responses in groups)
    return count * (max(prompt for prompt, _ in groups) + max(max(responses) for _, responses in groups))
