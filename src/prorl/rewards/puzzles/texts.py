"""Stage 3, rewards: puzzles whose answer is a text or a list of words. Judges stripped answers; finds none."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]
Judge = Callable[[Entry, str], float]
"""From a stored entry and the stripped text of an answer to a score in [0, 1]."""

WRONG_FORM = 0.1
"""For the right values as a Python list where a text was asked for."""


def same_text(entry: Entry, answer: str) -> float:
    return float(answer == entry["answer"].strip())


def same_letters(entry: Entry, answer: str) -> float:
    """Case does not count."""
    return float(answer.casefold() == entry["answer"].strip().casefold())


def same_joined(entry: Entry, answer: str) -> float:
    """Neither case nor any white space counts."""
    return float(_joined(answer) == _joined(entry["answer"]))


def same_lines(entry: Entry, answer: str) -> float:
    """Lines of words; how many blanks separate them does not count."""
    return float(words_by_line(answer) == words_by_line(entry["answer"]))


def same_list(entry: Entry, answer: str) -> float:
    """A text without blanks that matter, such as a list of numbers."""
    return float("".join(answer.split()) == "".join(entry["answer"].split()))


def same_json(entry: Entry, answer: str) -> float:
    value = json_value(answer)
    return float(answer == entry["answer"].strip() or (value is not None and value == json_value(entry["answer"])))


def same_sequence(entry: Entry, answer: str) -> float:
    """Words between blanks, or a list of them."""
    words = entry["answer"].split()
    return 1.0 if answer.split() == words else WRONG_FORM * (_as_words(quoted_list(answer)) == words)


def same_characters(entry: Entry, answer: str) -> float:
    """A text, or the list of its characters."""
    text = entry["answer"].strip()
    return 1.0 if answer == text else WRONG_FORM * ("".join(_as_words(quoted_list(answer))) == text)


def same_rows(entry: Entry, answer: str) -> float:
    """Rows of numbers, or a list of lists of them."""
    rows = words_by_line(entry["answer"])
    if words_by_line(answer) == rows:
        return 1.0
    value = quoted_list(answer)
    return WRONG_FORM * (isinstance(value, list) and [_as_words(row) for row in value] == rows)


def halting(entry: Entry, answer: str) -> float:
    """True or False."""
    return float(answer in ("True", "False", "true", "false") and answer.title() == entry["answer"].strip())


def figlet_font(entry: Entry, answer: str) -> float:
    return beyond_half(_joined(entry["answer"]), _joined(answer))


def emoji_mystery(entry: Entry, answer: str) -> float:
    return beyond_half(entry["answer"].strip(), answer)


def sentence_reordering(entry: Entry, answer: str) -> float:
    return _in_place(entry["answer"].lower().split(), answer.lower().split())


def word_sorting(entry: Entry, answer: str) -> float:
    return _in_place(_comma_words(entry["answer"]), _comma_words(answer))


def letter_jumble(entry: Entry, answer: str) -> float:
    """Words that were not scrambled earn nothing, and must stay."""
    right, given = entry["answer"].lower().split(), answer.lower().split()
    shown = [word.lower() for word in entry["metadata"]["scrambled_words"]]
    if right == given or len(right) != len(given) or len(right) != len(shown):
        return float(right == given)
    words = list(zip(right, given, shown, strict=True))
    if any(guess != word for word, guess, seen in words if word == seen):
        return 0.0
    return beyond_half(
        [word for word, _, seen in words if word != seen], [guess for word, guess, seen in words if word != seen]
    )


def palindrome_generation(entry: Entry, answer: str) -> float:
    text = answer.lower()
    return float(text == text[::-1] and sorted(text) == sorted(entry["metadata"]["letters"]))


def palindrome_partitioning(entry: Entry, answer: str) -> float:
    """All partitions, in any order."""
    value = json_value(answer)
    return float(_is_lists(value) and set(map(tuple, value)) == set(map(tuple, entry["metadata"]["solution"])))


def group_anagrams(entry: Entry, answer: str) -> float:
    """Groups and words in any order."""
    value = json_value(answer)
    if not _is_lists(value):
        return 0.0
    return float(sorted(map(sorted, value)) == sorted(map(sorted, json_value(entry["answer"]))))


def beyond_half(right: Sequence[str], given: Sequence[str]) -> float:
    """1 for all places right, 0 for half of them or fewer, a straight line between: guessing and copying earn nothing.

    0 for another number of places.
    """
    if len(right) != len(given) or not right:
        return 0.0
    same = sum(a == b for a, b in zip(right, given, strict=True))
    return max(0.0, 2.0 * same / len(right) - 1.0)


def _in_place(right: list[str], given: list[str]) -> float:
    """The same words in another order, by how many stand where they should."""
    return beyond_half(right, given) if sorted(right) == sorted(given) else 0.0


def words_by_line(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().split("\n")]


def json_value(text: str) -> Any:
    """What JSON text says; None where it says nothing, or holds a number that is none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def quoted_list(text: str) -> Any:
    """A JSON value whose strings may stand between single quotes; None for anything else."""
    return json_value(text.replace("'", '"')) if text.startswith("[") else None


def _refuse(name: str) -> None:
    raise ValueError(name)


def _is_lists(value: Any) -> bool:
    """A list of lists of texts."""
    return isinstance(value, list) and all(
        isinstance(row, list) and all(isinstance(word, str) for word in row) for row in value
    )


def _as_words(value: Any) -> list[str]:
    """The elements as they would be written; none where the value is not a list of plain ones."""
    if not isinstance(value, list) or not all(isinstance(item, str | int) for item in value):
        return []
    return [str(item) for item in value]


def _joined(text: str) -> str:
    return "".join(text.split()).casefold()


def _comma_words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]
