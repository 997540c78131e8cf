"""The boundary in the report: places of known shares, the verdict table, and the way there."""

from xml.etree import ElementTree

from boundary_results import boundary_result
from prorl.report.boundary import boundary_section, ranges
from prorl.report.timeline import Timeline

# A family's drawing is 400 wide with margins 34 and 74: a share of 0 is at 34, of 1 at 326. Rows are 16 high from 18.


def level(number: int, base: tuple[float, float], trained: tuple[float, float], verdict: str, **more: object) -> dict:
    shares = {
        role: {"pass@1": one, "pass@4": four, "tolerant/pass@4": four, "well_formed": 1.0}
        for role, (one, four) in (("base", base), ("trained", trained))
    }
    facts = {"family": "sort", "level": number, "num_problems": 20, "num_samples": 4, "trained_on": True}
    return {**facts, **shares, "verdict": verdict, **more}


def parsed(result: dict, last: int = 100) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{boundary_section(result, Timeline(1, last))}</div>")


def rows(element: ElementTree.Element) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in element.iter("tr")]


LEVELS = [
    level(1, (0.5, 1.0), (1.0, 1.0), "sharpened"),
    level(2, (0.25, 1.0), (0.0, 0.5), "lost"),
    level(3, (0.0, 0.0), (0.75, 1.0), "expanded"),
    level(4, (0.0, 0.0), (0.6, 1.0), "expanded", trained_on=False),
]
RULES = {"expanded": "base & none", "lost": "worse", "folds": "two of them"}
RESULT = {"asked": {"step": 100}, "summary": {"k": 4, "rules": RULES}, "levels": LEVELS}


def test_runs_of_levels() -> None:
    assert ranges([3, 1, 5, 4, 9]) == "1, 3-5, 9"
    assert ranges([]) == ""


def test_verdicts_levels_and_rules() -> None:
    page = parsed(RESULT)
    table = rows(page)
    assert table[:4] == [
        ["verdict", "levels", "which", "when"],
        ["expanded", "2", "sort 3-4", "base & none"],
        ["lost", "1", "sort 2", "worse"],
        ["sharpened", "1", "sort 1", ""],
    ]
    # By level: base pass@1, pass@4 and tolerant, trained pass@1 and pass@4, right forms, trained on.
    assert ["sort/4", "expanded", "0.00", "0.00", "0.00", "0.60", "1.00", "1.00", "1.00", "no"] in table
    text = "".join(page.itertext())
    assert "Measured on 20 problems a level with 4 answers each, after step 100." in text
    assert "two of them" in text


def test_a_level_is_drawn_at_its_shares() -> None:
    (drawing,) = [svg for svg in parsed(RESULT).iter("svg") if svg.attrib.get("aria-label") == "sort"]
    drawn = {}
    for group in drawing.iter("g"):
        title = group.findtext("title") or ""
        circles = {circle.attrib["class"]: circle.attrib["cx"] for circle in group.iter("circle")}
        (way,) = group.iter("line")
        (single,) = group.iter("path")
        names = [text.text for text in group.iter("text")]
        drawn[title] = (circles["base"], circles["trained"], single.attrib["d"], way.attrib["class"], names)
    # Level 4 is the first row, half of 16 below 18; 292 wide: 0.5 is at 180, 0.6 at 209.2, 0.75 at 253.
    assert drawn == {
        "sort/4: base pass@4 0.00, trained pass@4 1.00, trained pass@1 0.60; expanded": (
            "34.0", "326.0", "M209.2 21v10", "way expanded", ["4", "expanded"],
        ),
        "sort/3: base pass@4 0.00, trained pass@4 1.00, trained pass@1 0.75; expanded": (
            "34.0", "326.0", "M253.0 37v10", "way expanded", ["3", "expanded"],
        ),
        "sort/2: base pass@4 1.00, trained pass@4 0.50, trained pass@1 0.00; lost": (
            "326.0", "180.0", "M34.0 53v10", "way lost", ["2", "lost"],
        ),
        "sort/1: base pass@4 1.00, trained pass@4 1.00, trained pass@1 1.00; sharpened": (
            "326.0", "326.0", "M326.0 69v10", "way other", ["1"],
        ),
    }  # fmt: skip


def test_checkpoints_on_the_way() -> None:
    between = {"50": {"pass@1": 0.5, "pass@4": 0.75}}
    levels = [{**of_level, "checkpoints": between} for of_level in LEVELS[:2]]
    result = {**RESULT, "levels": levels, "summary": {**RESULT["summary"], "checkpoints": [50]}}
    page = parsed(result)
    table = rows(page)
    assert ["level", "0", "50", "100", "0", "50", "100"] in table
    assert ["2", "25", "50", "0", "100", "75", "50"] in table
    # Means of pass@1: 0.375, 0.5, 0.5; of pass@4: 1, 0.75, 0.75, at steps 0, 50 and 100 of x 46 to 384, y 196 to 30.
    lines = [line.attrib["points"] for line in page.iter("polyline")]
    assert [line.attrib["class"] for line in page.iter("polyline")] == ["line c0", "line c1"]
    assert lines == ["46.0,30.0 215.0,71.5 384.0,71.5", "46.0,133.8 215.0,113.0 384.0,113.0"]
    # A level that a checkpoint lacks has an empty cell, and the mean leaves the checkpoint out.
    levels[0] = {**LEVELS[0], "checkpoints": {}}
    levels[1] = {**levels[1], "checkpoints": {"50": {"pass@1": 0.004, "pass@4": 0.999}}}
    page = parsed({**result, "levels": levels})
    assert ["1", "50", "", "100", "100", "", "100"] in rows(page)
    assert ["2", "25", "<1", "0", "100", "100", "50"] in rows(page)
    assert [line.attrib["points"] for line in page.iter("polyline")][1] == "46.0,133.8 384.0,113.0"


def test_without_checkpoints_there_is_no_way() -> None:
    for summary in (RESULT["summary"], {**RESULT["summary"], "checkpoints": []}):
        assert "along the run" not in "".join(parsed({**RESULT, "summary": summary}).itertext())


def test_what_was_not_measured_is_left_out() -> None:
    bare = {"family": "sort", "level": 1, "verdict": "unsolved"}
    page = parsed({"summary": {"k": 4, "rules": {}}, "levels": [bare]})
    assert ["sort/1", "unsolved", "", "", "", "", "", "", "", "no"] in rows(page)
    assert "Measured on 0 problems" in "".join(page.itertext())


def test_version_two_has_curves_intervals_and_what_was_opened() -> None:
    result = boundary_result(problems_per_level=2)
    result["asked"] = {"step": 1500}
    page = parsed(result, 1500)
    assert [svg.attrib["aria-label"] for svg in page.iter("svg") if "aria-label" in svg.attrib][:4] == [
        "all", "code", "logic", "math",
    ]  # fmt: skip
    table = rows(page)
    count = sum(level["verdict"] == "expanded" for level in result["levels"])
    opened = sum(level["opened"] for level in result["levels"])
    (expanded,) = [row for row in table if row[:1] == ["expanded"]]
    assert expanded[1] == str(count)
    assert expanded[2].endswith(f" ({opened} opened from nothing)")
    (level_row,) = [row for row in table if row[:1] == ["sort/1"]]
    low, high = result["levels"][0]["interval"]["base"]["pass@1"]
    assert level_row[2] == f"{result['levels'][0]['base']['pass@1']:.2f}{low:.2f}-{high:.2f}"
    assert next(row for row in table if row[:2] == ["level", "0"])[:5] == ["level", "0", "500", "1000", "1500"]
