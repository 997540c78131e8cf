"""Stage 3, rewards: the options of a multiple-choice row and which of them are right. Reads rows, no responses."""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_OPTIONS = 26
_GOLD_LETTERS = re.compile(r"[(\[]?[A-Z][)\].]*(?:(?:\s*,\s*(?:and\s+)?|\s*;\s*|\s+and\s+|\s*&\s*)[(\[]?[A-Z][)\].]*)*")
_CAPITAL = re.compile(r"\b[A-Z]\b")
_ONE_LETTER = re.compile(r"(?:option\s+|choice\s+)?[(\[]?([A-J])[)\].:]*(?:(?<=\))\s*(\S.*))?", re.IGNORECASE)
_WRAPPED = re.compile(r"\$|\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}|\\boxed\s*\{([^{}]*)\}|\*\*")
_LETTER_PREFIX = re.compile(r"\s*[(\[]?([A-Z])[)\].:]\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Options:
    """What may be chosen and what is right."""

    letters: str
    texts: Mapping[str, str]
    """Empty where the row does not say."""
    right: frozenset[str]
    known_text: str = ""
    """The right option's text, where it is the only one known."""


def read_options(answer: str, metadata: Mapping[str, Any]) -> Options | None:
    """The options of a row; None where it is no multiple choice. ValueError: they cannot be judged against."""
    gold = _unwrapped(answer)
    choices = metadata.get("choices")
    if choices is None:
        if _GOLD_LETTERS.fullmatch(gold) and len(gold) > 3:
            return Options(string.ascii_uppercase, {}, frozenset(_CAPITAL.findall(gold)))
        match = _ONE_LETTER.fullmatch(gold)
        if match is None or (match[1].islower() and len(gold) == 1):
            return None
        return Options(string.ascii_uppercase, {}, frozenset(match[1].upper()), match[2] or "")
    texts = _texts(choices)
    return Options("".join(texts), texts, _right(gold, texts))


def _unwrapped(text: str) -> str:
    return " ".join(_WRAPPED.sub(lambda match: match[1] or match[2] or "", text).split()).strip()


def _texts(choices: object) -> dict[str, str]:
    """Letter to text; a list is lettered in order, and a letter that an item repeats is cut off."""
    if isinstance(choices, Mapping):
        texts = {str(letter).strip("(). ").upper(): text for letter, text in choices.items()}
    elif isinstance(choices, list | tuple) and len(choices) <= MAX_OPTIONS:
        texts = dict(zip(string.ascii_uppercase, choices, strict=False))
    else:
        raise ValueError(f"metadata.choices must be a list of at most {MAX_OPTIONS} texts or an object letter -> text")
    if len(texts) < 2 or len(texts) != len(choices) or any(letter not in string.ascii_uppercase for letter in texts):
        raise ValueError(f"metadata.choices must hold 2 to {MAX_OPTIONS} options with letters A to Z")
    if not all(isinstance(text, str) and text.strip() for text in texts.values()):
        raise ValueError("metadata.choices must hold non-empty texts")
    prefixes = [_LETTER_PREFIX.match(text) for text in texts.values()]
    if all(match and match[1] == letter for match, letter in zip(prefixes, texts, strict=True)):
        texts = {
            letter: text[match.end() :] for (letter, text), match in zip(texts.items(), prefixes, strict=True) if match
        }
    return texts


def _right(gold: str, texts: Mapping[str, str]) -> frozenset[str]:
    exact = [letter for letter, text in texts.items() if _unwrapped(text).casefold() == gold.casefold()]
    if _GOLD_LETTERS.fullmatch(gold):
        letters = _CAPITAL.findall(gold)
        if set(letters) <= set(texts):
            return frozenset(letters)
    match = _ONE_LETTER.fullmatch(gold)
    if not exact and match is not None and match[1].upper() in texts:
        return frozenset(match[1].upper())
    prefix = _LETTER_PREFIX.match(gold)
    if not exact and prefix is not None and texts.get(prefix[1], "").casefold() == gold[prefix.end() :].casefold():
        return frozenset(prefix[1])
    if len(exact) != 1:
        raise ValueError(
            f"answer {gold[:60]!r} must be the letter or the text of exactly one option of metadata.choices"
        )
    return frozenset(exact)
