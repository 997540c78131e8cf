"""`comparison.html`: several runs on one page, each a line in every chart. Measures nothing and reads run folders only.

The runs share the axes; each has its own colour and its own dashes, and its resets stand on its line.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from prorl.errors import UserError
from prorl.report.charts import (
    NUM_COLOURS,
    Bin,
    Caption,
    Frame,
    Point,
    binned,
    figure,
    frame_of,
    run_length,
    short,
    svg,
)
from prorl.report.curves import (
    COST,
    HEALTH,
    LEARNING,
    Chart,
    chart_names,
    extended_records,
    label,
    names_of,
    points_of,
)
from prorl.report.differences import difference_table
from prorl.report.document import document, write_page
from prorl.report.environment import facts
from prorl.report.escaping import safe
from prorl.report.folder import RunFolder, read_run
from prorl.report.levels import level_history
from prorl.report.tables import badge, table
from prorl.report.timeline import Timeline
from prorl.terminal import compact, duration

Record = Mapping[str, Any]

KIND = "prorl comparison"
"""What the page says it is; only such a page is ever written over."""
NAME = "comparison.html"
RECENT = 10
"""Last values that a number in the table is the mean of."""
SOLVED = 0.5
"""A level counts as solved from this validation score on."""
CHARTS = (("Learning", LEARNING), ("Health", HEALTH), ("Cost", COST))


@dataclass(frozen=True, slots=True)
class Compared:
    """A run of the comparison: its name on the page, unlike all others, its colour, and what its charts show."""

    name: str
    colour: str
    run: RunFolder
    records: Sequence[Record]
    names: frozenset[str]
    """Of everything in the records that a chart may show."""

    @property
    def resets(self) -> list[int]:
        return [event["step"] for event in self.run.events if event["event"] == "reset"]


def write_comparison(folders: Sequence[Path], out: Path) -> tuple[Path, list[str]]:
    """Write the page to `out`, a file or a folder; gives its path, and a line for each run that was left out.

    UserError: fewer than two different runs, more than there are colours, none that can be read, or a file at `out`
    that is no comparison.
    """
    target = out / NAME if out.is_dir() else out
    _refuse_other_file(target)
    different = list({folder.resolve(): folder for folder in folders}.values())
    if not 2 <= len(different) <= NUM_COLOURS:
        raise UserError(f"{len(different)} different runs: a comparison is of 2 to {NUM_COLOURS}; name so many folders")
    runs, troubles = _read(different)
    if not runs:
        raise UserError(f"none of the {len(different)} runs can be read; the first: {troubles[0]}")
    write_page(target, comparison(runs, troubles))
    return target, troubles


def comparison(runs: Sequence[Compared], troubles: Sequence[str] = ()) -> str:
    """The page as HTML."""
    axis = Timeline(min(one.run.records[0]["step"] for one in runs), max(one.run.records[-1]["step"] for one in runs))
    names = " | ".join(one.name for one in runs)
    configs = {one.name: one.run.recipe for one in runs}
    places = {one.name: facts(one.run.starts, {}) for one in runs}
    sections = [
        ("numbers", "Numbers", number_table(runs)),
        ("boundary", "Reasoning boundary", boundary_table(runs)),
        ("steps", "Over the steps", chart_section(runs, axis)),
        ("levels", "Levels solved", level_table(runs)),
        ("options", "Options that differ", difference_table(configs, "Every option that is not the same in all.")),
        ("environment", "Environment", difference_table(places, "What the runs ran on, where it is not the same.")),
    ]
    left_out = "".join(f"<li>left out: {safe(trouble)}</li>" for trouble in troubles)
    keys = "".join(f"<span>{_key(one.colour)}{safe(one.name)}</span>" for one in runs)
    head = f'<h1>{len(runs)} runs</h1><p class="keys compare">{keys}</p>' + (f"<ul>{left_out}</ul>" if left_out else "")
    return document(names, head, sections, kind=KIND)


def number_table(runs: Sequence[Compared]) -> str:
    """The final numbers, a column a run; a number that no run has is left out."""
    rows = [(name, [value(one) for one in runs]) for name, value in _RESULTS.items()]
    for name in names_of(_all_names(runs), ("validation/",)):
        if name != "validation/mean":
            rows.append((f"validation of {label(name)}, last", [_number(_last(one.records, name, 1)) for one in runs]))
    rows.append(("levels solved, last validation", [_solved(level_history(one.records)) for one in runs]))
    rows += [(name, [value(one) for one in runs]) for name, value in _WAYS.items()]
    note = f"Means are over the last {RECENT} steps that have the number; the runs may be of different lengths."
    return f"<p>{note}</p>{_rows(runs, [(name, cells) for name, cells in rows if any(cells)])}"


def level_table(runs: Sequence[Compared]) -> str:
    """How many levels of each family each run solves at its last validation."""
    histories = [level_history(one.records) for one in runs]
    families = sorted({family for history in histories for family in history})
    rows = [
        (family, [_solved({family: history[family]}) if family in history else "" for history in histories])
        for family in families
    ]
    note = f"<p>Levels with a score of at least {SOLVED:g} at the last validation, of those that are validated.</p>"
    return note + _rows(runs, rows) if rows else ""


def boundary_table(runs: Sequence[Compared]) -> str:
    """How many levels have each verdict, where it was measured."""
    counts = [_verdicts(one.run.boundary) for one in runs]
    verdicts = dict.fromkeys(verdict for of_run in counts for verdict in of_run)
    if not verdicts:
        return ""
    head = _head(runs)
    body = "".join(
        f'<tr><td class="text">{badge(verdict)}</td>'
        + "".join(f"<td>{of_run.get(verdict, 0) if of_run else ''}</td>" for of_run in counts)
        + "</tr>"
        for verdict in verdicts
    )
    how = "".join(f"<td>{safe(_measured(one.run.boundary))}</td>" for one in runs)
    note = "<p>Levels by verdict. Compare only what was measured with the same k and on the same levels.</p>"
    return f"{note}{table(head, f'{body}<tr><th>measured</th>{how}</tr>')}"


def chart_section(runs: Sequence[Compared], axis: Timeline) -> str:
    """The charts of a run's report, one for each metric that some run has, with a line a run."""
    longest = max(len(one.records) for one in runs)
    run = run_length(longest)
    smoothing = " Long runs are averaged: their points are means of neighbouring steps." if run > 1 else ""
    parts = [f"<p>A diamond on a line is a reset of that run. The legends give the last points.{smoothing}</p>"]
    for title, charts in CHARTS:
        drawn = "".join(_charts(chart, runs, axis) for chart in charts)
        if drawn:
            parts.append(f'<h3 class="group">{title}</h3><div class="charts compare">{drawn}</div>')
    return "".join(parts) if len(parts) > 1 else ""


