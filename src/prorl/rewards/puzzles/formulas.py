"""Stage 3, rewards: puzzles whose answer is a formula: sums of given numbers, polynomials, integrals.

`expressions.py` reads the text. Sums and polynomials are compared exactly; an integral is right when its derivative
agrees with the integrand at points, which takes the same milliseconds for right and wrong answers.
"""

import cmath
import functools
import operator
from collections.abc import Callable
from fractions import Fraction

from prorl.rewards.puzzles.expressions import Arithmetic, Unreadable, evaluate, no_call, no_name
from prorl.rewards.puzzles.texts import Entry

Polynomial = dict[tuple[tuple[str, int], ...], Fraction]
"""From a monomial, its variables with their exponents in alphabetical order, to its coefficient; never 0."""
Dual = tuple[complex, complex, float]
"""A value, its derivative, and the sum of the sizes that the derivative was added up from: what may have cancelled."""

MAX_POWER = 100
MAX_BITS = 4096
_TARGET_24 = 24

_POINTS = (-3.1327, -2.2871, -1.7133, -1.1913, -0.8317, -0.3719, 0.2893, 0.6733, 1.2379, 1.7431, 2.2189, 3.0713)
_MIN_EVIDENCE = 5
_MAX_CANCELLATION = 1e6
"""At a point where more than this factor cancelled, rounding hides what is wrong: it says nothing."""
_MAX_DIFFERENCE = 1e-7
_CONSTANT_OF_INTEGRATION = 0.5772


def countdown(entry: Entry, answer: str) -> float:
    """Each given number once, with + - * / and brackets."""
    metadata = entry["metadata"]
    return _makes(answer, metadata["numbers"], metadata["target"])


def puzzle24(entry: Entry, answer: str) -> float:
    return _makes(answer, entry["metadata"]["numbers"], _TARGET_24)


def _makes(answer: str, numbers: list[int], target: int) -> float:
    used: list[int] = []

    def number(text: str) -> Fraction:
        if not text.isdecimal():
            raise Unreadable(text)
        used.append(int(text))
        return Fraction(int(text))

    operators = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
    try:
        value = evaluate(answer, Arithmetic(number, no_name, no_call, operator.neg, operators))
    except Unreadable:
        return 0.0
    return float(sorted(used) == sorted(numbers) and value == target)


def polynomial_multiplication(entry: Entry, answer: str) -> float:
    """The same polynomial, multiplied out: a product of sums, such as the question, is not read."""
    try:
        return float(evaluate(answer, _POLYNOMIALS) == evaluate(entry["answer"], _POLYNOMIALS))
    except Unreadable:
        return 0.0


def _constant(value: Fraction) -> Polynomial:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise Unreadable("a number too large")
    return {(): value} if value else {}


def _variable(name: str) -> Polynomial:
    return {((name, 1),): Fraction(1)}


def _negate(value: Polynomial) -> Polynomial:
    return {monomial: -coefficient for monomial, coefficient in value.items()}


def _add(left: Polynomial, right: Polynomial) -> Polynomial:
    """Changes `left`, which nobody else holds."""
    for monomial, coefficient in right.items():
        total = left.pop(monomial, Fraction(0)) + coefficient
        if total:
            left[monomial] = total
    return left


def _multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    if len(left) > 1:
        left, right = right, left
    if not left or not right:
        return {}
    if len(left) > 1 or (len(right) > 1 and () not in left):
        raise Unreadable("not multiplied out")
    [(monomial, factor)] = left.items()
    return {
        _join(monomial, other): coefficient
        for other, value in right.items()
        for coefficient in _constant(value * factor).values()
    }


