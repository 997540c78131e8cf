"""Estimators of one problem against enumeration of all subsets and hand-worked numbers."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from prorl.errors import UserError
from prorl.evaluation.estimators import (
    all_at_k,
    chance_at_k,
    chance_corrected,
    crossing,
    majority_at_k,
    mean_at_n,
    shift_bound,
    solved_at,
)
from prorl.evaluation.passk import pass_at_k


@pytest.mark.parametrize("num_correct", range(8))
@pytest.mark.parametrize("k", range(1, 8))
def test_all_at_k_equal_to_counting_all_subsets(num_correct: int, k: int) -> None:
    subsets = list(itertools.combinations(range(7), k))
    solved = sum(max(subset) < num_correct for subset in subsets)
    assert all_at_k(7, num_correct, k) == pytest.approx(solved / len(subsets), abs=1e-15)
    assert all_at_k(7, num_correct, k) == pytest.approx(1 - pass_at_k(7, 7 - num_correct, k), abs=1e-15)


def test_all_at_k_keeps_small_numbers() -> None:
    assert all_at_k(1024, 10, 10) == float(Fraction(1, math.comb(1024, 10)))
    with pytest.raises(UserError, match="num_correct = 5"):
        all_at_k(4, 5, 1)
    with pytest.raises(UserError, match="k = 5"):
        all_at_k(4, 2, 5)


def _majority(answers: str, right: str, k: int, draws: int = 200) -> float:
    """Answers are single letters, "." is none; `right` are the letters of right answers."""
    texts = [letter.strip(".") for letter in answers]
    return majority_at_k(texts, [letter in right for letter in answers], k, np.random.default_rng(0), draws)


@pytest.mark.parametrize(
    ("answers", "right", "value"),
    [
        ("aab", "a", 1.0),
        ("aab", "b", 0.0),
        ("ab", "a", 0.5),  # a tie of two
        ("aabbcd", "a", 0.5),
        ("abcd", "ab", 0.5),  # two of four tied answers are right
        ("...a", "a", 1.0),  # no answer does not win against one
        ("...a", "b", 0.0),
        ("...", ".", 0.0),  # nothing but no answer is wrong, whatever was judged
        ("..ab", "a.", 0.5),
    ],
)
def test_majority_of_all_samples_by_hand(answers: str, right: str, value: float) -> None:
    assert _majority(answers, right, len(answers)) == value


@pytest.mark.parametrize("k", range(1, 7))
@pytest.mark.parametrize("answers", ["aabbcc.", "aaab.cd", "ab....."])
def test_majority_equal_to_enumerating_all_subsets(answers: str, k: int) -> None:
    expected = []
    for subset in itertools.combinations(answers, k):
        votes = Counter(letter for letter in subset if letter != ".")
        winners = [letter for letter, count in votes.items() if count == max(votes.values())]
        expected.append(winners.count("a") / len(winners) if winners else 0.0)
    draws = 20_000
    sd = np.std(expected) / math.sqrt(draws)
    assert _majority(answers, "a", k, draws) == pytest.approx(np.mean(expected), abs=4 * sd + 1e-12)


def test_majority_of_an_answer_that_is_judged_differently_counts_by_share() -> None:
    rng = np.random.default_rng(0)
    assert majority_at_k(["a", "a", "a", "b"], [True, False, True, True], 4, rng) == pytest.approx(2 / 3)


def test_majority_draws_nothing_where_no_answer_is_right() -> None:
    rng = np.random.default_rng(0)
    assert majority_at_k(["a", "b", ""], [False, False, True], 2, rng) == 0.0
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("k", [0, 4, -1])
def test_majority_of_too_many_samples_is_an_error(k: int) -> None:
    with pytest.raises(UserError, match=f"k = {k}: a majority needs k between 1 and num_samples = 3") as error:
        _majority("abc", "a", k)
    assert "\n" not in str(error.value)


def test_mean_at_n() -> None:
    assert mean_at_n([0.1] * 10) == 0.1  # a running sum gives 0.09999999999999999
    assert mean_at_n([0, 0.25, 1, 0.75]) == 0.5
    with pytest.raises(UserError, match="values is empty"):
        mean_at_n([])


def test_guessing_by_hand() -> None:
    assert chance_at_k(0.5, 1) == pytest.approx(0.5, abs=1e-15)
    assert chance_at_k(0.5, 2) == pytest.approx(0.75, abs=1e-15)
    assert chance_at_k(1 / 3, 3) == pytest.approx(19 / 27, abs=1e-15)
    assert chance_at_k(0.0, 128) == 0.0
    assert chance_at_k(1.0, 1) == 1.0
    assert chance_at_k(1e-18, 128) == pytest.approx(1.28e-16, rel=1e-12, abs=0)  # 1 - (1 - 1e-18)^128 would be 0


def test_correction_for_guessing_by_hand() -> None:
    assert chance_corrected(0.75, 0.5, 2) == pytest.approx(0.0, abs=1e-15)
    assert chance_corrected(1.0, 0.5, 2) == 1.0
    assert chance_corrected(0.875, 0.5, 2) == pytest.approx(0.5, abs=1e-15)
    assert chance_corrected(0.0, 0.5, 2) == pytest.approx(-3.0, abs=1e-14)  # -0.75 / 0.25
    assert chance_corrected(0.3, 0.0, 8) == 0.3


@pytest.mark.parametrize(("chance", "k"), [(1.0, 1), (0.5, 64), (0.25, 128)])
def test_correction_where_guessing_solves_everything_is_an_error(chance: float, k: int) -> None:
    with pytest.raises(UserError, match=f"k = {k}: guessing with chance = {chance}") as error:
        chance_corrected(1.0, chance, k)
    assert "\n" not in str(error.value)


def test_solved_at_a_threshold() -> None:
    # 0.7 + 0.1 + 0.1 is 0.8999999999999999 in binary: equal on paper.
    found = solved_at(np.array([[0.89, 0.9], [0.7 + 0.1 + 0.1, 1.0]]), 0.9)
    assert found.dtype == np.bool_
    assert found.tolist() == [[False, True], [True, True]]


def test_shift_bound_by_hand() -> None:
    assert shift_bound(0.5, 0.0, 2) == 0.75  # one probability: 1 - 0.5^2
    assert shift_bound(0.5, 0.0, 4) == 1 - 0.5**4
    assert shift_bound(0.5, 0.25, 4) == 0.75  # half 0, half 1: 1 - (1/4 + 1/4)^2
    assert shift_bound(0.0, 0.0, 128) == 0.0
    assert shift_bound(1.0, 0.0, 128) == 1.0


@pytest.mark.parametrize("shape", [(0.1, 0.5), (0.5, 5.0), (3.0, 1.0)])
def test_shift_bound_is_above_pass_at_k_from_two_samples_on(shape: tuple[float, float]) -> None:
    ability = np.random.default_rng(0).beta(*shape, size=500)
    for k in (2, 4, 8, 64):
        expected = float(np.mean(1 - (1 - ability) ** k))
        bound = shift_bound(float(ability.mean()), float(ability.var()), k)
        assert bound >= expected - 1e-12
        if k == 2:
            assert bound == pytest.approx(expected, abs=1e-12)
    assert shift_bound(float(ability.mean()), float(ability.var()), 1) < ability.mean()


def _crossing(base: list[float], trained: list[float]) -> tuple[float, str] | None:
    return crossing([1, 2, 4, 8][: len(base)], np.array(base), np.array(trained))


def test_crossing_by_hand() -> None:
    # Differences 0.3, 0.1, -0.1, -0.2: zero half way between log 2 and log 4.
    found = _crossing([0.1, 0.4, 0.7, 0.9], [0.4, 0.5, 0.6, 0.7])
    assert found == (pytest.approx(2 * math.sqrt(2), rel=1e-12), "base overtakes")
    # 0.3 to -0.1 between 1 and 2: three quarters of the way.
    assert _crossing([0.1, 0.5], [0.4, 0.4]) == (pytest.approx(2**0.75, rel=1e-12), "base overtakes")
    assert _crossing([0.4, 0.4], [0.1, 0.5]) == (pytest.approx(2**0.75, rel=1e-12), "trained overtakes")


def test_crossing_is_the_last_one() -> None:
    # Differences -1, 1, 1, -1 in tenths: up between 1 and 2, down between 4 and 8.
    assert _crossing([0.2] * 4, [0.1, 0.3, 0.3, 0.1]) == (pytest.approx(4 * math.sqrt(2)), "base overtakes")


def test_crossing_at_equal_points() -> None:
    # Differences 0.1, 0, -0.1: they cross where they are equal; 0.1, 0, 0, -0.1: the base is ahead from 4 on.
    assert _crossing([0.1, 0.3, 0.5], [0.2, 0.3, 0.4]) == (pytest.approx(2.0), "base overtakes")
    assert _crossing([0.1, 0.3, 0.3, 0.5], [0.2, 0.3, 0.3, 0.4]) == (pytest.approx(4.0), "base overtakes")


@pytest.mark.parametrize(
    ("base", "trained"),
    [
        ([0.1, 0.2], [0.1, 0.2]),
        ([0.1, 0.2, 1.0], [0.3, 0.4, 1.0]),  # they meet at the end
        ([0.0, 0.2, 0.3], [0.0, 0.4, 0.5]),  # they start together
        ([0.1, 0.3, 0.4], [0.2, 0.3, 0.5]),  # they touch
        ([0.3, 0.1 + 0.2], [0.4, 0.3]),  # the difference at the end is rounding
        ([0.5], [0.1]),
    ],
)
def test_curves_that_do_not_cross(base: list[float], trained: list[float]) -> None:
    assert _crossing(base, trained) is None
