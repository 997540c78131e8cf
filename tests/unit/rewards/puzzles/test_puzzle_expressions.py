"""The reader of arithmetic follows Python's grammar within its limits, and refuses everything else."""

import operator
from fractions import Fraction

import pytest

from prorl.rewards.puzzles.expressions import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    Arithmetic,
    Unreadable,
    evaluate,
    no_call,
    no_name,
)

NUMBERS = Arithmetic(
    number=Fraction,
    name=no_name,
    call=no_call,
    negate=operator.neg,
    operators={
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": operator.truediv,
        "**": lambda base, power: base ** int(power),
    },
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("8 - 3 - 2", 3),
        ("8 / 4 / 2", 1),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("2 ** -1", Fraction(1, 2)),
        ("2 * -3", -6),
        ("--2", 2),
        (" .5 + 1. ", Fraction(3, 2)),
        ("((7))", 7),
    ],
)
def test_values(text, value):
    assert evaluate(text, NUMBERS) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 +",
        "* 1",
        "1 2",
        "(1",
        "1)",
        "()",
        "1..2",
        "x",
        "f(1)",
        "1 % 2",
        "1 // 2",
        "2 ^ 3",
        "1e5",
        "1_000",
        "[1]",
        "1,2",
        "1 if 1 else 2",
        "x.y",
        "'a'",
        "1/0",
        "0 ** -1",
        "\u0661",
        "9" * 121,
    ],
)
def test_what_is_refused(text):
    with pytest.raises(Unreadable):
        evaluate(text, NUMBERS)


def test_limits():
    """Each bracket is a step deeper; an expression of `MAX_CHARACTERS` is read, one more character is not."""
    assert evaluate("(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH, NUMBERS) == 1
    with pytest.raises(Unreadable, match="deep"):
        evaluate("(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1), NUMBERS)
    assert evaluate("1+" * (MAX_CHARACTERS // 2 - 1) + "10", NUMBERS) == MAX_CHARACTERS // 2 + 9
    with pytest.raises(Unreadable, match="long"):
        evaluate("1+" * (MAX_CHARACTERS // 2) + "1", NUMBERS)
