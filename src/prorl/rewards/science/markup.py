r"""Stage 3, rewards: the plain form of a short answer that is written in LaTeX, Markdown or Unicode.

`5.0\times10^{-3}\,\mathrm{m\,s^{-1}}` becomes `5.0×10^(-3) m s^(-1)`. It rewrites notation; it reads no meaning and
compares nothing. Linear time.
"""

import re
import unicodedata

from prorl.rewards.science.unit_names import PREFIX_WORDS, WORDS_WITH_PREFIX

MAX_ANSWER_CHARS = 1000
"""Longer answers are no short answers: nothing here is called with them."""

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼", "0123456789+-=")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-")
_SUPERSCRIPT_RUN = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_SUBSCRIPT_RUN = re.compile(r"[₀₁₂₃₄₅₆₇₈₉₊₋]+")
_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "‑": "-", "‐": "-", "⁄": "/", "∙": "·", "⋅": "·", "•": "·", "∗": "*", "µ": "μ",
        "’": "'", "‘": "'", "“": '"', "”": '"', "′": "'", "″": '"', "∼": "≈", "~": " ", "º": "°", "˚": "°", "∆": "Δ",
        "→": "->", "⟶": "->", "⇌": "<->", "⇋": "<->", "↔": "<->", "&": " ", "`": None, "$": None, "\x01": None,
        "∶": ":", "\x02": None, "\u200b": None, "\u200c": None, "\u200d": None, "\ufeff": None, "\u00ad": None,
    }
)  # fmt: skip
_NAMED = {
    "times": "×", "cdot": "·", "bullet": "·", "ast": "*", "div": "/", "per": "/", "pm": "±", "approx": "≈", "sim": "≈",
    "simeq": "≈", "cong": "≈", "circ": "°", "degree": "°", "celsius": "°C", "mu": "μ", "Omega": "Ω",
    "angstrom": "Å", "AA": "Å", "pi": "π", "sqrt": "√", "Delta": "Δ", "frac": "\x01", "dfrac": "\x01",
    "tfrac": "\x01", "cfrac": "\x01", "le": "≤", "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥",
    "lt": "<", "gt": ">", "rightarrow": "->", "to": "->", "longrightarrow": "->", "xrightarrow": "->", "implies": "->",
    "Rightarrow": "->", "rightleftharpoons": "<->", "leftrightarrow": "<->", "xrightleftharpoons": "<->", "prime": "'",
    "equilibrium": "<->", "permil": "‰", "percent": "%", "infty": "∞", "alpha": "α", "beta": "β", "gamma": "γ",
    "lambda": "λ", "sigma": "σ", "ell": "ℓ", "colon": ":", "ldots": "...", "dots": "...", "cdots": "...",
    "epsilon": "ε", "varepsilon": "ε",
}  # fmt: skip
_DROPPED_NAMES = (
    "text textbf textit textrm texttt textsf textnormal mathrm mathbf mathit mathsf mathtt mathbb mathcal boldsymbol "
    "bm emph operatorname mbox hbox ce cf unit si SI qty num pu left right big Big bigg Bigg bigl bigr Bigl Bigr rm bf "
    "it displaystyle textstyle limits nolimits boxed fbox underline ensuremath mathring overset underset"
)
_DROPPED = frozenset(_DROPPED_NAMES.split())
_UNIT_WORDS = WORDS_WITH_PREFIX.keys() - {"bar", "base", "molar"} | {"hour", "minute", "day", "squared", "cubed"}
"""Commands of siunitx."""
_SPACES = {"quad", "qquad", "space", "thinspace", "nobreakspace", "enspace", "hspace", "newline"}
_SYMBOLS = {"%": "%", "#": "#", "$": "", "_": "_", "&": " ", "{": "", "}": "", "!": ""}
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_FRACTION_OF_TWO = re.compile(r"\x01\s*(\w)\s*(?:(\w)|(?=\{))")
_RAISED_DEGREE = re.compile(r"\^\s*(?:\(\s*°\s*\)|°)")
_BOLD = re.compile(r"\*\*|__")
_OPENING = {"^": ("(", ")"), "_": ("(", ")"), "√": ("(", ")"), "\x01": ("((", ")/\x02"), "\x02": ("(", "))")}
"""What a group becomes after each of these: an exponent, an index, a root, a numerator, a denominator."""


def plain(text: str) -> str:
    """The text in plain Unicode: symbols for commands, parentheses for groups that matter, single spaces."""
    text = _SUPERSCRIPT_RUN.sub(lambda match: f"^{{{match.group().translate(_SUPERSCRIPTS)}}}", text)
    text = _SUBSCRIPT_RUN.sub(lambda match: f"_{{{match.group().translate(_SUBSCRIPTS)}}}", text)
    # Twice: compatibility forms turn into characters of the table and the other way round.
    text = unicodedata.normalize("NFKC", text.translate(_CHARACTERS)).translate(_CHARACTERS)
    text = _COMMAND.sub(_command, _BOLD.sub("", text.replace("{,}", ",")))
    text = _FRACTION_OF_TWO.sub(lambda match: f"\x01{{{match[1]}}}" + (f"{{{match[2]}}}" if match[2] else ""), text)
    text = _RAISED_DEGREE.sub("°", _without_groups(text))
    text = " ".join(text.split())
    return text.replace("° ", "°") if "° C" in text or "° F" in text else text


def bare(text: str) -> str:
    """The plain form without spaces: equal for answers that differ in layout alone."""
    return plain(text).replace(" ", "").rstrip(".")


def _command(match: re.Match[str]) -> str:
    name = match[1]
    if name in _DROPPED:
        return ""
    if name in _SPACES or not name.isalnum():
        return _SYMBOLS.get(name, "" if name in "()[]" else " ")
    if name in PREFIX_WORDS or name in _UNIT_WORDS:
        return name if name in PREFIX_WORDS else f"{name} "
    return _NAMED.get(name, match[0])


def _without_groups(text: str) -> str:
    """Braces become parentheses where they group an exponent, index, root or fraction, and vanish elsewhere."""
    pieces: list[str] = []
    closing: list[str] = []
    for character in text:
        if character == "{":
            last = _last_mark(pieces)
            before, after = _OPENING.get(last, ("", ""))
            if last in ("\x01", "\x02"):
                pieces.pop()
            pieces.append(before)
            closing.append(after)
        elif character == "}":
            after = closing.pop() if closing else ""
            pieces.extend((after[:-1], after[-1]) if after else ())
        elif not (character.isspace() and _last_mark(pieces) in ("\x01", "\x02")):
            pieces.append(character)
    return "".join(pieces).replace("\x01", "").replace("\x02", "")


def _last_mark(pieces: list[str]) -> str:
    return pieces[-1] if pieces else ""
