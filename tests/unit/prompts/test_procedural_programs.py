"""The procedural code families: pinned problems, hand-checked expectations, reference programs, constant answers."""

import collections
import contextlib
import io
import itertools
import json
import re
import sys

import pytest

from prorl.prompts.procedural import make_prompt
from prorl.prompts.procedural.program_steps import LISTS, NUMBERS, TABLES, TEXTS
from prorl.prompts.procedural.programs import COMMANDS, FAMILIES, Recurrence, run_machine
from prorl.rewards.programs.problems import Asserting, Printing, Returning, read_problem
from prorl.rewards.programs.rows import check_row, gold_response
from prorl.rewards.programs.verdict import verify
from prorl.rewards.sandbox.interface import SandboxUnavailable
from prorl.rewards.sandbox.selection import worker_sandbox

NAMES = {family.name: family for family in FAMILIES}
ALL_LEVELS = [(name, level) for name, family in NAMES.items() for level in range(1, family.max_level + 1)]


def pairs(prompt):
    """Each test's input with what is expected."""
    problem = read_problem(prompt)
    if isinstance(problem, Printing):
        return list(zip(problem.inputs, problem.outputs, strict=True))
    if isinstance(problem, Returning):
        return [
            (json.dumps(given), json.dumps(values[0]))
            for given, values in zip(problem.arguments, problem.expected, strict=True)
        ]
    return [tuple(statement.removeprefix("assert ").split(" == ")) for statement in problem.statements]


def test_families():
    assert len(FAMILIES) >= 6
    kinds = {type(read_problem(make_prompt(name, 1, 0))) for name in NAMES}
    assert kinds == {Printing, Returning, Asserting}
    for family in FAMILIES:
        assert family.domain == "code"
        assert family.max_level >= 10
        assert family.train_levels == family.max_level - 2
        assert family.chance(1) == 0.0


@pytest.mark.parametrize(("name", "level"), ALL_LEVELS)
def test_every_problem_is_well_formed_and_constants_fail(name, level):
    for seed in range(15):
        prompt = make_prompt(name, level, seed)
        assert prompt == make_prompt(name, level, seed)
        assert json.loads(json.dumps(dict(prompt.metadata))) == prompt.metadata
        assert "```python" in prompt.text
        check_row(prompt)
        assert gold_response(prompt) is not None
        tests = pairs(prompt)
        assert len(tests) >= 8
        assert len({given for given, _ in tests}) == len(tests)
        counts = collections.Counter(expected.strip() for _, expected in tests)
        assert max(counts.values()) <= 0.2 * len(tests)
        assert sum(given.strip() == expected.strip() for given, expected in tests) <= 0.2 * len(tests)


@pytest.mark.parametrize("name", NAMES)
def test_problems_differ_and_grow(name):
    texts = [{make_prompt(name, level, seed).text for seed in range(20)} for level in range(1, 13)]
    assert all(len(distinct) >= 12 for distinct in texts)
    sizes = [
        sum(len(make_prompt(name, level, seed).metadata["solution"]) for seed in range(40)) for level in range(1, 13)
    ]
    assert all(low < high for low, high in itertools.pairwise(sizes[::2]))


class Fixed:
    """Draws the smallest number, so that a step's own number is known."""

    def randint(self, low, high):
        return low


