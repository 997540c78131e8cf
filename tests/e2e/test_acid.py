"""Real models that learned a form or to guess, and nothing else, are not called expanded; one that learned to solve is.

The premises are asserted too: a pair that does not do what its name says would pass for the wrong reason.
"""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from boundary_acid import control_pair, form_pair, guess_pair, measure, measure_text

from acid_models import GUESSES
from prorl import cli

SIZE = {"problems": 20, "samples": 32}
KNOWN = [("sort", 2), ("sort", 6), ("gene", 2), ("gene", 4), ("acro", 2)]
"""The shipped base does these in 80 to 100 % of its samples."""
EASY = [
    *(("sort", 1), ("sort", 2), ("sort", 3), ("chain", 1), ("chain", 2), ("chain", 3), ("color", 1), ("prog", 1)),
    *(("merge", 2), ("add", 1), ("slots", 1), ("acro", 1), ("run", 1)),
]
UNKNOWN = [("sort", 9), ("sort", 10)]
"""It does these in none of 128 samples of 20 problems."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("acid")


def assert_nothing_opened(result):
    summary = result["summary"]
    assert summary["verdicts"]["expanded"] == []
    assert summary["expanded_levels"] == []
    assert summary["expanded_families"] == []
    assert not any(level["opened"] for level in result["levels"])


def mean_pass_1(result, role, reading=""):
    return sum(level[role][f"{reading}pass@1"] for level in result["levels"]) / len(result["levels"])


@pytest.mark.slow
def test_a_model_that_learned_the_form_of_the_answer(folder):
    result = measure(form_pair("ending", KNOWN, folder, steps=40), KNOWN, folder / "form-samples", **SIZE)
    assert mean_pass_1(result, "base") < 0.1
    assert mean_pass_1(result, "base", "tolerant/") > 0.6
    assert mean_pass_1(result, "trained") > 0.6
    assert_nothing_opened(result)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["frequent", pytest.param("mixed", marks=pytest.mark.thorough)])
def test_a_model_that_learned_to_guess(kind, folder):
    result = measure(guess_pair(kind, EASY, folder, steps=40), EASY, folder / "guess-samples", **SIZE)
    assert mean_pass_1(result, "base", "tolerant/") < 0.01
    # chain/1 has one well-formed answer, so that a guesser that has learned the form is right.
    (chain,) = [level for level in result["levels"] if level["name"] == "chain/1"]
    assert chain["trained"]["pass@1"] > 0.9
    assert mean_pass_1(result, "trained") > 0.1
    assert_nothing_opened(result)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*GUESSES, "mixed"])
def test_guesses_in_every_family(kind):
    result = measure_text(kind, problems=20, samples=64, max_level=3)
    assert len({level["family"] for level in result["levels"]}) == 12
    assert len(result["levels"]) == 36
    assert mean_pass_1(result, "trained") > 0.07
    assert_nothing_opened(result)


@pytest.mark.slow
def test_a_model_that_learned_to_solve(folder, capsys):
    base, trained = control_pair(UNKNOWN, folder, steps=50)
    out = folder / "control"
    levels = ["--task", "sort", "--min-level", "9", "--max-level", "10", "--problems", "20", "--samples", "32"]
    options = ["--set", "model.threads=1", "--set", "model.device=cpu", "--out", str(out)]
    assert cli.main(["boundary", base, str(trained), *levels, *options]) == 0
    assert "sort/9" in capsys.readouterr().out
    result = json.loads((out / "boundary.json").read_text())
    assert result["summary"]["verdicts"]["expanded"] == ["sort/9", "sort/10"]
    assert result["summary"]["expanded_levels"] == ["sort/9", "sort/10"]
    assert result["summary"]["expanded_families"] == ["sort"]
