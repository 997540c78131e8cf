"""What is no answer earns nothing, costs little and is never executed, for every task and both readings."""

import json
import time
from pathlib import Path

import pytest

from prorl.records import Prompt, Score
from prorl.rewards.puzzles.tasks import ALL_TASKS, CHANCE, FAIR_CONSTANT
from prorl.rewards.puzzles.verdict import MAX_ANSWER, judge, verify, verify_tolerant

ROWS = [json.loads(line) for line in (Path(__file__).parent / "reasoning_gym_rows.jsonl").read_text().splitlines()]
PROMPTS = [Prompt(row["id"], "logic", row["task"], "", row["answer"], row["metadata"]) for row in ROWS]
FIRST = {prompt.task: prompt for prompt in reversed(PROMPTS)}
EXECUTING = (
    "binary_matrix",
    "n_queens",
    "spiral_matrix",
    "string_insertion",
    "countdown",
    "puzzle24",
    "simple_integration",
    "intermediate_integration",
    "polynomial_multiplication",
)
"""Tasks whose verifier in the library executes the answer."""

NONSENSE = (
    "?",
    "I do not know.",
    "lorem ipsum dolor sit amet",
    "None",
    "null",
    "nan",
    "-nan",
    "inf",
    "1e999",
    "Infinity",
    "[]",
    "{}",
    "[[]]",
    "[NaN]",
    '""x""',
    "\ud800",
    "\x00",
    "9**9**9**9",
    "factorial(factorial(99))",
    "Integral(1, x)",
    "A" * 500,
)
FLOODS = (
    "9" * 1_000_000,
    "(" * 1_000_000,
    "[" * 1_000_000,
    "a," * 500_000,
    " \n" * 500_000 + "x",
    "-" * 1_000_000,
    "¬" * 1_000_000,
    "{" * 1_000_000,
    "1/" * 500_000,
    "\\frac{" * 170_000,
    "Answer:" * 140_000,
    "<answer>" * 125_000,
    "\\boxed{" * 140_000,
    "U " * 500_000,
)
REPEATED = ("9", "(", "[", "9*", "9**", "x+", "sin(", "¬", "(P∧", "U ", "R", "A+1 ", "[1],", '"a",', "1,", "1 ", "A B ")
AT_THE_LIMIT = (
    *((piece * MAX_ANSWER)[:MAX_ANSWER] for piece in REPEATED),
    "1" + "+1" * 3999,
    "(" * 70 + "1" + ")" * 70,
    "9" * 120 + "**9" * 2000,
    "(9**99)" + "**99" * 1900,
    "exp(" * 75 + "9" + ")" * 75,
)


def _answered(text: str) -> str:
    return f"<answer>{text}</answer>"


def test_nonsense_scores_nothing():
    paid = [
        (prompt.task, text, score.value)
        for prompt in PROMPTS
        for text in NONSENSE
        for score in (verify(prompt, _answered(text)), verify_tolerant(prompt, text))
        if score.outcome not in ("wrong", "unparsable") or score.value
    ]
    # An empty list is an answer to some problems about lists.
    assert [case for case in paid if case[:2] not in (("list_functions", "[]"), ("number_filtering", "[]"))] == []


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u00a0"])
def test_blanks_score_nothing(text):
    for prompt in PROMPTS:
        assert verify(prompt, text).outcome == "unparsable"
        assert verify_tolerant(prompt, text).outcome == "unparsable"
        assert verify(prompt, _answered(text)).value == 0.0 or prompt.answer == ""


def test_the_prompt_echoed_scores_nothing():
    for prompt, row in zip(PROMPTS, ROWS, strict=True):
        question = row["metadata"]["entry"]["question"]
        assert verify(prompt, _answered(question)).value == 0.0, prompt.id
        assert verify_tolerant(prompt, question).value == 0.0, prompt.id


def test_an_answer_inside_a_listing_scores_nothing():
    for prompt in PROMPTS:
        if prompt.answer:
            for text in (f"{prompt.answer} or 7", f"not {prompt.answer}", f"It is {prompt.answer}"):
                assert verify(prompt, _answered(text)).value == 0.0, (prompt.id, text)
                assert verify_tolerant(prompt, text).value == 0.0, (prompt.id, text)


def test_the_answer_to_another_puzzle_is_rarely_paid():
    """Over all tasks, pairs of puzzles whose answers differ earn next to nothing."""
    values = [
        judge(prompt, other.answer).value
        for prompt in PROMPTS
        for other in PROMPTS
        if prompt.task == other.task and prompt.answer.lower() != other.answer.lower()
    ]
    assert len(values) > 400
    assert sum(values) / len(values) < 0.01


@pytest.mark.parametrize("read", [verify, verify_tolerant])
def test_floods_are_cheap(read):
    """A megabyte of anything, in and out of the form; which task it answers makes no difference."""
    for task in ("sudoku", "countdown", "propositional_logic", "gcd"):
        for text in (*FLOODS, *map(_answered, FLOODS)):
            start = time.process_time()
            score = read(FIRST[task], text)
            assert time.process_time() - start < 10.0, text[:20]
            assert score.value == 0.0, text[:20]
            assert score.outcome in ("wrong", "unparsable"), score


@pytest.mark.parametrize("text", AT_THE_LIMIT, ids=lambda text: text[:12])
def test_the_longest_hostile_answers_are_cheap(text):
    for task in ALL_TASKS:
        start = time.process_time()
        assert judge(FIRST[task], text) == Score(0.0, "wrong", judge(FIRST[task], text).detail), task
        assert time.process_time() - start < 15.0, task


@pytest.mark.parametrize("task", EXECUTING)
def test_no_payload_runs(task, tmp_path):
    proof = tmp_path / "proof"
    call = f"__import__('pathlib').Path({str(proof)!r}).touch()"
    payloads = (
        call,
        f"[{call}]",
        f"str({call})",
        f"{{1: {call}}}",
        f"(lambda: {call})()",
        f"[x for x in [{call}]]",
        f"[[{call}]]",
        f"1 + {call}",
        f"Symbol('x').__class__.__init__.__globals__ or {call}",
        f"f'{{{call}}}'",
    )
    for text in payloads:
        for score in (
            judge(FIRST[task], text),
            verify(FIRST[task], _answered(text)),
            verify_tolerant(FIRST[task], text),
        ):
            assert score == Score(0.0, "wrong")
    assert not proof.exists()


def test_constants_stay_under_the_documented_level():
    assert all(FAIR_CONSTANT < level <= 1.0 for level in CHANCE.values())


def test_an_answer_over_the_limit_is_wrong_however_it_is_read():
    """Blanks inside a list cost nothing, up to the limit."""
    prompt = FIRST["number_sorting"]
    padding = MAX_ANSWER - len(prompt.answer)
    assert judge(prompt, prompt.answer.replace("[", "[" + " " * padding, 1)).value == 1.0
    assert judge(prompt, prompt.answer.replace("[", "[" + " " * (padding + 1), 1)).value == 0.0
