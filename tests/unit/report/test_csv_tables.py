"""The CSV tables of a measured boundary: every number where its column says, and no cell that a spreadsheet runs."""

import csv
from pathlib import Path

import pytest

from boundary_results import FAMILIES, KS, boundary_result
from prorl.report.csv_tables import write_tables

NAMES = ["levels.csv", "groups.csv", "curves.csv", "problems.csv", "solved.csv"]


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="") as lines:
        return list(csv.DictReader(lines, strict=True))


@pytest.fixture(scope="module")
def made() -> dict:
    return boundary_result(problems_per_level=2)


def test_every_number_has_its_place(made: dict, tmp_path: Path) -> None:
    assert write_tables(made, tmp_path) == [tmp_path / name for name in NAMES]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    levels = {row["name"]: row for row in read(tmp_path, "levels.csv")}
    assert len(levels) == 93
    for level in made["levels"]:
        row = levels[level["name"]]
        assert float(row["base/pass@128"]) == level["base"]["pass@128"]
        assert float(row["trained/tolerant/pass@1"]) == level["trained"]["tolerant/pass@1"]
        low, high = level["interval"]["trained"]["pass@1"]
        assert (float(row["trained/pass@1/low"]), float(row["trained/pass@1/high"])) == (low, high)
        assert float(row["change/pass@128/low"]) == level["interval"]["change"]["pass@128"][0]
        assert float(row["base/mean_score"]) == level["base"]["mean_score"]
        assert row["verdict"] == level["verdict"]
        assert row["trained_on"] == ("true" if level["trained_on"] else "false")
        assert row["level"] == str(level["level"])
        assert row["q"] == ("0.03" if level["k"] == 128 else "")
    groups = read(tmp_path, "groups.csv")
    assert [row["scope"] for row in groups] == ["all"] + ["domain"] * 3 + ["family"] * 12
    (mul,) = [row for row in groups if row["name"] == "mul"]
    assert (mul["regime"], mul["num_levels"], mul["num_problems"]) == ("diminish", "8", "16")
    problems = read(tmp_path, "problems.csv")
    assert len(problems) == 93 * 2 * 4
    first = made["problems"][0]
    assert problems[3] == {
        "id": first["id"], "domain": "logic", "family": "sort", "level": "1", "role": "trained", "samples": "128",
        "correct": str(first["trained"]["c"]), "correct_tolerant": str(first["trained"]["tolerant"]),
    }  # fmt: skip
    (all_solved,) = [row for row in read(tmp_path, "solved.csv") if row["scope"] == "all"]
    assert all_solved["both"] == str(made["groups"][0]["solved"]["both"])
    assert float(all_solved["retention"]) == made["groups"][0]["solved"]["retention"]


def test_curves_are_long(made: dict, tmp_path: Path) -> None:
    write_tables(made, tmp_path)
    rows = read(tmp_path, "curves.csv")
    # 16 groups and 93 levels, 4 roles, 8 k, strict and tolerant; the guessed family and its levels corrected besides.
    guessed = FAMILIES["halting"][1] + 1
    assert len(rows) == (16 + 93) * 4 * len(KS) * 2 + guessed * 4 * len(KS)
    domain = {"scope": "domain", "name": "math", "domain": "math", "family": "", "level": ""}
    (row,) = [row for row in rows if row.items() >= {**domain, "role": "500", "k": "16", "reading": "tolerant"}.items()]
    (entry,) = [entry for entry in made["groups"] if entry["name"] == "math"]
    assert float(row["value"]) == entry["checkpoints"]["500"]["tolerant/pass@16"]
    assert [float(row[end]) for end in ("low", "high")] == entry["interval"]["500"]["tolerant/pass@16"]
    assert row["sample_low"] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_text_is_a_formula(start: str, tmp_path: Path) -> None:
    name = f'{start}cmd|" /c calc",x\ud800'
    level = {"family": name, "level": 1, "domain": name, "reason": name, "suite": name, "base": {"pass@4": -0.5}}
    problem = {"id": name, "family": name, "base": {"n": 4, "c": 1}}
    write_tables({"summary": {"k": 4, "ks": [4]}, "levels": [level], "problems": [problem]}, tmp_path)
    shown = f"'{name}".replace("\ud800", "\\ud800")
    for table, column in (("levels.csv", "family"), ("levels.csv", "reason"), ("problems.csv", "id")):
        assert read(tmp_path, table)[0][column] == shown
    assert read(tmp_path, "levels.csv")[0]["name"] == f"{shown}/1"
    # A negative number is one, and stays one.
    assert read(tmp_path, "curves.csv")[0]["value"] == "-0.5"


def test_what_is_absent_is_empty(tmp_path: Path) -> None:
    level = {"family": "sort", "level": 3, "verdict": "gained", "chance": float("nan"), "trained": {"pass@4": 1.0}}
    write_tables({"summary": {"k": 4, "rules": {}}, "levels": [level]}, tmp_path)
    (row,) = read(tmp_path, "levels.csv")
    assert (row["name"], row["chance"], row["base/pass@4"], row["trained/pass@4"], row["q"]) == (
        "sort/3", "", "", "1.0", "",
    )  # fmt: skip
    for name in ("groups.csv", "problems.csv", "solved.csv"):
        assert read(tmp_path, name) == []
        assert (tmp_path / name).read_text().count("\n") == 1
