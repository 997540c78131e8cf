"""Which rollouts the report shows, and how much of them."""

import json
from pathlib import Path

import pytest

from prorl.errors import UserError
from prorl.report.samples import choose, sample_section, text_block
from prorl.report.timeline import Mark, Timeline


def sample(step: int, **more: object) -> dict:
    return {"step": step, "prompt": f"p{step}", "response": "r", "score": 1.0, "outcome": "correct", **more}


def write(path: Path, records: list[dict], tail: str = "") -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)
    return path


def test_start_middle_end_and_around_what_happened() -> None:
    marks = (Mark(30, "reset", ""), Mark(60, "phase", ""), Mark(500, "reset", "after the end"))
    assert choose(range(1, 101), Timeline(1, 100, marks)) == {
        1: ["start"],
        25: ["1/4 of the run"],
        30: ["before a reset"],
        31: ["after a reset"],
        50: ["2/4 of the run"],
        61: ["new phase"],
        75: ["3/4 of the run"],
        100: ["end"],
    }
    # Where a step has no samples, the next one that has.
    assert list(choose([10, 40, 90], Timeline(1, 100, marks))) == [10, 40, 90]
    assert choose([7], Timeline(1, 100)) == {7: ["start", "end"]}


def test_many_resets_and_phases_are_thinned() -> None:
    marks = tuple(Mark(step, "reset", "") for step in range(100, 1100, 100))
    marks += tuple(Mark(step, "phase", "") for step in range(150, 1150, 100))
    chosen = choose(range(1, 1201), Timeline(1, 1200, marks))
    before = [step for step, reasons in chosen.items() if "before a reset" in reasons]
    assert before == [100, 400, 700, 1000]
    assert [step for step, reasons in chosen.items() if "new phase" in reasons] == [151, 551, 1051]


def test_the_steps_are_folded_and_the_first_and_last_are_open(tmp_path: Path) -> None:
    records = [sample(step, outcome="wrong" if number else "correct") for step in (1, 2, 3) for number in range(6)]
    path = write(tmp_path / "samples.jsonl", records, tail='{"step": 4, "prom')
    text = sample_section(path, Timeline(1, 3))
    # Four of a step at most; the torn line is none.
    assert text.count("<article>") == 3 * 4
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
    # At most 2 + 3 + 8 steps of 4 rollouts of 2000 and 4000 characters, each at most 6 when it is escaped.
    assert text.count("<article>") == 13 * 4
    assert len(text) < 13 * 4 * (2000 * 4 + 4000 * 5 + 1000)


@pytest.mark.parametrize("line", ["{", "3", "[]", '"x"', "\xff"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_bytes(json.dumps(sample(1)).encode() + b"\n" + line.encode("latin-1") + b"\n")
    with pytest.raises(UserError, match=r"samples\.jsonl, line 2: not a JSON object"):
        sample_section(path, Timeline(1, 1))


def test_without_samples_there_is_no_section(tmp_path: Path) -> None:
    assert sample_section(tmp_path / "samples.jsonl", Timeline(1, 1)) == ""
    assert sample_section(write(tmp_path / "samples.jsonl", [{"step": "x"}]), Timeline(1, 1)) == ""
