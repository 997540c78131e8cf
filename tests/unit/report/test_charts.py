"""Charts by their coordinates."""

from xml.etree import ElementTree

import pytest

from prorl.report.charts import Caption, Series, binned, line_chart, run_length, short, stacked_chart, ticks
from prorl.report.timeline import Limit, Mark, Phase, Timeline

# The drawing is 400 x 220 with margins 46, 16, 30, 24: steps run from x 46 to 384, values from y 196 up to 30.
CAPTION = Caption("Score", "of a", "share")
TEN = Timeline(0, 10)


def parsed(figure: str) -> ElementTree.Element:
    return ElementTree.fromstring(figure)


def points(figure: str, kind: str) -> list[str]:
    return [shape.attrib["points"] for shape in parsed(figure).iter(kind)]


def line(*values: tuple[float, float], name: str = "a", colour: str = "0") -> Series:
    return Series(name, values, colour)


def shapes(figure: str, kind: str, of_class: str) -> list[ElementTree.Element]:
    return [shape for shape in parsed(figure).iter(kind) if of_class in shape.attrib.get("class", "").split()]


def legend(figure: str) -> list[str]:
    return ["".join(item.itertext()) for item in parsed(figure).iter("li")]


def test_a_line_goes_through_its_points() -> None:
    series = [line((0, 0.0), (5, 0.25), (10, 1.0)), Series("none", [], "1"), line((10, 0.5), name="b", colour="mean")]
    figure = line_chart(CAPTION, series, TEN, high=1.0)
    # The first line is drawn last, over the others: 0.25 is 41.5 of 166 up.
    assert points(figure, "polyline") == ["384.0,113.0", "46.0,196.0 215.0,154.5 384.0,30.0"]
    assert [shape.attrib["class"] for shape in parsed(figure).iter("polyline")] == ["line cmean", "line c0"]
    assert [circle.attrib["cx"] for circle in parsed(figure).iter("circle")] == ["384.0", "46.0", "215.0", "384.0"]
    assert legend(figure) == ["a 1", "b 0.5"]
    texts = [text.text for text in parsed(figure).iter("text")]
    assert texts[0] == "share"
    assert "step" in texts


def test_the_axes_hold_zero_all_values_and_the_whole_run() -> None:
    # From -1 to 3 with 5 % above: 4.2 in 166, so -1 is at 196 and 3 at 196 - 166 * 4 / 4.2.
    assert points(line_chart(CAPTION, [line((0, -1.0), (1, 3.0))], Timeline(0, 1)), "polyline") == [
        "46.0,196.0 384.0,37.9"
    ]
    # A run of one step, and all zero: no division by nothing.
    assert points(line_chart(CAPTION, [line((7, 0.0))], Timeline(7, 7)), "polyline") == ["46.0,196.0"]
    # A metric that came late begins late.
    assert points(line_chart(CAPTION, [line((8, 1.0), (10, 1.0))], TEN, high=1.0), "polyline") == [
        "316.4,30.0 384.0,30.0"
    ]
    assert line_chart(CAPTION, [line()], TEN) == ""
    assert stacked_chart(CAPTION, [], [], TEN) == ""


def test_areas_stand_on_one_another() -> None:
    # Tops 2 and 6 at step 0, 2 and 4 at step 10; the axis ends at 6.3, so 1 is 166 / 6.3 = 26.35 high.
    figure = stacked_chart(CAPTION, [0, 10], [("a", "3", [2, 2]), ("b", "1", [4, 2])], TEN)
    assert points(figure, "polygon") == [
        "46.0,143.3 384.0,143.3 384.0,196.0 46.0,196.0",
        "46.0,37.9 384.0,90.6 384.0,143.3 46.0,143.3",
    ]
    assert [shape.attrib["class"] for shape in parsed(figure).iter("polygon")] == ["area c3", "area c1"]
    # The means.
    assert legend(figure) == ["a 2", "b 3"]


def test_marks_stand_at_their_steps() -> None:
    marks = (
        Mark(5, "reset", "step 5: <b>"),
        Mark(8, "resume", "resumed"),
        Mark(10, "phase", "step 10"),
        Mark(11, "phase", "outside"),
    )
    figure = line_chart(CAPTION, [line((0, 0.0), (10, 1.0))], Timeline(0, 10, marks))
    # A resume is a short one at the axis, and a reset has a flag besides its colour.
    assert [(mark.attrib["class"], mark.attrib["d"]) for mark in shapes(figure, "path", "mark")] == [
        ("mark reset", "M215.0 30V196"),
        ("mark resume", "M316.4 190V196"),
        ("mark phase", "M384.0 30V196"),
    ]
    assert [flag.attrib["d"] for flag in shapes(figure, "path", "flag")] == ["M215.0 30l-4 -7h8z"]
    assert [group.findtext("title") for group in parsed(figure).iter("g")] == ["step 5: <b>", "resumed", "step 10"]


