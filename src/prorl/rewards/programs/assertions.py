"""Stage 3, rewards: assert statements as the source of an examiner. Parses the data's statements; runs none.

The examiner runs in a sandbox apart from the program's. How many statements held comes back in the message of an
exception beside a secret that the program never sees, so that no program can write such a message itself.
"""

import ast
import builtins
import re
from collections.abc import Sequence

_EXAMINER = """\
import math

CASES = {cases!r}


def check(candidate):
    passed = 0
    for case in CASES:
        try:
            exec(case, {{"__name__": "case", "math": math, {name!r}: candidate}})
        except BaseException:
            continue
        passed += 1
    if passed < len(CASES):
        raise AssertionError("{secret} " + str(passed))
"""
_NUMPY = """\
def _stand_in_for_numpy():
    import sys
    import types

    def shape(value):
        if not isinstance(value, (list, tuple)):
            return ()
        shapes = {shape(item) for item in value}
        assert len(shapes) <= 1
        return (len(value), *(shapes.pop() if shapes else ()))

    def flat(value):
        if not isinstance(value, (list, tuple)):
            return [float(value)]
        return [number for item in value for number in flat(item)]

    def allclose(actual, desired, rtol=1e-05, atol=1e-08):
        assert shape(actual) == shape(desired)
        return all(
            one == two or (one != one and two != two) or abs(one - two) <= atol + rtol * abs(two) < float("inf")
            for one, two in zip(flat(actual), flat(desired))
        )

    def assert_allclose(actual, desired, rtol=1e-07, atol=0):
        assert allclose(actual, desired, rtol, atol)

    numpy = types.ModuleType("numpy")
    kinds = {name: type(name, (), {}) for name in ("ndarray", "float32", "float64")}
    numpy.__dict__.update(kinds, testing=types.SimpleNamespace(assert_allclose=assert_allclose), allclose=allclose)
    sys.modules["numpy"] = numpy


_stand_in_for_numpy()
"""
_NUMPY_NAMES = {"ndarray", "float32", "float64", "testing", "allclose"}


def with_numpy_stand_in(source: str) -> str:
    """The examiner, with the few functions of numpy that the tests of EvalPlus use, where it uses no others.

    The sandbox's interpreter may have no numpy, and importing it costs more than the tests.
    """
    tree = parsed(source, "`test`")
    imported = [alias for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    aliases = {alias.asname or alias.name for alias in imported if alias.name == "numpy"}
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases
    }
    return _NUMPY + source if aliases and used <= _NUMPY_NAMES else source


def examiner_source(statements: Sequence[str], entry_point: str, secret: str) -> str:
    """Source that defines `check(candidate)`, which counts the statements that hold."""
    return _EXAMINER.format(cases=list(statements), name=entry_point, secret=secret)


def num_passed(detail: str, secret: str) -> int:
    """Statements that held, from the message of the examiner's exception; 0 where it is not the examiner's."""
    found = re.search(rf"{secret} (\d+)", detail)
    return int(found[1]) if found else 0


def called_function(statements: Sequence[str]) -> str:
    """The one function, not a built-in, that every statement calls. ValueError: there is none, or several."""
    names: set[str] | None = None
    for statement in statements:
        called = {
            node.func.id
            for node in ast.walk(parsed(statement, "an assert statement"))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        names = called if names is None else names & called
    names = (names or set()) - vars(builtins).keys()
    if len(names) != 1:
        raise ValueError(f"the assert statements call {len(names)} functions in common: give `entry_point`")
    return names.pop()


def parsed(source: str, name: str) -> ast.Module:
    """ValueError: it is not Python."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{name} is not Python ({type(error).__name__})") from None
