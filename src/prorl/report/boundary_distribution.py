"""Drawings of the boundary: how pass@1 is spread over problems, and the gain against where the base stood."""

import math
from collections.abc import Sequence

from prorl.report.boundary_values import (
    MODELS,
    Entry,
    finite,
    groups_of,
    items,
    name_of,
    number,
    part,
    span,
    top_k,
    value,
)
from prorl.report.charts import Frame
from prorl.report.escaping import safe
from prorl.report.plots import Axis, bar, drawing, key, places, plot, polyline, round_axis, share_axis
from prorl.report.tables import table

BASE_SIGN = '<path class="outline" d="M3 12V3H13V7H23V12"/>'
TRAINED_SIGN = '<rect class="filled" x="3" y="3" width="20" height="9"/>'
SHAPES = ("M-3 -3h6v6h-6z", "M0 -4L4 3H-4z", "M0 -4.2L4.2 0L0 4.2L-4.2 0z", "M-3.5 -3.5L3.5 3.5M-3.5 3.5L3.5 -3.5")
"""Of the domains' marks, besides a circle: readable without colour."""
CIRCLE = "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0"
MAX_POINTS = 5000


def distribution_section(result: Entry) -> str:
    """Histograms of the problems' pass@1 for all and each domain and family, and what the spread bounds."""
    entries = [entry for scope in ("all", "domain", "family") for entry in groups_of(result, scope)]
    drawn = [(entry, chart) for entry in entries if (chart := _histograms(entry))]
    if not drawn:
        return ""
    signs = [(BASE_SIGN, "base (outline)"), (TRAINED_SIGN, "trained (filled)")]
    shown = [chart for entry, chart in drawn if entry.get("scope") != "family"]
    rest = [chart for entry, chart in drawn if entry.get("scope") == "family"]
    more = f'<h3 class="group">By family</h3><div class="charts">{"".join(rest)}</div>' if rest else ""
    return (
        f'{key(signs)}<div class="charts">{"".join(shown)}</div>{more}{_bounds(result, [entry for entry, _ in drawn])}'
    )


def _histogram(entry: Entry, role: str) -> list[float]:
    found = part(entry, "distribution", role).get("histogram")
    counts = [finite(count) for count in found] if isinstance(found, list) else []
    known = [count for count in counts if count is not None and count >= 0]
    return known if len(known) == len(counts) and sum(known) > 0 else []


def _histograms(entry: Entry) -> str:
    counts = {role: _histogram(entry, role) for role in MODELS}
    if not counts["base"] or len(counts["base"]) != len(counts["trained"]):
        return ""
    shares = {role: [count / sum(found) for count in found] for role, found in counts.items()}
    num_bins = len(counts["base"])
    top = max(*shares["base"], *shares["trained"])
    frame = Frame((0.0, 0.0), (1.0, 1.05 * top))
    body = [
        bar(index / num_bins, (index + 1) / num_bins, share, frame, "filled")
        for index, share in enumerate(shares["trained"])
        if share
    ]
    steps = [(0.0, 0.0)]
    for index, share in enumerate(shares["base"]):
        steps += [(index / num_bins, share), ((index + 1) / num_bins, share)]
    body.append(polyline([*steps, (1.0, 0.0)], frame, "outline"))
    means = ", ".join(
        f"{role} {mean:.3f} (variance {spread:.3f})"
        for role in MODELS
        if (mean := value(entry, "distribution", role, "mean")) is not None
        and (spread := value(entry, "distribution", role, "variance")) is not None
    )
    y = round_axis("share of the problems", 0.0, 1.05 * top, 4)
    label = f"pass@1 of the problems, {name_of(entry)}"
    return drawing(
        name_of(entry),
        f"Mean pass@1: {means}" if means else "",
        plot(label, frame, share_axis("pass@1 of a problem"), y, body),
    )


