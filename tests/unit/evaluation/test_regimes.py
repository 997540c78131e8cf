"""The rule for the regimes, on changes whose intervals are known by hand, and its errors where the truth is known.

Where every problem changes by the same amount the bootstrap has no width, and an interval is the change plus and minus
z / (P + 2), z = 1.95996: 0.00970 for 200 problems, 0.0377 for 50.
"""

import re
from itertools import pairwise

import numpy as np
import pytest

from prorl.evaluation.regimes import MARGIN, REGIMES, RULES, Regime, regime

Z = 1.959963985


def _of(pass_1: list[float], pass_k: list[float], problems: int = 200, strata: np.ndarray | None = None) -> Regime:
    """Every problem has these values."""
    first, last = (np.repeat(np.array(values)[:, None], problems, axis=1) for values in (pass_1, pass_k))
    places = np.zeros(problems, dtype=np.int64) if strata is None else strata
    return regime(first, last, places, alpha=0.05, rng=np.random.default_rng(0))


def _intervals(found: Regime) -> list[tuple[float, float, float]]:
    """(change, lower, upper) of each change that the reason quotes."""
    quoted = re.findall(r"([+-]\d\.\d{3}) \[(-?\d\.\d{3}), (-?\d\.\d{3})\]", found.reason)
    return [(float(mean), float(low), float(high)) for mean, low, high in quoted]


@pytest.mark.parametrize(
    ("pass_1", "pass_k", "verdict"),
    [
        # pass@1 by less or more than the half width of 0.00970.
        ([0.1, 0.3, 0.1096], [0.2, 0.4, 0.6], "none"),
        ([0.1, 0.0, 0.1098], [0.2, 0.4, 0.6], "sustained"),
        ([0.3, 0.3, 0.1], [0.2, 0.4, 0.6], "none"),
        # The upper bound of the change of pass@k, 0.0102 + 0.0097 and 0.0104 + 0.0097, about the margin of 0.02.
        ([0.1, 0.2, 0.3], [0.5, 0.9, 0.5102], "diminish"),
        ([0.1, 0.2, 0.3], [0.5, 0.5, 0.5104], "sustained"),
        ([0.1, 0.2, 0.3], [0.5, 0.5104, 0.5104], "plateau"),
        ([0.1, 0.2, 0.3], [0.9, 0.9, 0.4], "diminish"),
        # The same after the middle; a small rise that is sure is no rise of note.
        ([0.1, 0.2, 0.3], [0.3, 0.5, 0.5102], "plateau"),
        ([0.1, 0.2, 0.3], [0.3, 0.5, 0.5104], "sustained"),
        ([0.1, 0.2, 0.3], [0.3, 0.7, 0.5], "plateau"),
        # As the paper's palindrome: pass@1 rises on where pass@k is 1.
        ([0.011, 0.558, 0.909], [0.335, 1.0, 1.0], "plateau"),
    ],
)
def test_verdicts_by_hand(pass_1: list[float], pass_k: list[float], verdict: str) -> None:
    assert _of(pass_1, pass_k).verdict == verdict


def test_few_problems_leave_it_open() -> None:
    # 0.03 +- 0.0377 holds 0 and more than the margin.
    assert _of([0.1, 0.2, 0.3], [0.5, 0.5, 0.53], problems=50) == Regime(
        "unclear", "pass@1 rose, +0.200 [0.162, 0.238]; whether pass@k did is open: +0.030 [-0.008, 0.068]"
    )
    late = _of([0.1, 0.2, 0.3], [0.3, 0.5, 0.5], problems=50)
    assert late.verdict == "unclear"
    assert "after the middle is open: +0.000 [-0.038, 0.038]" in late.reason


def test_flat_takes_96_problems_as_the_rules_say() -> None:
    # 1.959964 / 98 = 0.0199996, and / 97 = 0.0202.
    assert "at least 96" in RULES["unclear"]
    assert [_of([0.1, 0.2, 0.3], [0.3, 0.5, 0.5], problems).verdict for problems in (95, 96)] == ["unclear", "plateau"]


