"""Labelled golds: right and wrong forms by hand; laws that hold for any pair."""

import json
import random
from fractions import Fraction
from pathlib import Path

import pytest

from prorl.records import Prompt
from prorl.rewards.mathematics.nodes import Refused, Unreadable
from prorl.rewards.mathematics.parsing import readings
from prorl.rewards.mathematics.rows import gold_response
from prorl.rewards.mathematics.units import conversion
from prorl.rewards.mathematics.values import equal, exact
from prorl.rewards.mathematics.verdict import judge, verify, verify_tolerant

LINES = [
    line.split(" ::: ")
    for line in (Path(__file__).parent / "golds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def prompt(gold: str) -> Prompt:
    return Prompt(id="", domain="math", task="", content="", answer=gold)


def test_list_is_as_long_as_promised():
    assert len(LINES) >= 300
    assert sum(len(forms.split(" ||| ")) for _, right, wrong in LINES for forms in (right, wrong)) >= 2000


@pytest.mark.parametrize(("gold", "right", "wrong"), LINES, ids=[f"{i}" for i in range(len(LINES))])
def test_labelled_forms(gold, right, wrong):
    gold_prompt = prompt(gold)
    if not gold.startswith('["'):
        assert verify(gold_prompt, gold_response(gold_prompt)).value == 1.0
    for form in right.split(" ||| "):
        assert verify(gold_prompt, f"Thus \\boxed{{{form}}}.").value == 1.0, form
        assert verify_tolerant(gold_prompt, f"Thus \\boxed{{{form}}}.").value == 1.0, form
    for form in wrong.split(" ||| "):
        assert verify(gold_prompt, f"Thus \\boxed{{{form}}}.").outcome in ("wrong", "unparsable"), form


def test_no_gold_equals_a_later_one_by_accident():
    # Golds of different kinds: each must refuse all the others.
    golds = ["7", r"\frac{2}{7}", r"\sqrt{7}", "7\\pi", "(7,8)", r"[7,8]", r"\{7,8,9\}", "x>7", r"\text{seven}", "7x",
             r"\begin{pmatrix}7\\8\end{pmatrix}", "7:9", "7i", r"\infty", r"\emptyset", "1001_7", "x^2=7"]  # fmt: skip
    accepted = [(one, two) for one in golds for two in golds if one != two and judge(prompt(one), two).value]
    assert accepted == []


def test_random_fractions_against_python():
    # Sums of random fractions, written in LaTeX, against the fractions module.
    rng = random.Random(0)
    for _ in range(200):
        terms = [Fraction(rng.randint(-30, 30), rng.randint(1, 30)) for _ in range(3)]
        written = "+".join(rf"\left(\frac{{{term.numerator}}}{{{term.denominator}}}\right)" for term in terms)
        total = sum(terms)
        assert exact(readings(written)[0]) == total
        assert judge(prompt(str(total)), written).value == 1.0
        assert judge(prompt(str(total + Fraction(1, 10**6))), written).value == 0.0


def test_random_polynomials_against_their_values():
    # Two polynomials of degree 3 that agree at four points are equal: an independent test of accepted equalities.
    rng = random.Random(1)
    for _ in range(100):
        a, b, c, d = (rng.randint(-4, 4) for _ in range(4))
        product = f"({a}x+{b})({c}x^2+{d})".replace("+-", "-")
        other = rng.randint(-1, 1)
        expanded = f"{a * c}x^3+{b * c}x^2+{a * d}x+{b * d + other}".replace("+-", "-")
        values = [
            (a * x + b) * (c * x * x + d) - (a * c * x**3 + b * c * x * x + a * d * x + b * d + other) for x in range(4)
        ]
        assert (judge(prompt(product), expanded).value == 1.0) == (not any(values))


@pytest.mark.parametrize(
    ("gold", "answer", "factor"),
    [
        ("cm", "km", Fraction(100000)),
        ("m^2", "cm^2", Fraction(1, 10000)),
        ("miles per hour", "mph", Fraction(1)),
        ("km/h", "m/s", Fraction(18, 5)),
        ("cm", "s", None),
        ("cm", "cm^2", None),
        ("apples", "apple", Fraction(1)),
        ("apples", "pears", None),
        ("cm", "apples", None),
        ("", "cm", Fraction(1)),
    ],
)
def test_conversion_of_units(gold, answer, factor):
    assert conversion(gold, answer) == factor


def test_huge_numbers_are_told_apart_by_one():
    power, plus_one, same = (readings(text)[0] for text in ("7^{123456}", "7^{123456}+1", "49^{61728}"))
    assert equal(power, same)
    assert not equal(power, plus_one)
    with pytest.raises(Refused):
        equal(power, readings("9^{9^{9^{9}}}")[0])


@pytest.mark.parametrize("text", ["", "5 5", "(1,2", r"\foo", "1++*2", r"\frac{1}{", "%", "|x", r"\begin{pmatrix}1&2"])
def test_unreadable_text(text):
    with pytest.raises(Unreadable):
        readings(text)


def test_a_comma_before_three_digits_has_two_readings():
    assert [node.kind for node in readings("1,234")] == ["number", "list"]
    assert [node.kind for node in readings("(1,234)")] == ["bracket", "bracket"]


@pytest.mark.parametrize("gold", ["5", '["1","2"]', "[1, 2]", json.dumps(["x", "y"])])
def test_gold_as_json_lines_give_it(gold):
    assert judge(prompt(gold), gold.replace('"', "").strip("[]") if '"' in gold else gold).value == 1.0
