"""What scores follow from what a sandbox reports; the sandbox is a scripted one."""

import json
from dataclasses import replace

import pytest

from prorl.records import Prompt
from prorl.rewards.programs import verdict
from prorl.rewards.sandbox.interface import Call, Input, JobReport, SandboxUnavailable
from prorl.rewards.sandbox.interface import TestResult as Result
from prorl.rewards.sandbox.values import encode


class ScriptedSandbox:
    """Reports what it was given, and remembers what it was asked."""

    name = "scripted"

    def __init__(self):
        self.report = None
        self.asked = []

    def run(self, source, tests, limits, keep):
        self.asked.append((source, tuple(tests), limits))
        report = self.report(tests) if callable(self.report) else self.report
        return replace(report, results=tuple(keep(number, result) for number, result in enumerate(report.results)))

    def examine(self, source, examiner, entry_point, limits):
        self.asked.append((source, examiner, entry_point, limits))
        return self.report(examiner) if callable(self.report) else self.report


@pytest.fixture
def sandbox(monkeypatch):
    sandbox = ScriptedSandbox()
    monkeypatch.setattr(verdict, "worker_sandbox", lambda: sandbox)
    return sandbox


def judged(answer, source="program", **metadata):
    prompt = Prompt(id="", domain="code", task="", content="", answer=json.dumps(answer), metadata=metadata)
    return verdict.verify(prompt, f"```python\n{source}\n```")


def report(*results, **more):
    return JobReport(tuple(Result("ok", r) if isinstance(r, str) else r for r in results), **more)


PRINTING = {"inputs": ["a", "b", "c", "d"], "outputs": ["1", "2", "3", "4"]}


def test_fraction_of_the_tests(sandbox):
    sandbox.report = report("1\n", "no", "3", Result("crashed", "4", detail="ZeroDivisionError: x"))
    score = judged(PRINTING)
    assert (score.value, score.outcome) == (0.5, "partial")
    assert score.detail == "2 of 4 tests passed; test 2: another result"
    assert sandbox.asked[0][:2] == ("program\n", tuple(Input(text) for text in "abcd"))
    assert sandbox.asked[0][2].total_seconds == 5.0


def test_all_and_none(sandbox):
    sandbox.report = report("1", "2", "3", "4")
    assert judged(PRINTING) == verdict.RIGHT
    sandbox.report = report("", "1", "2", "3")
    score = judged(PRINTING)
    assert (score.value, score.outcome, score.detail) == (0.0, "wrong", "0 of 4 tests passed; test 1: another result")


@pytest.mark.parametrize("status", ["crashed", "memory", "output"])
def test_a_right_output_of_a_failed_test_does_not_count(sandbox, status):
    sandbox.report = report("1", "2", "3", Result(status, "4"))
    score = judged(PRINTING)
    assert (score.value, score.outcome) == (0.75, "partial")
    assert score.detail == f"3 of 4 tests passed; test 4: {status}"


@pytest.mark.parametrize(
    "late",
    [
        report("1", "2", "3", Result("timeout")),
        report("1", "2", Result("timeout"), Result("skipped")),
        report("1", "2", "3", "4", out_of_time=True),
        report(out_of_time=True, compile_error="compiling takes too long"),
    ],
)
def test_out_of_time_scores_nothing_at_all(sandbox, late):
    sandbox.report = late
    score = judged(PRINTING)
    assert (score.value, score.outcome) == (0.0, "timeout")


def test_a_program_that_does_not_compile_is_wrong(sandbox):
    sandbox.report = report(compile_error="SyntaxError: x")
    score = judged(PRINTING)
    assert (score.value, score.outcome, score.detail) == (0.0, "wrong", "does not compile: SyntaxError: x")


def test_a_sandbox_that_cannot_run_is_an_error(sandbox):
    def unavailable(_):
        raise SandboxUnavailable("no kernel")

    sandbox.report = unavailable
    for answer in (PRINTING, ["assert f(1)"]):
        score = judged(answer)
        assert (score.value, score.outcome, score.detail) == (0.0, "error", "sandbox: no kernel")


@pytest.mark.parametrize("metadata", [{"time_limit_seconds": 0}, {"time_limit_seconds": "5"}])
def test_a_malformed_problem_is_an_error(sandbox, metadata):
    assert judged(PRINTING, **metadata).outcome == "error"
    assert judged({"inputs": []}).outcome == "error"
    assert sandbox.asked == []


