"""Stage 3, rewards: the value of an expression at a point as a complex number with many digits, at a bounded cost.

A first pass with few digits finds how large intermediate values become; the second has enough digits that a
difference of the last one still shows. What would need too many is refused.
"""

from prorl.rewards.mathematics import ground  # noqa: F401, I001  (before mpmath)

import math
from collections.abc import Callable, Mapping
from fractions import Fraction

from mpmath import MPContext, mpc  # type: ignore[import-untyped]

from prorl.rewards.mathematics.nodes import Node, Refused, Unreadable

DIGITS = 50
MAX_PEAK = 1_000
"""Decimal digits before or after the point of an intermediate value."""
MAX_WORK = 30_000
"""Functions times digits, over one evaluation."""
MAX_GAMMA_DIGITS = 300
GAMMA_WORK = 4
"""Further calls that a gamma function counts as."""
SPARE_DIGITS = 10

_mp = MPContext()
Number = tuple[mpc, int]
"""A value, and the digits that it was computed with."""


def evaluate(node: Node, point: Mapping[str, Fraction]) -> Number:
    """The value at a point. Raises Refused, or Unreadable without a value."""
    scout = _Evaluator(point)
    _run(scout, node, 15)
    digits = DIGITS + SPARE_DIGITS + 2 * math.ceil(scout.peak)
    if digits * scout.num_calls > MAX_WORK:
        raise Refused("too many functions of large numbers")
    return _run(_Evaluator(point), node, digits), digits


def close(first: Number, second: Number) -> bool:
    """Whether two evaluated values agree up to rounding."""
    tolerance = _mp.mpf(10) ** (SPARE_DIGITS - max(first[1], second[1]))
    return bool(abs(first[0] - second[0]) <= max(abs(first[0]), abs(second[0]), 1) * tolerance)


def quotient(above: Number, below: Number) -> Number:
    """The ratio of two evaluated values; half of the digits may have been lost to cancellation before."""
    digits = min(above[1], below[1])
    with _mp.workdps(digits):
        return above[0] / below[0], digits // 2 + SPARE_DIGITS


def _run(evaluator: "_Evaluator", node: Node, digits: int) -> mpc:
    try:
        with _mp.workdps(digits):
            value = _mp.mpc(evaluator.value(node))
    except (ArithmeticError, ValueError, TypeError, NotImplementedError, KeyError) as error:
        if isinstance(error, Refused | Unreadable):
            raise
        raise Unreadable(f"no value: {type(error).__name__}") from None
    if not _mp.isfinite(value):
        raise Unreadable("no finite value")
    return value


class _Evaluator:
    def __init__(self, point: Mapping[str, Fraction]) -> None:
        self._point = point
        self.peak = 0.0
        """The largest absolute decimal logarithm of an intermediate value."""
        self.num_calls = 0

    def value(self, node: Node) -> mpc:
        if node.kind == "number":
            return self._seen(_mp.mpf(node.value.numerator) / node.value.denominator)
        if node.kind == "symbol":
            fraction = self._point[node.name]
            return _mp.mpf(fraction.numerator) / fraction.denominator
        if node.kind == "constant":
            return _CONSTANTS[node.name]()
        if node.kind == "add":
            return _mp.fsum(self.value(child) for child in node.args)
        if node.kind == "mul":
            return self._seen(_mp.fprod(self.value(child) for child in node.args))
        if node.kind in ("percent", "degree"):
            return self.value(node.args[0]) * (_mp.mpf(1) / 100 if node.kind == "percent" else _mp.pi / 180)
        if node.kind == "pow":
            return self._power(*node.args)
        if node.kind == "call" and node.name in FUNCTIONS:
            self.num_calls += 1
            return self._seen(FUNCTIONS[node.name](self, *(self.value(child) for child in node.args)))
        raise Unreadable(f"no value of {node.kind} {node.name}")

    def reserve(self, digits: float) -> None:
        """Refuse a value that would have more digits than is allowed, before it is computed."""
        if digits > MAX_PEAK:
            raise Refused("a value is too large")
        self.peak = max(self.peak, digits)

    def charge_gamma(self, *values: mpc) -> None:
        """Count the gamma functions of a factorial or binomial, cheap for whole numbers and slow with many digits."""
        if all(_mp.isint(value) for value in values):
            return
        self.num_calls += GAMMA_WORK * len(values)
        if _mp.dps > MAX_GAMMA_DIGITS:
            raise Refused("a factorial of a number with too many digits")

    def _seen(self, value: mpc) -> mpc:
        if value != 0:
            self.reserve(_magnitude(value))
        return value

    def _power(self, base: Node, exponent: Node) -> mpc:
        self.num_calls += 1
        below = _reciprocal_of(exponent)
        first = self.value(base)
        if below is not None and below % 2 == 1 and first.imag == 0 and first.real < 0:
            return -_mp.root(-first.real, below)  # the real root, as everyone writes it
        second = self.value(exponent)
        if first == 0:
            return _mp.mpf(1 if second == 0 else 0) if second.real >= 0 else _mp.mpf(1) / 0
        self.reserve(float(abs(second)) * (_magnitude(first) + 1) if abs(second) > 2 else 0)
        return self._seen(first**second)


