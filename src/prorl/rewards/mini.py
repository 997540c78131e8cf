"""Stage 3, verifiers of the mini suite: a strict and a format-tolerant reading of a response.

Works from the task name, the problem data and the gold answer alone; never raises, never executes model text.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from prorl.prompts.mini.words import WORDS_BY_INITIAL, WORDS_BY_KIND
from prorl.records import Prompt, Score

MAX_RESPONSE_CHARS = 4096
"""Longer responses are unparsable; the longest right answer has 48 characters."""
MAX_DATA_ITEMS = 64
"""Problem data beyond this is malformed; the largest problem has 15 items."""

_PRIME = 2**61 - 1
_HIDDEN_VALUES = (1_000_003, 998_244_353, 1_234_567_891)
"""Bases from which the values of the variables of three trial runs are made."""
_SEPARATORS = re.compile(r"[\s,;:.|/_\"'`()\[\]{}=>]+")

Check = Callable[[str, Prompt], bool]


class MalformedProblemError(ValueError):
    """The problem data cannot be judged against: the caller's fault, not the response's."""


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_DATA_ITEMS:
        raise MalformedProblemError(f"metadata.{key} must be a string of 1 to {MAX_DATA_ITEMS} characters")
    return value


def _pairs(data: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    """Read a list of two-character items, given as strings or as lists."""
    value = data.get(key)
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_DATA_ITEMS:
        raise MalformedProblemError(f"metadata.{key} must be a list of 1 to {MAX_DATA_ITEMS} pairs")
    if not all(isinstance(item, str | list | tuple) and len(item) == 2 for item in value):
        raise MalformedProblemError(f"metadata.{key} must hold pairs")
    pairs = [(item[0], item[1]) for item in value]
    if not all(isinstance(part, str) for pair in pairs for part in pair):
        raise MalformedProblemError(f"metadata.{key} must hold pairs of strings")
    return pairs


def _matches_gold(response: str, prompt: Prompt) -> bool:
    return response == prompt.answer


def _run_stack_code(code: str, values: Mapping[str, int]) -> int | None:
    """Execute stack code modulo a prime; None where it is not one well-formed program."""
    stack: list[int] = []
    for symbol in code:
        if symbol in values:
            stack.append(values[symbol])
            continue
        if symbol not in "+-*" or len(stack) < 2:
            return None
        second, first = stack.pop(), stack.pop()
        result = {"+": first + second, "-": first - second, "*": first * second}[symbol]
        stack.append(result % _PRIME)
    return stack[0] if len(stack) == 1 else None


def _computes_expression(response: str, prompt: Prompt) -> bool:
    """True for stack code that uses each variable once and gives the expression's value in every trial run."""
    variables = _text(prompt.metadata, "variables")
    gold = prompt.answer
    if len(response) != len(gold) or sorted(c for c in response if c.isalpha()) != sorted(variables):
        return False
    for base in _HIDDEN_VALUES:
        values = {variable: pow(base, position + 2, _PRIME) for position, variable in enumerate(variables)}
        expected = _run_stack_code(gold, values)
        if expected is None:
            raise MalformedProblemError("answer is not a stack program over metadata.variables")
        if _run_stack_code(response, values) != expected:
            return False
    return True


def _is_proper(colors: Mapping[str, str], edges: list[tuple[str, str]]) -> bool:
    return all(a in colors and b in colors and colors[a] != colors[b] for a, b in edges)


def _colors_graph(response: str, prompt: Prompt) -> bool:
    """True for one `<node><colour>` a node, in the order of the nodes, with no edge of one colour."""
    nodes, edges = _text(prompt.metadata, "nodes"), _pairs(prompt.metadata, "edges")
    colors = response[1::2]
    if response[::2] != nodes or len(colors) != len(nodes) or set(colors) - set("123"):
        return False
    return _is_proper(dict(zip(nodes, colors, strict=True)), edges)


def _colors_graph_any_order(response: str, prompt: Prompt) -> bool:
    nodes, edges = _text(prompt.metadata, "nodes"), _pairs(prompt.metadata, "edges")
    response = response.lower()
    items = [response[start : start + 2] for start in range(0, len(response), 2)]
    if sorted(item[0] for item in items) != sorted(nodes) or any(item[1:] not in ("1", "2", "3") for item in items):
        return False
    return _is_proper({item[0]: item[1] for item in items}, edges)


def _spells_initials(response: str, prompt: Prompt) -> bool:
    """True for one listed word an initial, in its case, all words distinct, single spaces between them."""
    initials, words = _text(prompt.metadata, "initials"), response.split(" ")
    if len(words) != len(initials) or len({word.lower() for word in words}) != len(words):
        return False
    return all(
        word == (word.upper() if initial.isupper() else word.lower())
        and word.lower() in WORDS_BY_INITIAL.get(initial.lower(), ())
        for word, initial in zip(words, initials, strict=True)
    )


