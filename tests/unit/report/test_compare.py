"""Several runs on one page: lines, numbers, options and verdicts side by side, and what cannot be read."""

import json
from argparse import Namespace
from pathlib import Path

import pytest

from prorl.commands.report import run
from prorl.errors import UserError
from prorl.report.compare import write_comparison
from prorl.report.differences import differences, flatten
from report_runs import write_lines


def make_run(folder: Path, scores: list[float], config: str = "", **more: float) -> Path:
    folder.mkdir(parents=True)
    records = [{"step": step, "score/mean": score, **more} for step, score in enumerate(scores, start=1)]
    write_lines(folder / "metrics.jsonl", records)
    (folder / "config.toml").write_text(config)
    return folder


def page_of(folders: list[Path], out: Path) -> str:
    path, troubles = write_comparison(folders, out)
    assert troubles == []
    return path.read_text()


def rows(text: str) -> dict[str, list[str]]:
    """The cells of every row by its first one, without tags."""
    found = {}
    for row in text.split("<tr>")[1:]:
        cells = [cell.partition("</t")[0] for cell in row.replace("<th", "<td").split("<td")[1:]]
        plain = [cell.partition(">")[2].replace("</span>", "").rpartition(">")[2] for cell in cells]
        found.setdefault(plain[0], plain[1:])
    return found


def chart(text: str, title: str) -> str:
    (found,) = [part for part in text.split("<figure>") if f"<h3>{title}</h3>" in part]
    return found.partition("</figure>")[0]


def test_a_line_a_run_over_common_axes_with_its_own_resets(tmp_path: Path) -> None:
    first = make_run(tmp_path / "first", [0.0, 0.5, 1.0, 0.5, 0.0], entropy=1.0)
    second = make_run(tmp_path / "second", [1.0, 0.0])
    events = [{"step": 2, "event": "reset"}, {"step": 9, "event": "reset"}, {"step": 4, "event": "phase"}]
    write_lines(first / "events.jsonl", events)
    score = chart(page_of([first, second], tmp_path), "Score while training")
    # Steps 1 to 5 over x 46 to 384, shares 0 to 1 over y 196 to 30: a step is 84.5 and a half is 83.
    lines = [part.partition('"/>')[0] for part in score.split('<polyline class="')[1:]]
    assert lines == [
        'line c1" points="46.0,30.0 130.5,196.0',
        'line c0" points="46.0,196.0 130.5,113.0 215.0,30.0 299.5,113.0 384.0,196.0',
    ]
    # The reset at step 2 lies on the line; the one at step 9 is beyond it.
    assert score.count('class="point') == 1
    assert '<path class="point c0" d="M130.5 113.0m' in score
    assert "<title>first: reset at step 2</title>" in score
    assert "first <b>0</b></li>" in score
    assert "second <b>0</b></li>" in score
    # Only one of the runs has it.
    assert chart(page_of([first, second], tmp_path), "Entropy").count("<polyline") == 1


def test_a_reset_between_two_points_lies_between_them(tmp_path: Path) -> None:
    records = [{"step": step, "validation/mean": value} for step, value in ((1, 0.0), (5, 1.0), (9, 1.0))]
    first = make_run(tmp_path / "first", [0.0])
    write_lines(first / "metrics.jsonl", records)
    write_lines(first / "events.jsonl", [{"step": 2, "event": "reset"}, {"step": 9, "event": "reset"}])
    second = make_run(tmp_path / "second", [1.0])
    drawing = chart(page_of([first, second], tmp_path), "Validation")
    # A quarter of the way from 0 to 1 at an eighth of the axis: 46 + 338/8 and 196 - 166/4.
    assert 'd="M88.2 154.5m' in drawing
    assert 'd="M384.0 30.0m' in drawing


