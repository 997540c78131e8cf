"""Stage 3, rewards: whether two expressions have the same value, by exact fractions, modulo primes, or many digits.

Nothing is simplified: expressions in variables are compared at random points. For rational expressions the points are
residues modulo two large primes, so that size costs nothing and a difference is missed with a probability below
1e-30; for others they are numbers of at least 50 digits. What would cost too much is refused before it is computed.
"""

import math
import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache

from prorl.rewards.mathematics.digits import Number, close, evaluate, quotient
from prorl.rewards.mathematics.nodes import Node, Refused, Unreadable

MAX_BITS = 30_000
"""Of a numerator and denominator that are computed exactly."""
MAX_FACTORIAL = 2_500
PRIMES = (2**61 - 1, 2**89 - 1)
POINTS = 4
IMAGINARY = 1e-20
"""Below this an imaginary part is rounding."""
SIGNED_POINTS = 12
"""Where an absolute value or a step hides a difference on one side of it."""
SIGN_SENSITIVE = ("abs", "floor", "ceil", "max", "min")


class NotRational(ValueError):
    """The expression is not built from numbers and variables by the four operations and whole powers."""


def equal(left: Node, right: Node) -> bool:
    """Whether the two are the same number or the same function of their variables. Raises Refused or Unreadable.

    A logarithm without a base is natural or decimal, the same in both.
    """
    if left == right or _equal(left, right):
        return True
    decimal = left.rebuilt(_decimal_logarithm), right.rebuilt(_decimal_logarithm)
    return decimal != (left, right) and _equal(*decimal)


def proportional(left: Node, right: Node) -> float | None:
    """The constant real ratio left / right; None where it is not constant or zero."""
    variables = sorted(left.symbols() | right.symbols())
    generator = random.Random("proportional")
    ratios: list[Number] = []
    for _ in range(POINTS + 1):
        point = _point(variables, generator, signed=True)
        above, below = evaluate(left, point), evaluate(right, point)
        if 0 in (above[0], below[0]):
            return None
        ratios.append(quotient(above, below))
        if not close(ratios[-1], ratios[0]) or abs(ratios[0][0].imag) > IMAGINARY:
            return None
    return float(ratios[0][0].real)


def _equal(left: Node, right: Node) -> bool:
    variables = sorted(left.symbols() | right.symbols())
    try:
        if not variables:
            return exact(left) == exact(right)
    except (NotRational, Refused):
        pass
    try:
        return _equal_modulo(left, right, variables)
    except NotRational:
        return _equal_numerically(left, right, variables)


def _decimal_logarithm(node: Node) -> Node:
    return Node("call", node.args, "lg") if node.kind == "call" and node.name == "log" and len(node.args) == 1 else node


def exact(node: Node) -> Fraction:
    """The value as a fraction. Raises NotRational, or Refused where it would be too large."""
    if node.kind == "number":
        return node.value
    if node.kind not in _EXACT:
        raise NotRational(node.kind)
    try:
        value = _EXACT[node.kind](node)
    except ZeroDivisionError:
        raise NotRational("division by zero") from None
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise Refused("a number is too large")
    return value


def real_value(node: Node) -> float:
    """A float to order numbers by; infinite for an infinity. Raises Unreadable for what is not real."""
    if node.kind == "constant" and node.name == "oo":
        return math.inf
    if node.kind == "mul" and node.args[-1].name == "oo":
        return math.inf if node.args[0].value > 0 else -math.inf
    value, _ = evaluate(node, {})
    if abs(value.imag) > IMAGINARY:
        raise Unreadable("not a real number")
    return float(value.real)


def rounds_to(gold: Node, answer: Node) -> bool:
    """Whether a closed form without decimals rounds to a decimal of at least three digits, the gold."""
    _, _, decimals = gold.name.partition(".")
    if gold.kind != "number" or not decimals.isdigit() or len(gold.name.lstrip("-0.").replace(".", "")) < 3:
        return False
    if answer.symbols() or any("." in node.name for node in answer.walk() if node.kind == "number"):
        return False
    value, _ = evaluate(answer, {})
    scale = 10 ** len(decimals)
    return bool(abs(value * scale - int(gold.value * scale)) <= 0.5)


def _equal_modulo(left: Node, right: Node, variables: list[str]) -> bool:
    generator = random.Random("modulo")
    for prime in PRIMES:
        for _attempt in range(POINTS):
            point = {name: generator.randrange(2, prime - 1) for name in variables}
            try:
                same = modular(left, prime, point) == modular(right, prime, point)
            except ZeroDivisionError:
                continue
            if not same:
                return False
            break
        else:
            raise Unreadable("division by zero")
    return True


