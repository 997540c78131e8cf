"""From raw files to a clean file with its manifest: counts, gold answers, samples, formats, refusals."""

import hashlib
import json
from typing import ClassVar

import pyarrow.parquet
import pytest

import raw_rows as raw
from prorl.config import Source
from prorl.datasets.cleaning import Options
from prorl.datasets.gold import GoldCheck
from prorl.datasets.meter import Meter
from prorl.datasets.output import write_verl
from prorl.datasets.request import Request, prepare_request
from prorl.errors import UserError
from prorl.prompts.sources import read_rows
from prorl.records import Prompt, Score

OPTIONS = {"limit", "seed", "gold_check", "skip_bad_rows", "max_prompt_characters"}


class Screen:
    """A stream that is a terminal or not."""

    def __init__(self, terminal=False):
        self.text, self._terminal = "", terminal

    def isatty(self):
        return self._terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def prepare(name, ask=input, screen=None, **fields):
    options = Options(**{key: fields.pop(key) for key in OPTIONS & fields.keys()})
    request = Request(name=name, options=options, **fields)
    return prepare_request(request, Meter(screen or Screen()), ask)


def problems(path, count):
    rows = [{"problem": f"What is {n} + {n}?", "answer": str(2 * n), "solution": ""} for n in range(count)]
    return str(raw.write_lines(path, rows))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_source_with_its_manifest(tmp_path):
    """Five rows: two kept, one near duplicate, one without an answer, one whose braces do not balance."""
    source = raw.write_lines(tmp_path / "deepscaler.jsonl", raw.DEEPSCALER)
    out = tmp_path / "data" / "math.jsonl"
    (entry,) = prepare("deepscaler", source=str(source), out=str(out)).values()
    assert [row["answer"] for row in lines(out)] == ["55", "\\frac{3}{4}"]
    manifest = json.loads((tmp_path / "data" / "math.jsonl.manifest.json").read_text())
    assert manifest == {"files": {"math.jsonl": json.loads(json.dumps(entry))}}
    assert entry["rows"] == {"read": 5, "kept": 2, "dropped": {"near duplicate": 1, "no answer": 1, "unusable": 1}}
    assert entry["gold"] == {"verified": 2, "unknown": 0}
    assert entry["output"]["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    (given,) = entry["request"]["inputs"]
    assert given["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert entry["licence"] == "MIT"
    assert sorted(path.name for path in out.parent.iterdir()) == ["math.jsonl", "math.jsonl.manifest.json"]


def test_the_same_request_is_done_once_and_another_is_refused(tmp_path):
    source, out = problems(tmp_path / "raw.jsonl", 5), tmp_path / "out.jsonl"
    first = prepare("deepscaler", source=source, out=str(out), gold_check=False)
    written = out.stat().st_mtime_ns
    screen = Screen()
    again = prepare("deepscaler", source=source, out=str(out), gold_check=False, screen=screen)
    assert again == json.loads(json.dumps(first))
    assert "prepared already, 5 rows" in screen.text
    assert out.stat().st_mtime_ns == written
    with pytest.raises(UserError, match="exists, made otherwise; remove it, choose another name, or use --overwrite"):
        prepare("deepscaler", source=source, out=str(out), gold_check=False, seed=1, limit=2)
    prepare("deepscaler", source=source, out=str(out), gold_check=False, limit=2, overwrite=True)
    assert len(lines(out)) == 2
    out.write_text("changed by hand\n")
    with pytest.raises(UserError, match="exists, made otherwise"):
        prepare("deepscaler", source=source, out=str(out), gold_check=False, limit=2)


def test_gold_answers_that_do_not_verify_are_dropped(tmp_path):
    """`12 km` is no tuple of numbers, `[1` is read by nobody: what the verifier does not accept is counted."""
    rows = [
        {"problem": "One?", "answer": "1", "solution": ""},
        {"problem": "Which?", "answer": "No \\boxed{x}, or \\boxed{y}", "solution": ""},
        {"problem": "Two?", "answer": "2", "solution": ""},
    ]
    source = raw.write_lines(tmp_path / "raw.jsonl", rows)
    (entry,) = prepare("deepscaler", source=str(source), out=str(tmp_path / "out.jsonl")).values()
    assert lines(tmp_path / "out.jsonl")[0]["answer"] == "1"
    dropped = sum(count for reason, count in entry["rows"]["dropped"].items() if reason.startswith("gold answer"))
    assert entry["gold"]["verified"] + dropped == 3
    (entry,) = prepare("deepscaler", source=str(source), out=str(tmp_path / "all.jsonl"), gold_check=False).values()
    assert (entry["rows"]["kept"], entry["gold"]) == (3, {"verified": 0, "unknown": 3})


class FakePool:
    """Accepts every answer but those that hold a word."""

    judged: ClassVar[list[str]] = []

    def __init__(self, **options):
        pass

    def verify(self, items):
        FakePool.judged += [prompt.answer for prompt, _ in items]
        return [(self._score(prompt.answer),) for prompt, _ in items]

    @staticmethod
    def _score(answer):
        outcomes = {"half": Score(0.5, "partial"), "bad": Score(0.0, "wrong"), "err": Score(0.0, "error", "broken")}
        return outcomes.get(answer, Score(1.0, "correct"))

    def close(self):
        pass


@pytest.fixture
def pool(monkeypatch):
    FakePool.judged = []
    monkeypatch.setattr("prorl.datasets.gold.VerifierPool", FakePool)
    return FakePool


def test_only_a_full_score_passes_and_verdicts_are_kept(tmp_path, pool):
    prompts = [Prompt(str(n), "math", "t", f"{n}?", answer) for n, answer in enumerate(["1", "half", "bad", "err"])]
    expected = ["correct", "partial", "wrong", "error"]
    with GoldCheck(tmp_path / "gold.jsonl", workers=1, sandbox="auto") as check:
        assert check.outcomes(prompts) == expected
    journal = tmp_path / "gold.jsonl"
    journal.write_bytes(journal.read_bytes()[:-4])  # the kill came within the last line
    pool.judged.clear()
    with GoldCheck(journal, workers=1, sandbox="auto") as check:
        assert check.outcomes(prompts) == expected
        assert pool.judged == ["err"]
        assert check.outcomes([Prompt("9", "code", "t", "?", "{}")]) == ["unknown"]
    with (
        GoldCheck(tmp_path / "none.jsonl", workers=1, sandbox="auto") as check,
        pytest.raises(UserError, match=r"gold answers cannot be judged \(broken\); --no-gold-check leaves that out"),
    ):
        check.outcomes(prompts[3:])


def test_a_limit_draws_by_seed_and_judges_no_more_than_it_takes(tmp_path, pool):
    source = problems(tmp_path / "raw.jsonl", 2000)
    drawn = {}
    for seed in (0, 1):
        out = tmp_path / f"{seed}.jsonl"
        (entry,) = prepare("deepscaler", source=source, out=str(out), limit=300, seed=seed).values()
        drawn[seed] = [int(row["id"].partition("/")[2]) for row in lines(out)]
        assert entry["rows"]["dropped"] == {"not drawn": 1700}
    assert len(pool.judged) == 2 * 512  # batches of 256
    assert len(drawn[0]) == 300
    assert drawn[0] == sorted(drawn[0])
    assert len(set(drawn[0]) & set(drawn[1])) < 100  # 45 are expected
    assert 850 < sum(drawn[0]) / 300 < 1150  # mean 999.5, standard error 31
    prepare("deepscaler", source=source, out=str(tmp_path / "a.jsonl"), limit=300)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "0.jsonl").read_bytes()


def test_rows_whose_gold_fails_are_replaced_by_others_up_to_the_limit(tmp_path, pool):
    rows = [{"problem": f"{n}?", "answer": "bad" if n % 2 else "1", "solution": ""} for n in range(100)]
    source = raw.write_lines(tmp_path / "raw.jsonl", rows)
    (entry,) = prepare("deepscaler", source=str(source), out=str(tmp_path / "o.jsonl"), limit=40).values()
    dropped = entry["rows"]["dropped"]
    assert entry["rows"]["kept"] == 40
    assert 40 + dropped["gold answer not accepted (wrong)"] + dropped["not drawn"] == 100
    assert 25 < dropped["gold answer not accepted (wrong)"] <= 50


def test_training_rows_that_overlap_prepared_suites_are_dropped(tmp_path):
    problem = raw.AIME24[0]["problem"]
    suite = raw.write_lines(tmp_path / "aime.jsonl", raw.AIME24)
    rows = [{"problem": problem + " Say.", "answer": "1", "solution": ""}, {"problem": "New?", "answer": "2"}]
    source = str(raw.write_lines(tmp_path / "raw.jsonl", rows))
    data = tmp_path / "data"
    prepare("aime24", source=str(suite), out=str(data / "validation" / "aime_2024.jsonl"), gold_check=False)

    def answers(name, **fields):
        (entry,) = prepare("deepscaler", source=source, out=str(data / name), gold_check=False, **fields).values()
        return [row["answer"] for row in lines(data / name)], entry

    kept, entry = answers("clean.jsonl")
    assert kept == ["2"]
    assert entry["overlaps"] == {"rows": {"aime_2024": 1}, "examples": {"aime_2024": ["deepscaler/0"]}}
    assert entry["rows"]["dropped"] == {"overlaps a suite": 1}
    assert [pair[0] for pair in entry["request"]["against"]] == ["aime_2024"]
    assert answers("named.jsonl", against=("aime_2024",))[0] == ["2"]
    assert answers("all.jsonl", decontaminate=False)[0] == ["1", "2"]
    with pytest.raises(
        UserError, match=r"--against amc: no such file, and no .*amc.jsonl .*; prepare that suite first"
    ):
        answers("x.jsonl", against=("amc",))


def test_own_rows_in_their_own_form_and_with_a_map_of_columns(tmp_path):
    rows = [
        {"id": "a", "domain": "math", "task": "sums", "prompt": "1 + 1?", "answer": 2, "metadata": {"level": 3}},
        {"domain": "math", "prompt": [{"role": "user", "content": "1 + 2?"}], "answer": "3"},
    ]
    mine = raw.write_lines(tmp_path / "mine.jsonl", rows)
    prepare(str(mine), out=str(tmp_path / "o.jsonl"))
    assert lines(tmp_path / "o.jsonl") == [rows[0], rows[1] | {"id": "mine/1"}]
    (tmp_path / "table.csv").write_text("question,gold,noise\n1 + 1?,2,x\n1 + 2?,3,y\n")
    columns = "prompt=question,answer=gold"
    prepare(str(tmp_path / "table.csv"), out=str(tmp_path / "t.jsonl"), columns=columns, domain="math")
    first = {"id": "table/0", "domain": "math", "prompt": "1 + 1?", "answer": "2"}
    assert lines(tmp_path / "t.jsonl")[0] == first


@pytest.mark.parametrize("messages", [False, True])
def test_parquet_holds_what_json_lines_hold(tmp_path, messages):
    rows = [
        {
            "id": "a",
            "domain": "math",
            "task": "t",
            "prompt": "1 + 1?",
            "answer": "2",
            "metadata": {"level": 3, "x": [1]},
        },
        {
            "id": "b",
            "domain": "math",
            "task": "t",
            "prompt": "\N{GREEK SMALL LETTER PI}?",
            "answer": "3",
            "verifier": "math",
        },
    ]
    if messages:
        rows[1]["prompt"] = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "1 + 2?"}]
    mine = raw.write_lines(tmp_path / "mine.jsonl", rows)
    for suffix in ("jsonl", "parquet"):
        prepare(str(mine), out=str(tmp_path / f"o.{suffix}"), gold_check=False)
    from_lines, from_columns = (read_rows(Source(source=str(tmp_path / f"o.{s}"))) for s in ("jsonl", "parquet"))
    for one, other in zip(from_lines, from_columns, strict=True):
        assert (one.id, one.text, one.answer, one.verifier) == (other.id, other.text, other.answer, other.verifier)
        assert dict(one.metadata) == dict(other.metadata)
    assert from_columns[1].content == from_lines[1].content


