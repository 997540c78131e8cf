"""Stage 3, rewards: the tree that a mathematical answer is read into. Equal trees are equal answers; computes nothing.

Kinds of node, with what `name` holds:

    number (the literal)  symbol  constant (pi, e, i, oo)  add  mul (applied where written `f(x)`)  pow
    call (the function)  percent  degree
    base (a numeral; the argument is its base)  quantity (the unit)  text  pm (+ or -)
    list (, or and)  bracket (its two brackets)  set  builder  relation (comma-joined operators)
    union  intersection  difference  matrix  row  ratio  reals  empty
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction


class Unreadable(ValueError):
    """The reader does not know the notation."""


class Refused(ValueError):
    """The text is over a limit: judging it could cost more than an answer is worth."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node; `value` is that of a number."""

    kind: str
    args: tuple["Node", ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)

    def walk(self) -> Iterator["Node"]:
        """This node and all below it."""
        yield self
        for child in self.args:
            yield from child.walk()

    def symbols(self) -> frozenset[str]:
        """Names of the variables in it."""
        return frozenset(node.name for node in self.walk() if node.kind == "symbol")

    def holds(self, *kinds: str) -> bool:
        """Whether a node of one of these kinds is in it."""
        return any(node.kind in kinds for node in self.walk())

    def rebuilt(self, change: Callable[["Node"], "Node"]) -> "Node":
        """A copy with `change` applied to every node, from the leaves up."""
        return change(Node(self.kind, tuple(child.rebuilt(change) for child in self.args), self.name, self.value))


def number(value: Fraction | int, literal: str = "") -> Node:
    return Node("number", (), literal, Fraction(value))


def negative(node: Node) -> Node:
    if node.kind == "number":
        return number(-node.value, f"-{node.name}" if node.name else "")
    return Node("mul", (number(-1), node))


def reciprocal(node: Node) -> Node:
    return Node("pow", (node, number(-1)))


def product(*factors: Node) -> Node:
    return factors[0] if len(factors) == 1 else Node("mul", factors)


def difference(left: Node, right: Node) -> Node:
    return Node("add", (left, negative(right)))


INFINITY = Node("constant", (), "oo")
MINUS_INFINITY = negative(INFINITY)
REALS = Node("reals")
EMPTY = Node("empty")
