"""`prorl boundary` and `prorl eval` from the command line to their files: what is sampled, reused and reported."""

import csv
import json
import math
import os
import shutil

import pytest

from measurement_runs import PROBLEMS, SMALL, Bench, num_rows, result_of, rows
from prorl.cli import main
from prorl.shipped import mini_base_path
from runs import RECIPE, write_recipe

BOUNDARY = ("boundary", "mini-base", "mini-base", *SMALL)
QUICK = ("--no-audit", "--out", "out")


@pytest.fixture
def bench(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    return Bench(monkeypatch, capfd)


def comparable(result):
    """Without where the models are."""
    for model in result["summary"]["settings"]["models"].values():
        del model["path"]
    return result


def test_a_model_against_itself(bench, tmp_path):
    """The same weights under two roles: independent samples, an audit, and a result for eyes and for programs."""
    assert bench(*BOUNDARY, "--samples", 16, "--out", "out") == 0
    assert bench.drawn == 2 * PROBLEMS * 16
    result = result_of(tmp_path / "out")
    assert result["version"] == 2
    assert result["summary"]["roles"] == ["base", "trained"]
    base, trained = (result["summary"]["settings"]["models"][role] for role in ("base", "trained"))
    assert base == trained
    first, second = rows(tmp_path / "out").values()
    assert first.keys() == second.keys()
    assert sum(first[place] != second[place] for place in first) > len(first) / 2
    for problem in result["problems"]:
        for role, of_role in (("base", first), ("trained", second)):
            values = [row[0] for (id, _), row in of_role.items() if id == problem["id"]]
            assert problem[role]["n"] == len(values) == 16
            assert problem[role]["c"] == sum(value >= 1.0 for value in values)
    assert set(result["audit"]["by_family"]) == {"sort"}
    assert bench.out.startswith("Reasoning boundary\n0 of 2 levels expanded")
    assert bench.out.endswith("out/boundary.json\nout/boundary.html\n")
    assert "\x1b" not in bench.out
    assert len(bench.err.splitlines()) <= 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"boundary.json", "boundary.html", "samples"}


def test_more_samples_later_are_those_of_one_go(bench, tmp_path):
    assert bench(*BOUNDARY, *QUICK, "--samples", 8) == 0
    eight = (tmp_path / "out/boundary.json").read_bytes()
    few = rows(tmp_path / "out")
    assert bench(*BOUNDARY, *QUICK, "--samples", 16) == 0
    assert bench.drawn == 2 * PROBLEMS * 8
    for name, of_stream in rows(tmp_path / "out").items():
        assert few[name].items() <= of_stream.items()
    assert bench(*BOUNDARY, "--no-audit", "--out", "fresh", "--samples", 16) == 0
    assert bench.drawn == 2 * PROBLEMS * 16
    assert rows(tmp_path / "fresh") == rows(tmp_path / "out")
    assert (tmp_path / "fresh/boundary.json").read_bytes() == (tmp_path / "out/boundary.json").read_bytes()
    assert bench(*BOUNDARY, *QUICK, "--samples", 8) == 0
    assert bench.drawn == 0
    assert (tmp_path / "out/boundary.json").read_bytes() == eight


def test_more_and_other_problems_later(bench, tmp_path):
    """A store takes new problems and keeps what it has of the old ones."""
    assert bench(*BOUNDARY, *QUICK, "--samples", 4) == 0
    assert bench(*BOUNDARY, *QUICK, "--samples", 4, "--problems", 3) == 0
    assert bench.drawn == 2 * 2 * 4
    assert bench(*BOUNDARY, *QUICK, "--samples", 4, "--task", "chain", "--max-level", 7) == 0
    assert bench.drawn == 2 * 2 * 4
    assert [level["name"] for level in result_of(tmp_path / "out")["levels"]] == ["chain/7"]
    assert bench(*BOUNDARY, *QUICK, "--samples", 4, "--seed", 1) == 0
    assert bench.drawn == 2 * PROBLEMS * 4
    assert len(rows(tmp_path / "out")) == 4