def test_export_to_verl(tmp_path):
    metadata = {"source": "deepscaler", "level": 2}
    prompts = [Prompt("a", "math", "t", "1 + 1?", "2", metadata), Prompt("b", "code", "t", "Sum.", "{}")]
    write_verl(tmp_path / "v.parquet", prompts, "train")
    first, second = pyarrow.parquet.read_table(tmp_path / "v.parquet").to_pylist()
    info = first.pop("extra_info")
    assert first == {
        "data_source": "deepscaler",
        "prompt": [{"role": "user", "content": "1 + 1?"}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "2"},
    }
    assert (info["index"], info["split"], info["domain"]) == (0, "train", "math")
    assert json.loads(info["metadata"]) == metadata
    assert (second["data_source"], second["extra_info"]["index"]) == ("t", 1)


def test_a_licence_that_forbids_commercial_use_needs_a_yes(tmp_path, monkeypatch):
    source = str(raw.write_lines(tmp_path / "scp.jsonl", raw.SCP))
    fields = {"source": source, "out": str(tmp_path / "o.jsonl"), "gold_check": False}
    with pytest.raises(UserError, match=r"CC-BY-NC-SA-4.0: not for commercial use; --accept-licence"):
        prepare("scp_116k", ask=lambda text: "y", **fields)
    monkeypatch.setattr("sys.stdin", Screen(terminal=True))
    with pytest.raises(UserError, match="not for commercial use"):
        prepare("scp_116k", ask=lambda text: "", **fields)
    assert not (tmp_path / "o.jsonl").exists()
    prepare("scp_116k", ask=lambda text: "Yes", **fields)
    prepare("scp_116k", accept_licence=True, **fields | {"out": str(tmp_path / "p.jsonl")})


