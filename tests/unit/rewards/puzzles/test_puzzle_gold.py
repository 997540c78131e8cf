"""Each stored puzzle accepts its own answer, after a trip through JSON, in the strict and the tolerant reading."""

import json
from collections import Counter
from pathlib import Path

import pytest

from prorl.records import Prompt
from prorl.rewards.puzzles import rows, tasks
from prorl.rewards.puzzles.verdict import JUDGES, verify, verify_tolerant

ROWS = [json.loads(line) for line in (Path(__file__).parent / "reasoning_gym_rows.jsonl").read_text().splitlines()]


def _prompt(row: dict) -> Prompt:
    return Prompt(row["id"], "logic", row["task"], "", row["answer"], row["metadata"])


def test_task_names():
    assert len(set(tasks.TRAINING_TASKS)) == 96
    assert len(set(tasks.ALL_TASKS)) == 105
    assert set(tasks.HELD_OUT_TASKS).isdisjoint(tasks.TRAINING_TASKS)
    assert {"acre", "boxnet", "game_of_life_halting", "puzzle24"} <= set(tasks.HELD_OUT_TASKS)
    assert JUDGES.keys() | tasks.PATCHES.keys() | tasks.CHANCE.keys() | tasks.NO_ORACLE <= set(tasks.ALL_TASKS)
    assert tasks.canonical("palindrome") in tasks.TRAINING_TASKS


def test_the_fixture_holds_every_task():
    counts = Counter(row["task"] for row in ROWS)
    assert counts.keys() == set(tasks.ALL_TASKS)
    assert min(counts.values()) >= 2


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_own_answer_scores_one(row):
    stored = _prompt(json.loads(json.dumps(row)))
    rows.check_row(stored)
    gold = rows.gold_response(stored)
    assert gold is not None
    assert verify(stored, f"<think>{gold[:20]}</think> So:\n{gold}\n").outcome == "correct"
    answer = gold.removeprefix("<answer>").removesuffix("</answer>")
    assert answer == row["answer"]
    assert verify(stored, answer).outcome == "unparsable"
    for form in (f"Answer: {answer}", f"**Final answer:** {answer}", f"```\n{answer}\n```"):
        assert verify_tolerant(stored, form).outcome == "correct", form


@pytest.mark.parametrize("row", ROWS[::3], ids=lambda row: row["id"])
def test_the_librarys_oracle_is_the_gold(row):
    """Where the library has an answer, that very text is the one accepted."""
    oracle = row["metadata"]["entry"]["answer"]
    assert oracle is None or verify(_prompt(row), f"<answer> {oracle}\n</answer>").value == 1.0


@pytest.mark.parametrize("row", [row for row in ROWS if row["task"] == "rubiks_cube"], ids=lambda row: row["id"])
def test_the_librarys_way_to_solve_a_cube_is_right(row):
    """It is another one than the gold, which undoes the scramble."""
    answer = row["metadata"]["entry"]["metadata"]["example_correct_answer"]
    assert answer != row["answer"]
    assert verify(_prompt(row), f"<answer>{answer}</answer>").value == 1.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda metadata: metadata.update(task="gdc"), "task"),
        (lambda metadata: metadata.update(task=7), "task"),
        (lambda metadata: metadata.pop("entry"), "entry"),
        (lambda metadata: metadata.update(entry=[]), "entry"),
        (lambda metadata: metadata["entry"].pop("answer"), "answer"),
        (lambda metadata: metadata["entry"].update(answer=None), "answer"),
        (lambda metadata: metadata["entry"].update(metadata=None), "metadata"),
        (lambda metadata: metadata["entry"]["metadata"].pop("target"), "target"),
    ],
)
def test_rows_that_cannot_be_judged(change, reason):
    row = json.loads(json.dumps(next(row for row in ROWS if row["task"] == "countdown")))
    row["task"] = ""
    change(row["metadata"])
    with pytest.raises(ValueError, match=reason):
        rows.check_row(_prompt(row))
    assert verify(_prompt(row), "<answer>1</answer>").outcome == "error"


