"""Stage 3, rewards: the characters of a mathematical answer, LaTeX or plain, as tokens. Knows no grammar.

Every token comes from a fixed set of shapes: nothing else of the text is passed on. Lengths are limited here.
"""

import re
import unicodedata
from dataclasses import dataclass

from prorl.rewards.mathematics.nodes import Refused, Unreadable
from prorl.rewards.mathematics.units import is_unit

MAX_CHARACTERS = 1000
MAX_DIGITS = 300
MAX_DEPTH = 50
MAX_TOKENS = 500

_UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∗": "*", "÷": "/",
    "π": r"\pi ", "√": r"\sqrt ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ",
    "∩": r"\cap ", "∈": r"\in ", "°": r"^\circ ", "±": r"\pm ", "∓": r"\mp ", "≈": r"\approx ", "∅": r"\emptyset ",
    "ℝ": r"\mathbb{R}", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ",
    "μ": r"\mu ", "σ": r"\sigma ", "φ": r"\phi ", "ω": r"\omega ", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "²": "^{2}", "³": "^{3}", "⁻¹": "^{-1}",
    "€": r"\text{ euros}", "£": r"\text{ pounds}", "∖": r"\setminus ", "′": "'", "∣": "|", "“": "", "”": "",
}  # fmt: skip
_TEXT = r"text|textbf|textit|textrm|textnormal|textsf|texttt|mathrm|mathsf|mbox|hbox|operatorname|operatorname\*"
_SPACE = (
    r"\s+|~|\\[ ,;:!>]|\\(?:quad|qquad|displaystyle|textstyle|limits|left|right|middle|big|Big|bigg|Bigg|bigl|bigr|Bigl"
    r"|Bigr|biggl|biggr|thinspace|enspace|allowbreak|nonumber|hspace\{[^{}]*\}|phantom\{[^{}]*\})(?![A-Za-z])"
)
_GROUPS = r"[1-9][0-9]{0,2}(?:(?:%s)[0-9]{3})+(?![0-9])"
_ALWAYS = r"\{,\}|,\\!|\\,|\\;|\\ |~| "


def _pattern(separators: str) -> re.Pattern[str]:
    whole = rf"(?:{_GROUPS % separators}|[0-9]+)"
    return re.compile(
        rf"(?P<space>{_SPACE})"
        rf"|\\(?:{_TEXT})\s*\{{(?P<text>[^{{}}]*)\}}"
        rf"|(?P<number>(?:{whole}(?:\.[0-9]+|\.(?=\\overline|\\dot|\\bar)|\.(?![0-9.]))?|\.[0-9]+)"
        r"(?:[eE][+-]?[0-9]{1,3}(?![0-9A-Za-z.]))?)"
        r"|(?P<command>\\(?:[A-Za-z]+|[{}|%$&#\\]))"
        r"|(?P<word>[A-Za-z]+)"
        r"|(?P<mark>[-+*/^_=<>()\[\]{}|,;:.!%'&$])"
    )


