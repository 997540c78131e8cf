r"""Stage 3, rewards: whether an answer's tree says the same as the gold's. Not symmetric: the gold sets the form.

The rules, beyond equal values:

- Several gold values: the same number of them, in any order (a tuple, interval or matrix: in its order). A single gold
  value never equals a list.
- `x = 5`, `f(x) = 5` and `5` are equal, `x = 5` and `y = 5` are not. A chain `2 + 3 = 5` must hold. A gold such as
  `x + y = 1` is equal only to equations in proportion to it.
- Decimals are compared exactly: 0.333 is not 1/3 and 3.14159 is not pi. Only a gold that is itself a decimal of three
  or more digits accepts what rounds to it, from a closed form without decimals.
- A percent or degree sign that one side lacks says nothing, but 0.5% is not 0.5; so does a unit. Two units are
  converted.
- Numerals with two bases: same base, same digits.
- An inequality in one variable is its set of solutions.
"""

import functools
import itertools
from collections.abc import Callable

from prorl.rewards.mathematics.intervals import real_set, same_members, same_set, variable_of
from prorl.rewards.mathematics.nodes import Node, Refused, Unreadable, difference, number, product, reciprocal
from prorl.rewards.mathematics.units import conversion, is_unit, read_unit
from prorl.rewards.mathematics.values import equal, proportional, real_value, rounds_to

MAX_PARTS = 60
MAX_CHAIN = 6
_NAME_KINDS = ("symbol", "constant", "mul", "add", "call", "bracket", "degree", "list")
_FUNCTION_NAMES = ("f", "g", "h", "F", "G", "H", "P")
"""Before a sum in brackets they are functions rather than factors."""
_SET_KINDS = ("union", "intersection", "difference", "builder", "reals", "empty", "relation")
_EQUATIONS = ("=", "~")
_RADIANS = product(Node("constant", (), "pi"), reciprocal(number(180)))


def same_answer(gold: Node, answer: Node) -> bool:
    """Whether the answer is right. Raises Refused where telling costs too much."""
    gold, answer = _expanded(gold), _expanded(answer)
    if gold == answer:
        return True
    try:
        return _same(gold, answer)
    except Unreadable:
        return False


def _same(gold: Node, answer: Node) -> bool:
    gold, answer = _single(gold), _single(answer)
    if _is_equation(gold) or _is_equation(answer):
        return _same_equation(gold, answer)
    if gold.kind in _SET_KINDS or answer.kind in _SET_KINDS or _is_condition(gold) or _is_condition(answer):
        return _same_set(gold, answer)
    if gold.kind in ("list", "set"):
        if _states_in_order(gold) and not answer.holds("relation"):
            return answer.kind != "set" and _same_bracket(Node("bracket", gold.args, "()"), answer)
        return answer.kind in ("list", "set") and _same_parts(gold, answer)
    if gold.kind in _BY_KIND:
        return _BY_KIND[gold.kind](gold, answer)
    if answer.kind == "ratio":
        return len(answer.args) == 2 and equal(gold, _quotient(answer))
    if answer.kind in ("list", "set", *_BY_KIND):
        return answer.kind == "base" and gold.name == answer.name
    return _same_scalar(gold, answer)


def _expanded(node: Node) -> Node:
    """Both values of a plus-minus sign, as parts of a list."""
    if node.kind in ("list", "set"):
        parts: list[Node] = []
        for child in node.args:
            inner = _expanded(child)
            parts += inner.args if inner.kind == "list" and child.kind != "list" else (inner,)
        return Node(node.kind, tuple(parts), node.name)
    if not node.holds("pm"):
        return node
    return Node("list", tuple(node.rebuilt(functools.partial(_with_sign, sign)) for sign in "+-"), ",")


def _with_sign(sign: str, node: Node) -> Node:
    if node.kind != "pm":
        return node
    return node.args[0] if node.name == sign else product(number(-1), *node.args)


def _single(node: Node) -> Node:
    """The element of a set of one; the coordinates of a named point; the values of `x in {1, 2}`."""
    if node.kind == "mul" and len(node.args) == 2 and node.args[0].kind == "symbol" and node.args[1].kind == "bracket":
        return node.args[1]
    if node.kind == "relation" and node.name == "in" and node.args[1].kind == "set":
        node = node.args[1]
    return node.args[0] if node.kind in ("set", "list") and len(node.args) == 1 else node


def _is_equation(node: Node) -> bool:
    return node.kind == "relation" and all(operator in _EQUATIONS for operator in node.name.split(","))


def _is_condition(node: Node) -> bool:
    """A list of inequalities."""
    return node.kind == "list" and any(child.kind == "relation" and not _is_equation(child) for child in node.args)


def _is_name(node: Node) -> bool:
    """What stands before `=` in a stated value: `x`, `AB`, `x + y`, `f(2)`, `(x, y)`."""
    if node.kind == "mul" and len(node.args) == 2 and _head(node).kind == "symbol":
        return True
    return node.kind in _NAME_KINDS and bool(node.symbols()) and all(n.kind in _NAME_KINDS for n in node.walk())