@pytest.mark.parametrize(
    ("task", "given", "accepted"),
    [
        ("palindrome", "palindrome_generation", True),
        ("palindrome_generation", "palindrome", True),
        ("my_own_puzzles", "palindrome_generation", True),
        ("palindrome_generation", None, True),
        ("gcd", "palindrome_generation", False),
        ("palindrome_partitioning", "palindrome", False),
        ("my_own_puzzles", None, False),
        ("palindrome_generation", "my_own_puzzles", False),
    ],
)
def test_a_row_names_one_known_task(task, given, accepted):
    """In its metadata, or as its task where they name none; a task of another name is the user's own."""
    row = json.loads(json.dumps(next(row for row in ROWS if row["task"] == "palindrome_generation")))
    metadata = {"task": given, "entry": row["metadata"]["entry"]}
    row |= {"task": task, "metadata": metadata if given else {"entry": metadata["entry"]}}
    if accepted:
        rows.check_row(_prompt(row))
        assert verify(_prompt(row), rows.gold_response(_prompt(row))).value == 1.0
    else:
        with pytest.raises(ValueError, match="task"):
            rows.check_row(_prompt(row))


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"premises": ["P", "¬P"]}, "contradict"),
        ({"premises": ["(P ↔ Q)", "(P ∧ ¬Q)"]}, "contradict"),
        ({"premises": ["(P → Q)", "(¬P → Q)", "¬(P ∨ Q)"]}, "contradict"),
        ({"premises": ["P or Q"]}, "no formula"),
        ({"premises": ["S"]}, "no formula"),
        ({"premises": [None]}, "list of texts"),
        ({"variables": "PQR"}, "list of texts"),
        ({"variables": list("ABCDEFGHPQR")}, "11, more than 10"),
    ],
)
def test_premises_that_say_nothing_or_anything(facts, reason):
    """Where premises contradict each other, every statement follows."""
    row = json.loads(json.dumps(next(row for row in ROWS if row["task"] == "propositional_logic")))
    row["metadata"]["entry"]["metadata"].update(
        {"premises": ["(P → Q)", "P"], "variables": ["P", "Q"], "example_answer": "(P ∧ Q)"}
    )
    rows.check_row(_prompt(row))
    assert verify(_prompt(row), "<answer>(Q ∧ P)</answer>").value == 1.0
    row["metadata"]["entry"]["metadata"].update(facts)
    with pytest.raises(ValueError, match=reason):
        rows.check_row(_prompt(row))
    assert verify(_prompt(row), "<answer>(Q ∧ P)</answer>").outcome == "error"


@pytest.mark.parametrize("task", sorted(JUDGES))
def test_an_entry_of_the_wrong_shape_is_an_error_or_a_zero(task):
    """Nothing raises, and no answer to it is right, when every value that is read is of another type."""
    row = json.loads(json.dumps(next(row for row in ROWS if row["task"] == task)))
    for key in row["metadata"]["entry"]["metadata"]:
        row["metadata"]["entry"]["metadata"][key] = {"nothing": [None]}
    outcome = verify(_prompt(row), "<answer>[[1, 2]]</answer>").outcome
    assert outcome in ("error", "wrong")


def test_a_broken_entry_is_not_the_answers_fault():
    row = json.loads(json.dumps(next(row for row in ROWS if row["task"] == "sokoban")))
    row["metadata"]["entry"]["metadata"]["gamestr"] = ""
    score = verify(_prompt(row), "<answer>LRUD</answer>")
    assert score.outcome == "error"
    assert "sokoban" in score.detail


def test_boxes_of_one_colour_go_to_targets_of_their_own():
    state = {"0.5_0.5": ["box_red", "box_red"], "0.5_1.5": ["target_red"], "1.5_0.5": ["target_red"]}
    row = {"id": "", "task": "boxnet", "answer": ""}
    for initial, found in ((state, True), ({**state, "1.5_0.5": []}, False)):
        entry = {"question": "", "answer": None, "metadata": {"initial_state": initial}}
        prompt = _prompt({**row, "metadata": {"task": "boxnet", "entry": entry}})
        gold = rows.gold_response(prompt)
        assert (gold is not None) == found
        assert gold is None or verify(prompt, gold).value == 1.0
