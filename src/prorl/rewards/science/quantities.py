"""Stage 3, rewards: reads physical quantities and compares them: `5.0×10^(-3) m/s` equals `5 mm/s`.

A number, a range, or a number with an uncertainty; a unit; several of these in a row. It compares with a relative
tolerance and knows temperature scales. It reads no expressions with names in them.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from prorl.rewards.science.conversion import Measure, measure
from prorl.rewards.science.numerals import Numeral, read_numeral
from prorl.rewards.science.units import read_unit

MAX_QUANTITY_CHARS = 300
MAX_LIST = 12
DEFAULT_TOLERANCE = 0.01
"""Relative. Covers constants and intermediate results rounded to three digits (9.8 for 9.81, 8.31 for 8.314)."""
FLOAT_SLACK = 1e-9
ZERO_CELSIUS_SLACK = 0.2
"""Kelvin: 273 is as good as 273.15 between two temperature scales."""

PLAIN = Measure(1.0, frozenset(), frozenset(), None)
_ABOUT = re.compile(r"\s*(?:approximately|approx\.?|about|around|roughly|nearly|ca\.|≈|~)\s*", re.IGNORECASE)
_COMPARISON = re.compile(r"\s*(<=|>=|[<>≤≥])\s*")
_COMPARISONS = {"<=": "≤", ">=": "≥"}
_PLUS_MINUS = re.compile(r"\s*(?:±|\+/-|\+-)\s*")
_POWER_OF_TEN = re.compile(r"\s*[×·*xX]\s*(?=10\s*(?:\^|\*\*))")
_RANGE = re.compile(r"\s*(?:-+|≈|\bto\b)\s*")
_BETWEEN = re.compile(r"between\s+(.+?)\s+and\s+(.+)")
_EQUALS = re.compile(r"\s*(?:=|≈|->)\s*")
_LABEL = re.compile(r"[^\W\d][^=<>]{0,60}")
_SEVERAL = re.compile(r"[,;]|\b(?:or|and)\b")
_LIST = re.compile(r"\s*;\s*|\s*,\s+(?:and\s+)?|\s+and\s+|,(?!\d{3}(?!\d))")
_TUPLE = re.compile(r"^[(\[]([^()\[\]]*(?:\([^()]*\)[^()\[\]]*)*)[)\]]( ?[^,;()]{0,40})$")
_TIGHT_LIST = re.compile(r"\s*[;,]\s*(?:and\s+)?|\s+and\s+")
_SUBSTANCE = re.compile(r" of (?!.*\b(?:or|and)\b)[\w ^()+-]{1,40}$")
_NEXT_PART = re.compile(r"(?<=[A-Za-z°'\"])\s+(?=\d)|(?<=[°'])(?=\d)")
_RATIO_IN_WORDS = re.compile(r"\s+to\s+|^(\d{1,9})\s*/\s*(?=\d{1,9}$)")
_RATIO = re.compile(r"\d{1,9}(?:\.\d{1,9})?(?:\s*:\s*\d{1,9}(?:\.\d{1,9})?){1,15}")


@dataclass(frozen=True, slots=True)
class Quantity:
    """What was written: one value, or the two ends of a range, in its unit."""

    values: tuple[Numeral, ...]
    unit: Measure
    has_unit: bool
    comparison: str = ""
    uncertainty: Fraction | float = 0
    label: str = ""

    @property
    def is_difference(self) -> bool:
        """A temperature difference has no zero point."""
        return self.label.startswith("Δ")


def read_quantities(text: str) -> tuple[Quantity, ...] | None:
    """The quantity of a plain text, or each of a list; None where it is anything else."""
    text = text.strip().rstrip(".").strip()
    if not text or len(text) > MAX_QUANTITY_CHARS:
        return None
    single = _stated(text)
    if single is not None:
        return (single,)
    text = _TUPLE.sub(r"\1\2", text)
    for separators in (_LIST, _TIGHT_LIST):
        parts = separators.split(text)
        if 1 < len(parts) <= MAX_LIST:
            quantities = [quantity for part in parts if (quantity := _stated(part)) is not None]
            if len(quantities) == len(parts):
                return _with_shared_unit(quantities)
    return None


def read_stated_ratio(text: str) -> tuple[Fraction, ...] | None:
    """As `read_ratio`, also `3 to 1` and `3/1`, which are ratios only where one is asked for."""
    return read_ratio(_RATIO_IN_WORDS.sub(lambda match: f"{match[1] or ''}:", text.strip()))


def read_ratio(text: str) -> tuple[Fraction, ...] | None:
    """`9:3:3:1` in lowest terms; None where it is no ratio."""
    if not _RATIO.fullmatch(text.strip()):
        return None
    terms = [Fraction(term.strip()) for term in text.split(":")]
    total = sum(terms)
    return tuple(term / total for term in terms) if total else None


def equal(
    gold: Sequence[Quantity], answer: Sequence[Quantity], *, tolerance: float | None, unit: Measure | None, bare: bool
) -> str:
    """Empty where the answer is right, else why not.

    `unit` is the one that the problem asks for: a number without a unit is in it. Without it such a number is only
    right where the gold answer has no physical unit either, or where `bare` says so.
    """
    if len(gold) != len(answer):
        return f"{len(answer)} values, not {len(gold)}"
    labels = [quantity.label for quantity in answer]
    if len(set(labels)) == len(labels) and {quantity.label for quantity in gold} == set(labels):
        answer = [answer[labels.index(quantity.label)] for quantity in gold]
    reasons = (_compare(g, a, tolerance, unit, bare) for g, a in zip(gold, answer, strict=True))
    return next((reason for reason in reasons if reason), "")


def _stated(text: str) -> Quantity | None:
    """A quantity behind any number of `name =`; where several are stated in a chain, all must agree."""
    *before, last = _EQUALS.split(text.strip())
    quantity = _quantity(last, 0)
    if quantity is None:
        return None
    label = ""
    for part in before:
        earlier = _quantity(part, 0) if part else None
        if earlier is not None and _compare(quantity, earlier, None, None, True):
            return None
        if earlier is None and part and (_SEVERAL.search(part) or not _is_name_or_term(part)):
            return None
        label = label or part.replace(" ", "")
    return replace(quantity, label=label)


def _is_name_or_term(text: str) -> bool:
    return _LABEL.fullmatch(text) is not None or read_numeral(text) is not None


def _quantity(text: str, depth: int) -> Quantity | None:
    text = text.strip()
    comparison, start = "", 0
    about = _ABOUT.match(text)
    sign = _COMPARISON.match(text)
    if sign is not None:
        comparison, start = _COMPARISONS.get(sign[1], sign[1]), sign.end()
    elif about is not None:
        start = about.end()
    found = _with_uncertainty(text, start) or _plain_number(text, start)
    if found is None:
        return _range(text, depth)
    numeral, uncertainty, end = found
    unit = _measured(text[end:])
    if unit is not None:
        return Quantity((numeral,), unit, bool(text[end:].strip()), comparison, uncertainty)
    return _compound(text, numeral, end, depth) or _range(text, depth)


def _plain_number(text: str, start: int) -> tuple[Numeral, Fraction | float, int] | None:
    found = read_numeral(text, start)
    if found is None:
        return None
    numeral, end = found
    plus_minus = _PLUS_MINUS.match(text, end)
    uncertainty = read_numeral(text, plus_minus.end()) if plus_minus else None
    if uncertainty is None:
        return numeral, 0.0, end
    size = uncertainty[0].value
    return numeral, -size if size < 0 else size, uncertainty[1]


def _with_uncertainty(text: str, start: int) -> tuple[Numeral, Fraction | float, int] | None:
    """`(5.0 ± 0.2)`, with or without a power of ten behind it."""
    if not text.startswith("(", start):
        return None
    found = _plain_number(text, start + 1)
    if found is None or not found[1] or not text.startswith(")", found[2]):
        return None
    numeral, uncertainty, end = found[0], found[1], found[2] + 1
    power = _POWER_OF_TEN.match(text, end)
    scale = read_numeral(text, power.end()) if power else None
    if scale is None:
        return numeral, uncertainty, end
    factor = scale[0].value
    return Numeral(numeral.value * factor, False), uncertainty * factor, scale[1]


def _measured(text: str) -> Measure | None:
    """The unit, with or without what it is a measure of: `12.5 g of NaCl`."""
    factors = read_unit(_SUBSTANCE.sub("", text))
    return None if factors is None else measure(factors)


def _compound(text: str, numeral: Numeral, end: int, depth: int) -> Quantity | None:
    """`2 h 30 min`: the sum, in the first unit."""
    split = _NEXT_PART.search(text, end)
    if split is None or depth > 2:
        return None
    unit, rest = _measured(text[end : split.start()]), _quantity(text[split.end() :], depth + 1)
    if unit is None or rest is None or not rest.has_unit or len(rest.values) != 1 or rest.comparison:
        return None
    if unit.dimension != rest.unit.dimension or unit.soft != rest.unit.soft or unit.factor <= rest.unit.factor:
        return None
    if unit == PLAIN or unit.zero_kelvin is not None:
        return None
    value = float(numeral.value) + math.copysign(float(rest.values[0].value), numeral.value) * (
        rest.unit.factor / unit.factor
    )
    return Quantity((Numeral(value, False),), unit, True)


def _range(text: str, depth: int) -> Quantity | None:
    """`3-5 m`, `3 m to 5 m`, `between 3 and 5 m`."""
    if depth:
        return None
    between = _BETWEEN.fullmatch(text)
    pairs = [between.groups()] if between else [(text[: m.start()], text[m.end() :]) for m in _RANGE.finditer(text)]
    for first, second in pairs[:MAX_LIST]:
        low, high = _quantity(first.removeprefix("from "), 1), _quantity(second, 1)
        if low is None or high is None or len(low.values) + len(high.values) != 2 or low.comparison or high.comparison:
            continue
        if low.has_unit and low.unit != high.unit:
            continue
        return Quantity((low.values[0], high.values[0]), high.unit, high.has_unit)
    return None


def _with_shared_unit(quantities: list[Quantity]) -> tuple[Quantity, ...]:
    """`3, 4 and 5 m`: a unit that only the last one has belongs to all."""
    last = quantities[-1]
    if last.has_unit and not any(quantity.has_unit for quantity in quantities[:-1]):
        return tuple(replace(quantity, unit=last.unit, has_unit=True) for quantity in quantities)
    return tuple(quantities)


def _compare(gold: Quantity, answer: Quantity, tolerance: float | None, unit: Measure | None, bare: bool) -> str:
    if gold.comparison != answer.comparison:
        return "another inequality"
    if len(gold.values) != len(answer.values):
        return "a range against a single value"
    if float(answer.uncertainty) > max(abs(float(answer.values[0].value)), float(gold.uncertainty)):
        return "an uncertainty larger than the value"
    wanted = gold.unit if gold.has_unit else unit or PLAIN
    units = _possible_units(gold, answer, wanted, unit, bare)
    if not units:
        return "no unit"
    fitting = [written for written in units if wanted.fits(written)]
    if not fitting:
        return "another kind of unit"
    return "another value" if all(_differ(gold, answer, wanted, written, tolerance) for written in fitting) else ""


def _differ(gold: Quantity, answer: Quantity, wanted: Measure, written: Measure, tolerance: float | None) -> bool:
    is_difference = gold.is_difference or answer.is_difference
    pairs = zip(gold.values, answer.values, strict=True)
    if wanted.zero_kelvin is not None and written.zero_kelvin is not None and not is_difference:
        same = [_same_temperature(g, a, wanted, written, tolerance) for g, a in pairs]
    else:
        scale = written.factor / wanted.factor
        same = [_same_number(g, a, scale, _slack(gold, g, a, wanted, tolerance)) for g, a in pairs]
    return not all(same)


def _possible_units(
    gold: Quantity, answer: Quantity, wanted: Measure, unit: Measure | None, bare: bool
) -> tuple[Measure, ...]:
    """The units that the answer's number may be in."""
    is_stated = gold.has_unit or unit is not None
    if answer.has_unit and is_stated:
        return (answer.unit,)
    if answer.has_unit:
        # The gold answer leaves its unit to the problem, and the response repeats it: the number counts. But 0.25 % is
        # not 0.25.
        is_share = not answer.unit.dimension and abs(float(gold.values[0].value)) <= 1
        return (answer.unit,) if is_share else (PLAIN, answer.unit)
    if unit is not None or not is_stated:
        return (unit or PLAIN,)
    if not wanted.dimension:
        return (wanted, PLAIN)  # angles and percentages are stated without their unit as often as with it
    return (wanted,) if bare else ()


