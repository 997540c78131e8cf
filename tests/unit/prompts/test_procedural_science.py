"""The STEM families: every gold answer recomputed from the prompt's text by another route, and judged right."""

import itertools
import json
import math
import re
from collections import Counter
from fractions import Fraction

import pint
import pytest

from prorl.prompts.procedural import make_prompt
from prorl.prompts.procedural.science import FAMILIES, VALUES
from prorl.records import Prompt
from prorl.rewards.science.rows import check_row, gold_response
from prorl.rewards.science.verdict import verify, verify_tolerant

BY_NAME = {family.name: family for family in FAMILIES}
LEVELS = (1, 2, 4, 7, 12)
SEEDS = range(15)
REGISTRY = pint.UnitRegistry()
MASSES = {"H": 1, "C": 12, "N": 14, "O": 16, "F": 19, "Na": 23, "Mg": 24, "Al": 27, "P": 31, "S": 32, "K": 39, "Ca": 40}


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def motion(text: str) -> float:
    """Second by second: in each the mean speed is that of its ends."""
    speed = int(re.search(r"line at (\d+) m/s", text)[1])
    distance = 0.0
    for action, seconds in re.findall(r"it ([^,]*?) for (\d+) s", text):
        rate = int(re.search(r"\d+", action)[0]) if "keeps" not in action else 0
        change = -rate if "slows" in action else rate
        for _ in range(int(seconds)):
            distance += speed + change / 2
            speed += change
    assert speed >= 0
    return speed if "How fast" in text else distance


def unit_conversion(text: str) -> float:
    match = re.search(r"(?:Convert|gives) (\d+) (\S+?)(?: to |\. What is this in )(\S+?)[.?]", text)
    number, old, new = match.groups()
    return REGISTRY.Quantity(float(number), old.replace("^", "**")).to(new.replace("^", "**")).magnitude


def atoms(formula: str) -> Counter:
    """Write each bracket out, then count symbols."""
    while "(" in formula:
        formula = re.sub(r"\(([^()]*)\)(\d+)", lambda match: match[1] * int(match[2]), formula)
    counts = Counter()
    for symbol, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        counts[symbol] += int(count or 1)
    return counts


def molar_mass(text: str) -> float:
    match = re.search(r"(?:molar mass of|(\d+) mol of) ([A-Z][A-Za-z0-9()]*)\?", text)
    stated = dict(re.findall(r"([A-Z][a-z]?) = (\d+)", text))
    counts = atoms(match[2])
    assert stated == {symbol: str(MASSES[symbol]) for symbol in counts}
    return sum(MASSES[symbol] * count for symbol, count in counts.items()) * int(match[1] or 1)


def gas_law(text: str) -> float:
    """p = n T / V with all three at 1 in the beginning."""
    pressure = int(re.search(r"gas at (\d+) kPa", text)[1])
    state = {"volume": 1.0, "temperature": 1.0, "amount": 1.0}
    for sentence in re.findall(r"(?:Next|Then) ([^.]*)\.", text):
        name = "amount" if "amount" in sentence else "temperature" if "absolute" in sentence else "volume"
        (factor,) = numbers(sentence)
        state[name] *= 1 / factor if "divided" in sentence else factor
    return pressure * state["amount"] * state["temperature"] / state["volume"]


class Resistance(float):
    def __add__(self, other):
        return Resistance(float(self) + float(other))

    def __or__(self, other):
        return Resistance(1 / (1 / float(self) + 1 / float(other)))


def circuit(text: str) -> float:
    network = re.search(r"(?:circuit has|circuit of) (.*?)\. What", text)[1]
    network = re.sub(r"a (\d+) ohm resistor", r"Resistance(\1)", network).replace("[", "(").replace("]", ")")
    network = network.replace("in series with", "+").replace("in parallel with", "|")
    resistance = eval(network)
    volts = re.search(r"battery of (\d+) V", text)
    return int(volts[1]) / resistance if volts else resistance


def half_life(text: str) -> float:
    samples = re.findall(r"(\d+) mg of an isotope of half-life (\d+)", text)
    hours = int(re.search(r"(?:after (\d+) \w+\?|(\d+) \w+ pass)", text)[0].replace("after", "").split()[0])
    return sum(int(mass) * 0.5 ** (hours / int(period)) for mass, period in samples)


def density(text: str) -> float:
    pieces = [(int(v), int(d)) for v, d in re.findall(r"(\d+) cm\^3 of a material of (\d+) g", text)]
    mass = sum(volume * density for volume, density in pieces)
    return mass / sum(volume for volume, _ in pieces) if "mean density" in text else mass


def acidity(text: str) -> float:
    """Moles per litre of what is left of the acid."""
    if "diluted" in text:
        first, strength, last = numbers(text)[:3]
        return -math.log10(strength / 1000 * first / last)
    portions = re.findall(r"(\d+) mL of (\d+) mmol/L (HCl|NaOH)", text)
    moles = sum(int(v) * int(c) * (1 if name == "HCl" else -1) for v, c, name in portions) / 1e6
    return -math.log10(moles / (sum(int(v) for v, _, _ in portions) / 1000))


