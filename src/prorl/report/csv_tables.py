"""A measured boundary as CSV tables: `levels.csv`, `groups.csv`, `curves.csv`, `problems.csv`, `solved.csv`.

Numbers as `boundary.json` has them, nothing computed. What is absent is an empty cell. A text that a spreadsheet would
take for a formula gets an apostrophe before it.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prorl.durable import replace_file
from prorl.report.boundary_values import (
    Entry,
    by_family,
    checkpoints_of,
    finite,
    groups_of,
    interval,
    items,
    ks_of,
    name_of,
    number,
    part,
    span,
    top_k,
    value,
)

Cell = str | int | float | None
Row = Sequence[Cell]

SCOPES = ("all", "domain", "family")
READINGS = {"strict": "", "tolerant": "tolerant/", "corrected": "corrected/"}
"""Names of the readings, and how their shares begin."""
SHARES = ("mean_score", "well_formed", "truncated", "distinct_texts", "answer_entropy", "mean_tokens")
FACTS = ("domain", "family", "level", "suite", "trained_on", "num_problems", "num_samples", "chance", "k")
GROUP_FACTS = ("scope", "name", "domain", "family", "num_levels", "num_problems", "num_samples", "chance", "k")
OUTCOMES = ("both", "trained_only", "base_only", "neither")
SOLVED = (*OUTCOMES, "expected_trained_only", "expected_base_only", "p", "retention", "discovery")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that begins so is a formula to some spreadsheet, or hides one."""


def write_tables(result: Entry, folder: Path) -> list[Path]:
    """Write the tables of a `boundary.json`, versions 1 and 2, into a folder that exists; those without rows too."""
    tables = {
        "levels.csv": _levels(result),
        "groups.csv": _groups(result),
        "curves.csv": _curves(result),
        "problems.csv": _problems(result),
        "solved.csv": _solved(result),
    }
    for name, rows in tables.items():
        replace_file(folder / name, [_written(rows)])
    return [folder / name for name in tables]


def _written(rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_cell(cell) for cell in row] for row in rows])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(cell: object) -> str | int | float:
    """Numbers as they are, and text that no spreadsheet takes for a formula."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int | float):
        return cell if finite(cell) is not None else ""
    text = str(cell)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def _levels(result: Entry) -> Iterator[Row]:
    names, roles = ["pass@1", f"pass@{top_k(result)}"], _ends_of_run(result)
    yield [
        "name",
        *FACTS,
        "verdict",
        "opened",
        "reason",
        *_measured_head(names, roles),
        "p",
        "q",
        "crossing_k",
        "crossing",
    ]
    for levels in by_family(items(result, "levels")).values():
        for level in levels:
            test = part(level, "test", f"pass@{top_k(result, level)}")
            yield [
                name_of(level),
                *(level.get(fact) for fact in FACTS),
                *(level.get(name) for name in ("verdict", "opened", "reason")),
                *_measured(level, names, roles),
                value(test, "p"),
                value(test, "q"),
                *_crossing(level),
            ]


def _groups(result: Entry) -> Iterator[Row]:
    names, roles = ["pass@1", f"pass@{top_k(result)}"], _ends_of_run(result)
    yield [*GROUP_FACTS, *_measured_head(names, roles), "crossing_k", "crossing", "regime", "regime_reason"]
    for scope in SCOPES:
        for entry in groups_of(result, scope):
            regime = part(entry, "regime")
            yield [
                *(entry.get(fact) for fact in GROUP_FACTS),
                *_measured(entry, names, roles),
                *_crossing(entry),
                regime.get("verdict"),
                regime.get("reason"),
            ]


def _roles(result: Entry) -> tuple[str, ...]:
    """Those measured, in order; `model` alone where it is not compared with another."""
    named = part(result, "summary").get("roles")
    return tuple(map(str, named)) if isinstance(named, list) else ("base", *checkpoints_of(result), "trained")


def _ends_of_run(result: Entry) -> tuple[str, ...]:
    return tuple(role for role in _roles(result) if not role.isdigit())


def _measured_head(names: Sequence[str], roles: Sequence[str]) -> list[str]:
    head = []
    for name in names:
        for role in roles:
            head += [f"{role}/{name}", f"{role}/{name}/low", f"{role}/{name}/high", f"{role}/tolerant/{name}"]
        head += [f"change/{name}/low", f"change/{name}/high"]
    return head + [f"{role}/{share}" for share in SHARES for role in roles]


def _measured(entry: Entry, names: Sequence[str], roles: Sequence[str]) -> list[Cell]:
    cells: list[Cell] = []
    for name in names:
        for role in roles:
            cells += [number(entry, role, name), *_ends(entry, role, name), number(entry, role, f"tolerant/{name}")]
        cells += _ends(entry, "change", name)
    return cells + [number(entry, role, share) for share in SHARES for role in roles]


def _ends(entry: Entry, role: str, name: str) -> Sequence[Cell]:
    return interval(entry, role, name) or (None, None)


def _crossing(entry: Entry) -> Row:
    crossing = part(entry, "crossing")
    return [value(crossing, "k"), crossing.get("direction")]


def _curves(result: Entry) -> Iterator[Row]:
    """Long: one row a number, with its interval over problems and over samples."""
    place = ("scope", "name", "domain", "family", "level")
    yield [*place, "role", "k", "reading", "value", "low", "high", "sample_low", "sample_high"]
    entries = [(scope, entry) for scope in SCOPES for entry in groups_of(result, scope)]
    entries += [("level", level) for levels in by_family(items(result, "levels")).values() for level in levels]
    roles = _roles(result)
    for scope, entry in entries:
        facts = [scope, name_of(entry), entry.get("domain"), entry.get("family"), entry.get("level")]
        for role in roles:
            for reading, start in READINGS.items():
                for k in ks_of(result):
                    name = f"{start}pass@{k}"
                    found = number(entry, role, name)
                    if found is not None:
                        samples = span(entry, "sample_interval", role, name) or (None, None)
                        yield [*facts, role, k, reading, found, *_ends(entry, role, name), *samples]


def _problems(result: Entry) -> Iterator[Row]:
    """One row a problem and role: samples, those right, and those right in the tolerant reading."""
    yield ["id", "domain", "family", "level", "role", "samples", "correct", "correct_tolerant"]
    roles = _roles(result)
    for problem in items(result, "problems"):
        for role in roles:
            counts = part(problem, role)
            if counts:
                facts = [problem.get(name) for name in ("id", "domain", "family", "level")]
                yield [*facts, role, *(value(counts, name) for name in ("n", "c", "tolerant"))]


def _solved(result: Entry) -> Iterator[Row]:
    yield ["scope", "name", "domain", "family", "level", *SOLVED]
    entries = [(scope, entry) for scope in SCOPES for entry in groups_of(result, scope)]
    entries += [("level", level) for levels in by_family(items(result, "levels")).values() for level in levels]
    for scope, entry in entries:
        solved = part(entry, "solved")
        if solved:
            facts = [scope, name_of(entry), entry.get("domain"), entry.get("family"), entry.get("level")]
            yield [*facts, *(value(solved, name) for name in SOLVED)]
