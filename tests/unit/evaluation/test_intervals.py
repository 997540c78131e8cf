"""Intervals against closed forms, slow twins that share the random numbers, and their coverage."""

import math

import numpy as np
import pytest

from prorl.evaluation import intervals
from prorl.evaluation.intervals import (
    correlation_interval,
    jackknife_variance,
    mean_interval,
    samples_change_interval,
    samples_interval,
    stratified_interval,
)
from prorl.evaluation.passk import pass_at_k

Z = 1.959963984540054
"""97.5 % quantile of the standard normal."""


def _clopper_pearson(right: int, size: int) -> tuple[float, float]:
    """By bisection: the probabilities at which the observed tail has 2.5 %."""

    def tail(chance: float, counts: range) -> float:
        return math.fsum(math.comb(size, c) * chance**c * (1 - chance) ** (size - c) for c in counts)

    def root(counts: range, rising: bool) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if (tail(middle, counts) < 0.025) == rising else (low, middle)
        return low

    lower = root(range(right, size + 1), True) if right else 0.0
    upper = root(range(right + 1), False) if right < size else 1.0
    return lower, upper


@pytest.mark.parametrize(("right", "size"), [(0, 20), (3, 20), (20, 20), (1, 5), (0, 1), (30, 40)])
def test_mean_interval_of_zeros_and_ones_is_clopper_pearson(right: int, size: int) -> None:
    values = np.array([1.0] * right + [0.0] * (size - right))[:, None]
    lower, upper = mean_interval(values, 0.0, 1.0, rng=np.random.default_rng(0), resamples=100_000)
    expected = _clopper_pearson(right, size)
    assert (lower[0], upper[0]) == pytest.approx(expected, abs=4e-3)  # the quantiles are of 100,000 draws


def test_mean_interval_of_one_problem_by_hand() -> None:
    # Weights U and 1 - U: lower bound 0.4 U at U = 0.025, upper 0.4 U + 1 - U at 1 - U = 0.975.
    lower, upper = mean_interval(np.array([[0.4]]), 0.0, 1.0, rng=np.random.default_rng(0), resamples=100_000)
    assert lower[0] == pytest.approx(0.4 * 0.025, abs=1e-3)
    assert upper[0] == pytest.approx(0.4 + 0.6 * 0.975, abs=1e-3)


def test_mean_interval_moves_with_the_scale() -> None:
    values = np.random.default_rng(0).beta(0.5, 2, size=(30, 3))
    lower, upper = mean_interval(values, 0.0, 1.0, rng=np.random.default_rng(1))
    wide = mean_interval(2 * values - 1, -1.0, 1.0, rng=np.random.default_rng(1))
    np.testing.assert_allclose(wide, (2 * lower - 1, 2 * upper - 1), rtol=0, atol=1e-12)
    mirrored = mean_interval(1 - values, 0.0, 1.0, rng=np.random.default_rng(1))
    np.testing.assert_allclose(mirrored, (1 - upper, 1 - lower), rtol=0, atol=1e-12)


def test_mean_interval_is_the_same_in_chunks_and_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    values, resamples = np.random.default_rng(0).random((5, 2)), 50
    rng = np.random.default_rng(7)
    lows, highs = [], []
    for _ in range(resamples):
        weights = [rng.standard_exponential() for _ in range(6)]
        means = [sum(w * v for w, v in zip(weights[:5], column, strict=True)) / sum(weights) for column in values.T]
        lows.append([mean + 0.0 for mean in means])
        highs.append([mean + 2.0 * weights[5] / sum(weights) for mean in means])
    expected = np.quantile(lows, 0.05, axis=0), np.quantile(highs, 0.95, axis=0)
    monkeypatch.setattr(intervals, "CHUNK", 6 * 7)  # seven rows at a time, the last chunk has one
    found = mean_interval(values, 0.0, 2.0, alpha=0.1, rng=np.random.default_rng(7), resamples=resamples)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_mean_interval_refuses_values_out_of_bounds() -> None:
    for bad in (-0.1, 1.1):
        with pytest.raises(AssertionError, match="a value"):
            mean_interval(np.array([[0.5], [bad]]), 0.0, 1.0, rng=np.random.default_rng(0))


