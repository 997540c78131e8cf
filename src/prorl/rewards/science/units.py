"""Stage 3, rewards: reads a unit such as `kg m^2/s^2`, `J mol^(-1) K^(-1)` or `meters per second squared`.

Its own grammar over a closed list of names, with bounded powers; nothing that a response holds reaches pint. It
gives names and powers; `conversion.py` gives their size.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from prorl.rewards.science.unit_names import (
    COUNTS,
    GLUED,
    PHRASES,
    PREFIX_WORDS,
    PREFIXES,
    SYMBOLS,
    WITH_PREFIX,
    WORDS,
    WORDS_WITH_PREFIX,
)

MAX_UNIT_CHARS = 80
MAX_TOKENS = 32
MAX_POWER = 12
MAX_DEPTH = 4

_LETTERS = "A-Za-zμΩÅℓ°Δ"
_TOKEN = re.compile(
    rf"\s*(?:(?P<word>[{_LETTERS}][{_LETTERS}_]*|['\"%‰])|"
    r"(?P<power>(?:\^|\*\*)\s*(?:\(\s*[+-]?\d{1,2}(?:/\d)?\s*\)|[+-]?\d{1,2})|(?<!\s)[+-]?\d{1,2}(?![\d.]))|"
    r"(?P<mark>[/·*×().\[\]-]))"
)
_POWER_NUMBER = re.compile(r"[+-]?\d+(?:/\d)?")
_NOUN_PHRASE = re.compile(r"[A-Za-zαβγσπ][a-zA-Z'αβγσπ]*(?:[ -][A-Za-zαβγσπ][a-zA-Z'αβγσπ]*){0,3}")
_NO_NOUNS = {"or", "and", "not", "to", "either", "neither", "but", "maybe", "versus", "plus", "minus", "times", "if"}
_PHRASES = tuple((re.compile(pattern, re.IGNORECASE), replacement) for pattern, replacement in PHRASES)
_POWER_WORDS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_POWERS_AFTER = {"squared": 2, "cubed": 3}


@dataclass(frozen=True, slots=True)
class UnitFactor:
    """One name of a unit: `10**exponent_of_ten` times pint's `name`, raised to `power`."""

    name: str
    exponent_of_ten: int
    power: Fraction
    is_count: bool = False
    """Something that is counted (`atoms`), which pint does not know."""


class _UnreadableError(ValueError):
    """No unit of the closed list."""


def read_unit(text: str) -> tuple[UnitFactor, ...] | None:
    """The factors of a unit in plain notation; none for an empty text, None where it is no unit."""
    text = text.strip()
    if len(text) > MAX_UNIT_CHARS:
        return None
    if not text or text == "1":
        return ()
    for pattern, replacement in _PHRASES:
        text = pattern.sub(replacement, text)
    try:
        tokens = list(_tokens(text))
        factors, end = _sequence(tokens, 0, 0)
        if end == len(tokens):
            return tuple(factors)
    except _UnreadableError:
        pass
    return _noun(text)


def _noun(text: str) -> tuple[UnitFactor, ...] | None:
    """A thing counted that no table lists: `12 sigma bonds`."""
    words = text.lower().replace("-", " ").split()
    if not _NOUN_PHRASE.fullmatch(text) or _NO_NOUNS & set(words):
        return None
    return (UnitFactor(_singular(" ".join(words)), 0, Fraction(1), is_count=True),)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    for _ in range(MAX_TOKENS):
        match = _TOKEN.match(text, position)
        if match is None:
            break
        kind = match.lastgroup
        assert kind is not None
        token = match[kind]
        if kind == "word" and token == "per":
            kind, token = "mark", "/"
        yield kind, token
        position = match.end()
    if text[position:].strip():
        raise _UnreadableError


