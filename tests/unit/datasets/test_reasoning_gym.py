"""Rows come from a process of their own: the same for every caller, different questions, answers that score 1."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from prorl.datasets import reasoning_gym
from prorl.datasets.reasoning_gym import INSTRUCTION, MAX_LEVEL, generate_rows, max_level
from prorl.errors import RunFailed, UserError
from prorl.prompts.sources import prompt_row
from prorl.records import Prompt
from prorl.rewards.puzzles.rows import check_row, gold_response
from prorl.rewards.puzzles.tasks import ALL_TASKS, CHANCE, FAIR_CONSTANT
from prorl.rewards.puzzles.verdict import judge, verify

# Those whose draws depend on the order of sets, on the clock, on a random state of the process, and plain ones.
TASKS = ("isomorphic_strings", "ransom_note", "list_functions", "polynomial_multiplication", "intermediate_integration",
         "time_intervals", "knights_knaves", "gsm_symbolic", "graph_color", "boxnet")  # fmt: skip
SLOW = {"acre", "knight_swap", "zebra_puzzles", "game_of_life_halting"}
_PROGRAM = (
    "import json; from prorl.datasets.reasoning_gym import generate_rows; "
    f"print(json.dumps(list(generate_rows({TASKS!r}, per_task=3, seed=5))))"
)


@pytest.fixture(scope="module")
def maker() -> Iterator[reasoning_gym._Maker]:
    """One process for all tests: to start one takes seconds."""
    with reasoning_gym._Maker() as process:
        yield process


@pytest.fixture
def shared(maker, monkeypatch) -> None:
    monkeypatch.setattr(reasoning_gym, "_Maker", lambda: contextlib.nullcontext(maker))


@pytest.fixture
def rows(shared) -> list[dict]:
    return list(generate_rows(TASKS, per_task=3, seed=5))


def test_rows_do_not_depend_on_the_callers_hash_seed(rows):
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**os.environ, "PYTHONHASHSEED": "4321"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == rows


def test_rows_have_the_unified_form_and_score_one(rows):
    assert [row["task"] for row in rows] == [task for task in TASKS for _ in range(3)]
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert json.loads(json.dumps(row)) == row
        prompt = Prompt(row["id"], row["domain"], row["task"], row["prompt"], row["answer"], row["metadata"])
        assert prompt_row(prompt) == row
        check_row(prompt)
        assert verify(prompt, gold_response(prompt)).value == 1.0
        entry = row["metadata"]["entry"]
        assert entry.keys() == {"question", "answer", "metadata"}
        assert row["prompt"] == f"{entry['question'].rstrip()}\n\n{INSTRUCTION}"
        assert " at 0x" not in json.dumps(row)
        assert row["metadata"]["level"] == 0


def test_a_longer_list_begins_with_the_shorter_one(rows):
    more = generate_rows(TASKS[:2], per_task=4, seed=5)
    assert [row for row in more if not row["id"].endswith("-3")] == rows[:6]


def test_other_seeds_and_levels_give_other_questions(shared):
    easy, other, hard = (
        [
            row["metadata"]["entry"]["question"]
            for row in generate_rows(["chain_sum"], per_task=3, seed=seed, level=level)
        ]
        for seed, level in ((1, 1), (2, 1), (1, 11))
    )
    assert len({*easy, *other, *hard}) == 9
    assert max(map(len, easy)) < min(map(len, hard))


def test_a_level_above_the_highest_is_the_highest(shared):
    [row] = generate_rows(["palindrome"], per_task=1, seed=1, level=99)
    assert (row["task"], row["metadata"]["level"]) == ("palindrome_generation", max_level("palindrome"))
    assert MAX_LEVEL.keys() == set(ALL_TASKS)


def test_a_task_that_runs_dry_yields_fewer_different_rows(shared):
    rows = list(generate_rows(["tower_of_hanoi"], per_task=200, seed=1, level=1))
    questions = [row["metadata"]["entry"]["question"] for row in rows]
    assert 1 < len(questions) == len(set(questions)) < 200


def test_puzzles_that_cost_too_much_are_skipped(maker, shared, monkeypatch):
    """None stands for a process that ended itself, an error for a generator that failed."""
    entry = maker.make("gcd", -1, 1, 0)
    made = iter([None, {"error": "AssertionError"}, *itertools.repeat(None, 5)])
    monkeypatch.setattr(maker, "make", lambda *_: next(made))
    with pytest.raises(RunFailed, match="gcd at level 0: none of 7 puzzles"):
        list(generate_rows(["gcd"], per_task=1, seed=1))
    made = iter([None, entry, entry, *itertools.repeat(None, 5)])
    assert len(list(generate_rows(["gcd"], per_task=2, seed=1))) == 1


def test_a_process_that_died_is_replaced(maker):
    first = maker.make("gcd", -1, 1, 0)
    maker._process.kill()
    assert maker.make("gcd", -1, 1, 0) is None
    assert maker.make("gcd", -1, 1, 0) == first


def test_a_process_that_cannot_start_is_an_error(monkeypatch):
    monkeypatch.setattr(reasoning_gym, "_WORKER", "json.no_such_module")
    with pytest.raises(RunFailed, match="exit code 1"):
        list(generate_rows(["gcd"], per_task=1, seed=1))


@pytest.mark.parametrize("task", sorted({*CHANCE, "chain_sum", "word_sorting"} - SLOW))
def test_no_constant_earns_more_than_documented(task, shared):
    """Usual words and numbers, and the commonest answers of 100 puzzles, which are above their share at random."""
    rows = list(generate_rows([task], per_task=100, seed=3))
    prompts = [Prompt("", "logic", task, "", row["answer"], row["metadata"]) for row in rows]
    common = Counter(row["answer"] for row in rows).most_common(20)
    constants = ["0", "1", "-1", "2", "5", "10", "Yes", "No", "True", "False", "on", "bob", "", "nan", "[]"]
    earned = [
        sum(judge(prompt, text).value for prompt in prompts) / len(prompts) for text in (*constants, *dict(common))
    ]
    assert max(earned) <= CHANCE.get(task, FAIR_CONSTANT)


def _matrix(prompt: Prompt) -> str:
    return "\n".join(" ".join(map(str, row)) for row in prompt.metadata["entry"]["metadata"]["matrix"])


def _line(number: int) -> Callable[[Prompt], str]:
    return lambda prompt: prompt.metadata["entry"]["question"].strip().split("\n")[number].rpartition(": ")[2]


COPIES: dict[str, Callable[[Prompt], str]] = {
    "letter_jumble": _line(-1),
    "list_functions": _line(-2),
    "manipulate_matrix": _matrix,
    "number_format": lambda prompt: prompt.metadata["entry"]["metadata"]["formatted_candidates"][1],
    "number_sequence": lambda prompt: prompt.metadata["entry"]["question"].split(", ")[-2],
    "pool_matrix": _matrix,
    "rotate_matrix": _matrix,
    "sentence_reordering": _line(-1),
    "spell_backward": _line(-1),
    "string_manipulation": _line(-1),
    "word_sorting": _line(-1),
}


@pytest.mark.parametrize("task", sorted(COPIES))
def test_no_copy_earns_more_than_documented(task, shared):
    rows = list(generate_rows([task], per_task=100, seed=3))
    prompts = [Prompt("", "logic", task, "", row["answer"], row["metadata"]) for row in rows]
    copies = [COPIES[task](prompt) for prompt in prompts]
    assert all(len(copy) > 0 and copy.split("\n")[0] in row["prompt"] for copy, row in zip(copies, rows, strict=True))
    earned = sum(judge(prompt, copy).value for prompt, copy in zip(prompts, copies, strict=True)) / len(prompts)
    assert earned <= CHANCE.get(task, FAIR_CONSTANT)
    assert earned > 0.04 or task not in CHANCE


def test_no_formula_follows_from_most_premises(shared):
    """Every pair of letters under every sign, either letter negated or not, and a third letter added."""
    rows = list(generate_rows(["propositional_logic"], per_task=120, seed=3))
    prompts = [Prompt("", "logic", row["task"], "", row["answer"], row["metadata"]) for row in rows]
    for prompt in prompts:
        check_row(prompt)
    pairs = [
        f"({first} {sign} {second})"
        for sign in "∧∨→↔"
        for one, other in itertools.combinations("PQR", 2)
        for first, second in itertools.product((one, f"¬{one}"), (other, f"¬{other}"))
    ]
    added = [f"({pair} {sign} {letter})" for pair in pairs for sign in "∧↔" for letter in "PQR"]
    constants = [*pairs, *added, "P", "Q", "R", "(P ∧ ¬P)", "(P ∨ ¬P)"]
    earned = {text: sum(judge(prompt, text).value for prompt in prompts) / len(prompts) for text in constants}
    assert len(constants) > 300
    assert 0.2 < max(earned.values()) <= CHANCE["propositional_logic"]
    assert earned["(P ∧ ¬P)"] == earned["(P ∨ ¬P)"] == earned["P"] == 0.0


@pytest.mark.parametrize("level", [0, 1, 4])
def test_to_copy_the_string_is_no_way_to_insert_into_it(level, shared):
    """Of the library's strings of level 0, one in twenty has a place for an insertion."""
    rows = list(generate_rows(["string_insertion"], per_task=30, seed=3, level=level))
    prompts = [Prompt("", "logic", row["task"], "", row["answer"], row["metadata"]) for row in rows]
    assert len(prompts) == 30
    assert all(verify(prompt, gold_response(prompt)).value == 1.0 for prompt in prompts)
    strings = [prompt.metadata["entry"]["metadata"]["string"] for prompt in prompts]
    given = [prompt.metadata["entry"]["question"].strip().rpartition(": ")[2] for prompt in prompts]
    assert strings == given
    assert [judge(prompt, string).value for prompt, string in zip(prompts, strings, strict=True)] == [0.0] * 30


@pytest.mark.parametrize(("tasks", "message"), [(["gdc"], "task = gdc"), (["composite"], "not one of the 105")])
def test_unknown_tasks(tasks, message):
    with pytest.raises(UserError, match=message):
        next(generate_rows(tasks, per_task=1, seed=1))


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(reasoning_gym, "VERSION", "9.9.9")
    with pytest.raises(UserError, match=r"reasoning-gym==9\.9\.9"):
        next(generate_rows(["gcd"], per_task=1, seed=1))
