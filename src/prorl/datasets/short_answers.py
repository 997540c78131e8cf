"""Stage 1, data sets: the short final answer in a solution written in prose, where one can be told.

Better none than a wrong one: a solution that ends in a derivation or an essay has no short answer.
"""

import re
from dataclasses import dataclass, field

from prorl.rewards.answers import last_boxed

MAX_ANSWER = 80
"""Characters of a short answer."""
MAX_SOLUTION = 20_000
"""Characters of a solution; of a longer one the end is read."""
_CHOICE_LINE = re.compile(r"^[ \t]*[(\[]?([A-H])[)\].:][ \t]*(\S.{0,300})$", re.MULTILINE)
_CHOICE_INLINE = re.compile(
    r"(?:(?<=\s)|^)\(([A-Ha-h])\)[ \t]*([^()\n]{1,200}?)(?=[ \t]*(?:\([A-Ha-h]\)|$))", re.MULTILINE
)
_STATED = re.compile(
    r"(?:\b(?:final|correct|right)?[ \t]?(?:answer|option|choice)[ \t]{0,2}(?:is|:|=)|\bAns(?:wer)?[.:])[ \t:*]{0,6}",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?:option|choice)?[ \t]*[(\[{*]{0,3}([A-Ha-h])[)\]}*]{0,3}(?![\w'])", re.IGNORECASE)
_NUMBER = (
    r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[ ]?(?:\\times|\\cdot|×|x|\*)[ ]?10\^?\{?[-+]?\d+\}?|[eE][-+]?\d+)?"
)
_UNIT = r"(?:\\[,;]|[A-Za-zµΩ°%/·^{}\-\d \\])*"
_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]{1,300})\}")
_LAST_NUMBER = re.compile(rf"(?:=|≈|\\approx|\bis|\babout|\bof)[ ]?\$?[ ]?({_NUMBER})[ ]?({_UNIT})\$?[.\s]*\Z")


@dataclass(frozen=True, slots=True)
class ShortAnswer:
    """The answer, and the options of a multiple-choice problem in the order of their letters."""

    text: str
    choices: tuple[str, ...] = field(default=())


def find_choices(problem: str) -> tuple[str, ...]:
    """The options that the problem lists as A, B, C ...; empty where it lists none, or not in this order."""
    for pattern in (_CHOICE_LINE, _CHOICE_INLINE):
        found = pattern.findall(problem[-MAX_SOLUTION:])
        letters = "".join(letter.upper() for letter, _ in found)
        if len(letters) >= 2 and "ABCDEFGH".startswith(letters):
            return tuple(text.strip() for _, text in found)
    return ()


def short_answer(problem: str, solution: str) -> ShortAnswer | None:
    """The final answer that the solution states; None where it cannot be told."""
    solution = solution[-MAX_SOLUTION:].strip()
    choices = find_choices(problem)
    text = last_boxed(solution)
    if text is None:
        text = _stated(solution)
    if choices:
        letter = _letter(text if text is not None else solution, choices)
        return ShortAnswer(letter, choices) if letter else None
    if text is None:
        text = _last_number(solution)
    text = _trimmed(text or "")
    return ShortAnswer(text) if _is_short(text) else None


def _stated(solution: str) -> str | None:
    """What stands behind the last `the answer is` to the end of its line; only where that is in the last lines."""
    last = None
    for match in _STATED.finditer(solution):
        last = match
    if last is None or solution.count("\n", last.end()) > 3:
        return None
    line = solution[last.end() :].strip().split("\n", 1)[0]
    return _first_sentence(line)


def _first_sentence(line: str) -> str:
    """Up to a full stop that no digit follows."""
    return re.split(r"\.(?!\d)(?:\s|$)|;\s|,\s(?=[a-z]{3,})", line, maxsplit=1)[0]


def _letter(text: str, choices: tuple[str, ...]) -> str:
    """The letter of the option that a stated answer names; empty where it names none."""
    allowed = "ABCDEFGH"[: len(choices)]
    text = _trimmed(_WRAPPED.sub(r"\1", text))
    named = _LETTER.match(text)
    if named and named[1].upper() in allowed and (len(text) <= 3 or named[0].strip() != named[1] or text[1] in ".:)"):
        return named[1].upper()
    same = [letter for letter, choice in zip(allowed, choices, strict=True) if _plain(choice) == _plain(text)]
    return same[0] if len(same) == 1 else ""


def _last_number(solution: str) -> str | None:
    """The number, with its unit, that the solution ends with behind `=` or a word for it."""
    line = solution.rsplit("\n", 1)[-1][-300:]
    found = _LAST_NUMBER.search(line)
    if not found or not any(character.isdigit() for character in found[1]):
        return None
    return f"{found[1]} {found[2]}".strip()


def _plain(text: str) -> str:
    return "".join(text.split()).strip("$.").casefold()


def _trimmed(text: str) -> str:
    text = text.strip().strip("*").strip()
    if text.startswith("$") and text.endswith("$") and text.count("$") in (2, 4):
        text = text.strip("$").strip()
    if text.startswith(("\\(", "\\[")) and text.endswith(("\\)", "\\]")):
        text = text[2:-2].strip()
    return text.rstrip(".,;: ")


def _is_short(text: str) -> bool:
    """A value or a name of few words, not a sentence."""
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+", " ", text))
    return bool(text) and len(text) <= MAX_ANSWER and "\n" not in text and len(words) <= 6