def _spells_initials_any_case(response: str, prompt: Prompt) -> bool:
    """`response` has no separators left; every listed word has three letters."""
    initials = _text(prompt.metadata, "initials").lower()
    words = [response[start : start + 3].lower() for start in range(0, len(response), 3)]
    if len(words) != len(initials) or len(set(words)) != len(words):
        return False
    return all(word in WORDS_BY_INITIAL.get(initial, ()) for word, initial in zip(words, initials, strict=True))


def _fills_slots(response: str, prompt: Prompt) -> bool:
    """True for `<label><WORD>` a slot, each word of the slot's kind, all words distinct."""
    slots = _pairs(prompt.metadata, "slots")
    items = [response[start : start + 4] for start in range(0, len(response), 4)]
    if len(items) != len(slots) or len({item[1:] for item in items}) != len(items):
        return False
    return all(
        item[0] == label and item[1:] in WORDS_BY_KIND.get(kind, ())
        for item, (label, kind) in zip(items, slots, strict=True)
    )


def _fills_slots_any_case(response: str, prompt: Prompt) -> bool:
    """Labels may be missing."""
    slots = _pairs(prompt.metadata, "slots")
    size = 3 if len(response) == 3 * len(slots) else 4
    items = [response[start : start + size] for start in range(0, len(response), size)]
    labelled = "".join(label + item[-3:].upper() for (label, _), item in zip(slots, items, strict=False))
    return len(items) == len(slots) and _fills_slots(labelled, prompt)


def _matches_gold_any_case(response: str, prompt: Prompt) -> bool:
    return response.lower() == _SEPARATORS.sub("", prompt.answer).lower()


def _matches_gold_values(response: str, prompt: Prompt) -> bool:
    """Labels may be missing: the digits count."""
    gold = re.sub(r"[^0-9]", "", prompt.answer)
    return _matches_gold_any_case(response, prompt) or response == gold


STRICT: dict[str, Check] = {
    "add": _matches_gold,
    "run": _matches_gold,
    "prog": _matches_gold,
    "rpn": _computes_expression,
    "merge": _matches_gold,
    "sheet": _matches_gold,
    "gene": _matches_gold,
    "sort": _matches_gold,
    "chain": _matches_gold,
    "color": _colors_graph,
    "acro": _spells_initials,
    "slots": _fills_slots,
}
TOLERANT: dict[str, Check] = {
    **dict.fromkeys(STRICT, _matches_gold_any_case),
    "add": _matches_gold_values,
    "run": _matches_gold_values,
    "prog": _matches_gold_values,
    "rpn": _computes_expression,
    "color": _colors_graph_any_order,
    "acro": _spells_initials_any_case,
    "slots": _fills_slots_any_case,
}


def _readings(response: str) -> list[str]:
    """Places where a reader would look for the answer, separators removed: at most seven."""
    text = response.strip()
    places = [text, text.split("\n", 1)[0], text.rsplit("\n", 1)[-1]]
    places += [text.split(None, 1)[0], text.rsplit(None, 1)[-1]]
    places += [text.rsplit(mark, 1)[-1] for mark in (":", "=")]
    return [reading for reading in dict.fromkeys(_SEPARATORS.sub("", place) for place in places) if reading]


def _judge(prompt: Prompt, response: str, checks: Mapping[str, Check], readings: Callable[[str], list[str]]) -> Score:
    if len(response) > MAX_RESPONSE_CHARS:
        return Score(0.0, "unparsable", f"longer than {MAX_RESPONSE_CHARS} characters")
    if not response.strip():
        return Score(0.0, "unparsable", "empty")
    task = prompt.metadata.get("task") if isinstance(prompt.metadata, Mapping) else None
    if not isinstance(task, str) or task not in checks:
        return Score(0.0, "error", f"metadata.task must be one of {', '.join(checks)}")
    if not isinstance(prompt.answer, str) or not prompt.answer:
        return Score(0.0, "error", "answer must be a non-empty string")
    try:
        is_correct = any(checks[task](reading, prompt) for reading in readings(response))
    except MalformedProblemError as error:
        return Score(0.0, "error", str(error))
    return Score(1.0, "correct") if is_correct else Score(0.0, "wrong")


def verify(prompt: Prompt, response: str) -> Score:
    """Judge a response strictly: exactly the form asked for, nothing around it."""
    return _judge(prompt, response, STRICT, lambda text: [text])


def verify_tolerant(prompt: Prompt, response: str) -> Score:
    """Judge a response leniently: case, separators, missing labels and text around the answer are forgiven."""
    return _judge(prompt, response, TOLERANT, _readings)
