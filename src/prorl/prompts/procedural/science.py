r"""Procedural STEM families: short physics, chemistry and biology problems whose answer is computed exactly.

Each asks for a number with its unit, a fraction, an equation or a letter in `\boxed{}`; a level adds steps and larger
numbers. The gold answer has at least four significant digits, and the tolerance is one percent where it was rounded.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from prorl.prompts.mini.problem import Family, Problem

ROUNDED_TOLERANCE = 0.01
PH_TOLERANCE = 0.003
MAX_LEVEL = 12
TRAIN_LEVELS = 10
ATOMIC_MASSES = {
    "C": 12, "H": 1, "O": 16, "N": 14, "Na": 23, "Mg": 24, "S": 32, "K": 39, "Ca": 40, "P": 31, "F": 19, "Al": 27,
}  # fmt: skip
PREFIXES = {"k": 3, "": 0, "m": -3, "M": 6, "u": -6, "n": -9}
CONVERTED_UNITS = ("m", "g", "J", "L", "V", "W", "A", "mol")
CLOSINGS = (
    "Put your final answer with its unit in \\boxed{}.",
    "Give the result with its unit inside \\boxed{}.",
    "Write the number and its unit in \\boxed{} at the end.",
)
CLOSINGS_WITHOUT_UNIT = ("Put your final answer in \\boxed{}.", "Give the result inside \\boxed{}.")
LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Question:
    """A question with a numeric answer."""

    text: str
    value: Fraction
    unit: str
    rounded_tolerance: float = ROUNDED_TOLERANCE


Draw = Callable[[random.Random, int], Question]


def quantity(value: Fraction, unit: str) -> str:
    """The number, exact if it is a short whole one and else to four digits, and its unit."""
    return f"{_number(value)} {unit}".rstrip()


def _number(value: Fraction) -> str:
    if value.denominator == 1 and abs(value) < 10**6:
        return str(value.numerator)
    mantissa, _, exponent = f"{float(value):.3e}".partition("e")
    if -3 <= int(exponent) < 4:
        return f"{float(value):.{3 - int(exponent)}f}"
    return rf"{mantissa} \times 10^{{{int(exponent)}}}"


def _problem(rng: random.Random, question: Question) -> Problem:
    """A question as a problem: whole numbers must be exact, all others within the tolerance."""
    is_whole = question.value.denominator == 1 and abs(question.value) < 10**6
    metadata: dict[str, float | str] = {"tolerance": 0.0 if is_whole else question.rounded_tolerance}
    if question.unit:
        metadata["unit"] = question.unit
    rounding = "" if is_whole else " Round to three significant digits or more."
    closing = rng.choice(CLOSINGS if question.unit else CLOSINGS_WITHOUT_UNIT)
    return Problem(f"{question.text}{rounding} {closing}", quantity(question.value, question.unit), metadata)


def draw_motion(rng: random.Random, level: int) -> Question:
    """A straight line in `(level + 1) // 2` stages of constant acceleration; whole numbers throughout."""
    speed, distance, sentences = rng.randint(2, 5 + 3 * level), 0, []
    start = speed
    for _ in range((level + 1) // 2):
        seconds = 2 * rng.randint(1, 2 + level)
        change = rng.randint(-min(2, speed // seconds), 1 + level // 3) if level > 1 else 0
        distance += speed * seconds + change * seconds * seconds // 2
        speed += change * seconds
        action = f"speeds up at {change} m/s^2" if change > 0 else f"slows down at {-change} m/s^2"
        sentences.append(f"it {action if change else 'keeps its speed'} for {seconds} s")
    vehicle = rng.choice(("cart", "car", "train", "cyclist"))
    story = f"A {vehicle} moves along a straight line at {start} m/s. Then {', then '.join(sentences)}."
    if level > 1 and rng.random() < 0.5:
        return Question(f"{story} How fast is it at the end?", Fraction(speed), "m/s")
    return Question(f"{story} How far does it travel in all this time?", Fraction(distance), "m")


def draw_conversion(rng: random.Random, level: int) -> Question:
    """Other prefixes for a product of `(level + 2) // 3` units; from level 4 on over a power of time."""
    prefixes = list(PREFIXES)[: 2 + level]
    scale, before, after = Fraction(rng.randint(2, 9 + 10 * level)), [], []
    number = scale
    for unit in rng.sample(CONVERTED_UNITS, min((level + 2) // 3, len(CONVERTED_UNITS))):
        old, new = rng.sample(prefixes, 2)
        power = 1 if level < 6 else rng.randint(1, level // 3)
        raised = f"^{power}" if power > 1 else ""
        before.append(f"{old}{unit}{raised}")
        after.append(f"{new}{unit}{raised}")
        scale *= Fraction(10) ** ((PREFIXES[old] - PREFIXES[new]) * power)
    first, second = "*".join(before), "*".join(after)
    if level >= 4:
        old, new = rng.sample(sorted(SECONDS), 2)
        scale *= Fraction(SECONDS[new], SECONDS[old])
        first, second = f"{first}/{old}", f"{second}/{new}"
    text = rng.choice(("Convert {} {} to {}.", "A measurement gives {} {}. What is this in {}?"))
    return Question(text.format(number, first, second), scale, second)


SECONDS = {"s": 1, "min": 60, "h": 3600}


def draw_molar_mass(rng: random.Random, level: int) -> Question:
    """Molar mass of a made-up formula of `2 + level // 2` parts; from level 4 on with groups in brackets."""
    formula, mass, used = "", 0, []
    for part in range(2 + level // 2):
        if level >= 4 and part % 2:
            names, times = rng.sample(sorted(ATOMIC_MASSES), 2), rng.randint(2, 2 + level // 4)
            counts = [rng.randint(1, 3) for _ in names]
            inner = "".join(f"{name}{count if count > 1 else ''}" for name, count in zip(names, counts, strict=True))
            formula += f"({inner}){times}"
        else:
            names, counts, times = [rng.choice(sorted(ATOMIC_MASSES))], [rng.randint(1, 2 + level)], 1
            formula += f"{names[0]}{counts[0] if counts[0] > 1 else ''}"
        mass += times * sum(ATOMIC_MASSES[name] * count for name, count in zip(names, counts, strict=True))
        used += names
    masses = ", ".join(f"{name} = {ATOMIC_MASSES[name]}" for name in dict.fromkeys(used))
    text = f"Use the atomic masses {masses} (in g/mol). "
    moles = rng.randint(2, 4 + level)
    if level >= 3 and rng.random() < 0.5:
        return Question(f"{text}What is the mass of {moles} mol of {formula}?", Fraction(moles * mass), "g")
    return Question(f"{text}What is the molar mass of {formula}?", Fraction(mass), "g/mol")


def draw_gas(rng: random.Random, level: int) -> Question:
    """The pressure of an ideal gas after `level` changes of volume, temperature or amount."""
    pressure = Fraction(10 * rng.randint(2, 10 + level))
    text = f"A closed cylinder with a piston holds an ideal gas at {pressure} kPa."
    for _ in range(level):
        factor = rng.randint(2, 3 + level // 2)
        change, is_inverse = rng.choice(GAS_CHANGES)
        pressure = pressure / factor if is_inverse else pressure * factor
        text += f" {rng.choice(('Next', 'Then'))} {change.format(factor)}."
    return Question(f"{text} What is the pressure at the end?", pressure, "kPa")


GAS_CHANGES = (
    ("the volume is made {} times as large at constant temperature", True),
    ("the volume is divided by {} at constant temperature", False),
    ("the absolute temperature is made {} times as high at constant volume", False),
    ("the absolute temperature is divided by {} at constant volume", True),
    ("gas is added until the amount is {} times as large, at constant volume and temperature", False),
)


def draw_circuit(rng: random.Random, level: int) -> Question:
    """A network of `level + 1` resistors, in series at level 1: its resistance, or the current through it."""
    parts = []
    for _ in range(level + 1):
        ohms = rng.randint(1, 10 + 5 * level)
        parts.append((f"a {ohms} ohm resistor", Fraction(ohms)))
    while len(parts) > 1:
        (first, one), (second, two) = (parts.pop(rng.randrange(len(parts))) for _ in range(2))
        is_series = level == 1 or rng.random() < 0.5
        link = "in series with" if is_series else "in parallel with"
        joined = f"[{first} {link} {second}]" if parts else f"{first} {link} {second}"
        parts.append((joined, one + two if is_series else one * two / (one + two)))
    text, ohms_in_all = parts[0]
    if rng.random() < 0.5:
        return Question(f"A circuit has {text}. What is its total resistance?", ohms_in_all, "ohm")
    volts = rng.randint(2, 12 + 6 * level)
    story = f"A battery of {volts} V drives a circuit of {text}."
    return Question(f"{story} What current does the battery deliver?", Fraction(volts) / ohms_in_all, "A")


def draw_half_life(rng: random.Random, level: int) -> Question:
    """What is left of `(level + 2) // 3` radioactive samples after whole numbers of half-lives."""
    halvings = [rng.randint(1, 1 + level) for _ in range((level + 2) // 3)]
    unit = rng.choice(("hours", "days", "years"))
    time = math.lcm(*halvings) * rng.randint(1, 4)
    remaining, samples = 0, []
    for count in halvings:
        left = rng.randint(1, 9 + 3 * level)
        remaining += left
        samples.append(f"{left * 2**count} mg of an isotope of half-life {time // count} {unit}")
    story = f"A container holds {' and '.join(samples)}."
    question = rng.choice((f"How much is left in all after {time} {unit}?", f"{time} {unit} pass. What mass remains?"))
    return Question(f"{story} {question}", Fraction(remaining), "mg")


def draw_density(rng: random.Random, level: int) -> Question:
    """Mass, or mean density, of `level` pieces that are glued together."""
    pieces = [(rng.randint(2, 8 + 2 * level), rng.randint(2, 9 + 3 * level)) for _ in range(level)]
    listed = " and ".join(f"{volume} cm^3 of a material of {density} g/cm^3" for density, volume in pieces)
    mass, volume = sum(d * v for d, v in pieces), sum(v for _, v in pieces)
    if level > 1 and rng.random() < 0.5:
        return Question(f"A body consists of {listed}. What is its mean density?", Fraction(mass, volume), "g/cm^3")
    return Question(f"A body consists of {listed}. What is its mass?", Fraction(mass), "g")


def draw_acidity(rng: random.Random, level: int) -> Question:
    """The pH of `level` portions of strong acid; from level 5 on some are neutralised by a strong base."""
    if level == 1:
        strength, dilution = rng.randint(0, 2), rng.randint(0, 3)
        story = f"10 mL of {10**strength} mmol/L HCl is diluted with water to {10 ** (dilution + 1)} mL."
        return Question(f"{story} What is the pH of the solution?", Fraction(3 - strength + dilution), "")
    millimoles, millilitres, portions = Fraction(0), 0, []
    for index in range(level):
        volume, strength = 10 * rng.randint(1, 9), rng.randint(2, 60)
        amount = Fraction(volume * strength, 1000)
        is_base = level >= 5 and index % 3 == 2 and amount < millimoles / 2
        millimoles += -amount if is_base else amount
        millilitres += volume
        portions.append(f"{volume} mL of {strength} mmol/L {'NaOH' if is_base else 'HCl'}")
    acidity = Fraction(round(-math.log10(float(millimoles / millilitres)) * 1000), 1000)
    text = f"These are mixed: {', '.join(portions)}. What is the pH of the solution?"
    return Question(text, acidity, "", PH_TOLERANCE)


def generate_inheritance(rng: random.Random, level: int) -> Problem:
    """The probability of a phenotype over `level` independent genes, each crossed Aa x Aa or Aa x aa."""
    names = rng.sample("ABDEFGHKLMNRT", level)
    probability, first, second, wanted = Fraction(1), "", "", []
    for name in names:
        parents = rng.choice(((1, 1), (1, 1), (1, 0), (0, 1)))
        recessive = Fraction(2 - parents[0], 2) * Fraction(2 - parents[1], 2)
        is_recessive = rng.random() < 0.5
        probability *= recessive if is_recessive else 1 - recessive
        first += PAIRS[parents[0]].format(name, name.lower())
        second += PAIRS[parents[1]].format(name, name.lower())
        wanted.append(f"{'recessive' if is_recessive else 'dominant'} for gene {name}")
    story = f"Two plants with the genotypes {first} and {second} are crossed. A capital letter is the dominant allele"
    independent = ", and the genes are inherited independently" if len(names) > 1 else ""
    question = f"What is the probability that a child has the phenotype {', '.join(wanted)}? Answer with a fraction."
    closing = rng.choice(CLOSINGS_WITHOUT_UNIT)
    return Problem(f"{story}{independent}. {question} {closing}", str(probability), {"tolerance": 0.0})


PAIRS = ("{1}{1}", "{0}{1}")
"""A parent's alleles by the number of dominant ones."""


