"""The reasoning boundary in the report: `boundary.json` -> drawings and tables. Decides no verdict."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from prorl.report.boundary_curves import curve_chart, curve_key
from prorl.report.boundary_tables import plain_level_table
from prorl.report.boundary_values import VERDICTS, by_family, groups_of, number, opened
from prorl.report.charts import Caption, Series, line_chart
from prorl.report.escaping import safe
from prorl.report.tables import badge, heat_cell, table
from prorl.report.timeline import Timeline

Level = Mapping[str, Any]

TELLING = ("expanded", "gained", "lost", "diminished")
"""Verdicts that say that the boundary moved: the drawings name them."""
WIDTH, LEFT, RIGHT, TOP, ROW = 400, 34, 74, 18, 16


def boundary_section(result: Mapping[str, Any], timeline: Timeline) -> str:
    """The summary, curves, a drawing a family, the tables, and the way there where checkpoints were measured.

    Versions 1 and 2 of `boundary.json`; `boundary.html` says more of version 2.
    """
    summary, levels = result["summary"], result["levels"]
    k = summary["k"]
    families = by_family(levels)
    drawn = "".join(_family(name, families[name], k) for name in sorted(families))
    other = {name: rule for name, rule in summary["rules"].items() if name not in VERDICTS}
    rules = "".join(f"<li><b>{safe(str(name))}</b>: {safe(str(rule))}</li>" for name, rule in other.items())
    numbers = plain_level_table(result) if result.get("version") == 2 else number_table(result)
    return (
        "<p>What the trained model can do that the model it began with could not. pass@1 is the share of single "
        f"answers that are right; pass@{k} is the share of problems that at least one of {k} answers solves: "
        f"what a model can reach at all. {_drawn_how(result)}</p>"
        f"{verdict_table(result)}{_curves(result)}"
        f'<p class="keys">{_key(k)}</p><div class="families">{drawn}</div>'
        f"{_along(result, families, timeline)}"
        f"<details><summary>All numbers by level</summary>{numbers}"
        f"<ul>{rules}</ul></details>"
    )


def _curves(result: Mapping[str, Any]) -> str:
    """pass@k over k for all problems and by domain; nothing where the file has no groups."""
    entries = [entry for scope in ("all", "domain") for entry in groups_of(result, scope)]
    drawn = "".join(curve_chart(result, entry) for entry in entries)
    return f'{curve_key(result)}<div class="charts">{drawn}</div>' if drawn else ""


def verdict_table(result: Mapping[str, Any]) -> str:
    """How many levels have each verdict, which they are, and what it means."""
    rows, from_nothing = [], opened(result)
    for verdict in VERDICTS:
        found = by_family([level for level in result["levels"] if level.get("verdict") == verdict])
        if found:
            numbers = {family: ranges([level["level"] for level in found[family]]) for family in sorted(found)}
            names = "; ".join(f"{family} {levels}" for family, levels in numbers.items())
            if verdict == "expanded" and from_nothing is not None:
                names += f" ({from_nothing} opened from nothing)"
            rule = str(result["summary"]["rules"].get(verdict, ""))
            rows.append(
                f'<tr><td class="text">{badge(verdict)}</td><td>{sum(map(len, found.values()))}</td>'
                f'<td class="text long">{safe(names)}</td><td class="text long faint">{safe(rule)}</td></tr>'
            )
    head = '<th class="text">verdict</th><th>levels</th><th class="text">which</th><th class="text">when</th>'
    return table(head, "".join(rows)) if rows else ""


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers with runs as one: `1, 3-5`."""
    parts: list[list[int]] = []
    for value in sorted(numbers):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def number_table(result: Mapping[str, Any]) -> str:
    """Base against trained by level, those first whose boundary moved."""
    k = result["summary"]["k"]
    columns = [("base", "pass@1"), ("base", f"pass@{k}"), ("base", f"tolerant/pass@{k}")]
    columns += [("trained", "pass@1"), ("trained", f"pass@{k}"), ("base", "well_formed"), ("trained", "well_formed")]
    names = ["pass@1", f"pass@{k}", "tolerant", "pass@1", f"pass@{k}", "base", "trained", "trained on"]
    head = (
        '<th></th><th></th><th class="over" colspan="3">base</th><th class="over" colspan="2">trained</th>'
        '<th class="over" colspan="2">right form</th><th></th></tr><tr><th>level</th><th class="text">verdict</th>'
    ) + "".join(f"<th>{safe(name)}</th>" for name in names)
    order = {verdict: place for place, verdict in enumerate(VERDICTS)}
    rows = []
    for level in sorted(result["levels"], key=lambda level: order.get(str(level.get("verdict")), len(order))):
        cells = "".join(heat_cell(number(level, role, name)) for role, name in columns)
        rows.append(
            f'<tr><th>{_name(level)}</th><td class="text">{badge(str(level.get("verdict", "")))}</td>{cells}'
            f"<td>{'yes' if level.get('trained_on') else 'no'}</td></tr>"
        )
    return table(head, "".join(rows))


def _name(level: Level) -> str:
    return safe(f"{level['family']}/{level['level']}")


def _drawn_how(result: Mapping[str, Any]) -> str:
    problems, samples = (
        min((level[name] for level in result["levels"] if isinstance(level.get(name), int)), default=0)
        for name in ("num_problems", "num_samples")
    )
    step = _end(result)
    after = f", after step {step}" if step is not None else ""
    return f"Measured on {problems} problems a level with {samples} answers each{after}."


def _end(result: Mapping[str, Any]) -> int | None:
    """The step of the trained model, where the file says it."""
    asked = result.get("asked")
    step = asked.get("step") if isinstance(asked, dict) else None
    return step if isinstance(step, int) else None


