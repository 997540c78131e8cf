"""Instruction families: a small writing request with several of the 25 IFEval instructions, worded in several ways.

The instructions of a problem never exclude one another: what may stand together is said in `ALONE_WITH` and `APART`,
and their words, letters and lengths are drawn so that one text can follow them all. Judges nothing.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prorl.prompts.mini.problem import Family, Problem
from prorl.prompts.procedural.instruction_wordings import (
    END_PHRASES,
    FORBIDDEN,
    KEYWORDS,
    LANGUAGES,
    OPENINGS,
    QUESTIONS,
    RARE_LETTERS,
    REQUESTS,
    TOPICS,
    WORDINGS,
    listed,
)

MAX_LEVEL, TRAIN_LEVELS = 12, 10


@dataclass(frozen=True, slots=True)
class Scene:
    """What the instructions of one problem share, so that they agree with one another."""

    request: str
    level: int
    is_short: bool
    """All limits on length are upper ones; else all are lower ones."""
    words: tuple[str, ...]
    """The keywords in random order: each rule takes its own."""


def _size(rng: random.Random, scene: Scene, start: int, step: float) -> int:
    """A number that grows by `step` a level, and varies by one."""
    return start + int(step * scene.level) + rng.randrange(2)


def _relation(scene: Scene) -> str:
    return "less than" if scene.is_short else "at least"


def _letter(rng: random.Random, scene: Scene) -> dict[str, Any]:
    if rng.randrange(2):
        return {"letter": rng.choice("aeiou"), "let_frequency": _size(rng, scene, 4, 4), "let_relation": "at least"}
    return {"letter": rng.choice(RARE_LETTERS), "let_frequency": rng.randrange(2, 5), "let_relation": "less than"}


def _frequency(rng: random.Random, scene: Scene) -> dict[str, Any]:
    relation = rng.choice(["at least", "at least", "less than"])
    return {"keyword": scene.words[-1], "frequency": _size(rng, scene, 2, 0.5), "relation": relation}


def _words(rng: random.Random, scene: Scene) -> dict[str, Any]:
    num_words = 260 - 10 * scene.level if scene.is_short else 20 + 15 * scene.level
    return {"num_words": num_words + 5 * rng.randrange(5), "relation": _relation(scene)}


def _sentences(rng: random.Random, scene: Scene) -> dict[str, Any]:
    num_sentences = rng.randrange(5, 9) if scene.is_short else _size(rng, scene, 2, 1)
    return {"num_sentences": num_sentences, "relation": _relation(scene)}


def _first_word(rng: random.Random, scene: Scene) -> dict[str, Any]:
    num_paragraphs = _size(rng, scene, 2, 0.4)
    nth = rng.randrange(num_paragraphs) + 1
    return {"num_paragraphs": num_paragraphs, "nth_paragraph": nth, "first_word": scene.words[-2]}


def _capital_words(rng: random.Random, scene: Scene) -> dict[str, Any]:
    relation = rng.choice(["at least", "less than"])
    return {"capital_frequency": _size(rng, scene, 3, 0.7), "capital_relation": relation}


def _sections(rng: random.Random, scene: Scene) -> dict[str, Any]:
    return {"section_spliter": rng.choice(["Section", "Part", "Step"]), "num_sections": _size(rng, scene, 2, 0.4)}


def _keywords(rng: random.Random, scene: Scene) -> dict[str, Any]:
    return {"keywords": list(scene.words[: _size(rng, scene, 1, 0.4)])}


def _forbidden(rng: random.Random, scene: Scene) -> dict[str, Any]:
    return {"forbidden_words": rng.sample(FORBIDDEN, min(len(FORBIDDEN), _size(rng, scene, 1, 0.4)))}


def _language(rng: random.Random, scene: Scene) -> dict[str, Any]:
    return {"language": rng.choice(list(LANGUAGES))}


def _nothing(rng: random.Random, scene: Scene) -> dict[str, Any]:
    return {}


MAKERS: dict[str, Callable[[random.Random, Scene], dict[str, Any]]] = {
    "keywords:existence": _keywords,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _letter,
    "language:response_language": _language,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": lambda rng, scene: {"num_paragraphs": _size(rng, scene, 2, 0.4)},
    "length_constraints:number_words": _words,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": lambda rng, scene: {"num_placeholders": _size(rng, scene, 1, 0.5)},
    "detectable_content:postscript": lambda rng, scene: {"postscript_marker": rng.choice(["P.S.", "P.P.S"])},
    "detectable_format:number_bullet_lists": lambda rng, scene: {"num_bullets": _size(rng, scene, 2, 0.5)},
    "detectable_format:constrained_response": _nothing,
    "detectable_format:number_highlighted_sections": lambda rng, scene: {"num_highlights": _size(rng, scene, 1, 0.5)},
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _nothing,
    "detectable_format:title": _nothing,
    "combination:two_responses": _nothing,
    "combination:repeat_prompt": lambda rng, scene: {"prompt_to_repeat": scene.request},
    "startend:end_checker": lambda rng, scene: {
        "end_phrase": rng.choice(END_PHRASES).format(topic=rng.choice(TOPICS)),
    },
    "startend:quotation": _nothing,
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _nothing,
    "change_case:english_lowercase": _nothing,
    "punctuation:no_comma": _nothing,
}
"""Draw the arguments of a rule."""

_KEYWORD_RULES = {name for name in MAKERS if name.startswith("keywords:")}
ALONE_WITH: dict[str, set[str]] = {
    "detectable_format:json_format": {*_KEYWORD_RULES, "length_constraints:number_words"},
    "detectable_format:constrained_response": {
        "keywords:existence",
        "combination:repeat_prompt",
        "startend:end_checker",
        "startend:quotation",
        "punctuation:no_comma",
    },
    "language:response_language": {
        "length_constraints:number_sentences",
        "length_constraints:number_paragraphs",
        "length_constraints:number_words",
        "detectable_format:number_bullet_lists",
        "detectable_format:title",
        "startend:quotation",
        "punctuation:no_comma",
    },
}
"""Rules that only the named ones may stand beside."""
_IN_ONE_CASE = {"change_case:capital_word_frequency", "detectable_format:multiple_sections"}
APART: dict[str, set[str]] = {
    "change_case:english_capital": {"change_case:english_lowercase", *_IN_ONE_CASE},
    "change_case:english_lowercase": _IN_ONE_CASE,
    "combination:repeat_prompt": {
        "startend:quotation",
        "combination:two_responses",
        "keywords:letter_frequency",
        "length_constraints:nth_paragraph_first_word",
    },
    "combination:two_responses": {
        "length_constraints:number_paragraphs",
        "length_constraints:nth_paragraph_first_word",
        "startend:quotation",
    },
    "length_constraints:number_paragraphs": {"length_constraints:nth_paragraph_first_word"},
    "startend:end_checker": {"detectable_content:postscript"},
}
"""Rules that never stand beside the named ones."""


def _agree(first: str, second: str) -> bool:
    for one, other in ((first, second), (second, first)):
        if (one in ALONE_WITH and other not in ALONE_WITH[one]) or other in APART.get(one, ()):
            return False
    return True


def _choose_rules(rng: random.Random, needed: list[str], own: list[str], others: list[str], count: int) -> list[str]:
    """`count` rules that agree, or as many as there are, in random order: one of `needed`, then `own`, then others."""
    chosen = [rng.choice(needed)]
    candidates = [*own, *rng.sample([*needed, *others], len(needed) + len(others))]
    for name in candidates:
        if len(chosen) < count and name not in chosen and all(_agree(name, other) for other in chosen):
            chosen.append(name)
    return rng.sample(chosen, len(chosen))


def _describe(rng: random.Random, rule: str, arguments: dict[str, Any]) -> str:
    fields = {key: listed(value) if isinstance(value, list) else value for key, value in arguments.items()}
    if rule == "language:response_language":
        fields["language"] = LANGUAGES[arguments["language"]]
    return rng.choice(WORDINGS[rule]).format(**fields)


def _arrange(rng: random.Random, request: str, rules: list[str]) -> str:
    """The request and its rules, as running text, with dashes, or numbered; the rules may come first."""
    form = rng.randrange(4)
    if form == 0 or len(rules) == 1:
        return " ".join([request, *rules])
    if form == 1:
        return "\n".join([request, rng.choice(OPENINGS), *(f"- {rule}" for rule in rules)])
    if form == 2:
        numbered = [f"{number}. {rule}" for number, rule in enumerate(rules, start=1)]
        return "\n".join([request, rng.choice(OPENINGS), *numbered])
    return " ".join(rules) + f"\n\n{request}"


@dataclass(frozen=True, slots=True)
class Pool:
    """Which rules a family draws from, and how many by level."""

    needed: list[str]
    """One of these is in every problem."""
    own: list[str]
    """In every problem that has room for them and whose first rule allows them: they ask for words of the problem's
    own, so that no text follows the rules of many problems."""
    others: list[str]
    first: int
    """Rules at level 1."""
    step: float
    """More rules a level."""

    def generate(self, rng: random.Random, level: int) -> Problem:
        count = self.first + int(self.step * (level - 1))
        names = _choose_rules(rng, self.needed, self.own, self.others, count)
        if "detectable_format:constrained_response" in names:
            request = rng.choice(QUESTIONS)
        else:
            request = rng.choice(REQUESTS).format(topic=rng.choice(TOPICS))
        scene = Scene(request, level, rng.randrange(3) == 0, tuple(rng.sample(KEYWORDS, len(KEYWORDS))))
        kwargs = [MAKERS[name](rng, scene) for name in names]
        rules = [_describe(rng, name, arguments) for name, arguments in zip(names, kwargs, strict=True)]
        prompt = _arrange(rng, request, rules)
        return Problem(prompt, "", {"instruction_id_list": names, "kwargs": kwargs, "prompt": prompt})


def _family(name: str, pool: Pool, description: str) -> Family:
    return Family(
        name=name,
        domain="instruction",
        max_level=MAX_LEVEL,
        train_levels=TRAIN_LEVELS,
        generate=pool.generate,
        # A random text holds neither the words nor the form that every problem asks for.
        chance=lambda level: 0.0,
        description=description,
    )


_KEYWORDS = ["keywords:existence"]
_ENDS = ["length_constraints:nth_paragraph_first_word", "startend:end_checker", "combination:repeat_prompt"]
_LAYOUT = [
    "detectable_content:number_placeholders",
    "detectable_format:number_bullet_lists",
    "detectable_format:number_highlighted_sections",
    "detectable_format:multiple_sections",
    "length_constraints:number_paragraphs",
]
_LENGTHS = ["length_constraints:number_words", "length_constraints:number_sentences"]
_CASE = [name for name in MAKERS if name.startswith("change_case:")]
_NO_COMMA, _QUOTATION = "punctuation:no_comma", "startend:quotation"
_TITLE, _POSTSCRIPT = "detectable_format:title", "detectable_content:postscript"
_CHOICE = "detectable_format:constrained_response"
_FORMS = ["detectable_format:json_format", "combination:two_responses", "language:response_language"]

FAMILIES: tuple[Family, ...] = (
    _family(
        "instruct_keywords",
        Pool(_KEYWORDS, [], sorted(_KEYWORD_RULES), 1, 0.34),
        "Words and letters that must, must often, or must not occur.",
    ),
    _family(
        "instruct_length",
        Pool([*_LENGTHS, "length_constraints:number_paragraphs"], _KEYWORDS, [_ENDS[0], _NO_COMMA], 2, 0.3),
        "Numbers of words, sentences and paragraphs.",
    ),
    _family(
        "instruct_layout",
        Pool(_LAYOUT, _KEYWORDS, [_TITLE, _POSTSCRIPT], 2, 0.5),
        "Lists, sections, highlights, placeholders, titles.",
    ),
    _family(
        "instruct_case",
        Pool([*_CASE, _QUOTATION, _NO_COMMA], _KEYWORDS, ["startend:end_checker"], 2, 0.25),
        "Capitals, small letters, commas and quotation marks, around given words.",
    ),
    _family(
        "instruct_ends",
        Pool(_ENDS, [], [_QUOTATION, _POSTSCRIPT, _NO_COMMA, _TITLE, _CHOICE], 1, 0.34),
        "How the response begins and ends.",
    ),
    _family(
        "instruct_whole",
        Pool(_FORMS, _KEYWORDS, [*_LENGTHS, _NO_COMMA, _TITLE], 2, 0.2),
        "A form for the whole response: JSON, two answers, another language.",
    ),
    _family(
        "instruct_mixed",
        Pool([*_KEYWORDS, *_ENDS], [], [name for name in MAKERS if name not in ALONE_WITH], 1, 1.0),
        "As many of all instructions as the level says.",
    ),
)