def _read(folders: Sequence[Path]) -> tuple[list[Compared], list[str]]:
    found, troubles = [], []
    for folder in folders:
        try:
            found.append(read_run(folder))
        except UserError as error:
            troubles.append(str(error))
        except OSError as error:
            troubles.append(f"run folder {str(folder)!r}: cannot be read ({error.strerror})")
    names = _names([run.path for run in found])
    runs = []
    for number, (name, run) in enumerate(zip(names, found, strict=True)):
        records = extended_records(run.records)
        runs.append(Compared(name, str(number), run, records, frozenset(chart_names(records))))
    return runs, troubles


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' names; with the folders around them as far as that is needed to tell different ones apart."""
    parts = [path.resolve().parts for path in paths]
    names = []
    for own in parts:
        ends = (own[-depth:] for depth in range(1, len(own) + 1))
        end = next(end for end in ends if sum(other[-len(end) :] == end for other in parts) == 1)
        names.append("/".join(end))
    return names


def _all_names(runs: Sequence[Compared]) -> frozenset[str]:
    return frozenset().union(*(one.names for one in runs))


def _refuse_other_file(target: Path) -> None:
    try:
        with target.open("rb") as file:
            beginning = file.read(1000)
    except FileNotFoundError:
        if target.parent.is_dir():
            return
        raise UserError(f"--out {target}: the folder {target.parent} is not there; make it or name another") from None
    except OSError as error:
        raise UserError(f"--out {target}: cannot be read ({error.strerror}); name another file") from None
    if f'<meta name="generator" content="{KIND}">'.encode() not in beginning:
        raise UserError(f"--out {target}: is there and is no comparison page; name another file or remove it")


def _charts(chart: Chart, runs: Sequence[Compared], axis: Timeline) -> str:
    """The metrics of a chart, each by itself: with several runs a drawing has room for no other lines."""
    names = names_of(_all_names(runs), chart.metrics)
    drawn = []
    for name in names:
        if chart.is_rare and not any(record.get(name) for one in runs for record in one.records):
            continue
        title = chart.caption.title if len(names) == 1 else f"{chart.caption.title}: {label(name)}"
        drawn.append(_chart(Caption(title, "", chart.caption.unit), name, chart, runs, axis))
    return "".join(drawn)


def _chart(caption: Caption, name: str, chart: Chart, runs: Sequence[Compared], axis: Timeline) -> str:
    lines = [(one, binned(points)) for one in runs if (points := points_of(one.records, name, is_rare=chart.is_rare))]
    frame = frame_of(axis, [part.mean for _, bins in lines for part in bins], chart.high)
    body = [_line(bins, one.colour, frame) for one, bins in reversed(lines)]
    body += [_resets(one, bins, frame) for one, bins in lines]
    legend = [(one.name, one.colour, bins[-1].mean) for one, bins in lines]
    return figure(caption, svg(caption, frame, body, axis), legend)


