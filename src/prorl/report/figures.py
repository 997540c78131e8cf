"""Figures of a measured boundary for a paper: curves, gain, generalisation, distribution -> SVG or PDF by matplotlib.

The only module that imports `matplotlib`, which is the extra `figures`; who asks for figures loads this module then.
Measures nothing and writes no titles: a caption belongs to the text around a figure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from prorl.errors import UserError
from prorl.report.boundary_values import (
    MODELS,
    Entry,
    by_family,
    checkpoints_of,
    finite,
    groups_of,
    interval,
    items,
    ks_of,
    level_of,
    name_of,
    number,
    part,
    some_of,
    top_k,
    value,
)

Format = Literal["svg", "pdf"]
Item = TypeVar("Item")

WIDTH = 3.3
"""Of a column of a paper, inches."""
PANEL_HEIGHT = 1.35
LEGEND_HEIGHT = 0.32
COLUMNS = 2
MAX_PANELS = 12
"""Of one figure; more are spread over several."""
COLOURS = {"base": "#0072b2", "trained": "#d55e00"}
"""Of Okabe and Ito: colour-blind readers can tell them apart, and markers differ besides."""
MARKERS = {"base": "o", "trained": "s"}
WAY = ("#999999", "#666666", "#bbbbbb", "#444444")
DOMAIN_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6a1c", "#000000")
DOMAIN_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: Mapping[Any, Any] = {
    "font.size": 7,
    "font.family": "DejaVu Sans",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 2.8,
    "legend.fontsize": 6,
    "legend.frameon": False,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "prorl",
    "text.usetex": False,
    "text.parse_math": False,
}
"""Letters are outlines in SVG and a TrueType font in PDF; what is random in a file is fixed."""


def write_figures(result: Entry, folder: Path, formats: Sequence[Format] = ("pdf",)) -> list[Path]:
    """Write every figure that `boundary.json` has numbers for into a folder that exists; the same file every time.

    UserError for a format other than `svg` and `pdf`.
    """
    for form in formats:
        if form not in CANVASES:
            raise UserError(f"figure format {form!r} is not known; choose from {', '.join(CANVASES)}")
    written = []
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # what a reader has set for other figures does not change these
        matplotlib.rcParams.update(STYLE)
        for name, figure in _figures(result):
            for form in dict.fromkeys(formats):
                written.append(folder / f"{name}.{form}")
                CANVASES[form](figure, written[-1])
    return written


def _write_svg(figure: Figure, path: Path) -> None:
    FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})


def _write_pdf(figure: Figure, path: Path) -> None:
    FigureCanvasPdf(figure).print_pdf(path, metadata={"CreationDate": None})


CANVASES: Mapping[str, Callable[[Figure, Path], None]] = {"svg": _write_svg, "pdf": _write_pdf}


def _figures(result: Entry) -> Iterator[tuple[str, Figure]]:
    for scope, name in (("all", "curves_all"), ("domain", "curves_domains"), ("family", "curves_families")):
        entries = [entry for entry in groups_of(result, scope) if _has_curve(result, entry)]
        yield from _panels(name, entries, lambda axes, entry: _curves(axes, result, entry), name_of)
    if len(_gains(result)) > 1:
        yield "gain", _scatter(result)
    families = [levels for levels in by_family(items(result, "levels")).values() if len(levels) > 1]
    k = top_k(result)
    yield from _panels(
        "generalisation",
        families,
        lambda axes, levels: _by_level(axes, levels, k),
        lambda levels: str(levels[0].get("family", "")),
    )
    every = [entry for entry in groups_of(result, "all") if all(_histogram(entry, role) for role in MODELS)]
    yield from _panels("distribution", every, _distribution, name_of)


def _panels(
    name: str, entries: Sequence[Item], draw: Callable[[Axes, Item], None], title: Callable[[Item], str]
) -> Iterator[tuple[str, Figure]]:
    """One panel an entry, two in a row, at most `MAX_PANELS` in a figure; a single one has the whole width."""
    pages = [entries[start : start + MAX_PANELS] for start in range(0, len(entries), MAX_PANELS)]
    for page_number, page in enumerate(pages, 1):
        columns = min(COLUMNS, len(page))
        rows = -(-len(page) // columns)
        figure, panels = _sheet(rows, columns, 1.6 if len(page) == 1 else PANEL_HEIGHT)
        for axes, entry in zip(panels, page, strict=False):
            draw(axes, entry)
            if len(entries) > 1:
                axes.set_title(_plain(title(entry)), fontsize=7, loc="left", pad=2)
        for place, axes in enumerate(panels[: len(page)]):
            if place % columns:
                axes.set_ylabel("")
            if place + columns < len(page):
                axes.set_xlabel("")
        for axes in panels[len(page) :]:
            axes.remove()
        _legend(figure, panels[: len(page)])
        yield (name if len(pages) == 1 else f"{name}_{page_number}"), figure


def _sheet(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """Panels at places in inches that depend on their number only: quick, and the same for every text in them."""
    left, right, top, bottom, between = 0.46, 0.08, 0.16, 0.32, 0.3
    total = rows * height + LEGEND_HEIGHT
    figure = Figure(figsize=(WIDTH, total))
    width = (WIDTH - left - right - between * (columns - 1)) / columns
    panels = []
    for row in range(rows):
        for column in range(columns):
            low = LEGEND_HEIGHT + (rows - 1 - row) * height + bottom
            start = left + column * (width + between)
            panels.append(figure.add_axes((start / WIDTH, low / total, width / WIDTH, (height - top - bottom) / total)))
    return figure, panels


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """Below all panels: every name of a line once."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    labels, handles = list(found), list(found.values())
    columns = 2 if len(labels) in (2, 4) else 3
    figure.legend(handles, labels, loc="lower center", ncols=columns, borderaxespad=0.2, columnspacing=1.2)


