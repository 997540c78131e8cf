"""Equal and different outputs, and that comparing is bounded."""

import time

import pytest

from prorl.rewards.programs.comparison import same_text, same_value

NAN, INF = float("nan"), float("inf")

SAME_TEXT = [
    ("", ""),
    ("", "\n \n"),
    ("5", "5\n"),
    ("5\n", "5"),
    ("1 2 3", "1 2 3 \n\n\n"),
    ("1 2 3", "1  2\t3"),
    ("a\nb", "a\r\nb\r\n"),
    ("a\n\nb", "a\nb"),
    ("  a", "a"),
    ("0.5", "0.5000000001"),
    ("0.333333", "0.3333333333333333"),
    ("0.000000", "4e-7"),
    ("2.0", "2"),
    ("1e3", "1000"),
    ("1000000.0", "1000000.9"),  # relative: 0.9 / 1000000 < 1e-6
    ("x = 0.5 !", "x = 0.50 !"),
    ("1" * 5000, "1" * 5000),
]
DIFFERENT_TEXT = [
    ("1", "True"),
    ("1", "1.0"),
    ("1", "01"),
    ("1", "+1"),
    ("1", ""),
    ("", "1"),
    ("1 2", "1\n2"),
    ("1\n2", "1 2"),
    ("1\n2", "2\n1"),
    ("12", "1 2"),
    ("YES", "yes"),
    ("YES", "YES\nNO"),
    ("YES", "NO\nYES"),
    ("1", "1\n1"),
    ("3", "3.0000000001"),
    ("0.5", "0.50001"),
    ("1000000.0", "1000001.1"),
    ("0.5", "nan"),
    ("0.5", "inf"),
    ("0.5", "0_5e-1"),
    ("0.5", "1/2"),
    ("0.5", "½"),
    ("1.0", "True"),
    ("nan", "0.5"),
    ("1e999", "1e998"),
    ("1.5", "1.5" + "0" * 500),
]


@pytest.mark.parametrize(("expected", "printed"), SAME_TEXT)
def test_same_text(expected, printed):
    assert same_text(expected, printed)


@pytest.mark.parametrize(("expected", "printed"), DIFFERENT_TEXT)
def test_different_text(expected, printed):
    assert not same_text(expected, printed)


SAME_VALUE = [
    (None, None),
    (True, True),
    (3, 3),
    (3, 3.0),
    (3.0, 3),
    (0.1 + 0.2, 0.3),
    (0.0, 0.1 + 0.2 - 0.3),  # 5.6e-17
    (1e-9, 1.0000001e-9),
    (1e12, 1e12 + 1e5),
    (NAN, NAN),
    (INF, INF),
    (2**5000, 2**5000),
    ("a", "a"),
    ([1, 2], (1, 2)),
    ([[1], [2, [3]]], ([1], (2, (3,)))),
    ([], ()),
    ({"1": "a", "2": [3]}, {1: "a", 2: (3,)}),
    ({"true": 1, "null": 2, "1.5": 3}, {True: 1, None: 2, 1.5: 3}),
    ({}, {}),
]
DIFFERENT_VALUE = [
    (1, True),
    (True, 1),
    (False, 0),
    (0, False),
    (True, "True"),
    (None, 0),
    (None, False),
    (0, None),
    ("", None),
    (1, "1"),
    ("1", 1),
    (1.5, "1.5"),
    ("a", b"a"),
    ("a", ["a"]),
    (3, 3.0000001),
    (2**53 + 1, float(2**53)),
    (0.5, 0.50001),
    (1e-7, 0.0),
    (1e-9, 1.1e-9),
    (0.5, NAN),
    (NAN, 0.5),
    (INF, -INF),
    (1e308, INF),
    (1.0, 10**400),
    (1.0, True),
    (1.0, 1 + 0j),
    (1, 1 + 0j),
    ([1, 2], [1]),
    ([1, 2], [2, 1]),
    ([1, 2], {1, 2}),
    ([1, 2], {"0": 1, "1": 2}),
    ([], {}),
    ({}, []),
    ({"1": 2}, {1: 2, "1": 2}),
    ({"1": 2}, {1: 3}),
    ({"1": 2}, {(1,): 2}),
    ({"1": 2}, {10**5000: 2}),
    ({"1": 2}, [["1", 2]]),
    ("ab", ["a", "b"]),
    (["a", "b"], "ab"),
]


@pytest.mark.parametrize(("expected", "returned"), SAME_VALUE)
def test_same_value(expected, returned):
    assert same_value(expected, returned)


@pytest.mark.parametrize(("expected", "returned"), DIFFERENT_VALUE)
def test_different_value(expected, returned):
    assert not same_value(expected, returned)


def nested(depth, innermost):
    value = innermost
    for _ in range(depth):
        value = [value]
    return value


def test_deep_values_need_no_recursion():
    assert same_value(nested(20_000, 1), nested(20_000, 1))
    assert not same_value(nested(20_000, 1), nested(20_000, 2))


@pytest.mark.parametrize("unit", [" ", "\n", "\r", "\r\n", "1", "1.", "1 ", "1.5\n", "e", "-", "\0", "\u2028", "9e"])
def test_four_megabytes_of_output_are_compared_quickly(unit):
    text = unit * (4 * 2**20 // len(unit))
    started = time.process_time()
    same_text(text + "x", text + "y")
    same_text("1.5", text)
    assert time.process_time() - started < 40.0
