"""Tests of hypotheses against enumeration, hand-worked p-values and their own null distributions."""

import itertools
import math

import numpy as np
import pytest

from prorl.evaluation import testing
from prorl.evaluation.testing import (
    ASSUMPTIONS,
    benjamini_hochberg,
    guess_test,
    mcnemar,
    shuffled_test,
    swap_test,
)


def _swap(differences: list[float], flips: int = 20000) -> float:
    return swap_test(np.array(differences), rng=np.random.default_rng(0), flips=flips)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 1, 1], 2 / 8),  # of eight patterns only +++ and --- reach 3
        ([1] * 6, 2 / 64),
        ([3, 1], 2 / 4),  # sums 4, 2, -2, -4; observed 4
        ([3, -1], 1.0),  # observed 2: every pattern reaches it
        ([0.5, 0.5, 0.5, -0.5], 10 / 16),  # observed 1: all but the C(4, 2) = 6 sums of 0
        ([0, 0, 1, 1, 1, 0], 2 / 8),  # a problem without a difference has no sign
        ([0.1, 0.2, -0.3], 1.0),  # 0 on paper, 5.6e-17 in binary
        # 0.7 and +-0.6, +-0.4, +-0.2, 0, 0: five of these eight sums reach 0.7, and as many with -0.7 reach -0.7.
        ([0.7, 0.1, 0.2, -0.3], 10 / 16),
        ([0, 0], 1.0),
        ([], 1.0),
    ],
)
def test_swap_test_by_hand(differences: list[float], p: float) -> None:
    assert _swap(differences) == pytest.approx(p, abs=1e-15)


def _by_enumeration(differences: np.ndarray) -> float:
    observed = abs(math.fsum(differences))
    sums = [math.fsum(s * d for s, d in zip(signs, differences, strict=True)) for signs in _signs(len(differences))]
    return sum(abs(value) >= observed - 1e-12 for value in sums) / len(sums)


def _signs(size: int) -> itertools.product:
    return itertools.product((-1, 1), repeat=size)


@pytest.mark.parametrize("size", [5, 10, 14])
def test_swap_test_is_exact_for_few_differences(size: int) -> None:
    differences = np.random.default_rng(size).normal(0.4, 1, size)
    assert _swap(differences.tolist()) == _by_enumeration(differences)


def test_swap_test_by_random_patterns_agrees_with_all_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(3).normal(0.4, 1, 16)
    expected = _by_enumeration(differences)
    monkeypatch.setattr(testing, "CHUNK_SIGNS", 16 * 1000)  # several chunks, the last one shorter
    found = _swap(differences.tolist(), flips=40_500)
    assert found != expected
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 40_500))


def test_swap_test_by_random_patterns_is_never_zero() -> None:
    # 2 of 2^40 patterns reach the sum; none of 999 random ones does.
    assert _swap([1.0] * 40, flips=999) == 1 / 1000


def test_swap_test_does_not_care_which_model_is_which() -> None:
    differences = np.random.default_rng(5).normal(0.3, 1, 30)
    assert _swap(differences.tolist()) == _swap((-differences).tolist())


@pytest.mark.parametrize("size", [12, 40])
def test_swap_test_is_uniform_under_its_null(size: int) -> None:
    rng = np.random.default_rng(size)
    spread = rng.exponential(size=size)  # problems need not be alike
    ps = [swap_test(rng.laplace(scale=spread), rng=rng, flips=999) for _ in range(1500)]
    for level in (0.05, 0.2, 0.5, 0.8):
        share = np.mean(np.array(ps) <= level)
        assert share == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / len(ps)))


@pytest.mark.parametrize("size", [12, 40])
def test_swap_test_of_rare_successes_is_valid(size: int) -> None:
    rng = np.random.default_rng(size)
    # pass@1 of 16 samples by two models with the same probability on each problem: many ties, most problems unsolved.
    ps = []
    for _ in range(1000):
        ability = rng.beta(0.3, 1.0, size)
        base, trained = rng.binomial(16, ability) / 16, rng.binomial(16, ability) / 16
        ps.append(swap_test(trained - base, rng=rng, flips=999))
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(ps) <= level) <= level + 3 * math.sqrt(level * (1 - level) / len(ps))


@pytest.mark.parametrize(
    ("trained_only", "base_only", "p"),
    [
        (0, 0, 1.0),
        (5, 0, 2 / 32),
        (0, 5, 2 / 32),
        (8, 2, 2 * (1 + 10 + 45) / 1024),
        (3, 2, 1.0),  # 2 (1 + 5 + 10) / 32 = 1
        (5, 5, 1.0),  # twice the tail is above 1
    ],
)
def test_mcnemar_by_hand(trained_only: int, base_only: int, p: float) -> None:
    assert mcnemar(trained_only, base_only) == p


