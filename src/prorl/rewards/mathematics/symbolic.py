"""Stage 3, rewards: math-verify, for the notations that this package's own reader does not know.

Its simplification can run for minutes on a line of roots, powers or functions, so it is asked only about short text
without any: known tokens, small numbers, the four operations, relations, sets and logic. It runs without its own
alarms: the caller's deadline is the clock. No text reaches an evaluator that was not made of these tokens.
"""

from prorl.rewards.mathematics import ground  # noqa: F401, I001  (before sympy)

import itertools
import logging

from math_verify import LatexExtractionConfig, grader, parse, parser, verify

from prorl.rewards.mathematics.nodes import Unreadable
from prorl.rewards.mathematics.tokens import CLOSING, OPENING, Token, tokenize

MAX_CHARACTERS = 100
MAX_NUMBER_DIGITS = 6
FLOAT_DIGITS = 12
_COMMANDS = {
    r"\frac", r"\dfrac", r"\tfrac", r"\pi", r"\infty", r"\cup", r"\cap", r"\setminus", r"\in", r"\le", r"\leq",
    r"\ge", r"\geq", r"\ne", r"\neq", r"\pm", r"\cdot", r"\times", r"\div", r"\{", r"\}", r"\mid", r"\alpha",
    r"\beta", r"\gamma", r"\delta", r"\theta", r"\lambda", r"\mu", r"\phi", r"\omega", r"\mathbb", r"\to",
    r"\overline", r"\subset", r"\subseteq", r"\emptyset", r"\vee", r"\wedge", r"\lor", r"\land",
}  # fmt: skip
_EQUATIONS = ("=", "<", ">", r"\le", r"\leq", r"\ge", r"\geq", r"\ne", r"\neq")
_DIVISIONS = (r"\frac", r"\dfrac", r"\tfrac", r"\div", "/")
_FOREIGN_MARKS = ("!", "$", "'", "%", "&", "^")

for _module in (grader, parser):
    _module.TIMEOUT_WARNING_SHOWN = True
    logging.getLogger(_module.__name__).setLevel(logging.ERROR)


def agree(gold: str, answer: str) -> bool:
    """Whether math-verify finds the two cleaned texts equal. Raises Unreadable where it is not to be asked."""
    for text in (gold, answer):
        _check(text)
    config = [LatexExtractionConfig()]
    trees = [parse(f"${text}$", config, fallback_mode="no_fallback", parsing_timeout=None) for text in (gold, answer)]
    return all(trees) and bool(
        verify(*trees, float_rounding=FLOAT_DIGITS, timeout_seconds=None, allow_set_relation_comp=True)
    )


def _check(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise Unreadable("too long to be read by math-verify")
    tokens = tokenize(text, join_thousands=True)
    if not tokens or not _balanced(tokens):
        raise Unreadable("not a whole expression")
    for token in tokens:
        _check_token(token)
    if any(two.text == "_" and one.kind not in ("letter", "command") for one, two in itertools.pairwise(tokens)):
        raise Unreadable("a subscript of what is no name, which it may read as a function")
    if any(one.kind == two.kind == "number" for one, two in itertools.pairwise(tokens)):
        raise Unreadable("two numbers side by side")
    if any(token.text in _EQUATIONS for token in tokens) and any(token.text in _DIVISIONS for token in tokens):
        raise Unreadable("an equation with fractions, which it would try to solve")


def _balanced(tokens: list[Token]) -> bool:
    """Whether every bracket closes, whatever its kind: half-open intervals mix them."""
    depths = list(itertools.accumulate((t.text in OPENING) - (t.text in CLOSING) for t in tokens))
    return min(depths) >= 0 and depths[-1] == 0


def _check_token(token: Token) -> None:
    unknown = token.kind == "text" or (token.kind == "command" and token.text not in _COMMANDS)
    if unknown or token.text in _FOREIGN_MARKS:
        raise Unreadable(f"{token.text!r} is unknown")
    if token.kind == "number" and len(token.text) > MAX_NUMBER_DIGITS:
        raise Unreadable("a large number")
