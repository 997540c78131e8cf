"""Code families: trace a program, compile an expression to stack code, merge two sorted lists."""

import functools
import math
import random
from collections.abc import Sequence

from prorl.prompts.mini.problem import Family, Problem, labels

APPLY = {
    "+": lambda first, second: first + second,
    "-": lambda first, second: first - second,
    "*": lambda first, second: first * second,
}


def generate_prog(rng: random.Random, level: int) -> Problem:
    """Trace `level + 1` assignments modulo 10: `vk=3,d=k+4,p=d-k:` -> `k3d7p4`."""
    lines: list[str] = []
    values: dict[str, int] = {}
    for name in labels(rng, level + 1):
        if not values:
            values[name] = rng.randrange(10)
            lines.append(f"{name}={values[name]}")
            continue
        left = rng.choice(list(values))
        operator = rng.choice("+-")
        right = rng.choice(list(values)) if rng.random() < 0.4 else str(rng.randrange(2, 10))
        operand = values[right] if right in values else int(right)
        values[name] = APPLY[operator](values[left], operand) % 10
        lines.append(f"{name}={left}{operator}{right}")
    solution = "".join(f"{name}{value}" for name, value in values.items())
    return Problem(f"v{','.join(lines)}:", solution, {})


def to_postfix(variables: list[str], operators: list[str]) -> str:
    """Compile `v0 o0 v1 o1 v2 ...` to stack code; `*` binds tighter, equal operators from the left."""
    output, pending = variables[0], ""
    for variable, operator in zip(variables[1:], operators, strict=True):
        while pending and (operator != "*" or pending[-1] == "*"):
            output, pending = output + pending[-1], pending[:-1]
        output, pending = output + variable, pending + operator
    return output + pending[::-1]


def generate_rpn(rng: random.Random, level: int) -> Problem:
    """Compile an expression of `level` operators to stack code: `xa+b*c:` -> `abc*+`."""
    variables = labels(rng, level + 1)
    operators = [rng.choice("+-*") for _ in range(level)]
    expression = variables[0] + "".join(o + v for o, v in zip(operators, variables[1:], strict=True))
    metadata = {"variables": "".join(variables), "operators": "".join(operators)}
    return Problem(f"x{expression}:", to_postfix(variables, operators), metadata)


def generate_merge(rng: random.Random, level: int) -> Problem:
    """Merge two sorted lists of `level + 1` letters in all: `mbdk,acz:` -> `abcdkz`."""
    letters = labels(rng, level + 1)
    split = rng.randint(1, level)
    first, second = "".join(sorted(letters[:split])), "".join(sorted(letters[split:]))
    return Problem(f"m{first},{second}:", "".join(sorted(letters)), {})


@functools.cache
def _prog_chance(level: int) -> float:
    """The first value copied, 0 for all others: of two operands that are one variable, or 0, the difference is 0.

    At most 2 % below the best answer that depends on the first value alone.
    """
    total = 0.0
    for first in range(10):
        share = 1.0
        for count in range(level):
            share *= _zero_share([first] + [0] * count)
        total += share / 10
    return total


def _zero_share(values: Sequence[int]) -> float:
    """Probability that the next assignment gives 0, after variables with these values."""
    literals = range(2, 10)
    by_variable = sum(((x + y) % 10 == 0) + ((x - y) % 10 == 0) for x in values for y in values)
    by_literal = sum(((x + y) % 10 == 0) + ((x - y) % 10 == 0) for x in values for y in literals)
    return 0.4 * by_variable / (2 * len(values) ** 2) + 0.6 * by_literal / (2 * len(values) * len(literals))


def _rpn_chance(level: int) -> float:
    """Each operator copied behind its right operand, which is right where no `*` comes after a `+` or `-`.

    Of the 3**level rows of operators, 2**(level - i) are `i` times `*` and then `+` or `-` only.
    """
    return (2 ** (level + 1) - 1) / 3**level


def _merge_chance(level: int) -> float:
    """Mean over the splits of one in the number of ways to interleave the two lists."""
    return sum(1 / math.comb(level + 1, split) for split in range(1, level + 1)) / level


PROG = Family(
    name="prog",
    domain="code",
    max_level=10,
    train_levels=8,
    generate=generate_prog,
    chance=_prog_chance,
    description="Trace a straight-line program: the value, modulo 10, of each variable.",
)
RPN = Family(
    name="rpn",
    domain="code",
    max_level=12,
    train_levels=10,
    generate=generate_rpn,
    chance=_rpn_chance,
    description="Compile an expression to stack code; any equivalent program is right.",
)
MERGE = Family(
    name="merge",
    domain="code",
    max_level=22,
    train_levels=20,
    generate=generate_merge,
    chance=_merge_chance,
    description="Merge two sorted lists.",
)
