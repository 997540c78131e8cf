"""`boundary.html`: places of known shares, what is left out, what is hostile, and size."""

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from boundary_results import boundary_result
from prorl.report.boundary_curves import curve_chart
from prorl.report.boundary_page import boundary_page, headline, write_boundary_page
from prorl.report.boundary_values import number, some_of, span, value

KNOWN = """html head meta title style body nav a section h1 h2 h3 p div span b small sup ul li details summary figure
    figcaption svg g text line polyline polygon circle path rect table thead tbody tr th td input label |
    lang charset http-equiv content name id href class style viewbox role aria-label points d cx cy r x y x1
    x2 y1 y2 width height colspan transform type for checked"""
TAGS, ATTRIBUTES = (part.split() for part in KNOWN.split("|"))
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)></pre></style></title> \u202e \x1b[2J & {{x}}"


class Page(HTMLParser):
    """A strict reader: balanced tags, known names, nothing that runs or fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, found in attrs:
            assert name in ATTRIBUTES, f"{tag} {name}"
            assert "url(" not in (found or "")
            assert name != "href" or (found or "").startswith("#")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def made() -> dict:
    return boundary_result(problems_per_level=2)


def group(**more: object) -> dict:
    """Two models at k = 1, 2, 4 with shares that are easy to place."""
    return {
        "scope": "all",
        "name": "all",
        "num_problems": 8,
        "num_levels": 2,
        "base": {"pass@1": 0.25, "pass@2": 0.5, "pass@4": 1.0, "tolerant/pass@1": 0.25, "tolerant/pass@4": 1.0},
        "trained": {"pass@1": 0.5, "pass@2": 0.5, "pass@4": 0.75},
        "interval": {
            "base": {"pass@1": [0.0, 0.5], "pass@4": [0.5, 1.0]},
            "change": {"pass@1": [0.1, 0.4], "pass@4": [-0.5, 0.1]},
        },
        **more,
    }


def small(**more: object) -> dict:
    level = {"family": "sort", "level": 1, "name": "sort/1", "verdict": "expanded", "opened": True, "reason": "rose"}
    other = {"family": "sort", "level": 2, "name": "sort/2", "verdict": "diminished", "opened": False, "k": 2}
    shares = {"base": {"pass@1": 0.0, "pass@2": 0.0625, "pass@4": 0.125}, "trained": {"pass@1": 0.5, "pass@4": 0.875}}
    levels = [{**other, **shares, "test": {"pass@2": {"q": 0.02}}}, {**level, **shares}]
    summary = {"k": 4, "ks": [1, 2, 4], "rules": {"expanded": "rose"}, "verdicts": {"unclear": []}}
    return {"version": 2, "summary": {**summary, **more}, "groups": [group()], "levels": levels}


# A drawing is 400 wide with margins 46 and 16, 220 high with 30 and 24: log2 k from 0 to 2 is x 46 to 384, so k = 2 is
# at 215; shares from 0 to 1 are y 196 to 30, so 0.25 is at 154.5, 0.5 at 113, 0.75 at 71.5.
def test_curves_are_at_their_shares() -> None:
    chart = curve_chart(small(), group())
    assert '<polyline class="line c0" points="46.0,154.5 215.0,113.0 384.0,30.0"/>' in chart
    assert '<polyline class="line c1" points="46.0,113.0 215.0,113.0 384.0,71.5"/>' in chart
    # The tolerant reading has no k = 2: a straight line from its first to its last point.
    assert '<polyline class="line thin c0" points="46.0,154.5 384.0,30.0"/>' in chart
    assert chart.count("line thin") == 1
    # Highs from left to right, then lows back.
    assert '<polygon class="band c0" points="46.0,113.0 384.0,30.0 384.0,113.0 46.0,196.0"/>' in chart
    assert "<title>base pass@1 0.250, 0.000 to 0.500</title>" in chart
    assert "<p>8 problems, 2 levels</p>" in chart
    assert 'class="limit"' not in chart
    assert 'class="crossing' not in chart


def test_guessing_and_the_crossing() -> None:
    crossing = {"k": 2.0, "direction": "base overtakes"}
    chart = curve_chart(small(), group(chance=0.5, crossing=crossing))
    # 1 - 0.5^1 = 0.5 at k = 1; 1 - 0.5^4 = 0.9375 at k = 4: y = 196 - 166 * 0.9375 = 40.375.
    (line,) = re.findall('<polyline class="limit" points="([^"]*)"', chart)
    assert line.startswith("46.0,113.0 ")
    assert line.endswith(" 384.0,40.4")
    # The middle of the 41 points is k = 2: 0.75.
    assert line.split()[20] == "215.0,71.5"
    assert '<path class="crossing" d="M215.0 30V196"/>' in chart
    assert "base overtakes at k = 2" in chart


def test_the_headline_claims_a_direction_only_with_its_interval() -> None:
    assert headline(small()) == (
        "1 of 2 levels expanded, 1 of them from nothing; 1 diminished. Over all problems pass@1 rose from 0.25 to 0.50 "
        "(95 % of the change: +0.10 to +0.40) and pass@4 did not change clearly, from 1.00 to 0.75 (95 % of the "
        "change: -0.50 to +0.10)."
    )


def test_levels_by_family_and_level_with_their_own_k() -> None:
    text = boundary_page(small())
    rows = Page(text).rows
    first = next(index for index, row in enumerate(rows) if row and row[0] == "sort/1")
    # pass@1, pass@k, tolerant of base and trained; k, chance, problems, samples, q, trained on.
    assert rows[first] == ["sort/1", "expanded openedrose", "0.00", "0.50", "0.12", "0.88", "", "", "4", *[""] * 5]
    second = ["sort/2", "diminished", "0.00", "0.50", "0.06", "", "", "", "2", "", "", "", "0.020", ""]
    assert rows[first + 1] == second
    assert '<tr class="is-diminished">' in text
    # A radio button and a label for all and for each verdict that occurs, and a rule that hides the other rows.
    assert re.findall('<label for="show-([a-z]+)">([^<]*)</label>', text) == [
        ("all", "all 2"), ("expanded", "expanded 1"), ("diminished", "diminished 1"),
    ]  # fmt: skip
    assert "#show-expanded:checked ~ .wide tbody tr:not(.is-expanded) { display: none; }" in text
    assert re.findall('<div class="([a-z]*)"><b>([^<]*)</b><span>([^<]*)</span>', text)[:3] == [
        ("expanded", "1", "levels expanded"),
        ("diminished", "1", "levels diminished"),
        ("unclear", "0", "levels unclear"),
    ]


def test_histograms_and_gain() -> None:
    result = small()
    bins = {"base": {"histogram": [3, 0, 0, 0, 0, 0, 0, 0, 0, 1]}, "trained": {"histogram": [0] * 9 + [8]}}
    result["groups"] = [group(distribution=bins)]
    text = boundary_page(result)
    # The highest share is 8 of 8, the axis ends at 1.05: a bar is 166 / 1.05 = 158.1 high.
    assert '<rect class="filled" x="350.2" y="37.9" width="33.8" height="158.1"/>' in text
    # The base's outline begins at 0, stands at 0.75: y = 196 - 166 * 0.75 / 1.05 = 77.4.
    assert '<polyline class="outline" points="46.0,196.0 46.0,77.4 79.8,77.4 79.8,196.0' in text
    # Gain 0.75 at base 0.125: x = 46 + 338 / 8 = 88.25; y over -0.25 to 1: 196 - 166 * 0.8 = 63.2.
    assert '<path class="mark-area c0" transform="translate(88.2 63.2)"' in text
    assert "sort/1: base 0.12, change +0.75" in text


def test_levels_trained_on_are_shaded() -> None:
    result = small()
    result["levels"][1]["trained_on"] = True
    text = boundary_page(result)
    # Levels 1 and 2 span 0.5 to 2.5: level 1 is the left half, x 46 to 215.
    assert '<rect class="inside" x="46.0" y="30" width="169.0" height="166"/>' in text
    assert "1 of 2 levels trained on" in text


def test_every_section_of_a_whole_file(made: dict, tmp_path: Path) -> None:
    path = write_boundary_page(made, tmp_path)
    assert path == tmp_path / "boundary.html"
    assert [entry.name for entry in tmp_path.iterdir()] == ["boundary.html"]
    page = Page(path.read_text())
    titles = ["pass@k", "Levels and verdicts", "Solved problems", "Distribution of pass@1"]
    titles += ["Gain against the base's pass@128", "Along the run", "Generalisation", "Objections", "Novelty"]
    assert re.findall("<h2>([^<]*)</h2>", path.read_text()) == [*titles, "Settings and rules"]
    # 1 + 3 + 12 groups with curves and histograms, 1 + 12 with lines along the run, 12 families by level, one scatter.
    assert path.read_text().count("<figure>") == 16 + 16 + 13 + 12 + 1
    every = made["groups"][0]["solved"]
    (row,) = [row for row in page.rows if row[0] == "all" and len(row) == 10]
    assert row[1:3] == [str(every["both"]), str(every["trained_only"])]
    assert row[3] == f"{every['expected_trained_only']:.1f}"
    (audited,) = [row for row in page.rows if row[:2] == ["halting", "20 of 20"]]
    assert audited[2:6] == ["3 of 160", "nonsense 3", "0.50", "0.50"]
    assert ["diminish" in row for row in page.rows if row[:1] == ["mul"]].count(True) == 1
    assert "http-equiv" in path.read_text()
    # Of the curves, the histograms (domains stand with all), and the lines along the run.
    groups = re.findall('<h3 class="group">(By [a-z]+)</h3>', path.read_text())
    assert groups == ["By domain", "By family", "By family", "By family"]


def test_what_was_not_measured_is_left_out(made: dict) -> None:
    """Version 1, a bare file, and the whole file with each of its parts taken out: all are read."""
    bare = {"summary": {"k": 4, "rules": {}}, "levels": []}
    assert re.findall("<h2>([^<]*)</h2>", boundary_page(bare)) == []
    level = {"family": "sort", "level": 3, "verdict": "gained", "base": {"pass@4": 0.5}, "trained": {"pass@4": 1.0}}
    first = {"summary": {"k": 4, "rules": {"gained": "rose"}}, "levels": [level]}
    text = boundary_page(first)
    assert re.findall("<h2>([^<]*)</h2>", text) == ["Levels and verdicts", "Settings and rules"]
    assert "0 of 1 levels expanded; 0 diminished." in text
    made = {**made, "levels": made["levels"][:4], "groups": [made["groups"][place] for place in (0, 1, 4, 5)]}
    for name in ("summary", "groups", "levels", "audit", "novelty", "other_settings"):
        for damaged in ({}, [], 3, None, [None], {"x": 1}):
            Page(boundary_page({**made, name: damaged}))
    for name in made["summary"]:
        Page(boundary_page({**made, "summary": {**made["summary"], name: "x"}}))
    for name in made["groups"][0]:
        groups = [{**entry, name: None} for entry in made["groups"]]
        levels = [{**entry, name: {"base": 1}} for entry in made["levels"][:3]]
        Page(boundary_page({**made, "groups": groups, "levels": levels}))


def test_nothing_hostile_gets_out_of_its_place(made: dict) -> None:
    spoilt = spoil(copy.deepcopy({**made, "levels": made["levels"][:4], "problems": []}))
    text = boundary_page(spoilt)
    page = Page(text)
    assert "<script" not in text
    assert "<img" not in text
    assert not {"\x1b", "\u202e"} & set(text)
    told = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
    assert any(told in part for part in page.text)


def spoil(found: object, name: str = "") -> object:
    """Every text of the file as a hostile one, but for the scope, by which groups are found."""
    if isinstance(found, dict):
        return {key: spoil(inner, key) for key, inner in found.items()} | {HOSTILE: HOSTILE}
    if isinstance(found, list):
        return [spoil(inner) for inner in found]
    return HOSTILE if isinstance(found, str) and name != "scope" else found


def test_a_large_measurement_stays_small(made: dict) -> None:
    levels = [
        {**level, "family": f"{level['family']}{copy_of}", "name": f"{level['name']}-{copy_of}"}
        for copy_of in range(4)
        for level in made["levels"]
    ][:300]
    assert len(levels) == 300
    assert len(boundary_page({**made, "levels": levels}).encode()) < 2_000_000


def test_numbers_that_are_none() -> None:
    entry = json.loads('{"base": {"a": NaN, "b": true, "c": 0.5}, "i": {"x": [0, 1], "y": [0], "z": [0, "1"]}}')
    assert [number(entry, "base", name) for name in "abcd"] == [None, None, 0.5, None]
    assert number({"checkpoints": {"5": {"a": 1}}}, "5", "a") == 1
    assert [span(entry, "i", name) for name in "xyz"] == [(0, 1), None, None]
    assert value(3, "base") is None


def test_some_checkpoints_of_many() -> None:
    assert some_of(list("abc")) == ["a", "b", "c"]
    # 8 in quarters: the second, fourth, sixth and last.
    assert some_of(list("abcdefgh")) == ["b", "d", "f", "h"]