def _slack(gold: Quantity, value: Numeral, answer: Numeral, unit: Measure, tolerance: float | None) -> float:
    """How far the answer may be off, in the gold answer's unit."""
    size = abs(float(value.value))
    if tolerance is not None:
        return size * max(tolerance, FLOAT_SLACK)
    is_measured = bool(unit.dimension) or unit.factor != 1 or not value.is_exact
    if not is_measured and (answer.is_exact or value.value == int(value.value)):
        return size * FLOAT_SLACK
    return max(size * DEFAULT_TOLERANCE, float(gold.uncertainty))


def _same_number(gold: Numeral, answer: Numeral, scale: float, slack: float) -> bool:
    difference = abs(float(answer.value) * scale - float(gold.value))
    return difference <= slack * (1 + FLOAT_SLACK)


def _same_temperature(
    gold: Numeral, answer: Numeral, wanted: Measure, written: Measure, tolerance: float | None
) -> bool:
    assert wanted.zero_kelvin is not None
    assert written.zero_kelvin is not None
    relative = DEFAULT_TOLERANCE if tolerance is None else tolerance
    expected = float(gold.value) * wanted.factor + wanted.zero_kelvin
    stated = float(answer.value) * written.factor + written.zero_kelvin
    if wanted == written:
        return _same_number(gold, answer, 1.0, abs(float(gold.value)) * max(relative, FLOAT_SLACK))
    # Across scales one percent of the smaller reading: one percent of 300 K would be 3 degrees.
    reading = min(abs(float(gold.value)) * wanted.factor, abs(float(answer.value)) * written.factor)
    return abs(expected - stated) <= reading * relative + ZERO_CELSIUS_SLACK
