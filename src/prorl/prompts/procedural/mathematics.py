r"""Procedural mathematics: school problems in plain English with one exact answer, to be given in `\boxed{}`.

Numbers, and the steps to the answer, grow with the level. Whole numbers are written in digits, fractions in lowest
terms as `\frac{a}{b}`.
"""

import math
import random
from collections.abc import Callable
from fractions import Fraction

from prorl.prompts.mini.problem import Family, Problem

MAX_LEVEL = 20
TRAIN_LEVELS = MAX_LEVEL - 2
ENDINGS = (
    r"Put your final answer in \boxed{}.",
    r"Give your final answer in \boxed{}.",
    r"Write the final answer inside \boxed{}.",
    r"Think step by step and end with the answer in \boxed{}.",
)
NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kofi", "Lena")
GOODS = ("pencils", "notebooks", "apples", "candles", "stickers", "tickets", "mugs", "cards", "plants", "lamps")
_DIGITS = "0123456789ABCDEF"


def latex(value: Fraction | int) -> str:
    """A whole number in digits, another one as a fraction in lowest terms."""
    value = Fraction(value)
    if value.denominator == 1:
        return str(value.numerator)
    return f"{'-' if value < 0 else ''}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def _problem(rng: random.Random, text: str, answer: Fraction | int | str, **metadata: object) -> Problem:
    solution = answer if isinstance(answer, str) else latex(answer)
    return Problem(f"{text} {rng.choice(ENDINGS)}", solution, metadata)


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _term(coefficient: int, factor: str, *, first: bool) -> str:
    """A term of a sum with its sign; empty where the coefficient is 0."""
    if coefficient == 0:
        return ""
    sign = ("-" if coefficient < 0 else "") if first else (" - " if coefficient < 0 else " + ")
    size = "" if abs(coefficient) == 1 and factor else str(abs(coefficient))
    return f"{sign}{size}{factor}"


def _nonzero(rng: random.Random, limit: int) -> int:
    return rng.choice((-1, 1)) * rng.randint(1, limit)