def _join(left: tuple[tuple[str, int], ...], right: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    exponents = dict(left)
    for name, exponent in right:
        exponents[name] = exponents.get(name, 0) + exponent
    return tuple(sorted(exponents.items()))


def _number_in(value: Polynomial) -> Fraction:
    if value.keys() - {()}:
        raise Unreadable("not a number")
    return value.get((), Fraction(0))


def _divide(left: Polynomial, right: Polynomial) -> Polynomial:
    return _multiply({(): 1 / _number_in(right)}, left)


def _raise(base: Polynomial, exponent: Polynomial) -> Polynomial:
    power = _number_in(exponent)
    if power.denominator != 1 or not 0 <= power <= MAX_POWER:
        raise Unreadable("an exponent that is not a small whole number")
    value: Polynomial = {(): Fraction(1)}
    for _ in range(int(power)):
        value = _multiply(value, base)
    return value


_POLYNOMIALS = Arithmetic(
    number=lambda text: _constant(Fraction(text)),
    name=_variable,
    call=no_call,
    negate=_negate,
    operators={"+": _add, "-": lambda a, b: _add(a, _negate(b)), "*": _multiply, "/": _divide, "**": _raise},
)


def integration(entry: Entry, answer: str) -> float:
    """An antiderivative, with or without a constant C."""
    variable, integrand = entry["metadata"]["variable"], entry["metadata"]["integrand"]
    if answer == entry["answer"].strip():
        return 1.0  # the library leaves some integrals unevaluated in its own answers
    evidence = 0
    for point in _POINTS:
        try:
            _, derivative, size = evaluate(answer, _duals(variable, point))
        except Unreadable:
            continue
        wanted = _value_at(integrand, variable, point)
        if wanted is None or not cmath.isfinite(derivative) or size > _MAX_CANCELLATION * abs(wanted):
            continue
        if abs(derivative - wanted) > _MAX_DIFFERENCE * abs(wanted):
            return 0.0
        evidence += 1
    return float(evidence >= _MIN_EVIDENCE)


@functools.lru_cache(maxsize=4096)
def _value_at(text: str, variable: str, point: float) -> complex | None:
    """None where the function has no value."""
    try:
        value = evaluate(text, _duals(variable, point))[0]
    except Unreadable:
        return None
    return value if cmath.isfinite(value) else None


@functools.cache
def _duals(variable: str, point: float) -> Arithmetic[Dual]:
    names: dict[str, Dual] = {
        "C": (_CONSTANT_OF_INTEGRATION, 0, 0),
        "pi": (cmath.pi, 0, 0),
        "E": (cmath.e, 0, 0),
        variable: (point, 1, 1),
    }

    def name(text: str) -> Dual:
        if text not in names:
            raise Unreadable(text)
        return names[text]

    return Arithmetic(lambda text: (complex(text), 0, 0), name, _call, _opposite, _DUAL_OPERATORS)


def _opposite(value: Dual) -> Dual:
    return -value[0], -value[1], value[2]


def _sum(left: Dual, right: Dual) -> Dual:
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def _product(left: Dual, right: Dual) -> Dual:
    value, other = left[0], right[0]
    return value * other, left[1] * other + value * right[1], left[2] * abs(other) + abs(value) * right[2]


def _quotient(left: Dual, right: Dual) -> Dual:
    return _product(left, _chain(1 / right[0], -1 / (right[0] * right[0]), right))


def _power(base: Dual, exponent: Dual) -> Dual:
    if exponent[2] == 0:
        power = exponent[0]
        slope = power * base[0] ** (power - 1) if power and base[2] else 0
        return _chain(base[0] ** power, slope, base)
    return _call("exp", _product(_call("log", base), exponent))


def _chain(value: complex, slope: complex, inner: Dual) -> Dual:
    """The chain rule."""
    return value, slope * inner[1], abs(slope) * inner[2]


_DUAL_OPERATORS: dict[str, Callable[[Dual, Dual], Dual]] = {
    "+": _sum,
    "-": lambda left, right: _sum(left, _opposite(right)),
    "*": _product,
    "/": _quotient,
    "**": _power,
}

_FUNCTIONS: dict[str, tuple[Callable[[complex], complex], Callable[[complex], complex]]] = {
    "sin": (cmath.sin, cmath.cos),
    "cos": (cmath.cos, lambda x: -cmath.sin(x)),
    "tan": (cmath.tan, lambda x: 1 / cmath.cos(x) ** 2),
    "sec": (lambda x: 1 / cmath.cos(x), lambda x: cmath.sin(x) / cmath.cos(x) ** 2),
    "csc": (lambda x: 1 / cmath.sin(x), lambda x: -cmath.cos(x) / cmath.sin(x) ** 2),
    "cot": (lambda x: 1 / cmath.tan(x), lambda x: -1 / cmath.sin(x) ** 2),
    "exp": (cmath.exp, cmath.exp),
    "log": (cmath.log, lambda x: 1 / x),
    "ln": (cmath.log, lambda x: 1 / x),
    "sqrt": (cmath.sqrt, lambda x: 0.5 / cmath.sqrt(x)),
    "asin": (cmath.asin, lambda x: 1 / cmath.sqrt(1 - x * x)),
    "acos": (cmath.acos, lambda x: -1 / cmath.sqrt(1 - x * x)),
    "atan": (cmath.atan, lambda x: 1 / (1 + x * x)),
    "sinh": (cmath.sinh, cmath.cosh),
    "cosh": (cmath.cosh, cmath.sinh),
    "tanh": (cmath.tanh, lambda x: 1 / cmath.cosh(x) ** 2),
    "asinh": (cmath.asinh, lambda x: 1 / cmath.sqrt(x * x + 1)),
}
"""Each with its derivative, under the names of the question."""


def _call(name: str, argument: Dual) -> Dual:
    if name not in _FUNCTIONS:
        raise Unreadable(name)
    function, slope = _FUNCTIONS[name]
    try:
        return _chain(function(argument[0]), slope(argument[0]), argument)
    except ValueError as error:  # outside the domain
        raise Unreadable(str(error)) from None
