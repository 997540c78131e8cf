"""Stage 3, rewards: an own reader of arithmetic for answers that a library would execute. Reads; judges nothing.

The grammar is numbers, names, + - * / ** and brackets, and calls of one argument. Length and depth are bounded, so
that reading takes milliseconds whatever the text; what the symbols mean, and how large a number may grow, is the
business of the `Arithmetic` that the caller brings.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

MAX_CHARACTERS = 8000
MAX_DEPTH = 80
_TOKEN = re.compile(r"\s*(?:(\d{1,120}(?:\.\d{0,40})?|\.\d{1,40})|([A-Za-z]\w{0,19})|(\*\*|[-+*/()]))", re.ASCII)
_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4}
_SIGN_BINDING = 3
_END = ("", "", "")

Value = TypeVar("Value")


class Unreadable(ValueError):
    """The text is outside the grammar or the limits, or has no value."""


@dataclass(frozen=True, slots=True)
class Arithmetic(Generic[Value]):
    """What the symbols mean. Each function may raise `Unreadable` or an `ArithmeticError`."""

    number: Callable[[str], Value]
    name: Callable[[str], Value]
    call: Callable[[str, Value], Value]
    negate: Callable[[Value], Value]
    operators: Mapping[str, Callable[[Value, Value], Value]]
    """Those of + - * / ** that the puzzle allows."""


def evaluate(text: str, arithmetic: Arithmetic[Value]) -> Value:
    """The value of an expression with the precedence of Python. Raises `Unreadable`."""
    reader = _Reader(_tokens(text), arithmetic)
    try:
        value = reader.read(0, 0)
    except ArithmeticError as error:
        raise Unreadable(str(error)) from None
    if reader.next != _END:
        raise Unreadable(f"unexpected {reader.next}")
    return value


def no_name(name: str) -> NoReturn:
    raise Unreadable(name)


def no_call(name: str, value: object) -> NoReturn:
    raise Unreadable(f"{name}({value})")


def _tokens(text: str) -> list[tuple[str, str, str]]:
    """`(number, name, symbol)`, two of them empty."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise Unreadable("too long")
    tokens: list[tuple[str, str, str]] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Unreadable(f"unexpected {text[position]!r}")
        number, name, symbol = match.groups("")
        if number and tokens and (tokens[-1][0] or tokens[-1][1]):
            raise Unreadable("two values in a row")  # also a number of more digits than a token holds
        tokens.append((number, name, symbol))
        position = match.end()
    return tokens


class _Reader(Generic[Value]):
    """Reads tokens by binding strength."""

    def __init__(self, tokens: list[tuple[str, str, str]], arithmetic: Arithmetic[Value]) -> None:
        self._tokens = iter(tokens)
        self._arithmetic = arithmetic
        self.next = next(self._tokens, _END)

    def read(self, binding: int, depth: int) -> Value:
        """The longest expression whose operators bind at least so strongly."""
        if depth > MAX_DEPTH:
            raise Unreadable("too deep")
        value = self._operand(depth)
        while _BINDING.get(symbol := self.next[2], -1) >= binding:
            if symbol not in self._arithmetic.operators:
                raise Unreadable(f"unexpected {symbol}")
            self._take()
            # Powers group to the right, all others to the left.
            right = self.read(_BINDING[symbol] + (symbol != "**"), depth + 1)
            value = self._arithmetic.operators[symbol](value, right)
        return value

    def _operand(self, depth: int) -> Value:
        number, name, symbol = self._take()
        if number:
            return self._arithmetic.number(number)
        if name:
            if self.next[2] != "(":
                return self._arithmetic.name(name)
            self._take()
            return self._arithmetic.call(name, self._to_bracket(depth))
        if symbol == "(":
            return self._to_bracket(depth)
        if symbol in ("+", "-"):
            value = self.read(_SIGN_BINDING, depth + 1)
            return value if symbol == "+" else self._arithmetic.negate(value)
        raise Unreadable(f"unexpected {symbol or 'end'}")

    def _to_bracket(self, depth: int) -> Value:
        value = self.read(0, depth + 1)
        if self._take()[2] != ")":
            raise Unreadable("an open bracket")
        return value

    def _take(self) -> tuple[str, str, str]:
        token, self.next = self.next, next(self._tokens, _END)
        return token
