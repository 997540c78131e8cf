"""Procedural code families: programs of chosen steps, rules or commands, with their tests and a reference program.

What is expected is computed beside the reference program, never by it. The answer is one fenced block of Python.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from prorl.prompts.mini.problem import Family, Problem
from prorl.prompts.procedural.program_steps import LISTS, NUMBERS, TABLES, TEXTS, Case, Pipeline, Step

NUM_TESTS = 10
MAX_SAME = 2
"""Tests that may expect one output, or their own input: a program that ignores its input passes a fifth at most."""
MAX_DRAWS = 100
MAX_LEVEL, TRAIN_LEVELS = 12, 10

CLOSINGS = (
    "Give the whole program in one ```python block.",
    "Put your complete Python code between ```python and ```.",
    "Answer with one fenced block of Python (```python ... ```).",
)
FUNCTIONS = (
    "Write a Python function `{name}` that takes {what} and applies these steps in order:",
    "Define a Python function `{name}`. It gets {what} and does the following, one after the other:",
    "Implement the function `{name}` in Python. Its one argument is {what}. Carry out these steps in this order:",
)
PROGRAMS = (
    "Write a Python program that reads {what} from standard input and applies these steps in order:",
    "Your Python program gets {what} on standard input. It does the following, one after the other:",
    "Read {what} from standard input with Python. Then carry out these steps in this order:",
)


def collect(cases: Iterable[Case], expect: Callable[[Case], Any]) -> list[tuple[Case, Any]] | None:
    """Tests with distinct inputs and various outputs; None where the cases do not give enough."""
    tests: list[tuple[Case, Any]] = []
    outputs: Counter[str] = Counter()
    seen: set[str] = set()
    unchanged = 0
    for case in cases:
        value = expect(case)
        name, output = json.dumps(case), json.dumps(value)
        if name in seen or outputs[output] == MAX_SAME or (name == output and unchanged == MAX_SAME):
            continue
        seen.add(name)
        outputs[output] += 1
        unchanged += name == output
        tests.append((case, value))
        if len(tests) == NUM_TESTS:
            return tests
    return None


def drawn_steps(pipeline: Pipeline, rng: random.Random, level: int) -> tuple[list[Step], list[tuple[Case, Any]]]:
    """`level` different steps, and tests on which what they do shows."""
    while True:
        steps = [draw(rng) for draw in rng.sample(pipeline.steps, level)]

        def expect(value: Any, steps: list[Step] = steps) -> Any:
            for step in steps:
                value = step.apply(value)
            return value

        tests = collect([*pipeline.edges, *(pipeline.case(rng) for _ in range(MAX_DRAWS))], expect)
        if tests is not None:
            return steps, tests


def wording(opening: str, steps: Iterable[str], result: str, closing: str) -> str:
    numbered = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    return "\n".join([opening, *numbered, result, closing])


def function_source(name: str, steps: list[Step]) -> str:
    return "\n".join([f"def {name}(x):", *(f"    x = {step.code}" for step in steps), "    return x", ""])


def printing(tests: list[tuple[str, str]]) -> str:
    return json.dumps({"inputs": [given for given, _ in tests], "outputs": [printed for _, printed in tests]})


def returning(name: str, tests: list[tuple[Case, Any]]) -> str:
    inputs = [json.dumps(given) for given, _ in tests]
    return json.dumps({"inputs": inputs, "outputs": [json.dumps(value) for _, value in tests], "fn_name": name})


def asserting(name: str, tests: list[tuple[Case, Any]]) -> str:
    statements = [f"assert {name}({given!r}) == {value!r}" for given, value in tests]
    return json.dumps({"assert_case": statements, "entry_point": name})


def generate_list(rng: random.Random, level: int) -> Problem:
    """A function from list to list."""
    name = rng.choice(("transform", "change_list", "solve", "process"))
    steps, tests = drawn_steps(LISTS, rng, level)
    opening = rng.choice(FUNCTIONS).format(name=f"{name}(numbers)", what=LISTS.what)
    text = wording(opening, [step.words for step in steps], "Return the resulting list.", rng.choice(CLOSINGS))
    return Problem(text, returning(name, tests), {"solution": function_source(name, steps)})


def generate_number(rng: random.Random, level: int) -> Problem:
    """A function from number to number, judged by assert statements, of which two are shown."""
    name = rng.choice(("transform", "encode", "next_number", "compute"))
    steps, tests = drawn_steps(NUMBERS, rng, level)
    opening = rng.choice(FUNCTIONS).format(name=f"{name}(n)", what=NUMBERS.what)
    shown = "; ".join(f"{name}({given}) is {value}" for given, value in tests[:2])
    result = f"Return the resulting number. For example, {shown}."
    text = wording(opening, [step.words for step in steps], result, rng.choice(CLOSINGS))
    return Problem(text, asserting(name, tests), {"solution": function_source(name, steps)})


def generate_text(rng: random.Random, level: int) -> Problem:
    """A program from line to line."""
    steps, tests = drawn_steps(TEXTS, rng, level)
    opening = rng.choice(PROGRAMS).format(what=TEXTS.what)
    text = wording(opening, [step.words for step in steps], "Print the resulting text.", rng.choice(CLOSINGS))
    lines = ["x = input()", *(f"x = {step.code}" for step in steps), "print(x)", ""]
    answer = printing([(f"{given}\n", f"{printed}\n") for given, printed in tests])
    return Problem(text, answer, {"solution": "\n".join(lines)})


def table_text(rows: list[list[Any]]) -> str:
    return "".join(f"{name} {points} {age}\n" for name, points, age in rows)


def generate_table(rng: random.Random, level: int) -> Problem:
    """A program from table to table, of people with points and ages."""
    steps, tests = drawn_steps(TABLES, rng, level)
    what = "a number n and then n lines, each with the name, the points and the age of a person"
    result = "Print the people that remain, one a line, as `name points age`; print `nobody` if there are none."
    opening = rng.choice(PROGRAMS).format(what=what)
    text = wording(opening, [step.words for step in steps], result, rng.choice(CLOSINGS))
    lines = ["x = []", "for _ in range(int(input())):", "    name, points, age = input().split()"]
    lines += ["    x.append([name, int(points), int(age)])", *(f"x = {step.code}" for step in steps)]
    lines += ["for r in x:", "    print(*r)", "if not x:", "    print('nobody')", ""]
    pairs = [(f"{len(given)}\n{table_text(given)}", table_text(rows) or "nobody\n") for given, rows in tests]
    return Problem(text, printing(pairs), {"solution": "\n".join(lines)})


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on `n`: in words, as Python, and as a function."""

    words: str
    code: str
    holds: Callable[[int], bool]


