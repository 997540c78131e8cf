"""Stage 7: which problems each model solves at all, and how many would differ by luck alone. No means, no levels."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

ROUNDING = 1e-9
"""Distances that are equal on paper compare equal."""


@dataclass(frozen=True, slots=True)
class SolvedSets:
    """Numbers of problems by who solved them, that is, had at least one right sample of those drawn."""

    both: int
    trained_only: int
    base_only: int
    neither: int
    expected_trained_only: float
    """Under equal ability on every problem, given how many samples of both models together are right."""
    expected_base_only: float
    p: float
    """Two-sided p of trained_only - base_only under that null."""
    retention: float | None
    """Share of the problems solved by the base that the trained model solves too; None where the base solves none."""
    discovery: float | None
    """Share of the problems solved by the trained model that the base does not solve; None where it solves none."""


def solved_sets(
    base_n: Int[np.ndarray, " P"],
    base_c: Int[np.ndarray, " P"],
    trained_n: Int[np.ndarray, " P"],
    trained_c: Int[np.ndarray, " P"],
) -> SolvedSets:
    """Compare the problems with at least one right sample (`_c`) among those drawn (`_n`).

    A rare success falls to one model or the other by luck, so a problem solved by one alone is no proof. Null: on every
    problem both models are right with the same probability. Given the total c of right samples, the number of the base
    is then hypergeometric (Fisher's exact test): P(base has none) = C(N_trained, c) / C(N_base + N_trained, c). p is
    exact, by convolution over problems: the probability that trained_only - base_only is at least as far from its
    expectation as it is. retention and discovery: arXiv 2507.14843.
    """
    for drawn, right in ((base_n, base_c), (trained_n, trained_c)):
        assert ((right >= 0) & (right <= drawn)).all(), "more right samples than drawn"
    base, trained = base_c > 0, trained_c > 0
    both, trained_only = int(np.sum(base & trained)), int(np.sum(~base & trained))
    base_only = int(np.sum(base & ~trained))
    luck = _luck(base_n, trained_n, base_c + trained_c)
    expected_trained_only, expected_base_only = (float(math.fsum(column)) for column in luck.T)
    return SolvedSets(
        both=both,
        trained_only=trained_only,
        base_only=base_only,
        neither=len(base) - both - trained_only - base_only,
        expected_trained_only=expected_trained_only,
        expected_base_only=expected_base_only,
        p=_p_value(luck, trained_only - base_only, expected_trained_only - expected_base_only),
        retention=both / (both + base_only) if both + base_only else None,
        discovery=trained_only / (both + trained_only) if both + trained_only else None,
    )


def _luck(
    base_n: Int[np.ndarray, " P"], trained_n: Int[np.ndarray, " P"], right: Int[np.ndarray, " P"]
) -> Float[np.ndarray, "P 2"]:
    """Under the null, the probabilities that the trained model alone and that the base alone solves each problem."""
    known: dict[tuple[int, int, int], tuple[float, float]] = {}
    rows = list(zip(base_n.tolist(), trained_n.tolist(), right.tolist(), strict=True))
    for row in set(rows):
        base, trained, c = row
        splits = math.comb(base + trained, c)
        known[row] = (math.comb(trained, c) / splits, math.comb(base, c) / splits) if c else (0.0, 0.0)
    return np.array([known[row] for row in rows], dtype=np.float64).reshape(-1, 2)


def _p_value(luck: Float[np.ndarray, "P 2"], observed: int, expected: float) -> float:
    """P(|D - expected| >= |observed - expected|), D a sum of independent +1, -1 and 0 with the probabilities `luck`."""
    undecided = luck[luck.any(axis=1)]
    share = np.zeros(2 * len(undecided) + 1)
    share[len(undecided)] = 1.0
    for plus, minus in undecided:
        moved = share * (1 - plus - minus)
        moved[1:] += share[:-1] * plus
        moved[:-1] += share[1:] * minus
        share = moved
    distances = np.abs(np.arange(-len(undecided), len(undecided) + 1) - expected)
    return min(1.0, float(share[distances >= abs(observed - expected) - ROUNDING].sum()))
