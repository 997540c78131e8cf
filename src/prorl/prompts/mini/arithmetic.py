"""Math families: column addition and running values."""

import random

from prorl.prompts.mini.problem import Family, Problem, labels


def generate_add(rng: random.Random, level: int) -> Problem:
    """Add two numbers of `level` digits, lowest column first: `+k58d47p32:` -> `k3d2p6`."""
    prompt, solution, carry = "+", "", 0
    for label in labels(rng, level):
        first, second = rng.randrange(10), rng.randrange(10)
        carry, digit = divmod(first + second + carry, 10)
        prompt += f"{label}{first}{second}"
        solution += f"{label}{digit}"
    return Problem(prompt + ":", solution + ("1" if carry else ""), {})


def generate_run(rng: random.Random, level: int) -> Problem:
    """Give the value, modulo 10, after each of `level` operations: `r7a+3c-5:` -> `a0c5`."""
    value = rng.randrange(10)
    prompt, solution = f"r{value}", ""
    for label in labels(rng, level):
        operator, operand = rng.choice("+-"), rng.randrange(1, 10)
        value = (value + operand if operator == "+" else value - operand) % 10
        prompt += f"{label}{operator}{operand}"
        solution += f"{label}{value}"
    return Problem(prompt + ":", solution, {})


ADD = Family(
    name="add",
    domain="math",
    max_level=18,
    train_levels=16,
    generate=generate_add,
    chance=lambda level: 0.1**level,  # of 9 in every column and no last carry: ten of 100 pairs each
    description="Column addition, lowest column first; the last carry ends the answer.",
)
RUN = Family(
    name="run",
    domain="math",
    max_level=12,
    train_levels=10,
    generate=generate_run,
    chance=lambda level: (1 / 9) ** level,  # the operand is never 0, so that a value always changes
    description="The value, modulo 10, after each operation.",
)
