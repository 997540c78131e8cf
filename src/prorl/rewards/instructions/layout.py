"""Stage 3, rewards: the IFEval rules about layout: lists, sections, titles, marks, JSON. Counts no words.

Each rule says whether an answer follows it, in time linear in the answer. The patterns start at a bracket or a run of
asterisks only once: written the short way, a megabyte of one character takes hours.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from prorl.rewards.instructions.wording import Rule

_PLACEHOLDER = re.compile(r"\[[^\[\]\n]+\]")
_HIGHLIGHTS = (re.compile(r"\*([^*\n]*)\*"), re.compile(r"\*\*([^*\n]*)\*\*"))
_LONG_RUN = re.compile(r"\*{3,}")
_FENCES = ("```json", "```JSON", "```Json", "```")
PARAGRAPH_MARK = "***"
RESPONSE_MARK = "******"


def has_paragraphs(text: str, arguments: Mapping[str, Any]) -> bool:
    """So many paragraphs stand between the marks `***`; one may open or close the text, two in a row may not stand."""
    return len(_between(text, PARAGRAPH_MARK)) == arguments["num_paragraphs"]


def has_two_responses(text: str, arguments: Mapping[str, Any]) -> bool:
    """Two different answers stand around `******`."""
    parts = _between(text, RESPONSE_MARK)
    return len(parts) == 2 and parts[0] != parts[1]


def _between(text: str, mark: str) -> list[str]:
    """Parts between the marks, bare; nothing where one inside is empty."""
    parts = [part.strip() for part in text.split(mark)]
    parts = parts[(not parts[0]) : len(parts) - (not parts[-1])]
    return parts if all(parts) else []


def has_placeholders(text: str, arguments: Mapping[str, Any]) -> bool:
    """At least so many `[names]` in brackets."""
    return num_placeholders(text) >= arguments["num_placeholders"]


def num_placeholders(text: str) -> int:
    return sum(1 for _ in _PLACEHOLDER.finditer(text))


def has_postscript(text: str, arguments: Mapping[str, Any]) -> bool:
    """The marker occurs, in any case; blanks between the letters of `P.S.` and `P.P.S` may differ."""
    marker = arguments["postscript_marker"].strip().lower()
    lowered = text.lower()
    if marker in ("p.s.", "p.p.s"):
        return any(form in lowered for form in _spaced(marker.rstrip(".").split("."), "." * marker.endswith(".")))
    return marker in lowered


def _spaced(letters: list[str], end: str) -> list[str]:
    """The letters with periods between them, each followed by one or no blank."""
    forms = [letters[0]]
    for letter in letters[1:]:
        forms = [f"{form}.{blank}{letter}" for form in forms for blank in ("", " ", "\n")]
    return [form + end for form in forms]


def has_bullets(text: str, arguments: Mapping[str, Any]) -> bool:
    """Exactly so many lines are bullets."""
    return num_bullets(text) == arguments["num_bullets"]


def num_bullets(text: str) -> int:
    """Lines that start with `*` or `-` and a content; emphasis at the start of a line and rules are none."""
    return sum(_is_bullet(line.strip()) for line in text.split("\n"))


def _is_bullet(line: str) -> bool:
    if line.startswith("-"):
        return bool(line.strip("- \t*"))
    if not line.startswith("*") or not line.strip("* \t"):
        return False
    return line[1].isspace() or "*" not in line[1:]


def has_highlights(text: str, arguments: Mapping[str, Any]) -> bool:
    """At least so many `*marked*`, `**marked**` or `***marked***` stretches within a line."""
    return num_highlights(text) >= arguments["num_highlights"]


def num_highlights(text: str) -> int:
    text = _LONG_RUN.sub("**", text)  # both patterns would count `***this***`
    return sum(bool(match.group(1).strip()) for form in _HIGHLIGHTS for match in form.finditer(text))


def has_sections(text: str, arguments: Mapping[str, Any]) -> bool:
    """The section mark stands at least so often before a number."""
    return num_sections(text, arguments["section_spliter"]) >= arguments["num_sections"]


def num_sections(text: str, mark: str) -> int:
    return sum(1 for _ in re.finditer(rf"{re.escape(mark.strip())}\s?\d", text))


def has_title(text: str, arguments: Mapping[str, Any]) -> bool:
    """A line holds `<<a title>>`."""
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if 0 <= start < end and line[start:end].strip("<>").strip():
            return True
    return False


def is_json(text: str, arguments: Mapping[str, Any]) -> bool:
    """The whole is one JSON object or array, also in a fenced block; `NaN` is no JSON."""
    answer = text.strip()
    for fence in _FENCES:
        if answer.startswith(fence):
            answer = answer[len(fence) :]
            break
    try:
        # Numbers stay text: converting a million digits takes minutes, and their size is not asked for.
        value = json.loads(answer.removesuffix("```").strip(), parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict | list)


def _refuse(constant: str) -> str:
    raise ValueError(f"{constant} is no JSON")


LAYOUT_RULES: dict[str, Rule] = {
    "length_constraints:number_paragraphs": has_paragraphs,
    "combination:two_responses": has_two_responses,
    "detectable_content:number_placeholders": has_placeholders,
    "detectable_content:postscript": has_postscript,
    "detectable_format:number_bullet_lists": has_bullets,
    "detectable_format:number_highlighted_sections": has_highlights,
    "detectable_format:multiple_sections": has_sections,
    "detectable_format:title": has_title,
    "detectable_format:json_format": is_json,
}