def test_half_a_surrogate_pair_never_reaches_the_sandbox(sandbox):
    score = judged(PRINTING, source="'\ud800'")
    assert (score.value, score.outcome) == (0.0, "wrong")
    assert sandbox.asked == []


def test_time_limit_of_the_row(sandbox):
    sandbox.report = report("1", "2", "3", "4")
    judged(PRINTING, time_limit_seconds=2)
    assert sandbox.asked[0][2].total_seconds == 2.0


def test_equal_tests_are_run_once_and_each_copy_is_judged(sandbox):
    sandbox.report = report("1", "2")
    score = judged({"inputs": ["a", "b", "a", "a"], "outputs": ["1", "2", "1", "9"]})
    assert score.value == 0.75
    assert sandbox.asked[0][1] == (Input("a"), Input("b"))


def test_calls_compare_values(sandbox):
    answer = {"inputs": ["1", "2", "3", "4"], "outputs": ["[1, 2]", "2", "true", '"x"'], "fn_name": "f"}
    sandbox.report = report(encode((1, 2)), encode(2), encode(True), encode("x"))
    assert judged(answer) == verdict.RIGHT
    assert sandbox.asked[0][1] == tuple(Call("f", (number,)) for number in (1, 2, 3, 4))
    sandbox.report = report(encode((1, 3)), encode("2"), encode(1), encode("x"))
    assert judged(answer).value == 0.25


@pytest.mark.parametrize("forged", ["", "{", "NaN", '{"q": 1}', "[" * 10_000, "1" * 5000, '{"t": 1}', "\0", "\ud800"])
def test_forged_results_are_wrong(sandbox, forged):
    sandbox.report = report(forged)
    score = judged({"inputs": ["1"], "outputs": ["[1]"], "fn_name": "f"})
    assert (score.value, score.outcome) == (0.0, "wrong")


def test_examined_functions_are_right_or_wrong(sandbox):
    answer = {"test": "def check(candidate):\n    assert candidate(1) == 2\n", "entry_point": "f"}
    sandbox.report = report("")
    assert judged(answer) == verdict.RIGHT
    assert sandbox.asked[0][:3] == ("program\n", answer["test"], "f")
    sandbox.report = report(Result("crashed", detail="AssertionError: expected 2"))
    score = judged(answer)
    assert (score.value, score.outcome, score.detail) == (0.0, "wrong", "0 of 1 tests passed: AssertionError")


CASES = [f"assert f({number}) == {number}" for number in range(4)]


def test_assert_statements_count_one_by_one(sandbox):
    def two_hold(examiner):
        scope = {}
        exec(examiner, scope)
        try:
            scope["check"](lambda x: x % 2)
        except AssertionError as error:
            return report(Result("crashed", detail=f"AssertionError: {error}"))
        return report("")

    sandbox.report = two_hold
    score = judged(CASES)
    assert (score.value, score.outcome, score.detail) == (0.5, "partial", "2 of 4 tests passed")
    sandbox.report = report("")
    assert judged(CASES) == verdict.RIGHT


@pytest.mark.parametrize("detail", ["AssertionError: 4", "AssertionError: 0000 4", "4", "passed 4 of 4", ""])
def test_a_count_that_is_not_the_examiners_is_nothing(sandbox, detail):
    sandbox.report = report(Result("crashed", detail=detail))
    score = judged(CASES)
    assert (score.value, score.outcome) == (0.0, "wrong")


def test_details_never_tell_what_was_expected(sandbox):
    expected = "xyzzy"
    sandbox.report = report("no")
    assert expected not in judged({"inputs": ["1"], "outputs": [expected]}).detail
    sandbox.report = report(encode("no"))
    assert expected not in judged({"inputs": ["1"], "outputs": [json.dumps(expected)], "fn_name": "f"}).detail
    sandbox.report = report(Result("crashed", detail=f"AssertionError: not {expected}"))
    assert expected not in judged({"test": "def check(candidate): pass", "entry_point": "f"}).detail
    assert expected not in judged([f"assert f(1) == {expected!r}"]).detail


def test_strict_needs_a_block_and_tolerant_none(sandbox):
    prompt = Prompt(id="", domain="code", task="", content="", answer=json.dumps(PRINTING))
    sandbox.report = report("1", "2", "3", "4")
    assert verdict.verify(prompt, "print(1)").outcome == "unparsable"
    assert verdict.verify_tolerant(prompt, "print(1)") == verdict.RIGHT
