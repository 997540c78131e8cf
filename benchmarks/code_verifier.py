"""Milliseconds that judging one program costs, and each further test, on one core, by sandbox.

    python benchmarks/code_verifier.py [--sandbox landlock ...] [--programs 100] [--json] [--no-record]

A trivial program that reads a line and prints it, with 1 and with 21 tests; its own time is some microseconds a test.
A group's 16 answers differ by a comment, so that none is judged twice. Through one worker process, wall clock; the
start of the worker and of its sandbox is left out. The difference of the two, by 20, is what a further test costs.
"""

import json
import time
from typing import Any

from record import finish, options_parser, run, whole_number

from prorl.records import Prompt
from prorl.rewards.sandbox.selection import survey
from prorl.rewards.verifier import VerifierPool

GOALS = {"landlock": 40, "bubblewrap": 60}
"""Milliseconds a program."""
FURTHER = 20
ANSWERS = 16


def problem(num_tests: int, number: int) -> Prompt:
    """Print the line that was read."""
    lines = [f"line {number} {test}" for test in range(num_tests)]
    tests = {"inputs": [f"{line}\n" for line in lines], "outputs": [f"{line}\n" for line in lines]}
    return Prompt(id=f"p{number}", domain="code", task="echo", content="", answer=json.dumps(tests))


def milliseconds(pool: VerifierPool, num_tests: int, programs: int) -> float:
    """Of one program, its tests included."""
    groups = [
        (
            problem(num_tests, number),
            [f"```python\nprint(input())  # {number} {answer}\n```" for answer in range(ANSWERS)],
        )
        for number in range(max(1, programs // ANSWERS))
    ]
    start = time.perf_counter()
    results = pool.verify(groups)
    seconds = time.perf_counter() - start
    assert all(score.value == 1.0 for scores in results for score in scores), results[0][0]
    return 1000 * seconds / sum(len(scores) for scores in results)


def measure(sandbox: str, programs: int) -> dict[str, Any]:
    """Both costs in one backend."""
    options = {"workers": 1, "timeout_seconds": 20.0, "memory_mb": 2048, "preload": ["code"], "sandbox": sandbox}
    with VerifierPool(**options) as pool:  # type: ignore[arg-type]
        milliseconds(pool, 1, ANSWERS)
        one = milliseconds(pool, 1, programs)
        many = milliseconds(pool, 1 + FURTHER, programs)
    return {"milliseconds": one, "milliseconds_a_further_test": (many - one) / FURTHER}


def table(results: dict[str, dict[str, Any]]) -> str:
    """One row a backend."""
    lines = ["| sandbox | ms a program with one test | goal | ms a further test | goal |", "|---|---|---|---|---|"]
    for name, result in results.items():
        one, further = result["milliseconds"], result["milliseconds_a_further_test"]
        lines.append(f"| {name} | {one:.1f} | {GOALS.get(name, '')} | {further:.2f} | 3 |")
    return "\n".join(lines)


def main() -> None:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--sandbox", action="append", metavar="NAME", help="one backend; may be repeated")
    parser.add_argument("--programs", type=whole_number, default=100, metavar="N")
    options = parser.parse_args()
    usable = options.sandbox or [name for name, works, _ in survey() if works]
    results = {name: measure(name, options.programs) for name in usable}
    finish(options, "code_verifier", {"sandboxes": results}, table(results))


if __name__ == "__main__":
    run(main)
