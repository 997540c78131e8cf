"""Drawings of the boundary: pass@k curves, the way along the run, generalisation by level. Decides no verdict."""

import math
from collections.abc import Sequence

from prorl.report.boundary_values import (
    MODELS,
    Entry,
    by_family,
    checkpoints_of,
    groups_of,
    interval,
    items,
    ks_of,
    level_of,
    name_of,
    number,
    part,
    some_of,
    span,
    top_k,
    value,
)
from prorl.report.charts import TOP, Frame, Point
from prorl.report.escaping import safe
from prorl.report.plots import (
    Axis,
    area,
    band,
    dot,
    drawing,
    key,
    plot,
    polyline,
    round_axis,
    share_axis,
    upright,
    whisker,
)

COLOURS = {"base": "c0", "trained": "c1"}
WAY_COLOURS = ("c4", "c6", "c5", "c7")
"""Of checkpoints; these lines are dashed."""
SHIFT = {"base": -0.06, "trained": 0.06}
"""Of the models' points by level, in levels, so that their intervals do not lie on one another."""
MAX_MARKS = 9
SIGNS = {
    "base": '<line class="line c0" x1="1" x2="25" y1="6" y2="6"/><circle class="base" cx="13" cy="6" r="3.5"/>',
    "trained": '<line class="line c1" x1="1" x2="25" y1="6" y2="6"/><circle class="trained" cx="13" cy="6" r="3.5"/>',
    "way": '<line class="line {}" x1="1" x2="25" y1="6" y2="6"/>',
    "tolerant": '<line class="line thin c0" x1="1" x2="25" y1="4" y2="4"/>'
    '<line class="line thin c1" x1="1" x2="25" y1="9" y2="9"/>',
    "chance": '<line class="limit" x1="1" x2="25" y1="6" y2="6"/>',
    "crossing": '<path class="crossing" d="M13 0V12"/>',
    "band": '<rect class="band c0" x="1" y="1" width="11" height="10"/>'
    '<rect class="band c1" x="14" y="1" width="11" height="10"/>',
    "single": '<line class="line c0" x1="1" x2="25" y1="4" y2="4"/>'
    '<line class="line c1" x1="1" x2="25" y1="9" y2="9"/>',
    "many": '<line class="line dashed c0" x1="1" x2="25" y1="4" y2="4"/>'
    '<line class="line dashed c1" x1="1" x2="25" y1="9" y2="9"/>',
    "range": '<rect class="inside" x="1" y="0" width="24" height="12"/>',
}

ALONG_SIGN = '<line class="{}" x1="1" x2="25" y1="6" y2="6"/>'


def curve_section(result: Entry) -> str:
    """pass@k over k for all problems, for each domain, and for each family; nothing without groups."""
    parts = [f'<div class="first">{chart}</div>' for chart in _charts(result, "all")]
    for scope in ("domain", "family"):
        drawn = "".join(_charts(result, scope))
        if drawn:
            parts.append(f'<h3 class="group">By {scope}</h3><div class="charts">{drawn}</div>')
    return f"{curve_key(result)}{''.join(parts)}" if parts else ""


def _charts(result: Entry, scope: str) -> list[str]:
    drawn = [curve_chart(result, entry) for entry in groups_of(result, scope)]
    return [chart for chart in drawn if chart]


def curve_key(result: Entry) -> str:
    """What the lines of the curves are."""
    way = some_of(checkpoints_of(result))
    signs = [(SIGNS["base"], "base"), (SIGNS["trained"], "trained")]
    signs += [(SIGNS["way"].format(_colour(way, step)), f"checkpoint, step {step}") for step in way]
    signs += [(SIGNS["band"], "95 % over problems"), (SIGNS["tolerant"], "tolerant reading of the answer")]
    if any(value(entry, "chance") for entry in items(result, "groups")):
        signs.append((SIGNS["chance"], "guessing, 1 - (1 - g)^k"))
    if any(part(entry, "crossing") for entry in items(result, "groups")):
        signs.append((SIGNS["crossing"], "the curves cross"))
    return key(signs)