def _names_value(name: Node, value: Node) -> bool:
    """Whether an equation gives a name's value, so that the value alone answers it: `x = 5`, `f(x) = x^2`, `AB = 5`.

    Otherwise it is a relation between its parts: `x + y = 1`, `|x| = 3`, `a = b`, `f(x) = f(-x)`.
    """
    if name.kind == "degree":
        name = name.args[0]
    if _head(name).name in value.symbols():
        return False
    if name.kind == "symbol":
        return value.kind != "symbol"
    if name.kind == "bracket":
        return all(part.kind == "symbol" for part in name.args)
    return _is_application(name) or (_is_figure(name) and not value.symbols())


def _is_application(node: Node) -> bool:
    """`f(x)`, `P(A)`, `f(x, y)`, `f(g(x))`, but not `x(x + 1)`."""
    if node.kind != "mul" or node.name != "applied":
        return False
    head, inside = _head(node), node.args[1]
    parts = inside.args if inside.kind == "bracket" else (inside,)
    plain = head.name in _FUNCTION_NAMES or all(p.kind in ("symbol", "number") or _is_application(p) for p in parts)
    return head.kind == "symbol" and plain and head.name not in inside.symbols()


def _is_figure(node: Node) -> bool:
    """A segment, angle or polygon by its corners, also between bars or with an m for its measure: `AB`, `m ABC`."""
    if node.kind == "call" and node.name == "abs":
        inside = node.args[0]
        return _is_figure(inside) or (inside.kind == "symbol" and (" " in inside.name or inside.name.isupper()))
    names = [part.name for part in node.args if part.kind == "symbol"]
    if node.kind != "mul" or len(names) != len(node.args):
        return False
    return all(name[0].isupper() for name in (names[1:] if names[0] == "m" else names))


def _head(node: Node) -> Node:
    """f of `f(x)` and of its inverse."""
    head = node.args[0] if node.kind == "mul" else node
    return head.args[0] if head.kind == "pow" and head.args[1].value == -1 else head


def _same_name(one: Node, two: Node) -> bool:
    """Equal names; `y`, `y(t)` and `f(x)` all name the value of a function."""
    if one == two:
        return True
    y = Node("symbol", (), "y")
    functions = [_is_application(node) for node in (one, two)]
    return any(functions) and (y in (one, two) or (_head(one) == _head(two) and not all(functions)))


def _stated(relation: Node) -> tuple[Node | None, Node]:
    """The name and the value that an equation states. Raises Unreadable where it states none."""
    parts, operators = list(relation.args), relation.name.split(",")
    name = parts[0] if _is_name(parts[0]) else None
    if name is None and len(parts) == 2 and operators == ["="] and _is_name(parts[1]):
        return parts[1], parts[0]
    if name is not None:
        parts, operators = parts[1:], operators[1:]
    if len(parts) > MAX_CHAIN:
        raise Refused("a long chain of equations")
    end = operators.index("~") if "~" in operators else len(operators)
    steps = parts[: end + 1]
    if not all(equal(left, right) for left, right in itertools.pairwise(steps)):
        raise Unreadable("the equations of a chain do not hold")
    return name, steps[-1]


def _same_equation(gold: Node, answer: Node) -> bool:
    if not _is_equation(answer):
        name, value = _stated(gold)
        return name is not None and _names_value(name, value) and same_answer(value, answer)
    if not _is_equation(gold):
        if gold.kind in _SET_KINDS:
            return _same_set(gold, answer)
        return same_answer(gold, _stated(answer)[1])
    try:
        gold_name, gold_value = _stated(gold)
        name, value = _stated(answer)
        if gold_name is None:
            return name is None and same_answer(gold_value, value)
        same_name = name is not None and _same_name(gold_name, name)
        if same_name or (_names_value(gold_name, gold_value) and (name is None or not gold_value.symbols())):
            return same_name and same_answer(gold_value, value)
    except Unreadable:
        pass
    if len(gold.args) != 2 or len(answer.args) != 2:
        return False
    return proportional(difference(*gold.args), difference(*answer.args)) is not None


def _same_set(gold: Node, answer: Node) -> bool:
    if gold.kind == answer.kind == "relation":
        if gold.name == answer.name and len(gold.args) == len(answer.args):
            if all(one == two for one, two in zip(gold.args, answer.args, strict=True)):
                return True
            if gold.symbols() != answer.symbols():
                return False
        if len(gold.args) == len(answer.args) == 2 and gold.name in _SIGNS and answer.name in _SIGNS:
            return _same_inequality(gold, answer)
    if gold.holds("relation") and answer.holds("relation") and variable_of(gold) != variable_of(answer):
        return False
    try:
        return same_set(real_set(gold), real_set(answer))
    except Unreadable:
        return same_members(gold, answer)


_SIGNS = {"<": ("<", 1), ">": ("<", -1), "<=": ("<=", 1), ">=": ("<=", -1), "!=": ("!=", 0)}


def _same_inequality(gold: Node, answer: Node) -> bool:
    (kind, direction), (other_kind, other) = _SIGNS[gold.name], _SIGNS[answer.name]
    ratio = proportional(difference(*gold.args), difference(*answer.args))
    return kind == other_kind and ratio is not None and ratio * direction * other >= 0