def modular(node: Node, prime: int, point: Mapping[str, int]) -> int:
    """The value in the field of a prime. Raises NotRational, and ZeroDivisionError at an unlucky point."""
    if node.kind == "number":
        return node.value.numerator * _inverse(node.value.denominator, prime) % prime
    if node.kind == "symbol":
        return point[node.name]
    if node.kind == "add":
        return sum(modular(child, prime, point) for child in node.args) % prime
    if node.kind == "mul":
        result = 1
        for child in node.args:
            result = result * modular(child, prime, point) % prime
        return result
    if node.kind == "percent":
        return modular(node.args[0], prime, point) * _inverse(100, prime) % prime
    if node.kind == "pow":
        exponent = exact(node.args[1])
        if exponent.denominator != 1:
            raise NotRational("a root")
        base = modular(node.args[0], prime, point)
        return pow(base if exponent >= 0 else _inverse(base, prime), abs(exponent.numerator), prime)
    value = exact(node)
    return value.numerator * _inverse(value.denominator, prime) % prime


def _inverse(value: int, prime: int) -> int:
    if value % prime == 0:
        raise ZeroDivisionError
    return pow(value, -1, prime)


def _equal_numerically(left: Node, right: Node, variables: list[str]) -> bool:
    signed = any(node.name in SIGN_SENSITIVE for side in (left, right) for node in side.walk() if node.kind == "call")
    generator = random.Random("numeric")
    num_points = SIGNED_POINTS if signed else POINTS
    return all(
        close(evaluate(left, point), evaluate(right, point))
        for point in (_point(variables, generator, signed=signed) for _ in range(num_points if variables else 1))
    )


def _point(variables: list[str], generator: random.Random, *, signed: bool) -> dict[str, Fraction]:
    """Random values, positive where roots and logarithms may be taken as of positive numbers."""
    return {
        name: Fraction(generator.randrange(10**6, 3 * 10**7), 10**7) * (generator.choice((-1, 1)) if signed else 1)
        for name in variables
    }


def _exact_sum(node: Node) -> Fraction:
    return sum((exact(child) for child in node.args), Fraction(0))


def _exact_product(node: Node) -> Fraction:
    result = Fraction(1)
    for child in node.args:
        result *= exact(child)
        if result.numerator.bit_length() + result.denominator.bit_length() > MAX_BITS:
            raise Refused("a number is too large")
    return result


def _exact_power(node: Node) -> Fraction:
    base, exponent = exact(node.args[0]), exact(node.args[1])
    if exponent.denominator != 1:
        return _exact_root(base, exponent)
    bits = base.numerator.bit_length() + base.denominator.bit_length()
    if abs(base) != 1 and base != 0 and abs(exponent) * bits > MAX_BITS:
        raise Refused("a power is too large")
    if base == 0 and exponent <= 0:
        raise NotRational("a power of zero")
    return base**exponent.numerator if base not in (0, 1, -1) else base ** (exponent.numerator % 2 or 2)


def _exact_root(base: Fraction, exponent: Fraction) -> Fraction:
    """A square root that is rational; other roots are left to the numbers with many digits."""
    if exponent.denominator != 2 or base < 0 or abs(exponent.numerator) > 100:
        raise NotRational("a root")
    root = Fraction(math.isqrt(base.numerator), math.isqrt(base.denominator))
    if root * root != base or root == 0:
        raise NotRational("a root")
    return root**exponent.numerator


def _exact_call(node: Node) -> Fraction:
    if node.name not in _EXACT_CALLS:
        raise NotRational(node.name)
    return _EXACT_CALLS[node.name](*(exact(child) for child in node.args))


def _factorial(value: Fraction) -> Fraction:
    _check_factorial(value)
    return Fraction(_cached_factorial(value.numerator))


def _binomial(top: Fraction, bottom: Fraction) -> Fraction:
    _check_factorial(top)
    _check_factorial(bottom)
    return Fraction(math.comb(top.numerator, bottom.numerator))


def _check_factorial(value: Fraction) -> None:
    if value > MAX_FACTORIAL:
        raise Refused("a factorial is too large")
    if value.denominator != 1 or value < 0:
        raise NotRational("a factorial of no whole number")


def _whole(function: Callable[..., int]) -> Callable[..., Fraction]:
    def apply(*values: Fraction) -> Fraction:
        if any(value.denominator != 1 for value in values):
            raise NotRational("not whole numbers")
        return Fraction(function(*(value.numerator for value in values)))

    return apply


_cached_factorial = lru_cache(maxsize=64)(math.factorial)
_EXACT: dict[str, Callable[[Node], Fraction]] = {
    "add": _exact_sum,
    "mul": _exact_product,
    "pow": _exact_power,
    "call": _exact_call,
    "percent": lambda node: exact(node.args[0]) / 100,
}
_EXACT_CALLS: dict[str, Callable[..., Fraction]] = {
    "factorial": _factorial,
    "binomial": _binomial,
    "abs": abs,
    "floor": lambda value: Fraction(math.floor(value)),
    "ceil": lambda value: Fraction(math.ceil(value)),
    "max": lambda *values: max(values),
    "min": lambda *values: min(values),
    "gcd": _whole(math.gcd),
    "lcm": _whole(math.lcm),
}
