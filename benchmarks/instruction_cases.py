"""Triples (rule, arguments, text) for `instruction_parity.py`: texts that follow, nearly follow, or ignore the rule.

Judges nothing.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from prorl.prompts.procedural import make_prompt
from prorl.prompts.procedural.instructions import FAMILIES
from prorl.rewards.instructions.arguments import ARGUMENTS, AT_LEAST, LESS_THAN, Instruction
from prorl.rewards.instructions.fillers import SENTENCES
from prorl.rewards.instructions.gold import build_response

Case = tuple[str, dict[str, Any], str]

_TEXT = "the a I we They can't well-known U.S. NASA Dr. 3D e.g. note River cat bread e-mail TV it's AND/OR C++"
_WORDS = _TEXT.split()
_MARKS = [".", ".", ".", "!", "?", ",", ";", ":", "...", "!?", '."', ".)", " -", "**", "*"]
_NOISE = ["\n\n", "\n", "***", "******", "[name]", "<<title>>", "P.S. bye", "- item", "* item", "*mark*", "**bold**"]
_NOISE += [
    "Section 1",
    "SECTION 2",
    '"',
    "```json",
    "{}",
    "[]",
    "my answer is yes.",
    "My answer is no.",
    "My answer is yes.",
    "\uff0c",
    "---",
    "# Head",
]
_NOISE += [
    "1. first",
    "***all***",
    "[ ]",
    "[a [b] c]",
    "<<>>",
    "P. S. hello",
    "\t",
    "\u200b",
    "\U0001f600",
    "\u00e9t\u00e9",
]
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz#!"
_KEYWORDS = ["cat", "river", "note", "the", "well-known", "bread", "it's", "a", "C++", "e.g.", "one two"]


def _number(rng: random.Random) -> int:
    return rng.choice([1, 2, 3, 4, 5, 8])


def _relation(rng: random.Random) -> str:
    return rng.choice([LESS_THAN, AT_LEAST])


DRAWS: dict[str, Callable[[random.Random], Any]] = {
    "keywords": lambda rng: rng.sample(_KEYWORDS, rng.randrange(1, 4)),
    "forbidden_words": lambda rng: rng.sample(_KEYWORDS, rng.randrange(1, 4)),
    "keyword": lambda rng: rng.choice(_KEYWORDS),
    "frequency": _number,
    "relation": _relation,
    "letter": lambda rng: rng.choice(_LETTERS),
    "let_frequency": lambda rng: rng.randrange(1, 30),
    "let_relation": _relation,
    "language": lambda rng: rng.choice(list(SENTENCES)),
    "num_sentences": _number,
    "num_paragraphs": _number,
    "num_words": lambda rng: rng.choice([5, 10, 20, 40, 60]),
    "nth_paragraph": lambda rng: 1,
    "first_word": lambda rng: rng.choice(["river", "note", "the", "weekend", "Cat"]),
    "num_placeholders": _number,
    "postscript_marker": lambda rng: rng.choice(["P.S.", "P.P.S", "P.S.", "PS:"]),
    "num_bullets": _number,
    "num_highlights": _number,
    "section_spliter": lambda rng: rng.choice(["Section", "SECTION", "Day", "Part"]),
    "num_sections": _number,
    "prompt_to_repeat": lambda rng: rng.choice(["Write about the river.", "Say a few words about cats and bread"]),
    "end_phrase": lambda rng: rng.choice(["Is there anything else I can help with?", "That is all.", "bye"]),
    "capital_frequency": _number,
    "capital_relation": _relation,
}


def draw_arguments(rng: random.Random, rule: str) -> dict[str, Any]:
    """Arguments that the rule accepts; none is 0, which lm-eval takes for missing."""
    arguments = {name: DRAWS[name](rng) for name in ARGUMENTS[rule]}
    if "nth_paragraph" in arguments:
        arguments["nth_paragraph"] = rng.randrange(arguments["num_paragraphs"]) + 1
    return arguments


def _prose(rng: random.Random) -> str:
    language = rng.choice([*SENTENCES, *["en"] * 10])
    text = rng.choice([" ", "\n", "\n\n"]).join(rng.choices(SENTENCES[language], k=rng.randrange(1, 9)))
    return rng.choice([text, text, text, text.upper(), text.lower()])


def _salad(rng: random.Random) -> str:
    words = rng.choices(_WORDS, k=rng.randrange(1, 50))
    return " ".join(word + (rng.choice(_MARKS) if rng.random() < 0.25 else "") for word in words)


def _document(rng: random.Random) -> str:
    parts = [rng.choice([_prose, _salad])(rng) if rng.random() < 0.3 else rng.choice(_NOISE) for _ in range(12)]
    return "".join(part + rng.choice(["\n", " ", "\n\n", "\n \n", ""]) for part in parts)


def _json(rng: random.Random) -> str:
    value = rng.choice([{"a": [1, {"b": "c"}]}, [], {}, 5, "text", None, [1.5e3], {"n": float("nan")}])
    text = rng.choice([json.dumps(value)] * 9 + ['{"number": 1' + "0" * 5000 + "}"])
    return rng.choice([text, f"```json\n{text}\n```", f"```\n{text}\n```", f"Here: {text}", text[:-1], f" {text} "])


def _other_gold(rng: random.Random) -> str:
    family = rng.choice(FAMILIES)
    prompt = make_prompt(family.name, rng.randrange(1, 13), rng.randrange(1000))
    names, kwargs = prompt.metadata["instruction_id_list"], prompt.metadata["kwargs"]
    return build_response([Instruction(*pair) for pair in zip(names, kwargs, strict=True)]) or prompt.text


def mutate(rng: random.Random, text: str) -> str:
    """One small change: a character, a line, the case, a mark, a wrapping."""
    place = rng.randrange(len(text) + 1)
    lines = text.split("\n")
    line = rng.randrange(len(lines))
    return rng.choice(
        [
            text[:place] + text[place + 1 :],
            text[:place] + rng.choice([*_NOISE, *_MARKS, " ", "\n", "A", "e"]) + text[place:],
            "\n".join(lines[:line] + lines[line + 1 :]),
            "\n".join([*lines[:line], lines[line], *lines[line:]]),
            text.upper(),
            text.lower(),
            text.title(),
            f"Sure! Here it is:\n{text}",
            f"{text}\nI hope this helps.",
            f'"{text}"',
            f"**{text}**",
            f"{text}\n\n{text}",
            text.replace("\n", "\n\n"),
            text.replace(" ", "  "),
            text.strip(rng.choice(['."', ".", "*", "]", ">"])),
        ]
    )


def cases(rule: str, count: int, seed: int) -> Iterator[Case]:
    """`count` triples of the rule: a third follow it, a third nearly do, a third are any texts."""
    rng = random.Random(f"{rule}/{seed}")
    for number in range(count):
        arguments = draw_arguments(rng, rule)
        gold = build_response([Instruction(rule, arguments)])
        if gold is None or number % 3 == 0:
            text = rng.choice([_prose, _salad, _document, _document, _json, _other_gold])(rng)
        elif number % 3 == 1:
            text = mutate(rng, gold)
        else:
            text = rng.choice(
                [gold, mutate(rng, mutate(rng, gold)), f"{gold}\n{_prose(rng)}", f"{_salad(rng)}\n{gold}"]
            )
        yield rule, arguments, text