def inheritance_chance(level: int) -> float:
    """How often the commonest product of 1/2 (half of the genes), 1/4 and 3/4 (a quarter each) comes up."""
    return max(
        math.comb(level, halves) * math.comb(level - halves, quarters) * 0.5**halves * 0.25 ** (level - halves)
        for halves in range(level + 1)
        for quarters in range(level - halves + 1)
    )


def generate_combustion(rng: random.Random, level: int) -> Problem:
    """Balance the combustion of a compound of carbon and hydrogen, later with oxygen and nitrogen."""
    carbon, nitrogen = rng.randint(2, 8 + 2 * level), rng.randint(1, 3) if level >= 7 else 0
    hydrogen, oxygen = 2 * rng.randint(1, carbon + 1), rng.randint(1, level // 2) if level >= 4 else 0
    need = Fraction(carbon) + Fraction(hydrogen, 4) - Fraction(oxygen, 2)
    assert need > 0, (carbon, hydrogen, oxygen)
    counts = (carbon, hydrogen, oxygen, nitrogen)
    fuel = "".join(f"{e}{n if n > 1 else ''}" for e, n in zip("CHON", counts, strict=True) if n)
    amounts = [Fraction(1), need, Fraction(carbon), Fraction(hydrogen, 2), Fraction(nitrogen, 2)]
    unit = math.lcm(*(amount.denominator for amount in amounts))
    whole = [int(amount * unit) for amount in amounts]
    names = (fuel, "O2", "CO2", "H2O", "N2")
    terms = [f"{n if n > 1 else ''}{name}" for n, name in zip(whole, names, strict=True) if n]
    products = "CO2, H2O and N2" if nitrogen else "CO2 and H2O"
    text = rng.choice(("{0} burns completely in O2 to {1}.", "The complete combustion of {0} with O2 gives {1}."))
    ask = "Write the balanced equation with -> between the two sides, in \\boxed{}."
    gold = f"{' + '.join(terms[:2])} -> {' + '.join(terms[2:])}"
    return Problem(f"{text.format(fuel, products)} {ask}", gold, {})


VALUES: dict[str, tuple[Draw, float, str]] = {
    "motion": (draw_motion, 0.3, "Distance or final speed on a line, in stages of constant acceleration."),
    "unit_conversion": (draw_conversion, 0.06, "Other prefixes and time units for a product of units."),
    "molar_mass": (draw_molar_mass, 0.06, "The molar mass of a formula, or the mass of some moles of it."),
    "gas_law": (draw_gas, 0.23, "The pressure of an ideal gas after several changes."),
    "circuit": (draw_circuit, 0.06, "Resistance of, or current through, a network of resistors."),
    "half_life": (draw_half_life, 0.12, "What is left of radioactive samples."),
    "density": (draw_density, 0.06, "Mass or mean density of a body of several materials."),
    "acidity": (draw_acidity, 0.25, "The pH of a mixture of strong acids and bases."),
}
"""Family -> how its questions are drawn, chance at level 1, description."""


def generate_choice(rng: random.Random, level: int) -> Problem:
    """A question of another family with four options; the right letter is uniform."""
    draw = VALUES[rng.choice(sorted(VALUES))][0]
    question = draw(rng, level)
    while not question.value:
        question = draw(rng, level)
    options = [quantity(question.value, question.unit)]
    for factor in rng.sample(DISTRACTORS, len(DISTRACTORS)):
        option = quantity(question.value * Fraction(factor), question.unit)
        if option not in options and len(options) < len(LETTERS):
            options.append(option)
    right = options[0]
    rng.shuffle(options)
    choices = dict(zip(LETTERS, options, strict=True))
    listed = "\n".join(f"{letter}) {option}" for letter, option in choices.items())
    closing = "Put only the letter of the right option in \\boxed{}."
    return Problem(f"{question.text}\n{listed}\n{closing}", LETTERS[options.index(right)], {"choices": choices})


DISTRACTORS = ("1/2", "2", "3/2", "10", "1/10", "4/5", "6/5", "3")
SECOND_SMALLEST = 3 * math.comb(5, 2) / math.comb(8, 3)
"""How often the second smallest option is the right one: of three distractors one is of the three smaller factors."""


def _value_family(name: str, draw: Draw, chance: float, description: str) -> Family:
    """The best constant answer, or number of the text, is right at most about `chance` times; less at higher levels."""
    return Family(
        name=name,
        domain="stem",
        max_level=MAX_LEVEL,
        train_levels=TRAIN_LEVELS,
        generate=lambda rng, level: _problem(rng, draw(rng, level)),
        chance=lambda level: max(chance / math.sqrt(level), SMALLEST_CHANCE),
        description=description,
    )


SMALLEST_CHANCE = 0.04
"""One percent to either side, of numbers that spread over half a decade."""
FAMILIES: tuple[Family, ...] = (
    *(_value_family(name, *spec) for name, spec in VALUES.items()),
    Family(
        name="inheritance",
        domain="stem",
        max_level=MAX_LEVEL,
        train_levels=TRAIN_LEVELS,
        generate=generate_inheritance,
        chance=inheritance_chance,
        description="The probability of a phenotype over independent genes.",
    ),
    Family(
        name="combustion",
        domain="stem",
        max_level=MAX_LEVEL,
        train_levels=TRAIN_LEVELS,
        generate=generate_combustion,
        chance=lambda level: 0.06 / math.sqrt(level),
        description="Balance the equation of a combustion.",
    ),
    Family(
        name="science_choice",
        domain="stem",
        max_level=MAX_LEVEL,
        train_levels=TRAIN_LEVELS,
        generate=generate_choice,
        chance=lambda level: SECOND_SMALLEST,
        description="Multiple choice over the other families' questions.",
    ),
)
