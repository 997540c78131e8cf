"""Stage 3, rewards: puzzles whose answer is a number, or a few. Exact arithmetic on bounded numbers; parses no sums."""

import re
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from prorl.rewards.puzzles.texts import Entry, quoted_list

_DECIMAL = re.compile(r"[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_RATIO = re.compile(r"([+-]?\d{1,100})\s*/\s*([+-]?\d{1,100})", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,400}", re.ASCII)
_BASED = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,400}|0[bB][01]{1,400}|0[oO][0-7]{1,400}|0|[1-9]\d{0,399})", re.ASCII)
_LATEX = re.compile(r"\\d?frac\s*\{\s*(\d{1,100})\s*\}\s*\{\s*(\d{1,100})\s*\}", re.ASCII)
_TIME = re.compile(r"(?:(-?\d{1,9})(?: *days?)?)?,? *(?:(\d{1,9}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6}))?)?)?", re.ASCII)
_REAL_PART = re.compile(r"([+-]?\d{1,30}(?:\.\d{0,30})?)?", re.ASCII)
_IMAGINARY_PART = re.compile(r"([+-](?:\d{1,30}(?:\.\d{0,30})?)?)[ij]", re.ASCII)

ROOT_TOLERANCE = Fraction(1, 1000)
COIN_TOLERANCE = Fraction(1, 1000)


def decimal(text: str) -> Fraction | None:
    """A finite decimal number of bounded length, exactly; commas between digits are dropped."""
    text = text.strip().replace(",", "")
    return Fraction(text) if _DECIMAL.fullmatch(text) else None


def equal_number(entry: Entry, answer: str) -> float:
    """The same number, however it is written."""
    number = decimal(answer)
    return float(number is not None and number == decimal(entry["answer"]))


def whole_number(entry: Entry, answer: str) -> float:
    return float(_INTEGER.fullmatch(answer) is not None and int(answer) == int(entry["answer"]))


def bitwise_arithmetic(entry: Entry, answer: str) -> float:
    """A whole number in any base of Python's."""
    return float(_BASED.fullmatch(answer) is not None and int(answer, 0) == int(entry["answer"], 0))


def gsm_symbolic(entry: Entry, answer: str) -> float:
    """A currency or percent sign costs nothing."""
    return equal_number(entry, answer.removeprefix("$").removesuffix("%"))


def number_format(entry: Entry, answer: str) -> float:
    """Off by less than a hundredth: how the candidates are printed loses digits."""
    number, right = decimal(answer), decimal(entry["answer"])
    return float(number is not None and right is not None and abs(number - right) < Fraction(1, 100))


def decimal_arithmetic(entry: Entry, answer: str) -> float:
    """Off by at most one in the last decimal place that was asked for, in proportion for numbers below 1."""
    number, right = decimal(answer), decimal(entry["answer"])
    if number is None or right is None:
        return 0.0
    tolerance = Fraction(1, 10 ** int(entry["metadata"]["decimal_places"])) * min(Fraction(1), abs(right))
    return float(abs(number - right) <= tolerance)


def power_function(entry: Entry, answer: str) -> float:
    """Equal to three significant digits."""
    number, right = decimal(answer), decimal(entry["answer"])
    return float(number is not None and right is not None and _significant(answer) == _significant(entry["answer"]))


def _significant(text: str) -> Decimal:
    value = Decimal(text.strip().replace(",", ""))
    if value == 0:
        return Decimal(0)
    return value.quantize(Decimal(1).scaleb(value.adjusted() - 2), ROUND_HALF_EVEN).normalize()


def coin_flip(entry: Entry, answer: str) -> float:
    """A decimal or a fraction to three significant digits of the probability and of what is missing to 1."""
    right, number = decimal(entry["answer"]), _ratio(answer) or decimal(answer)
    if number is None or right is None:
        return 0.0
    return float(abs(number - right) <= COIN_TOLERANCE * min(right, 1 - right))


def _ratio(text: str) -> Fraction | None:
    match = _RATIO.fullmatch(text)
    return Fraction(int(match[1]), int(match[2])) if match and int(match[2]) else None


def fraction_simplification(entry: Entry, answer: str) -> float:
    """A LaTeX fraction or a/b, in lowest terms."""
    text = answer.strip("$").strip()
    match = _LATEX.fullmatch(text) or _RATIO.fullmatch(text)
    metadata = entry["metadata"]
    right = (metadata["simplified_numerator"], metadata["simplified_denominator"])
    return float(match is not None and (int(match[1]), int(match[2])) == right)


