"""Stage 3, rewards: the LaTeX commands that mathematical answers are made of, by what they stand for. Tables only."""

FUNCTIONS = {
    r"\sin", r"\cos", r"\tan", r"\cot", r"\sec", r"\csc", r"\arcsin", r"\arccos", r"\arctan", r"\sinh", r"\cosh",
    r"\tanh", r"\log", r"\ln", r"\lg", r"\exp", r"\abs", r"\lcm", r"\gcd", r"\max", r"\min", r"\floor", r"\ceil",
}  # fmt: skip
INVERSES = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}
FRACTIONS = (r"\frac", r"\dfrac", r"\tfrac", r"\cfrac")
BINOMIALS = (r"\binom", r"\dbinom", r"\tbinom")
CONSTANTS = {r"\pi": "pi", "e": "e", "i": "i", r"\imath": "i"}
EMPTY_NAMES = (r"\emptyset", r"\varnothing")
GREEK = {
    r"\alpha", r"\beta", r"\gamma", r"\delta", r"\epsilon", r"\varepsilon", r"\zeta", r"\eta", r"\theta", r"\vartheta",
    r"\iota", r"\kappa", r"\lambda", r"\mu", r"\nu", r"\xi", r"\rho", r"\sigma", r"\tau", r"\phi", r"\varphi", r"\chi",
    r"\psi", r"\omega", r"\Gamma", r"\Delta", r"\Theta", r"\Lambda", r"\Xi", r"\Pi", r"\Sigma", r"\Phi", r"\Psi",
    r"\Omega", r"\ell", r"\hbar",
}  # fmt: skip
WRAPPERS = (
    r"\mathbf", r"\mathit", r"\boldsymbol", r"\bm", r"\boxed", r"\fbox", r"\mathnormal", r"\mathcal", r"\ensuremath",
)  # fmt: skip
ACCENTS = (r"\overline", r"\bar", r"\vec", r"\hat", r"\overrightarrow", r"\widehat", r"\tilde", r"\underline", r"\dot")
CLOSERS = {"(": ")]", "[": ")]"}
FLOORS = {r"\lfloor": (r"\rfloor", "floor"), r"\lceil": (r"\rceil", "ceil")}
BASES = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
BARS = ("|", r"\vert", r"\lvert", r"\rvert", r"\|", r"\mid")


MATRICES = ("pmatrix", "bmatrix", "matrix", "vmatrix", "Bmatrix", "smallmatrix", "array")
STARTERS = {
    "(", "[", "{", r"\sqrt", *FRACTIONS, *BINOMIALS, *FUNCTIONS, *GREEK, *CONSTANTS, *WRAPPERS, *ACCENTS, *FLOORS,
    r"\angle", r"\measuredangle",
}  # fmt: skip
"""Commands and marks that begin a factor."""