@pytest.mark.parametrize(("measurements", "middle"), [(3, 1), (4, 2), (5, 2), (6, 3), (9, 4)])
def test_the_middle_is_at_half_of_the_measurements(measurements: int, middle: int) -> None:
    # pass@k reaches its end at measurement `reached`: a plateau if and only if the middle is there by then.
    for reached in range(1, measurements):
        pass_k = [0.3] * reached + [0.6] * (measurements - reached)
        pass_1 = [0.1, *[0.0] * (measurements - 2), 0.3]
        assert _of(pass_1, pass_k).verdict == ("plateau" if reached <= middle else "sustained")


def test_levels_have_equal_weight() -> None:
    # 10 problems rise by 0.4 and 190 by 0.1: the mean of levels is 0.25. Equal weights of 10 and of 190 problems have
    # the variance of 1 / (10 / 20^2 + 190 / 380^2) = 38 problems, so the half width is z / 40 = 0.049.
    strata = np.repeat([7, 3], [10, 190])
    change = np.where(strata == 7, 0.4, 0.1)
    pass_1 = np.stack([0 * change, 0 * change, change])
    found = regime(pass_1, pass_1, strata, alpha=0.05, rng=np.random.default_rng(0))
    assert found.verdict == "sustained"
    assert _intervals(found) == [(0.25, 0.201, 0.299)] * 2


def test_interval_against_the_normal_formula() -> None:
    generator = np.random.default_rng(5)
    strata = np.repeat([0, 1], [60, 140])
    pass_1 = np.clip(generator.normal([[0.1], [0.3], [0.5]], 0.1, size=(3, 200)), 0, 1)
    pass_k = (generator.random((3, 200)) < [[0.3], [0.5], [0.8]]).astype(np.float64)
    found = regime(pass_1, pass_k, strata, alpha=0.1, rng=generator)
    assert found.verdict == "sustained"
    share = 1 / (2 * np.where(strata == 0, 60, 140))
    least = 1 / (1 / (share**2).sum() + 2)
    # Half widths are near 0.08; a bound of 2,000 resamples is within some 4 % of that, and the reason has 3 digits.
    for start, (mean, low, high) in zip((0, 1), _intervals(found), strict=True):
        change = pass_k[2] - pass_k[start]
        variance = sum(change[strata == level].var(ddof=1) / (strata == level).sum() for level in (0, 1)) / 4
        half = 1.644854 * (variance + least**2) ** 0.5
        assert [mean, low, high] == pytest.approx([share @ change, mean - half, mean + half], abs=0.006)


def test_bounds_stay_within_minus_one_and_one() -> None:
    found = _of([0.0, 0.5, 1.0], [0.0, 0.5, 1.0], problems=5)
    assert _intervals(found)[0] == (1.0, 0.72, 1.0)


def test_false_claims_are_rare() -> None:
    """At 150 problems of 64 samples: a plateau is seldom called sustained, a rise after the middle seldom a plateau."""
    claimed = {"sustained": 0, "plateau": 0}
    generator = np.random.default_rng(3)
    strata = np.arange(150) % 3
    for late, wrong in ((0.0, "sustained"), (MARGIN + 0.005, "plateau")):
        for _ in range(200):
            # Every problem is solved by some of its samples or by none: pass@k is 1 or 0.
            chances = np.array([0.4, 0.8, 0.8 + late])[:, None]
            pass_k = (generator.random((3, 150)) < chances).astype(np.float64)
            pass_1 = np.array([[0.1], [0.3], [0.5]]) * pass_k
            claimed[wrong] += regime(pass_1, pass_k, strata, alpha=0.05, rng=generator, resamples=300).verdict == wrong
    # 2.5 % of 200 is 5; a binomial of that rate is above 13 once in 1,000 times.
    assert max(claimed.values()) <= 13


def test_rules_cover_every_verdict() -> None:
    assert set(REGIMES) <= set(RULES)
    assert all(text and "\n" not in text for text in RULES.values())
    assert all(str(MARGIN) in RULES[name] for name in ("sustained", "plateau", "diminish", "unclear"))


def test_equal_for_equal_generators() -> None:
    generator = np.random.default_rng(1)
    pass_k = np.sort(generator.random((4, 40)), axis=0)
    found = [regime(pass_k, pass_k, np.arange(40) % 4, alpha=0.05, rng=np.random.default_rng(2)) for _ in range(3)]
    assert all(first == second for first, second in pairwise(found))


def test_two_measurements_are_a_mistake() -> None:
    with pytest.raises(AssertionError, match="2 measurements"):
        _of([0.1, 0.2], [0.1, 0.2])
