"""Stage 3, rewards: whether what a program printed or returned is what was expected. Bounded, whatever was printed.

Printed text is compared line by line, blank lines and the amount of white space apart. Only a number that is expected
with a decimal point or an exponent has a tolerance, so `1`, `1.0` and `True` stay three answers. Returned values are
compared by type and value, as the JSON of the tests can say it: a tuple is a list, keys are texts.
"""

import math
import re

TOLERANCE = 1e-6
"""Relative to the expected number."""
PRINTED_TOLERANCE = 1e-6
"""Absolute, where that is more: what contest judges usually state, for what is expected was rounded in print."""
RETURNED_TOLERANCE = 1e-12
"""Absolute, for sums that should be 0."""
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?")
_INTEGER = re.compile(r"[-+]?[0-9]+")
MAX_NUMBER_CHARACTERS = 400


def same_text(expected: str, printed: str) -> bool:
    """Compare standard output."""
    if expected == printed:
        return True
    lines, printed_lines = _lines(expected), _lines(printed)
    return len(lines) == len(printed_lines) and all(map(_same_line, lines, printed_lines))


def _lines(text: str) -> list[str]:
    return [line for line in text.replace("\r\n", "\n").split("\n") if not line.isspace() and line]


def _same_line(expected: str, printed: str) -> bool:
    if expected == printed:
        return True
    tokens, printed_tokens = expected.split(), printed.split()
    return len(tokens) == len(printed_tokens) and all(map(_same_token, tokens, printed_tokens))


def _same_token(expected: str, printed: str) -> bool:
    if expected == printed:
        return True
    if len(expected) > MAX_NUMBER_CHARACTERS or len(printed) > MAX_NUMBER_CHARACTERS:
        return False
    if not _NUMBER.fullmatch(expected) or _INTEGER.fullmatch(expected) or not _NUMBER.fullmatch(printed):
        return False
    number = float(expected)
    return math.isfinite(number) and _close(number, float(printed), PRINTED_TOLERANCE)


def _close(expected: float, given: float, absolute: float) -> bool:
    if expected == given or (math.isnan(expected) and math.isnan(given)):
        return True
    if not (math.isfinite(expected) and math.isfinite(given)):
        return False
    return abs(expected - given) <= max(absolute, TOLERANCE * abs(expected))


def same_value(expected: object, returned: object) -> bool:
    """Compare a returned value. Works without recursion, for both may be nested as deep as memory allows."""
    pending = [(expected, returned)]
    while pending:
        one, other = pending.pop()
        if isinstance(one, list | tuple):
            if not isinstance(other, list | tuple) or len(one) != len(other):
                return False
            pending.extend(zip(one, other, strict=True))
        elif isinstance(one, dict):
            named = _named(other) if isinstance(other, dict) else None
            if named is None or named.keys() != one.keys():
                return False
            pending.extend((value, named[key]) for key, value in one.items())
        elif not _same_scalar(one, other):
            return False
    return True


def _named(returned: dict[object, object]) -> dict[str, object] | None:
    """With the keys that JSON gives it; None where two become one, or a key has none."""
    named: dict[str, object] = {}
    for key, value in returned.items():
        name = _key(key)
        if name is None or name in named:
            return None
        named[name] = value
    return named


def _key(key: object) -> str | None:
    if isinstance(key, str):
        return key
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    if isinstance(key, int):
        try:
            return str(key)
        except ValueError:  # more digits than Python writes
            return None
    return repr(key) if isinstance(key, float) else None


def _same_scalar(expected: object, returned: object) -> bool:
    """A whole number may be a float that equals it exactly; a truth value is no number."""
    if isinstance(expected, bool) or isinstance(returned, bool):
        return expected is returned
    if isinstance(expected, float) and isinstance(returned, int | float):
        try:
            return _close(expected, float(returned), RETURNED_TOLERANCE)
        except OverflowError:
            return False
    if isinstance(expected, int) and isinstance(returned, int | float):
        return expected == returned
    return type(expected) is type(returned) and isinstance(expected, str | None) and expected == returned