# By hand, with k the smallest number that the step may draw.
BY_HAND = {
    "lists": (
        LISTS,
        [5, -3, 4, 5, 0, -7],
        [
            [6, -2, 5, 6, 1, -6],  # add 1
            [10, -6, 8, 10, 0, -14],  # times 2
            [5, 4, 5, 0],  # not under 0
            [1, 1, 0, 1, 0, 1],  # modulo 4: -3 = -4 + 1, -7 = -8 + 1
            [5, -3, 4],  # the first 3
            [-7, 0, 5, 4, -3, 5],
            [-7, -3, 0, 4, 5, 5],
            [5, -3, 4, 0, -7],
            [5, 4, 0],
            [5, 2, 6, 11, 11, 4],
            [-3, 4, 5, 0, -7, 5],
            [5, 3, 4, 5, 0, 7],
            [5, -3, 4, 5, 0, -7, 4],
            [0, 0, 4, 0, 0, 0],
            [1, 5, -3, 4, 5, 0, -7],
        ],
    ),
    "texts": (
        TEXTS,
        "we see a zebra see",
        [
            "ees arbez a ees ew",
            "see zebra a see we",
            "a see see we zebra",
            "we see  zebr see",
            "w3 s33 a z3bra s33",
            "xf tff b afcsb tff",
            "we see a zebra",
            "we SEE a ZEBRA see",
            "we see a zebra see 5",
            "ew ees a arbez ees",
            "we-see-a-zebra-see",
            "we see a zeb see",
            "we see a zebra seee",
        ],
    ),
    "tables": (
        TABLES,
        [["Ada", 4, 20], ["Ben", 61, 51], ["Eve", 5, 41], ["Kim", 60, 19], ["Leo", 60, 50]],
        [
            [["Ben", 61, 51], ["Eve", 5, 41], ["Kim", 60, 19], ["Leo", 60, 50]],  # under 5 points
            [["Ada", 4, 20], ["Eve", 5, 41], ["Kim", 60, 19], ["Leo", 60, 50]],  # over 60 points
            [["Ada", 4, 20], ["Ben", 61, 51], ["Eve", 5, 41], ["Leo", 60, 50]],  # younger than 20
            [["Ada", 4, 20], ["Eve", 5, 41], ["Kim", 60, 19], ["Leo", 60, 50]],  # older than 50
            [["Ben", 61, 51], ["Kim", 60, 19], ["Leo", 60, 50], ["Eve", 5, 41], ["Ada", 4, 20]],
            [["Kim", 60, 19], ["Ada", 4, 20], ["Eve", 5, 41], ["Leo", 60, 50], ["Ben", 61, 51]],
            [["Ada", 4, 20], ["Ben", 61, 51], ["Eve", 5, 41], ["Kim", 60, 19]],  # the first 4
            [["Leo", 60, 50], ["Kim", 60, 19], ["Eve", 5, 41], ["Ben", 61, 51], ["Ada", 4, 20]],
            [["Ada", 6, 20], ["Ben", 63, 51], ["Eve", 7, 41], ["Kim", 62, 19], ["Leo", 62, 50]],  # 2 more
            [["Ada", 4, 20], ["Ben", 59, 51], ["Eve", 3, 41], ["Kim", 60, 19], ["Leo", 58, 50]],  # 2 less over 40
            [["Ada", 8, 20], ["Ben", 61, 51], ["Eve", 5, 41], ["Kim", 60, 19], ["Leo", 120, 50]],
            [["ADA", 4, 20], ["BEN", 61, 51], ["EVE", 5, 41], ["KIM", 60, 19], ["LEO", 60, 50]],
            [["Ben", 61, 51], ["Eve", 5, 41], ["Kim", 60, 19], ["Leo", 60, 50], ["Ada", 4, 20]],
            [["Ada", 4, 21], ["Ben", 61, 52], ["Eve", 5, 42], ["Kim", 60, 20], ["Leo", 60, 51]],
        ],
    ),
    "numbers": (NUMBERS, 1290, [2580, 1293, 1302, 921, 290, 645, 1290, 12907, 1294, 1167, 1299, 1290, 1340]),
    "odd number": (NUMBERS, 45, [90, 48, 54, 54, 45, 45, 136, 457, 47, 45, 50, 2025, 95]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_steps_by_hand(name):
    pipeline, value, expected = BY_HAND[name]
    drawn = [draw(Fixed()) for draw in pipeline.steps]
    assert [step.apply(value) for step in drawn] == expected
    assert [eval(step.code, {"x": value}) for step in drawn] == expected
    assert "<k>" not in "".join(step.words + step.code for step in drawn)


def test_machine_by_hand():
    lines = [
        ["ADD", 7],
        ["SHOW"],
        ["COPY"],
        ["MUL", 3],
        ["SHOW"],
        ["SWAP"],
        ["SUB", 9],
        ["SHOW"],
        ["EVEN", 5],
        ["SHOW"],
    ]
    lines += [
        ["NEG"],
        ["SHOW"],
        ["GAP"],
        ["SHOW"],
        ["SUM"],
        ["MOD", 8],
        ["SHOW"],
        ["MAX"],
        ["SHOW"],
        ["ZERO"],
        ["SHOW"],
    ]
    # A, B: 7,0 | 7,7 | 21,7 | 7,21 | -2,21 | 3,21 (-2 is even) | -3,21 | 24,21 | 45,21 | 5,21 | 21,21 | 0,21
    commands = {command.name: command for command in COMMANDS}
    assert run_machine(commands, lines) == [7, 21, -2, 3, -3, 24, 5, 21, 0]


def test_recurrence_by_hand():
    rule = Recurrence(first=(1, 2), factors=(3, 1), constant=4, extras=((2, 10), (3, 20)), modulus=50)
    # t2 = 3*2 + 1 + 4 + 10 = 21; t3 = 63 + 2 + 4 + 20 = 89 -> 39; t4 = 117 + 21 + 4 + 10 = 152 -> 2
    # t5 = 6 + 39 + 4 = 49; t6 = 147 + 2 + 4 + 30 = 183 -> 33
    assert [rule.term(n) for n in range(7)] == [1, 2, 21, 39, 2, 49, 33]


def recompute_rules(text, low, high):
    """What the prompt asks for, from its words."""
    rules = re.findall(r"\d+\. If n ([^:]*): (\w+)", text)
    holds = {
        "is divisible by": lambda n, k: n % k == 0,
        "ends in the digit": lambda n, k: n % 10 == k,
        "contains the digit": lambda n, k: str(k) in str(n),
        "has a digit sum greater than": lambda n, k: sum(map(int, str(n))) > k,
        "is greater than": lambda n, k: n > k,
        "leaves remainder 1 when divided by": lambda n, k: n % k == 1,
    }
    lines = []
    for n in range(low, high + 1):
        words = []
        for rule, word in rules:
            condition, _, k = rule.rpartition(" ")
            if holds[condition](n, int(k)):
                words.append(word)
        if "joined by +" not in text:
            words = words[:1]
        lines.append("+".join(words) or str(n))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("level", [1, 4, 8, 12])
def test_rules_from_the_words_of_the_prompt(level):
    for seed in range(20):
        prompt = make_prompt("code_rules", level, seed)
        for given, expected in pairs(prompt):
            low, high = map(int, given.split())
            assert recompute_rules(prompt.text, low, high) == expected


def run_reference(prompt):
    """Run the reference program here: it is ours. Yields what it gives and what is expected."""
    problem = read_problem(prompt)
    for given, expected in pairs(prompt):
        scope = {"__name__": "__main__"}
        if isinstance(problem, Printing):
            printed = io.StringIO()
            with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
                patch.setattr(sys, "stdin", io.StringIO(given))
                exec(prompt.metadata["solution"], scope)
            yield printed.getvalue(), expected
        else:
            exec(prompt.metadata["solution"], scope)
            call = given if isinstance(problem, Asserting) else f"{problem.name}(*{json.loads(given)!r})"
            result = eval(call, scope)
            yield json.dumps(result), expected


@pytest.mark.parametrize(("name", "level"), ALL_LEVELS)
def test_reference_programs_give_what_is_expected(name, level):
    for seed in range(6):
        for given, expected in run_reference(make_prompt(name, level, seed)):
            assert given == expected


@pytest.mark.parametrize("name", NAMES)
def test_references_score_everything_in_the_sandbox_and_constants_little(name):
    try:
        worker_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    for level in (1, 7, 12):
        prompt = make_prompt(name, level, 100)
        assert verify(prompt, gold_response(prompt)).value == 1.0
        problem = read_problem(prompt)
        expected = pairs(prompt)[3][1]
        if isinstance(problem, Printing):
            source = f"print({expected!r}, end='')"
        else:
            function = problem.entry_point if isinstance(problem, Asserting) else problem.name
            source = f"def {function}(x): return {expected}"
        assert 0.0 < verify(prompt, f"```python\n{source}\n```").value <= 0.2
