"""Which rollouts the report shows, and how much of them."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from prorl.errors import UserError
from prorl.report.samples import MAX_CHARACTERS, choose, sample_section, text_block
from prorl.report.timeline import Mark, Timeline


def sample(step: int, **more: object) -> dict:
    return {"step": step, "prompt": f"p{step}", "response": "r", "score": 1.0, "outcome": "correct", **more}


def write(path: Path, records: list[dict], tail: str = "") -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)
    return path


def reasoned(chosen: dict[int, list[str]]) -> dict[int, list[str]]:
    return {step: reasons for step, reasons in chosen.items() if reasons}


def test_start_middle_end_and_around_what_happened() -> None:
    marks = (Mark(30, "reset", ""), Mark(60, "phase", ""), Mark(500, "reset", "after the end"))
    chosen = choose(range(1, 101), Timeline(1, 100, marks))
    assert reasoned(chosen) == {
        1: ["start"],
        25: ["1/4 of the run"],
        30: ["before a reset"],
        31: ["after a reset"],
        50: ["2/4 of the run"],
        61: ["new phase"],
        75: ["3/4 of the run"],
        100: ["end"],
    }
    # And others, evenly, to 60 in all: of 92 others every second one or its neighbour.
    assert len(chosen) == 60
    assert list(chosen) == sorted(chosen)
    assert max(after - before for before, after in pairwise(chosen)) <= 3
    # Where a step has no samples, the next one that has.
    assert list(choose([10, 40, 90], Timeline(1, 100, marks))) == [10, 40, 90]
    assert choose([7], Timeline(1, 100)) == {7: ["start", "end"]}


def test_many_resets_and_phases_are_thinned() -> None:
    marks = tuple(Mark(step, "reset", "") for step in range(100, 1600, 100))
    marks += tuple(Mark(step, "phase", "") for step in range(150, 1250, 100))
    chosen = choose(range(1, 1801), Timeline(1, 1800, marks))
    before = [step for step, reasons in chosen.items() if "before a reset" in reasons]
    assert before == [100, 300, 500, 700, 900, 1100, 1300, 1500]
    assert [step for step, reasons in chosen.items() if "new phase" in reasons] == [151, 351, 551, 751, 951, 1151]
    assert len(chosen) == 60


def test_the_steps_are_folded_and_the_first_and_last_are_open(tmp_path: Path) -> None:
    records = [sample(step, outcome="wrong" if number else "correct") for step in (1, 2, 3) for number in range(6)]
    path = write(tmp_path / "samples.jsonl", records, tail='{"step": 4, "prom')
    text = sample_section(path, Timeline(1, 3))
    # Four of a step at most; the torn line is none.
    assert text.count("<article ") == 3 * 4
    heads = [part.split("</summary>")[0] for part in text.split("<summary>")[1:]]
    assert heads == [
        "<b>step 1</b> start: 1 correct, 3 wrong",
        "<b>step 2</b> 2/4 of the run: 1 correct, 3 wrong",
        "<b>step 3</b> end: 1 correct, 3 wrong",
    ]
    assert [part[:5] for part in text.split('<details class="step"')[1:]] == [" open", "><sum", " open"]


def test_facts_of_a_rollout(tmp_path: Path) -> None:
    full = sample(1, domain="logic", task="sort", level=9, position=7, advantage=-0.5, detail="<too> long")
    path = write(tmp_path / "samples.jsonl", [full, {"step": 1}])
    text = sample_section(path, Timeline(1, 1))
    for fact in ("logic sort level 9", "score 1", "advantage -0.5", "position 7", "&lt;too&gt; long"):
        assert f"<span>{fact}</span>" in text
    assert "1 correct, 1 no verdict" in text


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = "a" * 30 + "b" * 1000 + "c" * 20
    assert text_block(text, (30, 20)) == f"<pre>{'a' * 30}\n[1000 characters left out]\n{'c' * 20}</pre>"
    assert text_block(text, (1030, 20)) == f"<pre>{text}</pre>"
    assert text_block(None, (5, 5)) == "<pre>None</pre>"


def test_a_file_larger_than_what_is_shown_of_it(tmp_path: Path) -> None:
    records = [sample(step, prompt="<" * 5000, response="&" * 50_000) for step in range(1, 201) for _ in range(4)]
    marks = tuple(Mark(step, "reset", "") for step in range(10, 200, 10))
    text = sample_section(write(tmp_path / "samples.jsonl", records), Timeline(1, 200, marks))
    assert text.count("<article ") == 60 * 4
    # 2000 and 4000 characters of 4 and of 5 when escaped are 28 kB, 6.7 MB in all; at an eighth it is below 1.5 MB.
    assert "[4751 characters left out]" in text
    assert "[49501 characters left out]" in text
    assert 240 * (249 * 4 + 499 * 5) < len(text) < MAX_CHARACTERS + 20_000


def test_what_can_be_chosen_is_counted(tmp_path: Path) -> None:
    records = [sample(1, task="sort"), sample(1, task="a<b", outcome="wrong"), sample(2, task="sort", outcome="odd")]
    text = sample_section(write(tmp_path / "samples.jsonl", records), Timeline(1, 2))
    pager = text.partition('<div id="pager" hidden>')[2].partition("</div>")[0]
    options = [part.partition("</option>")[0] for part in pager.split("<option ")[1:]]
    assert options == [
        'value="">all',
        'value="0">correct (1)',
        'value="2">wrong (1)',
        'value="6">other (1)',
        'value="">all',
        'value="0">a&lt;b (1)',
        'value="1">sort (2)',
        'value="">all',
        'value="1">1 start (2)',
        'value="2">2 end (1)',
    ]
    marks = [part.partition(">")[0] for part in text.split("<article ")[1:]]
    assert marks == [
        'data-verdict="0" data-task="1" data-step="1"',
        'data-verdict="2" data-task="0" data-step="1"',
        'data-verdict="6" data-task="1" data-step="2"',
    ]


def test_a_line_that_only_begins_well_is_named_when_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(json.dumps(sample(1)).encode() + b'\n{"step": 2, oh}\n')
    with pytest.raises(UserError, match=r"samples\.jsonl, the line at byte \d+: not a JSON object"):
        sample_section(path, Timeline(1, 2))


@pytest.mark.parametrize("line", ["{", "3", "[]", '"x"', "\xff"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(json.dumps(sample(1)).encode() + b"\n" + line.encode("latin-1") + b"\n")
    with pytest.raises(UserError, match=r"samples\.jsonl, line 2: not a JSON object"):
        sample_section(path, Timeline(1, 1))


def test_without_samples_there_is_no_section(tmp_path: Path) -> None:
    assert sample_section(tmp_path / "samples.jsonl", Timeline(1, 1)) == ""
    assert sample_section(write(tmp_path / "samples.jsonl", [{"step": "x"}]), Timeline(1, 1)) == ""
