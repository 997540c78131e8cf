"""Stage 3, rewards: reads the number at a place of a plain answer: `5.0×10^(-3)`, `1,000`, `((1)/(2))`, `2π`, `√(3)/2`.

Its own grammar of products, quotients, powers and roots, every size bounded. It reads no units, names or sums, and
evaluates nothing else.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 60
MAX_EXPONENT = 280
MAX_DEPTH = 8
MAX_PARTS = 12

_LITERAL = re.compile(
    r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d{1,3}(?: \d{3})+(?![\d ]*\d)|\d+)(?:\.\d*)?|\.\d+", re.ASCII
)  # fmt: skip
_E_NOTATION = re.compile(r"[eE]([+-]?\d{1,4})(?![\d.A-Za-z])", re.ASCII)
_POWER = re.compile(r"\s*(?:\^|\*\*)\s*(?:\(\s*([+-]?\d{1,4})(?:/(\d{1,2}))?\s*\)|([+-]?\d{1,4}))", re.ASCII)
_TIMES = re.compile(r"\s*(?:[×·*]|[xX](?=\s*10\s*(?:\^|\*\*|[+-]\d)))\s*")
_OVER = re.compile(r"\s*(?:/|÷)\s*")
_SIGN = re.compile(r"\s*([+-]?)\s*")
_IMPLICIT = re.compile(r"\s*(?=[π√(])")


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number as it was written."""

    value: Fraction | float
    """A Fraction wherever the notation is a rational number."""
    is_exact: bool
    """Made of whole numbers alone: `3`, `1/4`, `-12`; not `3.0`, `3×10^2`, `2π`."""


class _UnreadableError(ValueError):
    """What stands here is no number within the limits."""


def read_numeral(text: str, start: int = 0) -> tuple[Numeral, int] | None:
    """The longest number that begins at `start` (spaces skipped) and where it ends; None where none begins."""
    try:
        numeral, end = _product(text, start, 0)
        if not math.isfinite(float(numeral.value)):
            return None
    except (_UnreadableError, OverflowError, ZeroDivisionError):
        return None
    return numeral, end


def _product(text: str, start: int, depth: int) -> tuple[Numeral, int]:
    """`factor (× factor | / factor | π ...)*`; an operator without a factor behind it is left to the caller."""
    match = _SIGN.match(text, start)
    assert match is not None
    result, end = _factor(text, match.end(), depth)
    if match[1] == "-":
        result = Numeral(-result.value, result.is_exact)
    for _ in range(MAX_PARTS):
        step = _next_factor(text, end, depth)
        if step is None:
            return result, end
        factor, divides, end = step
        value = result.value / factor.value if divides else result.value * factor.value
        result = Numeral(value, result.is_exact and factor.is_exact)
        _check_size(result.value)
    raise _UnreadableError


def _next_factor(text: str, start: int, depth: int) -> tuple[Numeral, bool, int] | None:
    for operator, divides in ((_TIMES, False), (_OVER, True), (_IMPLICIT, False)):
        match = operator.match(text, start)
        if match is None:
            continue
        try:
            factor, end = _factor(text, match.end(), depth)
        except _UnreadableError:
            return None
        return factor, divides, end
    return None


def _factor(text: str, start: int, depth: int) -> tuple[Numeral, int]:
    base, end = _base(text, start, depth)
    match = _POWER.match(text, end)
    if match is None:
        return base, end
    exponent = Fraction(int(match[1] or match[3]), int(match[2] or 1))
    return Numeral(_power(base.value, exponent), False), match.end()


def _base(text: str, start: int, depth: int) -> tuple[Numeral, int]:
    if depth > MAX_DEPTH:
        raise _UnreadableError
    if text.startswith("π", start):
        return Numeral(math.pi, False), start + 1
    if text.startswith("√", start):
        inner, end = _factor(text, start + 1, depth + 1)
        return Numeral(_power(inner.value, Fraction(1, 2)), False), end
    if text.startswith("(", start):
        inner, end = _product(text, start + 1, depth + 1)
        if not text.startswith(")", end):
            raise _UnreadableError
        return inner, end + 1
    return _literal(text, start)


def _literal(text: str, start: int) -> tuple[Numeral, int]:
    match = _LITERAL.match(text, start)
    if match is None or len(match.group()) > MAX_DIGITS:
        raise _UnreadableError
    digits = match.group().replace(",", "").replace(" ", "")
    value, is_exact, end = Fraction(digits.rstrip(".")), "." not in digits, match.end()
    scientific = _E_NOTATION.match(text, end)
    if scientific is not None:
        value, is_exact, end = value * _power_of_ten(int(scientific[1])), False, scientific.end()
    return Numeral(value, is_exact), end


def _power_of_ten(exponent: int) -> Fraction:
    if abs(exponent) > MAX_EXPONENT:
        raise _UnreadableError
    return Fraction(10) ** exponent


def _power(base: Fraction | float, exponent: Fraction) -> Fraction | float:
    if base == 10 and exponent.denominator == 1:
        return _power_of_ten(exponent.numerator)
    if (base < 0 and exponent.denominator != 1) or (base == 0 and exponent < 0):
        raise _UnreadableError
    if exponent.denominator == 1 and abs(exponent) <= MAX_DEPTH and isinstance(base, Fraction):
        power: Fraction | float = Fraction(base**exponent.numerator)
    else:
        power = math.pow(float(base), float(exponent))
    _check_size(power)
    return power


def _check_size(value: Fraction | float) -> None:
    """Keep exact numbers short: a chain of powers must not grow them."""
    if isinstance(value, Fraction) and max(value.numerator.bit_length(), value.denominator.bit_length()) > 4096:
        raise _UnreadableError