def _share_axis(axes: Axes) -> None:
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])


def _has_curve(result: Entry, entry: Entry) -> bool:
    return len(ks_of(result)) > 1 and all(number(entry, role, "pass@1") is not None for role in MODELS)


def _curves(axes: Axes, result: Entry, entry: Entry) -> None:
    ks = ks_of(result)
    for role in MODELS:
        known = _known(ks, [number(entry, role, f"pass@{k}") for k in ks])
        axes.plot(*known, marker=MARKERS[role], color=COLOURS[role], label=role, **_fill(role))
        bands = [(k, *ends) for k in ks if (ends := interval(entry, role, f"pass@{k}"))]
        if bands:
            xs, lows, highs = (list(places) for places in zip(*bands, strict=True))
            axes.fill_between(xs, lows, highs, color=COLOURS[role], alpha=0.15, linewidth=0)
    for step, colour in zip(some_of(checkpoints_of(result)), WAY, strict=False):
        known = _known(ks, [number(entry, step, f"pass@{k}") for k in ks])
        axes.plot(*known, "--", color=colour, linewidth=0.8, label=f"step {step}")
    crossing = value(entry, "crossing", "k")
    if crossing is not None and crossing > 0:
        axes.axvline(crossing, color="black", linewidth=0.6, linestyle=(0, (1, 2)))
    chance = value(entry, "chance")
    if chance and 0 < chance < 1:
        axes.plot(ks, [1 - (1 - chance) ** k for k in ks], ":", color="black", linewidth=0.8, label="guessing")
    axes.set_xscale("log", base=2)
    marks = ks[:: -max(1, -(-len(ks) // 5))]
    axes.set_xticks(marks, [str(k) for k in marks])
    axes.minorticks_off()
    _share_axis(axes)
    axes.set_xlabel("k", labelpad=1)
    axes.set_ylabel("pass@k", labelpad=2)


def _gains(result: Entry) -> list[tuple[str, float, float]]:
    """Domain, base pass@K, and its change, of each level that has both."""
    name = f"pass@{top_k(result)}"
    found = []
    for level in items(result, "levels"):
        base, trained = number(level, "base", name), number(level, "trained", name)
        if base is not None and trained is not None:
            found.append((str(level.get("domain", "")), base, trained - base))
    return found


def _scatter(result: Entry) -> Figure:
    figure, (axes,) = _sheet(1, 1, 2.1)
    points = _gains(result)
    axes.axhline(0, color="#999999", linewidth=0.6)
    axes.plot([0, 1], [1, 0], ":", color="black", linewidth=0.8, label="ceiling")
    for place, domain in enumerate(sorted({domain for domain, _, _ in points})):
        own = [(base, gain) for of, base, gain in points if of == domain]
        style: dict[str, Any] = {"color": DOMAIN_COLOURS[place % 8], "marker": DOMAIN_MARKERS[place % 8]}
        axes.plot(*zip(*own, strict=True), linestyle="", alpha=0.6, label=_plain(domain), **style)
    k = top_k(result)
    axes.set_xlabel(f"pass@{k} of the base")
    axes.set_ylabel(f"change of pass@{k}")
    _legend(figure, [axes])
    return figure


def _by_level(axes: Axes, levels: Sequence[Entry], k: int) -> None:
    for level in levels:
        if level.get("trained_on"):
            axes.axvspan(level_of(level) - 0.5, level_of(level) + 0.5, color="#0072b2", alpha=0.1, linewidth=0)
    for role in MODELS:
        for name, line in (("pass@1", "-"), (f"pass@{k}", "--")):
            numbers = [level_of(level) for level in levels]
            known = _known(numbers, [number(level, role, name) for level in levels])
            style: dict[str, Any] = {"marker": MARKERS[role], "color": COLOURS[role], **_fill(role)}
            axes.plot(*known, line, label=f"{role} {name}", **style)
    _share_axis(axes)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_xlabel("level", labelpad=1)
    axes.set_ylabel("share", labelpad=2)


def _histogram(entry: Entry, role: str) -> list[float]:
    found = part(entry, "distribution", role).get("histogram")
    counts = [finite(count) for count in found] if isinstance(found, list) else []
    known = [count for count in counts if count is not None]
    return [count / sum(known) for count in known] if known and sum(known) > 0 else []


def _distribution(axes: Axes, entry: Entry) -> None:
    for role in ("trained", "base"):
        shares = _histogram(entry, role)
        edges = [place / len(shares) for place in range(len(shares) + 1)]
        axes.stairs(
            shares,
            edges,
            fill=role == "trained",
            color=COLOURS[role],
            alpha=0.5 if role == "trained" else 1,
            label=role,
        )
    axes.set_xlabel("pass@1 of a problem")
    axes.set_ylabel("share of the problems")


def _known(xs: Sequence[int], ys: Sequence[float | None]) -> tuple[list[int], list[float]]:
    """Without the places that were not measured."""
    pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _fill(role: str) -> dict[str, Any]:
    """The base's markers are hollow."""
    return {"markerfacecolor": "white"} if role == "base" else {}


def _plain(text: str) -> str:
    """Printable ASCII, which the font surely has: a name from the data can neither warn nor hide anything."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)
