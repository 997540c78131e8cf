r"""Stage 3, rewards: compares chemical formulas and reaction equations: `\ce{H2SO4}`, `SO4^{2-}`, `2H2 + O2 -> 2H2O`.

Two formulas are equal when their text is, apart from notation and states of matter. A formula in which no element
occurs twice (a molecular formula, `NaCl`, `CO2`) is also equal to any with the same atoms and charge; where one does
(`CH3CH2OH`), the order of atoms is structure, and it counts. It knows no names of substances.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

MAX_FORMULA_CHARS = 200
MAX_DEPTH = 6
MAX_COUNT = 100_000

_ELEMENT_NAMES = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb "
    "Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au "
    "Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts "
    "Og D T"
)
ELEMENTS = frozenset(_ELEMENT_NAMES.split())
_WORDS = {"No", "no", "In", "As", "At", "I", "Be", "He"}
"""Elements that are English words: read as words unless more stands there."""
_STATE = re.compile(r"\((?:aq|s|l|g|cr|sol)\)", re.IGNORECASE)
_CHARGE = re.compile(r"\^\(?([0-9]{0,2})([+-]{1,4})\)?$|\^\(?([+-])([0-9]{1,2})\)?$")
_PLAIN_CHARGE = re.compile(r"([+-]{1,4})$")
_COEFFICIENT = re.compile(r"(\d{1,4}(?:/[1-9]\d{0,2})?|\(\(\d{1,3}\)/\([1-9]\d{0,2}\)\))(?=[A-Z(\[^e])")
_ISOTOPE = re.compile(r"(?:\^\(?(\d{1,3})\)?(?:_\(?\d{1,3}\)?)?|_\(?\d{1,3}\)?\^\(?(\d{1,3})\)?)(?=[A-Z])")
_ISOTOPE_BEHIND = re.compile(r"([A-Z][a-z]?)-(\d{1,3})")
_TOKEN = re.compile(r"([A-Z][a-z]?)|([(\[])|([)\]])|(\d{1,6})|([-=≡·.*])")
_ELECTRON = re.compile(r"e(?:\^\(?-\)?|-)")
_HYBRID = re.compile(r"sp[23]?(?:d[23]?)?")
_CONFIGURATION = re.compile(r"(\[[A-Z][a-z]\])?((?:\d[spdfg]\d{1,2})+)")
_SUBSHELL = re.compile(r"\d[spdfg]\d{1,2}?(?=\d[spdfg]|$)")
_ARROW = re.compile(r"\s*(?:<=>|<->|-{1,3}>|=>|⇒)\s*(?:\[[^\]]{0,40}\]\s*)*")
_PLUS = re.compile(r"(?<![\^(])\s*\+\s*(?=[\dA-Z(\[^e])")


@dataclass(frozen=True, slots=True)
class Formula:
    """One species."""

    body: str
    """Without notation for indices; mass numbers in brackets."""
    flat: str
    """Body and charge as one string, for a text that does not say which digits are the charge."""
    atoms: tuple[tuple[str, int], ...]
    charge: int | None
    """None where the notation leaves it open."""
    has_repeats: bool
    """An element occurs in two places: the order is structure."""

    def equals(self, other: "Formula") -> bool:
        if self.charge is None or other.charge is None:
            return self.flat == other.flat
        if self.charge != other.charge:
            return False
        return self.body == other.body or (not self.has_repeats and self.atoms == other.atoms)


@dataclass(frozen=True, slots=True)
class Reaction:
    """Both sides as coefficients of species; coefficients in lowest whole numbers."""

    left: tuple[tuple[Fraction, Formula], ...]
    right: tuple[tuple[Fraction, Formula], ...]

    def equals(self, other: "Reaction") -> bool:
        return _same_side(self.left, other.left) and _same_side(self.right, other.right)


def read_formula(text: str) -> Formula | None:
    """The formula of a plain text; None where it is none, or may as well be a word or a symbol."""
    formula = _formula(text)
    if formula is None or (len(text.strip()) < 3 and text.strip() in _WORDS):
        return None
    symbols = sum(1 for character in formula.body if character.isupper())
    has_marks = any(character.isdigit() for character in formula.body) or formula.charge != 0
    return formula if has_marks or symbols > 1 or text.strip() in ELEMENTS else None


def read_reaction(text: str) -> Reaction | None:
    """The reaction of a plain text with one arrow; None where it is none."""
    text = text.strip()[: MAX_FORMULA_CHARS + 1]
    sides = _ARROW.split(text) if len(text) <= MAX_FORMULA_CHARS else []
    if len(sides) == 1 and "+" in text:
        sides = text.split("=")
    if len(sides) != 2:
        return None
    left, right = (_side(side) for side in sides)
    if left is None or right is None:
        return None
    coefficients = [number for number, _ in (*left, *right)]
    unit = Fraction(
        math.gcd(*(number.numerator for number in coefficients)),
        math.lcm(*(number.denominator for number in coefficients)),
    )
    return Reaction(_divided(left, unit), _divided(right, unit))


def read_configuration(text: str) -> tuple[str, ...] | None:
    """Core and subshells of `[Ar] 3d^5 4s^1`, in any order, or a hybrid such as `sp^3`; None where it is neither."""
    if len(text) > MAX_FORMULA_CHARS:
        return None
    compact = re.sub(r"[\s^()]", "", text)
    if _HYBRID.fullmatch(compact):
        return (compact,)
    match = _CONFIGURATION.fullmatch(compact)
    return tuple(sorted([match[1] or "", *_SUBSHELL.findall(match[2])])) if match else None


def _divided(side: list[tuple[Fraction, Formula]], unit: Fraction) -> tuple[tuple[Fraction, Formula], ...]:
    return tuple((number / unit, formula) for number, formula in side)


def _same_side(left: tuple[tuple[Fraction, Formula], ...], right: tuple[tuple[Fraction, Formula], ...]) -> bool:
    """Equal as multisets."""
    rest = list(right)
    for number, formula in left:
        match = next((item for item in rest if item[0] == number and formula.equals(item[1])), None)
        if match is None:
            return False
        rest.remove(match)
    return not rest


def _side(text: str) -> list[tuple[Fraction, Formula]] | None:
    species: list[tuple[Fraction, Formula]] = []
    for part in _PLUS.split(text.strip()):
        compact = part.replace(" ", "")
        match = _COEFFICIENT.match(compact)
        number = Fraction(match[1].replace("(", "").replace(")", "")) if match else Fraction(1)
        formula = _formula(compact[match.end() :] if match else compact)
        if formula is None or not number:
            return None
        species.append((number, formula))
    return species


def _formula(text: str) -> Formula | None:
    text = _STATE.sub("", text.replace(" ", ""))
    if not 0 < len(text) <= MAX_FORMULA_CHARS:
        return None
    if _ELECTRON.fullmatch(text):
        return Formula("e", "e-", (("e", 1),), -1, False)
    text = _ISOTOPE_BEHIND.sub(r"^\2\1", text) if _ISOTOPE_BEHIND.fullmatch(text) else text
    charge: int | None
    text, charge = _without_charge(text)
    body = _ISOTOPE.sub(lambda match: f"\x00{match[1] or match[2]}\x00", text)
    body = re.sub(r"_\((\d{1,6})\)|_(\d{1,6})", r"\1\2", body)
    if "^" in body or "_" in body:
        return None
    plain_charge = _PLAIN_CHARGE.search(body)
    if charge == 0 and plain_charge is not None:
        charge, body = _open_charge(body, plain_charge)
    atoms = _atoms(re.sub("\x00[^\x00]*\x00", "", body))
    if atoms is None:
        return None
    counts, has_repeats = atoms
    body = (
        re.sub(r"[-·.*]", lambda match: "" if match.group() == "-" else "·", body).replace("[", "(").replace("]", ")")
    )
    flat = body + (_charge_text(charge) if charge is not None else plain_charge[1] if plain_charge else "")
    return Formula(body, flat, tuple(sorted(counts.items())), charge, has_repeats or "\x00" in body)


def _without_charge(text: str) -> tuple[str, int]:
    """Split off a raised charge: `^(2-)`, `^-`, `^(+3)`, `^(++)`."""
    match = _CHARGE.search(text)
    if match is None:
        return text, 0
    if match[3]:
        return text[: match.start()], int(match[3] + match[4])
    signs = match[2]
    if len(set(signs)) > 1 or (match[1] and len(signs) > 1):
        return text, 0
    size = int(match[1]) if match[1] else len(signs)
    return text[: match.start()], size if signs[0] == "+" else -size


def _open_charge(body: str, match: re.Match[str]) -> tuple[int | None, str]:
    """A charge on the line: `Na+` and `NH4+` are clear, `SO42-` is not."""
    signs, rest = match[1], body[: match.start()]
    size = len(signs) if signs[0] == "+" else -len(signs)
    alone = re.fullmatch(r"([A-Z][a-z]?)(\d)", rest)
    if alone and len(signs) == 1:  # `Fe3+`
        return (int(alone[2]) if signs == "+" else -int(alone[2])), alone[1]
    if rest[-1:].isdigit() and rest != "NH4":
        return None, rest
    return size, rest


def _charge_text(charge: int) -> str:
    if not charge:
        return ""
    return (str(abs(charge)) if abs(charge) > 1 else "") + ("+" if charge > 0 else "-")


def _atoms(text: str) -> tuple[Counter[str], bool] | None:
    """Number of each element, and whether one occurs in two places."""
    stack: list[Counter[str]] = [Counter()]
    seen: Counter[str] = Counter()
    last: Counter[str] = Counter()
    scale, position = 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        position = match.end()
        symbol, opening, closing, digits, bond = match.groups()
        if symbol and symbol not in ELEMENTS and symbol[0] in ELEMENTS:
            symbol, position = symbol[0], position - 1
        last = _step(stack, last, (symbol, opening, closing, digits), scale)
        if len(stack) > MAX_DEPTH or not stack:
            return None
        seen[symbol or ""] += 1
        if bond and bond in "·.*":  # a hydrate: what follows is multiplied
            number = re.match(r"\d{1,3}", text[position:])
            scale = int(number.group()) if number else 1
            position += number.end() if number else 0
        if last.get("", 0) or max(last.values(), default=0) > MAX_COUNT:
            return None
    del seen[""]
    if len(stack) != 1 or not stack[0]:
        return None
    return stack[0], max(seen.values()) > 1


def _step(
    stack: list[Counter[str]],
    last: Counter[str],
    token: tuple[str | None, str | None, str | None, str | None],
    scale: int,
) -> Counter[str]:
    """Apply one token to the open groups; returns what a number behind it multiplies; the key "" marks an error."""
    symbol, opening, closing, digits = token
    if symbol:
        if symbol not in ELEMENTS:
            return Counter({"": 1})
        last = Counter({symbol: scale})
        stack[-1].update(last)
        return last
    if opening:
        stack.append(Counter())
        return Counter()
    if closing:
        if len(stack) < 2:
            return Counter({"": 1})
        last = stack.pop()
        stack[-1].update(last)
        return last
    if digits:
        if not last or not int(digits):
            return Counter({"": 1})
        stack[-1].update({name: count * (int(digits) - 1) for name, count in last.items()})
        return Counter()
    return Counter()
