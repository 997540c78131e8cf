"""Stage 3, rewards: the sandbox on this machine. One fresh interpreter for a submission, one fork of it for a test.

It owns the clock. It never looks into what programs print or return.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence

from prorl.rewards.sandbox.confinement import Confinement, Room, system_call_filter
from prorl.rewards.sandbox.identity import private_user
from prorl.rewards.sandbox.interface import Input, JobReport, Limits, SandboxUnavailable, Test, TestResult, as_is
from prorl.rewards.sandbox.interpreter import Interpreter
from prorl.rewards.sandbox.payload import sealed
from prorl.rewards.sandbox.process import SandboxProcess, marshalled
from prorl.rewards.sandbox.scratch import scratch_folder
from prorl.rewards.sandbox.trial import SANDBOX_ENDED, Trial

EXAMINER_SECONDS = 5.0
"""For the examiner to compile."""
COMPILES_TOO_LONG = "compiling takes too long"
PROGRAM_END_SECONDS = 0.3
"""For a program to end when its examiner has."""


class LocalSandbox:
    """Programs confined by the kernel of this machine."""

    def __init__(self, name: str, confinement: Confinement, interpreter: Interpreter) -> None:
        self.name = name
        self._confinement = confinement
        self._interpreter = interpreter
        self.description = f"programs run by {interpreter.executable}"

    def run(
        self, source: str, tests: Sequence[Test], limits: Limits, keep: Callable[[int, TestResult], TestResult] = as_is
    ) -> JobReport:
        with self._process(limits, with_values=any(not isinstance(test, Input) for test in tests)) as process:
            started = time.monotonic()
            deadline = started + limits.total_seconds
            refusal = compile_program(process, source, deadline)
            results: list[TestResult] = []
            while not refusal and len(results) < len(tests):
                if results and _is_last(results[-1], deadline):
                    results.append(TestResult("skipped"))
                else:
                    results.append(keep(len(results), _run_test(process, tests[len(results)], limits, deadline)))
            seconds = time.monotonic() - started
        return JobReport(tuple(results), refusal, seconds, out_of_time=seconds >= limits.total_seconds)

    def examine(self, source: str, examiner: str, entry_point: str, limits: Limits) -> JobReport:
        with (
            self._process(limits, with_values=True) as process,
            self._process(limits, with_values=True, slot=1) as judge,
        ):
            # Before the program's clock begins, and before anything of the program is there.
            trouble = compile_program(judge, examiner, time.monotonic() + EXAMINER_SECONDS)
            if trouble == COMPILES_TOO_LONG:
                raise SandboxUnavailable(f"the examiner: {trouble}")
            if trouble:
                raise ValueError(f"the examiner does not compile: {trouble}")
            started = time.monotonic()
            deadline = started + limits.total_seconds
            refusal = compile_program(process, source, deadline)
            results = []
            if not refusal:
                results.append(_examine(process, judge, entry_point, limits, deadline))
            seconds = time.monotonic() - started
        return JobReport(tuple(results), refusal, seconds, out_of_time=seconds >= limits.total_seconds)

    @contextlib.contextmanager
    def _process(self, limits: Limits, *, with_values: bool, slot: int = 0) -> Iterator[SandboxProcess]:
        user = private_user(slot)
        with (
            scratch_folder(user) as scratch,
            sealed(self._interpreter.codes["harness.py"]) as code,
            sealed(system_call_filter("launcher")) as launcher_filter,
        ):
            room = Room(
                limits=limits,
                scratch=scratch,
                user=user,
                code=code,
                launcher_filter=launcher_filter,
                with_values=with_values,
            )
            with contextlib.closing(SandboxProcess(self._confinement(self._interpreter, room))) as process:
                yield process


def compile_program(process: SandboxProcess, source: str, deadline: float) -> str:
    """Why the program cannot be run; empty where it can."""
    with sealed(source.encode("utf-8", "surrogatepass")) as descriptor:
        process.order(("compile",), [descriptor])
    answer = process.answer(deadline - time.monotonic())
    if answer is None:
        return COMPILES_TOO_LONG
    if not answer:
        return "compiling it ends the interpreter"
    return "" if answer == "compiled" else answer.removeprefix("refused ")


def _run_test(process: SandboxProcess, test: Test, limits: Limits, deadline: float) -> TestResult:
    if isinstance(test, Input):
        mode, payload = "script", test.text.encode("utf-8", "surrogatepass")
    else:
        mode, payload = "call", marshalled((test.name, test.arguments))
    with Trial(process, mode, payload, limits) as trial:
        return trial.wait(deadline)


def _examine(
    process: SandboxProcess, judge: SandboxProcess, entry_point: str, limits: Limits, deadline: float
) -> TestResult:
    """The examiner's result; the program's where that ended first and badly."""
    payload = marshalled(entry_point)
    with contextlib.ExitStack() as stack:
        calls, answers = os.pipe(), os.pipe()
        with contextlib.ExitStack() as ours:
            for descriptor in (*calls, *answers):
                ours.callback(os.close, descriptor)
            program = stack.enter_context(Trial(process, "serve", payload, limits, (calls[0], answers[1])))
            examination = stack.enter_context(Trial(judge, "examine", payload, limits, (answers[0], calls[1])))
        result = examination.wait(deadline, program)
        if result.status == "crashed":
            ending = program.wait(min(deadline, time.monotonic() + PROGRAM_END_SECONDS))
            if ending.status not in ("ok", "timeout"):
                result = ending
    return dataclasses.replace(result, output="")


def _is_last(result: TestResult, deadline: float) -> bool:
    return time.monotonic() >= deadline or result.detail == SANDBOX_ENDED
