"""`prorl verify` on every domain: each line is answered, in order, whatever stands in it."""

import json
import subprocess
import sys

import pytest

from prorl.prompts import suites
from prorl.prompts.sources import prompt_row
from prorl.records import Prompt
from prorl.rewards.rows import GOLD_RESPONSES
from runs import ENVIRONMENT

ENTRY = {
    "question": "State the final answer to the following arithmetic problem: 4 + 3 =",
    "answer": "7",
    "metadata": {},
}
LOGIC = Prompt("l", "logic", "chain_sum", "x", "7", {"task": "chain_sum", "entry": ENTRY})
LINES = {"math": 10_000, "stem": 10_000, "logic": 10_000, "instruction": 2_000, "code": 40}
ODD_EVERY = 8


def problem_of(domain: str) -> Prompt:
    """The first problem of the domain's first procedural family."""
    if domain == "logic":
        return LOGIC
    task = next(name for name, family in suites.GENERATORS["procedural"].families.items() if family.domain == domain)
    return suites.generate("procedural", task, 1, 0)


def odd_lines(domain: str, row: dict) -> list[tuple[bytes, set[str]]]:
    """Lines that nobody should send, and the outcomes that they may have."""
    bad = {"error"}
    judged = {"wrong", "unparsable", "partial", "timeout"}
    response = {**row, "response": "x" * 2**20}
    return [
        (b"", bad),
        (b"{", bad),
        (b'"text"', bad),
        (b"\xff\xfe\x00 not text", bad),
        (json.dumps({"answer": row["answer"], "metadata": row["metadata"]}).encode(), bad),
        (json.dumps({**row, "response": 7}).encode(), bad),
        (json.dumps({**row, "response": "x", "metadata": []}).encode(), bad),
        (json.dumps({**row, "response": "a\x00b\ud800"}).encode(), judged),
        (json.dumps({**row, "response": ""}).encode(), {"unparsable"}),
        (json.dumps(response).encode(), judged),
        (b"[" * 100_000, bad),
    ]


@pytest.mark.parametrize("domain", LINES)
def test_every_line_is_answered_in_order(domain: str) -> None:
    problem = problem_of(domain)
    whole = prompt_row(problem)
    row = {"answer": whole["answer"], "metadata": whole["metadata"]}
    gold = GOLD_RESPONSES[domain](problem)
    assert gold is not None
    odd = odd_lines(domain, row)
    right = json.dumps({**row, "response": gold}).encode()
    lines, expected = [], []
    for number in range(LINES[domain]):
        line, outcomes = odd[number // ODD_EVERY % len(odd)] if number % ODD_EVERY == 0 else (right, {"correct"})
        if len(line) > 10**6 and number > 200:
            line, outcomes = right, {"correct"}  # a few megabytes are enough
        lines.append(line)
        expected.append(outcomes)
    command = [sys.executable, "-m", "prorl.cli", "verify", "--domain", domain, "--workers", "2"]
    done = subprocess.run(command, input=b"\n".join(lines) + b"\n", capture_output=True, env=ENVIRONMENT, timeout=280)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == len(lines)
    surprises = [
        (number, verdict) for number, verdict in enumerate(verdicts) if verdict["outcome"] not in expected[number]
    ]
    assert not surprises[:3]
    assert all((verdict["score"] == 1.0) == (verdict["outcome"] == "correct") for verdict in verdicts)


@pytest.mark.parametrize(
    ("streams", "code", "said"),
    [
        ("<&-", 2, "prorl: verify reads standard input and writes standard output: both must be open"),
        (">&-", 2, "prorl: verify reads standard input and writes standard output: both must be open"),
        (">/dev/full", 1, "prorl: verify: the output cannot be written (No space left on device)"),
    ],
)
def test_streams_that_cannot_be_used_are_one_line(streams: str, code: int, said: str) -> None:
    script = f"{sys.executable} -m prorl.cli verify --domain mini {streams}"
    done = subprocess.run(["sh", "-c", script], input=b"x\n", capture_output=True, env=ENVIRONMENT, timeout=60)
    assert (done.returncode, done.stderr.decode()) == (code, f"{said}\n")


def test_an_unknown_domain_is_refused() -> None:
    command = [sys.executable, "-m", "prorl.cli", "verify", "--domain", "chess"]
    done = subprocess.run(command, input=b"", capture_output=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 2
    message = "prorl: verify --domain chess: must be one of math, code, stem, logic, instruction, mini\n"
    assert done.stderr.decode() == message
