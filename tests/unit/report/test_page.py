"""The report of whole, partial and hostile run folders."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from prorl.errors import UserError
from prorl.report.page import write_report

KNOWN = """html head meta title style body section h1 h2 h3 p div span b i small ul li details summary figure figcaption
    svg text line polyline polygon circle table thead tbody tr th td article header pre | lang charset http-equiv
    content name class style viewbox role aria-label points cx cy r x y x1 x2 y1 y2 colspan"""
TAGS, ATTRIBUTES = (part.split() for part in KNOWN.split("|"))
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)></pre></style></title> \u202e \ud800 \x1b[2J & {{x}}"
)


class Page(HTMLParser):
    """A strict reader: balanced tags, known names, nothing that runs or fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, f"{tag} {name}"
            assert "url(" not in (value or "")
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.open and {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data


def write_lines(path: Path, records: list[dict], tail: str = "") -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)


def boundary(family: str) -> dict:
    numbers = {"pass@1": 0.25, "pass@4": 0.5, "tolerant/pass@1": 0.25, "tolerant/pass@4": 0.75, "well_formed": 1.0}
    level = {"family": family, "level": 9, "num_problems": 20, "num_samples": 4, "trained_on": False}
    level |= {"base": numbers, "trained": {**numbers, "pass@1": 0.875}, "verdict": "expanded"}
    other = {**level, "family": "other", "verdict": "unsolved", "trained_on": True}
    summary = {"k": 4, "expanded_levels": [f"{family}/9"], "rules": {"expanded": family}}
    return {"summary": summary, "levels": [other, level]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "my run"
    run.mkdir()
    records = [
        {"step": 1, "score/mean": 0.25, "score/math": 0.25, "validation/mean": 0.5, "validation/sort/9": 0.125},
        {"step": 2, "score/mean": 0.75, "entropy": 0.5, "seconds/rollout": 1.0, "seconds/step": 61.0},
        {"step": 3, "validation/mean": 0.25, "validation/sort/9": 0.5, "validation/sort/10": 0.0},
        {"step": 4, "validation/mean": 0.375, "validation/sort/9": 0.25, "tokens/generated": 12345},
    ]
    write_lines(run / "metrics.jsonl", records, tail='{"step": 5, "sco')
    return run


def test_numbers_of_a_run(folder: Path) -> None:
    events = [
        {"step": 2, "event": "reset", "trigger": "stagnation", "best": 0.51234567},
        {"step": 3, "event": "timeout"},
        {"step": 3, "event": "timeout"},
    ]
    write_lines(folder / "events.jsonl", events)
    (folder / "boundary.json").write_text(json.dumps(boundary("sort")))
    (folder / "config.toml").write_text('name = "x & y"')
    path = write_report(folder)
    assert path == folder / "report.html"
    text = path.read_text()
    assert not list(folder.glob("*.tmp"))
    page = Page(text)
    # Levels in numeric order: 9 then 10; the last value, then the first and the best.
    assert ["family", "9", "10"] in page.cells
    assert ["sort", "0.250.12, best 0.50", "0.000.00, best 0.00"] in page.cells
    assert ["2", "reset", "trigger stagnation, best 0.5123"] in page.cells
    assert "Verifier time-outs: 2." in page.text
    assert ["sort/9", "expanded", "0.25", "0.50", "0.75", "0.88", "0.50", "1.00", "1.00", "no"] in page.cells
    assert "1 other levels" in page.text
    assert 'name = "x & y"' in page.text
    cards = text[text.index('<div class="cards">') : text.index("<section>")]
    values = [part.split("</b>")[0] for part in cards.split("<b>")[1:]]
    # Steps, mean score, last and best validation, expanded, resets, tokens, time.
    assert values == ["4", "0.500", "0.375", "0.500", "1 of 2", "1", "12.3k", "1m01s"]
    assert "step 2: reset, stagnation" in text
    assert "Content-Security-Policy" in text


def test_a_run_of_one_step_and_nothing_else(tmp_path: Path) -> None:
    write_lines(tmp_path / "metrics.jsonl", [{"step": 1}])
    page = Page(write_report(tmp_path).read_text())
    assert "Events" not in page.text
    assert "Sample rollouts" not in page.text
    assert "Reasoning boundary" not in page.text


@pytest.mark.parametrize("content", [None, "", '{"step": 1, "sc'])
def test_a_run_without_a_step_is_refused_in_one_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(UserError, match=r"metrics\.jsonl is missing or has no complete step") as caught:
        write_report(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run folder"):
        write_report(tmp_path / "none")


@pytest.mark.parametrize("name", ["boundary.json", "samples.jsonl"])
def test_a_damaged_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("{\n")
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        write_report(folder)


def test_a_damaged_number_costs_its_point_only(folder: Path) -> None:
    with (folder / "metrics.jsonl").open("w") as file:
        file.write(
            '{"step": 1, "entropy": NaN, "score/mean": 0.5}\n{"step": 2, "entropy": "x", "score/mean": Infinity}\n'
        )
    text = write_report(folder).read_text()
    assert "Entropy" not in text
    assert "<b>0.500</b><span>score, last 1 steps</span>" in text


def test_first_and_last_samples(folder: Path) -> None:
    records = [
        {"step": step, "position": 7, "prompt": f"p{step}", "response": "r", "score": 1.0, "outcome": "correct"}
        for step in range(1, 101)
    ]
    write_lines(folder / "samples.jsonl", records, tail='{"step": 101')
    page = Page(write_report(folder).read_text())
    shown = [int(text[1:]) for text in page.text if text[:1] == "p" and text[1:].isdigit()]
    # A torn last line takes one of the sixteen places.
    assert shown == [1, 2, 3, 4, *range(86, 101)]


def test_a_long_response_is_cut(folder: Path) -> None:
    sample = {"step": 1, "prompt": "p", "response": "x" * 100_000, "score": 0.0, "outcome": "wrong"}
    write_lines(folder / "samples.jsonl", [sample])
    text = write_report(folder).read_text()
    assert "x" * 6000 + "\n[94000 more characters]" in text
    assert len(text) < 60_000


def test_nothing_hostile_gets_out_of_its_place(tmp_path: Path) -> None:
    run = tmp_path / "<img src=x onerror=alert(1)>"
    run.mkdir()
    metrics = {"step": 1, f"score/{HOSTILE.replace('/', '')}": 0.5, f"validation/{HOSTILE}/3": 0.5}
    write_lines(run / "metrics.jsonl", [metrics, {**metrics, "step": 2}])
    event = {"trigger": HOSTILE, HOSTILE: HOSTILE, "to": HOSTILE}
    events = [{"step": step, "event": kind, **event} for step, kind in ((1, "reset"), (2, "phase"), (2, HOSTILE))]
    write_lines(run / "events.jsonl", events)
    fields = ("prompt", "response", "outcome", "detail", "position", "score", "advantage")
    write_lines(run / "samples.jsonl", [{"step": HOSTILE, **dict.fromkeys(fields, HOSTILE)}])
    (run / "boundary.json").write_text(json.dumps(boundary(HOSTILE)))
    (run / "config.toml").write_bytes(HOSTILE.encode("utf-8", "surrogatepass"))
    text = write_report(run).read_text(encoding="utf-8")
    page = Page(text)
    told = HOSTILE.replace("\u202e", "\\u202e").replace("\ud800", "\\ud800").replace("\x1b", "\\x1b")
    # Alone in its element: prompt, response, outcome, detail, event kind, task family. A file has no surrogates.
    assert page.text.count(told) == 6
    assert told.replace("\\ud800", "\ufffd" * 3) in page.text
    assert "step 1: reset, " + told in page.text
    assert not {"\x1b", "\u202e"} & set(text)
    assert "<img" not in text
