r"""Answers a second of the math verifier on one core, and the slowest answer of a hostile list.

    python benchmarks/math_verifier.py
    python benchmarks/math_verifier.py --rows 2000 --json

The ordinary mix resembles DeepScaleR: whole numbers, fractions, decimals, tuples, sets, expressions and units; 3,000
characters of reasoning, one third of the answers wrong, one fourteenth without a box. No answer is judged twice. The
hostile list is that of the tests, each against several golds. Both readings run in this process, without the pool.
"""

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import ROOT, finish, options_parser, run, whole_number

from prorl.records import Prompt
from prorl.rewards.functions import TwoStageVerifier
from prorl.rewards.mathematics.verdict import verify, verify_tolerant

READINGS: dict[str, TwoStageVerifier] = {"strict": verify, "tolerant": verify_tolerant}
HOSTILE: Path = ROOT / "tests" / "unit" / "rewards" / "mathematics" / "hostile.txt"
HOSTILE_GOLDS = ("5", r"\frac{1}{2}", "x^2+1", r"\sqrt{2}", "(1,2)", "x<3", r"\sin x", r"\ln(x)+\sin(10^{300})")
REASONING = "Let n be the number. Then $n^2 - 3n = {}$, so that \\frac{{n}}{{2}} is known and the rest follows.\n"
RESPONSE_CHARACTERS = 3000
GOALS = {"ordinary answers a second": 300.0, "slowest hostile answer, seconds": 3.0}

Row = tuple[str, str, str]
"""Gold, a right form and a wrong form."""


def whole(a: int, b: int, c: int) -> Row:
    return f"{a}", f"{a}.0" if c % 5 == 0 else f"{a}", f"{a + b}"


def fraction(a: int, b: int, c: int) -> Row:
    return rf"\frac{{{a}}}{{{b}}}", rf"\dfrac{{{a * c}}}{{{b * c}}}", f"{b}/{a + 1}"


def decimal(a: int, b: int, c: int) -> Row:
    return f"{a}.{b:03d}", f"{a}.{b:03d}0", f"{a}.{c:03d}5"


def pair(a: int, b: int, c: int) -> Row:
    return f"({a},{b})", rf"\left({a}, {b}\right)", f"({b},{a + c})"


def several(a: int, b: int, c: int) -> Row:
    return f"{a}, {-b}", f"x={-b} \\text{{ or }} x={a}", f"{a}"


def root(a: int, b: int, c: int) -> Row:
    return rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b}}}", rf"{a}+\sqrt{{{b}}}"


def expression(a: int, b: int, c: int) -> Row:
    return f"x^2+{a + b}x+{a * b}", f"(x+{a})(x+{b})", f"x^2+{a}x+{b * c}"


def unit(a: int, b: int, c: int) -> Row:
    return rf"{a}\text{{ cm}}^2", f"{a}", rf"{a}\text{{ cm}}"


KINDS: tuple[Callable[[int, int, int], Row], ...] = (
    *(whole,) * 7, *(fraction,) * 3, decimal, pair, several, root, expression, unit,
)  # fmt: skip
"""Seven of sixteen answers are whole numbers."""


def ordinary(rows: int) -> list[tuple[Prompt, str]]:
    """Problems with one response each."""
    rng = random.Random("math_verifier")
    result: list[tuple[Prompt, str]] = []
    for index in range(rows):
        gold, right, wrong = KINDS[index % len(KINDS)](*(rng.randint(2, 900) for _ in range(3)))
        answer = wrong if rng.random() < 1 / 3 else right
        reasoning = "".join(REASONING.format(rng.randint(1, 10**6)) for _ in range(RESPONSE_CHARACTERS // 90))
        last = f"The answer is {answer}." if index % 14 == 13 else rf"So the answer is $\boxed{{{answer}}}$."
        result.append((Prompt(f"{index}", "math", "", "", gold), reasoning + last))
    return result


def measure_ordinary(reading: TwoStageVerifier, rows: list[tuple[Prompt, str]]) -> dict[str, float]:
    times: list[float] = []
    correct = 0.0
    for prompt, response in rows:
        start = time.perf_counter()
        correct += reading(prompt, response).value
        times.append(time.perf_counter() - start)
    times.sort()
    return {
        "answers_a_second": len(times) / sum(times),
        "median_seconds": times[len(times) // 2],
        "p99_seconds": times[len(times) * 99 // 100],
        "correct": correct / len(times),
    }


def measure_hostile(reading: TwoStageVerifier) -> dict[str, Any]:
    answers = HOSTILE.read_text("utf-8").splitlines()
    worst, accepted = (0.0, "", ""), 0
    for gold in HOSTILE_GOLDS:
        prompt = Prompt("", "math", "", "", gold)
        for answer in answers:
            start = time.perf_counter()
            accepted += reading(prompt, f"\\boxed{{{answer}}}").value > 0
            worst = max(worst, (time.perf_counter() - start, gold, answer[:60]))
    return {"answers": len(answers), "seconds": worst[0], "gold": worst[1], "answer": worst[2], "accepted": accepted}


def markdown(results: dict[str, Any]) -> str:
    lines = [
        "| reading | answers a second | median ms | p99 ms | right | hostile answers | accepted | slowest, s | which |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, both in results.items():
        usual, hostile = both["ordinary"], both["hostile"]
        lines.append(
            f"| {name} | {usual['answers_a_second']:.0f} | {usual['median_seconds'] * 1e3:.2f} "
            f"| {usual['p99_seconds'] * 1e3:.2f} | {usual['correct']:.1%} | {hostile['answers']} "
            f"| {hostile['accepted']} | {hostile['seconds']:.2f} | `{hostile['answer'].replace('|', '')}` |"
        )
    goals = "; ".join(f"{name} {value:g}" for name, value in GOALS.items())
    return "\n".join([*lines, "", f"Goals: {goals}."])


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--rows", type=whole_number, default=4000, help="ordinary answers")
    return parser.parse_args()


def main() -> None:
    options = parse()
    rows = ordinary(options.rows)
    results = {
        name: {"ordinary": measure_ordinary(reading, rows), "hostile": measure_hostile(reading)}
        for name, reading in READINGS.items()
    }
    finish(options, "math_verifier", {"readings": results}, markdown(results))


if __name__ == "__main__":
    run(main)