def test_numbers_side_by_side(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", [0.0] * 5 + [0.5] * 10)
    records = [
        {
            "step": 1,
            "validation/mean": 0.25,
            "validation/math": 0.5,
            "validation/sort/1": 1.0,
            "validation/sort/2": 0.4,
        },
        {"step": 2, "validation/mean": 0.75, "validation/sort/1": 0.5, "validation/add/1": 0.0},
        {"step": 3, "validation/mean": 0.5, "tokens/generated": 1500, "seconds/step": 61.0},
    ]
    two = make_run(tmp_path / "two", [0.0])
    write_lines(two / "metrics.jsonl", records)
    write_lines(two / "events.jsonl", [{"step": 1, "event": "reset"}, {"step": 2, "event": "phase"}])
    text = page_of([one, two], tmp_path)
    found = rows(text)
    assert found["steps"] == ["15", "3"]
    assert found["resets"] == ["0", "1"]
    assert found["phases begun"] == ["1", "2"]
    # The last ten of fifteen.
    assert found["training score"] == ["0.5", ""]
    assert found["validation, first"] == ["", "0.25"]
    assert found["validation, best"] == ["", "0.75 (step 2)"]
    assert found["validation, last"] == ["", "0.5"]
    assert found["validation of math, last"] == ["", "0.5"]
    assert found["levels solved, last validation"] == ["", "1 of 3"]
    assert found["tokens generated"] == ["", "1.50k"]
    assert found["time in steps"] == ["", "1m01s"]
    assert "entropy" not in found
    assert (found["add"], found["sort"]) == (["", "0 of 1"], ["", "1 of 2"])


def test_options_that_differ(tmp_path: Path) -> None:
    config = '[train]\nsteps = 3\nseed = {}\n[[phases]]\nname = "a"\n[phases.rollouts]\ngroup_size = {}\n'
    folders = [make_run(tmp_path / str(size), [0.5], config.format(7, size)) for size in (8, 16)]
    found = rows(page_of(folders, tmp_path))
    assert found["phases[0].rollouts.group_size"] == ["8", "16"]
    assert "train.seed" not in found
    assert "train.steps" not in found
    assert "Options that differ" in page_of(folders, tmp_path)


def test_flat_tables_and_their_differences() -> None:
    table = {"a": {"b": 1, "c": [1, 2]}, "d": [{"e": True}, {"e": "x"}], "f": {}}
    assert dict(flatten(table)) == {"a.b": "1", "a.c": "[1, 2]", "d[0].e": "True", "d[1].e": "x", "f": "{}"}
    flat = {"one": {"a": "1", "b": "2"}, "two": {"a": "1", "c": "3"}, "three": {"a": "1", "b": "2"}}
    assert differences(flat) == {"b": ["2", None, "2"], "c": [None, "3", None]}


def test_verdicts_side_by_side_where_they_were_measured(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name, [0.5]) for name in ("a", "b", "c")]
    for folder, verdicts in zip(folders, (["expanded", "unsolved", "expanded"], ["unsolved"]), strict=False):
        levels = [{"family": "sort", "level": number, "verdict": verdict} for number, verdict in enumerate(verdicts)]
        boundary = {"summary": {"k": 8, "rules": {}}, "levels": levels}
        (folder / "boundary.json").write_text(json.dumps(boundary))
    found = rows(page_of(folders, tmp_path))
    assert found["expanded"] == ["2", "0", ""]
    assert found["unsolved"] == ["1", "1", ""]
    assert found["measured"] == ["3 levels, k 8", "1 levels, k 8", "not measured"]


def test_names_are_told_apart(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name, [0.5]) for name in ("x/run", "y/run", "z/<other>")]
    text = page_of(folders, tmp_path)
    assert "<title>x/run | y/run | &lt;other&gt;</title>" in text
    assert "<script" not in text
    assert "script-src" not in text


def test_broken_folders_are_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = make_run(tmp_path / "good", [0.5])
    empty, broken = make_run(tmp_path / "empty", []), make_run(tmp_path / "broken", [0.5])
    (broken / "boundary.json").write_text("{")
    out = tmp_path / "out.html"
    arguments = Namespace(runs=[str(tmp_path / name) for name in ("good", "empty", "broken", "no")], watch=None)
    arguments.out = str(out)
    assert run(arguments) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    lines = told.err.splitlines()
    assert [line.startswith("prorl: left out: ") for line in lines] == [True] * 3
    assert (str(empty) in lines[0], "boundary.json" in lines[1], str(tmp_path / "no") in lines[2]) == (True, True, True)
    assert out.read_text().count("<li>left out: ") == 3
    with pytest.raises(UserError, match="none of the 2 runs can be read; the first: run folder"):
        write_comparison([empty, tmp_path / "no"], out)
    assert good.name in out.read_text()


def test_nothing_but_a_comparison_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [make_run(tmp_path / name, [0.5]) for name in ("a", "b")]
    other = tmp_path / "comparison.html"
    other.write_text("my own page")
    with pytest.raises(UserError, match=r"comparison\.html: is there and is no comparison page; name another file"):
        write_comparison(folders, tmp_path)
    assert other.read_text() == "my own page"
    other.unlink()
    path, _ = write_comparison(folders, tmp_path)
    before = path.stat().st_ino
    assert write_comparison(folders, path)[0] == path
    assert path.stat().st_ino != before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b", "comparison.html"]
    monkeypatch.chdir(tmp_path / "a")
    assert run(Namespace(runs=["../a", "../b"], watch=None, out="")) == 0
    assert (tmp_path / "a" / "comparison.html").exists()


def test_what_is_refused(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / str(number), [0.5]) for number in range(9)]
    for wrong, count in (([folders[0], tmp_path / "0/../0"], 1), (folders, 9)):
        with pytest.raises(UserError, match=f"^{count} different runs: a comparison is of 2 to 8"):
            write_comparison(wrong, tmp_path)
    with pytest.raises(UserError, match="is not there; make it or name another"):
        write_comparison(folders[:2], tmp_path / "no" / "page.html")
    with pytest.raises(UserError, match="--out x: is for comparisons"):
        run(Namespace(runs=[str(folders[0])], watch=None, out="x"))
    assert not (tmp_path / "comparison.html").exists()


def test_eight_runs_have_eight_colours(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / str(number), [number / 8]) for number in range(8)]
    score = chart(page_of(folders, tmp_path), "Score while training")
    assert [f'class="line c{number}"' in score for number in range(9)] == [True] * 8 + [False]