def _line(bins: Sequence[Bin], colour: str, frame: Frame) -> str:
    points = " ".join(f"{frame.x(part.step)},{frame.y(part.mean)}" for part in bins)
    dot = f'<circle class="dot c{colour}" cx="{frame.x(bins[0].step)}" cy="{frame.y(bins[0].mean)}" r="2.5"/>'
    return f'<polyline class="line c{colour}" points="{points}"/>{dot if len(bins) == 1 else ""}'


def _resets(one: Compared, bins: Sequence[Bin], frame: Frame) -> str:
    """A diamond on the run's line at each of its resets."""
    points = [(part.step, part.mean) for part in bins]
    return "".join(
        f'<path class="point c{one.colour}" d="M{frame.x(step)} {frame.y(_height(points, step))}'
        f'm0 -4l3.5 4l-3.5 4l-3.5 -4z"><title>{safe(one.name)}: reset at step {step}</title></path>'
        for step in one.resets
        if points[0][0] <= step <= points[-1][0]
    )


def _height(points: Sequence[Point], step: int) -> float:
    """The value of a line at a step within it."""
    place = bisect_left([at for at, _ in points], step)
    after, before = points[place], points[max(place - 1, 0)]
    if after[0] <= step or after[0] == before[0]:
        return after[1]
    return before[1] + (after[1] - before[1]) * (step - before[0]) / (after[0] - before[0])


def _key(colour: str) -> str:
    return f'<svg class="key" viewBox="0 0 22 8"><line class="line c{colour}" x1="1" x2="21" y1="4" y2="4"/></svg>'


def _head(runs: Sequence[Compared]) -> str:
    return '<th class="text"></th>' + "".join(f"<th>{safe(one.name)}</th>" for one in runs)


def _rows(runs: Sequence[Compared], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    body = "".join(
        f"<tr><th>{safe(name)}</th>{''.join(f'<td>{safe(cell)}</td>' for cell in cells)}</tr>" for name, cells in rows
    )
    return table(_head(runs), body)


def _values(records: Sequence[Record], name: str) -> list[float]:
    return [record[name] for record in records if name in record]


def _last(records: Sequence[Record], name: str, count: int) -> float | None:
    values = _values(records, name)[-count:]
    return fmean(values) if values else None


def _number(value: float | None) -> str:
    return "" if value is None else short(value)


def _recent(name: str) -> Callable[[Compared], str]:
    return lambda one: _number(_last(one.records, name, RECENT))


def _first(one: Compared) -> str:
    values = _values(one.records, "validation/mean")
    return _number(values[0]) if values else ""


def _best(one: Compared) -> str:
    found = [(record["validation/mean"], -record["step"]) for record in one.records if "validation/mean" in record]
    return f"{max(found)[0]:.3g} (step {-max(found)[1]})" if found else ""


def _total(name: str, text: Callable[[float], str]) -> Callable[[Compared], str]:
    return lambda one: text(sum(values)) if (values := _values(one.records, name)) else ""


_RESULTS: dict[str, Callable[[Compared], str]] = {
    "steps": lambda one: f"{one.run.records[-1]['step']:,}",
    "resets": lambda one: str(len(one.resets)),
    "phases begun": lambda one: str(1 + sum(event["event"] == "phase" for event in one.run.events)),
    "training score": _recent("score/mean"),
    "validation, first": _first,
    "validation, best": _best,
    "validation, last": lambda one: _number(_last(one.records, "validation/mean", 1)),
}
_WAYS: dict[str, Callable[[Compared], str]] = {
    "entropy": _recent("entropy"),
    "KL from the reference": _recent("kl/reference"),
    "response length": _recent("response_length/mean"),
    "cut off": _recent("truncated_fraction"),
    "groups kept": _recent("share/kept"),
    "tokens generated": _total("tokens/generated", compact),
    "tokens trained": _total("tokens/trained", compact),
    "time in steps": _total("seconds/step", duration),
    "tokens a second": _recent("generated/over the whole step"),
}


def _solved(history: Mapping[str, Mapping[int, Sequence[tuple[int, float]]]]) -> str:
    last = [points[-1][1] for levels in history.values() for points in levels.values()]
    return f"{sum(score >= SOLVED for score in last)} of {len(last)}" if last else ""


def _verdicts(boundary: Record) -> dict[str, int]:
    counts: dict[str, int] = {}
    for level in boundary.get("levels", ()):
        verdict = str(level.get("verdict", ""))[:40] or "no verdict"
        counts[verdict] = counts.get(verdict, 0) + 1
    return dict(sorted(counts.items()))


def _measured(boundary: Record) -> str:
    if not boundary:
        return "not measured"
    return f"{len(boundary['levels'])} levels, k {boundary['summary']['k']}"
