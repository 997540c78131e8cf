"""What a measurement cannot do is said in one line, before anything is sampled, and nothing on the disk is touched."""

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing

import pytest

from measurement_runs import SMALL, Bench, result_of, rows
from prorl.shipped import mini_base_path
from runs import RECIPE, write_recipe

FEW = (*SMALL, "--samples", 4, "--no-audit", "--out", "out")


@pytest.fixture
def bench(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    return Bench(monkeypatch, capfd)


def listing(folder):
    """Every entry below a folder; locks of stores are left to whoever comes next."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "other"
        for path in sorted(folder.rglob("*"))
        if path.suffix != ".lock" and path.name != "__pycache__" and path.parent.name != "__pycache__"
    }


@pytest.fixture
def refused(bench, tmp_path):
    """Run a command that is wrong; gives its line."""

    def run(*arguments, code=2):
        before = listing(tmp_path)
        assert bench(*arguments) == code, bench.err
        assert bench.err.startswith("prorl: ")
        assert bench.err.count("\n") == 1
        assert bench.out == ""
        assert bench.drawn == 0
        assert listing(tmp_path) == before
        return bench.err.removeprefix("prorl: ").removesuffix("\n")

    return run


WRONG_VALUES = {
    ("--samples", -1): "--samples -1: must be 1 or more",
    ("--samples", 0): "--samples 0: must be 1 or more",
    ("--samples", 1 << 21): "--samples 2097152: must be at most 1048576",
    ("--samples", "many"): "argument --samples: invalid int value: 'many'",
    ("--stop-after", 5): "--stop-after 5: must be between 0 and the 4 samples of a problem",
    ("--stop-after", -1): "--stop-after -1: must be between",
    ("--temperature", -1): "--temperature -1: must be between 0 and 10",
    ("--temperature", "nan"): "--temperature nan: must be between 0 and 10",
    ("--temperature", "inf"): "--temperature inf: must be between 0 and 10",
    ("--top-p", 0): "--top-p 0: must be between 0.01 and 1",
    ("--top-p", 2): "--top-p 2: must be between 0.01 and 1",
    ("--threshold", 1.5): "--threshold 1.5: must be between 0.01 and 1",
    ("--threshold", "nan"): "--threshold nan: must be between 0.01 and 1",
    ("--max-tokens", 0): "--max-tokens 0: must be 1 or more",
    ("--max-tokens", 250): "--max-tokens 250: model mini-base holds 256 tokens, of which problem",
    ("--seed", -1): "--seed -1: must be 0 or more",
    ("--problems", -1): "--problems -1: must be 0 or more",
    ("--problems", 0): "suite mini: 0 problems of a level: mini is generated without end; name 1 or more",
    ("--min-level", -3): "--min-level -3: must be 0 or more",
    ("--min-level", 99, "--max-level", 99): "suite mini: no level of mini lies between 99 and 99",
    ("--task", "chess"): "suite mini: tasks = chess: not in mini",
    ("--suite", "maxi"): "suite maxi: must be one of mini, mini_hard, procedural",
    ("--suite", "aime24"): "suite aime24: no data/validation/aime24.jsonl; make it with `prorl data prepare aime24`",
    ("--suite", "rows.jsonl"): "suite rows.jsonl: no such file",
    ("--suite", "rows.txt"): "suite rows.txt: a file of rows must end in .jsonl or .parquet",
    ("--set", "loss.clip_high=0.3"): "a measurement has the sections model, data, rollouts, reward",
    ("--set", "rollouts.temperature=0.5"): "a measurement does not use it; use --temperature",
    ("--set", "rollouts.max_response_tokens=9"): "a measurement does not use it; use --max-tokens",
    ("--set", "reward.truncation=none"): "a measurement does not use it; it has reward.functions, sandbox",
    ("--set", "model.path=./other"): "a measurement does not use it; it has model.dtype",
    ("--set", "model.thread=1"): "model.thread: unknown option (did you mean model.threads?)",
    ("--set", "model.threads=many"): 'model.threads = "many": must be an integer',
    ("--set", "model.threads"): "must be section.option=value",
    ("--set", "reward.functions.logic=nowhere.py:grade"): "nowhere.py",
    ("--set", "reward.functions.logic=grade"): "must be module:function or path/to/file.py:function",
    ("--out", "file"): "file/samples: cannot write samples there (Not a directory); choose another folder",
    ("--out", "/proc/prorl"): "/proc/prorl/samples: cannot write samples there (No such file or directory)",
    ("--out", "x" * 300): "cannot write samples there (File name too long)",
}


@pytest.mark.parametrize("wrong", WRONG_VALUES, ids=lambda wrong: " ".join(map(str, wrong))[:40])
def test_values(refused, tmp_path, wrong):
    (tmp_path / "file").write_text("mine")
    assert WRONG_VALUES[wrong] in refused("eval", "mini-base", *FEW, *wrong)


WRONG_QUESTIONS = {
    ("--margin", 0): "--margin 0: must be between 0 and 1",
    ("--margin", "nan"): "--margin nan: must be between 0 and 1",
    ("--margin", 1.0): "--margin 1: must be between 0 and 1",
    ("--novelty", "nowhere.txt"): "--novelty nowhere.txt: no such file or folder; or `base`",
    ("--novelty", "image.png"): "reference corpus image.png: must be a file that ends in .txt",
    ("--novelty", "empty.txt"): "--novelty empty.txt: no text in it",
    ("--novelty", "latin.txt"): "latin.txt: must be UTF-8",
    ("--checkpoints", "nowhere"): "--checkpoints nowhere: no config.toml there; name the folder of a run",
    ("--checkpoints", "empty"): "--checkpoints empty: no checkpoint there besides the trained model",
    ("--figures", "png"): "argument --figures: invalid choice: 'png'",
    ("--also", "worst"): "argument --also: invalid choice: 'worst'",
}


@pytest.mark.parametrize("wrong", WRONG_QUESTIONS, ids=lambda wrong: " ".join(map(str, wrong)))
def test_questions(refused, tmp_path, wrong):
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    (tmp_path / "empty").mkdir()
    write_recipe(tmp_path, RECIPE).rename(tmp_path / "empty/config.toml")
    assert WRONG_QUESTIONS[wrong] in refused("boundary", "mini-base", "mini-base", *FEW, *wrong)


def test_figures_without_matplotlib(refused, monkeypatch):
    """Said at once, not after hours of sampling."""
    monkeypatch.setitem(sys.modules, "prorl.report.figures", None)
    line = refused("boundary", "mini-base", "mini-base", *FEW, "--figures", "svg")
    assert line.startswith("--figures: ")
    assert line.endswith("pip install 'prorl[figures]'")


def test_models(refused, tmp_path):
    """The trained model is looked at before the base is sampled."""
    shutil.copytree(mini_base_path(), tmp_path / "torn")
    weights = tmp_path / "torn/model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:1000])
    for models in (("mini-base", "./torn"), ("./torn", "mini-base")):
        for more in ((), ("--max-tokens", 8)):
            assert "model.path = ./torn: cannot load it" in refused("boundary", *models, *FEW, *more)
    assert "model.path = ./nowhere: no config.json there" in refused("eval", "./nowhere", *FEW)
    assert "model.path = nowhere/at-all: cannot load it" in refused("eval", "nowhere/at-all", *FEW)
    assert "arguments are required: TRAINED" in refused("boundary", "mini-base")


def test_rows_that_nobody_can_judge(refused, tmp_path):
    def only(**row):
        (tmp_path / "rows.jsonl").write_text(json.dumps({"id": "a", "prompt": "a27:", "answer": "27"} | row) + "\n")
        return refused("eval", "mini-base", "--suite", "rows.jsonl", "--out", "out", "--set", "model.threads=1")

    assert "no verifier 'chess'" in only(domain="chess")
    line = only(domain="instruction", metadata={"instructions": 3})
    assert "--suite: row rows.jsonl:a: the instruction verifier cannot judge it" in line
    assert "rows.jsonl" in only(domain="math", prompt=7)


@pytest.fixture
def measured(bench, tmp_path):
    """The path of a store."""
    assert bench("eval", "mini-base", *FEW) == 0
    (path,) = (tmp_path / "out/samples").glob("*.sqlite")
    return path


def test_a_store_that_is_none(refused, measured):
    again = ("eval", "mini-base", *FEW)
    whole = measured.read_bytes()
    measured.write_text("my notes, which are long enough to look like a header of something or other" * 20)
    assert f"{measured.name}: not a sample store of prorl, or damaged" in refused(*again)
    for part in (1000, 5000, len(whole) - 100):
        measured.write_bytes(whole[:part])
        assert f"{measured.name}: not a sample store of prorl, or damaged" in refused(*again)
    page = len(whole) - 4096
    measured.write_bytes(whole[:page] + bytes(200) + whole[page + 200 :])
    assert "damaged" in refused(*again)
    measured.unlink()
    with closing(sqlite3.connect(measured)) as other:
        other.execute("CREATE TABLE mine (value)")
    assert f"{measured.name}: not a sample store of prorl; move it away" in refused(*again)
    measured.write_bytes(whole)
    with closing(sqlite3.connect(measured)) as other:
        other.execute("PRAGMA user_version = 9")
    assert "a sample store of version 9, this prorl reads 1; name another folder" in refused(*again)
    measured.unlink()
    measured.mkdir()
    assert measured.name in refused(*again)


def test_a_store_of_another_model_under_this_ones_name(refused, bench, measured, tmp_path):
    assert bench("eval", "mini-base", *FEW, "--seed", 1, "--out", "other") == 0
    (other,) = (tmp_path / "other/samples").glob("*.sqlite")
    shutil.copy(other, measured)
    assert "holds the samples of another model or setting" in refused("eval", "mini-base", *FEW)


def test_a_store_in_use(refused, bench, measured):
    with measured.with_suffix(".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = refused("eval", "mini-base", *FEW)
        assert line.endswith(f"{measured.name}: another process is sampling into it; wait for it or end it")
    assert bench("eval", "mini-base", *FEW) == 0


def test_what_the_second_process_refuses(bench, tmp_path, monkeypatch):
    """Its store is in use: the first process says so, and keeps what it drew itself."""
    both = ("boundary", "mini-base", "mini-base", *FEW)
    assert bench(*both) == 0
    before = rows(tmp_path / "out")
    (lock_file,) = (tmp_path / "out/samples").glob("base-*.lock")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with lock_file.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert bench(*both) == 2
    assert bench.err.startswith(f"prorl: out/samples/{lock_file.stem}.sqlite: another process is sampling into it")
    assert bench.err.count("\n") == 1
    assert rows(tmp_path / "out") == before


def test_a_problem_that_has_changed(refused, bench, tmp_path):
    def ask(prompt):
        row = {"id": "a", "domain": "logic", "prompt": prompt, "answer": "27", "verifier": "mini"}
        row["metadata"] = {"task": "sort", "level": 1}
        (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")

    command = ("eval", "mini-base", "--suite", "rows.jsonl", "--samples", 4, "--out", "out", "--no-audit")
    command += ("--set", "model.threads=1")
    ask("a72:")
    assert bench(*command) == 0
    before = result_of(tmp_path / "out", "eval.json")
    ask("b72:")
    line = refused(*command)
    assert "problem rows.jsonl:a is not the one that its samples answer" in line
    assert line.endswith("sample into another folder")
    ask("a72:")
    assert bench(*command) == 0
    assert bench.drawn == 0
    assert result_of(tmp_path / "out", "eval.json") == before


@pytest.mark.parametrize("name", ["eval.json", "tables"])
def test_a_result_that_cannot_be_written(bench, tmp_path, name):
    """The samples stay, and nothing is drawn again."""
    assert bench("eval", "mini-base", *FEW) == 0
    (tmp_path / "out/eval.json").unlink()
    if name == "tables":
        (tmp_path / "out/tables").write_text("mine")
    else:
        (tmp_path / "out/eval.json").mkdir()
    code = bench("eval", "mini-base", *FEW, "--csv")
    assert code in (1, 2)
    assert bench.err.count("\n") == 1
    assert f"out/{name}" in bench.err
    assert bench.drawn == 0
