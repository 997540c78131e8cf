"""The procedural math families: every answer is recomputed from the text or the metadata in another way."""

import itertools
import json
import math
import re
from collections import Counter
from fractions import Fraction

import pytest

from prorl.prompts.procedural import FAMILIES, make_prompt
from prorl.prompts.procedural.mathematics import FAMILIES as MATH
from prorl.prompts.procedural.mathematics import latex
from prorl.records import Prompt
from prorl.rewards.mathematics.rows import check_row, gold_response
from prorl.rewards.mathematics.verdict import verify

NAMES = [family.name for family in MATH]
LEVELS = (1, 2, 4, 7, 11, 20)
SEEDS = range(40)
EXHAUSTIVE = 20_000


def value_of(text: str) -> Fraction:
    """A number in the families' notation, read without the verifier."""
    match = re.fullmatch(r"(-?)\\frac\{(\d+)\}\{(\d+)\}", text)
    return Fraction(int(match[1] + match[2]), int(match[3])) if match else Fraction(text)


def side(text: str, x: Fraction) -> Fraction:
    """The value of a side of an equation such as `-3x + 5`."""
    total = Fraction(0)
    for sign, size, variable in re.findall(r"([+-]?)\s*(\d*)(x?)", text.replace(" ", "")):
        if size or variable:
            total += (-1 if sign == "-" else 1) * (Fraction(size) if size else 1) * (x if variable else 1)
    return total


def shopping(prompt: Prompt) -> bool:
    numbers = [int(n) for n in re.findall(r"(\d+) (?:goods of kind \d+|[a-z]+) at (\d+)", prompt.text) for n in n]
    total = sum(numbers[i] * numbers[i + 1] for i in range(0, len(numbers), 2))
    paid = re.search(r"pays with (\d+)", prompt.text)
    return int(prompt.answer) == (int(paid[1]) - total if paid else total)


def equation(prompt: Prompt) -> bool:
    left, right = re.search(r"(-?[\dx][-+\dx ]*) = (-?[\dx][-+\dx ]*)", prompt.text).groups()
    return side(left, value_of(prompt.answer)) == side(right, value_of(prompt.answer))


def system(prompt: Prompt) -> bool:
    # Cramer's rule, against the solution that the generator started from.
    (a, b, e), (c, d, f) = prompt.metadata["rows"]
    p, q = prompt.metadata["asked"]
    x, y = Fraction(e * d - b * f, a * d - b * c), Fraction(a * f - e * c, a * d - b * c)
    return Fraction(prompt.answer) == p * x + q * y


def fractions(prompt: Prompt) -> bool:
    written = re.search(r"-?\d+/\d+(?: [+-] \d+/\d+)*", prompt.text).group().replace("- ", "-").replace("+ ", "")
    return value_of(prompt.answer) == sum(map(Fraction, written.split()))


def percentages(prompt: Prompt) -> bool:
    cents = Fraction(int(re.search(r"of (\d+) dollars", prompt.text)[1]))
    for verb, percent in re.findall(r"(rises|falls) by (\d+) percent", prompt.text):
        cents += cents * int(percent) / 100 * (1 if verb == "rises" else -1)
    return value_of(prompt.answer) == cents


def remainders(prompt: Prompt) -> bool:
    if prompt.metadata["kind"] == "power":
        ((base, exponent),) = prompt.metadata["pairs"]
        number = base**exponent
    else:
        number = sum(int(a) * int(b) for a, b in re.findall(r"(\d+) \* (\d+)", prompt.text))
    return int(prompt.answer) == number - number // prompt.metadata["modulus"] * prompt.metadata["modulus"] > 0


