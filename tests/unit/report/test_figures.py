"""Figures of a measured boundary by matplotlib: which are made, the same every time, and lines at known places."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure

from boundary_results import boundary_result
from prorl.errors import UserError
from prorl.report import figures
from prorl.report.figures import write_figures

NAMES = ["curves_all", "curves_domains", "curves_families", "gain", "generalisation", "distribution"]


@pytest.fixture(scope="module")
def made() -> dict:
    """Two families and a guessed one, for speed."""
    whole = boundary_result(problems_per_level=2)
    kept = ("sort", "mul", "halting")
    whole["levels"] = [level for level in whole["levels"] if level["family"] in kept]
    whole["groups"] = [entry for entry in whole["groups"] if entry.get("family") in (*kept, None)]
    return whole


def drawn(result: dict) -> dict[str, Figure]:
    return dict(figures._figures(result))


def test_the_same_files_every_time(made: dict, tmp_path: Path) -> None:
    small = {**made, "levels": made["levels"][:2], "groups": made["groups"][:1]}
    before = dict(rcParams)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        written = write_figures(small, tmp_path / name, ("svg", "pdf"))
        kept = [each for each in NAMES if each not in ("curves_domains", "curves_families")]
        assert [path.name for path in written] == [f"{each}.{form}" for each in kept for form in ("svg", "pdf")]
    assert dict(rcParams) == before
    for path in (tmp_path / "first").iterdir():
        content = path.read_bytes()
        assert content == (tmp_path / "second" / path.name).read_bytes()
        assert b"CreationDate" not in content
        assert b"<dc:date>" not in content
        if path.suffix == ".svg":
            # 3.3 inches of 72 points; letters are outlines.
            root = ElementTree.fromstring(content)
            assert root.attrib["width"] == "237.6pt"
            assert not [node for node in root.iter() if node.tag.endswith("}text")]
        else:
            assert re.search(rb"/MediaBox \[ *0 0 237\.6 ", content)


def test_lines_are_at_their_shares(made: dict) -> None:
    figure = drawn(made)["curves_all"]
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    every = made["groups"][0]
    for role in ("base", "trained"):
        assert list(lines[role].get_xdata()) == [1, 2, 4, 8, 16, 32, 64, 128]
        assert list(lines[role].get_ydata()) == [every[role][f"pass@{2**exponent}"] for exponent in range(8)]
    assert list(lines["step 500"].get_ydata())[-1] == every["checkpoints"]["500"]["pass@128"]
    assert lines["base"].get_marker() != lines["trained"].get_marker()
    assert axes.get_xscale() == "log"
    assert axes.get_title(loc="left") == ""


def test_guessing_trained_range_and_gain(made: dict) -> None:
    found = drawn(made)
    assert list(found) == NAMES
    panels = {axes.get_title(loc="left"): axes for axes in found["curves_families"].axes}
    assert list(panels) == ["halting", "mul", "sort"]
    (guess,) = [line for line in panels["halting"].get_lines() if line.get_label() == "guessing"]
    # 1 - 0.5^k for k = 1, 2, 4.
    assert list(guess.get_ydata())[:3] == [0.5, 0.75, 0.9375]
    assert not [line for line in panels["sort"].get_lines() if line.get_label() == "guessing"]
    (sort,) = [axes for axes in found["generalisation"].axes if axes.get_title(loc="left") == "sort"]
    # 7 of 10 levels were trained on.
    assert len(sort.patches) == 7
    points = [
        (x, y)
        for line in found["gain"].axes[0].get_lines()
        if line.get_label() in ("logic", "math")
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]
    wanted = [(level["base"]["pass@128"], level["trained"]["pass@128"]) for level in made["levels"]]
    assert sorted(points) == sorted((base, trained - base) for base, trained in wanted)


def test_many_families_are_spread_over_figures(made: dict) -> None:
    (entry,) = [entry for entry in made["groups"] if entry["name"] == "sort"]
    groups = [{**entry, "name": f"family {place:02}"} for place in range(14)]
    found = drawn({**made, "groups": groups, "levels": []})
    assert [len(figure.axes) for figure in found.values()] == [12, 2]
    assert list(found) == ["curves_families_1", "curves_families_2"]


def test_a_hostile_name_is_text(made: dict, tmp_path: Path) -> None:
    (entry,) = [entry for entry in made["groups"] if entry["name"] == "sort"]
    names = ["$\\frac{1}{$", "<script>\u202e\x00\u4e2d"]
    groups = [{**entry, "name": name} for name in names]
    write_figures({**made, "groups": groups, "levels": []}, tmp_path, ["svg"])
    ElementTree.parse(tmp_path / "curves_families.svg")
    titles = [axes.get_title(loc="left") for axes in drawn({**made, "groups": groups, "levels": []}).popitem()[1].axes]
    assert titles == ["$\\frac{1}{$", "<script>???"]


def test_nothing_to_draw_and_unknown_formats(tmp_path: Path) -> None:
    assert write_figures({"summary": {"k": 4, "rules": {}}, "levels": []}, tmp_path) == []
    with pytest.raises(UserError, match=r"^figure format 'png' is not known; choose from svg, pdf$"):
        write_figures({"summary": {"k": 4}, "levels": []}, tmp_path, ["png"])  # type: ignore[list-item]
