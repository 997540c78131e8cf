"""Stage 3, rewards: what an answer to instructions says itself: without the stretches that it copies from the prompt.

A prompt holds the very words, marks and lengths that it asks for. Linear in the answer; knows no rule but the one that
asks for a copy.
"""

import re
from collections.abc import Iterable, Sequence

from prorl.rewards.instructions.arguments import Instruction

MAX_STRETCH, MIN_STRETCH = 8, 4
"""Consecutive words that are a copy: half a short prompt's, within these limits."""
MIN_OWN_SHARE = 0.2
"""Of the words of an answer that copies; with fewer it is an echo."""
_WORD = re.compile(r"[^\W_]+")


def own_text(text: str, prompt: str, instructions: Sequence[Instruction]) -> str | None:
    """The text without copied stretches, whatever their case and punctuation; None where hardly a word is its own.

    The opening that `combination:repeat_prompt` asks for stays, and so does what an argument says word by word.
    """
    matches = list(_WORD.finditer(text))
    words, asked = [match.group().casefold() for match in matches], _words(prompt)
    size = min(len(asked), max(MIN_STRETCH, min(MAX_STRETCH, (len(asked) + 1) // 2)))
    if size < 2:
        return text
    start = _repeated(words, instructions)
    stretches = set(_stretches(asked, size)).difference(*(_stretches(said, size) for said in _said(instructions)))
    copied = _copied(words, start, stretches, size)
    own = len(words) - start - sum(end - begin for begin, end in copied)
    if own == 0 or (copied and own < MIN_OWN_SHARE * (len(words) - start)):
        return None
    parts, last = [], 0
    for begin, end in copied:
        parts.append(text[last : matches[begin].start()])
        last = matches[end - 1].end()
    return "".join([*parts, text[last:]])


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _stretches(words: Sequence[str], size: int) -> Iterable[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(size)), strict=False)


def _said(instructions: Sequence[Instruction]) -> list[list[str]]:
    """Words of each text, and of each list of texts, that an argument asks for."""
    values = [value for given in instructions for value in given.arguments.values() if isinstance(value, str | list)]
    return [_words(value if isinstance(value, str) else " ".join(value)) for value in values]


def _repeated(words: Sequence[str], instructions: Sequence[Instruction]) -> int:
    """Number of words at the start that repeat what an instruction asks to repeat."""
    repeated = 0
    for given in instructions:
        if given.rule == "combination:repeat_prompt":
            asked = _words(given.arguments["prompt_to_repeat"])
            repeated = max(repeated, len(asked) if words[: len(asked)] == asked else 0)
    return repeated


def _copied(words: Sequence[str], start: int, stretches: set[tuple[str, ...]], size: int) -> list[tuple[int, int]]:
    """Begin and end of each run of words that are part of a copied stretch."""
    runs: list[tuple[int, int]] = []
    for position, stretch in enumerate(_stretches(words[start:], size), start):
        if stretch not in stretches:
            continue
        if runs and position <= runs[-1][1]:
            runs[-1] = (runs[-1][0], position + size)
        else:
            runs.append((position, position + size))
    return runs