RECOMPUTE = {
    "motion": motion,
    "unit_conversion": unit_conversion,
    "molar_mass": molar_mass,
    "gas_law": gas_law,
    "circuit": circuit,
    "half_life": half_life,
    "density": density,
    "acidity": acidity,
}


def boxed(value: float, unit: str) -> str:
    mantissa, exponent = f"{value:.9e}".split("e")
    return rf"\boxed{{{mantissa} \times 10^{{{int(exponent)}}} \text{{ {unit}}}}}"


def prompts(name: str, levels: tuple[int, ...] = LEVELS) -> list[Prompt]:
    return [make_prompt(name, level, seed) for level in levels for seed in SEEDS]


@pytest.mark.parametrize("name", RECOMPUTE)
def test_value_families_against_another_computation(name: str):
    assert RECOMPUTE.keys() == VALUES.keys()
    for prompt in prompts(name):
        value, unit = RECOMPUTE[name](prompt.content), prompt.metadata.get("unit", "")
        assert verify(prompt, boxed(value, unit)).value == 1.0, (prompt.content, prompt.answer, value)
        assert verify(prompt, boxed(value * 1.02 + 0.01, unit)).value == 0.0, prompt.content
        assert verify(prompt, boxed(value, "kg^2*mol")).value == (0.0 if unit else 1.0)


def test_inheritance_by_all_gametes():
    for prompt in prompts("inheritance", (1, 2, 3, 4, 5)):
        first, second = re.search(r"genotypes (\w+) and (\w+)", prompt.content).groups()
        wanted = re.findall(r"(recessive|dominant) for gene ([A-Z])", prompt.content)
        gametes = [list(itertools.product(*re.findall("..", genotype))) for genotype in (first, second)]
        children = list(itertools.product(*gametes))
        hits = 0
        for one, two in children:
            alleles = set(one) | set(two)
            hits += all((gene in alleles) == (kind == "dominant") for kind, gene in wanted)
        assert Fraction(prompt.answer) == Fraction(hits, len(children))


def test_combustion_is_balanced_in_lowest_terms():
    for prompt in prompts("combustion"):
        sides = [Counter(), Counter()]
        coefficients = []
        for side, text in zip(sides, prompt.answer.split(" -> "), strict=True):
            for term in text.split(" + "):
                count, formula = re.fullmatch(r"(\d*)([A-Z].*)", term).groups()
                coefficients.append(int(count or 1))
                for element, number in atoms(formula).items():
                    side[element] += number * int(count or 1)
        assert sides[0] == sides[1]
        assert math.gcd(*coefficients) == 1
        assert re.search(r"[A-Z][A-Z0-9]+", prompt.content)[0] in prompt.answer.split(" -> ")[0]
        other = prompt.answer.replace("O2 ->", "O3 ->")
        assert verify(prompt, f"\\boxed{{{other}}}").value == 0.0


def test_choices_hold_one_right_option_and_uniform_letters():
    letters = Counter()
    for prompt in prompts("science_choice"):
        choices = prompt.metadata["choices"]
        assert list(choices) == ["A", "B", "C", "D"]
        assert all(f"\n{letter}) {option}\n" in prompt.content for letter, option in choices.items())
        for letter, option in choices.items():
            expected = float(letter == prompt.answer)
            for answer in (letter, option, f"({letter})", f"\\text{{{letter}) {option}}}"):
                assert verify(prompt, f"\\boxed{{{answer}}}").value == expected, (answer, prompt)
        assert verify(prompt, "\\boxed{A, B, C, D}").value == 0.0
        assert verify_tolerant(prompt, prompt.content).value == 0.0
        values = [compute(prompt.content) for compute in RECOMPUTE.values() if matches(compute, prompt.content)]
        gold = Prompt("", "stem", "", "", choices[prompt.answer], {"tolerance": 0.001})
        unit = choices[prompt.answer].partition(" ")[2].rpartition("} ")[2]
        assert any(verify(gold, boxed(value, unit)).value for value in values), prompt.content
    # 400 draws: five standard deviations (8.7) around 100.
    letters = Counter(make_prompt("science_choice", 3, seed).answer for seed in range(400))
    assert all(56 < letters[letter] < 144 for letter in "ABCD")


def matches(compute, text: str) -> bool:
    words = {
        motion: "straight line", unit_conversion: r"Convert|measurement", molar_mass: "atomic masses",
        gas_law: "ideal gas", circuit: "resistor", half_life: "half-life", density: "body consists", acidity: "pH",
    }  # fmt: skip
    return re.search(words[compute], text) is not None