def _skewed(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, float]:
    """pass@128 of problems of which one in eight can be solved at all; and the expectation."""
    ability = np.array([0, 0, 0, 0, 0, 0, 0, 0.004])
    population = 1 - (1 - ability) ** 128
    return rng.choice(population, size=shape), float(population.mean())


def test_mean_interval_covers_skewed_values_of_few_problems() -> None:
    columns, size = 500, 20
    gaffke, percentile = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        values, expected = _skewed(rng, (size, columns))
        lower, upper = mean_interval(values, 0.0, 1.0, rng=rng)
        gaffke.append((lower <= expected) & (expected <= upper))
        means = values[rng.integers(size, size=(1000, size))].mean(axis=1)
        lower, upper = np.quantile(means, [0.025, 0.975], axis=0)
        percentile.append((lower <= expected) & (expected <= upper))
    assert np.mean(gaffke) >= 0.94
    assert np.mean(percentile) < 0.94  # the interval that this one replaces


def test_mean_interval_covers_changes() -> None:
    covered = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        base, trained = rng.beta(0.2, 2, (20, 500)), rng.beta(0.3, 0.3, (20, 500))
        lower, upper = mean_interval(trained - base, -1.0, 1.0, rng=rng)
        expected = 0.3 / 0.6 - 0.2 / 2.2
        covered.append((lower <= expected) & (expected <= upper))
    assert np.mean(covered) >= 0.94


def test_stratified_interval_weighs_strata_alike() -> None:
    # Strata of one and of three equal problems: (0.2 + 0.8) / 2 without any variance; the order does not matter.
    values, strata = np.array([[0.8], [0.2], [0.8], [0.8]]), np.array([7, 3, 7, 7])
    lower, upper = stratified_interval(values, strata, rng=np.random.default_rng(0), resamples=50)
    assert (lower[0], upper[0]) == pytest.approx((0.5, 0.5), abs=1e-12)


def test_stratified_interval_draws_one_problem_less() -> None:
    # One of the two is drawn, so the mean is 0 or 1; two draws would give 1/2 half of the time.
    values, strata = np.array([[0.0], [1.0]]), np.zeros(2, dtype=np.int64)
    lower, upper = stratified_interval(values, strata, alpha=0.6, rng=np.random.default_rng(0))
    assert (lower[0], upper[0]) == (0.0, 1.0)


def test_stratified_interval_has_the_unbiased_variance() -> None:
    # 400 strata of three problems: the variance of the mean is the mean of s^2 / 3 over 400, and it is near normal.
    values = np.random.default_rng(0).random((1200, 1))
    strata = np.repeat(np.arange(400), 3)
    variance = np.mean(values.reshape(400, 3).var(axis=1, ddof=1) / 3) / 400
    lower, upper = stratified_interval(values, strata, rng=np.random.default_rng(1), resamples=10_000)
    assert lower[0] == pytest.approx(values.mean() - Z * math.sqrt(variance), rel=3e-3)
    assert upper[0] == pytest.approx(values.mean() + Z * math.sqrt(variance), rel=3e-3)


def test_stratified_interval_is_the_same_in_chunks_and_one_draw_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((8, 2))
    strata, resamples = np.array([2, 0, 1, 2, 0, 2, 0, 2]), 40  # sizes 3, 1, 4
    rng = np.random.default_rng(7)
    means = []
    for _ in range(resamples):
        of_stratum = []
        for stratum in range(3):
            problems = values[strata == stratum]
            draws = max(1, len(problems) - 1)
            of_stratum.append(sum(problems[math.floor(rng.random() * len(problems))] for _ in range(draws)) / draws)
        means.append(sum(of_stratum) / 3)
    expected = np.quantile(means, [0.05, 0.95], axis=0)
    monkeypatch.setattr(intervals, "CHUNK", 8 * 7)
    found = stratified_interval(values, strata, alpha=0.1, rng=np.random.default_rng(7), resamples=resamples)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_stratified_interval_covers() -> None:
    # 100 levels of 20 problems; the levels stay, problems are new. Levels from almost unsolved to almost solved.
    right = np.linspace(0.05, 8.0, 100)
    strata, expected = np.repeat(np.arange(100), 20), float(np.mean(right / (right + 2)))
    covered = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        values = rng.beta(np.repeat(right, 20)[:, None], 2.0, size=(2000, 500))
        lower, upper = stratified_interval(values, strata, rng=rng, resamples=800)
        covered.append((lower <= expected) & (expected <= upper))
    assert np.mean(covered) >= 0.94
    assert np.mean(covered) <= 0.965


