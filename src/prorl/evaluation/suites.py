"""Stage 7: the evaluation suites by name: their problems, and the settings under which the paper samples them.

Generated suites are drawn here; all others are files that `prorl data prepare` wrote, or the user's own.
"""

import itertools
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from prorl.config import Source
from prorl.errors import UserError
from prorl.evaluation.chance import chance_of
from prorl.evaluation.problems import held_out
from prorl.prompts.sources import read_rows
from prorl.prompts.suites import HARD
from prorl.prompts.suites import SUITES as GENERATED
from prorl.prompts.tables import table_format
from prorl.records import Prompt

PURPOSE = "boundary"
"""The stream of generated problems, that of a run's own boundary measurement."""
PER_LEVEL = 40
"""Of generated problems."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of a measurement."""

    prompt: Prompt
    suite: str
    trained_on: bool = False
    chance: float = 0.0
    """Probability that a guess is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How the paper samples a suite (arXiv 2505.24864, sections 3.4 and 4)."""

    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = 32768
    samples: int = 16
    """A problem, for pass@1."""
    boundary_samples: int = 256
    """A problem, for pass@k."""
    score: Literal["binary", "continuous"] = "binary"
    """What pass@1 averages: solved or not, or the verifier's value."""
    threshold: float = 1.0
    """The verifier's value from which a response is solved. The paper names none for continuous scores: all of it."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Problems without equals under ids of their own, and how they are sampled."""

    name: str
    problems: tuple[Problem, ...]
    protocol: Protocol
    max_tokens: int
    """Of a response, where the user asks for no other limit."""


BINARY = Protocol()
CONTINUOUS = Protocol(score="continuous")
_GENERATED_TOKENS = {"mini": 48, "procedural": 8192}
"""The longest right answer of `mini` has 48 characters, each a token; 8192 is the paper's limit in training."""
PREPARED: dict[str, Protocol] = {
    "aime24": BINARY,
    "aime25": BINARY,
    "amc": BINARY,
    "math_500": BINARY,
    "minerva": BINARY,
    "olympiad_bench": BINARY,
    "apps": BINARY,
    "codecontests": BINARY,
    "codeforces": BINARY,
    "taco": BINARY,
    "apps_full": BINARY,
    "taco_full": BINARY,
    "codecontests_full": BINARY,
    "humaneval_plus": BINARY,
    "live_code_bench": BINARY,
    "gpqa_diamond": BINARY,
    "reasoning_gym_validation": CONTINUOUS,
    "reasoning_gym_held_out": CONTINUOUS,
    "graph_color": CONTINUOUS,
    "ifeval": CONTINUOUS,
}
"""The suites that `prorl data prepare` writes: strictly binary, but for logic and instruction following."""
VALIDATION = "validation"
MIXTURE_NAMES = {"aime24": "aime_2024"}
"""What `prorl data prepare prorl` calls a suite's file."""
SUITE_NAMES: tuple[str, ...] = (*GENERATED, *PREPARED)


def open_suite(
    name: str,
    *,
    tasks: Sequence[str] = (),
    min_level: int = 0,
    max_level: int = 0,
    per_level: int | None = None,
    trained: AbstractSet[tuple[str, int]] = frozenset(),
    folder: Path = Path("data"),
) -> Suite:
    """The suite of that name, or of a file of rows; the same arguments always give the same problems in the same order.

    `per_level`: at most so many problems of each level of each task, 0 for all; left out, 40 of generated ones and all
    of a file. Of a file the last ones count, since validation takes the first. `trained`: the `(task, level)` pairs of
    a run. UserError: no such suite or file, nothing left, or a wrong row.
    """
    if per_level is not None and per_level < 0:
        raise UserError(f"suite {name}: per_level = {per_level}: must be 1 or more, or 0 for all problems of a file")
    is_generated = name in GENERATED
    place = name if is_generated else str(_file(name, folder))
    source = Source(source=place, tasks=tuple(tasks), min_level=min_level, max_level=max_level)
    try:
        prompts = _generated(source, per_level) if is_generated else _rows(source, per_level or 0)
    except UserError as error:
        raise UserError(str(error).replace("data.sources:", f"suite {name}:", 1)) from None
    problems = tuple(
        Problem(prompt, name, (prompt.task, prompt.level) in trained, chance_of(prompt))
        for prompt in with_own_ids(prompts)
    )
    protocol = PREPARED.get(name, BINARY)
    max_tokens = _GENERATED_TOKENS[name.removesuffix(HARD)] if is_generated else protocol.max_tokens
    return Suite(name, problems, protocol, max_tokens)


def _generated(source: Source, per_level: int | None) -> list[Prompt]:
    if per_level == 0:
        raise UserError(
            f"data.sources: 0 problems of a level: {source.source} is generated without end; name 1 or more"
        )
    return held_out((source,), per_level or PER_LEVEL, PURPOSE)


def _rows(source: Source, per_level: int) -> list[Prompt]:
    """Level by level, in the order of the file and without equal ones; of a level the last `per_level`."""
    different: dict[tuple[str, str, int, str], Prompt] = {}
    for row in read_rows(source):
        different.setdefault((row.domain, row.task, row.level, str(row.content)), row)
    levels: dict[tuple[str, str, int], list[Prompt]] = {}
    for row in different.values():
        levels.setdefault((row.domain, row.task, row.level), []).append(row)
    return [row for rows in levels.values() for row in rows[-per_level if per_level else 0 :]]


def with_own_ids(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts with an id each: the second of an id is numbered, and so on."""
    taken = {prompt.id for prompt in prompts}
    used: set[str] = set()
    counters = {name: itertools.count(2) for name in taken}
    named = []
    for prompt in prompts:
        name = prompt.id
        while name in used or (name != prompt.id and name in taken):
            name = f"{prompt.id}#{next(counters[prompt.id])}"
        used.add(name)
        named.append(replace(prompt, id=name))
    return named


def _file(name: str, folder: Path) -> Path:
    """The file of a prepared suite, or the user's own."""
    if name not in PREPARED:
        path = Path(name).expanduser()
        if not path.suffix and not path.is_file():
            raise UserError(
                f"suite {name}: must be one of {', '.join(SUITE_NAMES)}, or a file of rows (.jsonl or .parquet)"
            )
        if table_format(path) not in (".jsonl", ".parquet"):
            raise UserError(f"suite {name}: a file of rows must end in .jsonl or .parquet; rename it")
        if not path.is_file():
            raise UserError(f"suite {name}: no such file; name one of {', '.join(SUITE_NAMES)} or a file that is there")
        return path
    places = [folder / VALIDATION / f"{file}.jsonl" for file in (name, MIXTURE_NAMES.get(name, name))]
    for place in places:
        if place.is_file():
            return place
    out = "" if folder == Path("data") else f" --out {places[0]}"
    raise UserError(f"suite {name}: no {places[0]}; make it with `prorl data prepare {name}{out}`")
