"""Stage 3, rewards: the smallest parts of a mathematical answer: numbers, names, brackets, fractions, functions.

The grammar above them is `parsing.py`, which extends the reader given here.
"""

import re
from collections.abc import Sequence
from fractions import Fraction

from prorl.rewards.mathematics.cursor import Cursor
from prorl.rewards.mathematics.names import (
    ACCENTS,
    BARS,
    BASES,
    BINOMIALS,
    CLOSERS,
    CONSTANTS,
    EMPTY_NAMES,
    FLOORS,
    FRACTIONS,
    FUNCTIONS,
    GREEK,
    INVERSES,
    MATRICES,
    STARTERS,
    WRAPPERS,
)
from prorl.rewards.mathematics.nodes import (
    EMPTY,
    INFINITY,
    REALS,
    Node,
    Refused,
    Unreadable,
    number,
    product,
    reciprocal,
)
from prorl.rewards.mathematics.tokens import Token
from prorl.rewards.mathematics.units import is_unit

MAX_MARKS = 5
"""Powers, subscripts and signs on one atom."""
_SCALARS = ("number", "symbol", "constant", "pow", "call", "add", "mul", "degree", "percent", "quantity")


class AtomReader(Cursor):
    """Reads one atom or factor at a time."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        super().__init__(tokens)
        self.open_bars = 0
        self.in_builder = False

    def items(self) -> Node:
        raise NotImplementedError

    def sum(self) -> Node:
        raise NotImplementedError

    def starts_factor(self, before: Node) -> bool:
        """Whether the next token begins a factor without a sign of multiplication."""
        token = self.peek()
        if token.kind == "number":
            if before.kind in ("number", "quantity", "base"):
                return self._mixed_fraction_follows(before)
            return True
        if token.text in BARS:
            return self.open_bars == 0 and before.kind in _SCALARS
        if token.kind == "text":
            return len(token.text.strip(" ~")) == 1 and not is_unit(token.text.strip(" ~"))
        return token.kind == "letter" or token.text in STARTERS

    def postfix(self) -> Node:
        """An atom with its powers, subscripts, factorials, percent and degree signs."""
        node = self._mixed(self.atom())
        for _ in range(MAX_MARKS):
            if self.accept("^"):
                node = self._power(node)
            elif self.accept("_"):
                node = self._subscript(node)
            elif self.accept("!"):
                node = Node("call", (node,), "factorial")
            elif self.accept("%") or self.accept(r"\%"):
                node = Node("percent", (node,))
            elif self.accept(r"\degree"):
                node = Node("degree", (node,))
            elif node.kind == "symbol" and self._value_follows():
                node = Node("symbol", (), f"{node.name}({self.peek(1).text})")
                self.position += 3
            elif self.peek().text == "'" and node.kind == "symbol":
                self.take()
                node = Node("symbol", (), node.name + "'")
            else:
                return node
        raise Refused("too many powers or signs on one number")

    def _value_follows(self) -> bool:
        """`(0)` behind a name: the function's value, not a product."""
        return self.peek().text == "(" and self.peek(1).text.isdigit() and self.peek(2).text == ")"

    def atom(self) -> Node:
        token = self.take()
        with self.deeper():
            if token.kind == "number":
                return self._decimal(token.text)
            if token.kind == "text":
                return self._text(token.text)
            if token.text in CONSTANTS:
                return Node("constant", (), CONSTANTS[token.text])
            if token.kind == "letter" or token.text in GREEK:
                return Node("symbol", (), token.text)
            if token.kind == "mark":
                return self._marked(token.text)
            return self._command(token.text)

    def argument(self) -> Node:
        """What a command takes: a group in braces, or a single token (of a number, its first digit)."""
        if self.accept("{"):
            node = self.items()
            self.expect("}")
            return node
        token = self.peek()
        if token.kind == "number" and len(token.text) > 1 and token.text.isdigit():
            self.tokens[self.position] = Token("number", token.text[1:])
            return number(int(token.text[0]), token.text[0])
        return self.atom()

    def with_unit(self, node: Node) -> Node:
        """The quantity, where a unit or a noun follows."""
        pieces: list[str] = []
        while self.peek().kind == "text" and self.peek().text.strip(" ~,").lower() not in ("or", "and"):
            pieces.append(self.take().text)
            while pieces and self.peek().text == "^" and self.peek(1).text in ("{", "2", "3"):
                self.take()
                pieces.append(f"^{self._raw_argument()}")
            if self.peek() == Token("mark", "/") and self.peek(1).kind == "text":
                pieces.append(self.take().text)
        if not pieces and self.accept(r"\$"):
            pieces.append("dollars")
        if not pieces:
            return node
        if node.kind not in _SCALARS:
            raise Unreadable("words behind what is no number")
        return Node("quantity", (node,), "".join(pieces))

    def _command(self, name: str) -> Node:
        if name in FRACTIONS:
            return product(self.argument(), reciprocal(self.argument()))
        if name in BINOMIALS:
            return Node("call", (self.argument(), self.argument()), "binomial")
        if name == r"\sqrt":
            return self._root()
        if name in FUNCTIONS:
            return self._function(name[1:])
        if name in WRAPPERS:
            return self.argument()
        if name in ACCENTS:
            return Node("symbol", (), f"{name[1:]} {self._raw_argument()}")
        if name in FLOORS:
            closing, function = FLOORS[name]
            return Node("call", (self._until(closing),), function)
        return self._special(name)

    def _special(self, name: str) -> Node:
        if name == r"\infty":
            return INFINITY
        if name == r"\mathbb":
            return self._blackboard(self._raw_argument())
        if name == r"\{":
            return self._set()
        if name == r"\$":
            return Node("quantity", (self.postfix(),), "dollars")
        if name in BARS:
            return self._absolute()
        if name in EMPTY_NAMES:
            return EMPTY
        if name == r"\begin":
            return self._matrix()
        if name in (r"\angle", r"\triangle", r"\measuredangle"):
            return self.atom()
        raise Unreadable(f"{name!r} is unknown")

    def _marked(self, mark: str) -> Node:
        if mark in CLOSERS:
            return self._bracket(mark)
        if mark == "{":
            node = self.items()
            self.expect("}")
            return Node("set", node.args) if node.kind == "list" else node
        if mark == "|":
            return self._absolute()
        if mark == "$":
            return Node("quantity", (self.postfix(),), "dollars")
        raise Unreadable(f"unexpected {mark!r}")

    def _decimal(self, literal: str) -> Node:
        if self.peek().text in (r"\overline", r"\bar", r"\dot") and "." in literal:
            self.take()
            repeating = self._raw_argument()
            if not re.fullmatch(r"[0-9]{1,50}", repeating):
                raise Unreadable("a repeating decimal without digits")
            digits = len(literal.partition(".")[2])
            head = Fraction(literal.rstrip(".") or 0)
            return number(head + Fraction(int(repeating), (10 ** len(repeating) - 1) * 10**digits))
        return number(Fraction(literal.rstrip(".")), literal.rstrip("."))

    def _text(self, text: str) -> Node:
        plain = text.strip(" ~")
        if len(plain) == 1 and plain.isascii() and plain.isalpha():
            return Node("constant", (), plain) if plain in ("e", "i") else Node("symbol", (), plain)
        if plain == "infinity":
            return INFINITY
        if "\\" + plain in FUNCTIONS:
            return self._function(plain)
        raise Unreadable("words where a number is expected")

    def _mixed(self, node: Node) -> Node:
        if node.kind != "number" or not node.name.isdigit():
            return node
        if self.peek().text in FRACTIONS:
            start, tokens = self.position, list(self.tokens)
            fraction = self.atom()
            if fraction.kind == "mul" and fraction.args[0].name.isdigit() and fraction.args[1].args[0].name.isdigit():
                return Node("add", (node, fraction))
            self.position, self.tokens = start, tokens
        elif self._mixed_fraction_follows(node):
            top, _, bottom = self.take().text, self.take(), self.take().text
            return Node("add", (node, product(number(int(top), top), reciprocal(number(int(bottom), bottom)))))
        return node

    def _mixed_fraction_follows(self, before: Node) -> bool:
        """`1 1/2`: a whole number, then a proper fraction."""
        top, slash, bottom = self.peek(), self.peek(1), self.peek(2)
        plain = before.name.isdigit() and top.text.isdigit() and slash.text == "/" and bottom.text.isdigit()
        return plain and int(top.text) < int(bottom.text)

    def _power(self, base: Node) -> Node:
        if self.peek().text == r"\circ" or (self.peek().text == "{" and self.peek(1).text == r"\circ"):
            self._raw_argument()
            return Node("degree", (base,))
        if self.peek().text == "'":
            raise Unreadable("a prime as a power")
        sign = self.accept("-")
        exponent = self.argument() if self.peek().kind != "number" else self._decimal(self.take().text)
        return Node("pow", (base, Node("mul", (number(-1), exponent)) if sign else exponent))

    def _base(self, index: str) -> int | None:
        """The base that a subscript of a number names."""
        if index in BASES:
            return BASES.index(index) + 2
        return int(index) if index.isdigit() and len(index) <= 3 else None

    def _subscript(self, node: Node) -> Node:
        index = self._raw_argument() if self.peek().kind != "number" else self.take().text
        index = index.strip("()").replace("text", "")
        if node.kind == "number" and node.name and (base := self._base(index)) is not None:
            return Node("base", (number(base),), node.name)
        if node.kind in ("symbol", "constant"):
            return Node("symbol", (), f"{node.name}_{index}")
        raise Unreadable("a subscript of what is no name")

    def _raw_argument(self) -> str:
        """The text of an argument that is a name rather than a value."""
        if not self.accept("{"):
            return self.take().text
        parts: list[str] = []
        while not self.done and self.peek().text != "}":
            parts.append(self.take().text)
        self.expect("}")
        return "".join(parts)

    def _root(self) -> Node:
        degree = number(2)
        if self.accept("["):
            degree = self.sum()
            self.expect("]")
        return Node("pow", (self.argument(), reciprocal(degree)))

    def _function(self, name: str) -> Node:
        base: tuple[Node, ...] = ()
        power: Node | None = None
        while self.peek().text in ("_", "^"):
            if self.accept("_"):
                base = (self.argument() if self.peek().kind != "number" else self._decimal(self.take().text),)
            elif self.accept("^"):
                sign = self.accept("-")
                power = self.argument()
                power = number(-power.value) if sign else power
        if power is not None and power.kind == "number" and power.value == -1 and name in INVERSES:
            name, power = INVERSES[name], None
        argument = self._function_argument()
        inside = argument.args if argument.kind == "bracket" and name in ("gcd", "lcm", "max", "min") else (argument,)
        node = Node("call", (*inside, *base), name)
        return node if power is None else Node("pow", (node, power))

    def _function_argument(self) -> Node:
        if self.peek().text in ("(", "{", "["):
            return self.postfix()
        factors = [self.postfix()]
        while self.starts_factor(factors[-1]) and self.peek().text not in (*FUNCTIONS, "(", "["):
            factors.append(self.postfix())
        return product(*factors)

    def _bracket(self, opening: str) -> Node:
        node = self.items()
        closing = self.take().text
        if closing not in tuple(CLOSERS[opening]):
            raise Unreadable("a bracket does not close")
        if node.kind == "list":
            return Node("bracket", node.args, opening + closing)
        if opening + closing not in ("()", "[]"):
            raise Unreadable("an interval of one number")
        return node

    def _set(self) -> Node:
        if self.accept(r"\}"):
            return EMPTY
        self.in_builder = True
        self.open_bars += 1
        first = self.items()
        self.open_bars -= 1
        self.in_builder = False
        if self.peek().text in (":", *BARS):
            self.take()
            first = Node("builder", (first, self.items()))
        elif first.kind == "list":
            first = Node("set", first.args)
        else:
            first = Node("set", (first,))
        self.expect(r"\}")
        return first

    def _absolute(self) -> Node:
        self.open_bars += 1
        node = self.sum()
        self.open_bars -= 1
        if self.take().text not in BARS:
            raise Unreadable("a bar does not close")
        return Node("call", (node,), "abs")

    def _until(self, closing: str) -> Node:
        node = self.sum()
        self.expect(closing)
        return node

    def _blackboard(self, name: str) -> Node:
        return REALS if name == "R" else Node("symbol", (), f"mathbb {name}")

    def _matrix(self) -> Node:
        name = self._raw_argument()
        if name not in MATRICES:
            raise Unreadable(f"environment {name!r}")
        if name == "array":
            self._raw_argument()
        rows, row = list[Node](), [self.sum()]
        while not self.accept(r"\end"):
            if self.accept("&"):
                row.append(self.sum())
                continue
            self.expect("\\\\")
            rows.append(Node("row", tuple(row)))
            if self.peek().text == r"\end":
                row = []
                continue
            row = [self.sum()]
        if row:
            rows.append(Node("row", tuple(row)))
        self._raw_argument()
        matrix = Node("matrix", tuple(rows))
        return Node("call", (matrix,), "det") if name == "vmatrix" else matrix
