"""Values that cross the border of a sandbox: equal on both sides, and a forged text is a ValueError, never more."""

import json
import math
import time
from collections import Counter, OrderedDict, namedtuple

import numpy
import pytest

from prorl.rewards.sandbox.values import decode, encode

Point = namedtuple("Point", "x y")


class Shout(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "SHOUT"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -7,
        2**63 - 1,
        2**63,
        -(3**999),
        1.5,
        -0.0,
        1e300,
        math.inf,
        -math.inf,
        "",
        'quote " back \\ nul \0 \ud800 \U0001f600',
        b"\x00\xff",
        [],
        [1, [2, (3,)]],
        (),
        (1, "a"),
        {1, (2, 3)},
        frozenset({"a"}),
        {"a": [1], 2: {"t": 3}, (1, 2): None},
        1 + 2j,
        complex(math.inf, -1.0),
    ],
)
def test_value_comes_back_with_its_type(value: object) -> None:
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value) or isinstance(value, set)


def test_not_a_number_comes_back() -> None:
    back = decode(encode([math.nan]))
    assert isinstance(back, list)
    assert math.isnan(back[0])


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Point(1, 2), (1, 2)),
        (OrderedDict(a=1), {"a": 1}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (Shout("soft"), "soft"),
        (bytearray(b"x"), b"x"),
        (numpy.float64(0.5), 0.5),
        (numpy.int64(3), 3),
        (numpy.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    ],
)
def test_subclasses_and_arrays_count_as_what_they_hold(value: object, plain: object) -> None:
    back = decode(encode(value))
    assert back == plain
    assert type(back) is type(plain)


@pytest.mark.parametrize("value", [object(), iter([]), len, range(3), {"a": object()}])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a value of type"):
        encode(value)


def test_deep_values_are_refused_on_both_sides() -> None:
    value: list[object] = []
    for _ in range(150):
        value = [value]
    with pytest.raises(ValueError, match="deep"):
        encode(value)
    with pytest.raises(ValueError, match="deep"):
        decode("[" * 150 + "]" * 150)


def colliding(count: int) -> str:
    """A set of numbers with one and the same hash."""
    numbers = ", ".join(f'{{"i": "{number * (2**61 - 1):x}"}}' for number in range(1, count))
    return f'{{"s": [{numbers}]}}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "junk",
        "[1",
        "NaN",
        "-Infinity",
        "[" * 100_000,
        '{"t": ' * 50_000,
        "9" * 1_000_000,
        "1." + "9" * 1_000_000,
        "1e999999999999" * 100,
        "[" + "0," * 1_100_000 + "0]",
        '{"a": 1}',
        '{"t": [1], "s": [2]}',
        "{}",
        '{"t": 3}',
        '{"s": [[1]]}',
        '{"d": [[[1], 2]]}',
        '{"d": [[1]]}',
        '{"d": [1]}',
        '{"i": 5}',
        '{"i": "xyz"}',
        '{"i": "' + "f" * 200_000 + '"}',
        '{"f": "1.5"}',
        '{"f": []}',
        '{"c": [1, 2]}',
        '{"c": ["a", 1.0]}',
        '{"b": "zz"}',
        '{"b": 1}',
        '{"o": "os.system"}',
        colliding(100_000),
        "\x00",
        "\ufffd" * 1000,
    ],
)
def test_forged_text_is_a_value_error_and_soon(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"."):
        decode(text)
    assert time.monotonic() - started < 20.0


def test_plain_json_of_lists_is_read() -> None:
    assert decode(json.dumps([1, "a", [None, 2.5]])) == [1, "a", [None, 2.5]]
