"""Stage 3, the code verifier: which fraction of a problem's tests does the program pass?

The program runs in a sandbox that never holds an expected output; results come back as data and are compared here. A
program that needs more than the time limit for all tests together scores 0, as in the paper (appendix D). Whatever a
program does is `wrong` or `timeout`; `error` is a malformed problem, or a sandbox that cannot run.
"""

import dataclasses
import json
import secrets
from collections.abc import Callable, Sequence
from functools import partial

from prorl.records import Prompt, Score
from prorl.rewards.functions import TwoStageVerifier, fault
from prorl.rewards.programs.assertions import examiner_source, num_passed
from prorl.rewards.programs.comparison import same_text, same_value
from prorl.rewards.programs.extraction import strict_program, tolerant_program
from prorl.rewards.programs.limits import time_limit_seconds
from prorl.rewards.programs.problems import Asserting, Examining, Printing, Problem, Returning, read_problem
from prorl.rewards.programs.usual_imports import with_usual_imports
from prorl.rewards.sandbox.interface import Call, Input, JobReport, Limits, SandboxUnavailable, Test, TestResult
from prorl.rewards.sandbox.selection import worker_sandbox
from prorl.rewards.sandbox.values import decode

RIGHT = Score(1.0, "correct")
LATE: tuple[str, ...] = ("timeout", "skipped")


def judge(prompt: Prompt, source: str) -> Score:
    """Run all tests of the problem."""
    try:
        limits = Limits(total_seconds=time_limit_seconds(prompt.metadata))
        problem = read_problem(prompt)
    except ValueError as error:
        return fault(f"malformed problem: {error}")
    try:
        source.encode()
    except UnicodeEncodeError:
        return Score(0.0, "wrong", "does not compile: half of a surrogate pair")
    try:
        return _judge(problem, with_usual_imports(source), limits)
    except SandboxUnavailable as error:
        return fault(f"sandbox: {error}")


def _judge(problem: Problem, source: str, limits: Limits) -> Score:
    if isinstance(problem, Printing):
        inputs = [Input(text) for text in problem.inputs]
        return _run(source, inputs, [partial(same_text, text) for text in problem.outputs], limits)
    if isinstance(problem, Returning):
        calls = [Call(problem.name, arguments) for arguments in problem.arguments]
        checks = [partial(_returns_one_of, values) for values in problem.expected]
        return _run(source, calls, checks, limits)
    if isinstance(problem, Examining):
        report = worker_sandbox().examine(source, problem.examiner, problem.entry_point, limits)
        return _score(report, [result.status == "ok" for result in report.results], 1)
    return _assert(problem, source, limits)


def _run(source: str, tests: Sequence[Test], checks: Sequence[Callable[[str], bool]], limits: Limits) -> Score:
    """Run each distinct test once, and compare the result with what each of its copies expects.

    Comparing happens as results come, within the program's time, and no output is kept.
    """
    keys = [test.text if isinstance(test, Input) else json.dumps(test.arguments) for test in tests]
    distinct = dict(zip(keys, tests, strict=True))
    copies: dict[str, list[int]] = {key: [] for key in distinct}
    for place, key in enumerate(keys):
        copies[key].append(place)
    places = list(copies.values())
    passed = [False] * len(tests)

    def compare(number: int, result: TestResult) -> TestResult:
        for place in places[number]:
            passed[place] = result.status == "ok" and _holds(checks[place], result.output)
        return dataclasses.replace(result, output="")

    report = worker_sandbox().run(source, list(distinct.values()), limits, compare)
    if report.compile_error or _is_late(report):
        return _score(report, [], len(tests))
    results: dict[str, TestResult] = dict(zip(distinct, report.results, strict=True))
    return _score(report, passed, len(tests), [results[key] for key in keys])


def _holds(check: Callable[[str], bool], output: str) -> bool:
    """What is too big to be compared is not what was expected."""
    try:
        return check(output)
    except MemoryError:
        return False


def _assert(problem: Asserting, source: str, limits: Limits) -> Score:
    secret = secrets.token_hex(16)
    examiner = examiner_source(problem.statements, problem.entry_point, secret)
    report = worker_sandbox().examine(source, examiner, problem.entry_point, limits)
    count = len(problem.statements)
    if any(result.status == "ok" for result in report.results):
        return _score(report, [True] * count, count)
    held = max((num_passed(result.detail, secret) for result in report.results), default=0)
    return _score(report, [True] * min(held, count - 1), count)


def _is_late(report: JobReport) -> bool:
    return report.out_of_time or any(result.status in LATE for result in report.results)


def _score(report: JobReport, passed: Sequence[bool], count: int, results: Sequence[TestResult] = ()) -> Score:
    """The fraction passed, 0 for a program that is late. The detail never tells what was expected."""
    if _is_late(report):
        return Score(0.0, "timeout", "the time limit of all tests together is over")
    if report.compile_error:
        return Score(0.0, "wrong", f"does not compile: {report.compile_error}")
    number = sum(passed)
    if number == count:
        return RIGHT
    detail = f"{number} of {count} tests passed"
    if results:
        first = passed.index(False)
        detail += f"; test {first + 1}: {_failure(results[first])}"
    elif report.results and not number:
        detail += f": {_failure(report.results[0]).partition(':')[0]}"  # the rest may quote what was expected
    return Score(number / count, "partial" if number else "wrong", detail)


def _failure(result: TestResult) -> str:
    if result.status == "ok":
        return "another result"
    return result.detail or result.status


def _returns_one_of(expected: Sequence[object], output: str) -> bool:
    try:
        returned = decode(output)
    except (ValueError, RecursionError, MemoryError):
        return False
    return any(same_value(value, returned) for value in expected)


verify = TwoStageVerifier(strict_program, judge)
verify_tolerant = TwoStageVerifier(tolerant_program, judge)
