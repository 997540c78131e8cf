"""Where the STEM verifier finds an answer, what it does with hostile ones, and which rows it refuses."""

import itertools
import random
import subprocess
import sys
import time
from pathlib import Path

import pint
import pytest

from prorl.records import Prompt
from prorl.rewards.science import verdict
from prorl.rewards.science.conversion import measure
from prorl.rewards.science.expressions import is_expression
from prorl.rewards.science.markup import plain
from prorl.rewards.science.numerals import read_numeral
from prorl.rewards.science.options import read_options
from prorl.rewards.science.phrases import alternatives
from prorl.rewards.science.quantities import read_quantities
from prorl.rewards.science.rows import check_row, gold_response
from prorl.rewards.science.units import read_unit
from prorl.rewards.science.verdict import verify, verify_tolerant


def row(gold: str, **metadata: object) -> Prompt:
    return Prompt(id="v", domain="stem", task="", content="", answer=gold, metadata=metadata)


@pytest.mark.parametrize(
    ("response", "strict", "tolerant"),
    [
        (r"\boxed{B}", "correct", "correct"),
        (r"<think>\boxed{A}</think> It is \boxed{B}.", "correct", "correct"),
        (r"\boxed{A} no, \boxed{B}", "correct", "correct"),
        (r"\boxed{B} no, \boxed{A}", "wrong", "wrong"),
        (r"<think>\boxed{B}", "unparsable", "unparsable"),
        (r"\boxed{B}<think> wait", "unparsable", "unparsable"),
        (r"\boxed{B", "unparsable", "unparsable"),
        ("The answer is (B).", "unparsable", "correct"),
        ("The answer is **B**, because of X.", "unparsable", "wrong"),
        ("The final answer is: $B$", "unparsable", "correct"),
        ("Work.\n\nAnswer: B", "unparsable", "correct"),
        ("Work.\n**Answer:** B", "unparsable", "correct"),
        ("Work.\n**Final Answer: B**", "unparsable", "correct"),
        ("Work.\n**B**", "unparsable", "correct"),
        ("<answer>B</answer>", "unparsable", "correct"),
        ("B", "unparsable", "correct"),
        ("It is B or so.\nMaybe.", "unparsable", "unparsable"),
        ("Answer: A\nAnswer: B", "unparsable", "correct"),
        ("Answer: B\nAnswer: A", "unparsable", "wrong"),
        ("Answer: A, B, C, D", "unparsable", "wrong"),
        ("", "unparsable", "unparsable"),
        (" \n\t ", "unparsable", "unparsable"),
    ],
)
def test_where_the_answer_is_found(response: str, strict: str, tolerant: str):
    assert (verify(row("B"), response).outcome, verify_tolerant(row("B"), response).outcome) == (strict, tolerant)


def test_a_number_without_unit_is_right_only_in_the_tolerant_reading():
    prompt = row("5 m/s")
    assert (verify(prompt, r"\boxed{5}").value, verify_tolerant(prompt, r"\boxed{5}").value) == (0.0, 1.0)
    assert (verify(prompt, r"\boxed{5 kg}").value, verify_tolerant(prompt, r"\boxed{5 kg}").value) == (0.0, 0.0)


GOLDS = [
    row(r"5.0 \times 10^{-3} m/s"),
    row("B"),
    row("A", choices=["5 m/s", "H2O", r"\sqrt{2}", "mitochondria"]),
    row("2H2 + O2 -> 2H2O"),
    row(r"\sqrt{2gh}"),
    row("mitochondria"),
    row("3-5 m"),
]
PIECES = [
    "(", "{", "\\", "\\boxed{", "^", "-", "1", "1,", "1 ", "10^", "9**9**", "\\frac{", "\\sqrt", "m ", "m/", "1:", "H2",
    "(H", "+", "->", "= ", "1 and ", "A, ", "(A) ", "answer is ", "answer: ", "**", "\n", " ", "}", "\u200b", "⁹",
    "\x00", "\ud800", "1 h ", "±", "<answer>", "the ",
]  # fmt: skip


def test_floods_are_wrong_and_cheap():
    slowest = 0.0
    for prompt, piece in itertools.product(GOLDS, PIECES):
        for size, frame in ((290, r"\boxed{%s}"), (990, r"\boxed{%s}"), (3990, "The answer is %s")):
            response = frame.replace("%s", (piece * size)[:size])
            start = time.process_time()
            score = verify_tolerant(prompt, response)
            slowest = max(slowest, time.process_time() - start)
            assert score.value == 0.0, (prompt.answer, response[:40])
            assert score.outcome in ("wrong", "unparsable")
    assert slowest < 0.5


