"""Stage 1: the suites of generated problems by name: their levels, and a problem of a level.

A suite with `_hard` holds the levels above those that may be trained on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prorl.config import Source
from prorl.errors import UserError
from prorl.prompts import mini, procedural
from prorl.prompts.mini.problem import Family
from prorl.records import Prompt

HARD = "_hard"


@dataclass(frozen=True, slots=True)
class Generator:
    """A package of families."""

    families: Mapping[str, Family]
    make_prompt: Callable[[str, int, int], Prompt]
    """Of a family, a level and the problem's number."""


GENERATORS: dict[str, Generator] = {
    "mini": Generator(mini.FAMILIES, mini.make_prompt),
    "procedural": Generator(procedural.FAMILIES, procedural.make_prompt),
}
SUITES: tuple[str, ...] = tuple(f"{name}{ending}" for name in GENERATORS for ending in ("", HARD))


def levels(source: Source) -> list[tuple[str, int]]:
    """The `(task, level)` pairs of its suite that a source names."""
    families = _generator(source.source).families
    for task in source.tasks:
        if task not in families:
            raise UserError(f"data.sources: tasks = {task}: not in {source.source}; it has {', '.join(families)}")
    low, high = source.min_level, source.max_level or max(family.max_level for family in families.values())
    chosen = [
        (family.name, level)
        for family in families.values()
        for level in _levels(family, hard=source.source.endswith(HARD))
        if (not source.tasks or family.name in source.tasks) and low <= level <= high
    ]
    if not chosen:
        raise UserError(f"data.sources: no level of {source.source} lies between {low} and {high}; widen the bounds")
    return chosen


def domain_of(source: Source, task: str) -> str:
    """The domain of a task of the source's suite, or the one the source gives it."""
    return source.domain or _generator(source.source).families[task].domain


def generate(suite: str, task: str, level: int, number: int) -> Prompt:
    """The problem `number` of a level; always the same one."""
    return _generator(suite).make_prompt(task, level, number)


def is_generated(prompt: Prompt) -> bool:
    """Whether the prompt is one of a suite, of which each is drawn once."""
    return prompt.id.partition("/")[0] in GENERATORS


def _generator(suite: str) -> Generator:
    return GENERATORS[suite.removesuffix(HARD)]


def _levels(family: Family, *, hard: bool) -> range:
    return range(family.train_levels + 1, family.max_level + 1) if hard else range(1, family.train_levels + 1)