def drawn_rule(rng: random.Random) -> Rule:
    k = rng.randint(2, 9)
    return rng.choice(
        (
            Rule(f"is divisible by {k}", f"n % {k} == 0", lambda n: n // k * k == n),
            Rule(f"ends in the digit {k}", f"n % 10 == {k}", lambda n: str(n)[-1] == str(k)),
            Rule(f"contains the digit {k}", f"'{k}' in str(n)", lambda n: k in map(int, str(n))),
            Rule(
                f"has a digit sum greater than {k + 3}",
                f"sum(map(int, str(n))) > {k + 3}",
                lambda n: sum(n // 10**place % 10 for place in range(9)) > k + 3,
            ),
            Rule(f"is greater than {7 * k}", f"n > {7 * k}", lambda n: not n <= 7 * k),
            Rule(f"leaves remainder 1 when divided by {k}", f"n % {k} == 1", lambda n: (n - 1) // k * k == n - 1),
        )
    )


RULE_WORDS = (
    "red", "blue", "gold", "pink", "gray", "teal", "lime", "navy", "ruby", "jade", "onyx", "plum", "sand", "mint",
    "rust", "coal", "snow", "fern",
)  # fmt: skip


def generate_rules(rng: random.Random, level: int) -> Problem:
    """A line for each number of a range, by the first rule or by all rules that hold."""
    count = level
    rules: dict[str, Rule] = {}
    while len(rules) < count:
        rule = drawn_rule(rng)
        rules.setdefault(rule.words, rule)
    named = list(zip(rules.values(), rng.sample(RULE_WORDS, count), strict=True))
    takes_all = rng.random() < 0.5
    how = "the word of the first rule that holds"
    if takes_all:
        how = "the words of all rules that hold, in this order and joined by +"
    opening = (
        "Write a Python program that reads two whole numbers a and b from one line of standard input. "
        f"For each n from a to b, both included, print one line: {how}, or n itself if none holds."
    )

    def expect(case: list[int]) -> list[str]:
        words = [[word for rule, word in named if rule.holds(n)] for n in range(case[0], case[1] + 1)]
        kept = [line if takes_all else line[:1] for line in words]
        return ["+".join(line) or str(case[0] + place) for place, line in enumerate(kept)]

    starts = [1, 9, 2, 18, 99, *(rng.randint(1, 200) for _ in range(MAX_DRAWS))]
    tests = collect(([start, start + rng.randint(10, 25)] for start in starts), expect)
    assert tests is not None, level  # ranges with distinct ends have distinct numbers of lines or distinct lines
    lines = ["a, b = map(int, input().split())", "for n in range(a, b + 1):", "    words = []"]
    for rule, word in named:
        lines += [f"    if {rule.code}:", f"        words.append('{word}')"]
    lines += [f"    print('+'.join(words{'' if takes_all else '[:1]'}) or n)", ""]
    steps = [f"If n {rule.words}: {word}" for rule, word in named]
    text = wording(opening, steps, "Print nothing else.", rng.choice(CLOSINGS))
    answer = printing([(f"{low} {high}\n", "".join(f"{line}\n" for line in shown)) for (low, high), shown in tests])
    return Problem(text, answer, {"solution": "\n".join(lines)})


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a machine with the numbers A and B; `k` stands behind its name where the words say so."""

    name: str
    words: str
    code: str
    apply: Callable[[int, int, int], tuple[int, int]]
    takes_number: bool = False


COMMANDS = (
    Command("ADD", "add k to A", "a = a + k", lambda a, b, k: (k + a, b), True),
    Command("SUB", "subtract k from A", "a = a - k", lambda a, b, k: (a + -k, b), True),
    Command("MUL", "multiply A by k", "a = a * k", lambda a, b, k: (sum([a] * k), b), True),
    Command("MOD", "replace A by A % k (as in Python)", "a = a % k", lambda a, b, k: (a - a // k * k, b), True),
    Command("COPY", "set B to A", "b = a", lambda a, b, k: (a, a)),
    Command("SWAP", "exchange A and B", "a, b = b, a", lambda a, b, k: (b, a)),
    Command("SUM", "add B to A", "a = a + b", lambda a, b, k: (b + a, b)),
    Command("MAX", "set A to the larger of A and B", "a = max(a, b)", lambda a, b, k: (a if a > b else b, b)),
    Command("ZERO", "set A to 0", "a = 0", lambda a, b, k: (0, b)),
    Command("NEG", "change the sign of A", "a = -a", lambda a, b, k: (0 - a, b)),
    Command(
        "EVEN", "add k to A if A is even", "a = a if a % 2 else a + k", lambda a, b, k: (a + k * (1 - a % 2), b), True
    ),
    Command(
        "GAP",
        "set A to the absolute difference of A and B",
        "a = abs(a - b)",
        lambda a, b, k: (max(a, b) - min(a, b), b),
    ),
)


def run_machine(commands: dict[str, Command], lines: list[list[Any]]) -> list[int]:
    """What a list of commands prints."""
    state, shown = (0, 0), []
    for name, *numbers in lines:
        if name == "SHOW":
            shown.append(state[0])
        else:
            state = commands[name].apply(*state, numbers[0] if numbers else 0)
    return shown


def drawn_commands(rng: random.Random, commands: dict[str, Command]) -> list[list[Any]]:
    """A list of commands that ends in SHOW; the state is not 0 for long."""
    lines: list[list[Any]] = []
    for _ in range(rng.randint(3, 6 + len(commands))):
        command = commands[rng.choice(list(commands))]
        lines.append([command.name, rng.randint(2, 9)] if command.takes_number else [command.name])
        if rng.random() < 0.2:
            lines.append(["SHOW"])
    return [*lines, ["SHOW"]]


def generate_machine(rng: random.Random, level: int) -> Problem:
    """An interpreter of commands: ADD, and `level` others."""
    tests = None
    while tests is None:
        chosen = [COMMANDS[0], *rng.sample(COMMANDS[1:], min(level, len(COMMANDS) - 1))]
        commands = {command.name: command for command in chosen}
        cases = [drawn_commands(rng, commands) for _ in range(MAX_DRAWS)]
        tests = collect([[["SHOW"]], *cases], partial(run_machine, commands))
    opening = (
        "Write a Python program that runs commands on two whole numbers A and B, which are both 0 at the start. "
        "Standard input has the number n of commands and then n lines with one command each. The commands are:"
    )
    words = [f"{c.name}{' k' if c.takes_number else ''}: {c.words}" for c in commands.values()]
    source = ["a = b = 0", "for _ in range(int(input())):", "    name, *numbers = input().split()"]
    source += ["    k = int(numbers[0]) if numbers else 0", "    if name == 'SHOW':", "        print(a)"]
    for command in commands.values():
        source += [f"    elif name == '{command.name}':", f"        {command.code}"]
    result = "k stands for a whole number that follows the name of the command."
    text = wording(opening, [*words, "SHOW: print A on a line of its own"], result, rng.choice(CLOSINGS))
    inputs = ["".join(f"{' '.join(map(str, line))}\n" for line in [[len(case)], *case]) for case, _ in tests]
    outputs = ["".join(f"{value}\n" for value in values) for _, values in tests]
    return Problem(text, printing(list(zip(inputs, outputs, strict=True))), {"solution": "\n".join([*source, ""])})


@dataclass(frozen=True, slots=True)
class Recurrence:
    """`term(n)` is the sum of `factors[i] * term(n - 1 - i)`, `constant` and the extras whose divisor divides n."""

    first: tuple[int, ...]
    factors: tuple[int, ...]
    constant: int
    extras: tuple[tuple[int, int], ...]
    """Divisors of n with what they add."""
    modulus: int

    def term(self, n: int) -> int:
        """By the definition, in order."""
        terms = list(self.first)
        while len(terms) <= n:
            index = len(terms)
            value = self.constant + sum(extra for divisor, extra in self.extras if index // divisor * divisor == index)
            for back, factor in enumerate(self.factors):
                value += factor * terms[index - 1 - back]
            terms.append(value - value // self.modulus * self.modulus)
        return terms[n]


def drawn_recurrence(rng: random.Random, level: int) -> Recurrence:
    order = 1 + (level >= 4) + (level >= 8)
    divisors = rng.sample(range(2, 12), min(level - 1, 10))
    return Recurrence(
        first=tuple(rng.randint(0, 9) for _ in range(order)),
        factors=tuple(rng.randint(1, 4) for _ in range(order)),
        constant=rng.randint(1, 9),
        extras=tuple((divisor, rng.randint(1, 20)) for divisor in sorted(divisors)),
        modulus=rng.choice((1000, 997, 10007, 8192)),
    )


def recurrence_source(name: str, rule: Recurrence) -> str:
    total = " + ".join(f"{factor} * t[i - {back}]" for back, factor in enumerate(rule.factors, 1))
    lines = [f"def {name}(n):", f"    t = {list(rule.first)}", f"    for i in range({len(rule.first)}, n + 1):"]
    lines.append(f"        v = {total} + {rule.constant}")
    for divisor, extra in rule.extras:
        lines += [f"        if i % {divisor} == 0:", f"            v += {extra}"]
    return "\n".join([*lines, f"        t.append(v % {rule.modulus})", "    return t[n]", ""])


def generate_sequence(rng: random.Random, level: int) -> Problem:
    """The term `n` of a recurrence with exceptions."""
    name, tests = rng.choice(("term", "sequence", "value")), None
    while tests is None:
        rule = drawn_recurrence(rng, level)
        cases = [0, 1, 2, 3, 5, *(rng.randint(4, 12 + 6 * level) for _ in range(MAX_DRAWS))]
        tests = collect(cases, rule.term)
    first = ", ".join(f"{name}({index}) = {value}" for index, value in enumerate(rule.first))
    total = " + ".join(f"{factor} * {name}(n - {back})" for back, factor in enumerate(rule.factors, 1))
    opening = (
        f"Write a Python function `{name}(n)` for a whole number n that is at least 0. {first}. "
        f"Each later {name}(n) is computed in these steps:"
    )
    extras = [f"If n is divisible by {divisor}, add {extra}." for divisor, extra in rule.extras]
    last = f"Take the remainder after division by {rule.modulus}."
    steps = [f"Start with {total} + {rule.constant}.", *extras, last]
    text = wording(opening, steps, f"Return {name}(n).", rng.choice(CLOSINGS))
    return Problem(text, returning(name, tests), {"solution": recurrence_source(name, rule)})


def _family(name: str, generate: Callable[[random.Random, int], Problem], description: str) -> Family:
    return Family(
        name=name,
        domain="code",
        max_level=MAX_LEVEL,
        train_levels=TRAIN_LEVELS,
        generate=generate,
        chance=lambda level: 0.0,
        description=description,
    )


FAMILIES: tuple[Family, ...] = (
    _family("code_list", generate_list, "A function that carries out steps on a list of numbers."),
    _family("code_number", generate_number, "A function that carries out steps on a number; assert statements."),
    _family("code_text", generate_text, "A program that carries out steps on a line of text."),
    _family("code_table", generate_table, "A program that carries out steps on a table of people."),
    _family("code_rules", generate_rules, "A program that prints words for the numbers that rules hold of."),
    _family("code_machine", generate_machine, "An interpreter of commands on two numbers."),
    _family("code_sequence", generate_sequence, "A function that computes a recurrence with exceptions."),
)
