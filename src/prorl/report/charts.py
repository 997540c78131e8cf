"""Charts over the steps of a run: series -> inline SVG with a legend. Reads no file and knows no metric's name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from prorl.report.escaping import safe
from prorl.report.timeline import Limit, Mark, Timeline

Point = tuple[float, float]

MAX_POINTS = 150
"""More points than this are averaged in equal runs of neighbours."""
MAX_DOTS = 40
"""A line of at most this many points shows them."""
NUM_COLOURS = 8
WIDTH, HEIGHT = 400, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 30, 24
LETTER = 5.6
"""Width of a letter of a phase's name."""
FAR_LIMIT = 2.0
"""A limit above this many times the greatest value is named and not drawn, or the values would be flat."""


@dataclass(frozen=True, slots=True)
class Caption:
    """What a chart says above itself: its name, what a reader has to know, and the unit of its values."""

    title: str
    text: str
    unit: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart: `(step, value)` by rising step; the colour is a number below `NUM_COLOURS`, or `mean`."""

    name: str
    points: Sequence[Point]
    colour: str


@dataclass(frozen=True, slots=True)
class Bin:
    """Neighbouring points as one."""

    step: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Frame:
    """What the axes span, and where that is in the drawing."""

    low: Point
    high: Point

    def x(self, step: float) -> str:
        """Place of a step."""
        share = (step - self.low[0]) / (self.high[0] - self.low[0])
        return f"{LEFT + share * (WIDTH - LEFT - RIGHT):.1f}"

    def y(self, value: float) -> str:
        """Place of a value; what is beyond the axis stays at its end."""
        share = min(max((value - self.low[1]) / (self.high[1] - self.low[1]), 0.0), 1.0)
        return f"{HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM):.1f}"


def line_chart(
    caption: Caption,
    series: Sequence[Series],
    timeline: Timeline,
    *,
    high: float | None = None,
    limits: Sequence[Limit] = (),
    multiple: int = 1,
) -> str:
    """Lines over steps; nothing where no series has a point. The value axis holds 0, and `high` where it is given.

    A line that is alone has a band from the lowest to the highest of the values that its points are means of. Where
    values become one, it is a `multiple` of so many, so that what comes every so many steps is in each of them.
    """
    present = [line for line in series if line.points]
    if not present:
        return ""
    drawn = [binned(line.points, multiple) for line in present]
    extent = [value for bins in drawn for part in bins for value in (part.mean, *_edges(part, len(drawn)))]
    near = [limit for limit in limits if 0 < limit.value <= FAR_LIMIT * max(extent)]
    frame = frame_of(timeline, [*extent, *(limit.value for limit in near)], high)
    is_alone = len(drawn) == 1 and len(drawn[0]) < len(present[0].points)
    body = [_band(drawn[0], present[0].colour, frame)] if is_alone else []
    lines = [_line(bins, line.colour, frame) for line, bins in zip(present, drawn, strict=True)]
    body += reversed(lines)  # the first one, which may be the mean, lies on top
    body += [_limit(limit, frame) for limit in near]
    legend = [(line.name, line.colour, bins[-1].mean) for line, bins in zip(present, drawn, strict=True)]
    far = sorted({(limit.name, limit.value) for limit in limits if limit not in near})
    notes = [*sorted({f"{limit.name} = {limit.value:g}" for limit in near})]
    notes += [f"{name} = {value:g}, above the drawing" for name, value in far]
    return figure(caption, svg(caption, frame, body, timeline), legend, notes)


def stacked_chart(
    caption: Caption,
    steps: Sequence[float],
    parts: Sequence[tuple[str, str, Sequence[float]]],
    timeline: Timeline,
    *,
    high: float | None = None,
    multiple: int = 1,
) -> str:
    """Areas on top of one another: each part is a name, a colour, and one value a step; the legend has the means."""
    if not steps or not parts:
        return ""
    pairs = [list(zip(steps, values, strict=True)) for _, _, values in parts]
    layers = [[(part.step, part.mean) for part in binned(points, multiple)] for points in pairs]
    tops: list[list[Point]] = []
    below = [0.0] * len(layers[0])
    for points in layers:
        below = [base + value for base, (_, value) in zip(below, points, strict=True)]
        tops.append([(step, value) for (step, _), value in zip(points, below, strict=True)])
    frame = frame_of(timeline, [value for _, value in tops[-1]], high)
    floors = [[(step, 0.0) for step, _ in tops[0]], *tops[:-1]]
    body = [
        f'<polygon class="area c{colour}" points="{_path([*top, *reversed(floor)], frame)}"/>'
        for (_, colour, _), top, floor in zip(parts, tops, floors, strict=True)
    ]
    legend = [(name, colour, fmean(values)) for name, colour, values in parts]
    return figure(caption, svg(caption, frame, body, timeline), legend)


def binned(points: Sequence[Point], multiple: int = 1) -> list[Bin]:
    """At most `MAX_POINTS` runs of neighbours; what is left over at the end belongs to the last one."""
    run = run_length(len(points), multiple)
    starts = range(0, max(len(points) - run + 1, 1), run)
    runs = [points[start : start + run] for start in starts[:-1]] + [points[starts[-1] :]]
    return [
        Bin(fmean(step for step, _ in part), fmean(values), min(values), max(values))
        for part in runs
        for values in [[value for _, value in part]]
    ]


def run_length(num_points: int, multiple: int = 1) -> int:
    """How many neighbours become one point: one, or a multiple of a number."""
    run = math.ceil(num_points / MAX_POINTS)
    return math.ceil(run / multiple) * multiple if run > 1 else 1


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values in `low` to `high`, at most `most` + 1, in steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (power * factor) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def step_ticks(timeline: Timeline) -> list[float]:
    """Whole steps to write under an axis."""
    return [step for step in ticks(timeline.first, timeline.first + timeline.span, 6) if step == int(step)]


def short(value: float) -> str:
    """Three figures: `1,234`, `0.12`, `1.5e-4`."""
    if 0 < abs(value) < 0.001:
        digits, _, power = f"{value:.2e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def frame_of(timeline: Timeline, values: Sequence[float], high: float | None) -> Frame:
    """The steps of the run, and all values with 0."""
    bottom, top = min(0.0, *values), max(0.0, *values)
    if high is not None:
        top = max(top, high)
    elif top > bottom:
        top += 0.05 * (top - bottom)
    last = timeline.first + timeline.span
    return Frame((timeline.first, bottom), (last, top if top > bottom else bottom + 1))


def svg(caption: Caption, frame: Frame, body: Sequence[str], timeline: Timeline) -> str:
    """Axes with their units, the body, and what happened on the steps."""
    left, right, base = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{safe(caption.title)}">']
    parts.append(f'<text x="2" y="10">{safe(caption.unit)}</text>')
    for value in ticks(frame.low[1], frame.high[1]):
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="value" x="{left - 6}" y="{y}">{short(value)}</text>')
    for step in step_ticks(timeline):
        parts.append(f'<text class="step" x="{frame.x(step)}" y="{base + 17}">{short(step)}</text>')
    parts.append(f'<text class="value" x="{left - 12}" y="{base + 13}">step</text>')
    parts += body
    parts += [_mark(mark, frame, timeline.is_crowded) for mark in timeline.marks_inside]
    parts += _phase_names(timeline, frame)
    return "".join([*parts, "</svg>"])


def figure(caption: Caption, drawing: str, legend: Sequence[tuple[str, str, float]], notes: Sequence[str] = ()) -> str:
    """A drawing under its caption and over its legend: name, colour, value."""
    items = [f"<li>{_key(f'line c{colour}')}{safe(name)} <b>{short(value)}</b></li>" for name, colour, value in legend]
    items += [f"<li>{_key('limit')}{safe(note)}</li>" for note in notes]
    return (
        f"<figure><figcaption><h3>{safe(caption.title)}</h3><p>{safe(caption.text)}</p></figcaption>"
        f'{drawing}<ul class="legend">{"".join(items)}</ul></figure>'
    )


def _key(kind: str) -> str:
    """A line as it is drawn, for the legend."""
    return f'<svg class="key" viewBox="0 0 22 8"><line class="{kind}" x1="1" x2="21" y1="4" y2="4"/></svg>'


def _edges(part: Bin, num_lines: int) -> tuple[float, ...]:
    return (part.low, part.high) if num_lines == 1 else ()


def _path(points: Sequence[Point], frame: Frame) -> str:
    return " ".join(f"{frame.x(step)},{frame.y(value)}" for step, value in points)


def _band(bins: Sequence[Bin], colour: str, frame: Frame) -> str:
    lows, highs = [(part.step, part.low) for part in bins], [(part.step, part.high) for part in bins]
    return f'<polygon class="band c{colour}" points="{_path([*highs, *reversed(lows)], frame)}"/>'


def _line(bins: Sequence[Bin], colour: str, frame: Frame) -> str:
    points = [(part.step, part.mean) for part in bins]
    line = f'<polyline class="line c{colour}" points="{_path(points, frame)}"/>'
    if len(points) > MAX_DOTS:
        return line
    dots = "".join(
        f'<circle class="dot c{colour}" cx="{frame.x(step)}" cy="{frame.y(value)}" r="2.5">'
        f"<title>step {step:g}: {value:.4g}</title></circle>"
        for step, value in points
    )
    return line + dots


def _limit(limit: Limit, frame: Frame) -> str:
    y = frame.y(limit.value)
    first = max(limit.first, frame.low[0])
    line = f'<line class="limit" x1="{frame.x(first)}" x2="{frame.x(limit.last)}" y1="{y}" y2="{y}">'
    return f"{line}<title>{safe(limit.name)} = {limit.value:g}</title></line>"


def _mark(mark: Mark, frame: Frame, is_crowded: bool) -> str:
    """A line over the whole height; of a resumed run a short one at the axis. A reset has a flag besides its colour."""
    x, base = frame.x(mark.step), HEIGHT - BOTTOM
    top = base - 6 if mark.kind == "resume" else TOP
    kind = f"{mark.kind} crowd" if is_crowded and mark.kind == "reset" else mark.kind
    line = f'<path class="mark {kind}" d="M{x} {top}V{base}"/>'
    flag = f'<path class="flag" d="M{x} {TOP}l-4 -7h8z"/>' if mark.kind == "reset" else ""
    return f"{line}{flag}" if is_crowded else f"<g><title>{safe(mark.text)}</title>{line}{flag}</g>"


def _phase_names(timeline: Timeline, frame: Frame) -> list[str]:
    """The names of the phases over their steps, or their numbers where the names do not fit."""
    if len(timeline.phases) < 2:
        return []
    parts = []
    for phase in timeline.phases:
        x = float(frame.x(max(phase.first, frame.low[0])))
        room = float(frame.x(phase.last)) - x
        text = phase.name if len(phase.name) * LETTER <= room else str(phase.number)
        title = f"<title>phase {phase.number}, {safe(phase.name)}: steps {phase.first} to {phase.last}</title>"
        parts.append(f'<text class="phase" x="{x + 2:.1f}" y="21">{safe(text)}{title}</text>')
    return parts