@pytest.mark.parametrize("name", BY_NAME)
def test_gold_is_right_and_constants_are_at_chance(name: str):
    family = BY_NAME[name]
    assert (family.domain, family.max_level >= 10, family.train_levels) == ("stem", True, family.max_level - 2)
    for level in LEVELS:
        problems = [make_prompt(name, level, seed) for seed in range(120)]
        for prompt in problems:
            check_row(prompt)
            assert json.loads(json.dumps(dict(prompt.metadata))) == prompt.metadata
            for judge in (verify, verify_tolerant):
                assert judge(prompt, gold_response(prompt)).value == 1.0
                assert judge(prompt, prompt.content).value == 0.0
        commonest = [answer for answer, _ in Counter(prompt.answer for prompt in problems).most_common(6)]
        best = max(sum(verify(p, f"\\boxed{{{answer}}}").value for p in problems) for answer in commonest)
        chance = family.chance(level)
        # Four standard deviations above the stated chance, for the best of several constants.
        assert best <= 120 * chance + 4 * math.sqrt(120 * chance) + 1, (level, commonest[0], best)
        assert len({prompt.content for prompt in problems}) >= (20 if level == 1 else 60)


def test_the_second_smallest_option_is_at_chance():
    """The options' numbers, in order: 3 factors are below 1 and 5 above, so 3 * C(5, 2) of C(8, 3) = 30 of 56."""
    hits = 0
    for seed in range(400):
        prompt = make_prompt("science_choice", 2, seed)
        sizes = {}
        for letter, text in prompt.metadata["choices"].items():
            number, exponent = re.match(r"([\d.-]+)(?: \\times 10\^\{(-?\d+)\})?", text).groups()
            sizes[letter] = float(number) * 10 ** int(exponent or 0)
        hits += sorted(sizes, key=sizes.get)[1] == prompt.answer
    chance = BY_NAME["science_choice"].chance(2)
    assert chance == pytest.approx(30 / 56)
    # Three standard deviations of a share of 400 are 0.075.
    assert abs(hits / 400 - chance) < 0.075


@pytest.mark.parametrize("name", BY_NAME)
def test_problems_grow_with_the_level_and_never_change(name: str):
    lengths = [sum(len(make_prompt(name, level, seed).content) for seed in range(30)) for level in (1, 6, 12)]
    assert lengths == sorted(lengths)
    assert make_prompt(name, 5, 7) == make_prompt(name, 5, 7)


PINNED = {
    "motion": (
        "A cart moves along a straight line at 3 m/s. Then it keeps its speed for 8 s. How fast is "
        "it at the end? Put your final answer with its unit in \\boxed{}.",
        "3 m/s",
    ),
    "unit_conversion": (
        "Convert 10 mg to g. Round to three significant digits or more. Give the result with its un"
        "it inside \\boxed{}.",
        "0.01000 g",
    ),
    "molar_mass": (
        "Use the atomic masses N = 14, Na = 23, P = 31 (in g/mol). What is the molar mass of N2Na2P"
        "4? Write the number and its unit in \\boxed{} at the end.",
        "198 g/mol",
    ),
    "gas_law": (
        "A closed cylinder with a piston holds an ideal gas at 110 kPa. Then the volume is divided "
        "by 4 at constant temperature. Next the volume is made 3 times as large at constant tempera"
        "ture. What is the pressure at the end? Round to three significant digits or more. Give the"
        " result with its unit inside \\boxed{}.",
        "146.7 kPa",
    ),
    "circuit": (
        "A battery of 2 V drives a circuit of a 11 ohm resistor in parallel with [a 19 ohm resistor"
        " in series with a 1 ohm resistor]. What current does the battery deliver? Round to three s"
        "ignificant digits or more. Write the number and its unit in \\boxed{} at the end.",
        "0.2818 A",
    ),
    "half_life": (
        "A container holds 16 mg of an isotope of half-life 4 hours. How much is left in all after "
        "4 hours? Write the number and its unit in \\boxed{} at the end.",
        "8 mg",
    ),
    "density": (
        "A body consists of 3 cm^3 of a material of 8 g/cm^3 and 9 cm^3 of a material of 2 g/cm^3. "
        "What is its mass? Give the result with its unit inside \\boxed{}.",
        "42 g",
    ),
    "acidity": (
        "These are mixed: 40 mL of 4 mmol/L HCl, 10 mL of 41 mmol/L HCl. What is the pH of the solu"
        "tion? Round to three significant digits or more. Put your final answer in \\boxed{}.",
        "1.943",
    ),
    "inheritance": (
        "Two plants with the genotypes Kktt and KkTt are crossed. A capital letter is the dominant "
        "allele, and the genes are inherited independently. What is the probability that a child ha"
        "s the phenotype recessive for gene K, dominant for gene T? Answer with a fraction. Put you"
        "r final answer in \\boxed{}.",
        "1/8",
    ),
    "combustion": (
        "C6H10 burns completely in O2 to CO2 and H2O. Write the balanced equation with -> between t"
        "he two sides, in \\boxed{}.",
        "2C6H10 + 17O2 -> 12CO2 + 10H2O",
    ),
    "science_choice": (
        "A container holds 32 mg of an isotope of half-life 2 days. How much is left in all after 4"
        " days?\nA) 8 mg\nB) 24 mg\nC) 80 mg\nD) 0.8000 mg\nPut only the letter of the right option in \\"
        "boxed{}.",
        "A",
    ),
}


@pytest.mark.parametrize("name", BY_NAME)
def test_pinned_example(name: str):
    prompt = make_prompt(name, 2, 0)
    assert (prompt.content, prompt.answer) == PINNED[name]
