"""Stage 3, rewards: units behind the number of a mathematical answer. Knows the units of schoolbook problems only.

A unit that only one side names says nothing; two units must measure the same thing, and are converted. Two nouns
(`12 apples`) must share a word.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

_TABLE = {
    "length": {
        "m meter meters metre metres": "1", "km kilometer kilometers kilometre kilometres": "1000",
        "cm centimeter centimeters centimetre centimetres": "1/100", "dm decimeter decimeters": "1/10",
        "mm millimeter millimeters millimetre millimetres": "1/1000", "nm nanometer nanometers": "1/1000000000",
        "in inch inches": "127/5000", "ft foot feet": "381/1250", "yd yard yards": "1143/1250",
        "mi mile miles": "201168/125",
    },
    "mass": {
        "kg kilogram kilograms": "1", "g gram grams": "1/1000", "mg milligram milligrams": "1/1000000",
        "lb lbs pound": "45359237/100000000", "oz ounce ounces": "45359237/1600000000", "ton tons": "1000",
    },
    "time": {
        "s sec second seconds": "1", "min mins minute minutes": "60", "h hr hrs hour hours": "3600",
        "day days": "86400", "week weeks": "604800", "ms millisecond milliseconds": "1/1000",
    },
    "calendar": {"month months": "1", "year years yr yrs": "12"},
    "volume": {
        "L l liter liters litre litres": "1", "mL ml milliliter milliliters": "1/1000",
        "gal gallon gallons": "3785411784/1000000000", "quart quarts": "946352946/1000000000",
    },
    "dollar": {"dollar dollars usd USD": "1", "cent cents": "1/100"},
    "euro": {"euro euros EUR": "1"}, "pounds": {"pounds GBP": "1"}, "yuan": {"yuan RMB": "1"},
    "angle": {"deg degree degrees": "1"},
    "temperature": {"K kelvin": "1"}, "celsius": {"C celsius Celsius": "1"},
    "fahrenheit": {"F fahrenheit Fahrenheit": "1"},
    "force": {"N newton newtons": "1"}, "energy": {"J joule joules": "1", "kJ": "1000"},
    "electronvolt": {"keV": "1000", "MeV": "1000000", "eV": "1"},
    "power": {"W watt watts": "1", "kW kilowatt kilowatts": "1000"}, "voltage": {"V volt volts": "1"},
    "frequency": {"Hz hertz": "1", "kHz": "1000", "MHz": "1000000"}, "current": {"A amp amps ampere amperes": "1"},
    "pressure": {"Pa pascal pascals": "1", "kPa": "1000", "atm": "101325"}, "amount": {"mol mole moles": "1"},
    "plane": {"sr": "1"},
}  # fmt: skip
_UNITS = {
    alias: (dimension, Fraction(factor))
    for dimension, entries in _TABLE.items()
    for aliases, factor in entries.items()
    for alias in aliases.split()
}
_COMPOUND = {"mph": "miles per hour", "kph": "km per hour", "kmh": "km per hour", "kmph": "km per hour"}
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_DEGREES = re.compile(r"degrees?\s+(?=[CFcf])()")
_SUFFIXES = {"squared": 2, "cubed": 3}
_PIECES = re.compile(r"[A-Za-z]+|\^\{?(-?[0-9])\}?|/|[0-9]")
_FILLERS = {"per", "a", "an", "the", "of", "each", "units", "unit"}


@dataclass(frozen=True, slots=True)
class Unit:
    """Dimensions with exponents, the factor to their base units, and the words that are no unit."""

    dimensions: tuple[tuple[str, int], ...]
    factor: Fraction
    nouns: frozenset[str]


def is_unit(word: str) -> bool:
    """Whether the word, as written, names a unit."""
    return word in _UNITS


def read_unit(text: str) -> Unit:
    """The unit that a text such as `cm^2`, `miles per hour` or `square feet` names."""
    dimensions: dict[str, int] = {}
    factor, nouns = Fraction(1), set[str]()
    side, power, last = 1, 1, ""
    text = _DEGREES.sub(r"\1", _COMPOUND.get(text.strip(" ~"), text))
    for match in _PIECES.finditer(text):
        piece = match.group()
        if piece in ("/", "per"):
            side = -1
        elif piece in _POWERS:
            power = _POWERS[piece]
        elif last and (match.group(1) or piece in _SUFFIXES):
            extra = (int(match.group(1)) if match.group(1) else _SUFFIXES[piece]) - 1
            dimension, size = _UNITS[last]
            dimensions[dimension] += side * extra
            factor *= size ** (side * extra)
        elif piece in _UNITS:
            dimension, size = _UNITS[piece]
            dimensions[dimension] = dimensions.get(dimension, 0) + side * power
            factor *= size ** (side * power)
            power, last = 1, piece
        elif piece.isalpha() and piece not in _FILLERS:
            nouns.add(piece.lower().removesuffix("s"))
    known = tuple(sorted((name, exponent) for name, exponent in dimensions.items() if exponent))
    return Unit(known, factor, frozenset(nouns))


def conversion(gold: str, answer: str) -> Fraction | None:
    """What the answer's number is multiplied with before it is compared; None where the units cannot be equal."""
    first, second = read_unit(gold), read_unit(answer)
    if first.dimensions and second.dimensions:
        return second.factor / first.factor if first.dimensions == second.dimensions else None
    if first.dimensions or second.dimensions:
        other = first if second.dimensions else second
        return None if other.nouns else Fraction(1)
    return None if first.nouns and second.nouns and not first.nouns & second.nouns else Fraction(1)
