r"""Stage 3, rewards: where the answer of a math response stands. Linear in its length; compares nothing.

Strict: the content of the last balanced `\boxed{...}` after the thinking. A response without any box may state its
answer in a last line `Answer: ...`. Tolerant: also the last phrase `answer is ...`, an equation's right side or the
number that the last line ends with.
"""

import re

from prorl.records import Score
from prorl.rewards.answers import final_text, last_boxed
from prorl.rewards.mathematics.tokens import MAX_CHARACTERS

_BOX = re.compile(r"\\(?:boxed|fbox)")
_SIMPLE_BOX = re.compile(r"\\boxed\s+(-?[0-9A-Za-z]+)")
_ANSWER_LINE = re.compile(r"[*_#\s]{0,10}(?:final\s)?answer[*_\s]{0,10}:[*_\s]{0,10}(\S.*)", re.IGNORECASE)
_PHRASE = re.compile(
    r"(?:answer|result|solution|value)[*_ ]{0,4}(?:(?:is|are|equals|to)\b|:|=)[*_ :]{0,6}", re.IGNORECASE
)
_NUMBER = re.compile(r"-?\$?[0-9][0-9,]{0,300}(?:\.[0-9]{1,300})?(?:/[0-9]{1,300})?%?")
_MATH = re.compile(r"\$([^$\n]{1,1000})\$|\\\(([^\n]{1,1000}?)\\\)")
_TAIL = 4000
"""Characters at the end in which an unboxed answer is looked for."""


def strict_answer(response: str) -> str | Score:
    """The answer in the form that was asked for."""
    text = final_text(response)
    if text is None:
        return Score(0.0, "unparsable", "the thinking never ended")
    boxed = last_boxed(text)
    if boxed is None and not _BOX.search(text):
        boxed = _answer_line(text)
    return _limited(boxed)


def tolerant_answer(response: str) -> str | Score:
    """The answer, boxed or not."""
    text = final_text(response)
    if text is None:
        text = response
    boxed = last_boxed(text)
    if boxed is not None and boxed.strip():
        return _limited(boxed)
    tail = text[-_TAIL:]
    return _limited(_answer_line(tail) or _phrase(tail) or _last_line(tail))


def _limited(answer: str | None) -> str | Score:
    if answer is None or not answer.strip():
        return Score(0.0, "unparsable", "no answer")
    if len(answer) > MAX_CHARACTERS:
        return Score(0.0, "unparsable", f"the answer is longer than {MAX_CHARACTERS} characters")
    return answer.strip()


def _answer_line(text: str) -> str | None:
    """What follows `Answer:` in the last line that is not blank."""
    last = text.rstrip()
    last = last[max(last.rfind("\n"), last.rfind("\r")) + 1 :]
    match = _ANSWER_LINE.match(last) if len(last) <= 2 * MAX_CHARACTERS else None
    return match.group(1).rstrip("*_ ") if match else None


def _phrase(tail: str) -> str | None:
    """What the last sentence with `answer is` says it is."""
    matches = list(_PHRASE.finditer(tail))
    if not matches:
        return None
    rest = tail[matches[-1].end() :].lstrip().split("\n", 1)[0]
    math = list(_MATH.finditer(rest))
    if len(math) == 1 and math[0].start() == 0:
        return math[0].group(1) or math[0].group(2)
    rest = re.split(r"[.;!?](?:\s|$)", rest, maxsplit=1)[0]
    return rest.strip(" *_") or None


def _last_line(tail: str) -> str | None:
    """The last line itself where it is short; the right side of its equation; else its only number."""
    last = tail.rstrip().rpartition("\n")[2].strip(" *_.")
    math = [one or two for one, two in _MATH.findall(last)]
    numbers = _NUMBER.findall(last)
    if len(math) == 1:
        return math[0]
    if "=" in last and len(last) <= MAX_CHARACTERS:
        return last.rpartition("=")[2]
    if " " not in last:
        return last
    return numbers[0] if len(numbers) == 1 and not math else None