@pytest.mark.parametrize("piece", ["{", "}", r"\boxed{", "a", "answer is ", "</think>", "\n"])
def test_a_megabyte_of_noise_is_cheap(piece: str):
    noise = (piece * 10**6)[: 10**6]
    for response in (noise, f"\\boxed{{{noise}}}"):
        for judge in (verify, verify_tolerant):
            start = time.process_time()
            assert judge(GOLDS[0], response).value == 0.0
            assert time.process_time() - start < 10.0


def test_random_text_never_raises_and_never_scores():
    rng = random.Random(5)
    alphabet = "0123456789.,+-*/^_(){}[]\\ eExXmsKkgJNHOC2±~=<>:;°μΩ%'\"and or to ABCD"
    for _ in range(300):
        text = "?!?" + "".join(rng.choice(alphabet) for _ in range(rng.choice((12, 40, 290, 990))))
        for prompt in GOLDS:
            assert verify(prompt, "\\boxed{" + text.replace("{", "").replace("}", "") + "}").value == 0.0, text


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("pH = 7.4", "0^{-19}"),
        ("pH = 7.4", r"1.6 \times 10^{-0^{-19}}"),
        ("pH = 7.4", "0^{-1/2}"),
        ("H2O", r"H2 -> \frac{1}{0}O2"),
        ("2H2 + O2 -> 2H2O", r"2H2 + \frac{00}{00}O2 -> 2H2O"),
        ("2H2 + O2 -> 2H2O", "2H2 + 1/0O2 -> 2H2O"),
        ("0^{-19}", "7"),
        (r"H2 -> \frac{1}{0}O2", "H2"),
    ],
)
def test_a_division_by_zero_is_a_wrong_answer(gold: str, answer: str):
    assert verify(row(gold), f"\\boxed{{{answer}}}").outcome == "wrong"


@pytest.mark.parametrize(
    "error", [ZeroDivisionError, OverflowError, TypeError, ValueError, KeyError, IndexError, RecursionError]
)
@pytest.mark.parametrize("choices", [{}, {"choices": ["7 km", "5 km"]}])
@pytest.mark.parametrize(("unreadable", "outcome"), [("6 km", "unparsable"), ("7 km", "error")])
def test_an_answer_that_breaks_the_reading_is_no_fault_of_the_verifier(
    error, choices, unreadable: str, outcome: str, monkeypatch
):
    def read(text: str):
        if text == unreadable:
            raise error("reading\n" + "x" * 300)
        return read_quantities(text)

    monkeypatch.setattr(verdict, "read_quantities", read)
    for memory in (verdict._gold_quantities, verdict._try_gold):
        memory.cache_clear()
    score = verify(row("7 km", **choices), r"\boxed{6 km}")
    assert (score.value, score.outcome) == (0.0, outcome)
    assert "\n" not in score.detail
    assert len(score.detail) <= 200


def test_payloads_do_not_run(tmp_path: Path):
    target = tmp_path / "made"
    for code in (
        f"open('{target}','w')",
        f"__import__('os').system('touch {target}')",
        f"exec(\"open('{target}','w')\")",
    ):
        for frame in ("{}", "5 {}", "5 m/{}", "[{}]", "{}+1", "x = {}", "\\text{{{}}}"):
            for prompt in GOLDS:
                assert verify_tolerant(prompt, f"\\boxed{{{frame.format(code)}}}").value == 0.0
    assert not target.exists()


@pytest.mark.parametrize(
    ("gold", "metadata", "reason"),
    [
        ("", {}, "answer is empty"),
        ("$ $", {}, "answer is empty"),
        ("x" * 1001, {}, "1001 characters"),
        ("5", {"unit": "parsnips/"}, "metadata.unit 'parsnips/'"),
        ("5", {"unit": 3}, "metadata.unit"),
        ("5", {"tolerance": "1%"}, "metadata.tolerance"),
        ("5", {"tolerance": -0.1}, "metadata.tolerance"),
        ("5", {"tolerance": float("nan")}, "metadata.tolerance"),
        ("5", {"tolerance": True}, "metadata.tolerance"),
        ("A", {"choices": "AB"}, "metadata.choices"),
        ("A", {"choices": ["x"]}, "2 to 26 options"),
        ("A", {"choices": ["x", ""]}, "non-empty"),
        ("A", {"choices": {"A": "x", "AA": "y"}}, "letters A to Z"),
        ("C", {"choices": ["x", "y"]}, "exactly one option"),
        ("x", {"choices": ["x", "x", "y"]}, "exactly one option"),
    ],
)
def test_rows_that_cannot_be_judged(gold: str, metadata: dict, reason: str):
    prompt = row(gold, **metadata)
    with pytest.raises(ValueError, match=reason.replace(".", r"\.")) as error:
        check_row(prompt)
    assert "\n" not in str(error.value)
    assert verify(prompt, r"\boxed{5}").outcome == "error"


