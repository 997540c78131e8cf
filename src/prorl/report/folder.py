"""What the report reads of a run's folder: records, events, boundary and recipe, without what is damaged."""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prorl.errors import UserError
from prorl.metrics import read_jsonl
from prorl.report.environment import read_environment

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The contents of a run's folder. `boundary`, `recipe` and `config` are empty where their files are missing."""

    path: Path
    records: Sequence[Record]
    """At least one, each with its step and finite numbers only."""
    events: Sequence[Record]
    """Each with its step and its kind."""
    boundary: Record
    recipe: Record
    """`config.toml` as it is, read."""
    config: str
    """`config.toml` as text."""
    starts: Sequence[Record]
    """What the run ran on, each time it was started; empty where nothing says it."""

    @property
    def name(self) -> str:
        return self.path.resolve().name


def read_run(path: Path) -> RunFolder:
    """Read a run's folder; UserError where it holds no complete step, or a file that cannot be read."""
    records = [_finite(record) for record in read_jsonl(path / "metrics.jsonl") if isinstance(record.get("step"), int)]
    if not records:
        raise UserError(
            f"run folder {str(path)!r}: metrics.jsonl is missing or has no complete step; "
            "name the folder of a run that has finished a step (`prorl train RECIPE --out DIR`)"
        )
    events = [event for event in read_jsonl(path / "events.jsonl") if _is_event(event)]
    config, recipe = _config(path / "config.toml")
    boundary = _boundary(path / "boundary.json")
    return RunFolder(path, records, events, boundary, recipe, config, read_environment(path))


def planned_steps(run: RunFolder) -> int | None:
    """`train.steps` of the recipe, where it says it."""
    train = run.recipe.get("train")
    steps = train.get("steps") if isinstance(train, dict) else None
    return steps if isinstance(steps, int) else None


def _finite(record: Record) -> dict[str, Any]:
    """The record without what is not a finite number, so that a damaged value costs its point and not the page."""
    return {name: value for name, value in record.items() if isinstance(value, int | float) and math.isfinite(value)}


def _is_event(event: Record) -> bool:
    return isinstance(event.get("step"), int) and isinstance(event.get("event"), str)


def _config(path: Path) -> tuple[str, Record]:
    """The recipe as text and as tables; without tables where it is not TOML."""
    if not path.exists():
        return "", {}
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return text, {}


def _boundary(path: Path) -> Record:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
        summary, levels = found["summary"], found["levels"]
        assert isinstance(summary["k"], int)
        assert isinstance(summary["rules"], dict)
        assert all({"family", "level"} <= level.keys() and isinstance(level["level"], int) for level in levels)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
        raise UserError(f"{path}: not a measured boundary; remove it or measure the boundary again") from None
    return found
