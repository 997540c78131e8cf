"""Drawings with two free axes -> inline SVG: lines, bands, points, bars. Knows nothing of what is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

from prorl.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Frame, Point, short, ticks
from prorl.report.escaping import safe

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
TOP_TEXT = TOP - 20
"""Base line of what is written over the drawing."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis says: its name, and places with the text at each."""

    name: str
    marks: Sequence[tuple[float, str]]


def share_axis(name: str) -> Axis:
    """From 0 to 1."""
    return Axis(name, [(share, f"{share:g}") for share in SHARES])


def round_axis(name: str, low: float, high: float, most: int = 6) -> Axis:
    """Round values between two."""
    return Axis(name, [(mark, short(mark)) for mark in ticks(low, high, most)])


def plot(label: str, frame: Frame, x: Axis, y: Axis, body: Sequence[str]) -> str:
    """Axes with their names, and the body over them."""
    left, right, base = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 12}" role="img" aria-label="{safe(label)}">']
    parts.append(f'<text x="2" y="{TOP_TEXT}">{safe(y.name)}</text>')
    for value, text in y.marks:
        place = frame.y(value)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{place}" y2="{place}"/>')
        parts.append(f'<text class="value" x="{left - 6}" y="{place}">{safe(text)}</text>')
    for value, text in x.marks:
        parts.append(f'<text class="step" x="{frame.x(value)}" y="{base + 16}">{safe(text)}</text>')
    parts.append(f'<text class="step" x="{(left + right) / 2:.0f}" y="{base + 32}">{safe(x.name)}</text>')
    return "".join([*parts, *body, "</svg>"])


def polyline(points: Sequence[Point], frame: Frame, kind: str) -> str:
    """A line of a class through points; nothing through fewer than two."""
    return f'<polyline class="{kind}" points="{places(points, frame)}"/>' if len(points) > 1 else ""


def band(points: Sequence[tuple[float, float, float]], frame: Frame, kind: str) -> str:
    """The area between the lows and the highs of `(x, low, high)`."""
    if len(points) < 2:
        return ""
    highs = [(x, high) for x, _, high in points]
    lows = [(x, low) for x, low, _ in reversed(points)]
    return f'<polygon class="band {kind}" points="{places([*highs, *lows], frame)}"/>'


def dot(point: Point, frame: Frame, kind: str, title: str, radius: float = 3.0) -> str:
    """A circle with what it is."""
    text = f"<title>{safe(title)}</title>"
    return f'<circle class="{kind}" cx="{frame.x(point[0])}" cy="{frame.y(point[1])}" r="{radius:g}">{text}</circle>'


def whisker(x: float, low: float, high: float, frame: Frame, kind: str) -> str:
    """A bar from the low to the high end of an interval."""
    return f'<path class="whisker {kind}" d="M{frame.x(x)} {frame.y(low)}V{frame.y(high)}"/>'


def upright(x: float, frame: Frame, kind: str) -> str:
    """A line over the whole height."""
    return f'<path class="{kind}" d="M{frame.x(x)} {TOP}V{HEIGHT - BOTTOM}"/>'


def area(left: float, right: float, frame: Frame, kind: str) -> str:
    """A strip over the whole height, from one place to another."""
    start, end = float(frame.x(left)), float(frame.x(right))
    return (
        f'<rect class="{kind}" x="{start:.1f}" y="{TOP}" width="{end - start:.1f}" height="{HEIGHT - BOTTOM - TOP}"/>'
    )


def bar(left: float, right: float, high: float, frame: Frame, kind: str) -> str:
    """A bar that stands on 0."""
    start, end, top, floor = float(frame.x(left)), float(frame.x(right)), float(frame.y(high)), float(frame.y(0.0))
    size = f'width="{end - start:.1f}" height="{floor - top:.1f}"'
    return f'<rect class="{kind}" x="{start:.1f}" y="{top:.1f}" {size}/>'


def places(points: Sequence[Point], frame: Frame) -> str:
    """Points as SVG writes them."""
    return " ".join(f"{frame.x(x)},{frame.y(y)}" for x, y in points)


def drawing(title: str, text: str, content: str, kind: str = "") -> str:
    """A drawing under its name and what there is to know of it."""
    told = f"<p>{safe(text)}</p>" if text else ""
    name = f' class="{kind}"' if kind else ""
    return f"<figure{name}><figcaption><h3>{safe(title)}</h3>{told}</figcaption>{content}</figure>"


def key(signs: Sequence[tuple[str, str]]) -> str:
    """The signs of drawings, each as SVG of 26 by 12, with what they mean."""
    shown = [
        f'<span><svg class="sign broad" viewBox="0 0 26 12">{sign}</svg>{safe(text)}</span>' for sign, text in signs
    ]
    return f'<p class="keys">{"".join(shown)}</p>'