def _key(k: int) -> str:
    """The signs of the drawings."""
    signs = (
        ('<circle class="base" cx="8" cy="6" r="4.5"/>', f"base pass@{k}"),
        ('<circle class="trained" cx="8" cy="6" r="3"/>', f"trained pass@{k}"),
        ('<path class="single" d="M8 1v10"/>', "trained pass@1"),
    )
    return "".join(f'<span><svg class="sign" viewBox="0 0 16 12">{sign}</svg>{text}</span>' for sign, text in signs)


def _family(family: str, levels: Sequence[Level], k: int) -> str:
    """One row a level, harder ones further up: from the base's pass@k to the trained model's."""
    rows = sorted(levels, key=lambda level: level["level"], reverse=True)
    height = TOP + ROW * len(rows) + 4
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{safe(family)}">']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<line class="grid" x1="{_x(share)}" x2="{_x(share)}" y1="{TOP - 4}" y2="{height}"/>')
        parts.append(f'<text class="step" x="{_x(share)}" y="{TOP - 8}">{share:g}</text>')
    parts += [_row(level, TOP + ROW * index + ROW // 2, k) for index, level in enumerate(rows)]
    return f"<figure><figcaption><h3>{safe(family)}</h3></figcaption>{''.join(parts)}</svg></figure>"


def _row(level: Level, y: int, k: int) -> str:
    base, reached = number(level, "base", f"pass@{k}"), number(level, "trained", f"pass@{k}")
    single = number(level, "trained", "pass@1")
    verdict = str(level.get("verdict", ""))
    numbers = ", ".join(
        f"{text} {value:.2f}"
        for text, value in ((f"base pass@{k}", base), (f"trained pass@{k}", reached), ("trained pass@1", single))
        if value is not None
    )
    kind = verdict if verdict in TELLING else "other"
    parts = [f"<g><title>{_name(level)}: {safe(numbers)}; {safe(verdict)}</title>"]
    parts.append(f'<text class="value" x="{LEFT - 8}" y="{y}">{safe(str(level["level"]))}</text>')
    if base is not None and reached is not None:
        parts.append(f'<line class="way {kind}" x1="{_x(base)}" x2="{_x(reached)}" y1="{y}" y2="{y}"/>')
    if reached is not None:
        parts.append(f'<circle class="trained" cx="{_x(reached)}" cy="{y}" r="3"/>')
    if base is not None:
        parts.append(f'<circle class="base" cx="{_x(base)}" cy="{y}" r="4.5"/>')
    if single is not None:
        parts.append(f'<path class="single" d="M{_x(single)} {y - 5}v10"/>')
    if verdict in TELLING:
        parts.append(f'<text class="verdict {kind}" x="{WIDTH - RIGHT + 12}" y="{y}">{verdict}</text>')
    return "".join([*parts, "</g>"])


def _x(share: float) -> str:
    return f"{LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT):.1f}"


def _along(result: Mapping[str, Any], families: Mapping[str, Sequence[Level]], timeline: Timeline) -> str:
    """pass@1 and pass@k of the base, of checkpoints on the way, and at the end; nothing where none was measured."""
    levels, k = result["levels"], result["summary"]["k"]
    between = result["summary"].get("checkpoints")
    if not isinstance(between, list) or not between:
        return ""
    end = _end(result) or timeline.last
    places = {0: "base", **{step: str(step) for step in sorted(between)}, end: "trained"}
    names = ("pass@1", f"pass@{k}")
    axis = Timeline(0, end, timeline.marks, timeline.phases)
    means = []
    for name, colour in zip(names, ("1", "0"), strict=True):
        rows = [[number(level, place, name) for place in places.values()] for level in levels]
        means.append(Series(name, _means(rows, tuple(places)), colour))
    chart = line_chart(Caption("Mean over all levels", "Each level counts the same.", "share"), means, axis, high=1.0)
    head = "<th></th>" + "".join(f'<th class="over" colspan="{len(places)}">{name}</th>' for name in names)
    head += "</tr><tr><th>level</th>" + "".join(f"<th>{step}</th>" for _ in names for step in places)
    tables = []
    for family in sorted(families):
        body = "".join(
            f"<tr><th>{level['level']}</th>"
            + "".join(_percent_cell(number(level, place, name)) for name in names for place in places.values())
            + "</tr>"
            for level in sorted(families[family], key=lambda level: level["level"], reverse=True)
        )
        caption = f"<figcaption><h3>{safe(family)}</h3></figcaption>"
        tables.append(f'<figure class="dense">{caption}{table(head, body)}</figure>')
    return (
        '<h3 class="group">The boundary along the run</h3>'
        "<p>The same measurement at checkpoints on the way, in percent by step; step 0 is the base. A level whose "
        f"pass@1 rises where pass@{k} was high before is sharpened; one whose pass@{k} rises from 0 is new.</p>"
        f'<div class="families">{chart}{"".join(tables)}</div>'
    )


def _percent_cell(value: float | None) -> str:
    """Whole percent, but what is not 0 is not shown as 0."""
    return heat_cell(value, "" if value is None else "<1" if 0 < value < 0.005 else f"{100 * value:.0f}")


def _means(rows: Sequence[Sequence[float | None]], steps: Sequence[int]) -> list[tuple[float, float]]:
    """The mean over the levels at each step at which all of them were measured."""
    columns = [[value for value in column if value is not None] for column in zip(*rows, strict=True)]
    return [(step, fmean(values)) for step, values in zip(steps, columns, strict=True) if len(values) == len(rows)]
