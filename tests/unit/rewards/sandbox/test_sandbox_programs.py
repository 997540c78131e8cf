"""Honest programs work, and each way a program can end has its status; through every local backend."""

from collections.abc import Sequence

import pytest

from prorl.rewards.sandbox import interface
from prorl.rewards.sandbox.interface import (
    Call,
    Input,
    JobReport,
    Limits,
    Sandbox,
)
from prorl.rewards.sandbox.values import decode

LIMITS = Limits(total_seconds=20.0)

BENIGN = {
    "input": ("a, b = map(int, input().split())\nprint(a + b)", "2 3\n", "5\n"),
    "stdin": ("import sys\nprint(sum(map(int, sys.stdin.read().split())))", "1 2\n3", "6\n"),
    "buffer": ("import sys\nprint(len(sys.stdin.buffer.readlines()))", "a\nb\n", "2\n"),
    "open 0": ("print(open(0).read().upper())", "abc", "ABC\n"),
    "read 0": ("import os\nos.write(1, os.read(0, 99))", "\u00e9\n", "\u00e9\n"),
    "main guard": ("def main():\n    print(7)\nif __name__ == '__main__':\n    main()", "", "7\n"),
    "exit after printing": ("import sys\nprint('done')\nsys.exit(0)", "", "done\n"),
    "exit quietly": ("print('done', end='')\nexit_code = None\nraise SystemExit", "", "done"),
    "contest imports": (
        "import sys, math, heapq, bisect, itertools, functools, collections, re, string, random, decimal, fractions\n"
        "import operator, copy, datetime, statistics, array, typing, dataclasses, enum, json, hashlib, queue, time\n"
        "@dataclasses.dataclass\nclass P:\n    x: int\nprint(P(math.gcd(12, 18)).x, decimal.Decimal('0.1') * 3)",
        "",
        "6 0.3\n",
    ),
    "recursion in a thread": (
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(512 * 2**20)\n"
        "def depth(n):\n    return 0 if n == 0 else 1 + depth(n - 1)\n"
        "t = threading.Thread(target=lambda: print(depth(100_000)))\nt.start()\nt.join()",
        "",
        "100000\n",
    ),
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(10**6)\nf = lambda n: 0 if n == 0 else 1 + f(n - 1)\nprint(f(20_000))",
        "",
        "20000\n",
    ),
    "thread not joined": (
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.05), print('late'))).start()",
        "",
        "late\n",
    ),
    "a few threads": (
        "import threading\nts = [threading.Thread(target=print, args=('x',)) for _ in range(20)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]",
        "",
        "x\n" * 20,
    ),
    "300 MiB": ("x = [0] * (300 * 2**20 // 8)\nprint(len(x))", "", f"{300 * 2**17}\n"),
    "scratch file": ("open('a.txt', 'w').write('hi')\nprint(open('a.txt').read())", "", "hi\n"),
    "alarm": ("import signal\nsignal.alarm(0)\nprint(1)", "", "1\n"),
    "at exit": ("import atexit\natexit.register(print, 'bye')", "", "bye\n"),
    "big input": ("import sys\nprint(len(sys.stdin.read()))", "x" * 3_000_000, "3000000\n"),
    "big output": ("print('y' * 3_000_000)", "", "y" * 3_000_000 + "\n"),
    "invalid UTF-8": ("import os\nos.write(1, b'a\\xffb')", "", "a\ufffdb"),
    "NUL": ("print('a\\0b')", "", "a\0b\n"),
    "errors do not count": ("import sys\nprint('trace', file=sys.stderr)\nprint(1)", "", "1\n"),
    "fixed hash seed": ("print(hash('a') == hash('a'), __import__('sys').flags.hash_randomization)", "", "True 0\n"),
    "data classes": (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    b: list\n"
        "import sys\nprint(A([1]), sys.modules['__main__'].A is A, sys.argv)",
        "",
        "A(b=[1]) True ['program.py']\n",
    ),
}
ENDINGS = {
    "exception": ("1 / 0", "crashed", "ZeroDivisionError: division by zero"),
    "exit code": ("import sys\nsys.exit(3)", "crashed", "exit code 3"),
    "exit message": ("import sys\nsys.exit('no')", "crashed", "no"),
    "segmentation fault": ("import ctypes\nctypes.string_at(1)", "crashed", "signal SIGSEGV"),
    "memory": ("x = [0] * 10**10", "memory", "MemoryError"),
    "memory in pieces": ("x = []\nwhile True: x.append(bytes(10**7))", "memory", "MemoryError"),
    "output": ("while True: print('x' * 10**5)", "output", "wrote more than allowed"),
    "files": (
        "for i in range(9999): open(str(i), 'w')\nwhile True: pass",
        "output",
        "more files than allowed",
    ),
    "memory, nameless": ("raise MemoryError", "memory", "MemoryError"),
}