def test_a_crowd_of_resets_is_drawn_faintly() -> None:
    marks = tuple(Mark(step, "reset", "why") for step in range(1, 26))
    figure = line_chart(CAPTION, [line((0, 1.0))], Timeline(0, 25, marks))
    assert len(shapes(figure, "path", "crowd")) == len(shapes(figure, "path", "flag")) == 25
    assert not list(parsed(figure).iter("g"))
    figure = line_chart(CAPTION, [line((0, 1.0))], Timeline(0, 25, marks[:24]))
    assert shapes(figure, "path", "crowd") == []
    assert len(list(parsed(figure).iter("g"))) == 24


def test_phases_are_named_where_the_name_fits() -> None:
    phases = (Phase(1, "base<", 0, 50), Phase(2, "a_long_name_for_little_room", 51, 60), Phase(3, "end", 61, 100))
    figure = line_chart(CAPTION, [line((0, 1.0))], Timeline(0, 100, (), phases))
    # 5.6 a letter: the second one has 9 % of 338 and would need 151.
    assert [text.text for text in shapes(figure, "text", "phase")] == ["base<", "2", "end"]
    assert [text.attrib["x"] for text in shapes(figure, "text", "phase")] == ["48.0", "220.4", "254.2"]
    titles = [text.findtext("title") for text in shapes(figure, "text", "phase")]
    assert titles[1] == "phase 2, a_long_name_for_little_room: steps 51 to 60"
    alone = line_chart(CAPTION, [line((0, 1.0))], Timeline(0, 100, (), phases[:1]))
    assert shapes(alone, "text", "phase") == []


def test_limits_are_lines_over_their_steps() -> None:
    limits = [Limit(1, 4, 0.5, "health.min_entropy"), Limit(5, 10, 9.0, "health.max_kl")]
    figure = line_chart(CAPTION, [line((0, 1.0), (10, 1.0))], TEN, high=1.0, limits=limits)
    drawn = [shape for shape in shapes(figure, "line", "limit") if "y2" in shape.attrib and shape.attrib["y1"] != "4"]
    assert [(limit.attrib["x1"], limit.attrib["x2"], limit.attrib["y1"]) for limit in drawn] == [
        ("79.8", "181.2", "113.0")
    ]
    # One that is far above the values would flatten them; it is named instead.
    assert legend(figure) == ["a 1", "health.min_entropy = 0.5", "health.max_kl = 9, above the drawing"]


def test_many_points_become_means_of_runs_with_a_band() -> None:
    values = [(step, float(step % 2)) for step in range(300)]
    figure = line_chart(CAPTION, [Series("a", values, "0")], Timeline(0, 299), high=1.0)
    (mean,) = points(figure, "polyline")
    assert len(mean.split()) == 150
    # The mean of steps 0 and 1 is at 0.5 of 299 steps, half-way up.
    assert mean.split()[0] == "46.6,113.0"
    (band,) = shapes(figure, "polygon", "band")
    corners = band.attrib["points"].split()
    assert (len(corners), corners[0], corners[-1]) == (300, "46.6,30.0", "46.6,196.0")
    assert not list(parsed(figure).iter("circle"))
    # Two lines have no bands, and 150 points are themselves.
    two = line_chart(CAPTION, [Series("a", values, "0"), Series("b", values, "1")], Timeline(0, 299))
    assert shapes(two, "polygon", "band") == []
    few = line_chart(CAPTION, [Series("a", values[:150], "0")], Timeline(0, 149))
    assert (shapes(few, "polygon", "band"), len(points(few, "polyline")[0].split())) == ([], 150)


def test_runs_of_neighbours() -> None:
    assert [run_length(count) for count in (1, 150, 151, 301, 3000)] == [1, 1, 2, 3, 20]
    # With a validation every 20 steps, each run has the same number of them.
    assert [run_length(count, 20) for count in (150, 400, 3000, 3001)] == [1, 20, 20, 40]
    # What is left over belongs to the last run: 1 of 301 and 2 of 302 points in runs of 3.
    assert [(part.step, part.mean) for part in binned([(step, step) for step in range(301)])][-2:] == [
        (295, 295),
        (298.5, 298.5),
    ]
    assert [(part.low, part.high) for part in binned([(step, step) for step in range(302)])][-1] == (297, 301)
    assert [(part.step, part.mean) for part in binned([(7, 1.0)], 20)] == [(7, 1.0)]
    figure = stacked_chart(CAPTION, range(400), [("a", "0", [1.0] * 400)], Timeline(0, 399), multiple=20)
    assert len(points(figure, "polygon")[0].split()) == 2 * 20


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
    values = (0.0, 0.12345, 12.345, 1234.5, 0.00015, 1e-12, -0.0002, 0.001)
    assert [short(value) for value in values] == ["0", "0.123", "12.3", "1,234", "1.5e-4", "1e-12", "-2e-4", "0.001"]
