"""Extraction, junk, rows, and the cost of hostile answers."""

import os
import time
from pathlib import Path

import pytest

from prorl.records import Prompt
from prorl.rewards.mathematics import verdict
from prorl.rewards.mathematics.rows import check_row, gold_response
from prorl.rewards.mathematics.verdict import verify, verify_tolerant

QUESTION = r"What is 40 + 2? Put your final answer in \boxed{}."
HOSTILE = (Path(__file__).parent / "hostile.txt").read_text("utf-8").splitlines()
MAX_SECONDS = 1.0


def prompt(gold: str = "42", content: str = QUESTION) -> Prompt:
    return Prompt(id="", domain="math", task="", content=content, answer=gold)


@pytest.mark.parametrize(
    ("response", "strict", "tolerant"),
    [
        (r"So \boxed{42}.", "correct", "correct"),
        (r"\boxed{41}, no: \boxed{42}", "correct", "correct"),
        (r"\boxed{42}, no: \boxed{41}", "wrong", "wrong"),
        (r"<think>\boxed{42}</think> It is \boxed{41}", "wrong", "wrong"),
        (r"<think>\boxed{41}</think> It is \boxed{42}", "correct", "correct"),
        (r"<think> still \boxed{42}", "unparsable", "correct"),
        (r"\boxed{42} and \boxed{4", "correct", "correct"),
        (r"\fbox{42}", "correct", "correct"),
        ("A box \\boxed{42 that never closes\nAnswer: 42", "unparsable", "correct"),
        (r"\boxed{\boxed{42}}", "correct", "correct"),
        ("Reasoning.\nAnswer: 42", "correct", "correct"),
        ("Reasoning.\n**Answer:** $42$", "correct", "correct"),
        ("Answer: 42\nor maybe not", "unparsable", "correct"),
        ("\\boxed{41}\nAnswer: 42", "wrong", "wrong"),
        ("The answer is 42.", "unparsable", "correct"),
        ("The answer is $42$, as 40 + 2 = 42.", "unparsable", "correct"),
        ("40 + 2 = 42", "unparsable", "correct"),
        ("42", "unparsable", "correct"),
        ("We get 40, then 42", "unparsable", "unparsable"),
        ("The answer is 41 or 42.", "unparsable", "wrong"),
        ("The answer is 41, 42, 43.", "unparsable", "wrong"),
        ("41 42 43", "unparsable", "unparsable"),
        (r"\boxed{41, 42}", "wrong", "wrong"),
        (r"\boxed{\{40,41,42\}}", "wrong", "wrong"),
        (r"\boxed{41 \text{ or } 42}", "wrong", "wrong"),
        (r"\boxed{41=42}", "wrong", "wrong"),
        (r"\boxed{[0,100]}", "wrong", "wrong"),
        (r"\boxed{\pm 42}", "wrong", "wrong"),
        (r"\boxed{x}", "wrong", "wrong"),
        (r"\boxed{}", "unparsable", "unparsable"),
        ("", "unparsable", "unparsable"),
        (" \n\t", "unparsable", "unparsable"),
        (QUESTION, "unparsable", "wrong"),
        ("\\boxed{42\u200b}", "correct", "correct"),
        ("\\boxed{４２}", "correct", "correct"),
        ("\\boxed{٤٢}", "wrong", "wrong"),
        ("\\boxed{42\x00}", "wrong", "wrong"),
    ],
)
def test_where_the_answer_stands(response, strict, tolerant):
    assert verify(prompt(), response).outcome == strict
    loose = verify_tolerant(prompt(), response).outcome
    assert loose == tolerant or {loose, tolerant} == {"wrong", "unparsable"}  # 0 either way


@pytest.mark.parametrize("gold", ["42", r"\frac{1}{2}", "(1,2)", "x<3", r"\text{odd}", "1,2", "B", r"\sqrt{2}"])
@pytest.mark.parametrize("reading", [verify, verify_tolerant], ids=["strict", "tolerant"])
def test_junk_scores_nothing(reading, gold):
    constants = ["0", "1", "-1", "7", "100", "x", "A", r"\pi", r"\infty", r"\text{yes}", r"\emptyset", r"\mathbb{R}"]
    junk = ["", " ", QUESTION, "\\boxed{", "A, B, C, D", *(f"\\boxed{{{text}}}" for text in constants)]
    junk += ["".join(f"\\boxed{{{text}}}" for text in constants), f"\\boxed{{{', '.join(constants)}}}"]
    assert [text for text in junk if reading(prompt(gold), text).value] == []


@pytest.mark.parametrize("piece", ["\\boxed{", "{", "}", "\\boxed", "<think>", "answer is ", "Answer:", "$", "\\", "1",
                                   "a,", "\n", "*", " ", "=", "\\(", "\\text{", "((", "é", "\x00"])  # fmt: skip
def test_a_megabyte_of_one_piece_is_cheap(piece):
    flood = piece * (2**20 // len(piece))
    start = time.process_time()
    for response in (flood, f"\\boxed{{{flood}}}", f"Answer: {flood}"):
        assert verify(prompt(), response).value == 0.0
        assert verify_tolerant(prompt(), response).value == 0.0
    assert time.process_time() - start < 15 * MAX_SECONDS  # six readings; what is quadratic takes an hour


def test_hostile_answers_are_cheap_wrong_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(HOSTILE) >= 40
    for gold in ("5", r"\frac{1}{2}", "x^2+1", r"\sqrt{2}", r"\frac{1}{1-x}", "x<3", r"A\cup B", r"a \subset b"):
        for text in HOSTILE:
            start = time.process_time()
            assert verify(prompt(gold), f"\\boxed{{{text}}}").value == 0.0, text
            assert time.process_time() - start < 10 * MAX_SECONDS, text
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("gold", ["", "  ", "1" * 1001])
def test_gold_that_cannot_be_judged(gold):
    assert verify(prompt(gold), r"\boxed{1}").outcome == "error"
    with pytest.raises(ValueError, match="the answer"):
        check_row(prompt(gold))


@pytest.mark.parametrize("error", [ZeroDivisionError, TypeError, ValueError, KeyError, IndexError, RecursionError])
def test_no_answer_chooses_the_outcome_error(monkeypatch, error):
    def failing_on(text):
        def same_answer(gold, answer):
            if text in (gold.name, answer.name):
                raise error("inside")
            return gold == answer

        return same_answer

    monkeypatch.setattr(verdict, "same_answer", failing_on("13"))
    outcomes = {gold: verify(prompt(gold), r"\boxed{13}").outcome for gold in ("42", "5")}
    assert outcomes == {"42": "unparsable", "5": "unparsable"}
    monkeypatch.setattr(verdict, "same_answer", failing_on("42"))
    outcomes = {answer: verify(prompt("42"), f"\\boxed{{{answer}}}").outcome for answer in ("13", "42", "5")}
    assert outcomes == {"13": "error", "42": "correct", "5": "error"}


@pytest.mark.parametrize("gold", ["{", "}", "}{", r"\frac{1}{2", r"\text{a}}"])
def test_row_whose_braces_do_not_balance(gold):
    with pytest.raises(ValueError, match="braces"):
        check_row(prompt(gold))


@pytest.mark.parametrize("gold", ["1", r"\{1,2\}", r"\frac{1}{2}", r"(-\infty, 3]", "1" * 1000, r"a \\ b"])
def test_row_that_can_be_judged(gold):
    check_row(prompt(gold))
    assert gold_response(prompt(gold)) == f"\\boxed{{{gold}}}"