REFUSED = {
    "unknown": ({"name": "deepscalar"}, "data set deepscalar: must be one of deepscaler, .*prorl, or a file of rows"),
    "no such file": ({"name": "x/rows.jsonl", "out": "o.jsonl"}, "x/rows.jsonl: no such file"),
    "suffix": ({"name": "deepscaler", "out": "o.txt"}, r"--out o.txt: must end in .jsonl or .parquet"),
    "columns of a data set": ({"name": "deepscaler", "columns": "prompt=q"}, "--columns: only for a file of your own"),
    "column": ({"name": "FILE", "out": "o.jsonl", "columns": "query=q"}, "--columns query=q: must be FIELD=COLUMN"),
    "no prompt": ({"name": "FILE", "out": "o.jsonl", "columns": "answer=a"}, "names no column for the prompt"),
    "no out": ({"name": "FILE"}, "needs --out"),
    "onto itself": ({"name": "FILE", "out": "FILE"}, "is the file to read"),
    "from for a file": (
        {"name": "FILE", "out": "o.jsonl", "source": "x"},
        "--from and --revision: only for a data set",
    ),
    "missing column": (
        {"name": "FILE", "out": "o.jsonl", "columns": "prompt=q"},
        r"FILE:1: no column q \(the prompt\)",
    ),
    "unknown field": ({"name": "FILE", "out": "o.jsonl"}, "FILE:1: unknown field surprise"),
    "both": (
        {"name": "deepscaler", "source": "FILE", "out": "o.jsonl", "against": ("x",), "decontaminate": False},
        "exclude",
    ),
    "mixture into a file": ({"name": "prorl", "out": "o.jsonl", "accept_licence": True}, "must be a folder"),
    "mixture": ({"name": "prorl", "source": ".", "accept_licence": True}, "--from .: lacks aime24, eurus_code, gpqa"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused_before_anything_is_written(tmp_path, monkeypatch, case):
    fields, words = REFUSED[case]
    file = str(
        raw.write_lines(tmp_path / "rows.jsonl", [{"prompt": "1?", "domain": "math", "answer": "1", "surprise": 1}])
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words.replace("FILE", file)) as error:
        prepare(**{name: file if value == "FILE" else value for name, value in fields.items()})
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("o.jsonl"))


def test_nothing_left_is_an_error_with_the_counts(tmp_path):
    source = raw.write_lines(tmp_path / "raw.jsonl", [{"problem": "P?", "answer": ""}] * 3)
    with pytest.raises(UserError, match=r"deepscaler: no row is left of 3 \(no answer 3\)"):
        prepare("deepscaler", source=str(source), out=str(tmp_path / "o.jsonl"))


def test_long_prompts_are_dropped_when_asked(tmp_path):
    rows = [{"problem": "short?", "answer": "1"}, {"problem": "long " * 100, "answer": "1"}]
    source = str(raw.write_lines(tmp_path / "raw.jsonl", rows))
    fields = {"source": source, "out": str(tmp_path / "o.jsonl"), "gold_check": False}
    (entry,) = prepare("deepscaler", max_prompt_characters=300, **fields).values()
    assert entry["rows"]["dropped"] == {"prompt too long": 1}


def test_a_terminal_sees_one_line_and_a_log_a_line_now_and_then():
    for terminal, shown in ((True, "\rrow 500\rrow 900\r       \rdone\n"), (False, "row 900\ndone\n")):
        times = iter([0.0, 0.1, 0.5, 40.0])  # at the start, and at each look
        screen = Screen(terminal=terminal)
        meter = Meter(screen, clock=lambda times=times: next(times))
        for text in ("too soon", "row 500", "row 900"):
            meter.progress(text)
        meter.note("done")
        assert screen.text == shown