def _bounds(result: Entry, entries: Sequence[Entry]) -> str:
    """The greatest mean pass@k that mean and variance of pass@1 allow, beside what was measured."""
    name = f"pass@{top_k(result)}"
    rows = []
    for entry in entries:
        bounds = {role: value(entry, "distribution", role, "bound", name) for role in MODELS}
        if any(bound is not None for bound in bounds.values()):
            found = [share for role in MODELS for share in (number(entry, role, name), bounds[role])]
            cells = "".join(f"<td>{'' if share is None else f'{share:.3f}'}</td>" for share in found)
            rows.append(f"<tr><th>{safe(name_of(entry))}</th>{cells}</tr>")
    head = '<th></th><th class="over" colspan="2">base</th><th class="over" colspan="2">trained</th></tr><tr><th></th>'
    head += f"<th>{name}</th><th>bound</th>" * 2
    text = (
        "<p>The bound 1 - ((1 - mean)<sup>2</sup> + variance)<sup>k/2</sup> on the mean of pass@k holds for the true "
        "rates of the problems; the rates measured here have the noise of their samples on top.</p>"
    )
    return f"<details><summary>Bound on {name}</summary>{text}{table(head, ''.join(rows))}</details>" if rows else ""


def gain_section(result: Entry) -> str:
    """The change of pass@k of each level against the base's pass@k, with their correlation."""
    name = f"pass@{top_k(result)}"
    points = []
    for level in items(result, "levels")[:MAX_POINTS]:
        base, trained = number(level, "base", name), number(level, "trained", name)
        if base is not None and trained is not None:
            points.append((str(level.get("domain", "")), base, trained - base, level))
    if len(points) < 2:
        return ""
    low = min(-0.25, *(math.floor(4 * gain) / 4 for _, _, gain, _ in points))
    frame = Frame((0.0, low), (1.0, 1.0))
    domains = sorted({domain for domain, *_ in points})
    body = [
        polyline([(0.0, 0.0), (1.0, 0.0)], frame, "zero"),
        polyline([(0.0, 1.0), (1.0, 0.0)], frame, "limit"),
        *(_mark(domains.index(domain), base, gain, level, frame) for domain, base, gain, level in points),
    ]
    signs = [
        (
            f'<path class="mark-{_shape(index)} c{_colour(index)}" transform="translate(13 6)" d="{_path(index)}"/>',
            domain,
        )
        for index, domain in enumerate(domains)
    ]
    signs.append(('<line class="limit" x1="1" x2="25" y1="6" y2="6"/>', "most that can be gained"))
    y = Axis(f"change of {name}", [(place, f"{place:+g}" if place else "0") for place in _quarters(low)])
    picture = plot(f"gain against base {name}", frame, share_axis(f"{name} of the base"), y, body)
    text = correlation_text(result)
    return f'{key(signs)}<p>{safe(text)}</p><div class="first">{drawing("One mark a level", "", picture)}</div>'


def correlation_text(result: Entry) -> str:
    """The correlation with its interval, in words; empty where it was not computed."""
    found = part(result, "summary", "correlation")
    parts = []
    for name in ("pearson", "spearman"):
        number_found, ends = value(found, name), span(found, "interval", name)
        if number_found is not None:
            within = f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else ""
            parts.append(f"{name.capitalize()} {number_found:.2f}{within}")
    if not parts:
        return ""
    levels = value(found, "num_levels")
    count = f" over {levels:.0f} levels" if levels is not None else ""
    return (
        f"Correlation{count}: {', '.join(parts)}; 95 % over levels. A level that the base nearly solves cannot gain: a "
        "negative correlation is in part the ceiling, which is the dotted line."
    )


def _quarters(low: float) -> list[float]:
    return [place / 4 for place in range(-4, 5) if place / 4 >= low]


def _mark(index: int, base: float, gain: float, level: Entry, frame: Frame) -> str:
    place = places([(base, gain)], frame).replace(",", " ")
    kind = f"mark-{_shape(index)} c{_colour(index)}"
    title = safe(f"{name_of(level)}: base {base:.2f}, change {gain:+.2f}")
    return f'<path class="{kind}" transform="translate({place})" d="{_path(index)}"><title>{title}</title></path>'


def _path(index: int) -> str:
    return (CIRCLE, *SHAPES)[index % 5]


def _shape(index: int) -> str:
    return "line" if index % 5 == 4 else "area"


def _colour(index: int) -> int:
    return index % 8