def test_problems_that_are_solved_are_left_early(bench, tmp_path):
    """First stage 16, then 32 and 64; what a fixed measurement drew before is used, and the same comes out."""
    adaptive = ("--samples", 64, "--stop-after", 2, "--min-level", 6)
    assert bench(*BOUNDARY, *QUICK, *adaptive) == 0
    whole, problems = bench.drawn, result_of(tmp_path / "out")["problems"]
    assert whole < 2 * len(problems) * 64
    for problem in problems:
        for role in ("base", "trained"):
            ended, right = problem[role]["n"], problem[role]["c"]
            assert ended in (16, 32, 64)
            assert ended == 64 or right >= 2
    assert whole == sum(problem[role]["n"] for problem in problems for role in ("base", "trained"))
    for level in result_of(tmp_path / "out")["levels"]:
        assert all(math.isfinite(level[role][f"pass@{k}"]) for role in ("base", "trained") for k in (1, 16, 64))
        assert level["base"]["pass@1"] <= level["base"]["pass@64"] <= 1.0
    again = ("--no-audit", "--out", "again")
    assert bench(*BOUNDARY, *again, "--samples", 16, "--min-level", 6) == 0
    before = bench.drawn
    assert bench(*BOUNDARY, *again, *adaptive) == 0
    assert bench.drawn == whole - before
    assert (tmp_path / "again/boundary.json").read_bytes() == (tmp_path / "out/boundary.json").read_bytes()


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    """A run of three steps on sort, levels 5 to 7, that kept the checkpoints of steps 1, 2 and 3."""
    folder = tmp_path_factory.mktemp("trained")
    text = RECIPE.replace('["sort", "merge", "chain"]', '["sort"]').replace("every = 3", "every = 0")
    text = text.replace("patience = 1", "patience = 0").replace("steps = 12", "steps = 3\nboundary_every = 1")
    recipe = write_recipe(folder, text)
    assert main(["train", str(recipe), "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_checkpoints_on_the_way(bench, tmp_path, a_run, monkeypatch):
    """By one process and by two, the trained model once although it is a checkpoint of the run too."""
    end = a_run / "checkpoints/step_3/policy"
    command = ("boundary", "mini-base", end, *SMALL, "--checkpoints", a_run, "--samples", 4, "--no-audit")
    assert bench(*command, "--out", "one") == 0
    result = result_of(tmp_path / "one")
    assert result["summary"]["roles"] == ["base", "1", "2", "trained"]
    assert result["summary"]["checkpoints"] == [1, 2]
    assert [row["role"] for row in result["summary"]["duration"]] == ["base", "1", "2", "trained"]
    assert [row.get("step") for row in result["summary"]["duration"]] == [0, 1, 2, None]
    assert all("regime" in group for group in result["groups"])
    assert {level["name"]: level["trained_on"] for level in result["levels"]} == {"sort/7": True, "sort/8": False}
    assert result["summary"]["settings"]["max_response_tokens"] == 24
    hashes = [model["hash"] for model in result["summary"]["settings"]["models"].values()]
    assert len(set(hashes)) == 4
    assert bench.drawn == 4 * PROBLEMS * 4
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert bench(*command, "--out", "two") == 0
    assert bench.drawn == 2 * PROBLEMS * 4
    assert rows(tmp_path / "two") == rows(tmp_path / "one")
    assert (tmp_path / "two/boundary.json").read_bytes() == (tmp_path / "one/boundary.json").read_bytes()


def test_a_folder_of_results_is_named_after_its_models(bench, tmp_path, a_run):
    end = a_run / "checkpoints/step_2/policy"
    few = (*SMALL, "--samples", 2, "--no-audit")
    assert bench("boundary", "mini-base", end, *few) == 0
    assert (tmp_path / "runs/boundary-mini-base-run-step_2/boundary.json").exists()
    assert bench("eval", "mini-base", *few) == 0
    assert (tmp_path / "runs/eval-mini-base/eval.json").exists()


def test_other_settings_beside(bench, tmp_path):
    """The paper's setting, and each model's best temperature by a pilot; a second time nothing is drawn."""
    command = (*BOUNDARY, *QUICK, "--samples", 4, "--max-level", 7, "--problems", 1, "--also", "paper", "best", "paper")
    assert bench(*command) == 0
    # Measurement and both settings, 2 models x 4 samples each, and pilots of 16 at 5 temperatures; a best temperature
    # of 1 is the measurement's own setting.
    paper, best = result_of(tmp_path / "out")["other_settings"]
    reused = sum(setting["temperature"] == 1.0 for setting in best["settings"].values())
    assert bench.drawn == 2 * (3 * 4 + 5 * 16) - 4 * reused
    assert (paper["name"], best["name"]) == ("paper", "best")
    assert paper["settings"] == {role: {"temperature": 0.6, "top_p": 0.95} for role in ("base", "trained")}
    assert all(setting["top_p"] == 1.0 for setting in best["settings"].values())
    assert [level["name"] for level in paper["levels"]] == ["sort/7"]
    before = (tmp_path / "out/boundary.json").read_bytes()
    assert bench(*command) == 0
    assert bench.drawn == 0
    assert (tmp_path / "out/boundary.json").read_bytes() == before


def test_how_new_the_texts_are(bench, tmp_path):
    """Against the base's own samples, and against a text file, whose index is built once."""
    command = (*BOUNDARY, *QUICK, "--samples", 16, "--min-level", 5)
    assert bench(*command, "--novelty", "base") == 0
    own = result_of(tmp_path / "out")["novelty"]
    assert own["corpus"] == "base samples"
    assert set(own["roles"]) == set(own["base_logprob"]) == {"base", "trained"}
    assert all(entry["mean_per_token"] <= 0.0 for entry in own["base_logprob"].values())
    (tmp_path / "corpus.txt").write_text("abc0123456789xyz" * 20)
    assert bench(*command, "--novelty", "corpus.txt") == 0
    assert result_of(tmp_path / "out")["novelty"]["corpus"] == "corpus.txt"
    (index,) = (tmp_path / "out/samples").glob("corpus-*.index")
    built = index.stat().st_mtime_ns
    before = (tmp_path / "out/boundary.json").read_bytes()
    assert bench(*command, "--novelty", "corpus.txt") == 0
    assert index.stat().st_mtime_ns == built
    assert (tmp_path / "out/boundary.json").read_bytes() == before


def test_novelty_where_nothing_is_solved(bench, tmp_path):
    assert bench(*BOUNDARY, *QUICK, "--samples", 4, "--max-tokens", 1, "--novelty", "base") == 0
    result = result_of(tmp_path / "out")
    assert all(level["base"]["pass@4"] == level["trained"]["pass@4"] == 0.0 for level in result["levels"])
    assert all(level["verdict"] in ("unsolved", "unclear") for level in result["levels"])


def test_tables_and_figures(bench, tmp_path):
    command = (*BOUNDARY, *QUICK, "--samples", 8, "--csv", "--figures", "svg", "pdf")
    for _ in range(2):  # into the same folder once more
        assert bench(*command) == 0
    with (tmp_path / "out/tables/levels.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["sort/7", "sort/8"]
    drawn = {path.suffix for path in (tmp_path / "out/figures").iterdir()}
    assert drawn == {".svg", ".pdf"}
    listed = [line for line in bench.out.splitlines() if line.startswith("out/")]
    files = {path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.parent.name != "samples"}
    assert {tmp_path / line for line in listed} == files
    assert "audit" not in result_of(tmp_path / "out")


def test_eval_is_the_papers_protocol(bench, tmp_path):
    """Temperature 0.6, top-p 0.95 and 16 samples; a table for eyes, mean scores and intervals in a file."""
    assert bench("eval", "mini-base", *SMALL, "--out", "out", "--csv") == 0
    result = result_of(tmp_path / "out", "eval.json")
    settings = result["summary"]["settings"]
    assert [settings[name] for name in ("temperature", "top_p", "samples")] == [0.6, 0.95, 16]
    assert settings["max_response_tokens"] == 48
    ((_, of_model),) = rows(tmp_path / "out").items()
    assert len(of_model) == PROBLEMS * 16
    everything = result["groups"][0]["model"]
    # Two levels of two problems with equally many samples: the mean over levels is the mean over samples.
    assert everything["mean_score"] == pytest.approx(sum(row[0] for row in of_model.values()) / len(of_model))
    assert everything["pass@1"] == pytest.approx(sum(row[0] >= 1 for row in of_model.values()) / len(of_model))
    low, high = result["groups"][0]["interval"]["model"]["pass@1"]
    assert low <= everything["pass@1"] <= high
    assert {"pass@1", "pass@16", "all@4"} <= everything.keys()
    lines = bench.out.splitlines()
    assert "pass@1" in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == ["all", "logic", "sort"]
    assert f"{everything['pass@1']:.3f}" in lines[1]
    assert "out/eval.json" in lines
    assert (tmp_path / "out/tables/levels.csv").exists()
    assert "audit" in result


def test_a_threshold_is_read_from_the_stored_scores(bench, tmp_path):
    """The same samples; scores of 0 and 1 are on the same sides of 0.01 and of 1, and 0 would let everything pass."""
    command = ("eval", "mini-base", *SMALL, *QUICK, "--samples", 4)
    assert bench(*command) == 0
    before = result_of(tmp_path / "out", "eval.json")["groups"][0]["model"]
    assert bench(*command, "--threshold", 0.01) == 0
    assert bench.drawn == 0
    assert result_of(tmp_path / "out", "eval.json")["groups"][0]["model"] == before
    assert bench(*command, "--threshold", 0) == 2


REWARD = "def grade(prompt, response):\n    return float(len(response) % 2 == 0)\n"


def write_questions(path, count=3):
    """Rows of a file of the user's own: an unknown family, level 1, a guess is right once in four."""
    found = [
        {
            "id": f"q{number}",
            "domain": "math",
            "task": "quiz",
            "prompt": f"o{number}27:",
            "answer": "27",
            "metadata": {"level": 1, "chance": 0.25},
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in found))


def test_several_suites_and_a_reward_function_of_ones_own(bench, tmp_path):
    write_questions(tmp_path / "quiz.jsonl")
    (tmp_path / "reward.py").write_text(REWARD)
    command = ("eval", "mini-base", "--suite", "mini", "quiz.jsonl", "mini", "--max-level", 1, "--problems", 2, *QUICK)
    command += ("--samples", 8, "--temperature", 1.2, "--set", "model.threads=1")
    command += ("--set", "reward.functions.math=reward.py:grade")
    assert bench(*command) == 0
    result = result_of(tmp_path / "out", "eval.json")
    quiz = next(level for level in result["levels"] if level["family"] == "quiz")
    assert (quiz["suite"], quiz["chance"], quiz["num_problems"]) == ("quiz.jsonl", 0.25, 2)
    assert result["summary"]["settings"]["suites"] == ["mini", "quiz.jsonl"]
    assert [group["name"] for group in result["groups"] if group["scope"] == "domain"] == [
        "code",
        "instruction",
        "logic",
        "math",
        "stem",
    ]
    ((_, of_model),) = rows(tmp_path / "out").items()
    texts = [(row[8], row[0]) for (id, _), row in of_model.items() if id.startswith("q")]
    assert len(texts) == 16
    cut = [row[4] == 1 for (id, _), row in of_model.items() if id.startswith("q")]
    assert [score for _, score in texts] == [
        0.0 if of_it else float(len(text) % 2 == 0) for (text, _), of_it in zip(texts, cut, strict=True)
    ]
    before = num_rows(tmp_path / "out")
    (tmp_path / "reward.py").write_text(REWARD.replace("== 0", "== 1"))
    assert bench(*command) == 0
    assert bench.drawn == before


def test_an_equal_model_elsewhere_is_not_sampled_again(bench, tmp_path):
    """A store belongs to weights, not to a path."""
    assert bench("eval", "mini-base", *SMALL, *QUICK, "--samples", 4) == 0
    shutil.copytree(mini_base_path(), tmp_path / "copy")
    before = comparable(result_of(tmp_path / "out", "eval.json"))
    assert bench("eval", "./copy", *SMALL, *QUICK, "--samples", 4) == 2
    assert "a result of other models or suites" in bench.err
    (tmp_path / "out" / "eval.json").unlink()
    assert bench("eval", "./copy", *SMALL, *QUICK, "--samples", 4) == 0
    assert bench.drawn == 0
    assert comparable(result_of(tmp_path / "out", "eval.json")) == before