_JOINED, _SPLIT = _pattern(_ALWAYS + "|,"), _pattern(_ALWAYS)
_WORDY_NUMBER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*[0-9][^{}]*)\}")
_WHOLE_BOX = re.compile(r"\\boxed\s*\{(.*)\}", re.DOTALL)
_AMBIGUOUS = re.compile(r"[0-9],[0-9]{3}(?![0-9])")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{(array|aligned|cases)\}(?:\{[^{}]*\})?")
_ROW_GAP = re.compile(r"\\\\\s{0,3}\[[0-9.]{1,5} ?(?:pt|em|ex|mm|cm)\]")
_CHOOSE = re.compile(r"\{\s{0,3}([A-Za-z0-9]{1,20})\s{0,3}\\choose\s{0,3}([A-Za-z0-9]{1,20})\s{0,3}\}")
_RATIO_WORD = re.compile(r"(?<=[0-9])\s{0,3}(?:\\text\{ {0,3}to {0,3}\}|\bto\b)\s{0,3}(?=[0-9])")
_UNIT_FRACTION = re.compile(
    r"\\[dt]?frac\{\\(?:text|mathrm)\{([A-Za-z]{1,20})\}\}\{\\(?:text|mathrm)\{([A-Za-z]{1,20})\}\}"
)
_ABOUT = re.compile(r"\\(?:approx|sim)(?![A-Za-z])\s*")
_COMMAND_ALIASES = {r"\varphi": r"\phi", r"\varepsilon": r"\epsilon", r"\lbrace": r"\{", r"\rbrace": r"\}"}
WORDS = {
    "pi", "theta", "alpha", "beta", "sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan",
    "sinh", "cosh", "tanh", "log", "ln", "lg", "exp", "abs", "infty", "infinity", "inf", "oo", "lcm", "gcd", "max",
    "min", "floor", "ceil", "binom",
}  # fmt: skip
OPENING, CLOSING = ("{", "(", "[", r"\{"), ("}", ")", "]", r"\}")
CONNECTORS = {"or", "and"}
_ALIASES = {"infinity": "infty", "inf": "infty", "oo": "infty"}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is number, command, letter, text or mark."""

    kind: str
    text: str


def clean(text: str) -> str:
    """ASCII notation without invisible characters, math delimiters and a closing full stop. Raises Refused."""
    if len(text) > MAX_CHARACTERS:
        raise Refused(f"the answer is longer than {MAX_CHARACTERS} characters")
    text = "".join(_ascii(char) for char in text if unicodedata.category(char) != "Cf").strip()
    text = text.replace("**", "^") if re.search(r"[0-9a-z)]\*\*[0-9a-z(]", text) else text.strip("*")
    text = _ROW_GAP.sub(r"\\\\ ", text)
    for opening, closing in ((r"\(", r"\)"), (r"\[", r"\]")):
        text = text.replace(opening, " ").replace(closing, " ")
    dollars = re.findall(r"(?<!\\)\$", text)
    if len(dollars) % 2 == 0:
        text = re.sub(r"(?<!\\)\$", " ", text)
    text = _other_notation(_WORDY_NUMBER.sub(r" \1 ", text).strip())
    while (box := _WHOLE_BOX.fullmatch(text)) is not None:
        text = box.group(1).strip()
    return text[:-1].rstrip() if text.endswith(".") and not text.endswith("..") else text


def _other_notation(text: str) -> str:
    """Notations with a second form, in the form that the reader knows."""
    text = _CHOOSE.sub(r"\\binom{\1}{\2}", text)
    text = _UNIT_FRACTION.sub(lambda m: rf"\text{{{m[1]}/{m[2]}}}" if is_unit(m[1]) and is_unit(m[2]) else m[0], text)
    text = _RATIO_WORD.sub(":", text)
    return text[match.end() :] if (match := _ABOUT.match(text)) else text


def ambiguous(text: str) -> bool:
    """Whether a comma before three digits may also separate two numbers."""
    return _AMBIGUOUS.search(text) is not None


def tokenize(text: str, *, join_thousands: bool) -> list[Token]:
    """Tokens of cleaned text. Raises Refused for one over the limits, Unreadable for a character of no token."""
    text = _ENVIRONMENT.sub("", text) if "cases" in text or "aligned" in text else text
    tokens: list[Token] = []
    position = depth = brackets = 0
    while position < len(text):
        match = (_JOINED if join_thousands and not brackets else _SPLIT).match(text, position)
        if match is None:
            raise Unreadable(f"character {text[position]!r}")
        position = match.end()
        kind, content = match.lastgroup, match[match.lastgroup or 0]
        content = _COMMAND_ALIASES.get(content, content)
        if kind == "word":
            tokens += _split_word(content, tokens)
        elif kind != "space":
            tokens.append(Token(str(kind), content if kind != "number" else _number(content)))
            step = (content in OPENING) - (content in CLOSING)
            depth += step
            brackets += step * (content not in "{}")
        if depth > MAX_DEPTH or len(tokens) > MAX_TOKENS:
            raise Refused("the answer is too deep or too long")
    return tokens


def _ascii(char: str) -> str:
    if char in _UNICODE:
        return _UNICODE[char]
    return unicodedata.normalize("NFKC", char) if "！" <= char <= "～" else char


def _number(literal: str) -> str:
    plain = re.sub(r"[^0-9.eE+-]", "", literal)
    if len(plain) > MAX_DIGITS:
        raise Refused(f"a number has more than {MAX_DIGITS} digits")
    exponent = plain.lower().partition("e")[2]
    if exponent and abs(int(exponent)) > MAX_DIGITS:
        raise Refused(f"a power of ten is over {MAX_DIGITS}")
    return plain


def _split_word(word: str, before: list[Token]) -> list[Token]:
    """A function, a unit after a number, a word of prose, or a product of variables."""
    after_number = bool(before) and (before[-1].kind == "number" or before[-1].text in (")", "}", "]"))
    if word in WORDS and not (after_number and is_unit(word)):
        return [Token("command", "\\" + _ALIASES.get(word, word))]
    if word in CONNECTORS or (after_number and len(word) > 1 and is_unit(word)) or len(word) > 3:
        return [Token("text", word)]
    for name in ("pi", "sqrt"):
        if name in word and word != name:
            head, _, tail = word.partition(name)
            return [*_letters(head), Token("command", "\\" + name), *_letters(tail)]
    return _letters(word)


def _letters(word: str) -> list[Token]:
    return [Token("letter", char) for char in word]
