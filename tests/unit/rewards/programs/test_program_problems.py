"""The forms in which tests are written in real rows, malformed ones, limits, and right answers."""

import builtins
import json

import pytest

from prorl.records import Prompt
from prorl.rewards.programs.assertions import examiner_source, num_passed
from prorl.rewards.programs.extraction import strict_program
from prorl.rewards.programs.limits import SLACK_SECONDS, deadline_seconds
from prorl.rewards.programs.problems import Asserting, Examining, Printing, Returning, read_problem
from prorl.rewards.programs.rows import check_row, gold_response
from prorl.rewards.programs.usual_imports import MODULES, with_usual_imports


def prompt(answer, **metadata):
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return Prompt(id="", domain="code", task="", content="", answer=text, metadata=metadata)


def calls(inputs, outputs):
    problem = read_problem(prompt({"inputs": inputs, "outputs": outputs, "fn_name": "f"}))
    assert isinstance(problem, Returning)
    return problem


def test_standard_input_as_text_lines_and_nested_lists():
    inputs = ["1 2\n3\n", ["1 2", "3"], [["1 2"], ["3"]], [], 7]
    problem = read_problem(prompt({"inputs": inputs, "outputs": ["a", ["b", "c"], [["d"]], "", 8]}))
    assert problem == Printing(("1 2\n3\n", "1 2\n3", "1 2\n3", "", "7"), ("a", "b\nc", "d", "", "8"))


@pytest.mark.parametrize("name", [None, ""])
def test_an_empty_function_name_is_none(name):
    assert isinstance(read_problem(prompt({"inputs": ["1"], "outputs": ["2"], "fn_name": name})), Printing)


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ('[1, 2]\n3\n"x"', ([1, 2], 3, "x")),
        ('"a"\n\n', ("a",)),
        ("", ()),
        ([[1, 2], 3], ([1, 2], 3)),
        ([], ()),
        (5, (5,)),
        ("[1,\n 2]", ([1, 2],)),
        ("(1, 2)\nTrue\nNone", ([1, 2], True, None)),
        ("null\nNaN", (None, pytest.approx(float("nan"), nan_ok=True))),
        ('{"1": "a", "-2": "b"}', ({1: "a", -2: "b"},)),
        ('{"1": "a", "x": "b"}', ({"1": "a", "x": "b"},)),
        ('{"01": "a"}', ({"01": "a"},)),
        ([{"3": 4}], ({3: 4},)),
    ],
)
def test_arguments(given, arguments):
    assert calls([given], ["1"]).arguments == (arguments,)


@pytest.mark.parametrize(
    ("given", "output", "expected"),
    [
        ("1", "[1, 2]", ([1, 2],)),
        ("1", "5", (5,)),
        ("1", '"abc"', ("abc",)),
        ("1", "abc", ("abc",)),
        ("1", "True", (True,)),
        ("1", "(1, 2)", ([1, 2],)),
        ("1", 5, (5,)),
        ("1", [1, 2], ([1, 2],)),
        ([1], "5", (5, "5")),
        ([1], "abc", ("abc",)),
        ("1", None, (None,)),
    ],
)
def test_expected_values(given, output, expected):
    assert calls([given], [output]).expected == (expected,)


def test_a_list_of_one_may_wrap_the_value_unless_another_test_tells():
    assert calls(["1", "2"], ["[5]", [6]]).expected == (([5], 5), ([6], 6))
    assert calls(["1", "2"], ["[5]", "[]"]).expected == (([5],), ([],))
    assert calls([[1]], [[[1, 2]]]).expected == (([[1, 2]], [1, 2]),)


def test_live_code_bench_lists():
    tests = [{"input": "1\n", "output": "2\n", "testtype": "stdin"}]
    assert read_problem(prompt(tests)) == Printing(("1\n",), ("2\n",))
    tests = [{"input": "[1]\n2", "output": "3", "testtype": "functional"}]
    assert read_problem(prompt(tests, func_name="add")) == Returning("add", (([1], 2),), ((3,),))
    with pytest.raises(ValueError, match="func_name"):
        read_problem(prompt(tests))


def test_check_functions():
    source = "def check(candidate):\n    assert candidate(1) == 2\n"
    assert read_problem(prompt({"test": source, "entry_point": "f"})) == Examining("f", source)


def test_numpy_of_a_check_function_is_stood_in_for_only_where_it_is_enough():
    body = "\n\ndef check(candidate):\n    np.testing.assert_allclose(candidate(1), 2.0)\n"
    stood_in = read_problem(prompt({"test": "import numpy as np" + body, "entry_point": "f"})).examiner
    assert stood_in.endswith("import numpy as np" + body)
    assert "def assert_allclose" in stood_in
    other = "import numpy as np\nz = np.zeros(3)" + body
    assert read_problem(prompt({"test": other, "entry_point": "f"})).examiner == other


def test_assert_statements():
    cases = ["assert set(f(1)) == {2}", "assert f(len([1])) == 3"]
    assert read_problem(prompt(cases)) == Asserting("f", tuple(cases))
    assert read_problem(prompt({"assert_case": cases, "entry_point": "g"})) == Asserting("g", tuple(cases))
    assert read_problem(prompt({"assert_case": cases, "fn_name": "h"})) == Asserting("h", tuple(cases))


