"""Stage 3, rewards: puzzles whose answer is a statement or an assignment: logic, colours, letters and digits, words.

Formulas are read by an own parser and compared by truth tables; nothing is executed.
"""

import csv
import functools
import importlib.util
import itertools
import operator
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prorl.rewards.puzzles.texts import Entry, json_value

Formula = tuple["str | Formula", ...]
"""A variable's `(name,)`, `("¬", formula)`, or an operator with two formulas."""

_FORMULA = re.compile(r"\s*([A-Z]|[¬∧∨→↔()])")
WEAK = 0.1
"""For a statement that follows and says less than the example and than half of all cases."""
_MAX_TOKENS, _MAX_DEPTH, _MAX_LETTERS = 400, 60, 10
_BINDING = {"↔": 1, "→": 2, "∨": 3, "∧": 4}
"""Stronger ones bind first; equal ones group to the left, as in the library."""
_PAIR = re.compile(r"\s*([A-Za-z])\s*=\s*(\d)\s*", re.ASCII)
_ROLE_WORDS = re.compile(r"[^\s,.()]+")
_FILLERS = frozenset({"is", "a", "an", "and"})


def propositional_logic(entry: Entry, answer: str) -> float:
    """Follows from the premises; is no tautology and not equivalent to a single variable or to one of the premises.

    Full marks take a statement that rules out half of all cases, or implies the entry's own example: most premises
    imply some "P or Q", which earns `WEAK`. The example itself may be equivalent to a variable or a premise.
    """
    truths, given, everywhere = _cases(entry["metadata"])
    conclusion, example = parse_formula(answer), parse_formula(entry["metadata"]["example_answer"])
    if conclusion is None or example is None or not _names_in(conclusion) <= truths.keys():
        return 0.0
    true, shown = (_truth(formula, truths, everywhere) for formula in (conclusion, example))
    follows = functools.reduce(operator.and_, given, everywhere) & ~true == 0
    if true == everywhere or not follows or (conclusion != example and true in (*truths.values(), *given)):
        return 0.0
    return 1.0 if 2 * true.bit_count() <= everywhere.bit_length() or true & ~shown == 0 else WEAK


def check_premises(entry: Entry) -> None:
    """ValueError: the premises of `propositional_logic` cannot be read, or contradict each other."""
    _cases(entry["metadata"])


def _cases(facts: Mapping[str, Any]) -> tuple[dict[str, int], list[int], int]:
    """Where each letter holds, where each premise does, and all cases: columns of the truth table. ValueError."""
    texts, names = facts["premises"], facts["variables"]
    for key, value in (("premises", texts), ("variables", names)):
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise ValueError(f"metadata.entry.metadata.{key}: must be a list of texts")
    names = sorted(set(names))
    if len(names) > _MAX_LETTERS:
        raise ValueError(f"metadata.entry.metadata.variables: {len(names)}, more than {_MAX_LETTERS}")
    everywhere = (1 << (1 << len(names))) - 1
    truths = {name: _truth_column(place, len(names)) for place, name in enumerate(names)}
    given = []
    for text in texts:
        premise = parse_formula(text)
        if premise is None or not _names_in(premise) <= truths.keys():
            raise ValueError(f"metadata.entry.metadata.premises: {text[:60]!r} is no formula of the variables")
        given.append(_truth(premise, truths, everywhere))
    if functools.reduce(operator.and_, given, everywhere) == 0:
        raise ValueError("metadata.entry.metadata.premises: they contradict each other, so that anything follows")
    return truths, given, everywhere


def parse_formula(text: str) -> Formula | None:
    """None for what is no formula, or one beyond the limits."""
    tokens: list[str] = []
    position, text = 0, text.strip()
    while position < len(text):
        match = _FORMULA.match(text, position)
        if match is None or len(tokens) == _MAX_TOKENS:
            return None
        tokens.append(match[1])
        position = match.end()
    stream = iter([*tokens, ""])
    reader = _FormulaReader(stream)
    formula = reader.read(1, 0)
    return formula if reader.next == "" and not reader.failed else None


class _FormulaReader:
    """Reads tokens by binding strength; `failed` once something is wrong."""

    def __init__(self, stream: Iterator[str]) -> None:
        self._stream = stream
        self.next = next(stream)
        self.failed = False

    def read(self, binding: int, depth: int) -> Formula:
        formula = self._operand(depth)
        while not self.failed and _BINDING.get(self.next, 0) >= binding:
            sign = self._take()
            formula = (sign, formula, self.read(_BINDING[sign] + 1, depth + 1))
        return formula

    def _operand(self, depth: int) -> Formula:
        token = self._take()
        if self.failed or depth > _MAX_DEPTH:
            self.failed = True
        elif token == "¬":
            return (token, self._operand(depth + 1))
        elif token == "(":
            formula = self.read(1, depth + 1)
            self.failed |= self._take() != ")"
            return formula
        elif not token.isalpha():
            self.failed = True
        return (token,)

    def _take(self) -> str:
        token, self.next = self.next, next(self._stream, "")
        return token


