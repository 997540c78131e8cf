"""Stage 3, rewards: compares short free text: case, articles, punctuation and hyphens aside, nothing else.

The gold text may name alternatives by `or`, or give an abbreviation in brackets. Symbols and genotypes keep their
case. It knows no synonyms.
"""

import re
import unicodedata

MAX_ALTERNATIVES = 4
MAX_ALTERNATIVE_WORDS = 5

_ARTICLE = re.compile(r"^(?:an?|the) (?=\w{3})|(?<= )the ")
_PUNCTUATION = re.compile(r"[^\w\s+*/=<>≤≥±%°Δ^()'-]|(?<=\D)\.|\.(?=\D|$)")
_HYPHENS = re.compile(r"(?<=\w)-(?=\w)")
_GENOTYPE = re.compile(r"(?:([A-Za-z])(?i:\1))+")
_ABBREVIATION = re.compile(r"(.{4,}?)\s*\(([A-Z][A-Za-z0-9]*[A-Z0-9])\)")
_OR = re.compile(r"\s*,?\s+or\s+", re.IGNORECASE)
_NO_ALTERNATIVES = re.compile(r"\b(?:either|whether|neither|both|more|less|and|if|when|not)\b|[,;:?]", re.IGNORECASE)
_CASELESS_SHORT = {"no", "up"}
"""Words too short to be told from symbols by their length."""


def same_phrase(gold: str, answer: str) -> bool:
    """Whether the plain answer says what the plain gold text says."""
    return any(_same(alternative, answer) for alternative in alternatives(gold))


def alternatives(gold: str) -> tuple[str, ...]:
    """The text itself, and each of its alternatives where it clearly is a list of them."""
    parts = _OR.split(gold)
    if 1 < len(parts) <= MAX_ALTERNATIVES and not _NO_ALTERNATIVES.search(gold):
        words = [part.split() for part in parts]
        if all(0 < len(part) <= MAX_ALTERNATIVE_WORDS for part in words) and len({len(part) for part in words}) == 1:
            return (gold, *parts)
    match = _ABBREVIATION.fullmatch(gold)
    return (gold, match[1], match[2]) if match else (gold,)


def normalised(text: str) -> str:
    """Lower case without accents, single spaces, no article in front, no `the`, no punctuation."""
    letters = "".join(char for char in unicodedata.normalize("NFD", text.casefold()) if not unicodedata.combining(char))
    words = _HYPHENS.sub(" ", _PUNCTUATION.sub(" ", letters)).split()
    return _ARTICLE.sub("", " ".join(words))


def _same(gold: str, answer: str) -> bool:
    if normalised(gold) != normalised(answer) or not normalised(gold):
        return False
    gold, answer = gold.strip(" .\"'"), answer.strip(" .\"'")
    keeps_case = _GENOTYPE.fullmatch(gold) or (len(gold) <= 2 and gold.casefold() not in _CASELESS_SHORT)
    return not keeps_case or gold == answer