def _left_out(num_samples: int, num_correct: int, k: int) -> float:
    """Jackknife variance with every sample left out in turn."""
    samples = [1] * num_correct + [0] * (num_samples - num_correct)
    values = [pass_at_k(num_samples - 1, sum(samples) - sample, k) for sample in samples]
    mean = math.fsum(values) / num_samples
    return (num_samples - 1) / num_samples * math.fsum((value - mean) ** 2 for value in values)


@pytest.mark.parametrize(("num_samples", "k"), [(2, 1), (9, 1), (9, 4), (9, 8), (128, 64)])
def test_jackknife_against_leaving_each_sample_out(num_samples: int, k: int) -> None:
    for num_correct in range(num_samples + 1):
        expected = _left_out(num_samples, num_correct, k)
        assert jackknife_variance(num_samples, num_correct, k) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("chance", [0.1, 0.5])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_jackknife_is_not_too_small_in_expectation(chance: float, k: int) -> None:
    size = 8
    weights = [math.comb(size, c) * chance**c * (1 - chance) ** (size - c) for c in range(size + 1)]
    values = [pass_at_k(size, c, k) for c in range(size + 1)]
    mean = sum(w * v for w, v in zip(weights, values, strict=True))
    variance = sum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True))
    expected = sum(w * jackknife_variance(size, c, k) for c, w in enumerate(weights))
    assert expected >= variance - 1e-15
    assert expected <= 2 * variance
    if k == 1:
        assert expected == pytest.approx(variance, rel=1e-12)


def test_samples_interval_by_hand() -> None:
    # Strata of one and two problems; pass@1 has variance p (1 - p) / (n - 1) in each.
    num_samples, num_correct, strata = np.array([17, 10, 5]), np.array([4, 5, 1]), np.array([0, 1, 1])
    p = [4 / 17, 1 / 2, 1 / 5]
    mean = (p[0] + (p[1] + p[2]) / 2) / 2
    parts = [p[0] * (1 - p[0]) / 16, p[1] * (1 - p[1]) / 9, p[2] * (1 - p[2]) / 4]
    half = Z * math.sqrt(parts[0] / 4 + (parts[1] + parts[2]) / 16)
    found = samples_interval(num_samples, num_correct, 1, strata)
    assert found == pytest.approx((mean - half, mean + half), rel=1e-12)
    wider = samples_interval(num_samples, num_correct, 1, strata, alpha=0.01)
    assert wider == pytest.approx((mean - half * 2.5758293035489 / Z, mean + half * 2.5758293035489 / Z), rel=1e-12)


def test_samples_interval_needs_a_sample_to_leave_out() -> None:
    num_correct, strata = np.array([4, 2]), np.array([0, 0])
    assert samples_interval(np.array([9, 8]), num_correct, 8, strata) is None
    assert samples_interval(np.array([9, 9]), num_correct, 8, strata) is not None


def test_samples_interval_stays_between_0_and_1_and_is_empty_where_samples_agree() -> None:
    one = np.array([0])
    assert samples_interval(np.array([4]), np.array([1]), 1, one) == (0.0, pytest.approx(0.25 + Z * 0.25))
    assert samples_interval(np.array([4]), np.array([3]), 1, one) == (pytest.approx(0.75 - Z * 0.25), 1.0)
    assert samples_interval(np.array([4, 4]), np.array([0, 4]), 2, np.array([0, 1])) == (0.5, 0.5)


def test_samples_change_interval_by_hand() -> None:
    # Variances 0.2 * 0.8 / 9 and 0.6 * 0.4 / 19 add up.
    base, trained, strata = (np.array([10]), np.array([2])), (np.array([20]), np.array([12])), np.array([0])
    half = Z * math.sqrt(0.16 / 9 + 0.24 / 19)
    assert samples_change_interval(base, trained, 1, strata) == pytest.approx((0.4 - half, 0.4 + half), rel=1e-12)
    assert samples_change_interval(trained, base, 1, strata) == pytest.approx((-0.4 - half, -0.4 + half), rel=1e-12)
    assert samples_change_interval(base, trained, 10, strata) is None