def test_mcnemar_of_thousands_of_problems_is_near_the_normal_tail() -> None:
    # sd of the split of 10,000 is 50; 5,100 with continuity correction is 99.5 / 50 = 1.99 sd.
    assert mcnemar(5100, 4900) == pytest.approx(math.erfc(1.99 / math.sqrt(2)), rel=1e-3)
    assert mcnemar(10_000, 0) == 0.0  # 2^-9999 is below the smallest number


@pytest.mark.parametrize(
    ("mean", "num_problems", "chance", "p"),
    [
        (1.0, 1, 0.5, 1 / 2),
        (1.0, 10, 0.5, 2**-10),
        (1.0, 3, 0.1, 1e-3),
        (0.75, 4, 0.5, 1 / (1.5**3 * 0.5)),  # (0.75 / 0.5)^-3 (0.25 / 0.5)^-1
        (0.5, 2, 0.2, 0.2 * 0.8 / 0.25),  # (0.5 / 0.2)^-1 (0.5 / 0.8)^-1
        (0.5, 100, 0.5, 1.0),
        (0.3, 100, 0.5, 1.0),
        (0.0, 100, 0.0, 1.0),
        (0.01, 1, 0.0, 0.0),
        (1.0, 50, 1.0, 1.0),
    ],
)
def test_guess_test_by_hand(mean: float, num_problems: int, chance: float, p: float) -> None:
    assert guess_test(mean, num_problems, chance) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("chance", [0.01, 0.2, 0.5, 0.9])
def test_guess_test_is_no_smaller_than_the_binomial_tail(chance: float) -> None:
    size = 20
    terms = [math.comb(size, c) * chance**c * (1 - chance) ** (size - c) for c in range(size + 1)]
    for right in range(size + 1):
        assert guess_test(right / size, size, chance) >= math.fsum(terms[right:]) - 1e-12


def test_benjamini_hochberg_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04, times 4 / rank: 0.02, 0.02, 0.04, 0.04.
    np.testing.assert_allclose(benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.005])), [0.02, 0.04, 0.04, 0.02])
    # 0.5 * 2 / 1 = 1 and 0.6 * 2 / 2 = 0.6: the smaller p takes the smaller of both.
    np.testing.assert_allclose(benjamini_hochberg(np.array([0.5, 0.6])), [0.6, 0.6])
    assert benjamini_hochberg(np.array([])).shape == (0,)
    assert benjamini_hochberg(np.array([0.03])) == 0.03


def test_benjamini_hochberg_on_the_example_of_its_paper() -> None:
    # Section 4 of the paper: fifteen p-values, of which the procedure rejects four at 0.05 (Bonferroni three).
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.324,
        0.4262,
        0.5719,
        0.6528,
        0.759,
        1,
    ]
    q = benjamini_hochberg(np.array(p))
    assert int(np.sum(q <= 0.05)) == 4
    assert q[3] == pytest.approx(0.0095 * 15 / 4)
    assert np.all(np.diff(q) >= 0)
    assert q[-1] == 1.0


def test_benjamini_hochberg_against_its_definition() -> None:
    p = np.random.default_rng(0).beta(0.5, 1, 60).round(2)  # with ties
    # q of a test: the smallest of (p' times L / number of p <= p') over the p' that are no smaller than its own.
    expected = [min(min(1.0, v * len(p) / np.sum(p <= v)) for v in p if v >= own) for own in p]
    np.testing.assert_allclose(benjamini_hochberg(p), expected, rtol=1e-12)


def test_each_test_says_what_it_assumes() -> None:
    tests = {f.__name__ for f in (swap_test, mcnemar, guess_test, shuffled_test, benjamini_hochberg)}
    assert set(ASSUMPTIONS) == tests
    assert all("independent" in text and text.endswith(".") for text in ASSUMPTIONS.values())


def test_the_shuffled_test_by_hand():
    """12 right of 120 own and 0 of 30 others: (120/150)^12. 2 own and 1 other of equal numbers: P(<= 1 of 3) = 4/8."""
    assert shuffled_test((12, 120), (0, 30)) == pytest.approx(0.8**12)
    assert shuffled_test((2, 50), (1, 50)) == pytest.approx(0.5)
    assert shuffled_test((0, 50), (0, 50)) == 1.0
    assert shuffled_test((0, 50), (3, 50)) == pytest.approx(1.0)
    assert shuffled_test((5120, 5120), (0, 320)) < 1e-100


def test_the_shuffled_test_holds_its_level():
    """A guesser at 1/400 with 40 * 256 samples and 320 shuffled answers: under 5 % of 2,000 draws are called better."""
    rng = np.random.default_rng(4)
    own, other = rng.binomial(10240, 1 / 400, 2000), rng.binomial(320, 1 / 400, 2000)
    called = [shuffled_test((int(a), 10240), (int(b), 320)) <= 0.05 for a, b in zip(own, other, strict=True)]
    assert np.mean(called) <= 0.05
