"""Stage 3, rewards: the tests of a programming problem, read from the answer of its row. Runs nothing.

The forms, as JSON text:

- `{"inputs": [...], "outputs": [...]}`: standard input and output, texts or (nested) lists of lines.
- The same with `fn_name`: calls. An input is text with one JSON value a line for each argument, or a list of arguments;
  an output is JSON text or a value, in some rows inside a list of one.
- `[{"input", "output", "testtype"}, ...]`: one of the two, with `metadata.func_name` for calls.
- `{"test": ..., "entry_point": ...}`: source that defines `check(candidate)`.
- `{"assert_case": [...], "entry_point"?: ...}` or a list of texts: assert statements.
"""

import ast
import json
import keyword
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from prorl.records import Prompt
from prorl.rewards.programs.assertions import called_function, parsed, with_numpy_stand_in

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Printing:
    """Programs that read standard input and print."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Returning:
    """Functions that are called with JSON values."""

    name: str
    arguments: tuple[tuple[object, ...], ...]
    expected: tuple[tuple[object, ...], ...]
    """Of each test the values that are right: the data do not always say how a value is written."""


@dataclass(frozen=True, slots=True)
class Examining:
    """Functions that a given `check(candidate)` examines."""

    entry_point: str
    examiner: str


@dataclass(frozen=True, slots=True)
class Asserting:
    """Functions that assert statements call by their name."""

    entry_point: str
    statements: tuple[str, ...]


Problem = Printing | Returning | Examining | Asserting


def read_problem(prompt: Prompt) -> Problem:
    """ValueError says in one line what is malformed."""
    name = prompt.metadata.get("func_name")
    return _read(prompt.answer, name if isinstance(name, str) else "")


@lru_cache(maxsize=2)  # answers to one problem follow each other, and its tests may have many megabytes
def _read(answer: str, func_name: str) -> Problem:
    try:
        tests = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the answer is not JSON that can be read ({str(error)[:100]})") from None
    if isinstance(tests, list):
        tests = _from_list(tests, func_name)
    if not isinstance(tests, dict):
        raise ValueError("the answer must be an object or a list of tests")
    if "test" in tests:
        return _examining(tests)
    if "assert_case" in tests:
        return _asserting(tests)
    return _listed(tests)


def _from_list(tests: list[Any], func_name: str) -> dict[str, Any]:
    """The tests of LiveCodeBench, or plain assert statements, as an object."""
    if all(isinstance(test, str) for test in tests):
        return {"assert_case": tests}
    if not all(isinstance(test, dict) and {"input", "output"} <= test.keys() for test in tests):
        raise ValueError('a list of tests must hold {"input", "output"} objects or assert statements')
    is_call = any(test.get("testtype") == "functional" for test in tests)
    if is_call and not func_name:
        raise ValueError("tests of testtype `functional` need metadata.func_name")
    named = {"fn_name": func_name} if is_call else {}
    return {"inputs": [test["input"] for test in tests], "outputs": [test["output"] for test in tests], **named}


def _listed(tests: dict[str, Any]) -> Problem:
    inputs, outputs, name = tests.get("inputs"), tests.get("outputs"), tests.get("fn_name")
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        raise ValueError("the answer needs the lists `inputs` and `outputs`, or `test`, or `assert_case`")
    if not inputs:
        raise ValueError("no tests")
    if len(inputs) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs but {len(outputs)} outputs")
    if name is None or name == "":
        return Printing(tuple(_lines(text) for text in inputs), tuple(_lines(text) for text in outputs))
    _check_name("fn_name", name)
    arguments = tuple(_arguments(value) for value in inputs)
    expected = [_readings(output, value) for output, value in zip(outputs, inputs, strict=True)]
    # One test alone cannot tell a wrapped value from a list of one; a row in which some value has another length can.
    if all(isinstance(value, list) and len(value) == 1 for values in expected for value in values[:1]):
        expected = [(*values, values[0][0]) for values in expected]  # type: ignore[index]
    return Returning(name, arguments, tuple(expected))


def _examining(tests: dict[str, Any]) -> Examining:
    source, entry_point = tests["test"], tests.get("entry_point")
    if not isinstance(source, str):
        raise ValueError("`test` must be source text")
    _check_name("entry_point", entry_point)
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in parsed(source, "`test`").body):
        raise ValueError("`test` must define check(candidate)")
    return Examining(str(entry_point), with_numpy_stand_in(source))


def _asserting(tests: dict[str, Any]) -> Asserting:
    statements = tests["assert_case"]
    if not isinstance(statements, list) or not all(isinstance(statement, str) for statement in statements):
        raise ValueError("`assert_case` must be a list of statements")
    if not statements:
        raise ValueError("no tests")
    for statement in statements:
        if not any(isinstance(node, ast.Assert) for node in ast.walk(parsed(statement, "an assert statement"))):
            raise ValueError(f"{statement[:60]!r} asserts nothing")
    entry_point = tests.get("entry_point") or tests.get("fn_name") or called_function(statements)
    _check_name("entry_point", entry_point)
    return Asserting(entry_point, tuple(statements))


def _check_name(key: str, name: object) -> None:
    if not (isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)):
        raise ValueError(f"{key} {str(name)[:60]!r} must be the name of a function")


def _lines(value: object) -> str:
    """Text, or the lines of a nested list."""
    if isinstance(value, list):
        return "\n".join(_lines(line) for line in value)
    text = value if isinstance(value, str) else json.dumps(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("a test holds half of a surrogate pair") from None
    return text


def _arguments(value: object) -> tuple[object, ...]:
    if isinstance(value, str):
        try:
            values = [_value(line) for line in value.split("\n") if line.strip()]
        except ValueError:
            values = [_value(value)]  # one argument over several lines
    else:
        values = value if isinstance(value, list) else [value]
    return tuple(_with_whole_keys(argument) if isinstance(argument, dict) else argument for argument in values)


def _with_whole_keys(argument: dict[str, object]) -> dict[Any, object]:
    """Keys that are all whole numbers have become texts in JSON."""
    is_whole = all(_WHOLE.fullmatch(key) for key in argument)
    return {int(key): value for key, value in argument.items()} if is_whole else argument


def _readings(output: object, given: object) -> tuple[object, ...]:
    """The values that an output may mean. Beside arguments in a list it is a value, though maybe as JSON text."""
    if not isinstance(output, str):
        return (output,)
    try:
        value = _value(output)
    except ValueError:
        return (output,)
    return (value, output) if isinstance(given, list) else (value,)


def _value(text: str) -> object:
    """JSON, or else a Python literal. ValueError: neither."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return _as_json(ast.literal_eval(text.strip()))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{text[:60]!r} is neither JSON nor a literal") from None


def _as_json(value: object) -> object:
    """ValueError or TypeError: a literal that JSON cannot write."""
    return json.loads(json.dumps(value))
