"""The group filter and the spread over ranks, against hand-worked cases."""

import itertools
import random

import pytest

from prorl.algorithm.groups import balance, is_informative


@pytest.mark.parametrize(
    ("scores", "informative"),
    [
        ([0.0, 0.0, 0.0, 0.0], False),
        ([1.0, 1.0, 1.0, 1.0], False),
        ([1.0, 0.0, 0.0, 0.0], True),
        ([0.7, 0.7, 0.7], False),
        ([0.70, 0.75], True),
        ([0.0, 1e-7], False),  # below the spread of 1e-6
        ([1.0], False),
        ([], False),
    ],
)
def test_a_group_teaches_when_its_scores_differ(scores: list[float], informative: bool) -> None:
    assert is_informative(scores, min_spread=1e-6) is informative


def test_consolation_scores_below_the_floor_count_as_zero() -> None:
    assert is_informative([0.05, 0.0], min_spread=1e-6)
    assert not is_informative([0.05, 0.0], min_spread=1e-6, floor=0.1)
    # The floor itself is not below the floor; 0.5 stays and 0.05 becomes 0.
    assert is_informative([0.1, 0.05], min_spread=1e-6, floor=0.1)
    assert is_informative([0.5, 0.05], min_spread=0.45, floor=0.1)
    assert not is_informative([0.5, 0.05], min_spread=0.45)


def test_min_spread_itself_is_flat_and_zero_keeps_any_difference() -> None:
    assert not is_informative([0.5, 0.25], min_spread=0.25)
    assert is_informative([0.5, 0.25], min_spread=0.24)
    assert is_informative([0.0, 1e-12], min_spread=0)
    assert not is_informative([0.3, 0.3], min_spread=0)


def test_balance_by_hand() -> None:
    # 7 -> bin 0; 6 -> 1; 5 -> 1 (11); 4 -> 0 (11); tie of 11 and 2 items: 3 -> 0 (14); 2 -> 1 (13).
    assert balance([7, 6, 5, 4, 3, 2], 2) == [[0, 3, 4], [1, 2, 5]]
    # The order of the items changes the indices, not the partition by length.
    assert balance([2, 3, 4, 5, 6, 7], 2) == [[1, 2, 5], [0, 3, 4]]
    assert balance([5, 5], 3) == [[0], [1], []]
    assert balance([0, 0, 0, 0], 2) == [[0, 2], [1, 3]]
    assert balance([], 2) == [[], []]


def test_balance_keeps_every_item_once_within_grahams_bound() -> None:
    draw = random.Random(0)
    for _ in range(30):
        lengths = [draw.randint(1, 50) for _ in range(8)]
        bins = balance(lengths, 3)
        assert sorted(itertools.chain(*bins)) == list(range(8))
        fullest = max(sum(lengths[index] for index in items) for items in bins)
        best = min(
            max(
                sum(length for length, bin_ in zip(lengths, choice, strict=True) if bin_ == number)
                for number in range(3)
            )
            for choice in itertools.product(range(3), repeat=8)
        )
        assert best <= fullest <= best * (4 / 3 - 1 / 9)
