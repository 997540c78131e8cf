"""Stage 3, rewards: where in a response the answer stands. Finds text in linear time; judges nothing."""

import re

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
FENCE = "```"


def final_text(response: str) -> str | None:
    """What follows the last `</think>`; all of it where nothing was thought; None where thinking never ended."""
    _, close, after = response.rpartition(THINK_CLOSE)
    if close:
        return after
    return None if THINK_OPEN in response else response


def last_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{...}` whose braces balance; None without one.

    Escaped braces do not count. A box inside a box belongs to the outer one.
    """
    starts = {match.end() - 1: match.start() for match in _BOXED.finditer(text)}
    if not starts:
        return None
    found = None
    open_braces: list[int] = []
    for match in _BRACES.finditer(text, min(starts)):
        if match.group() == "{":
            open_braces.append(match.start())
        elif match.group() == "}" and open_braces:
            start = open_braces.pop()
            if start in starts:
                found = text[start + 1 : match.start()]
    return found


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """`(language, content)` of each closed ``` block, in order; the language in lower case, empty where none stands."""
    blocks: list[tuple[str, str]] = []
    language, lines = "", None
    for line in text.split("\n"):
        mark = line.strip()
        if not mark.startswith(FENCE):
            if lines is not None:
                lines.append(line)
        elif lines is None:
            words = mark[len(FENCE) :].split(maxsplit=1)
            language, lines = (words[0].lower() if words else ""), list[str]()
        else:
            blocks.append((language, "".join(f"{content}\n" for content in lines)))
            lines = None
    return blocks


def last_answer_tag(text: str) -> str | None:
    """The content of the last `<answer>...</answer>`; None without one."""
    before, close, _ = text.rpartition("</answer>")
    _, opening, content = before.rpartition("<answer>")
    return content if close and opening else None