def prime_factorization(entry: Entry, answer: str) -> float:
    """Half for two or more factors with the right product that are not all prime."""
    given, right = _factors(answer), _factors(entry["answer"])
    if given == right:
        return 1.0
    if len(given) < 2 or len(given) > len(right) or min(given) < 2:
        return 0.0
    product, wanted = 1, 1
    for factor in given:
        product *= factor
    for factor in right:
        wanted *= factor
    return 0.5 * (product == wanted)


def _factors(text: str) -> list[int]:
    parts = [part.strip() for part in text.split("×")]
    return sorted(map(int, parts)) if all(re.fullmatch(r"[0-9]{1,30}", part) for part in parts) else []


def complex_arithmetic(entry: Entry, answer: str) -> float:
    """a, bi or a + bi."""
    number = _complex(answer)
    return float(number is not None and number == _complex(entry["answer"]))


def _complex(text: str) -> tuple[Fraction, Fraction] | None:
    text = "".join(text.split())
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    real = _REAL_PART.match(text)
    assert real is not None, text  # it matches the empty text
    if real.end() == len(text) and real[1]:
        return Fraction(real[1]), Fraction(0)
    imaginary = _IMAGINARY_PART.fullmatch(text, real.end())
    if imaginary is None:
        # The first part was the imaginary one, or its sign was taken for the real part's.
        real, imaginary = None, _IMAGINARY_PART.fullmatch(text if text[:1] in "+-" else f"+{text}")
    if imaginary is None:
        return None
    sized = imaginary[1] if len(imaginary[1]) > 1 else f"{imaginary[1]}1"
    return Fraction(real[1]) if real is not None and real[1] else Fraction(0), Fraction(sized)


def time_intervals(entry: Entry, answer: str) -> float:
    """Days, a clock time, or both."""
    given = _duration(answer)
    return float(given is not None and given == _duration(entry["answer"]))


def _duration(text: str) -> Fraction | None:
    """In seconds."""
    match = _TIME.fullmatch(text.strip())
    if match is None or not text.strip():
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:4])
    return Fraction(days * 86400 + hours * 3600 + minutes * 60 + seconds) + Fraction(f"0.{match[5] or 0}")


def polynomial_equations(entry: Entry, answer: str) -> float:
    """As many roots, each within a thousandth; nothing between quotes where there is none."""
    right = sorted(root for root in map(decimal, entry["answer"].split(",")) if root is not None)
    if not right:
        return float(answer.strip("\"'") == "")
    given = [decimal(part) for part in answer.split(",")]
    if len(given) != len(right) or any(root is None for root in given):
        return 0.0
    roots = sorted(root for root in given if root is not None)
    return float(all(abs(a - b) <= ROOT_TOLERANCE for a, b in zip(roots, right, strict=True)))


def number_sorting(entry: Entry, answer: str) -> float:
    """A list of numbers, as texts or plain."""
    given, right = quoted_list(answer), quoted_list(entry["answer"])
    if not isinstance(given, list) or len(given) != len(right):
        return 0.0
    numbers = [decimal(str(item)) for item in given]
    return float(None not in numbers and numbers == [decimal(str(item)) for item in right])


def pool_matrix(entry: Entry, answer: str) -> float:
    """Rows of numbers, each within a hundredth of its size."""
    given, right = ([line.split() for line in text.strip().split("\n")] for text in (answer, entry["answer"]))
    if [len(row) for row in given] != [len(row) for row in right]:
        return 0.0
    for row, wanted in zip(given, right, strict=True):
        for cell, value in zip(map(decimal, row), map(decimal, wanted), strict=True):
            if cell is None or value is None or abs(cell - value) > abs(value) / 100:
                return 0.0
    return 1.0


def advanced_geometry(entry: Entry, answer: str) -> float:
    """An angle to 2 decimals, a point to 3, or a radius to 3; half for a radius to 2."""
    kind, right = entry["metadata"]["task_type"], entry["answer"]
    if kind == "orthocenter":
        given, wanted = _point(answer), _point(right)
        return float(given is not None and given == wanted)
    number, value = (decimal(text.strip().removesuffix("°")) for text in (answer, right))
    if number is None or value is None:
        return 0.0
    if kind == "angle_measure":
        return float(round(number, 2) == round(value, 2))
    if round(number, 3) == value:
        return 1.0
    return 0.5 * (round(number, 2) == round(value, 2))


def _point(text: str) -> list[Fraction] | None:
    text = text.strip()
    parts = [decimal(part) for part in (text[1:-1] if text[:1] + text[-1:] == "()" else text).split(",")]
    return [round(part, 3) for part in parts if part is not None] if len(parts) == 2 and None not in parts else None
