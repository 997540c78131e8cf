"""Stage 3, rewards: which language a text is in, and the IFEval rules that ask for one. The one place for langdetect.

langdetect guesses from letter triples: it is unsure about a few words, draws random numbers (seeded here), and reads
capitals badly. So a script that one language alone uses decides by itself, capitals are read in lower case, and a
short text has the language that is asked for where langdetect holds it for possible. It reads a bounded beginning.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any

from langdetect import DetectorFactory, LangDetectException, detect_langs

from prorl.rewards.instructions.wording import Rule

DetectorFactory.seed = 0

MAX_CHARACTERS = 4000
"""Of a text that are read: 60 ms."""
SHORT_LETTERS = 60
"""Below this many letters the likeliest language is often a wrong one."""
_LETTER = re.compile(r"[^\W\d_]")
SCRIPTS: dict[str, re.Pattern[str]] = {
    "bn": re.compile(r"[\u0980-\u09ff]"),
    "el": re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"),
    "gu": re.compile(r"[\u0a80-\u0aff]"),
    "he": re.compile(r"[\u0590-\u05ff]"),
    "kn": re.compile(r"[\u0c80-\u0cff]"),
    "ko": re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]"),
    "ml": re.compile(r"[\u0d00-\u0d7f]"),
    "pa": re.compile(r"[\u0a00-\u0a7f]"),
    "ta": re.compile(r"[\u0b80-\u0bff]"),
    "te": re.compile(r"[\u0c00-\u0c7f]"),
    "th": re.compile(r"[\u0e00-\u0e7f]"),
}
"""Scripts that only one of the languages that can be asked for uses."""
_KANA = re.compile(r"[\u3040-\u30ff]")
_MIN_SCRIPT_SHARE = 0.5
_MIN_KANA_SHARE = 0.1
"""Japanese mixes kana with the ideographs of Chinese."""


@functools.lru_cache(maxsize=64)
def _guesses(text: str) -> dict[str, float]:
    """Probability by language, likeliest first; empty for a text without a known letter."""
    try:
        return {guess.lang: guess.prob for guess in detect_langs(text)}
    except LangDetectException:
        return {}


def is_in_language(text: str, language: str) -> bool:
    """Whether the text is in the language, a code of `arguments.LANGUAGES`; a text without letters is in none."""
    text = text[:MAX_CHARACTERS]
    if text.isupper():
        text = text.lower()
    letters = "".join(_LETTER.findall(text))
    if not letters:
        return False
    if language in SCRIPTS:
        return len(SCRIPTS[language].findall(letters)) >= _MIN_SCRIPT_SHARE * len(letters)
    if language == "ja" and len(_KANA.findall(letters)) >= _MIN_KANA_SHARE * len(letters):
        return True
    guesses = _guesses(text)
    likely = list(guesses) if len(letters) < SHORT_LETTERS else list(guesses)[:1]
    return any(code == language or (language == "zh" and code.startswith("zh-")) for code in likely)


def is_response_language(text: str, arguments: Mapping[str, Any]) -> bool:
    """The answer is in the language."""
    return is_in_language(text, arguments["language"])


def is_english_capital(text: str, arguments: Mapping[str, Any]) -> bool:
    """English, without a lower-case letter."""
    return text.isupper() and is_in_language(text, "en")


def is_english_lowercase(text: str, arguments: Mapping[str, Any]) -> bool:
    """English, without an upper-case letter."""
    return text.islower() and is_in_language(text, "en")


LANGUAGE_RULES: dict[str, Rule] = {
    "language:response_language": is_response_language,
    "change_case:english_capital": is_english_capital,
    "change_case:english_lowercase": is_english_lowercase,
}