def multiples(prompt: Prompt) -> bool:
    numbers, answer = prompt.metadata["numbers"], int(prompt.answer)
    if prompt.metadata["kind"] == "divisor":
        common = [d for d in range(1, min(numbers) + 1) if all(n % d == 0 for n in numbers)]
        return answer == common[-1]
    primes = [p for p in range(2, answer + 1) if answer % p == 0][:1] if answer < EXHAUSTIVE else []
    smaller = [answer // p for p in primes]
    return all(answer % n == 0 for n in numbers) and not any(all(s % n == 0 for n in numbers) for s in smaller)


def progressions(prompt: Prompt) -> bool:
    a, b, c, _ = (Fraction(n) for n in prompt.metadata["first"])
    n = prompt.metadata["place"]
    if b - a == c - b:
        last, total = a + (n - 1) * (b - a), n * (2 * a + (n - 1) * (b - a)) / 2
    else:
        last, total = a * (b / a) ** (n - 1), a * ((b / a) ** n - 1) / (b / a - 1)
    return Fraction(prompt.answer) == (total if prompt.metadata["total"] else last)


def counting(prompt: Prompt) -> bool:
    size, chosen, kind = (prompt.metadata[key] for key in ("size", "chosen", "kind"))
    make = {
        "choose": lambda: itertools.combinations(range(size), chosen),
        "arrange": lambda: itertools.permutations(range(size), chosen),
        "strings": lambda: itertools.product(range(size), repeat=chosen),
    }[kind]
    answer = int(prompt.answer)
    if answer <= EXHAUSTIVE:
        return sum(1 for _ in make()) == answer
    factors = {"strings": [size] * chosen}.get(kind, range(size - chosen + 1, size + 1))
    return answer * (math.factorial(chosen) if kind == "choose" else 1) == math.prod(factors)


def polynomials(prompt: Prompt) -> bool:
    value = 0
    for coefficient in prompt.metadata["coefficients"]:  # Horner
        value = value * prompt.metadata["x"] + coefficient
    return int(prompt.answer) == value


def areas(prompt: Prompt) -> bool:
    doubled = sum(2 * int(a) * int(b) for a, b in re.findall(r"rectangle of (\d+) by (\d+)", prompt.text))
    doubled += sum(int(a) * int(b) for a, b in re.findall(r"legs (\d+) and (\d+)", prompt.text))
    return value_of(prompt.answer) == Fraction(doubled, 2)


def urns(prompt: Prompt) -> bool:
    # One ball after the other.
    red, others, probability = prompt.metadata["red"], prompt.metadata["others"], Fraction(1)
    for gone in range(prompt.metadata["drawn"]):
        probability *= Fraction(red - gone, red + others - gone)
    return value_of(prompt.answer) == probability


def numerals(prompt: Prompt) -> bool:
    base = prompt.metadata["base"]
    if prompt.metadata["to_ten"]:
        return int(prompt.answer) == int(re.search(r"numeral ([0-9A-F]+)", prompt.text)[1], base)
    return int(prompt.answer, base) == int(re.search(r"number (\d+)", prompt.text)[1])


CHECKS = dict(
    zip(
        NAMES,
        (
            shopping, equation, system, fractions, percentages, remainders, multiples, progressions, counting,
            polynomials, areas, urns, numerals,
        ),
        strict=True,
    )
)  # fmt: skip


@pytest.mark.parametrize("family", NAMES)
def test_answers_recomputed(family):
    for level, seed in itertools.product(LEVELS, SEEDS):
        prompt = make_prompt(family, level, seed)
        assert CHECKS[family](prompt), (level, prompt.text, prompt.answer)


@pytest.mark.parametrize("family", NAMES)
def test_gold_answers_verify_and_others_do_not(family):
    for level in LEVELS:
        prompt = make_prompt(family, level, 0)
        check_row(prompt)
        assert verify(prompt, gold_response(prompt)).value == 1.0
        assert verify(prompt, prompt.text).value == 0.0
        assert verify(prompt, f"\\boxed{{{latex(value_of(prompt.answer) + 1)}}}").value == 0.0


@pytest.mark.parametrize("family", NAMES)
def test_shape_and_determinism(family):
    spec = FAMILIES[family]
    assert spec.domain == "math"
    assert spec.train_levels == spec.max_level - 2 >= 8
    prompts = [make_prompt(family, 3, seed) for seed in range(100)]
    assert prompts[0] == make_prompt(family, 3, 0)
    assert all("\\boxed{}" in prompt.text for prompt in prompts)
    assert len({re.split(r"[.?] ", prompt.text)[-1] for prompt in prompts}) >= 3
    assert len({prompt.text for prompt in prompts}) >= 90
    assert json.loads(json.dumps(dict(prompts[0].metadata))) == prompts[0].metadata
    assert 0 < spec.chance(20) <= spec.chance(1) <= 0.34


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("level", [1, 10, 20])
def test_no_constant_answer_pays(family, level):
    answers = Counter(make_prompt(family, level, seed).answer for seed in range(300))
    assert answers.most_common(1)[0][1] / 300 <= 3 * FAMILIES[family].chance(level) + 0.05


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("level", [1, 2, 4, 8])
def test_no_number_of_the_text_pays_more_than_chance(family, level):
    """The first, the last, the smallest and the largest number of the question as the answer."""
    hits = Counter()
    for seed in range(400):
        prompt = make_prompt(family, level, 7_000_000 + seed)
        found = [int(number) for number in re.findall(r"\d+", prompt.text)]
        for name, copy in (("first", found[0]), ("last", found[-1]), ("min", min(found)), ("max", max(found))):
            hits[name] += str(copy) == prompt.answer
    expected = 400 * FAMILIES[family].chance(level)
    # Three standard deviations, for the best of four.
    assert max(hits.values()) <= expected + 3 * expected**0.5 + 1


@pytest.mark.parametrize("family", NAMES)
def test_levels_grow(family):
    def digits(level: int) -> float:
        return sum(sum(c.isdigit() for c in make_prompt(family, level, s).text + make_prompt(family, level, s).answer)
                   for s in range(100)) / 100  # fmt: skip

    assert digits(1) < digits(8) < digits(20)


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (Fraction(-6, 4), r"-\frac{3}{2}"), (Fraction(4, 2), "2")])
def test_notation(value, text):
    assert latex(value) == text
