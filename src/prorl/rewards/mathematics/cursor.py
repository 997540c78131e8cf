"""Stage 3, rewards: a place in the tokens of a mathematical answer, and how deep the reader is. Knows no grammar."""

import contextlib
from collections.abc import Iterator, Sequence

from prorl.rewards.mathematics.nodes import Refused, Unreadable
from prorl.rewards.mathematics.tokens import Token

MAX_NESTING = 60
END = Token("end", "")


class Cursor:
    """A position in the tokens."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = list(tokens)
        self.position = 0
        self._depth = 0

    @property
    def done(self) -> bool:
        return self.position >= len(self.tokens)

    def peek(self, ahead: int = 0) -> Token:
        place = self.position + ahead
        return self.tokens[place] if place < len(self.tokens) else END

    def take(self) -> Token:
        token = self.peek()
        self.position += 1
        return token

    def accept(self, text: str) -> bool:
        """Take the token if it is this one."""
        found = self.peek().text == text and self.peek().kind in ("mark", "command")
        self.position += found
        return found

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise Unreadable(f"{text!r} is missing")

    @contextlib.contextmanager
    def deeper(self) -> Iterator[None]:
        """Count one level of nesting."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise Refused("the answer is nested too deeply")
        yield
        self._depth -= 1