def test_the_examiner_counts_the_statements_that_hold():
    cases = ["assert f(1) == 1", "assert f(2) == 'it\\'s'", "assert f(3)[0]", "x = f(4)\nassert math.isclose(x, 4)"]
    scope = {}
    exec(examiner_source(cases, "f", "5ec4e7"), scope)
    with pytest.raises(AssertionError, match=r"^5ec4e7 2$") as caught:
        scope["check"](lambda x: x)
    assert num_passed(f"AssertionError: {caught.value}", "5ec4e7") == 2
    assert num_passed("AssertionError: passed 4", "5ec4e7") == 0
    exec(examiner_source(cases[:1], "f", "5ec4e7"), scope)
    scope["check"](lambda x: x)


MALFORMED = [
    ("", "not JSON"),
    ("{", "not JSON"),
    ("[" * 100_000, "not JSON"),
    ("1" * 5000, "not JSON"),
    ("3", "must be an object"),
    ("{}", "needs the lists"),
    ({"inputs": "1", "outputs": ["1"]}, "needs the lists"),
    ({"inputs": [], "outputs": []}, "no tests"),
    ({"inputs": ["1"], "outputs": []}, "1 inputs but 0 outputs"),
    ({"inputs": ["1"], "outputs": ["1"], "fn_name": "f()"}, "fn_name"),
    ({"inputs": ["1"], "outputs": ["1"], "fn_name": "class"}, "fn_name"),
    ({"inputs": ["1"], "outputs": ["1"], "fn_name": ["f"]}, "fn_name"),
    ({"inputs": ["no json"], "outputs": ["1"], "fn_name": "f"}, "neither JSON"),
    ({"inputs": ["{1, 2}"], "outputs": ["1"], "fn_name": "f"}, "neither JSON"),
    ({"inputs": ["\ud800"], "outputs": ["1"]}, "surrogate"),
    ("[]", "no tests"),
    ("[1]", "list of tests"),
    ([{"input": "1"}], "list of tests"),
    ({"test": "def test(): pass", "entry_point": "f"}, "define check"),
    ({"test": "def check(", "entry_point": "f"}, "not Python"),
    ({"test": "def check(c): pass"}, "entry_point"),
    ({"test": 3, "entry_point": "f"}, "source text"),
    ({"assert_case": []}, "no tests"),
    ({"assert_case": [3]}, "list of statements"),
    ({"assert_case": ["f(1) == 2"]}, "asserts nothing"),
    ({"assert_case": ["assert f(1"]}, "not Python"),
    ({"assert_case": ["assert f(1) == g(2)"]}, "2 functions"),
    ({"assert_case": ["assert len('a') == 1"]}, "0 functions"),
]


@pytest.mark.parametrize(("answer", "reason"), MALFORMED)
def test_malformed_tests_are_named_in_one_line(answer, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        check_row(prompt(answer))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


GOOD = {"inputs": ["1"], "outputs": ["1"]}


@pytest.mark.parametrize("limit", [0, -1, 301, "5", True, float("nan"), float("inf"), [5]])
def test_malformed_time_limits(limit):
    with pytest.raises(ValueError, match="time_limit_seconds"):
        check_row(prompt(GOOD, time_limit_seconds=limit))
    assert deadline_seconds(prompt(GOOD, time_limit_seconds=limit)) == SLACK_SECONDS


@pytest.mark.parametrize(("metadata", "seconds"), [({}, 15.0), ({"time_limit_seconds": 2}, 12.0)])
def test_time_limits(metadata, seconds):
    check_row(prompt(GOOD, **metadata))
    assert deadline_seconds(prompt(GOOD, **metadata)) == seconds


def test_gold_response_is_the_solution_in_a_block():
    row = prompt(GOOD, solution="print(1)\n\n")
    assert gold_response(row) == "```python\nprint(1)\n```"
    assert strict_program(row, gold_response(row)) == "print(1)\n"
    assert gold_response(prompt(GOOD)) is None
    assert gold_response(prompt(GOOD, solution="x = '''\n```\n'''")) is None
    assert gold_response(prompt(GOOD, solution="#" * 65536)) is None


def test_usual_imports_hide_no_built_in_name():
    words = " ".join([*MODULES, *(name for names in MODULES.values() for name in names)])
    line = with_usual_imports(f"# {words}\nclass Solution: pass").split("\n")[0]
    scope = {}
    exec(line, scope)
    assert not (scope.keys() - {"__builtins__"}) & vars(builtins).keys()
    assert {"defaultdict", "heappush", "inf", "math", "cache", "bisect_left"} <= scope.keys()


def test_usual_imports_are_those_that_the_program_names():
    source = "class Solution:\n    def f(self, x: List[int]):\n        return math.inf or deque(x)\n"
    line = "from __future__ import annotations; from collections import deque; from math import inf; import math\n"
    assert with_usual_imports(source) == line + source
    plain = "from __future__ import annotations\n\nclass Solution: pass\n"
    assert with_usual_imports(plain) == plain
    assert with_usual_imports("def f(x): return deque(x)") == "def f(x): return deque(x)"


def test_exit_is_given_to_programs_that_name_it():
    scope = {}
    with pytest.raises(SystemExit):
        exec(with_usual_imports("print\nquit()"), scope)