def curve_chart(result: Entry, entry: Entry) -> str:
    """The curves of one group over log2 k; nothing where neither model has a point."""
    ks = ks_of(result)
    lines = {role: points_of(entry, role, "pass@", ks) for role in MODELS}
    if not any(lines.values()) or len(ks) < 2:
        return ""
    frame = Frame((0.0, 0.0), (math.log2(ks[-1]), 1.0))
    step = math.ceil(len(ks) / MAX_MARKS)
    x = Axis("k", [(math.log2(k), f"{k}") for k in ks[:: -1 if step == 1 else -step]])
    body = [band(_edges(entry, role, ks), frame, COLOURS[role]) for role in MODELS]
    body += _chance(entry, ks, frame)
    way = some_of(checkpoints_of(result))
    body += [polyline(points_of(entry, step, "pass@", ks), frame, f"line {_colour(way, step)}") for step in way]
    for role in MODELS:
        body.append(polyline(points_of(entry, role, "tolerant/pass@", ks), frame, f"line thin {COLOURS[role]}"))
    for role in MODELS:
        body.append(polyline(lines[role], frame, f"line {COLOURS[role]}"))
        body += [
            dot(point, frame, role, _said(entry, role, k), 3.5 if role == "base" else 3.0)
            for point, k in zip(
                lines[role], [k for k in ks if number(entry, role, f"pass@{k}") is not None], strict=True
            )
        ]
    body += _crossing(entry, frame)
    return drawing(name_of(entry), group_text(entry), plot(name_of(entry), frame, x, share_axis("pass@k"), body))


def points_of(entry: Entry, role: str, name: str, ks: Sequence[int]) -> list[Point]:
    """`(log2 k, share)` for each k that was measured."""
    found = [(math.log2(k), number(entry, role, f"{name}{k}")) for k in ks]
    return [(x, share) for x, share in found if share is not None]


def crossing_text(entry: Entry) -> str:
    """Where the curves cross, in words; empty where they do not."""
    k = value(entry, "crossing", "k")
    if k is None:
        return ""
    return f"{part(entry, 'crossing').get('direction', 'the curves cross')} at k = {k:.3g}"


def group_text(entry: Entry) -> str:
    """How much was measured, what guessing gives, and where the curves cross."""
    counts = [(value(entry, name), text) for name, text in (("num_problems", "problems"), ("num_levels", "levels"))]
    words = [f"{count:,.0f} {text}" for count, text in counts if count is not None]
    chance = value(entry, "chance")
    if chance:
        words.append(f"a guess is right with {chance:.2g}")
    said = crossing_text(entry)
    return "; ".join([", ".join(words), *([said] if said else [])])


def along_section(result: Entry) -> str:
    """pass@1 and pass@k at the checkpoints, for all and by family, with the regime of each family."""
    stops = items(part(result, "summary"), "duration")
    steps = {str(stop.get("role")): step for stop in stops if (step := value(stop, "step")) is not None}
    if len(steps) < 3:
        return ""
    k = top_k(result)
    every = _along_chart("all", "", [(stop, str(stop.get("role"))) for stop in stops], steps, k)
    families = groups_of(result, "family")
    drawn = [
        _along_chart(name_of(entry), regime_text(entry), [(_stop(entry, role, k), role) for role in steps], steps, k)
        for entry in families
    ]
    signs = [(ALONG_SIGN.format(f"line{dashed} {colour}"), name) for name, colour, dashed in _along_names(k)]
    return (
        f'{key(signs)}<p>Bands: 95 % over problems.</p><div class="first">{every}</div>'
        f'<h3 class="group">By family</h3><div class="charts">{"".join(drawn)}</div>'
    )


def regime_text(entry: Entry) -> str:
    """The regime of a family with its reason."""
    regime = part(entry, "regime")
    words = [str(regime[name]) for name in ("verdict", "reason") if regime.get(name)]
    return ": ".join(words)


def _along_names(k: int) -> tuple[tuple[str, str, str], ...]:
    """Names, colours and dashes of the lines over the steps; the colours are not those of the models."""
    return ("pass@1", "c2", ""), (f"pass@{k}", "c3", " dashed")


def _stop(entry: Entry, role: str, k: int) -> Entry:
    """What a group has at one checkpoint, in the form of the summary's `duration`."""
    names = ("pass@1", f"pass@{k}")
    return {
        **{name: number(entry, role, name) for name in names},
        "interval": {name: interval(entry, role, name) for name in names},
    }


def _along_chart(title: str, text: str, stops: Sequence[tuple[Entry, str]], steps: dict[str, float], k: int) -> str:
    last = max(steps.values())
    frame = Frame((0.0, 0.0), (last or 1.0, 1.0))
    body = []
    for name, colour, dashed in _along_names(k):
        found = sorted(
            (steps[role], share, span(stop, "interval", name))
            for stop, role in stops
            if role in steps and (share := value(stop, name)) is not None
        )
        body.append(band([(step, *edges) for step, _, edges in found if edges], frame, colour))
        body.append(polyline([(step, share) for step, share, _ in found], frame, f"line{dashed} {colour}"))
        for step, share, edges in found:
            within = f", {edges[0]:.3f} to {edges[1]:.3f}" if edges else ""
            body.append(dot((step, share), frame, f"dot {colour}", f"step {step:g}: {name} {share:.3f}{within}", 2.5))
    x = Axis("step", [(step, f"{step:g}") for step in _apart(sorted(steps.values()), last)])
    return drawing(title, text, plot(title, frame, x, share_axis("share"), body))


