"""Stage 3, rewards: reads a mathematical answer into a tree, by recursive descent. Evaluates and compares nothing.

Two readings where a comma before three digits may group thousands or separate numbers. Raises Unreadable for unknown
notation and Refused for text over the limits.
"""

import functools

from prorl.rewards.mathematics.atoms import AtomReader
from prorl.rewards.mathematics.nodes import Node, Unreadable, negative, product, reciprocal
from prorl.rewards.mathematics.tokens import CONNECTORS, ambiguous, clean, tokenize

RELATIONS = {
    "=": "=", "<": "<", ">": ">", r"\le": "<=", r"\leq": "<=", r"\leqslant": "<=", r"\ge": ">=", r"\geq": ">=",
    r"\geqslant": ">=", r"\ne": "!=", r"\neq": "!=", r"\in": "in", r"\approx": "~", r"\lt": "<", r"\gt": ">",
    r"\equiv": "mod", r"\to": "to", r"\mapsto": "to", r"\sim": "~", r"\simeq": "~",
}  # fmt: skip
SETS = {
    r"\cup": "union", r"\bigcup": "union", r"\cap": "intersection", r"\setminus": "difference",
    r"\backslash": "difference", r"\smallsetminus": "difference",
}  # fmt: skip
SIGNS = {"+": "+", "-": "-", r"\pm": "pm", r"\mp": "mp"}
TIMES = ("*", r"\cdot", r"\times", r"\ast")
DIVIDE = ("/", r"\div")
LOGICAL = {r"\lor": "or", r"\vee": "or", r"\land": "and", r"\wedge": "and"}
SEPARATORS = (",", ";", r"\\")


@functools.lru_cache(maxsize=512)
def readings(text: str) -> tuple[Node, ...]:
    """The trees that the text may mean; at least one."""
    cleaned = clean(text)
    first = _Reader(tokenize(cleaned, join_thousands=True)).answer()
    if not ambiguous(cleaned):
        return (first,)
    try:
        return (first, _Reader(tokenize(cleaned, join_thousands=False)).answer())
    except Unreadable:
        return (first,)


class _Reader(AtomReader):
    """The grammar above the atoms: sums, relations, sets, lists."""

    def answer(self) -> Node:
        """All tokens as one node."""
        if self.done:
            raise Unreadable("empty")
        node = self.items()
        if not self.done:
            raise Unreadable(f"unexpected {self.peek().text!r}")
        return node

    def items(self) -> Node:
        """Relations separated by commas or the words or, and; one alone is itself."""
        parts, joint = [self.relation()], ""
        while (connector := self._connector()) is not None:
            joint = connector if connector != "," else joint or ","
            if self.done and connector == ",":
                break
            parts.append(self.relation())
        if joint in LOGICAL and any(part.kind != "relation" for part in parts):
            raise Unreadable("logic")
        return parts[0] if len(parts) == 1 else Node("list", tuple(parts), LOGICAL.get(joint, joint))

    def relation(self) -> Node:
        parts, operators = [self.set_expression()], list[str]()
        while (operator := RELATIONS.get(self.peek().text)) is not None and self.peek().kind != "text":
            self.take()
            if operator in ("<", ">") and self.accept("="):
                operator += "="
            operators.append(operator)
            parts.append(self.set_expression())
        return Node("relation", tuple(parts), ",".join(operators)) if operators else parts[0]

    def set_expression(self) -> Node:
        node = self.sum()
        while (kind := SETS.get(self.peek().text)) is not None:
            self.take()
            node = Node(kind, (node, self.sum()))
        return node

    def sum(self) -> Node:
        with self.deeper():
            terms = [self.term()]
            while (sign := SIGNS.get(self.peek().text)) is not None:
                self.take()
                terms.append(_signed(sign, self.term()))
            return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def term(self) -> Node:
        """A product; a colon makes it a ratio."""
        ratio = [self._product()]
        while self.peek().text in (":", r"\colon") and not self.in_builder:
            self.take()
            ratio.append(self._product())
        return ratio[0] if len(ratio) == 1 else Node("ratio", tuple(ratio))

    def _product(self) -> Node:
        factors, applied = [self._factor()], self.peek().text in ("(", "[")
        while True:
            token = self.peek()
            if token.text in TIMES and token.kind != "text":
                self.take()
                factors.append(self._factor())
            elif token.text in DIVIDE and token.kind != "text":
                self.take()
                factors.append(reciprocal(self._factor()))
            elif self.starts_factor(factors[-1]):
                factors.append(self.postfix())
            else:
                break
        applied = applied and len(factors) == 2 and self.peek(-1).text in (")", "]")
        node = Node("mul", tuple(factors), "applied") if applied else product(*factors)
        return self.with_unit(node)

    def _factor(self) -> Node:
        sign = SIGNS.get(self.peek().text)
        if sign is None:
            return self.postfix()
        self.take()
        with self.deeper():
            return _signed(sign, self._factor())

    def _connector(self) -> str | None:
        """Take what separates two parts of a list."""
        found = None
        while (
            self.peek().text in SEPARATORS
            or (self.peek().kind == "text" and self.peek().text.strip(" ~,").lower() in CONNECTORS)
            or self.peek().text in LOGICAL
        ):
            text = self.take().text.strip(" ~,").lower()
            found = text if text in CONNECTORS or text in LOGICAL else found or ","
        return found


def _signed(sign: str, node: Node) -> Node:
    if sign == "+":
        return node
    return negative(node) if sign == "-" else Node("pm", (node,), "+" if sign == "pm" else "-")