def run(sandbox: Sandbox, source: str, tests: Sequence[interface.Test], limits: Limits = LIMITS) -> JobReport:
    report = sandbox.run(source, tests, limits)
    assert not report.compile_error
    assert len(report.results) == len(tests)
    return report


def facts(result: interface.TestResult) -> tuple[str, str, str]:
    return result.status, result.output, result.detail


@pytest.mark.parametrize("name", BENIGN)
def test_honest_program(sandbox: Sandbox, name: str) -> None:
    source, text, expected = BENIGN[name]
    (result,) = run(sandbox, source, [Input(text)]).results
    assert facts(result) == ("ok", expected, "")


@pytest.mark.parametrize("name", ENDINGS)
def test_status_and_detail(sandbox: Sandbox, name: str) -> None:
    source, status, detail = ENDINGS[name]
    bad, good = run(
        sandbox, f"if input() == 'go':\n  print(1)\nelse:\n  exec({source!r})", [Input("x\n"), Input("go\n")]
    ).results
    assert (bad.status, bad.detail) == (status, detail)
    assert facts(good) == ("ok", "1\n", "")


def test_numpy_where_it_is_installed(sandbox: Sandbox) -> None:
    (result,) = run(
        sandbox, "try:\n import numpy\n print(numpy.arange(3).sum())\nexcept ImportError: print(3)", [Input("")]
    ).results
    assert facts(result) == ("ok", "3\n", "")


def test_time_of_all_tests_together(sandbox: Sandbox) -> None:
    source = "import time\nprint('early', flush=True)\ntime.sleep(float(input()))"
    tests = [Input("0"), Input("60"), Input("0")]
    report = run(sandbox, source, tests, Limits(total_seconds=1.0))
    assert [facts(result)[:2] for result in report.results] == [
        ("ok", "early\n"),
        ("timeout", "early\n"),
        ("skipped", ""),
    ]
    assert report.out_of_time
    assert 1.0 <= report.seconds < 3.0


def test_nothing_stays_from_one_test_to_the_next(sandbox: Sandbox) -> None:
    source = "import os, sys\nprint(os.listdir('.'), 'seen' in vars(sys))\nopen('left', 'w').write('x')\nsys.seen = 1"
    results = run(sandbox, source, [Input("")] * 3).results
    assert [result.output for result in results] == ["[] False\n"] * 3


@pytest.mark.parametrize("source", ["x = (", "a\x00b", "return 1", "'\ud800'", "\t if", "(" * 10_000])
def test_program_that_does_not_compile(sandbox: Sandbox, source: str) -> None:
    report = sandbox.run(source, [Input(""), Input("")], LIMITS)
    assert report.results == ()
    assert report.compile_error