def _apart(steps: Sequence[float], last: float) -> list[float]:
    """Those steps that leave room for one another's numbers."""
    kept: list[float] = []
    for step in reversed(steps):
        if not kept or kept[-1] - step > 0.1 * (last or 1.0):
            kept.append(step)
    return kept


def generalisation_section(result: Entry) -> str:
    """pass@1 and pass@k of both models by level; levels that were trained on are shaded."""
    families = {name: levels for name, levels in by_family(items(result, "levels")).items() if len(levels) > 1}
    k = top_k(result)
    drawn = "".join(_by_level(name, levels, k) for name, levels in families.items())
    if not drawn:
        return ""
    signs = [(SIGNS["base"], "base"), (SIGNS["trained"], "trained"), (SIGNS["single"], "pass@1")]
    signs += [(SIGNS["many"], f"pass@{k}"), (SIGNS["range"], "levels trained on")]
    return f'{key(signs)}<div class="charts">{drawn}</div>'


def _by_level(family: str, levels: Sequence[Entry], k: int) -> str:
    numbers = [level_of(level) for level in levels]
    if numbers[-1] <= numbers[0]:
        return ""
    frame = Frame((numbers[0] - 0.5, 0.0), (numbers[-1] + 0.5, 1.0))
    body = [
        area(level_of(level) - 0.5, level_of(level) + 0.5, frame, "inside")
        for level in levels
        if level.get("trained_on")
    ]
    for role in MODELS:
        for name, kind in ((f"pass@{k}", "line dashed"), ("pass@1", "line")):
            found = [(level, share) for level in levels if (share := number(level, role, name)) is not None]
            edges = [
                (level_of(level) + SHIFT[role], *ends) for level, _ in found if (ends := interval(level, role, name))
            ]
            body += [whisker(*end, frame, COLOURS[role]) for end in edges]
            points = [(level_of(level) + SHIFT[role], share) for level, share in found]
            body.append(polyline(points, frame, f"{kind} {COLOURS[role]}"))
            body += [
                dot(point, frame, role, f"level {point[0] - SHIFT[role]:g}: {role} {name} {point[1]:.3f}")
                for point in points
            ]
    inside = sum(bool(level.get("trained_on")) for level in levels)
    x = round_axis("level", numbers[0], numbers[-1], 10)
    whole = Axis(x.name, [(place, text) for place, text in x.marks if place == int(place)])
    text = f"{inside} of {len(levels)} levels trained on"
    return drawing(family, text, plot(family, frame, whole, share_axis("share"), body))


def _edges(entry: Entry, role: str, ks: Sequence[int]) -> list[tuple[float, float, float]]:
    found = [(math.log2(k), interval(entry, role, f"pass@{k}")) for k in ks]
    return [(x, *ends) for x, ends in found if ends]


def _said(entry: Entry, role: str, k: int) -> str:
    ends = interval(entry, role, f"pass@{k}")
    within = f", {ends[0]:.3f} to {ends[1]:.3f}" if ends else ""
    return f"{role} pass@{k} {number(entry, role, f'pass@{k}'):.3f}{within}"


def _chance(entry: Entry, ks: Sequence[int], frame: Frame) -> list[str]:
    chance = value(entry, "chance")
    if not chance or not 0 < chance <= 1:
        return []
    top = math.log2(ks[-1])
    xs = [top * place / 40 for place in range(41)]
    return [polyline([(x, 1 - (1 - chance) ** (2**x)) for x in xs], frame, "limit")]


def _crossing(entry: Entry, frame: Frame) -> list[str]:
    k = value(entry, "crossing", "k")
    if k is None or not 0 <= math.log2(max(k, 0.5)) <= frame.high[0]:
        return []
    x = math.log2(k)
    side = "late" if x > 0.7 * frame.high[0] else ""
    text = f'<text class="crossing {side}" x="{frame.x(x)}" y="{TOP - 5}">k = {safe(f"{k:.3g}")}</text>'
    return [upright(x, frame, "crossing"), text]


def _colour(way: Sequence[str], step: str) -> str:
    return WAY_COLOURS[way.index(step) % len(WAY_COLOURS)]
