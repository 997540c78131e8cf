"""Frames hold the numbers of the files: each is compared with counts by hand, or with the file's own value."""

import importlib
import json
import re
import sqlite3
import sys

import pytest

from boundary_results import boundary_result
from prorl import frames
from prorl.errors import UserError
from prorl.evaluation.boundary import Analysis, ProblemCounts, boundary
from prorl.evaluation.budget import Budget
from prorl.evaluation.samples import Sample, SampleStore, Stream


def counts(right, level=1, tolerant=0):
    """Problems of two samples each, with so many right ones."""
    return [
        ProblemCounts(
            prompt_id=f"add/{level}/{number}",
            domain="math",
            family="add",
            level=level,
            num_samples=2,
            num_correct=correct,
            num_correct_tolerant=correct + tolerant,
            values={"mean_score": correct / 2},
        )
        for number, correct in enumerate(right)
    ]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Of two samples a problem: base right 0 and 1 times at level 1, 0 and 0 at level 2; a checkpoint, trained."""
    folder = tmp_path_factory.mktemp("measured")
    of_roles = {
        "base": counts([0, 1], tolerant=1) + counts([0, 0], 2),
        "50": counts([0, 2]) + counts([0, 1], 2),
        "trained": counts([1, 2]) + counts([0, 2], 2),
    }
    settings = {"samples": 2, "models": {"base": {"path": "b"}}}
    result = boundary(of_roles, Analysis(budget=Budget(2), ks=(1, 2)), settings=settings)
    other = {"name": "paper", "groups": result["groups"][:1], "levels": result["levels"][1:]}
    (folder / "boundary.json").write_text(json.dumps({**result, "other_settings": [other]}))
    return folder


def file_of(folder):
    return json.loads((folder / "boundary.json").read_text())


def test_levels_have_every_number_under_its_path(measured):
    frame = frames.levels(measured)
    assert list(frame["name"]) == ["add/1", "add/2"]
    # Level 1, base: 0 and 1 of 2 right. pass@1 = (0 + 1/2) / 2, pass@2 = (0 + 1) / 2; tolerantly 1 and 2 of 2 are.
    assert list(frame["base/pass@1"]) == [0.25, 0.0]
    assert list(frame["base/pass@2"]) == [0.5, 0.0]
    assert list(frame["base/tolerant/pass@1"]) == [0.75, 0.0]
    assert list(frame["checkpoints/50/pass@1"]) == [0.5, 0.25]
    assert list(frame["trained/pass@1"]) == [0.75, 0.5]
    assert list(frame["trained/mean_score"]) == [0.75, 0.5]
    assert list(frame["level"]) == [1, 2]
    assert not frame["trained_on"].any()
    for place, level in enumerate(file_of(measured)["levels"]):
        row = frame.iloc[place]
        low, high = level["interval"]["change"]["pass@2"]
        assert (row["interval/change/pass@2/low"], row["interval/change/pass@2/high"]) == (low, high)
        low, high = level["sample_interval"]["trained"]["pass@1"]
        assert (row["sample_interval/trained/pass@1/low"], row["sample_interval/trained/pass@1/high"]) == (low, high)
        assert row["test/pass@1/q"] == level["test"]["pass@1"]["q"]
        assert (row["verdict"], row["reason"], row["opened"]) == (level["verdict"], level["reason"], level["opened"])
        histogram = [row[f"distribution/base/histogram/{number}"] for number in range(10)]
        assert histogram == level["distribution"]["base"]["histogram"]


def leaves(value):
    """How many numbers, texts and truths a part of a file has."""
    if isinstance(value, dict):
        return sum(map(leaves, value.values()))
    return sum(map(leaves, value)) if isinstance(value, list) else 1


@pytest.mark.parametrize("part", ["levels", "groups"])
def test_nothing_of_a_large_file_is_left_out(tmp_path, part):
    result = boundary_result(problems_per_level=2)
    (tmp_path / "boundary.json").write_text(json.dumps(result))
    frame = getattr(frames, part)(tmp_path)
    assert len(frame) == len(result[part])
    absent = sum(leaf is None for entry in result[part] for leaf in entry.values())
    assert int(frame.notna().sum().sum()) == leaves(result[part]) - absent


def test_groups_have_scopes_and_regimes(measured):
    frame = frames.groups(measured)
    assert list(frame["scope"]) == ["all", "domain", "family"]
    assert list(frame["name"]) == ["all", "math", "add"]
    # The mean of two levels of equal weight.
    assert list(frame["trained/pass@1"]) == [0.625] * 3
    assert list(frame["regime/verdict"]) == [group["regime"]["verdict"] for group in file_of(measured)["groups"]]


def test_curves_are_long(measured):
    frame = frames.curves(measured)
    # 3 groups and 2 levels, 3 roles, 2 readings, 2 ks.
    assert len(frame) == 5 * 3 * 2 * 2
    assert list(frame["role"].unique()) == ["base", "50", "trained"]
    chosen = frame.query("scope == 'level' and name == 'add/1' and role == 'base' and reading == 'strict'")
    assert list(chosen["k"]) == [1, 2]
    assert list(chosen["value"]) == [0.25, 0.5]
    assert list(chosen["level"]) == [1, 1]
    level = file_of(measured)["levels"][0]
    assert chosen[["low", "high"]].values.tolist() == [level["interval"]["base"][f"pass@{k}"] for k in (1, 2)]
    assert chosen[["sample_low", "sample_high"]].values.tolist()[0] == level["sample_interval"]["base"]["pass@1"]
    assert chosen["sample_low"].isna().tolist() == [False, True]  # k is n: no such interval
    assert frame.query("scope == 'all'")["level"].isna().all()
    # The checkpoint has 0 and 2 of 2 right: one problem in two, at either k.
    way = frame.query("name == 'add/1' and role == '50' and reading == 'strict'")
    assert list(way["value"]) == [0.5, 0.5]
    tolerant = frame.query("name == 'add/1' and role == 'base' and reading == 'tolerant' and k == 1")
    assert list(tolerant["value"]) == [0.75]


def test_chance_corrected_shares_are_a_reading_of_their_own(tmp_path):
    result = boundary_result(problems_per_level=2)
    (tmp_path / "boundary.json").write_text(json.dumps(result))
    frame = frames.curves(tmp_path).query("reading == 'corrected' and scope == 'level' and role == 'trained'")
    found = {(row.name, row.k): row.value for row in frame.itertuples(index=False)}
    wanted = {
        (level["name"], int(name.removeprefix("corrected/pass@"))): value
        for level in result["levels"]
        for name, value in level["trained"].items()
        if name.startswith("corrected/")
    }
    assert found == wanted
    assert wanted


def test_problems_have_a_row_a_role(measured):
    frame = frames.problems(measured)
    assert frame.columns.tolist() == [
        "id",
        "domain",
        "family",
        "level",
        "role",
        "samples",
        "correct",
        "correct_tolerant",
    ]
    assert len(frame) == 4 * 3
    first = frame.query("id == 'add/1/1'")
    assert first[["role", "samples", "correct", "correct_tolerant"]].values.tolist() == [
        ["base", 2, 1, 2],
        ["50", 2, 2, 2],
        ["trained", 2, 2, 2],
    ]


def test_solved_by_reading(measured):
    frame = frames.solved(measured)
    assert len(frame) == 5 * 2
    # Level 1: base solves the second problem, trained both; tolerantly the base has one right of the first too.
    first = frame.query("name == 'add/1'").set_index("reading")
    assert first.loc["strict", ["both", "trained_only", "base_only", "neither"]].tolist() == [1, 1, 0, 0]
    assert first.loc["tolerant", ["both", "trained_only", "base_only", "neither"]].tolist() == [2, 0, 0, 0]
    # Fisher: of the first problem's one right sample among 4, either model has it with probability 1/2; of the second's
    # three each model has at least one, since it drew but two.
    assert first.loc["strict", "expected_trained_only"] == 0.5
    assert first.loc["strict", "retention"] == 1.0


def test_settings_and_other_settings(measured):
    values = dict(frames.settings(measured).itertuples(index=False))
    assert values == {"samples": 2, "models/base/path": "b", "alpha": 0.05, "margin": 0.2}
    assert list(frames.levels(measured, "paper")["name"]) == ["add/2"]
    assert set(frames.curves(measured, "paper")["name"]) == {"all", "add/2"}
    with pytest.raises(UserError, match=r"no other setting 'best'; it has paper$"):
        frames.levels(measured, "best")


def test_a_measurement_of_one_model(tmp_path):
    result = boundary({"model": counts([1, 2])}, Analysis(budget=Budget(2), ks=(1, 2)), settings={})
    (tmp_path / "eval.json").write_text(json.dumps(result))
    assert list(frames.levels(tmp_path)["model/pass@1"]) == [0.75]
    assert set(frames.curves(tmp_path)["role"]) == {"model"}
    assert frames.problems(tmp_path)["role"].tolist() == ["model"] * 2
    assert frames.solved(tmp_path).columns.tolist() == ["scope", "name", "domain", "family", "level", "reading"]
    assert len(frames.solved(tmp_path)) == 0


def test_what_is_no_measurement_is_refused(tmp_path):
    for text, said in {"[": "not JSON", "[]": "version None", '{"version": 1}': "version 1"}.items():
        (tmp_path / "boundary.json").write_text(text)
        with pytest.raises(UserError, match=re.escape(said)):
            frames.levels(tmp_path)
    with pytest.raises(UserError, match=r"has no boundary\.json or eval\.json"):
        frames.levels(tmp_path.parent)
    with pytest.raises(UserError, match="cannot be read"):
        frames.levels(tmp_path / "none.json")


STREAM = Stream(model="m" * 32, role="base", seed=3, temperature=1.0, top_p=1.0, max_tokens=9)


def sample(index, strict):
    outcome = "correct" if strict else "unparsable"
    return Sample(index, f"text {index}", 4, "stop", -1.25, strict, outcome, 1.0, "correct", "ab")


@pytest.fixture
def stores(tmp_path):
    folder = tmp_path / "samples"
    with SampleStore(folder, STREAM, {"p/1": "digest", "p/0": "digest"}) as store:
        store.add([("p/0", sample(1, 0.0)), ("p/1", sample(0, 1.0)), ("p/0", sample(0, 1.0))])
    other = Stream(model="n" * 32, role="trained", seed=3, temperature=0.6, top_p=0.95, max_tokens=9)
    with SampleStore(folder, other, {"p/0": "digest"}) as store:
        store.add([("p/0", sample(0, 1.0))])
    return tmp_path


def test_samples_have_a_row_each(stores):
    frame = frames.samples(stores)
    assert frame.columns.tolist()[:7] == ["role", "model", "temperature", "top_p", "max_tokens", "seed", "id"]
    assert frame[["role", "temperature", "top_p", "id", "index", "text", "strict"]].values.tolist() == [
        ["base", 1.0, 1.0, "p/1", 0, "text 0", 1.0],
        ["base", 1.0, 1.0, "p/0", 0, "text 0", 1.0],
        ["base", 1.0, 1.0, "p/0", 1, "text 1", 0.0],
        ["trained", 0.6, 0.95, "p/0", 0, "text 0", 1.0],
    ]
    second = frame.iloc[2]
    assert (second["strict_outcome"], second["tolerant_outcome"]) == ("unparsable", "correct")
    assert (second["tolerant"], second["logprob"], second["num_tokens"]) == (1.0, -1.25, 4)
    assert (second["finish"], second["answer"], second["seed"], second["model"]) == ("stop", "ab", 3, "m" * 32)


def test_samples_of_a_role_a_store_and_without_texts(stores):
    assert frames.samples(stores, "trained")["model"].tolist() == ["n" * 32]
    (path,) = (stores / "samples").glob("base-*.sqlite")
    frame = frames.samples(path, texts=False)
    assert len(frame) == 3
    assert "text" not in frame
    assert len(frames.samples(stores / "samples")) == 4
    with pytest.raises(UserError, match="no samples of role 500"):
        frames.samples(stores, "500")


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no sample store"):
        frames.samples(tmp_path)
    (tmp_path / "a.sqlite").write_text("no database, but a text that is long enough to be looked at" * 20)
    with pytest.raises(UserError, match="not a sample store"):
        frames.samples(tmp_path)
    sqlite3.connect(tmp_path / "b.sqlite").close()
    with pytest.raises(UserError, match="not a sample store"):
        frames.samples(tmp_path / "b.sqlite")


@pytest.fixture
def run(tmp_path):
    lines = [
        {"step": 1, "score/mean": 0.5, "validation/mean": 0.25, "validation/math": 0.25, "validation/add/3": 0.125},
        {"step": 2, "score/mean": 0.75},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_metrics_have_a_row_a_step(run):
    frame = frames.metrics(run)
    assert frame["step"].tolist() == [1, 2]
    assert frame["score/mean"].tolist() == [0.5, 0.75]
    assert frame["validation/mean"].isna().tolist() == [False, True]


def test_validation_is_long(run):
    frame = frames.validation(run)
    assert frame[["step", "scope", "name", "score"]].values.tolist() == [
        [1, "all", "all", 0.25],
        [1, "domain", "math", 0.25],
        [1, "level", "add/3", 0.125],
    ]
    level = frame.iloc[2]
    assert (level["family"], level["level"]) == ("add", 3)
    assert frame["level"].isna().tolist() == [True, True, False]


def test_events(run):
    assert frames.events(run).columns.tolist() == ["step", "event"]
    (run / "events.jsonl").write_text('{"step": 2, "event": "reset", "score": 0.5}\n')
    assert frames.events(run).values.tolist() == [[2, "reset", 0.5]]


def test_what_is_no_run_is_refused(tmp_path):
    for read in (frames.metrics, frames.events, frames.validation):
        with pytest.raises(UserError, match=r"metrics\.jsonl is missing or empty"):
            read(tmp_path)


def test_without_pandas_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.delitem(sys.modules, "prorl.frames")
    with pytest.raises(ImportError, match=r"^prorl\.frames needs pandas \(.*\); pip install 'prorl\[frames\]'$"):
        importlib.import_module("prorl.frames")
