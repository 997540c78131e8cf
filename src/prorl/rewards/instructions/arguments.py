"""Stage 3, rewards: the 25 IFEval rules by name, what arguments each takes, and a row's instructions read and checked.

A row is refused with the rule and the argument named, rather than judged against a guess. Judges no answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LESS_THAN, AT_LEAST = "less than", "at least"
RELATIONS = (LESS_THAN, AT_LEAST)
_CODES = (
    "af ar bg bn ca cs cy da de el en es et fa fi fr gu he hi hr hu id it ja kn ko lt lv mk ml mr ne nl no pa pl pt ro "
    "ru sk sl so sq sv sw ta te th tl tr uk ur vi zh zh-cn zh-tw"
)
LANGUAGES = tuple(_CODES.split())
"""ISO codes of what langdetect tells apart; `zh` is either Chinese."""
MAX_COUNT = 100_000
MAX_INSTRUCTIONS = 32
MAX_ITEMS = 100
"""Keywords of one rule."""
MAX_KEYWORD_CHARACTERS = 200
MAX_TEXT_CHARACTERS = 100_000
"""Of a prompt to repeat."""

Read = Callable[[object], Any]
"""Gives the argument in its plain form; ValueError says what it must be."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """A rule of `ARGUMENTS` and its arguments, checked."""

    rule: str
    arguments: Mapping[str, Any]


def _count(minimum: int) -> Read:
    def read(value: object) -> int:
        # Tables with missing values turn whole numbers into floats.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= MAX_COUNT:
            raise ValueError(f"must be a whole number of {minimum} to {MAX_COUNT}")
        return value

    return read


def _text(limit: int) -> Read:
    def read(value: object) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > limit:
            raise ValueError(f"must be a text of 1 to {limit} characters")
        return value

    return read


def _texts(value: object) -> list[str]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_ITEMS:
        raise ValueError(f"must be a list of 1 to {MAX_ITEMS} texts")
    return [_KEYWORD(item) for item in value]


def _word(value: object) -> str:
    text: str = _KEYWORD(value)
    if len(text.split()) != 1:
        raise ValueError("must be one word")
    return text.strip()


def _letter(value: object) -> str:
    if not isinstance(value, str) or len(value.strip()) != 1:
        raise ValueError("must be one character")
    return value.strip()


def _one_of(names: tuple[str, ...]) -> Read:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return value

    return read


_KEYWORD = _text(MAX_KEYWORD_CHARACTERS)
_RELATION = _one_of(RELATIONS)

ARGUMENTS: dict[str, dict[str, Read]] = {
    "keywords:existence": {"keywords": _texts},
    "keywords:frequency": {"keyword": _KEYWORD, "frequency": _count(0), "relation": _RELATION},
    "keywords:forbidden_words": {"forbidden_words": _texts},
    "keywords:letter_frequency": {"letter": _letter, "let_frequency": _count(0), "let_relation": _RELATION},
    "language:response_language": {"language": _one_of(LANGUAGES)},
    "length_constraints:number_sentences": {"num_sentences": _count(0), "relation": _RELATION},
    "length_constraints:number_paragraphs": {"num_paragraphs": _count(1)},
    "length_constraints:number_words": {"num_words": _count(0), "relation": _RELATION},
    "length_constraints:nth_paragraph_first_word": {
        "num_paragraphs": _count(1),
        "nth_paragraph": _count(1),
        "first_word": _word,
    },
    "detectable_content:number_placeholders": {"num_placeholders": _count(0)},
    "detectable_content:postscript": {"postscript_marker": _KEYWORD},
    "detectable_format:number_bullet_lists": {"num_bullets": _count(0)},
    "detectable_format:constrained_response": {},
    "detectable_format:number_highlighted_sections": {"num_highlights": _count(0)},
    "detectable_format:multiple_sections": {"section_spliter": _KEYWORD, "num_sections": _count(0)},
    "detectable_format:json_format": {},
    "detectable_format:title": {},
    "combination:two_responses": {},
    "combination:repeat_prompt": {"prompt_to_repeat": _text(MAX_TEXT_CHARACTERS)},
    "startend:end_checker": {"end_phrase": _text(MAX_TEXT_CHARACTERS)},
    "startend:quotation": {},
    "change_case:capital_word_frequency": {"capital_frequency": _count(0), "capital_relation": _RELATION},
    "change_case:english_capital": {},
    "change_case:english_lowercase": {},
    "punctuation:no_comma": {},
}


def read_instructions(metadata: Mapping[str, Any]) -> tuple[Instruction, ...]:
    """The checked instructions of `{"instruction_id_list", "kwargs"}`. ValueError names the rule and the argument."""
    names, kwargs = metadata.get("instruction_id_list"), metadata.get("kwargs")
    if not isinstance(names, list | tuple) or not 1 <= len(names) <= MAX_INSTRUCTIONS:
        raise ValueError(f"metadata.instruction_id_list must be a list of 1 to {MAX_INSTRUCTIONS} names")
    if not isinstance(kwargs, list | tuple) or len(kwargs) != len(names):
        raise ValueError(f"metadata.kwargs must be a list of {len(names)} objects, one for each instruction")
    return tuple(_read_instruction(name, given) for name, given in zip(names, kwargs, strict=True))


def _read_instruction(name: object, given: object) -> Instruction:
    if not isinstance(name, str) or name not in ARGUMENTS:
        raise ValueError(f"instruction {str(name)[:80]!r}: must be one of {', '.join(ARGUMENTS)}")
    if not isinstance(given, Mapping):
        raise ValueError(f"{name}: its arguments must be an object, not {type(given).__name__}")
    expected = ARGUMENTS[name]
    values = {key: value for key, value in given.items() if value is not None}
    takes = ", ".join(expected) or "none"
    unknown = [str(key)[:80] for key in values if key not in expected]
    if unknown:
        raise ValueError(f"{name}: unknown argument {unknown[0]!r}; it takes {takes}")
    arguments: dict[str, Any] = {}
    for key, read in expected.items():
        if key not in values:
            raise ValueError(f"{name}: argument {key!r} is missing; it takes {takes}")
        try:
            arguments[key] = read(values[key])
        except ValueError as error:
            raise ValueError(f"{name}: {key} = {str(values[key])[:80]!r} {error}") from None
    _check_together(name, arguments)
    return Instruction(name, arguments)


def _check_together(name: str, arguments: Mapping[str, Any]) -> None:
    values = list(arguments.values())
    if LESS_THAN in values and 0 in values:
        raise ValueError(f"{name}: {LESS_THAN} 0 can never hold")
    if arguments.get("nth_paragraph", 0) > arguments.get("num_paragraphs", MAX_COUNT):
        raise ValueError(f"{name}: nth_paragraph must be at most num_paragraphs = {arguments['num_paragraphs']}")
