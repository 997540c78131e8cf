"""Stage 3, rewards: what running a stranger's program means: a job, its limits, and what is said of each test.

A job never holds an expected output. What a program prints or returns is data to be compared by the caller.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Status = Literal["ok", "crashed", "timeout", "memory", "output", "skipped"]
"""`output`: wrote more than allowed; `skipped`: the time of the whole job was used up before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one job; a test that exceeds one is ended and says which."""

    total_seconds: float = 5.0
    """Wall clock of compiling and of all tests together; the interpreter's start does not count."""
    memory_mb: int = 1024
    """Address space of the process of a test. It has no other processes."""
    output_bytes: int = 4 * 2**20
    """Standard output of a test, and as much of a returned value."""
    scratch_bytes: int = 64 * 2**20
    """Files in the program's own folder."""
    threads: int = 32


@dataclass(frozen=True, slots=True)
class Input:
    """Run the program as a script with this text on standard input; the result is its standard output."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """Load the program as a module and call `Solution().name` or `name`; the result is the returned value."""

    name: str
    arguments: tuple[object, ...]
    """JSON values."""


Test = Input | Call


@dataclass(frozen=True, slots=True)
class TestResult:
    """`output`: what was printed (invalid UTF-8 replaced), or a call's returned value in the form of `values.py`."""

    status: Status
    output: str = ""
    seconds: float = 0.0
    detail: str = ""
    """Last line of the traceback, or the signal; at most 200 characters."""


@dataclass(frozen=True, slots=True)
class JobReport:
    """Of a program that does not compile `results` is empty and `compile_error` says why."""

    results: tuple[TestResult, ...]
    compile_error: str = ""
    seconds: float = 0.0
    """Wall clock of compiling and of all tests."""
    out_of_time: bool = False
    """`total_seconds` was exceeded."""


class SandboxUnavailable(Exception):
    """This machine cannot give the isolation (or the remote service does not answer); says why in one line."""


def as_is(number: int, result: TestResult) -> TestResult:
    """Keep a result with all that was printed."""
    return result


@runtime_checkable
class Sandbox(Protocol):
    """Runs programs in isolation. Safe to use from one thread of one process; a fork has its own."""

    name: str

    def run(
        self, source: str, tests: Sequence[Test], limits: Limits, keep: Callable[[int, TestResult], TestResult] = as_is
    ) -> JobReport:
        """Run the program once a test, each in a fresh process that knows nothing of the other tests.

        `keep` gets each test's number and result as it comes, within the clock; what it returns stands in the report.

        Raises SandboxUnavailable for the sandbox's own failure, never for anything that the program does.
        """
        ...

    def examine(self, source: str, examiner: str, entry_point: str, limits: Limits) -> JobReport:
        """Run assert-style tests: `examiner` defines `check(candidate)`, which raises where the program is wrong.

        The examiner, which may hold expected outputs, runs in one sandbox and the program in another; `candidate`
        passes arguments and returned values between them as data. One result.
        """
        ...
