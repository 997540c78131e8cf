"""Stage 7: fixed held-out problems, level by level, the same for every run and every model."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from prorl.config import Config, Source
from prorl.prompts import suites
from prorl.prompts.sources import read_rows
from prorl.prompts.suites import SUITES
from prorl.records import Prompt
from prorl.seeds import stream_seed

_MAX_TRIES = 500


def held_out(sources: tuple[Source, ...], per_level: int, purpose: str, *, from_end: bool = False) -> list[Prompt]:
    """`per_level` problems of each level of the sources, or as many different ones as the level has.

    Generated problems depend on `purpose` and level only, rows of a file are taken in the file's order, or from its end
    backwards.
    """
    problems: list[Prompt] = []
    for source in sources:
        if source.source in SUITES:
            for task, level in suites.levels(source):
                problems += _generated(source, task, level, per_level, purpose)
        else:
            by_level: dict[tuple[str, str, int], list[Prompt]] = defaultdict(list)
            for row in read_rows(source):
                by_level[row.domain, row.task, row.level].append(row)
            order = -1 if from_end else 1
            problems += [row for rows in by_level.values() for row in rows[::order][:per_level]]
    return problems


def validation_problems(config: Config) -> list[Prompt]:
    """The problems that decide resets; those of the training sources' levels where the recipe names no others."""
    options = config.evaluation
    return held_out(options.sources or config.data.sources, options.problems_per_level, "validation")


def trained_levels(phases: Iterable[Config]) -> set[tuple[str, int]]:
    """Every (task, level) that the phases' training sources can bring."""
    levels: set[tuple[str, int]] = set()
    for source in {source for config in phases for source in config.data.sources if source.weight > 0}:
        if source.source in SUITES:
            levels.update(suites.levels(source))
        else:
            levels.update((row.task, row.level) for row in read_rows(source))
    return levels


def _generated(source: Source, task: str, level: int, count: int, purpose: str) -> list[Prompt]:
    """Up to `count` problems with different texts; fewer where no new one turns up."""
    problems: dict[str, Prompt] = {}
    for number in range(count):
        for attempt in range(_MAX_TRIES):
            seed = abs(stream_seed(purpose, task, level, number, attempt))
            prompt = suites.generate(source.source, task, level, seed)
            if prompt.text not in problems:
                problems[prompt.text] = replace(prompt, domain=suites.domain_of(source, task))
                break
        else:
            break
    return list(problems.values())
