"""Stage 3, rewards: hands formulas with symbols in them to the math verifier. Decides what is one, compares nothing.

Words are kept away from it: read as products of letters, `Mars` and `Arms` would be equal.
"""

import re

from prorl.records import Prompt
from prorl.rewards.mathematics.verdict import verify
from prorl.rewards.science.markup import plain

MAX_EXPRESSION_CHARS = 400

_OPERATORS = re.compile(r"\\[A-Za-z]+|[=^_+*/<>√∞]|\d\s*[A-Za-zα-ω]|[A-Za-z)]\s*-|-\s*[A-Za-z(]|\[.*,.*\]|\(.*,.*\)")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4,}")
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|operatorname|mathbf|mathit|textbf)\s*\{([^{}]*)\}")
_FUNCTIONS = {
    "sinh", "cosh", "tanh", "sqrt", "frac", "arcsin", "arccos", "arctan", "infty", "theta", "alpha", "beta", "gamma",
    "delta", "lambda", "omega", "sigma", "times", "cdot",
}  # fmt: skip
_VALUE = re.compile(r"\s*\$?\s*[+-]?\w{1,20}(?:\.\d{1,20})?\s*\$?\s*")
_SIGN_OF_CONTENT = re.compile(r"\w")
_LEFT_SIDE = re.compile(r"\s*(?:\\?[A-Za-z]+|[α-ωΑ-Ω])(?:_\s*(?:\{[^{}]*\}|\w))?(?:\([^()=]{0,20}\))?\s*=(?!.*=)")


def is_expression(text: str) -> bool:
    """Whether a text, LaTeX or plain, looks like mathematics and holds no words."""
    if len(text) > MAX_EXPRESSION_CHARS or not _OPERATORS.search(text):
        return False
    words = _WORD.findall(_TEXT_COMMAND.sub(r" \1 ", text))
    return all(word in _FUNCTIONS for word in words)


def same_expression(gold: str, answer: str) -> bool:
    """Whether the math verifier takes the answer for equal; the names on the left of `=` are no part of it."""
    if not is_expression(answer) and not _VALUE.fullmatch(answer):
        return False
    if not _SIGN_OF_CONTENT.search(plain(answer)):
        return False
    prompt = Prompt(id="", domain="math", task="", content="", answer=_right_side(gold))
    return verify(prompt, f"\\boxed{{{_right_side(answer)}}}").value == 1.0


def _right_side(text: str) -> str:
    text = text.replace(r"\varepsilon", r"\epsilon").strip().strip("$").strip()
    match = _LEFT_SIDE.match(text)
    return text[match.end() :].strip() if match else text