def test_samples_interval_covers() -> None:
    # 40 problems in 8 strata, 64 samples each; the problems stay, samples are new.
    rng = np.random.default_rng(0)
    ability, n, strata = rng.beta(0.5, 2, 40), np.full(40, 64), np.repeat(np.arange(8), 5)
    for k in (1, 8):
        expected = float(np.mean(1 - (1 - ability) ** k))
        found = [samples_interval(n, rng.binomial(n, ability), k, strata) for _ in range(300)]
        covered = np.mean([pair is not None and pair[0] <= expected <= pair[1] for pair in found])
        assert 0.92 <= covered <= 0.98


def _average_ranks(values: np.ndarray) -> np.ndarray:
    return np.array([np.sum(values < value) + (np.sum(values == value) + 1) / 2 for value in values])


@pytest.mark.parametrize(
    ("x", "y", "kind", "expected"),
    [
        ([1, 2, 3], [2, 4, 6], "pearson", 1.0),
        ([1, 2, 3], [3, 3, 0], "pearson", -math.sqrt(3) / 2),  # products -3; squares 2 and 6
        ([1, 2, 100], [1, 2, 3], "spearman", 1.0),
        ([1, 2, 2, 3], [10, 30, 20, 40], "spearman", 4.5 / math.sqrt(4.5 * 5)),  # ranks 1, 2.5, 2.5, 4
        ([0.3, 0.1 + 0.2, 1], [1, 2, 3], "spearman", math.sqrt(3) / 2),  # a tie on paper: ranks 1.5, 1.5, 3
    ],
)
def test_correlation_by_hand(x: list[float], y: list[float], kind: str, expected: float) -> None:
    found = correlation_interval(np.array(x), np.array(y), kind, rng=np.random.default_rng(0), resamples=200)  # type: ignore[arg-type]
    assert found is not None
    assert found[0] == pytest.approx(expected, abs=1e-12)
    assert -1 <= found[1] <= found[2] <= 1


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_correlation_interval_against_resampled_lists(kind: str) -> None:
    data = np.random.default_rng(0)
    x = data.integers(0, 4, 7) / 4  # ties, and resamples in which x is constant
    y = x + data.normal(size=7)
    resamples = 500
    times = np.random.default_rng(3).multinomial(7, [1 / 7] * 7, size=resamples)
    found = correlation_interval(x, y, kind, rng=np.random.default_rng(3), alpha=0.1, resamples=resamples)  # type: ignore[arg-type]
    values = []
    for row in times:
        of_x, of_y = np.repeat(x, row), np.repeat(y, row)
        if np.ptp(of_x) and np.ptp(of_y):
            pair = (of_x, of_y) if kind == "pearson" else (_average_ranks(of_x), _average_ranks(of_y))
            values.append(np.corrcoef(*pair)[0, 1])
    assert 0 < len(values) < resamples
    assert found is not None
    assert found[1:] == pytest.approx(np.quantile(values, [0.05, 0.95]), abs=1e-9)


def test_correlation_interval_covers() -> None:
    # Normal pairs with correlation -0.6: the percentile bootstrap of 60 pairs is near its level.
    rng, covered = np.random.default_rng(0), []
    for _ in range(200):
        x = rng.normal(size=60)
        y = -0.6 * x + 0.8 * rng.normal(size=60)
        found = correlation_interval(x, y, "pearson", rng=rng, resamples=300)
        assert found is not None
        covered.append(found[1] <= -0.6 <= found[2])
    assert 0.89 <= np.mean(covered) <= 0.98


@pytest.mark.parametrize(("x", "y"), [([0.3, 0.3, 0.1 + 0.2], [1, 2, 3]), ([1, 2, 3], [0.3, 0.3, 0.1 + 0.2])])
def test_no_correlation_with_a_constant(x: list[float], y: list[float]) -> None:
    assert correlation_interval(np.array(x), np.array(y), "pearson", rng=np.random.default_rng(0)) is None
    assert correlation_interval(np.array(x), np.array(y), "spearman", rng=np.random.default_rng(0)) is None


def test_no_correlation_of_two_pairs() -> None:
    two = np.array([1.0, 2.0])
    assert correlation_interval(two, two, "pearson", rng=np.random.default_rng(0)) is None