def generate_shopping(rng: random.Random, level: int) -> Problem:
    """What several goods cost together, or the change from a round amount."""
    count = 1 + (level + 1) // 2
    counts = [rng.randint(2, 4 + 2 * level) for _ in range(count)]
    prices = [rng.randint(2, 5 + 4 * level) for _ in range(count)]
    goods = rng.sample(GOODS, count) if count <= len(GOODS) else [f"goods of kind {i + 1}" for i in range(count)]
    total = sum(one * price for one, price in zip(counts, prices, strict=True))
    name = rng.choice(NAMES)
    rows = zip(counts, goods, prices, strict=True)
    listing = _join([f"{number} {good} at {price} dollars each" for number, good, price in rows])
    paid = 0
    if rng.random() < 0.5:
        paid = (total // 50 + rng.randint(1, 3)) * 50
        text = f"{name} buys {listing}. {name} pays with {paid} dollars. How many dollars of change does {name} get?"
    else:
        text = rng.choice((f"{name} buys {listing}. How many dollars does that cost in total?",
                           f"A shop sells {name} {listing}. What is the total price in dollars?"))  # fmt: skip
    return _problem(rng, text, paid - total if paid else total, counts=counts, prices=prices, paid=paid)


def generate_equation(rng: random.Random, level: int) -> Problem:
    """A linear equation in x, with x on both sides from level 3 on; the solution is a fraction from level 6 on."""
    limit = 4 + 3 * level
    left, right = _nonzero(rng, limit), rng.randint(-limit, limit) if level >= 3 else 0
    while left == right:
        left = _nonzero(rng, limit)
    constant = rng.randint(-limit, limit)
    if level >= 6:
        other = rng.randint(-limit * level, limit * level)
    else:
        other = (left - right) * rng.randint(-limit, limit) + constant
    first = _term(left, "x", first=True) + _term(constant, "", first=False)
    second = (_term(right, "x", first=True) + _term(other, "", first=right == 0)) or "0"
    text = rng.choice(("Solve for x: {}.", "Find the value of x with {}.", "Which number x satisfies {}?"))
    answer = Fraction(other - constant, left - right)
    return _problem(rng, text.format(f"{first} = {second}"), answer, coefficients=[left, constant, right, other])


def generate_system(rng: random.Random, level: int) -> Problem:
    """Two linear equations with a whole solution; one unknown, or a combination of both, is asked for."""
    limit = 3 + 2 * level
    x, y = rng.randint(-limit, limit), rng.randint(-limit, limit)
    a, b, c, d = (_nonzero(rng, limit) for _ in range(4))
    while a * d == b * c:
        d = _nonzero(rng, limit)
    rows = [[a, b, a * x + b * y], [c, d, c * x + d * y]]
    lines = [f"{_term(p, 'x', first=True)}{_term(q, 'y', first=False)} = {s}" for p, q, s in rows]
    p, q = rng.choice(((1, 0), (0, 1), (1, 1), (2, -1))) if level >= 3 else rng.choice(((1, 0), (0, 1)))
    asked = _term(p, "x", first=True) + _term(q, "y", first=p == 0)
    text = rng.choice(("If {} and {}, what is {}?", "Given {} and {}, find {}.", "Let {} and {}. Compute {}."))
    return _problem(rng, text.format(*lines, asked), p * x + q * y, rows=rows, asked=[p, q])


def _proper(rng: random.Random, limit: int) -> Fraction:
    """A fraction that is no whole number."""
    bottom = rng.randint(3, limit)
    top = rng.randint(1, limit)
    while top % bottom == 0:
        top = rng.randint(1, limit)
    return Fraction(top, bottom)


def generate_fractions(rng: random.Random, level: int) -> Problem:
    """A sum or difference of fractions, in lowest terms."""
    count, limit = 2 + level // 4, 4 + 2 * level
    fractions = [_proper(rng, limit) for _ in range(count)]
    signs = [1] + [rng.choice((-1, 1)) for _ in range(count - 1)]
    terms = [[sign, one.numerator, one.denominator] for sign, one in zip(signs, fractions, strict=True)]
    written = "".join(f" {'+' if sign > 0 else '-'} {top}/{bottom}" for sign, top, bottom in terms).removeprefix(" + ")
    total = sum((Fraction(sign * top, bottom) for sign, top, bottom in terms), Fraction(0))
    text = rng.choice(
        (
            "Compute {} as a fraction in lowest terms.",
            "What is {}? Simplify the fraction.",
            "Simplify {} to one fraction.",
        )
    )
    return _problem(rng, text.format(written), total, terms=terms)


def generate_percentages(rng: random.Random, level: int) -> Problem:
    """A price after several rises and cuts in percent; exact."""
    count = 1 + level // 3
    price = 100 * rng.randint(1, 5 + 5 * level)
    changes = [rng.choice((-1, 1)) * rng.choice((5, 10, 20, 25, 30, 40, 50)) for _ in range(count)]
    value = Fraction(price)
    steps: list[str] = []
    for change in changes:
        value *= Fraction(100 + change, 100)
        steps.append(f"{'rises' if change > 0 else 'falls'} by {abs(change)} percent")
    listing = ", then ".join(steps)
    thing = rng.choice(("price", "rent", "fee"))
    text = f"A {thing} of {price} dollars {listing}. What is it in the end, in dollars? Give the exact value."
    return _problem(rng, text, value, price=price, changes=changes)


def generate_remainders(rng: random.Random, level: int) -> Problem:
    """The remainder, which is not 0, of a sum of products, or of a power, after division."""
    while True:
        problem = _remainder(rng, level)
        if problem.solution != "0":
            return problem


def _remainder(rng: random.Random, level: int) -> Problem:
    modulus = rng.randint(6, 12 + 5 * level)
    if level >= 4 and rng.random() < 0.5:
        base, exponent = rng.randint(2, 5 + level), rng.randint(3, 3 + level * level)
        pairs, answer, written = [[base, exponent]], pow(base, exponent, modulus), f"{base}^{exponent}"
        kind = "power"
    else:
        pairs = [[rng.randint(2, 10 * level), rng.randint(2, 10 * level)] for _ in range(1 + level // 3)]
        answer = sum(a * b for a, b in pairs) % modulus
        written, kind = " + ".join(f"{a} * {b}" for a, b in pairs), "products"
    text = rng.choice(
        ("What is the remainder when {} is divided by {}?", "Find the remainder of {} after division by {}.")
    )
    return _problem(rng, text.format(written, modulus), answer, kind=kind, pairs=pairs, modulus=modulus)


def generate_multiples(rng: random.Random, level: int) -> Problem:
    """The greatest common divisor or the least common multiple of numbers, also as a story."""
    count = 2 + level // 6
    shared = rng.randint(2, 4 + 2 * level)
    numbers = [shared * rng.randint(2, 4 + level) for _ in range(count)]
    listing = _join([str(number) for number in numbers])
    if rng.random() < 0.5:
        text = rng.choice(
            ("What is the greatest common divisor of {}?", "What is the largest whole number that divides {}?")
        )
        return _problem(rng, text.format(listing), math.gcd(*numbers), kind="divisor", numbers=numbers)
    text = rng.choice(
        (
            "What is the least common multiple of {}?",
            "Lights blink every {} seconds. They blink together now. In how many seconds do they next blink together?",
        )
    )
    return _problem(rng, text.format(listing), math.lcm(*numbers), kind="multiple", numbers=numbers)


def generate_progressions(rng: random.Random, level: int) -> Problem:
    """A late term, or a sum, of an arithmetic progression; from level 5 on also of a geometric one."""
    start, place = rng.randint(1, 5 + 3 * level), rng.randint(5, 8 + 4 * level)
    if level >= 5 and rng.random() < 0.4:
        ratio, place = rng.choice((2, 3)), rng.randint(5, 6 + level // 2)
        first = [start * ratio**i for i in range(4)]
        terms, kind = [start * ratio**i for i in range(place)], "geometric"
    else:
        step = _nonzero(rng, 2 + 2 * level)
        first, kind = [start + step * i for i in range(4)], "arithmetic"
        terms = [start + step * i for i in range(place)]
    total = rng.random() < 0.5
    asked = f"the sum of its first {place} terms" if total else f"its term number {place}"
    article = "An" if kind == "arithmetic" else "A"
    text = f"{article} {kind} sequence begins {', '.join(map(str, first))}. What is {asked}?"
    return _problem(rng, text, sum(terms) if total else terms[-1], first=first, place=place, total=total)


def generate_counting(rng: random.Random, level: int) -> Problem:
    """How many ways there are to choose or arrange people or letters."""
    size = rng.randint(4 + level // 2, 11 + level)
    chosen = rng.randint(2, min(size - 2, 2 + level))
    kind = rng.choice(("choose", "arrange", "strings") if level >= 3 else ("choose", "arrange"))
    answers = {"choose": math.comb(size, chosen), "arrange": math.perm(size, chosen), "strings": size**chosen}
    things = rng.choice(("students", "players", "dancers", "songs", *GOODS))
    text = {
        "choose": f"In how many ways can {chosen} {things} be chosen from {size} {things}?",
        "arrange": f"In how many ways can {chosen} of {size} different {things} be put in a row?",
        "strings": f"How many strings of {chosen} characters are there over an alphabet of {size} letters?",
    }[kind]
    return _problem(rng, text, answers[kind], kind=kind, size=size, chosen=chosen)


def generate_polynomials(rng: random.Random, level: int) -> Problem:
    """The value of a polynomial at a whole number."""
    degree, limit = 1 + (level + 2) // 3, 3 + level
    coefficients = [_nonzero(rng, limit)] + [rng.randint(-limit, limit) for _ in range(degree)]
    x = _nonzero(rng, 2 + level // 2)
    written = ""
    for index, coefficient in enumerate(coefficients):
        power = degree - index
        written += _term(coefficient, "" if power == 0 else "x" if power == 1 else f"x^{power}", first=not written)
    value = sum(coefficient * x ** (degree - index) for index, coefficient in enumerate(coefficients))
    text = rng.choice(("Evaluate {} at x = {}.", "What is the value of {} for x = {}?", "Let p(x) = {}. Find p({})."))
    return _problem(rng, text.format(written, x), value, coefficients=coefficients, x=x)


def generate_areas(rng: random.Random, level: int) -> Problem:
    """The area of a figure of rectangles and right triangles, or of what is left of a rectangle."""
    limit = 4 + 3 * level
    count = 1 + level // 3
    parts: list[list[object]] = []
    words: list[str] = []
    total = Fraction(0)
    for _ in range(count):
        kind, a, b = rng.choice(("rectangle", "triangle")), rng.randint(2, limit), rng.randint(2, limit)
        parts.append([kind, a, b])
        total += Fraction(a * b, 1 if kind == "rectangle" else 2)
        words.append(
            f"a {kind} of {a} by {b} cm" if kind == "rectangle" else f"a right {kind} with legs {a} and {b} cm"
        )
    if count == 1:
        text = f"What is the area of {words[0]}, in square centimeters?"
    else:
        text = f"A figure is made of {_join(words)}, without overlap. What is its area in square centimeters?"
    return _problem(rng, text, total, parts=parts)


def generate_urns(rng: random.Random, level: int) -> Problem:
    """The probability that all balls drawn from an urn without replacement have one colour."""
    red, blue = rng.sample(range(2, 10 + level), 2)
    drawn = rng.randint(1, min(red, 1 + level // 3))
    green = rng.randint(1, 2 + level) if level >= 4 else 0
    urn = _join([f"{red} red", f"{blue} blue", *([f"{green} green"] if green else [])])
    what = "a red ball" if drawn == 1 else f"{drawn} red balls"
    text = (
        f"An urn holds {urn} balls. {'One ball is' if drawn == 1 else f'{drawn} balls are'} drawn at random without "
        f"replacement. What is the probability of drawing {what}? Answer with a fraction in lowest terms."
    )
    value = Fraction(math.comb(red, drawn), math.comb(red + blue + green, drawn))
    return _problem(rng, text, value, red=red, others=blue + green, drawn=drawn)


def generate_numerals(rng: random.Random, level: int) -> Problem:
    """A number written in another base, or a numeral of another base in base ten."""
    base = rng.choice((2, 3, 4, 5, 8) if level < 8 else (2, 3, 5, 6, 7, 9, 12, 16))
    value = rng.randint(base, 20 * level * level + base)
    digits, rest = "", value
    while rest:
        rest, digit = divmod(rest, base)
        digits = _DIGITS[digit] + digits
    if rng.random() < 0.5 and base <= 10:
        text = f"Write the base ten number {value} in base {base}. Give only its digits."
        return _problem(rng, text, digits, base=base, value=value, to_ten=False)
    text = f"The numeral {digits} is written in base {base}. Which number is it in base ten?"
    return _problem(rng, text, value, base=base, value=value, to_ten=True)


def _family(name: str, generate: Callable[[random.Random, int], Problem], span: Callable[[int], float]) -> Family:
    """A family; one in `span` problems has the commonest answer, or one that is a number of its text."""
    return Family(
        name=name,
        domain="math",
        max_level=MAX_LEVEL,
        train_levels=TRAIN_LEVELS,
        generate=generate,
        chance=lambda level: 1.0 / span(level),
        description=(generate.__doc__ or "").strip(),
    )


FAMILIES: tuple[Family, ...] = (
    _family("shopping_change", generate_shopping, lambda level: min(30 * level, 120)),
    _family("solve_equation", generate_equation, lambda level: 5 + 5 * level),
    _family("solve_system", generate_system, lambda level: 7 + 4 * level),
    _family("add_fractions", generate_fractions, lambda level: 20 * level),
    _family("percent_chain", generate_percentages, lambda level: 20 * level),
    _family("find_remainder", generate_remainders, lambda level: 5 + level / 3),
    _family("common_multiple", generate_multiples, lambda level: 2.7 + 0.3 * level if level < 6 else 8 + level),
    _family("term_of_progression", generate_progressions, lambda level: 50 * level),
    _family("count_selections", generate_counting, lambda level: 12 + 6 * level),
    _family("polynomial_value", generate_polynomials, lambda level: 5 + 8 * level),
    _family("figure_area", generate_areas, lambda level: 3.5 + 2.5 * level if level < 3 else 20 * level),
    _family("urn_probability", generate_urns, lambda level: 20 + 4 * level),
    _family("numeral_base", generate_numerals, lambda level: 20 * level),
)
