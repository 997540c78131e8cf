"""Stage 7: p-values for what a measurement claims, and their correction for many levels. It decides no verdict."""

import math

import numpy as np
from jaxtyping import Float

ASSUMPTIONS: dict[str, str] = {
    "swap_test": "Two-sided sign-flip test of the null hypothesis that on every problem the base's and the trained "
    "model's results are exchangeable, that is, that swapping the two labels changes no distribution: problems are "
    "independent, and both models draw the same number of samples of a problem under the same settings; it says "
    "nothing about problems that were not measured.",
    "mcnemar": "Exact two-sided binomial test on the problems that exactly one of the models solves, under the null "
    "hypothesis that each of them is as likely to be solved by the one as by the other; problems are independent, and "
    "the models have the same number of tries.",
    "guess_test": "One-sided Chernoff-Hoeffding bound under the null hypothesis that the expected score is at most "
    "that of guessing: scores of different problems are independent and lie in [0, 1], the stated chance is right or "
    "too high, and nothing else is assumed about their distribution, so that the p-value is conservative.",
    "shuffled_test": "One-sided conditional binomial test of the null hypothesis that the trained model's answers are "
    "as often right for other problems of the level as for their own: answers are independent of one another, which "
    "holds less the more a model repeats one answer to a problem.",
    "benjamini_hochberg": "Adjusted p-values: among the tests with q <= a, the expected share of true null hypotheses "
    "is at most a, if the tests are independent or positively dependent (Benjamini and Yekutieli 2001, PRDS).",
}
"""What each test takes for granted, by the function's name; shown with its results."""

MAX_ENUMERATED = 14
"""Up to this many differences that are not zero every pattern of signs is counted: 16,384."""
ROUNDING = 1e-9
"""Relative: sums that are equal on paper compare equal."""
CHUNK_SIGNS = 2**22
"""Signs held at a time."""


def swap_test(differences: Float[np.ndarray, " m"], *, rng: np.random.Generator, flips: int = 20000) -> float:
    """Two-sided p of the null that base and trained are exchangeable on every problem (Fisher's sign-flip test).

    `differences`: trained - base, one a problem. Under the null each difference has a symmetric distribution about 0,
    so every pattern of signs is equally likely; p is the share of patterns whose sum is at least as far from 0 as the
    observed one. Exact for at most 14 differences that are not zero, else (1 + count) / (1 + flips) of random
    patterns. 1 if all differences are zero. The samples of a problem may depend on each other as they like; needed
    is that both models drew the same number of them, since otherwise equal ability does not make the labels
    exchangeable.
    """
    sizes = np.abs(np.asarray(differences, dtype=np.float64))
    assert np.isfinite(sizes).all(), "differences must be finite"
    observed = abs(float(np.sum(differences)))
    moved = sizes[sizes > ROUNDING * max(float(sizes.max(initial=0.0)), ROUNDING)]
    if not len(moved):
        return 1.0
    at_least = observed - ROUNDING * float(moved.sum())
    if len(moved) <= MAX_ENUMERATED:
        every = (np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved))) & 1
        return float(np.mean(_distances(every, moved) >= at_least))
    rows = max(1, CHUNK_SIGNS // len(moved))
    count = 0
    for start in range(0, flips, rows):
        shape = (min(rows, flips - start), -(-len(moved) // 8))
        patterns = np.unpackbits(rng.integers(256, size=shape, dtype=np.uint8), axis=1, count=len(moved))
        count += int(np.sum(_distances(patterns, moved) >= at_least))
    return (1 + count) / (1 + flips)


def _distances(patterns: np.ndarray, sizes: Float[np.ndarray, " m"]) -> Float[np.ndarray, " R"]:
    """Distance from 0 of the sum under each row of 0 (minus) and 1 (plus)."""
    return np.abs(2 * (patterns.astype(np.float64) @ sizes) - sizes.sum())


def mcnemar(trained_only: int, base_only: int) -> float:
    """Exact two-sided p of as many problems solved by one model alone: min(1, 2 P(Binomial(n, 1/2) <= smaller)).

    n = trained_only + base_only; 1 where n is 0. McNemar 1947, in its binomial form.
    """
    assert min(trained_only, base_only) >= 0, f"{trained_only}, {base_only}: counts"
    total, term, tail = trained_only + base_only, 1, 0
    for solved in range(min(trained_only, base_only) + 1):
        tail += term
        term = term * (total - solved) // (solved + 1)  # the next binomial coefficient; the division is exact
    return min(1.0, 2 * tail / 2**total)


def guess_test(mean: float, num_problems: int, chance: float) -> float:
    """Bound of the p-value of the null that `num_problems` independent values in [0, 1] have expectation <= chance.

    P(mean of m values >= x) <= exp(-m KL(x || chance)), KL between two Bernoulli variables in nats (Hoeffding 1963,
    eq. 2.1). 1 where the mean is not above chance, 0 where chance is 0 and the mean is not.
    """
    assert -ROUNDING <= mean <= 1 + ROUNDING, f"mean {mean}: a mean of values in [0, 1]"
    assert 0 <= chance <= 1, f"chance {chance}: a probability"
    assert num_problems >= 1, f"num_problems {num_problems}: at least one"
    if mean <= chance + ROUNDING * chance:
        return 1.0
    if chance == 0:
        return 0.0
    divergence = mean * (math.log(mean) - math.log(chance))
    if mean < 1:
        divergence += (1 - mean) * (math.log1p(-mean) - math.log1p(-chance))
    return math.exp(-num_problems * max(divergence, 0.0))


def shuffled_test(own: tuple[int, int], other: tuple[int, int]) -> float:
    """p of the null that answers are as often right for other problems of the level as for their own.

    (right, of all) of a model's answers to their own problems, and of its answers judged against other problems. Given
    the number of right ones in all, those of the others are binomial under the null: the probability of as few of them
    or fewer (Przyborowski and Wilenski 1940). 1 where nothing is right.
    """
    right, share = own[0] + other[0], other[1] / (own[1] + other[1])
    below = (math.comb(right, count) * share**count * (1 - share) ** (right - count) for count in range(other[0] + 1))
    return min(1.0, math.fsum(below)) if right else 1.0


def benjamini_hochberg(p: Float[np.ndarray, " L"]) -> Float[np.ndarray, " L"]:
    """q-values: q of the i-th smallest p is the least of p_j L / j over all j >= i (Benjamini and Hochberg 1995)."""
    assert p.ndim == 1, "one axis: tests"
    assert ((p >= 0) & (p <= 1)).all(), "p-values lie between 0 and 1"
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty(len(p), dtype=np.float64)
    q[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.minimum(q, 1.0)
