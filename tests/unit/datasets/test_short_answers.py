"""The short answer of a solution in prose, or none; hand-labelled."""

import time

import pytest

from prorl.datasets.short_answers import find_choices, short_answer

OPTIONS = "Which one?\n(A) 3 m\n(B) 4 m\n(C) 5 m\n(D) none of these"
LABELLED = [
    ("x?", "Hence \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
    ("x?", "First \\boxed{1}, then \\boxed{2}.", "2"),
    ("x?", "The answer is 42.", "42"),
    ("x?", "So the final answer is: **12.5 kJ**.", "12.5 kJ"),
    ("x?", "Answer: $3x + 1$", "3x + 1"),
    ("x?", "Ans. 0.25 mol", "0.25 mol"),
    ("x?", "The answer is sodium chloride, because it dissolves.", "sodium chloride"),
    ("x?", "By the law,\n$v = \\sqrt{2 g h} = 4.43\\ \\mathrm{m/s}$", "4.43 \\ \\mathrm{m/s}"),
    ("x?", "so that E = 3.2 x 10^{-19} J.", "3.2 x 10^{-19} J"),
    ("x?", "The pressure is 101,325 Pa", "101,325 Pa"),
    ("x?", "Therefore the ratio is about 0.71.", "0.71"),
    (OPTIONS, "It is the third: the correct option is (C).", "C"),
    (OPTIONS, "Answer: B", "B"),
    (OPTIONS, "The answer is 4 m.", "B"),
    (OPTIONS, "\\boxed{\\text{D}}", "D"),
    (OPTIONS, "The answer is 6 m.", None),
    (OPTIONS, "Both are right in a sense.", None),
    ("x?", "This follows from the second law of thermodynamics.", None),
    ("x?", "The answer is that no such process can occur in a closed system without work.", None),
    ("x?", "The answer is known.\n1\n2\n3\n4\nNow we derive it at length", None),
    ("x?", "", None),
    ("x?", "\\boxed{}", None),
]


@pytest.mark.parametrize(("problem", "solution", "answer"), LABELLED)
def test_labelled(problem, solution, answer):
    found = short_answer(problem, solution)
    assert (found.text if found else None) == answer


@pytest.mark.parametrize(
    ("problem", "choices"),
    [
        (OPTIONS, ("3 m", "4 m", "5 m", "none of these")),
        ("Which? (a) iron (b) neon (c) iodine", ("iron", "neon", "iodine")),
        ("Which?\nA) iron\nB) neon", ("iron", "neon")),
        ("Let A. be a set and C. another.", ()),
        ("A. only one", ()),
        ("Which?\nB. iron\nA. neon", ()),
    ],
)
def test_choices(problem, choices):
    assert find_choices(problem) == choices


@pytest.mark.parametrize(
    "character",
    [" ", "\n", "(", "A", "9", "=", "{", "$", "\\boxed{", "answer is ", "= 5 \\mathrm\\, ", "(A) ", "A. x\n"],
)
def test_long_texts_cost_little(character):
    text = character * (1_000_000 // len(character))
    start = time.process_time()
    short_answer(text, text)
    short_answer(OPTIONS, text)
    short_answer("x?", text + "!")
    assert time.process_time() - start < 30
