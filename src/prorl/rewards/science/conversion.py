"""Stage 3, rewards: the size of a unit in base units, by pint. Only names of the closed list reach it, at import."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import pint

from prorl.rewards.science.unit_names import (
    CYCLES,
    DEFINITIONS,
    SOFT_UNITS,
    SYMBOLS,
    TEMPERATURES,
    WITH_PREFIX,
    WORDS,
    WORDS_WITH_PREFIX,
)
from prorl.rewards.science.units import UnitFactor

Dimension = frozenset[tuple[str, Fraction]]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a unit measures and how large it is."""

    factor: float
    """How many base units."""
    dimension: Dimension
    """Powers of base units; empty for plain numbers."""
    soft: Dimension
    """Angles, cycles and things counted: may be left out, must not differ."""
    zero_kelvin: float | None
    """Where a lone temperature scale has its zero; None for every other unit."""

    def fits(self, other: "Measure") -> bool:
        """Whether the two measure the same kind of quantity."""
        return self.dimension == other.dimension and (self.soft == other.soft or not self.soft or not other.soft)


def _sizes() -> dict[str, tuple[float, dict[str, Fraction]]]:
    """Factor and base units of every name in the tables."""
    registry: pint.UnitRegistry = pint.UnitRegistry()
    for definition in DEFINITIONS:
        registry.define(definition)
    names = sorted({name for table in (SYMBOLS, WITH_PREFIX, WORDS, WORDS_WITH_PREFIX) for name in table.values()})
    sizes: dict[str, tuple[float, dict[str, Fraction]]] = {}
    for name in names:
        factor, base = registry.get_root_units(name)
        powers = {str(unit): Fraction(power).limit_denominator(12) for unit, power in base._units.items()}
        sizes[name] = float(factor), powers
    for name, (degree, _) in TEMPERATURES.items():
        sizes[name] = degree, {"kelvin": Fraction(1)}
    return sizes


_SIZES = _sizes()


def measure(factors: Sequence[UnitFactor]) -> Measure | None:
    """What the unit measures; None where its size is beyond a float."""
    size = 1.0
    powers: Counter[str] = Counter()
    soft: Counter[str] = Counter()
    for factor in factors:
        if factor.is_count:
            soft[factor.name] += factor.power  # type: ignore[assignment]
            continue
        number, base = _SIZES[factor.name]
        try:
            size *= (number * 10.0**factor.exponent_of_ten) ** float(factor.power)
        except OverflowError:
            return None
        for unit, power in base.items():
            (soft if unit in SOFT_UNITS else powers)[unit] += power * factor.power  # type: ignore[assignment]
        if factor.name in CYCLES:
            soft["cycle"] += factor.power  # type: ignore[assignment]
    if not 1e-290 < size < 1e290:
        return None
    return Measure(size, _dimension(powers), _dimension(soft), _zero(factors))


def _dimension(powers: Counter[str]) -> Dimension:
    return frozenset((unit, Fraction(power)) for unit, power in powers.items() if power)


def _zero(factors: Sequence[UnitFactor]) -> float | None:
    if len(factors) != 1 or factors[0].power != 1 or factors[0].exponent_of_ten:
        return None
    return TEMPERATURES[factors[0].name][1] if factors[0].name in TEMPERATURES else None
