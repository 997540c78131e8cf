r"""Stage 3, rewards: answers that are words or option letters, and equality of notation without reading it.

`\text{Evelyn}`, `odd`, `no solution`, `(C)`.
"""

import re

from prorl.rewards.mathematics.tokens import CONNECTORS, WORDS

_WRAPPED = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname|rm|bf)\s*\{([^{}]*)\}")
_IGNORED = re.compile(
    r"\\(?:[,;!:]|(?:left|right|displaystyle|quad|qquad)(?![A-Za-z]))|[$]|\\ |\\\(|\\\)"
    r"|(?<![0-9])[\s~]|[\s~](?![0-9])"
)
_HALF_OF_DAY = re.compile(r"(?<=[0-9])([aApP])\.?[mM]\.?(?![A-Za-z])")
_SAME_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_PROSE = re.compile(r"[A-Za-z][A-Za-z' .-]*")
_CHOICE = re.compile(r"\(?([A-Z])\)?[.:]?")
_CHOICE_WITH_VALUE = re.compile(r"\(([A-Z])\)\s*[^()]+|([A-Z])[.):]\s*[^()]+")
_SYNONYMS = {
    "no solutions": "no solution", "no real solution": "no solution", "no real solutions": "no solution",
    "no such numbers": "no solution", "none": "no solution", "no solution exists": "no solution",
    "no solutions exist": "no solution", "empty set": "no solution", "the empty set": "no solution",
    "dne": "does not exist", "undefined": "does not exist",
    "impossible": "not possible", "true": "yes", "false": "no",
}  # fmt: skip
_SHORT_WORDS = {"yes", "no", "odd", "red", "all", "tie", "one", "two", "six", "ten"}
EMPTY_SET_WORDS = "no solution"
REAL_WORDS = ("all real numbers", "all reals", "all real", "real numbers")


def notation(text: str) -> str:
    """The text without what cannot change its meaning: equal notations are equal answers."""
    plain = _SAME_FRACTION.sub(r"\\frac", _IGNORED.sub("", _WRAPPED.sub(r"\1", text)))
    plain = _HALF_OF_DAY.sub(lambda match: match[1].lower() + "m", plain)
    return plain[:-1] if plain.endswith(".") else plain


def prose(text: str) -> str | None:
    """The words of an answer in lower case; None where it is not made of words."""
    plain = _WRAPPED.sub(r"\1", text).replace("\\ ", " ").replace("$", " ").replace("~", " ").strip(" .\"'{}")
    plain = re.sub(r"\s+", " ", plain)
    if not _PROSE.fullmatch(plain) or plain in WORDS:
        return None
    words = plain.split(" ")
    if len(words) > 1 and any(word in CONNECTORS for word in words):
        return None
    lower = re.sub(r"^there (?:is|are|exists?) (?=no )", "", plain.lower().rstrip("."))
    return _SYNONYMS.get(lower, lower)


def surely_words(text: str) -> bool:
    """Whether letters are words rather than a product of variables."""
    plain = _WRAPPED.sub(r"\1", text)
    return plain != text or any(
        len(word) > 3 or word.lower() in _SHORT_WORDS for word in re.findall("[A-Za-z]+", plain)
    )


def choice(text: str) -> str | None:
    """The option letter of an answer that is one, as `C`, `(C)` or `(C) 5`."""
    plain = re.sub(r"\\[ ,;:!~]|[~$]|\\quad", " ", _WRAPPED.sub(r"\1", text)).strip(" *.")
    match = _CHOICE.fullmatch(plain) or _CHOICE_WITH_VALUE.fullmatch(plain)
    return next(letter for letter in match.groups() if letter) if match else None