def test_compiling_counts_as_time(sandbox: Sandbox) -> None:
    source = "\n".join(f"def f{i}(x):\n    return x + {i}" for i in range(200_000))
    report = sandbox.run(source, [Input("")], Limits(total_seconds=0.2))
    assert report.compile_error == "compiling takes too long"
    assert report.out_of_time


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("def f(a, b): return a + b", 5),
        ("class Solution:\n    def f(self, a, b): return (a, {b})", (2, {3})),
        ("class Base:\n    def f(self, a, b): return 10**30\nclass Solution(Base): pass", 10**30),
        ("f = lambda a, b: {'x': float('inf')}", {"x": float("inf")}),
        ("def f(a, b):\n    print('noise')\n    return None", None),
    ],
)
def test_call(sandbox: Sandbox, source: str, value: object) -> None:
    (result,) = run(sandbox, source, [Call("f", (2, 3))]).results
    assert result.status == "ok"
    assert decode(result.output) == value


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("def g(): pass", "NameError: the program defines no f"),
        ("def f(x): return object()", "ValueError: a value of type object"),
        ("def f(): pass", "TypeError: f() takes 0 positional arguments but 1 was given"),
        ("def f(x):\n    import os\n    os.write(3, b'[1]')\n    os._exit(5)", "exit code 5"),
        ("def f(x): return f(x)", "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_call_that_fails(sandbox: Sandbox, source: str, detail: str) -> None:
    (result,) = run(sandbox, source, [Call("f", ([1],))]).results
    assert (result.status, result.detail) == ("crashed", detail)


def test_main_guard_is_not_entered_by_calls(sandbox: Sandbox) -> None:
    (result,) = run(sandbox, "def f(): return __name__\nif __name__ == '__main__': 1 / 0", [Call("f", ())]).results
    assert decode(result.output) == "program"


CHECK = """
def check(candidate):
    assert candidate([1, 2, 3]) == 6
    assert candidate([]) == 0
    assert total([5]) == 5
    try:
        candidate([None])
    except TypeError as error:
        assert 'NoneType' in str(error)
    else:
        assert False
"""


@pytest.mark.parametrize(
    ("source", "status", "detail"),
    [
        ("def total(x): return sum(x)", "ok", ""),
        ("def total(x): return 6", "crashed", "AssertionError"),
        ("def other(x): pass", "crashed", "NameError: the program defines no total"),
        ("import os\ndef total(x): os._exit(0)", "crashed", "RuntimeError: the program ended"),
        ("import os\nos._exit(3)", "crashed", "exit code 3"),
        ("class E(int):\n  def __eq__(s, o): return True\ndef total(x): return E(9)", "crashed", "AssertionError"),
        ("def total(x): return [0] * 10**10", "memory", "MemoryError"),
        (
            "import os\ndef total(x): os.write(5, b'\\0' * 99); return 1",
            "crashed",
            "",
        ),  # which side is quoted is a matter of time
        ("import os\ndef total(x): os.write(5, b'\\xff' * 99); return 1", "crashed", ""),
        ("import os\nos.close(4)\ndef total(x): return sum(x)", "crashed", ""),
        ("def total(x): return object()", "crashed", ""),
        ("def total(x): raise SystemExit(0)", "crashed", ""),
        ("import sys\ndef total(x):\n  sys.stderr.write('x' * 10**6)\n  return sum(x)", "ok", ""),
        ("def total(x):\n  while True: pass", "timeout", ""),
        ("import builtins\nbuiltins.AssertionError = ValueError\ndef total(x): return 0", "crashed", "AssertionError"),
    ],
)
def test_examination(sandbox: Sandbox, source: str, status: str, detail: str) -> None:
    limits = Limits(total_seconds=1.5 if status == "timeout" else 20.0)
    (result,) = sandbox.examine(source, CHECK, "total", limits).results
    assert result.status == status
    assert detail in result.detail
    assert result.output == ""


def test_examiner_with_numpy(sandbox: Sandbox) -> None:
    pytest.importorskip("numpy")
    examiner = "try:\n    import numpy\nexcept ImportError:\n    numpy = None\n"
    examiner += "def check(f):\n    assert numpy is None or numpy.allclose(f(2.0), 4.0 + 1e-9)\n"
    (result,) = sandbox.examine("def f(x): return x * x", examiner, "f", LIMITS).results
    assert result.status == "ok"


def test_program_under_examination_that_does_not_compile(sandbox: Sandbox) -> None:
    report = sandbox.examine("def (", CHECK, "total", LIMITS)
    assert report.results == ()
    assert "SyntaxError" in report.compile_error


def test_examiner_that_does_not_compile_is_the_callers_fault(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="examiner does not compile"):
        sandbox.examine("def total(x): pass", "def (", "total", LIMITS)
