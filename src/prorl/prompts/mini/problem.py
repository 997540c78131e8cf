"""What a generated problem and a task family are. Says nothing about any particular family."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any


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
    """Probability that a uniformly random well-formed answer is right, by level."""
    description: str


def labels(rng: random.Random, count: int) -> list[str]:
    """Draw `count` distinct lower-case letters in random order."""
    return rng.sample(ascii_lowercase, count)
