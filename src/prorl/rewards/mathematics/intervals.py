"""Stage 3, rewards: sets of real numbers from intervals, inequalities and set notation, in one normal form."""

import itertools
from dataclasses import dataclass

from prorl.rewards.mathematics.nodes import EMPTY, INFINITY, MINUS_INFINITY, REALS, Node, Unreadable, negative
from prorl.rewards.mathematics.values import equal, real_value

MAX_PARTS = 50
MAX_NAMED_SETS = 6
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, each end in the set or not; a point is its own two ends."""

    low: Node
    high: Node
    holds_low: bool
    holds_high: bool

    @property
    def start(self) -> tuple[float, bool]:
        return real_value(self.low), not self.holds_low

    @property
    def end(self) -> tuple[float, bool]:
        return real_value(self.high), self.holds_high


Intervals = tuple[Interval, ...]
_LINE: Intervals = (Interval(MINUS_INFINITY, INFINITY, False, False),)


def real_set(node: Node) -> Intervals:
    """The set in normal form: disjoint intervals in order. Raises Unreadable for what is no set of real numbers."""
    if node.kind not in _READERS:
        raise Unreadable(f"{node.kind} is no set")
    return _READERS[node.kind](node)


def same_set(left: Intervals, right: Intervals) -> bool:
    """Whether two normal forms are equal."""
    return len(left) == len(right) and all(
        (one.holds_low, one.holds_high) == (two.holds_low, two.holds_high)
        and equal(one.low, two.low)
        and equal(one.high, two.high)
        for one, two in zip(left, right, strict=True)
    )


def same_members(left: Node, right: Node) -> bool:
    """Whether two expressions in named sets hold the same elements, whatever the sets are."""
    names = sorted(left.symbols() | right.symbols())
    if len(names) > MAX_NAMED_SETS:
        raise Unreadable("too many sets")
    return all(
        _member(left, inside) == _member(right, inside)
        for inside in (
            frozenset(chosen) for size in range(len(names) + 1) for chosen in itertools.combinations(names, size)
        )
    )


def _member(node: Node, inside: frozenset[str]) -> bool:
    """Whether an element of these sets, and of no other, is in the combination."""
    if node.kind == "symbol":
        return node.name in inside
    if node.kind not in ("union", "intersection", "difference"):
        raise Unreadable("no combination of named sets")
    first, second = (_member(child, inside) for child in node.args)
    return {"union": first or second, "intersection": first and second, "difference": first and not second}[node.kind]


def variable_of(node: Node) -> str | None:
    """The one variable that a condition is about."""
    names = node.symbols()
    return next(iter(names)) if len(names) == 1 else None


def _join(parts: Intervals) -> Intervals:
    if len(parts) > MAX_PARTS:
        raise Unreadable("too many intervals")
    joined: list[Interval] = []
    for part in sorted(parts, key=lambda interval: interval.start):
        last = joined[-1] if joined else None
        if last is None or not _touches(last, part):
            joined.append(part)
        elif part.end > last.end:
            joined[-1] = Interval(last.low, part.high, last.holds_low, part.holds_high)
    return tuple(joined)


def _touches(first: Interval, second: Interval) -> bool:
    end, start = first.end, second.start
    return start[0] < end[0] or (start[0] == end[0] and (first.holds_high or second.holds_low))


def _meet(left: Intervals, right: Intervals) -> Intervals:
    parts: list[Interval] = []
    for one in left:
        for two in right:
            low = max((one, two), key=lambda interval: interval.start)
            high = min((one, two), key=lambda interval: interval.end)
            start, end = low.start[0], high.end[0]
            if start < end or (start == end and low.holds_low and high.holds_high):
                parts.append(Interval(low.low, high.high, low.holds_low, high.holds_high))
    return _join(tuple(parts))


def _complement(parts: Intervals) -> Intervals:
    result: Intervals = _LINE
    for part in parts:
        outside: list[Interval] = []
        if real_value(part.low) > float("-inf"):
            outside.append(Interval(MINUS_INFINITY, part.low, False, not part.holds_low))
        if real_value(part.high) < float("inf"):
            outside.append(Interval(part.high, INFINITY, not part.holds_high, False))
        result = _meet(result, tuple(outside))
    return result


def _bracket(node: Node) -> Intervals:
    if len(node.args) != 2:
        raise Unreadable("no interval")
    low, high = node.args
    interval = Interval(low, high, node.name[0] == "[", node.name[1] == "]")
    if real_value(low) >= real_value(high):
        raise Unreadable("an interval without inside")
    return (interval,)


def _points(node: Node) -> Intervals:
    return _join(tuple(Interval(item, item, True, True) for item in node.args))


def _combined(node: Node) -> Intervals:
    left, right = (real_set(child) for child in node.args)
    if node.kind == "union":
        return _join(left + right)
    return _meet(left, right if node.kind == "intersection" else _complement(right))


def _relation(node: Node) -> Intervals:
    """`x < 3`, `1 < x <= 3`, `x != 2`, `x in S`."""
    operators = node.name.split(",")
    if operators == ["in"]:
        return real_set(node.args[1])
    result: Intervals = _LINE
    for left, operator, right in zip(node.args[:-1], operators, node.args[1:], strict=True):
        if _is_variable(right) and not _is_variable(left):
            left, right, operator = right, left, _FLIPPED.get(operator, operator)
        if not _is_variable(left) or right.symbols():
            raise Unreadable("a relation that is not solved")
        result = _meet(result, _half_line(operator, right) if left.kind == "symbol" else _distance(operator, right))
    return result


def _is_variable(node: Node) -> bool:
    """A variable, or its absolute value."""
    return node.kind == "symbol" or (node.kind == "call" and node.name == "abs" and node.args[0].kind == "symbol")


def _distance(operator: str, bound: Node) -> Intervals:
    """Where the absolute value is within or beyond a positive bound."""
    if real_value(bound) <= 0:
        raise Unreadable("an absolute value against what is not positive")
    within = Interval(negative(bound), bound, "=" in operator, "=" in operator)
    if operator in ("<", "<="):
        return (within,)
    return _complement((Interval(within.low, within.high, operator == ">", operator == ">"),))


def _half_line(operator: str, bound: Node) -> Intervals:
    if operator in ("<", "<="):
        return (Interval(MINUS_INFINITY, bound, False, operator == "<="),)
    if operator in (">", ">="):
        return (Interval(bound, INFINITY, operator == ">=", False),)
    if operator in ("=", "!="):
        point = (Interval(bound, bound, True, True),)
        return point if operator == "=" else _complement(point)
    raise Unreadable(f"the relation {operator}")


def _conditions(node: Node) -> Intervals:
    """Conditions on one variable: all of them, or any of them where it says `or` or all cannot hold together."""
    if variable_of(node) is None or any(child.kind not in ("relation", "union") for child in node.args):
        raise Unreadable("no conditions on one variable")
    parts = [real_set(child) for child in node.args]
    everything: Intervals = _LINE
    for part in parts:
        everything = _meet(everything, part)
    if node.name == "and" or (everything and any("!=" in child.name for child in node.args)):
        return everything
    return _join(tuple(interval for part in parts for interval in part))


def _builder(node: Node) -> Intervals:
    return real_set(node.args[1])


_READERS = {
    "bracket": _bracket,
    "set": _points,
    "union": _combined,
    "intersection": _combined,
    "difference": _combined,
    "relation": _relation,
    "list": _conditions,
    "builder": _builder,
    REALS.kind: lambda node: _LINE,
    EMPTY.kind: lambda node: (),
}
