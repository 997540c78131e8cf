"""What a review of the sandbox found: tricks that scored or hid as `error`, and right programs that failed."""

import json
import os
import signal

import pytest

from prorl.records import Prompt
from prorl.rewards.programs.verdict import verify
from prorl.rewards.sandbox.interface import Input, Limits
from prorl.rewards.sandbox.process import SandboxProcess
from prorl.rewards.sandbox.selection import open_sandbox

LOOP = """
def check(candidate):
    for got, want in zip(map(candidate, [1, 2]), [2, 4]):
        assert got == want
"""
ALL = "def check(candidate):\n    assert all(map(lambda pair: candidate(pair[0]) == pair[1], [(1, 2), (2, 4)]))\n"
FAST_INPUT = """
import os, sys
from io import BytesIO, IOBase
class FastIO(IOBase):
    newlines = 0
    def __init__(self, file):
        self._fd = file.fileno()
        self.buffer = BytesIO()
        self.writable = "x" in file.mode or "r" not in file.mode
        self.write = self.buffer.write if self.writable else None
source, target = FastIO(sys.stdin), FastIO(sys.stdout)
target.write(os.read(source._fd, 8192))
os.write(target._fd, target.buffer.getvalue())
"""


def judged(answer: dict[str, object], source: str, seconds: float = 5.0) -> tuple[float, str]:
    prompt = Prompt("p", "code", "t", "", json.dumps(answer), {"time_limit_seconds": seconds})
    score = verify(prompt, f"```python\n{source}\n```")
    return score.value, score.outcome


def echo(count: int) -> dict[str, object]:
    lines = [f"{number}\n" for number in range(count)]
    return {"inputs": lines, "outputs": lines}


@pytest.mark.parametrize("check", [LOOP, ALL])
@pytest.mark.parametrize("name", ["StopIteration", "StopAsyncIteration"])
def test_the_end_of_an_iteration_does_not_end_the_examiners_loop(check: str, name: str) -> None:
    answer = {"test": check, "entry_point": "f"}
    assert judged(answer, f"def f(x):\n    raise {name}") == (0.0, "wrong")
    assert judged(answer, "def f(x):\n    return 2 * x") == (1.0, "correct")


@pytest.mark.parametrize(
    "flood", ["'\\U0001f600'.encode() + b'x' * (4 * 2**20 - 5)", "b'\\xff\\n' * 2**21"], ids=["wide", "lines"]
)
def test_comparing_floods_is_within_the_clock_and_keeps_none(flood: str) -> None:
    assert judged(echo(100), f"import os\nos.write(1, {flood})", seconds=0.6) == (0.0, "timeout")


@pytest.mark.parametrize(
    "source",
    [
        FAST_INPUT,
        "import io, sys\nline = input()\nsys.stdout = io.StringIO()\nsys.__stdout__.write(line + '\\n')",
        "import sys\nprint(input())\nsys.stdout.close()",
        "import resource\nresource.setrlimit(resource.RLIMIT_STACK, (-1, -1))\nprint(input())",
        "from __future__ import annotations\nprint(input())\nexit()",
        "print(input())\nquit(0)",
    ],
)
def test_what_contest_programs_do_works(source: str) -> None:
    assert judged(echo(2), source) == (1.0, "correct")


def test_threads_are_bounded() -> None:
    start = "_thread.start_new_thread(time.sleep, (99,))"
    bomb = f"import _thread, threading, time\nthreading.stack_size(32768)\nwhile True: {start}"
    assert judged(echo(1), bomb) == (0.0, "wrong")


def test_a_harness_that_is_killed_is_the_programs_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    order = SandboxProcess.order

    def order_and_kill(process: SandboxProcess, message: object, descriptors: tuple[int, ...] = ()) -> None:
        order(process, message, descriptors)
        if isinstance(message, tuple) and message[0] == "test":
            os.killpg(process._popen.pid, signal.SIGKILL)

    sandbox = open_sandbox("landlock")
    monkeypatch.setattr(SandboxProcess, "order", order_and_kill)
    report = sandbox.run("import time; time.sleep(9)", [Input(""), Input("")], Limits(total_seconds=3.0))
    assert [result.status for result in report.results] == ["crashed", "skipped"]
