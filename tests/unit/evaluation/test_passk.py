"""pass@k against enumeration, exact fractions and hand-worked numbers."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from prorl.errors import UserError
from prorl.evaluation.passk import pass_at_k, pass_at_k_table, per_counts


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
    found = [pass_at_k(num_samples, num_correct, k) for k in ks]
    assert found == pytest.approx(expected, abs=1e-14, rel=1e-14)


@pytest.mark.parametrize("num_samples", [1, 2, 3, 16, 100, 256, 1000, 1024])
def test_table_of_every_count_against_exact_fractions(num_samples: int) -> None:
    ks = sorted({*(2**power for power in range(num_samples.bit_length())), num_samples})
    expected = []
    for k in ks:
        # One right sample more: all k miss with C(n - c - 1, k) / C(n - c, k) = (n - c - k) / (n - c) of the chance.
        missed, column = Fraction(1), []
        for num_correct in range(num_samples + 1):
            column.append(float(1 - missed))
            wrong = num_samples - num_correct
            missed *= Fraction(max(wrong - k, 0), max(wrong, 1))
        expected.append(column)
    counts = np.arange(num_samples + 1)
    found = pass_at_k_table(np.full(num_samples + 1, num_samples), counts, ks)
    assert found.shape == (num_samples + 1, len(ks))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.array(expected).T, rtol=0, atol=1e-12)


def test_table_of_mixed_and_repeated_counts_is_in_the_order_of_the_problems() -> None:
    num_samples, num_correct = np.array([4, 8, 4, 16, 8]), np.array([2, 0, 2, 1, 8])
    found = pass_at_k_table(num_samples, num_correct, [1, 2, 4])
    # Rows by hand: c/n, then 1 - C(n-c, k)/C(n, k): 1 - 1/6, 1 - 0; one right of 16 is among k with k/16.
    expected = [[1 / 2, 5 / 6, 1], [0, 0, 0], [1 / 2, 5 / 6, 1], [1 / 16, 2 / 16, 4 / 16], [1, 1, 1]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)
    assert pass_at_k_table(num_samples[:0], num_correct[:0], [1, 2]).shape == (0, 2)


def test_equal_counts_are_computed_once() -> None:
    asked: list[tuple[int, int]] = []
    per_counts(np.array([4, 4, 8]), np.array([1, 1, 1]), lambda n, c: asked.append((n, c)) or 0.0)  # type: ignore[func-returns-value]
    assert asked == [(4, 1), (8, 1)]


@pytest.mark.parametrize(
    ("counts", "ks", "message"),
    [
        (([4, 8], [1, 1]), [1, 8], "k = 8: must be between 1 and num_samples = 4"),
        (([4, 8], [3, -1]), [1], "num_correct = -1: must be between 0 and num_samples = 8"),
        (([4, 8], [1, 9]), [1], "num_correct = 9: must be between 0 and num_samples = 8"),
    ],
)
def test_table_of_impossible_counts(counts: tuple[list[int], list[int]], ks: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        pass_at_k_table(np.array(counts[0]), np.array(counts[1]), ks)


def test_pass_at_1_is_the_fraction_correct_to_the_last_bit() -> None:
    assert all(pass_at_k(256, correct, 1) == correct / 256 for correct in range(257))
    assert pass_at_k(20, 1, 1) == 0.05  # 1 - 19/20 would be 0.050000000000000044


def test_ends_and_growth() -> None:
    assert [pass_at_k(64, 0, k) for k in (1, 8, 64)] == [0.0, 0.0, 0.0]
    assert [pass_at_k(64, 64, k) for k in (1, 8, 64)] == [1.0, 1.0, 1.0]
    curve = [pass_at_k(64, 3, k) for k in range(1, 65)]
    assert all(low < high for low, high in itertools.pairwise(curve[:62]))
    assert curve[61:] == [1.0, 1.0, 1.0]  # 62 draws of 64 cannot miss all three


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
