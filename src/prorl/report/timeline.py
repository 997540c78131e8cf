"""The steps of a run and what happened on them: the axis that all its charts share.

From the records of `metrics.jsonl` and `events.jsonl`, and the recipe in `config.toml` -> phases, marks, limits.
Draws nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

Record = Mapping[str, Any]

CROWD = 24
"""More marks than this are drawn faintly and without a text each: the events have their numbers."""
MAX_CHANGES = 8
"""Options that a phase is described with."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A step at which something happened."""

    step: float
    kind: Literal["reset", "phase", "resume"]
    text: str


@dataclass(frozen=True, slots=True)
class Phase:
    """Steps `first` to `last` under one part of the recipe."""

    number: int
    """From 1."""
    name: str
    first: int
    last: int
    changes: tuple[str, ...] = ()
    """What its recipe changes against the phase before, as `rollouts.group_size = 32`."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound of the recipe that holds over some steps."""

    first: int
    last: int
    value: float
    name: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The steps that there are records of, with what happened."""

    first: int
    last: int
    marks: tuple[Mark, ...] = ()
    phases: tuple[Phase, ...] = ()

    @property
    def span(self) -> int:
        """Steps from the first to the last; 1 for a run of one step."""
        return max(self.last - self.first, 1)

    def share(self, step: float) -> float:
        """Place of a step on the axis, 0 to 1."""
        return (step - self.first) / self.span

    @property
    def marks_inside(self) -> list[Mark]:
        return [mark for mark in self.marks if self.first <= mark.step <= self.last]

    @property
    def is_crowded(self) -> bool:
        return len(self.marks_inside) > CROWD


def make_timeline(records: Sequence[Record], events: Sequence[Record], recipe: Record) -> Timeline:
    """The timeline of a run with at least one record; `recipe` is its `config.toml`, `{}` where that is missing."""
    first, last = records[0]["step"], records[-1]["step"]
    changes = [event for event in events if event["event"] == "phase"]
    names = [str(table.get("name", "")) for table in recipe_phases(recipe)]
    marks = [_mark(event) for event in events if event["event"] in ("reset", "phase", "resume")]
    phases = []
    bounds = [first - 1, *(event["step"] for event in changes), last]
    for index, (before, end) in enumerate(pairwise(bounds)):
        name = str(changes[index - 1].get("name", "")) if index else (names[0] if names else "")
        phases.append(Phase(index + 1, name or f"phase {index + 1}", before + 1, end, _changes(recipe, index)))
    return Timeline(first, last, tuple(marks), tuple(phase for phase in phases if phase.first <= phase.last))


def recipe_phases(recipe: Record) -> list[Mapping[str, Any]]:
    """The phases' own tables of a `config.toml`; none where the run has one phase only."""
    tables = recipe.get("phases")
    return [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []


def limits(recipe: Record, timeline: Timeline, key: str, *, off: float) -> list[Limit]:
    """The bound `section.option` of every phase in which it is not `off`; phases with the same one together."""
    found: list[Limit] = []
    for phase in timeline.phases:
        value = _option(recipe, phase.number - 1, key)
        if isinstance(value, bool) or not isinstance(value, int | float) or value == off:
            continue
        if found and found[-1].value == value and found[-1].last == phase.first - 1:
            found[-1] = Limit(found[-1].first, phase.last, value, key)
        else:
            found.append(Limit(phase.first, phase.last, value, key))
    return found


def _option(recipe: Record, index: int, key: str) -> object:
    """An option as a phase has it: what differs between phases stands in their own tables."""
    section, _, option = key.partition(".")
    tables = recipe_phases(recipe)
    for table in (tables[index] if index < len(tables) else {}, recipe):
        options = table.get(section)
        if isinstance(options, dict) and option in options:
            return options[option]
    return None


def _changes(recipe: Record, index: int) -> tuple[str, ...]:
    tables = recipe_phases(recipe)
    if not 0 < index < len(tables):
        return ()
    found = []
    for section, options in tables[index].items():
        before = tables[index - 1].get(section, {})
        for option, value in options.items() if isinstance(options, dict) and isinstance(before, dict) else ():
            if before.get(option) != value and (section, option) != ("phase", "steps"):
                name = f"{section}.{option}"
                found.append(f"other {name}" if isinstance(value, list | dict) else f"{name} = {value}")
    return tuple(found[:MAX_CHANGES])


def _mark(event: Record) -> Mark:
    step = event["step"]
    if event["event"] == "reset":
        return Mark(step, "reset", f"step {step}: reset, {_numbers(event)}")
    if event["event"] == "phase":
        index = event.get("to")
        number = f" {index + 1}" if isinstance(index, int) else ""
        return Mark(
            step, "phase", f"after step {step}: phase{number} {event.get('name', '')}, {event.get('reason', '')}"
        )
    return Mark(step, "resume", f"resumed after step {step}")


def _numbers(event: Record) -> str:
    """Why a reset came, in words: `stagnation; validation 0.498, best 0.512 at step 380`."""
    parts = [str(event.get("trigger", ""))]
    for name, text in (("score", "validation"), ("best_score", "best"), ("kl", "KL")):
        value = event.get(name)
        if isinstance(value, int | float):
            at = f" at step {event['best_step']}" if name == "best_score" and "best_step" in event else ""
            parts.append(f"{text} {value:.3g}{at}")
    return parts[0] + (f"; {', '.join(parts[1:])}" if parts[1:] else "")
