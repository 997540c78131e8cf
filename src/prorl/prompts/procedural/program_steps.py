"""Procedural code families: the steps that programs are composed of, each said in words, in code, and as a function.

The function computes what is expected, the code is part of the reference program: they agree, and share nothing.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

WORDS = (
    "apple", "river", "stone", "cloud", "table", "green", "music", "paper", "light", "water", "tiger", "lemon",
    "bread", "house", "chair", "ocean", "plant", "robot", "sugar", "train", "uncle", "voice", "wheel", "zebra", "an",
    "it", "we", "moon", "sun", "eye", "radar", "level", "banana", "kayak",
)  # fmt: skip
NAMES = (
    "Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivo", "June", "Kim", "Leo", "Mia", "Nils", "Omar",
    "Pia", "Quin", "Rosa", "Sam", "Tess",
)  # fmt: skip
Case = Any
"""The input of a test."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what the prompt says, the same as a Python expression of `x`, and as a function."""

    words: str
    code: str
    apply: Callable[[Any], Any]


Draw = Callable[[random.Random], Step]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A kind of value that steps are applied to, and how a program gets it."""

    steps: tuple[Draw, ...]
    what: str
    case: Callable[[random.Random], Case]
    edges: tuple[Case, ...]


def fixed(words: str, code: str, apply: Callable[[Any], Any]) -> Draw:
    """A step without a number of its own."""
    step = Step(words, code, apply)
    return lambda rng: step


def numbered(low: int, high: int, words: str, code: str, apply: Callable[[Any, int], Any]) -> Draw:
    """A step with a drawn number `k`."""

    def draw(rng: random.Random) -> Step:
        k = rng.randint(low, high)
        return Step(words.replace("<k>", str(k)), code.replace("<k>", str(k)), lambda x: apply(x, k))

    return draw


def unique(items: Iterable[Any]) -> list[Any]:
    """Without repetitions, in the order of the first ones."""
    kept: list[Any] = []
    for item in items:
        if item not in kept:
            kept.append(item)
    return kept


def running_sums(numbers: list[int]) -> list[int]:
    sums: list[int] = []
    for number in numbers:
        sums.append(number + (sums[-1] if sums else 0))
    return sums


def digit_sum(number: int) -> int:
    total = 0
    while number:
        number, digit = divmod(number, 10)
        total += digit
    return total


def reversed_digits(number: int) -> int:
    result = 0
    while number:
        number, digit = divmod(number, 10)
        result = 10 * result + digit
    return result


def ranked(rows: list[list[Any]], column: int, sign: int) -> list[list[Any]]:
    """Sort rows by a number, equal ones in their order, by insertion."""
    result: list[list[Any]] = []
    for row in rows:
        position = len(result)
        while position and sign * result[position - 1][column] > sign * row[column]:
            position -= 1
        result.insert(position, row)
    return result


def _shifted(text: str) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return text.translate(str.maketrans(letters, letters[1:] + letters[0]))


# fmt: off
LISTS = Pipeline(
    steps=(
        numbered(1, 9, "Add <k> to every number.", "[v + <k> for v in x]", lambda x, k: [k + v for v in x]),
        numbered(2, 5, "Multiply every number by <k>.", "[v * <k> for v in x]", lambda x, k: [k * v for v in x]),
        numbered(0, 5, "Remove the numbers that are less than <k>.", "[v for v in x if v >= <k>]",
                 lambda x, k: list(filter(lambda v: not v < k, x))),
        numbered(4, 9, "Replace every number by its remainder after division by <k> (Python's % <k>).",
                 "[v % <k> for v in x]", lambda x, k: [v - k * (v // k) for v in x]),
        numbered(3, 5, "Keep only the first <k> numbers.", "x[:<k>]",
                 lambda x, k: [v for position, v in enumerate(x) if position < k]),
        fixed("Reverse the list.", "x[::-1]", lambda x: list(reversed(x))),
        fixed("Sort the list from smallest to largest.", "sorted(x)",
              lambda x: [v for (v,) in ranked([[v] for v in x], 0, 1)]),
        fixed("Remove repeated numbers, keeping the first of each.", "list(dict.fromkeys(x))", unique),
        fixed("Keep only the numbers at positions 0, 2, 4 and so on.", "x[::2]",
              lambda x: [v for position, v in enumerate(x) if position % 2 == 0]),
        fixed("Replace every number by the sum of all numbers up to and including it.",
              "[sum(x[:i + 1]) for i in range(len(x))]", running_sums),
        fixed("Move the first number, if there is one, to the end.", "x[1:] + x[:1]", lambda x: [*x[1:], *x[:1]]),
        fixed("Replace every number by its absolute value.", "[abs(v) for v in x]", lambda x: [max(v, -v) for v in x]),
        fixed("Append the sum of all numbers to the list.", "x + [sum(x)]", lambda x: [*x, sum(x)]),
        fixed("Replace every odd number by 0.", "[0 if v % 2 else v for v in x]",
              lambda x: [(1 - v % 2) * v for v in x]),
        numbered(1, 9, "Put the number <k> at the front of the list.", "[<k>] + x", lambda x, k: [k, *x]),
    ),
    what="a list of whole numbers",
    case=lambda rng: [rng.randint(-12, 20) for _ in range(rng.randint(2, 9))],
    edges=([], [0], [-3], [7, 7, 7], [5, 4, 3, 2, 1], [-1, -2, -2, 8]),
)

TEXTS = Pipeline(
    steps=(
        fixed("Reverse the whole text.", "x[::-1]", lambda x: "".join(reversed(x))),
        fixed("Put the words in reverse order.", "' '.join(x.split()[::-1])",
              lambda x: " ".join(reversed(x.split()))),
        fixed("Sort the words alphabetically (as Python sorts strings).", "' '.join(sorted(x.split()))",
              lambda x: " ".join(sorted(x.split(), key=lambda word: [ord(char) for char in word]))),
        fixed("Remove every lower-case letter a.", "x.replace('a', '')",
              lambda x: "".join(char for char in x if char != "a")),
        fixed("Replace every lower-case letter e by the digit 3.", "x.replace('e', '3')",
              lambda x: "".join("3" if char == "e" else char for char in x)),
        fixed("Replace every lower-case letter by the next one (z becomes a); leave all else alone.",
              "''.join(chr((ord(c) - 96) % 26 + 97) if 'a' <= c <= 'z' else c for c in x)", _shifted),
        fixed("Remove repeated words, keeping the first of each.", "' '.join(dict.fromkeys(x.split()))",
              lambda x: " ".join(unique(x.split()))),
        fixed("Write every second word, starting with the second one, in capital letters.",
              "' '.join(w.upper() if i % 2 else w for i, w in enumerate(x.split()))",
              lambda x: " ".join([(word, word.upper())[place & 1] for place, word in enumerate(x.split())])),
        fixed("Append a space and the number of words.", "x + ' ' + str(len(x.split()))",
              lambda x: f"{x} {len(x.split())}"),
        fixed("Reverse the letters of each word, keeping the order of the words.",
              "' '.join(w[::-1] for w in x.split())",
              lambda x: " ".join("".join(reversed(word)) for word in x.split())),
        fixed("Replace every space by a dash (-).", "x.replace(' ', '-')", lambda x: "-".join(x.split(" "))),
        numbered(3, 5, "Cut every word after its first <k> characters.", "' '.join(w[:<k>] for w in x.split())",
                 lambda x, k: " ".join("".join(list(word)[:k]) for word in x.split())),
        fixed("Append the last character of the text once more, if there is one.", "x + x[-1:]",
              lambda x: x + x[len(x) - 1] if x else x),
    ),
    what="one line of text",
    case=lambda rng: " ".join(rng.choices(WORDS, k=rng.randint(1, 6))),
    edges=("a", "banana", "eye eye eye", "zebra apple zebra", "we saw a level kayak"),
)

TABLES = Pipeline(
    steps=(
        numbered(5, 40, "Drop everyone with fewer than <k> points.", "[r for r in x if r[1] >= <k>]",
                 lambda x, k: [row for row in x if not row[1] < k]),
        numbered(60, 95, "Drop everyone with more than <k> points.", "[r for r in x if r[1] <= <k>]",
                 lambda x, k: [row for row in x if not row[1] > k]),
        numbered(20, 35, "Drop everyone younger than <k>.", "[r for r in x if r[2] >= <k>]",
                 lambda x, k: [row for row in x if not row[2] < k]),
        numbered(50, 65, "Drop everyone older than <k>.", "[r for r in x if r[2] <= <k>]",
                 lambda x, k: [row for row in x if not row[2] > k]),
        fixed("Sort by points, most points first; people with equal points keep their order.",
              "sorted(x, key=lambda r: -r[1])", lambda x: ranked(x, 1, -1)),
        fixed("Sort by age, youngest first; people of the same age keep their order.",
              "sorted(x, key=lambda r: r[2])", lambda x: ranked(x, 2, 1)),
        numbered(4, 7, "Keep only the first <k> people.", "x[:<k>]",
                 lambda x, k: [row for place, row in enumerate(x) if place < k]),
        fixed("Reverse the order.", "x[::-1]", lambda x: list(reversed(x))),
        numbered(2, 9, "Give everyone <k> more points.", "[[r[0], r[1] + <k>, r[2]] for r in x]",
                 lambda x, k: [[name, k + points, age] for name, points, age in x]),
        numbered(2, 5, "Take <k> points from everyone older than 40.",
                 "[[r[0], r[1] - <k>, r[2]] if r[2] > 40 else r for r in x]",
                 lambda x, k: [[name, points - k * (age > 40), age] for name, points, age in x]),
        fixed("Double the points of everyone whose age is even.",
              "[[r[0], r[1] * 2, r[2]] if r[2] % 2 == 0 else r for r in x]",
              lambda x: [[name, points if age % 2 else points + points, age] for name, points, age in x]),
        fixed("Write the names in capital letters.", "[[r[0].upper(), r[1], r[2]] for r in x]",
              lambda x: [[name.upper(), points, age] for name, points, age in x]),
        fixed("Move the first person, if there is one, to the end.", "x[1:] + x[:1]", lambda x: [*x[1:], *x[:1]]),
        fixed("Make everyone one year older.", "[[r[0], r[1], r[2] + 1] for r in x]",
              lambda x: [[name, points, age + 1] for name, points, age in x]),
    ),
    what="people",
    case=lambda rng: [
        [name, rng.randint(0, 100), rng.randint(12, 75)] for name in rng.sample(NAMES, rng.randint(2, 9))
    ],
    edges=(
        [["Kim", 50, 41]], [["Eve", 50, 40], ["Dan", 50, 40]], [["Leo", 97, 67], ["Ada", 3, 15], ["Mia", 97, 15]],
    ),
)

NUMBERS = Pipeline(
    steps=(
        numbered(2, 9, "Multiply it by <k>.", "x * <k>", lambda x, k: sum([x] * k)),
        numbered(3, 99, "Add <k> to it.", "x + <k>", lambda x, k: k + x),
        fixed("Add the sum of its digits to it.", "x + sum(map(int, str(x)))", lambda x: x + digit_sum(x)),
        fixed("Reverse its decimal digits (120 becomes 21).", "int(str(x)[::-1])", reversed_digits),
        numbered(1000, 99999, "Replace it by its remainder after division by <k>.", "x % <k>",
                 lambda x, k: x - x // k * k),
        fixed("If it is even, divide it by 2.", "x // 2 if x % 2 == 0 else x", lambda x: x if x & 1 else x >> 1),
        fixed("If it is odd, multiply it by 3 and add 1.", "3 * x + 1 if x % 2 else x",
              lambda x: x + x + x + 1 if x & 1 else x),
        fixed("Write the digit 7 at its end (12 becomes 127).", "int(str(x) + '7')", lambda x: 10 * x + 7),
        fixed("Add the number of its decimal digits to it.", "x + len(str(x))",
              lambda x: x + next(count for count in range(1, 99) if x < 10**count)),
        fixed("If it is greater than 500, subtract 123 from it.", "x - 123 if x > 500 else x",
              lambda x: x - 123 * (x > 500)),
        fixed("Add its largest digit to it.", "x + int(max(str(x)))",
              lambda x: x + max(x // 10**place % 10 for place in range(40))),
        fixed("Replace it by its square if it is less than 100.", "x * x if x < 100 else x",
              lambda x: x ** (2 if x < 100 else 1)),
        numbered(3, 9, "If it is divisible by <k>, add 50 to it.", "x + 50 if x % <k> == 0 else x",
                 lambda x, k: x + 50 * (x // k * k == x)),
    ),
    what="a whole number that is at least 0",
    case=lambda rng: rng.choice((rng.randint(0, 99), rng.randint(0, 3000))),
    edges=(0, 1, 7, 10, 99, 100, 501, 1000),
)
# fmt: on
