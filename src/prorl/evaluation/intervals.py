"""Stage 7: confidence intervals over problems, over samples, and of a correlation. It measures and decides nothing."""

import math
from collections.abc import Iterator
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from prorl.evaluation.passk import pass_at_k_table, per_counts

CHUNK = 2**22
"""Random numbers held at a time."""
ROUNDING = 1e-9
"""Values that are equal on paper compare equal."""

Kind = Literal["pearson", "spearman"]


def mean_interval(
    values: Float[np.ndarray, "m K"],
    low: float,
    high: float,
    *,
    alpha: float = 0.05,
    rng: np.random.Generator,
    resamples: int = 4000,
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """(lower, upper) for the mean over problems of values in [low, high], m problems of independent draws.

    Gaffke's interval: the weighted mean of the m values and one more at the worst value, with weights uniform on the
    simplex (Dirichlet(1, ..., 1) over m + 1). The alpha/2 quantile with the extra value at `low` is the lower bound,
    the 1 - alpha/2 quantile with it at `high` the upper one. Gaffke 2005; Learned-Miller and Thomas, arXiv 1905.06208,
    who conjecture that it covers at least 1 - alpha for every distribution on [low, high] and every m. Equal to
    Clopper-Pearson for values at the two ends, so problems that all agree do not give an empty interval. The quantiles
    are Monte Carlo, with the same weights for all K columns.
    """
    num_problems, columns = values.shape
    assert num_problems, "at least one problem"
    assert low - ROUNDING <= values.min(initial=low), f"a value below {low}"
    assert values.max(initial=high) <= high + ROUNDING, f"a value above {high}"
    inner, extra = np.empty((resamples, columns)), np.empty((resamples, 1))
    for rows in _chunks(resamples, num_problems + 1):
        weights = rng.standard_exponential((len(inner[rows]), num_problems + 1))
        weights /= weights.sum(axis=1, keepdims=True)
        inner[rows], extra[rows] = weights[:, :-1] @ values, weights[:, -1:]
    lower = np.quantile(inner + low * extra, alpha / 2, axis=0)
    upper = np.quantile(inner + high * extra, 1 - alpha / 2, axis=0)
    return np.clip(lower, low, high), np.clip(upper, low, high)


def _chunks(rows: int, width: int) -> Iterator[slice]:
    step = max(1, CHUNK // width)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def stratified_interval(
    values: Float[np.ndarray, "P K"],
    strata: Int[np.ndarray, " P"],
    *,
    alpha: float = 0.05,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """(lower, upper) for the mean over strata of the stratum means: other problems of the same strata.

    Percentile bootstrap. m - 1 of the m problems of a stratum are drawn with replacement, which makes the variance of
    a stratum's resampled mean the unbiased s^2 / m (Rao and Wu 1988). A stratum of one problem keeps it: its own
    variance is unknown and not in the interval. The same draws for all K columns. For few problems in all, or where
    they all agree, the interval is too narrow: use `mean_interval`.
    """
    assert len(values) == len(strata) > 0, f"{len(values)} values, {len(strata)} strata: one each a problem, not none"
    order = np.argsort(strata, kind="stable")
    _, starts, sizes = np.unique(strata[order], return_index=True, return_counts=True)
    draws = np.maximum(sizes - 1, 1)
    weighted = values[order] / np.repeat(draws * len(sizes), sizes)[:, None]
    start_of_draw, size_of_draw = np.repeat(starts, draws), np.repeat(sizes, draws)
    means = np.empty((resamples, values.shape[1]))
    for rows in _chunks(resamples, len(values)):
        num_rows = len(means[rows])
        # A uniform number below 1 times m rounds to less than m, so the floor stays inside the stratum.
        drawn = start_of_draw + (rng.random((num_rows, len(start_of_draw))) * size_of_draw).astype(np.int64)
        drawn += np.arange(num_rows)[:, None] * len(values)
        times = np.bincount(drawn.reshape(-1), minlength=num_rows * len(values)).reshape(num_rows, len(values))
        means[rows] = times.astype(np.float64) @ weighted
    lower, upper = np.quantile(means, [alpha / 2, 1 - alpha / 2], axis=0)
    return lower, upper


def widened(
    mean: Float[np.ndarray, " K"], lower: Float[np.ndarray, " K"], upper: Float[np.ndarray, " K"], room: float
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Bounds set further from the mean by `room`, in quadrature: what a bootstrap lacks where problems agree."""
    below, above = np.hypot(np.maximum(mean - lower, 0), room), np.hypot(np.maximum(upper - mean, 0), room)
    return mean - below, mean + above


def samples_interval(
    num_samples: Int[np.ndarray, " P"],
    num_correct: Int[np.ndarray, " P"],
    k: int,
    strata: Int[np.ndarray, " P"],
    *,
    alpha: float = 0.05,
) -> tuple[float, float] | None:
    """(lower, upper) of the mean over strata of the mean pass@k: the same problems, other samples.

    pass@k of a problem is a U-statistic of its samples; its variance is the jackknife's, leaving out one sample at a
    time, and problems add up, since their samples are independent. The jackknife is not too small in expectation
    (Efron and Stein 1981), and the more too large the nearer k is to n. Normal interval, cut to [0, 1]; of no width
    where each problem's samples are all right or all wrong, and for k of n / 2 and more a little optimistic (of 40
    problems, 64 samples each, it covered 95 to 96 % up to k = 16 and 92 % at 32). None where some problem has
    num_samples <= k.
    """
    moments = _mean_and_variance(num_samples, num_correct, k, strata)
    return None if moments is None else _normal_interval(*moments, alpha=alpha, low=0.0)


def samples_change_interval(
    base: tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]],
    trained: tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]],
    k: int,
    strata: Int[np.ndarray, " P"],
    *,
    alpha: float = 0.05,
) -> tuple[float, float] | None:
    """As `samples_interval`, for trained - base; each is (num_samples, num_correct) of the same problems.

    The models' samples are independent, so the variances add. Cut to [-1, 1].
    """
    before, after = (_mean_and_variance(drawn, right, k, strata) for drawn, right in (base, trained))
    if before is None or after is None:
        return None
    return _normal_interval(after[0] - before[0], before[1] + after[1], alpha=alpha, low=-1.0)


def _normal_interval(mean: float, variance: float, *, alpha: float, low: float) -> tuple[float, float]:
    half = NormalDist().inv_cdf(1 - alpha / 2) * math.sqrt(variance)
    return max(low, mean - half), min(1.0, mean + half)


def _mean_and_variance(
    num_samples: Int[np.ndarray, " P"], num_correct: Int[np.ndarray, " P"], k: int, strata: Int[np.ndarray, " P"]
) -> tuple[float, float] | None:
    """Mean over strata of the mean pass@k, and its variance over the samples."""
    assert len(num_samples) == len(num_correct) == len(strata) > 0, "one entry a problem, and not none"
    if (num_samples <= k).any():
        return None
    _, places, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    share = 1 / (len(sizes) * sizes[places])
    variances = per_counts(num_samples, num_correct, lambda n, c: jackknife_variance(n, c, k))
    return float(share @ pass_at_k_table(num_samples, num_correct, [k])[:, 0]), float(share**2 @ variances)


@lru_cache(1 << 16)
def jackknife_variance(num_samples: int, num_correct: int, k: int) -> float:
    """Jackknife variance of one problem's pass@k, k < n: (n - 1) / n times the sum of squares of the n left-out values.

    They take two values: one of the c right samples left out, or one of the n - c wrong ones. They differ by
    d = C(n - 1 - c, k - 1) / C(n - 1, k), which makes it (n - 1) / n^2 c (n - c) d^2. Unbiased for k = 1.
    """
    assert 1 <= k < num_samples, f"k {k}: below num_samples {num_samples}"
    n, c = num_samples, num_correct
    if not 0 < c < n:
        return 0.0
    difference = math.comb(n - 1 - c, k - 1) / math.comb(n - 1, k)
    return (n - 1) / n**2 * c * (n - c) * difference**2


def correlation_interval(
    x: Float[np.ndarray, " L"],
    y: Float[np.ndarray, " L"],
    kind: Kind,
    *,
    rng: np.random.Generator,
    alpha: float = 0.05,
    resamples: int = 2000,
) -> tuple[float, float, float] | None:
    """(estimate, lower, upper) of the correlation of x and y over levels; percentile bootstrap of the pairs.

    spearman: the correlation of ranks, equal values (within 1e-9) with their average rank. None for fewer than three
    pairs, or where x or y is constant; a resample in which one is, is left out.
    """
    assert len(x) == len(y), f"{len(x)} and {len(y)} values: pairs"
    x, y = (np.asarray(vector, dtype=np.float64) for vector in (x, y))
    if len(x) < 3 or min(np.ptp(x), np.ptp(y)) <= ROUNDING:
        return None
    estimate = float(_correlations(x, y, np.ones((1, len(x))), kind)[0])
    times = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=resamples).astype(np.float64)
    lower, upper = np.nanquantile(_correlations(x, y, times, kind), [alpha / 2, 1 - alpha / 2])
    return estimate, float(lower), float(upper)


def _correlations(
    x: Float[np.ndarray, " L"], y: Float[np.ndarray, " L"], times: Float[np.ndarray, "R L"], kind: Kind
) -> Float[np.ndarray, " R"]:
    """The correlation in each resample, given how often each pair is in it; nan where x or y is constant in it."""
    total = times.sum(axis=1, keepdims=True)
    deviations, constant = [], np.zeros(len(times), dtype=bool)
    for vector in (x, y):
        _, places = np.unique(np.round(vector, 9), return_inverse=True)
        of_value = times @ (places[:, None] == np.arange(places.max() + 1)).astype(np.float64)
        constant |= (of_value > 0).sum(axis=1) == 1
        # The average rank of a value: all below it, and the middle of its own.
        ranks = np.cumsum(of_value, axis=1) - of_value + (of_value + 1) / 2
        numbers = ranks[:, places] if kind == "spearman" else np.broadcast_to(vector, times.shape)
        deviations.append(numbers - (times * numbers).sum(axis=1, keepdims=True) / total)
    of_x, of_y = deviations
    squares = (times * of_x**2).sum(axis=1) * (times * of_y**2).sum(axis=1)
    products = (times * of_x * of_y).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(constant, np.nan, np.clip(products / np.sqrt(squares), -1.0, 1.0))