def _names_in(formula: Formula) -> set[str]:
    if len(formula) == 1:
        return {str(formula[0])}
    return set().union(*(_names_in(part) for part in formula[1:] if isinstance(part, tuple)))


def _truth_column(place: int, num_names: int) -> int:
    """The variable's value in every row of the truth table, one bit a row."""
    return sum(1 << row for row in range(1 << num_names) if row >> place & 1)


def _truth(formula: Formula, truths: dict[str, int], everywhere: int) -> int:
    """In which rows of the truth table the formula holds."""
    if len(formula) == 1:
        return truths[str(formula[0])]
    sign, *parts = formula
    values = [_truth(part, truths, everywhere) for part in parts if isinstance(part, tuple)]
    if sign == "¬":
        return everywhere & ~values[0]
    left, right = values
    return {
        "∧": left & right,
        "∨": left | right,
        "→": everywhere & ~left | right,
        "↔": everywhere & ~(left ^ right),
    }[str(sign)]


def knights_knaves(entry: Entry, answer: str) -> float:
    """One role a name, in any order."""
    facts = entry["metadata"]
    terms = facts["knight_knave_terms"]
    roles = {terms["knight"].lower(): True, terms["knave"].lower(): False}
    names = [name.lower() for name in facts["names"]]
    words = [word for word in _ROLE_WORDS.findall(answer.lower()) if word not in _FILLERS]
    if len(words) != 2 * len(names) or sorted(words[::2]) != sorted(names) or not set(words[1::2]) <= roles.keys():
        return 0.0
    said = dict(zip(words[::2], words[1::2], strict=True))
    return float([roles[said[name]] for name in names] == [bool(role) for role in facts["solution"]])


def graph_color(entry: Entry, answer: str) -> float:
    """A JSON object from each vertex to a colour; neighbours differ."""
    puzzle, colors = entry["metadata"]["puzzle"], json_value(answer)
    if not isinstance(colors, dict):
        return 0.0
    chosen = [colors.get(str(vertex)) for vertex in puzzle["vertices"]]
    if any(type(color) is not int or color not in puzzle["color_options"] for color in chosen):
        return 0.0
    return float(all(colors[str(a)] != colors[str(b)] for a, b in puzzle["edges"]))


def cryptarithm(entry: Entry, answer: str) -> float:
    """Any assignment of different digits that makes the sum right."""
    facts, pairs = entry["metadata"], [_PAIR.fullmatch(part) for part in answer.split(",")]
    words, total = facts["words_letters"], facts["result_letters"]
    digits = {pair[1]: pair[2] for pair in pairs if pair is not None}
    if None in pairs or len(digits) != len(pairs) or digits.keys() != set("".join((*words, total))):
        return 0.0
    if len(set(digits.values())) != len(digits):
        return 0.0
    if not facts.get("allow_leading_zero", False) and any(digits[word[0]] == "0" for word in (*words, total)):
        return 0.0
    values = [int("".join(digits[letter] for letter in word)) for word in (*words, total)]
    return float(sum(values[:-1]) == values[-1])


def word_ladder(entry: Entry, answer: str) -> float:
    """Known words, each a letter away from the one before."""
    facts, words = entry["metadata"], [word.strip() for word in answer.upper().split(",")]
    if len(words) < 2 or (words[0], words[-1]) != (facts["start_word"], facts["end_word"]):
        return 0.0
    if not set(words) <= _dictionary(len(facts["end_word"])):
        return 0.0
    return float(all(sum(map(str.__ne__, *pair)) == 1 for pair in itertools.pairwise(words)))


@functools.cache
def _dictionary(length: int) -> frozenset[str]:
    """The words of the puzzle's own list, which is read without importing the library."""
    package = importlib.util.find_spec("reasoning_gym")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("word_ladder needs the word list of reasoning-gym: pip install reasoning-gym")
    with (Path(package.origin).parent / "data" / "words.csv").open(encoding="utf-8", newline="") as lines:
        column = f"{length}_letter"
        return frozenset(row[column].upper() for row in csv.DictReader(lines) if row.get(column))
