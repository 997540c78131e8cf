"""`prorl data` as a user runs it: the paper's mixture from a folder, killed and run again, and what it prints."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import pytest

import raw_rows as raw
from prorl.cli import main
from prorl.config import Source
from prorl.datasets import catalogue
from prorl.datasets.catalogue import DATASETS, MIXTURE_FILES
from prorl.prompts.sources import read_rows
from prorl.recipe import load_run
from prorl.rewards.puzzles.tasks import TRAINING_TASKS


@pytest.fixture
def raw_folder(tmp_path):
    """The files of every source of the mixture, as their repositories have them."""
    folder = tmp_path / "raw"
    problems = [{"problem": f"What is {n} + {n}?", "answer": str(2 * n), "solution": ""} for n in range(300)]
    raw.write_parquet(folder / "aime24" / "data" / "train-00000-of-00001.parquet", raw.AIME24)
    raw.write_parquet(folder / "eurus_code" / "train.parquet", raw.EURUS)
    raw.write_parquet(folder / "eurus_code" / "validation.parquet", raw.EURUS_VALIDATION)
    raw.write_gpqa(folder / "gpqa_diamond" / "gpqa_diamond.csv")
    raw.write_lines(folder / "ifeval" / "ifeval_input_data.jsonl", raw.IFEVAL)
    (folder / "deepscaler").mkdir()
    (folder / "deepscaler" / "deepscaler.json").write_text(json.dumps(raw.DEEPSCALER + problems))
    raw.write_lines(folder / "scp_116k" / "train.jsonl", raw.SCP)
    raw.write_lines(folder / "nemotron_instruction" / "instruction_following.jsonl", raw.NEMOTRON)
    return folder


@pytest.mark.slow
def test_the_mixture_is_one_command_with_one_manifest(raw_folder, tmp_path, monkeypatch, capsys):
    """All sources but the puzzles, of which two tasks are made here."""
    monkeypatch.chdir(tmp_path)
    small = {}
    for name in ("reasoning_gym", "graph_color"):
        made = DATASETS[name].origin
        tasks = ("graph_color",) if name == "graph_color" else ("chain_sum", "graph_color")
        generate = partial(made.generate.func, 5, *made.generate.args[1:])
        small[name] = replace(DATASETS[name], origin=replace(made, tasks=tasks, generate=generate))
    monkeypatch.setattr(catalogue, "DATASETS", DATASETS | small)
    assert main(["data", "prepare", "prorl", "--from", "raw", "--accept-licence", "--limit", "50"]) == 0
    printed = capsys.readouterr().out
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())["files"]
    assert list(manifest) == list(MIXTURE_FILES)
    for file, entry in manifest.items():
        prompts = read_rows(Source(source=f"data/{file}"))
        assert len(prompts) == entry["output"]["rows"] > 0
        assert f"{file}: {len(prompts)} rows of {entry['rows']['read']}" in printed
    assert manifest["deepscaler.jsonl"]["output"]["rows"] == 50
    assert manifest["reasoning_gym.jsonl"]["output"]["rows"] == 10
    assert manifest["eurus_code.jsonl"]["gold"] == {"verified": 0, "unknown": 2}
    validation = {name for name in MIXTURE_FILES if name.startswith("validation/")}
    against = {pair[0] for pair in manifest["eurus_code.jsonl"]["request"]["against"]}
    assert against == {name.removeprefix("validation/").removesuffix(".jsonl") for name in validation}
    assert main(["data", "prepare", "prorl", "--from", "raw", "--accept-licence", "--limit", "50"]) == 0
    assert "prepared already" in capsys.readouterr().err
    assert not list((tmp_path / "data").rglob("*.partial"))


def test_the_mixture_writes_the_files_that_the_recipes_name():
    named = set()
    for recipe in ("prorl_1.5b", "prorl_v2_1.5b", "brorl_1.5b"):
        for config in load_run(recipe).phases:
            named |= {source.source for source in (*config.data.sources, *config.evaluation.sources)}
    assert named == {f"data/{file}" for file in MIXTURE_FILES}
    assert sum(limit for _, limit in MIXTURE_FILES.values()) == 136_000
    assert len(TRAINING_TASKS) == 96


def run_data(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "prorl.cli", "data", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_killed_and_run_again_it_ends_with_the_same_bytes(tmp_path):
    """Killed in each stage: when the candidates are being written, and twice while gold answers are judged."""
    rows = [{"problem": f"What is {n} + {n}?", "answer": f"\\frac{{{4 * n}}}{{2}}"} for n in range(2000)]
    raw.write_lines(tmp_path / "raw.jsonl", rows)
    arguments = ["prepare", "deepscaler", "--from", "raw.jsonl", "--limit", "1200", "--seed", "7"]
    whole = run_data(tmp_path, *arguments, "--out", "whole.jsonl")
    whole.communicate(timeout=200)
    assert whole.returncode == 0
    work = tmp_path / "killed.jsonl.partial"
    journal = work / "gold.jsonl"
    stages = [(work / "candidates.tmp").exists, lambda: lines_of(journal) >= 256, lambda: lines_of(journal) >= 768]
    judged = 0
    for reached in stages:
        process = run_data(tmp_path, *arguments, "--out", "killed.jsonl")
        while not reached() and process.poll() is None:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (tmp_path / "killed.jsonl").exists()
        assert lines_of(journal) >= judged
        judged = lines_of(journal)
    again = run_data(tmp_path, *arguments, "--out", "killed.jsonl")
    _, errors = again.communicate(timeout=200)
    assert again.returncode == 0
    assert b"going on with what an interrupted run left" in errors
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    manifests = [json.loads((tmp_path / f"{name}.jsonl.manifest.json").read_text()) for name in ("killed", "whole")]
    assert manifests[0]["files"]["killed.jsonl"] == manifests[1]["files"]["whole.jsonl"]
    assert not work.exists()


def lines_of(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_run_that_was_interrupted_with_another_request_begins_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw.write_lines(tmp_path / "raw.jsonl", [{"problem": f"{n}?", "answer": str(n)} for n in range(9)])
    work = tmp_path / "out.jsonl.partial"
    work.mkdir()
    (work / "request.json").write_text("{}")
    (work / "candidates.jsonl").write_text('{"of": "another request"}\n')
    arguments = ["data", "prepare", "deepscaler", "--from", "raw.jsonl", "--out", "out.jsonl", "--no-gold-check"]
    assert main(arguments) == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 9


def test_show_and_export(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [{"domain": "math", "task": f"t{n % 2}", "prompt": f"{n}?", "metadata": {"level": n}} for n in range(6)]
    raw.write_lines(tmp_path / "rows.jsonl", rows)
    assert main(["data", "show", "rows.jsonl", "--task", "t1", "--count", "2"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["prompt"] for row in shown] == ["1?", "3?"]
    assert main(["data", "show", "procedural", "--level", "1"]) == 0
    assert {json.loads(line)["id"].split("/")[0] for line in capsys.readouterr().out.splitlines()} == {"procedural"}
    assert main(["data", "export", "rows.jsonl", "verl.parquet", "--to", "verl"]) == 0
    table = raw.pyarrow.parquet.read_table("verl.parquet").to_pylist()
    assert [row["prompt"][0]["content"] for row in table] == [row["prompt"] for row in rows]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "deepscaler"], "no data/deepscaler.jsonl; prorl data prepare deepscaler makes it"),
        (["show", "nothing"], "must be one of mini, mini_hard"),
        (["export", "nothing.jsonl", "o.parquet"], "nothing.jsonl: no such file"),
        (["prepare", "deepscaler", "--workers", "0"], "--workers must be at least 1"),
        (["prepare", "deepscaler", "--limit", "-1"], "--limit must be at least 0"),
        (["prepare", "ifeval"], "google/IFEval: cannot be downloaded"),
        (["prepare", "scp_116k"], "CC-BY-NC-SA-4.0: not for commercial use; --accept-licence"),
    ],
)
def test_refusals_are_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(["data", *arguments]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_the_list_names_every_source_with_its_licence(capsys):
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : len(DATASETS) + 1]] == list(DATASETS)
    (scp,) = [line for line in lines if line.startswith("scp_116k")]
    assert "CC-BY-NC-SA-4.0 (needs a yes)" in scp
    (eurus,) = [line for line in lines if line.startswith("eurus_code")]
    assert "9776b132" in eurus