def test_gold_response_needs_balanced_braces():
    assert gold_response(row(r"\frac{1}{2}")) == r"\boxed{\frac{1}{2}}"
    assert gold_response(row("}{")) is None
    assert gold_response(row("{")) is None


def test_row_checks_import_nothing_heavy():
    code = "import sys, prorl.rewards.science.rows as _; print({'pint', 'sympy', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_options_by_letter_text_and_prefix():
    def right(gold: str, choices: object) -> str:
        options = read_options(gold, {"choices": choices})
        assert options is not None
        return "".join(sorted(options.right))

    assert right("b", ["x", "y"]) == "B"
    assert right("(B)", ["x", "y"]) == "B"
    assert right(r"\text{y}", ["x", "y"]) == "B"
    assert right("B. y", ["x", "y"]) == "B"
    assert right("A and C", ["x", "y", "z"]) == "AC"
    assert right("y", ["A. x", "B. y"]) == "B"
    assert right("B", {"a": "x", "b": "y"}) == "B"
    assert read_options("g", {}) is None
    assert read_options("Gold", {}) is None


def test_units_against_pint():
    """Factors of random products by pint's own parser, from names spelled as pint spells them."""
    registry = pint.UnitRegistry()
    rng = random.Random(3)
    symbols = [
        "km",
        "mm",
        "g",
        "kg",
        "s",
        "ms",
        "h",
        "min",
        "N",
        "kJ",
        "Pa",
        "mol",
        "K",
        "A",
        "V",
        "L",
        "W",
        "C",
        "eV",
        "cm",
    ]
    for _ in range(300):
        parts = [(rng.choice(symbols), rng.choice((1, 2, 3, -1, -2))) for _ in range(rng.randint(1, 4))]
        factors = read_unit(
            " ".join(f"{name}^({power})" if name != "ms" else f"ms^({abs(power)})" for name, power in parts)
        )
        assert factors is not None
        found = measure(factors)
        assert found is not None
        text = " * ".join(f"{name}**({power if name != 'ms' else abs(power)})" for name, power in parts)
        factor, base = registry.get_root_units(registry.parse_units(text))
        assert found.factor == pytest.approx(float(factor), rel=1e-9)
        assert dict(found.dimension) == {str(name): power for name, power in base._units.items()}


def test_notations_become_plain():
    assert plain(r"5.0\times10^{-3}\,\mathrm{m\,s^{-1}}") == "5.0×10^(-3) m s^(-1)"
    assert plain(r"25^{\circ}\mathrm{C}") == "25°C"
    assert plain(r"\frac{a}{b^{2}}") == "((a)/(b^(2)))"
    assert plain("H₂SO₄²⁻") == "H_(2)SO_(4)^(2-)"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,000", 1000), ("-1 000.5", -1000.5), ("3/4", 0.75), ("√(2)", 2**0.5), ("6.02e23", 6.02e23), ("2^(10)", 1024)],
)
def test_numbers(text: str, value: float):
    found = read_numeral(text)
    assert found is not None
    assert (float(found[0].value), found[1]) == (pytest.approx(value), len(text))


@pytest.mark.parametrize("text", ["", "m", "10^(999)", "1e9999", "9" * 61, "1/0", "(" * 50 + "1", "٣"])
def test_no_numbers(text: str):
    found = read_numeral(text)
    assert found is None or found[1] < len(text)


def test_alternatives_only_where_they_are_clear():
    assert alternatives("glucose or dextrose") == ("glucose or dextrose", "glucose", "dextrose")
    assert alternatives("either glucose or dextrose") == ("either glucose or dextrose",)
    assert alternatives("glucose or the sugar of fruit") == ("glucose or the sugar of fruit",)
    assert alternatives("adenosine triphosphate (ATP)")[1:] == ("adenosine triphosphate", "ATP")


def test_long_answers_are_not_read():
    assert verify(row("5"), "\\boxed{5" + " " * 998 + "}").outcome == "correct"
    assert verify(row("5"), "\\boxed{5" + " " * 1000 + "}").outcome == "unparsable"


def test_words_are_no_expressions():
    assert is_expression(r"\frac{1}{2}mv^2")
    assert is_expression("v = at")
    assert not is_expression("Mars-Arms = 3")
    assert not is_expression(r"\text{total mass} + x")
    assert not is_expression("mitochondria")
