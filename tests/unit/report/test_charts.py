"""Charts by their coordinates."""

from xml.etree import ElementTree

import pytest

from prorl.report.charts import Mark, Series, line_chart, short, stacked_chart, thinned, ticks

# The drawing is 480 x 230 with margins 46, 16, 10, 24: steps run from x 46 to 464, values from y 206 up to 10.


def parsed(figure: str) -> ElementTree.Element:
    return ElementTree.fromstring(figure)


def points(figure: str, kind: str) -> list[str]:
    return [shape.attrib["points"] for shape in parsed(figure).iter(kind)]


def test_a_line_goes_through_its_points() -> None:
    series = [Series("a", [(0, 0.0), (5, 0.25), (10, 1.0)]), Series("none", []), Series("b", [(10, 0.5)])]
    figure = line_chart("Score", "of a", series, [], high=1.0)
    assert points(figure, "polyline") == ["46.0,206.0 255.0,157.0 464.0,10.0", "464.0,108.0"]
    assert [circle.attrib["cx"] for circle in parsed(figure).iter("circle")] == ["46.0", "255.0", "464.0", "464.0"]
    assert [item.findtext("b") for item in parsed(figure).iter("li")] == ["1", "0.5"]


def test_the_axis_holds_zero_and_what_is_drawn() -> None:
    # From -1 to 3 with 5 % above: 4.2 in 196, so 0 is at 206 - 196 / 4.2 and 3 at 206 - 196 * 4 / 4.2.
    assert points(line_chart("t", "", [Series("a", [(0, -1.0), (1, 3.0)])], []), "polyline") == [
        "46.0,206.0 464.0,19.3"
    ]
    # One point, and all zero: no division by nothing.
    assert points(line_chart("t", "", [Series("a", [(7, 0.0)])], []), "polyline") == ["46.0,206.0"]
    assert line_chart("t", "", [Series("a", [])], []) == ""
    assert stacked_chart("t", "", [], [], []) == ""


def test_areas_stand_on_one_another() -> None:
    # Tops 2 and 6 at step 0, 2 and 4 at step 1; the axis ends at 6.3, so 1 is 196 / 6.3 = 31.1 high.
    figure = stacked_chart("Time", "", [0, 1], [("a", [2, 2]), ("b", [4, 2])], [])
    assert points(figure, "polygon") == [
        "46.0,143.8 464.0,143.8 464.0,206.0 46.0,206.0",
        "46.0,19.3 464.0,81.6 464.0,143.8 46.0,143.8",
    ]
    assert [item.findtext("b") for item in parsed(figure).iter("li")] == ["2", "3"]


def test_marks_stand_at_their_steps() -> None:
    marks = [Mark(5, "reset", "step 5: <b>"), Mark(11, "phase", "outside"), Mark(10, "phase", "step 10")]
    drawn = parsed(line_chart("t", "", [Series("a", [(0, 0.0), (10, 1.0)])], marks))
    lines = [line for line in drawn.iter("line") if "mark" in line.attrib["class"]]
    assert [(line.attrib["class"], line.attrib["x1"], line.findtext("title")) for line in lines] == [
        ("mark reset", "255.0", "step 5: <b>"),
        ("mark phase", "464.0", "step 10"),
    ]


def test_many_points_become_means_of_runs() -> None:
    assert thinned([(step, step % 2) for step in range(300)]) == [(2 * run + 0.5, 0.5) for run in range(150)]
    # 301 points: runs of 3, the last of one point.
    assert thinned([(step, 1.0) for step in range(301)])[-2:] == [(298, 1.0), (300, 1.0)]
    assert thinned([(1, 2.0)] * 150) == [(1, 2.0)] * 150


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 300, 6, [0, 50, 100, 150, 200, 250, 300]),
        (1, 300, 6, [50, 100, 150, 200, 250, 300]),
        (-1, 3, 5, [-1, 0, 1, 2, 3]),
        (0, 0.0000123, 5, [0, 0.000005, 0.00001]),
        (0, 2, 6, [0, 0.5, 1, 1.5, 2]),
    ],
)
def test_ticks(low: float, high: float, most: int, expected: list[float]) -> None:
    assert ticks(low, high, most) == pytest.approx(expected)


def test_short() -> None:
    assert [short(value) for value in (0.0, 0.12345, 12.345, 1234.5)] == ["0", "0.123", "12.3", "1,234"]
