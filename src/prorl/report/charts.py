"""Charts of the report: series over steps -> inline SVG with a legend. Reads no file and knows no metric's name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from prorl.report.escaping import safe

Point = tuple[float, float]

MAX_POINTS = 150
"""More steps than this are averaged in equal runs of steps."""
MAX_DOTS = 40
"""A line of at most this many points shows them."""
NUM_COLOURS = 8
WIDTH, HEIGHT = 480, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 10, 24


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart: `(step, value)` by rising step."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Mark:
    """A step at which something happened."""

    step: float
    kind: Literal["reset", "phase"]
    text: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What the axes span."""

    low: Point
    high: Point

    def x(self, step: float) -> str:
        """Place of a step in the drawing."""
        share = (step - self.low[0]) / (self.high[0] - self.low[0])
        return f"{LEFT + share * (WIDTH - LEFT - RIGHT):.1f}"

    def y(self, value: float) -> str:
        """Place of a value; what is beyond the axis stays at its end."""
        share = min(max((value - self.low[1]) / (self.high[1] - self.low[1]), 0.0), 1.0)
        return f"{HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM):.1f}"


def line_chart(
    title: str, caption: str, series: Sequence[Series], marks: Sequence[Mark], *, high: float | None = None
) -> str:
    """Lines over steps; nothing where no series has a point. The value axis holds 0, and `high` where it is given."""
    present = [line for line in series if line.points]
    if not present:
        return ""
    drawn = [thinned(line.points) for line in present]
    frame = _frame([point for points in drawn for point in points], high)
    body = [_line(points, number, frame) for number, points in enumerate(drawn)]
    legend = [(line.name, points[-1][1]) for line, points in zip(present, drawn, strict=True)]
    return _figure(title, caption, _svg(title, frame, body, marks), legend)


def stacked_chart(
    title: str,
    caption: str,
    steps: Sequence[float],
    parts: Sequence[tuple[str, Sequence[float]]],
    marks: Sequence[Mark],
) -> str:
    """Areas on top of one another: each part has one value a step."""
    if not steps or not parts:
        return ""
    layers = [(name, thinned(list(zip(steps, values, strict=True)))) for name, values in parts]
    tops: list[list[Point]] = []
    below = [0.0] * len(layers[0][1])
    for _, points in layers:
        below = [base + value for base, (_, value) in zip(below, points, strict=True)]
        tops.append([(step, value) for (step, _), value in zip(points, below, strict=True)])
    frame = _frame(tops[-1], None)
    floors = [[(step, 0.0) for step, _ in tops[0]], *tops[:-1]]
    body = [
        f'<polygon class="area c{number % NUM_COLOURS}" points="{_path([*top, *reversed(floor)], frame)}"/>'
        for number, (top, floor) in enumerate(zip(tops, floors, strict=True))
    ]
    legend = [(name, fmean(values)) for name, values in parts]
    return _figure(title, caption, _svg(title, frame, body, marks), legend)


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most `MAX_POINTS` points, each the mean of a run of neighbours."""
    run = math.ceil(len(points) / MAX_POINTS)
    if run <= 1:
        return list(points)
    runs = [points[start : start + run] for start in range(0, len(points), run)]
    return [(fmean(step for step, _ in part), fmean(value for _, value in part)) for part in runs]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values in `low` to `high`, at most `most` + 1, in steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (power * factor) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def short(value: float) -> str:
    """Three figures."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _frame(points: Sequence[Point], high: float | None) -> Frame:
    steps, values = [step for step, _ in points], [value for _, value in points]
    bottom, top = min(0.0, *values), max(0.0, *values)
    if high is not None:
        top = max(top, high)
    elif top > bottom:
        top += 0.05 * (top - bottom)
    first, last = min(steps), max(steps)
    return Frame((first, bottom), (last if last > first else first + 1, top if top > bottom else bottom + 1))


def _path(points: Sequence[Point], frame: Frame) -> str:
    return " ".join(f"{frame.x(step)},{frame.y(value)}" for step, value in points)


def _line(points: Sequence[Point], number: int, frame: Frame) -> str:
    colour = f"c{number % NUM_COLOURS}"
    line = f'<polyline class="line {colour}" points="{_path(points, frame)}"/>'
    if len(points) > MAX_DOTS:
        return line
    dots = "".join(
        f'<circle class="dot {colour}" cx="{frame.x(step)}" cy="{frame.y(value)}" r="2.5">'
        f"<title>step {step:g}: {value:.4g}</title></circle>"
        for step, value in points
    )
    return line + dots


def _svg(title: str, frame: Frame, body: Sequence[str], marks: Sequence[Mark]) -> str:
    left, right, base = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{safe(title)}">']
    for value in ticks(frame.low[1], frame.high[1]):
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="value" x="{left - 6}" y="{y}">{short(value)}</text>')
    whole = [step for step in ticks(frame.low[0], frame.high[0], 6) if step == int(step)]
    parts += [f'<text class="step" x="{frame.x(step)}" y="{base + 17}">{short(step)}</text>' for step in whole]
    parts += body
    for mark in marks:
        if frame.low[0] <= mark.step <= frame.high[0]:
            x = frame.x(mark.step)
            line = f'<line class="mark {mark.kind}" x1="{x}" x2="{x}" y1="{TOP}" y2="{base}">'
            parts.append(f"{line}<title>{safe(mark.text)}</title></line>")
    return "".join([*parts, "</svg>"])


def _figure(title: str, caption: str, svg: str, legend: Sequence[tuple[str, float]]) -> str:
    items = "".join(
        f'<li><i class="swatch c{number % NUM_COLOURS}"></i>{safe(name)} <b>{short(value)}</b></li>'
        for number, (name, value) in enumerate(legend)
    )
    return (
        f"<figure><figcaption><h3>{safe(title)}</h3><p>{safe(caption)}</p></figcaption>"
        f'{svg}<ul class="legend">{items}</ul></figure>'
    )
