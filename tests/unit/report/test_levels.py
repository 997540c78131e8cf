"""The strips of validation by level: shades, places and marks of known scores."""

import re
from xml.etree import ElementTree

import pytest

from prorl.report.levels import cells, edges, level_section, shade
from prorl.report.timeline import Mark, Phase, Timeline


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0.0, 0), (-1.0, 0), (0.001, 1), (0.1, 1), (0.11, 2), (0.5, 5), (0.51, 6), (1.0, 10), (2.0, 10)],
)
def test_only_a_score_of_nothing_has_the_first_shade(score: float, expected: int) -> None:
    assert shade(score) == expected


def test_columns_end_half_way() -> None:
    assert edges([[1], [20], [40]], Timeline(1, 50)) == [1, 10.5, 30, 50]
    assert edges([[1, 20], [40, 60]], Timeline(1, 60)) == [1, 30, 60]
    assert edges([[5]], Timeline(5, 5)) == [5, 6]


def test_cells_are_means_and_may_be_missing() -> None:
    assert cells([(1, 0.0), (20, 0.5), (60, 1.0)], [[1, 20], [40], [60]]) == [3, None, 10]


def section(records: list[dict], timeline: Timeline) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{level_section(records, timeline)}</div>")


def test_a_strip_shows_known_scores_at_their_steps() -> None:
    records = [
        {"step": 1, "validation/sort/9": 0.0, "validation/sort/10": 0.0, "validation/mean": 0.5},
        {"step": 2, "validation/math": 0.5},
        {"step": 20, "validation/sort/9": 0.25, "validation/sort/10": 0.0},
        {"step": 40, "validation/sort/9": 1.0, "validation/sort/10": 0.0, "validation/sort/11": 0.5},
    ]
    marks = (Mark(20, "reset", "step 20: reset"), Mark(25, "phase", "new"), Mark(30, "resume", "resumed"))
    phases = (Phase(1, "one", 1, 25), Phase(2, "two", 26, 41))
    page = section(records, Timeline(1, 41, marks, phases))
    (drawing,) = [svg for svg in page.iter("svg") if svg.attrib["aria-label"] == "sort"]
    assert drawing.attrib["viewBox"] == "1 0 40 3"
    # Harder levels further up: rows 11, 10, 9. Columns: 1 to 10.5, 10.5 to 30, 30 to 41. Level 10 is one run.
    assert [(path.attrib["class"], path.attrib["d"]) for path in drawing.iter("path")] == [
        ("cell h0", "M1 1h40v1H1zM1 2h9.5v1H1z"),
        ("cell h3", "M10.5 2h19.5v1H10.5z"),
        ("cell h5", "M30 0h11v1H30z"),
        ("cell h10", "M30 2h11v1H30z"),
        ("halo", "M20 0V3"),
        ("mark reset", "M20 0V3"),
        ("halo", "M25 0V3"),
        ("mark phase", "M25 0V3"),
    ]
    assert [group.findtext("title") for group in drawing.iter("g")] == ["step 20: reset", "new"]
    first, last = (["".join(item.itertext()) for item in items] for items in page.iter("ol"))
    assert (first, last) == (["11", "10", "9"], ["0.50", "0.00", "1.00"])
    stories = [rect.findtext("title") for rect in drawing.iter("rect")]
    assert (
        stories[2] == "sort, level 9: 0.00 at step 1, 1.00 at step 40, best 1.00 at step 40, at least half from step 40"
    )
    (names,) = [axis for axis in page.iter("div") if axis.attrib.get("class") == "axis phases"]
    assert [(span.text, span.attrib["style"]) for span in names] == [
        ("one", "left:0.00%;width:60.00%"),
        ("two", "left:62.50%;width:37.50%"),
    ]
    (steps,) = [axis for axis in page.iter("div") if axis.attrib.get("class") == "axis steps"]
    assert [(span.text, span.attrib["style"]) for span in steps][:2] == [("10", "left:22.50%"), ("20", "left:47.50%")]
    cells_of = ["".join(cell.itertext()) for cell in page.iter("td")]
    assert cells_of == ["1.000.00, best 1.00", "0.000.00, best 0.00", "0.500.50, best 0.50"]


def test_many_validations_share_columns() -> None:
    records = [{"step": step, "validation/sort/1": float(step % 2)} for step in range(1, 401)]
    text = level_section(records, Timeline(1, 400))
    assert "Each column is the mean of 3 validations." in text
    # Runs of three have one or two right: shade 4 or 7, so every column is by itself; the last one is step 400 alone.
    assert len(re.findall(r"M[\d.]+ 0h", text)) == 134
    assert 'class="cell h4"' in text
    assert level_section([{"step": 1, "validation/mean": 1.0}], Timeline(1, 1)) == ""
