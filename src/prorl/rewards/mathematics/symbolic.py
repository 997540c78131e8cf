"""Stage 3, rewards: math-verify, for the notations that this package's own reader does not know.

Called only with short text made of known tokens, so that nothing in it can cost much: no integral, sum, product,
factorial, large exponent or large number. It runs without its own alarms: the caller's deadline is the clock.
"""

from prorl.rewards.mathematics import ground  # noqa: F401, I001  (before sympy)

import logging
import re

from math_verify import LatexExtractionConfig, grader, parse, parser, verify

from prorl.rewards.mathematics.nodes import Refused, Unreadable
from prorl.rewards.mathematics.tokens import Token, tokenize

MAX_CHARACTERS = 200
MAX_NUMBER_DIGITS = 9
MAX_POWERS = 12
FLOAT_DIGITS = 12
_COMMANDS = {
    r"\frac", r"\dfrac", r"\tfrac", r"\sqrt", r"\pi", r"\infty", r"\cup", r"\cap", r"\setminus", r"\in",
    r"\le", r"\leq", r"\ge", r"\geq", r"\ne", r"\neq", r"\pm", r"\cdot", r"\times", r"\div", r"\{", r"\}",
    r"\mid", r"\sin", r"\cos", r"\tan", r"\cot", r"\sec", r"\csc", r"\arcsin", r"\arccos", r"\arctan",
    r"\log", r"\ln", r"\exp", r"\alpha", r"\beta", r"\gamma", r"\delta", r"\theta", r"\lambda", r"\mu",
    r"\phi", r"\omega", r"\mathbb", r"\to", r"\overline", r"\subset", r"\subseteq", r"\emptyset", r"\vee",
    r"\wedge", r"\lor", r"\land",
}  # fmt: skip
_POWER = re.compile(r"\^\s*\{?\s*-?\s*([0-9]+)")

for _module in (grader, parser):
    _module.TIMEOUT_WARNING_SHOWN = True
    logging.getLogger(_module.__name__).setLevel(logging.ERROR)


def agree(gold: str, answer: str) -> bool:
    """Whether math-verify finds the two cleaned texts equal. Raises Refused or Unreadable before it is asked."""
    for text in (gold, answer):
        _check(text)
    config = [LatexExtractionConfig()]
    trees = [parse(f"${text}$", config, fallback_mode="no_fallback", parsing_timeout=None) for text in (gold, answer)]
    return all(trees) and bool(
        verify(*trees, float_rounding=FLOAT_DIGITS, timeout_seconds=None, allow_set_relation_comp=True)
    )


def _check(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise Refused("too long to be read by math-verify")
    tokens = tokenize(text, join_thousands=True)
    for token, after in zip(tokens, [*tokens[1:], Token("end", "")], strict=True):
        _check_token(token, after)
    if sum(token.text == "^" for token in tokens) > MAX_POWERS or _nested_powers(tokens):
        raise Refused("too many powers")
    if any(len(match.group(1)) > 2 for match in _POWER.finditer(text)):
        raise Refused("a large power")


def _check_token(token: Token, after: Token) -> None:
    if token.kind == "text" or (token.kind == "command" and token.text not in _COMMANDS) or token.text == "!":
        raise Unreadable(f"{token.text!r} is unknown")
    if token.kind == "number":
        if len(token.text) > MAX_NUMBER_DIGITS:
            raise Refused("a large number")
        if after.kind == "number":
            raise Unreadable("two numbers side by side")


def _nested_powers(tokens: list[Token]) -> bool:
    """Whether a power stands in the exponent of another."""
    open_exponents: list[bool] = []
    for token, after in zip(tokens, [*tokens[1:], Token("end", "")], strict=True):
        if token.text == "{":
            open_exponents.append(bool(open_exponents and open_exponents[-1]))
        elif token.text == "}" and open_exponents:
            open_exponents.pop()
        elif token.text == "^":
            if open_exponents and open_exponents[-1]:
                return True
            if after.text == "{":
                open_exponents.append(True)
                continue
    return False