def _same_parts(gold: Node, answer: Node) -> bool:
    """The same parts in any order."""
    if max(len(gold.args), len(answer.args)) > MAX_PARTS:
        return gold.args == answer.args
    if len(gold.args) != len(answer.args):
        return False
    left = list(answer.args)
    for part in gold.args:
        found = next((other for other in left if same_answer(part, other)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _states_in_order(gold: Node) -> bool:
    """`x = 1, y = 2`: values of several variables, which a tuple may give."""
    names = [part.args[0] for part in gold.args if part.kind == "relation" and part.name == "="]
    return len(gold.args) > 1 and len(names) == len(set(names)) == len(gold.args)


def _may_be_tuple(answer: Node) -> bool:
    return answer.name != "or" and (not answer.holds("relation") or _states_in_order(answer))


def _same_bracket(gold: Node, answer: Node) -> bool:
    """A tuple or an interval; a tuple without its brackets is accepted."""
    if answer.kind not in ("bracket", "list") or len(gold.args) != len(answer.args):
        return False
    if answer.kind == "bracket" and gold.name != answer.name:
        return False
    if answer.kind == "list" and (gold.name != "()" or not _may_be_tuple(answer)):
        return False
    return all(same_answer(one, two) for one, two in zip(gold.args, answer.args, strict=True))


def _same_rows(gold: Node, answer: Node) -> bool:
    if gold.kind != answer.kind or len(gold.args) != len(answer.args):
        return False
    return all(same_answer(one, two) for one, two in zip(gold.args, answer.args, strict=True))


def _same_ratio(gold: Node, answer: Node) -> bool:
    if answer.kind != "ratio":
        return len(gold.args) == 2 and answer.kind not in ("list", "set", "bracket") and equal(_quotient(gold), answer)
    if len(gold.args) != len(answer.args):
        return False
    return all(
        equal(product(gold.args[0], two), product(answer.args[0], one))
        for one, two in zip(gold.args[1:], answer.args[1:], strict=True)
    )


def _quotient(ratio: Node) -> Node:
    return product(ratio.args[0], reciprocal(ratio.args[1]))


def _same_base(gold: Node, answer: Node) -> bool:
    """Digits and base; the base may be left out."""
    if answer.kind == "base":
        return gold.name == answer.name and gold.args == answer.args
    return answer.kind == "number" and gold.name == answer.name


_BY_KIND: dict[str, Callable[[Node, Node], bool]] = {
    "bracket": _same_bracket,
    "matrix": _same_rows,
    "row": _same_rows,
    "ratio": _same_ratio,
    "base": _same_base,
}


def _same_scalar(gold: Node, answer: Node) -> bool:
    gold, gold_unit = _without_unit(gold)
    answer, unit = _without_unit(answer)
    if gold_unit and not unit:
        answer = _without_letters(answer, gold_unit)
    elif unit and not gold_unit:
        gold = _without_letters(gold, unit)
    if (gold_unit and answer.kind == "degree") or (unit and gold.kind == "degree"):
        return False
    factor = conversion(gold_unit, unit)
    if factor is None:
        return False
    if factor != 1:
        answer = product(number(factor), answer)
    return any(_same_number(one, two) for one, two in _signless(gold, answer))


def _same_number(gold: Node, answer: Node) -> bool:
    return equal(gold, answer) or rounds_to(gold, answer)


def _signless(gold: Node, answer: Node) -> list[tuple[Node, Node]]:
    """What to compare where one side, or both, have a percent or a degree sign."""
    for sign, scale in (("percent", reciprocal(number(100))), ("degree", _RADIANS)):
        if gold.kind == sign and answer.kind == sign:
            return [(gold.args[0], answer.args[0])]
        if gold.kind == sign:
            return [(gold.args[0], answer), (product(gold.args[0], scale), answer)]
        if answer.kind == sign:
            pairs = [(gold, product(answer.args[0], scale))]
            return pairs if sign == "percent" and _below_one(gold) else [*pairs, (gold, answer.args[0])]
    return [(gold, answer)]


def _below_one(gold: Node) -> bool:
    """A share of the whole rather than a number of percent."""
    return not gold.symbols() and abs(real_value(gold)) < 1


def _without_unit(node: Node) -> tuple[Node, str]:
    """The number and its unit; a degree sign before C or F belongs to the unit."""
    unit = ""
    if node.kind == "quantity":
        node, unit = node.args[0], node.name
        if read_unit(unit) == read_unit("degrees"):
            return Node("degree", (node,)), ""
    elif node.kind == "mul" and node.args[0].kind == "degree" and node.args[1].name in ("C", "F"):
        node, unit = node.args[0], node.args[1].name
    if unit and node.kind == "degree":
        node = node.args[0]
    return node, unit


def _without_letters(node: Node, unit: str) -> Node:
    """`5 m` read as a product, where the other side has the unit m."""
    letter = unit.strip(" ~")
    if node.kind == "mul" and is_unit(letter) and node.args[-1] == Node("symbol", (), letter):
        return product(*node.args[:-1])
    return node
