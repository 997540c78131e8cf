"""The figures of the engine benchmark, by hand."""

import pytest
from engine import ratio_and_error


def test_mean_and_error_by_hand() -> None:
    """Mean 12 / 12 = 1. Left over in the first group: -1 and 1, variance of their sum 2 * (1 + 1); in the second 0."""
    assert ratio_and_error([[(1.0, 2), (3.0, 2)], [(4.0, 4), (4.0, 4)]]) == pytest.approx((1.0, 4**0.5 / 12))


def test_what_differs_between_prompts_is_no_error() -> None:
    assert ratio_and_error([[(1.0, 1), (1.0, 1)], [(5.0, 1), (5.0, 1)]]) == (3.0, 0.0)
