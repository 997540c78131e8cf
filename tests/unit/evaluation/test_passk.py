"""pass@k against enumeration, exact fractions and hand-worked numbers."""

import itertools
import math
from fractions import Fraction

import pytest

from prorl.errors import UserError
from prorl.evaluation.passk import mean_pass_at_k, pass_at_k, pass_at_k_curve


def test_by_hand() -> None:
    # n = 4, c = 2: of C(4, 2) = 6 pairs one has no correct sample; of C(4, 3) = 4 triples none.
    assert pass_at_k(4, 2, 1) == 0.5
    assert pass_at_k(4, 2, 2) == pytest.approx(5 / 6, abs=1e-15)
    assert pass_at_k(4, 2, 3) == 1.0
    # n = 256, c = 1: one sample in 256, so pass@128 is 1/2.
    assert pass_at_k(256, 1, 128) == 0.5


@pytest.mark.parametrize("num_correct", range(8))
@pytest.mark.parametrize("k", range(1, 8))
def test_equal_to_counting_all_subsets(num_correct: int, k: int) -> None:
    subsets = list(itertools.combinations(range(7), k))
    solved = sum(min(subset) < num_correct for subset in subsets)  # the first `num_correct` samples are correct
    assert pass_at_k(7, num_correct, k) == pytest.approx(solved / len(subsets), abs=1e-15)


def _by_product(num_samples: int, num_correct: int, k: int) -> float:
    """The chance that k draws in a row all miss, one factor a draw, in exact fractions."""
    missed = Fraction(1)
    for draw in range(k):
        missed *= Fraction(max(num_samples - num_correct - draw, 0), num_samples - draw)
    return float(1 - missed)


@pytest.mark.parametrize("num_samples", [16, 256, 1024])
@pytest.mark.parametrize("share", [0.0, 1e-9, 0.01, 0.3, 0.999, 1.0])
def test_exact_up_to_1024_samples(num_samples: int, share: float) -> None:
    num_correct = math.ceil(share * num_samples)
    ks = [2**power for power in range(num_samples.bit_length())]
    expected = [_by_product(num_samples, num_correct, k) for k in ks]
    assert pass_at_k_curve(num_samples, num_correct, ks) == pytest.approx(expected, abs=1e-14, rel=1e-14)


def test_pass_at_1_is_the_fraction_correct_to_the_last_bit() -> None:
    assert all(pass_at_k(256, correct, 1) == correct / 256 for correct in range(257))
    assert pass_at_k(20, 1, 1) == 0.05  # 1 - 19/20 would be 0.050000000000000044


def test_ends_and_growth() -> None:
    assert pass_at_k_curve(64, 0, [1, 8, 64]) == [0.0, 0.0, 0.0]
    assert pass_at_k_curve(64, 64, [1, 8, 64]) == [1.0, 1.0, 1.0]
    curve = pass_at_k_curve(64, 3, range(1, 65))
    assert all(low < high for low, high in itertools.pairwise(curve[:62]))
    assert curve[61:] == [1.0, 1.0, 1.0]  # 62 draws of 64 cannot miss all three


def test_mean_over_problems() -> None:
    # 1/2, 5/6 and 0 over three problems of different n.
    assert mean_pass_at_k([(2, 1), (4, 2), (9, 0)], 1) == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert mean_pass_at_k([(3, 1), (4, 2)], 2) == pytest.approx((2 / 3 + 5 / 6) / 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 2, 5), "k = 5: must be between 1 and num_samples = 4"),
        ((4, 2, 0), "k = 0: "),
        ((4, 2, -1), "k = -1: "),
        ((4, 5, 1), "num_correct = 5: must be between 0 and num_samples = 4"),
        ((4, -1, 1), "num_correct = -1: "),
        ((-4, 0, 1), "num_samples = -4"),
        ((0, 0, 1), "num_samples = 0"),
    ],
)
def test_impossible_counts_are_one_line_errors(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        pass_at_k(*arguments)
    assert "\n" not in str(error.value)


def test_no_problem_is_an_error() -> None:
    with pytest.raises(UserError, match="at least one problem"):
        mean_pass_at_k([], 1)