def _magnitude(value: mpc) -> float:
    """The absolute decimal logarithm from the binary exponent alone: a logarithm would cost more than the value did."""
    return abs(float(_mp.mag(value))) * math.log10(2)


def _reciprocal_of(exponent: Node) -> int | None:
    """3 for the exponent 1/3."""
    if exponent.kind == "pow" and all(child.kind == "number" for child in exponent.args):
        base, power = exponent.args[0].value, exponent.args[1].value
        return base.numerator if power == -1 and base.denominator == 1 else None
    if exponent.kind == "mul" and len(exponent.args) == 2 and exponent.args[0].value == 1:
        return _reciprocal_of(exponent.args[1])
    return None


def _exponential(evaluator: _Evaluator, x: mpc) -> mpc:
    evaluator.reserve(abs(float(x.real)) / 2)
    return _mp.exp(x)


def _factorial(evaluator: _Evaluator, x: mpc) -> mpc:
    evaluator.reserve(float(abs(x)) * 3 if abs(x) > 300 else 0)
    evaluator.charge_gamma(x)
    return _mp.gamma(x + 1)


def _binomial(evaluator: _Evaluator, n: mpc, k: mpc) -> mpc:
    evaluator.reserve(float(max(abs(n), abs(k))))
    evaluator.charge_gamma(n, k)
    return _mp.binomial(n, k)


def _hyperbolic(function: Callable[[mpc], mpc]) -> Callable[..., mpc]:
    def apply(evaluator: _Evaluator, x: mpc) -> mpc:
        evaluator.reserve(abs(float(x.real)) / 2 + abs(float(x.imag)))
        return function(x)

    return apply


def _plain(function: Callable[..., mpc]) -> Callable[..., mpc]:
    return lambda evaluator, *values: function(*values)


def _real(function: Callable[..., mpc]) -> Callable[..., mpc]:
    def apply(evaluator: _Evaluator, *values: mpc) -> mpc:
        if any(abs(value.imag) > 1e-30 for value in values):
            raise ValueError("not real")
        return function(*(value.real for value in values))

    return apply


def _logarithm(x: mpc, base: mpc | None = None) -> mpc:
    return _mp.log(x) if base is None else _mp.log(x) / _mp.log(base)


def _trigonometric(function: Callable[[mpc], mpc]) -> Callable[..., mpc]:
    def apply(evaluator: _Evaluator, x: mpc) -> mpc:
        evaluator.reserve(abs(float(x.imag)))
        return function(x)

    return apply


_CONSTANTS: dict[str, Callable[[], mpc]] = {
    "pi": lambda: +_mp.pi,
    "e": lambda: +_mp.e,
    "i": lambda: _mp.mpc(0, 1),
}
FUNCTIONS: dict[str, Callable[..., mpc]] = {
    **{name: _trigonometric(getattr(_mp, name)) for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    **{name: _hyperbolic(getattr(_mp, name)) for name in ("sinh", "cosh", "tanh")},
    **{name: _plain(getattr(_mp, long)) for name, long in (("arcsin", "asin"), ("arccos", "acos"), ("arctan", "atan"))},
    "log": _plain(_logarithm),
    "ln": _plain(_logarithm),
    "lg": _plain(lambda x: _mp.log(x) / _mp.log(10)),
    "exp": _exponential,
    "abs": _plain(lambda x: abs(x)),
    "factorial": _factorial,
    "binomial": _binomial,
    "floor": _real(lambda x: _mp.floor(x)),
    "ceil": _real(lambda x: _mp.ceil(x)),
    "max": _real(lambda *values: max(values)),
    "min": _real(lambda *values: min(values)),
}
