"""What a generated problem and a task family are, and a problem as a prompt. Knows no particular family."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from prorl.records import Prompt


@dataclass(frozen=True, slots=True)
class Problem:
    """One generated problem; `metadata` is JSON-serialisable and holds what the verifier needs besides `solution`."""

    prompt: str
    solution: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Family:
    """A task whose problems grow with the level: 1..train_levels may be trained on, the rest are held out."""

    name: str
    domain: str
    max_level: int
    train_levels: int
    generate: Callable[[random.Random, int], Problem]
    chance: Callable[[int], float]
    """Share of the problems of a level that the best guess gets right: the best answer, or way to draw one, that knows
    the form, copies the prompt's items and keeps what is common, but works nothing out."""
    description: str


def labels(rng: random.Random, count: int) -> list[str]:
    """Draw `count` distinct lower-case letters in random order."""
    return rng.sample(ascii_lowercase, count)


def prompt_of(suite: str, families: Mapping[str, Family], name: str, level: int, number: int) -> Prompt:
    """The problem `number` of a level; the same arguments always give the same prompt. It names no verifier."""
    if name not in families:
        raise ValueError(f"{suite} family {name!r}: must be one of {', '.join(families)}")
    family = families[name]
    if not 1 <= level <= family.max_level:
        raise ValueError(f"{suite} level {name}/{level}: must be 1 to {family.max_level}")
    place = f"{suite}/{name}/{level}/{number}"
    problem = family.generate(random.Random(place), level)
    return Prompt(
        id=place,
        domain=family.domain,
        task=name,
        content=problem.prompt,
        answer=problem.solution,
        metadata={"task": name, "level": level, **problem.metadata},
    )