def _sequence(tokens: list[tuple[str, str]], start: int, depth: int) -> tuple[list[UnitFactor], int]:
    """Factors up to the end or a closing bracket. After a `/` all that follows divides, as in J/mol K."""
    if depth > MAX_DEPTH:
        raise _UnreadableError
    factors: list[UnitFactor] = []
    divides, position = False, start
    while position < len(tokens):
        kind, token = tokens[position]
        if kind == "mark" and token in ")]":
            break
        position += 1
        if kind == "mark" and token == "/":
            divides = True
        elif kind == "mark" and token in "([":
            group, position = _sequence(tokens, position, depth + 1)
            if position == len(tokens):
                raise _UnreadableError
            power, position = _power_after(tokens, position + 1)
            factors += _raised(group, -power if divides else power)
        elif kind == "word":
            group, position = _named(tokens, position - 1)
            factors += _raised(group, Fraction(-1)) if divides and group[-1].power > 0 else group
        elif token not in "·*×.-" and (token, factors) != ("1", []):
            raise _UnreadableError
    if not factors:
        raise _UnreadableError
    return factors, position


def _named(tokens: list[tuple[str, str]], start: int) -> tuple[list[UnitFactor], int]:
    """A name, with `square` or `cubic` before it and its power behind it."""
    position, word, before = start, tokens[start][1], Fraction(1)
    if word.lower() in _POWER_WORDS and start + 1 < len(tokens):
        before = Fraction(_POWER_WORDS[word.lower()])
        position, word = start + 1, tokens[start + 1][1]
    power, end = _power_after(tokens, position + 1)
    power *= before
    if word == "ms" and power < 0:
        word = "m s"  # metres per second to nearly every author; a frequency in 1/ms to hardly any
    parts = GLUED.get(word, word).split()
    return [_unit(part, power if part is parts[-1] else Fraction(1)) for part in parts], end


def _power_after(tokens: list[tuple[str, str]], position: int) -> tuple[Fraction, int]:
    if position < len(tokens):
        kind, token = tokens[position]
        if kind == "power":
            match = _POWER_NUMBER.search(token)
            assert match is not None
            if match.group().endswith("/0"):
                raise _UnreadableError
            return _bounded(Fraction(match.group())), position + 1
        if token in _POWERS_AFTER:
            return Fraction(_POWERS_AFTER[token]), position + 1
    return Fraction(1), position


def _raised(factors: list[UnitFactor], power: Fraction) -> list[UnitFactor]:
    return [UnitFactor(f.name, f.exponent_of_ten, _bounded(f.power * power), f.is_count) for f in factors]


def _bounded(power: Fraction) -> Fraction:
    if abs(power) > MAX_POWER:
        raise _UnreadableError
    return power


def _unit(word: str, power: Fraction) -> UnitFactor:
    if word in SYMBOLS:
        return UnitFactor(SYMBOLS[word], 0, power)
    if word in WITH_PREFIX:
        return UnitFactor(WITH_PREFIX[word], 0, power)
    for length in (2, 1):
        if word[:length] in PREFIXES and word[length:] in WITH_PREFIX:
            return UnitFactor(WITH_PREFIX[word[length:]], PREFIXES[word[:length]], power)
    return _spelled(_singular(word.lower()), power)


def _spelled(word: str, power: Fraction) -> UnitFactor:
    if word in COUNTS:
        return UnitFactor(word, 0, power, is_count=True)
    names = WORDS | WORDS_WITH_PREFIX
    if word in names:
        return UnitFactor(names[word], 0, power)
    for prefix, exponent in PREFIX_WORDS.items():
        if word.startswith(prefix) and word[len(prefix) :] in WORDS_WITH_PREFIX:
            return UnitFactor(WORDS_WITH_PREFIX[word[len(prefix) :]], exponent, power)
    raise _UnreadableError


def _singular(word: str) -> str:
    if word in WORDS_WITH_PREFIX or word.endswith("ss") or len(word) < 4:
        return word
    return word.removesuffix("s")
