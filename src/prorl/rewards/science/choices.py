"""Stage 3, rewards: reads the chosen option of a multiple-choice answer: by its letter, by its text, or by both.

Naming more options than are right, or a letter together with another option's text, chooses nothing. It compares
option texts through a function that it is given.
"""

import re
from collections.abc import Callable, Mapping

from prorl.rewards.science.markup import plain
from prorl.rewards.science.options import Options

_LEAD = re.compile(
    r"^(?:(?:the|correct|right|final|best|answer|option|options|choice|choices|letter|is|are|select|statement)\b[\s:]*)+",
    re.IGNORECASE,
)
_LETTER = r"[(\[]?\s*([A-Za-z])\s*[)\]]?"
_ALONE = re.compile(rf"{_LETTER}\s*[.:]?")
_WITH_TEXT = re.compile(r"(?:[(\[] ?([A-Za-z]) ?[)\]] ?[.:-]?|([A-Za-z])(?:\)|[.:](?= )| -(?= ))) ?(\S.{0,300})")
_MARKER = re.compile(r"(?:^|[\s,;])(?:[(\[]\s*[A-Za-z]\s*[)\]]|[A-Z]\s*[).:])(?=\s|$)")
_SEPARATORS = re.compile(r"\s*(?:,\s*and\b|,|;|&|\+|/|\band\b)\s*|\s+")
_RUN = re.compile(r"[A-Z]{2,26}")

SameText = Callable[[str, str], bool]


def read_choice(answer: str, options: Options, same_text: SameText) -> frozenset[str] | str:
    """The letters that a plain answer chooses, or why it chooses none."""
    text = answer.strip()
    whole = _option_of(text, options.texts, same_text)
    if whole and not _ALONE.fullmatch(text):
        return whole
    text = _LEAD.sub("", text).strip() or text
    letter = _letter(_ALONE.fullmatch(text), options)
    if letter:
        return frozenset(letter)
    if whole:
        return whole
    match = _WITH_TEXT.fullmatch(text)
    if match is not None:
        return _letter_with_text(match, options, same_text)
    if options.texts and text[1:2] == " " and text[0] in options.texts and not _several(text, options):
        found = _option_of(text[2:].strip("()"), {text[0]: options.texts[text[0]]}, same_text)
        return found or "letter and text differ"
    found = _several(text, options) or _option_of(text, options.texts, same_text)
    return found or "no option"


def _letter(match: re.Match[str] | None, options: Options) -> str:
    letter = match[1].upper() if match else ""
    return letter if letter in options.letters else ""


def _letter_with_text(match: re.Match[str], options: Options, same_text: SameText) -> frozenset[str] | str:
    letter, text = (match[1] or match[2]).upper(), match[3]
    if letter not in options.letters:
        return "no option"
    if not options.texts:
        known = options.known_text
        if known and letter in options.right:
            return frozenset(letter) if same_text(known, text) else "letter and text differ"
        several = _several(f"{letter} {text}", options)
        return several or ("several options" if _MARKER.search(text) else frozenset(letter))
    if _option_of(text, {letter: options.texts[letter]}, same_text):
        return frozenset(letter)
    return _several(f"{letter} {text}", options) or "letter and text differ"


def _several(text: str, options: Options) -> frozenset[str]:
    """`A, C`, `A and C`, `AC`: only capital letters, and each once."""
    parts = list(text) if _RUN.fullmatch(text) else [part.strip("()[].:") for part in _SEPARATORS.split(text)]
    letters = [part for part in parts if part]
    is_list = (
        len(letters) > 1 and all(part in options.letters for part in letters) and len(set(letters)) == len(letters)
    )
    return frozenset(letters) if is_list else frozenset()


def _option_of(text: str, texts: Mapping[str, str], same_text: SameText) -> frozenset[str]:
    """The one option with this text; none where it fits several."""
    exact = [letter for letter, option in texts.items() if plain(option) == text]
    if len(exact) == 1:
        return frozenset(exact)
    found = [letter for letter, option in texts.items() if same_text(option, text)]
    return frozenset(found) if len(found) == 1 else frozenset()
