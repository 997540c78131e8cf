"""Validation by task family and level over the steps: one strip of colours a family. Measures nothing."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from prorl.report.charts import short, step_ticks
from prorl.report.escaping import safe
from prorl.report.tables import heat_cell, table
from prorl.report.timeline import Timeline

Points = list[tuple[int, float]]
"""(step, score) by rising step."""
Levels = Mapping[int, Points]
MAX_COLUMNS = 150
"""More validations than this are averaged in equal runs of neighbours."""
NUM_SHADES = 10
"""Shade 0 is a score of exactly 0: that something was solved at all is what a reader looks for."""
ROW = 12
"""Height of a level in pixels; the style sheet's line height is the same."""


def level_section(records: Sequence[Mapping[str, Any]], timeline: Timeline) -> str:
    """The strips of all families with their key, and the same numbers as a table; nothing without validations."""
    history = level_history(records)
    if not history:
        return ""
    steps = sorted({step for levels in history.values() for points in levels.values() for step, _ in points})
    run = -(-len(steps) // MAX_COLUMNS)
    columns = [steps[start : start + run] for start in range(0, len(steps), run)]
    merged = f" Each column is the mean of {run} validations." if run > 1 else ""
    shades = "".join(f'<i class="shade h{shade}"></i>' for shade in range(NUM_SHADES + 1))
    note = (
        "<p>How well each difficulty level of each task is solved on held-out problems, from the start of the run "
        "(left) to its end (right). Rows are levels, harder ones further up; a row that fills up is a level being "
        f"learned. At the right is the score of the last validation.{merged}</p>"
        f'<p class="keys"><span>score 0 {shades} 1</span><span>the faintest shade is exactly 0, blank is not measured'
        "</span></p>"
    )
    strips = "".join(_strip(family, history[family], columns, timeline) for family in sorted(history))
    numbers = f"<details><summary>As numbers: last, first and best score</summary>{level_table(history)}</details>"
    return f'{note}<div class="strips">{strips}</div>{numbers}'


def level_history(records: Sequence[Mapping[str, Any]]) -> dict[str, Levels]:
    """The scores of `validation/<family>/<level>`."""
    history: dict[str, dict[int, Points]] = {}
    for record in records:
        for name, value in record.items():
            family, _, level = name.removeprefix("validation/").rpartition("/")
            if name.startswith("validation/") and family and level.isascii() and level.isdigit():
                history.setdefault(family, {}).setdefault(int(level), []).append((record["step"], value))
    return dict(history)


def shade(score: float) -> int:
    """0 for a score of 0 or less, then 1 for up to a tenth, to `NUM_SHADES`."""
    tenths = min(max(score, 0.0), 1.0) * NUM_SHADES
    return int(tenths) if tenths == int(tenths) else int(tenths) + 1


def edges(columns: Sequence[Sequence[int]], timeline: Timeline) -> list[float]:
    """Where columns begin and end, in steps: half-way between neighbours."""
    halves = [(left[-1] + right[0]) / 2 for left, right in pairwise(columns)]
    return [timeline.first, *halves, timeline.first + timeline.span]


def cells(points: Points, columns: Sequence[Sequence[int]]) -> list[int | None]:
    """The shade of a level in each column; None where it was not measured."""
    by_step = dict(points)
    found = [[by_step[step] for step in column if step in by_step] for column in columns]
    return [shade(fmean(values)) if values else None for values in found]


def level_table(history: Mapping[str, Levels]) -> str:
    """Family by level: the last score as colour and number, below it the first and the best."""
    levels = sorted({level for of_family in history.values() for level in of_family})
    head = "".join(f"<th>{cell}</th>" for cell in ("family", *levels))
    rows = [
        f"<tr><th>{safe(family)}</th>{''.join(_history_cell(of_family.get(level, [])) for level in levels)}</tr>"
        for family, of_family in sorted(history.items())
    ]
    return table(head, "".join(rows))


def _history_cell(points: Points) -> str:
    if not points:
        return "<td></td>"
    first, last, best = points[0][1], points[-1][1], max(value for _, value in points)
    return heat_cell(last, f"{last:.2f}", f"{first:.2f}, best {best:.2f}")


def _strip(family: str, of_family: Levels, columns: Sequence[Sequence[int]], timeline: Timeline) -> str:
    """One family: levels, colours and last scores side by side, the steps below."""
    levels = sorted(of_family, reverse=True)
    bounds = edges(columns, timeline)
    runs: dict[int, list[str]] = {}
    for row, level in enumerate(levels):
        for value, start, end in _runs(cells(of_family[level], columns), bounds):
            runs.setdefault(value, []).append(f"M{start:.10g} {row}h{end - start:.10g}v1H{start:.10g}z")
    paths = "".join(f'<path class="cell h{value}" d="{"".join(parts)}"/>' for value, parts in sorted(runs.items()))
    hover = "".join(
        f'<rect class="hover" x="{timeline.first}" y="{row}" width="{timeline.span}" height="1">'
        f"<title>{safe(_story(family, level, of_family[level]))}</title></rect>"
        for row, level in enumerate(levels)
    )
    drawing = (
        f'<svg viewBox="{timeline.first} 0 {timeline.span} {len(levels)}" preserveAspectRatio="none" role="img" '
        f'aria-label="{safe(family)}" style="height:{len(levels) * ROW}px">'
        f"{paths}{hover}{_marks(timeline, len(levels))}</svg>"
    )
    names = "".join(f"<li>{level}</li>" for level in levels)
    last = "".join(f"<li>{of_family[level][-1][1]:.2f}</li>" for level in levels)
    return (
        f'<figure class="strip"><figcaption><h3>{safe(family)}</h3></figcaption>{_phase_row(timeline)}'
        f'<div class="rows"><ol>{names}</ol>{drawing}<ol>{last}</ol></div>{_step_row(timeline)}</figure>'
    )


def _runs(shades: Sequence[int | None], bounds: Sequence[float]) -> list[tuple[int, float, float]]:
    """Neighbouring cells of one shade as one: (shade, from step, to step)."""
    found: list[tuple[int, float, float]] = []
    for value, (start, end) in zip(shades, pairwise(bounds), strict=True):
        if value is None:
            continue
        if found and found[-1][0] == value and found[-1][2] == start:
            start = found.pop()[1]
        found.append((value, start, end))
    return found


def _story(family: str, level: int, points: Points) -> str:
    best_step, best = max(points, key=lambda point: point[1])
    half = next((f", at least half from step {step}" for step, value in points if value >= 0.5), "")
    return (
        f"{family}, level {level}: {points[0][1]:.2f} at step {points[0][0]}, {points[-1][1]:.2f} at step "
        f"{points[-1][0]}, best {best:.2f} at step {best_step}{half}"
    )


def _marks(timeline: Timeline, rows: int) -> str:
    """A line in a lighter one, to be seen on every shade."""
    parts = []
    for mark in (mark for mark in timeline.marks_inside if mark.kind != "resume"):
        way = f'd="M{mark.step:.10g} 0V{rows}"'
        if timeline.is_crowded and mark.kind == "reset":
            parts.append(f'<path class="mark reset crowd" {way}/>')
        else:
            lines = f'<path class="halo" {way}/><path class="mark {mark.kind}" {way}/>'
            parts.append(f"<g><title>{safe(mark.text)}</title>{lines}</g>")
    return "".join(parts)


def _phase_row(timeline: Timeline) -> str:
    if len(timeline.phases) < 2:
        return ""
    names = []
    for phase in timeline.phases:
        first = max(phase.first, timeline.first)
        place = f"left:{_percent(timeline.share(first))};width:{_percent((phase.last - first) / timeline.span)}"
        title = f"phase {phase.number}, {safe(phase.name)}: steps {phase.first} to {phase.last}"
        names.append(f'<span style="{place}" title="{title}">{safe(phase.name)}</span>')
    return f'<div class="axis phases">{"".join(names)}</div>'


def _step_row(timeline: Timeline) -> str:
    names = "".join(
        f'<span style="left:{_percent(timeline.share(step))}">{short(step)}</span>' for step in step_ticks(timeline)
    )
    return f'<div class="axis steps">{names}</div>'


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
