"""Stage 3, rewards: words, sentences and paragraphs of a text, in time linear in its length. Judges nothing."""

import re
import unicodedata

_ACCENTS = "".join(chr(code) for code in range(0x300, 0x3100) if unicodedata.category(chr(code)).startswith("M"))
_WORD = re.compile(rf"\w[\w{_ACCENTS}]*")
_CAPITAL_TOKEN = re.compile(r"[^\W_]+(?:[-'’.&/_]+[^\W_]+)*")
_BLANK_LINE = re.compile(r"\n\s*\n")
# A run of terminators starts a match once, at its first character: else a long run costs its square.
_TERMINATOR = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]*_]*(?=\s|$)|[。！？।؟]+[\"'”’」』)]*")
_NEXT_CHARACTER = re.compile(r"\s*[\"'“‘(\[*_]*(.?)")
_LIST_MARK = re.compile(r"(?:^|\n)[^\S\n]*(?:\d{1,3}|[A-Za-z])$")
_LAST_TOKEN = re.compile(r"[^\s(\[\"'“‘]+$")
_LOOK_BACK = 24
"""Characters before a period that may hold an abbreviation."""

_TITLES = "p.s p.p.s mr mrs ms dr prof rev gen gov capt sgt lt mt vs e.g i.e cf approx"
NEVER_LAST = frozenset(_TITLES.split())
"""Abbreviations that stand before something, so that no sentence ends with them."""
_ENDINGS = "etc inc ltd co corp jr sr st dept a.m p.m u.s u.k u.n e.u ph.d b.c a.d al"
MAYBE_LAST = frozenset(_ENDINGS.split())
"""Abbreviations that end a sentence unless it goes on in lower case."""
BEFORE_NUMBER = frozenset({"no", "nos", "fig", "figs", "vol", "p", "pp", "ch", "sec"})
"""Abbreviations before a number, and whole words elsewhere."""


def num_words(text: str) -> int:
    """Runs of letters, with their accents and vowel signs, digits and underscores: `don't` is two, as in IFEval."""
    return sum(1 for _ in _WORD.finditer(text))


def num_capital_words(text: str) -> int:
    """Words without a lower-case letter and with an upper-case one; hyphens and apostrophes join: `X-RAY` is one."""
    return sum(match.group().isupper() for match in _CAPITAL_TOKEN.finditer(text))


def paragraphs(text: str) -> list[str]:
    """What blank lines separate, without the empty ones."""
    return [part.strip() for part in _BLANK_LINE.split(text) if part.strip()]


def num_sentences(text: str) -> int:
    """Count what terminators end, and a rest without one. Line ends alone end no sentence, abbreviations neither."""
    count = start = 0
    for match in _TERMINATOR.finditer(text):
        if _ends_sentence(text, start, match):
            count += _WORD.search(text, start, match.start()) is not None
            start = match.end()
    return count + (_WORD.search(text, start) is not None)


def _ends_sentence(text: str, start: int, terminator: re.Match[str]) -> bool:
    marks = terminator.group()
    following = _NEXT_CHARACTER.match(text, terminator.end(), terminator.end() + _LOOK_BACK)
    next_character = following.group(1) if following else ""
    if marks[0] in "!?…" or marks.startswith(".."):
        speech_goes_on = marks[-1] not in ".!?" or marks.startswith("..")
        return not (speech_goes_on and next_character.islower())
    if marks != ".":
        return True
    before = text[max(start, terminator.start() - _LOOK_BACK) : terminator.start()]
    if next_character and _LIST_MARK.search(before):
        return False
    token = _LAST_TOKEN.search(before)
    word = token.group() if token else ""
    if word.lower() in NEVER_LAST:
        return not next_character
    if word.lower() in BEFORE_NUMBER:
        return not next_character.isdigit()
    if word.lower() in MAYBE_LAST:
        return not next_character.islower()
    is_initial = len(word) == 1 and word.isupper() and word != "I"
    return not (is_initial and next_character.isupper())
