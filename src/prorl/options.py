"""The options as data: names, types, allowed values, documentation; and plain tables made into typed sections.

Stage 0, configuration. `config.py` declares the options; here a table is refused in one line that names the key, its
value and what is allowed. Not here: recipe files and phases (`recipe.py`), rules between options (`checks.py`).
"""

import ast
import difflib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from typing import Any, NamedTuple, get_args, get_origin

from prorl import config as declarations
from prorl.config import Config, Source
from prorl.errors import UserError

Sections = dict[str, dict[str, Any]]
"""Options by section and name, typed; those left out keep what an earlier layer or the default says."""

SECTIONS: dict[str, Any] = {field.name: field.type for field in fields(Config) if is_dataclass(field.type)}

_ONE: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", Source: "table"}
_REASONS = {("kl_estimator", "k1"): "k1 has no gradient in expectation and is only a metric"}
_SHOWN_CHARACTERS = 100


class OptionRow(NamedTuple):
    """One line of `docs/options.md`, every cell as text."""

    key: str
    type: str
    default: str
    allowed: str
    doc: str


def literal(value: Any) -> str:
    """The value as TOML on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{"".join(map(_escaped, value))}"'
        case list() | tuple():
            return f"[{', '.join(map(literal, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{key_text(key)} = {literal(item)}' for key, item in value.items())}}}"
        case int() if value.bit_length() > 64:
            return hex(value)
        case _:
            return str(value)


def key_text(key: str) -> str:
    """A key as TOML: bare where that is allowed, else quoted."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else literal(key)


def refusal(key: str, value: Any, reason: str) -> UserError:
    """`loss.clip_low = -1: must be between 0 and 1`."""
    text = literal(value)
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return UserError(f"{key} = {shown}: {reason}")


def typed_sections(table: Mapping[str, Any], *, prefix: str = "", others: tuple[str, ...] = ()) -> Sections:
    """A plain table of sections, typed. `others` are the further keys its place allows: for the suggestion only."""
    result: Sections = {}
    for name, options in table.items():
        if name not in SECTIONS:
            raise _unknown_section(prefix, name, options, others)
        if not isinstance(options, Mapping):
            raise refusal(prefix + name, options, "must be a table")
        result[name] = _typed_fields(SECTIONS[name], options, prefix, name)
    return result


def typed_option(key: str, field: Field[Any], value: Any) -> Any:
    """The value as the type of its option and within what that allows."""
    typed = typed_value(key, field.type, value)
    low, high, choices = _bounds(field)
    outside = (low is not None and typed < low) or (high is not None and typed > high)
    if outside or (choices and typed not in choices):
        reason = _REASONS.get((field.name, str(value)))
        raise refusal(key, value, f"{_allowed(field)} ({reason})" if reason else _allowed(field))
    return typed


def typed_value(key: str, kind: Any, value: Any) -> Any:
    """The value as the type of its option: int passes for float, and nothing else passes for another type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(typed_value(f"{key}[{n}]", arguments[0], item) for n, item in enumerate(value))
    if origin is dict and isinstance(value, Mapping):
        return {
            _sound(key, name, str): typed_value(f"{key}.{key_text(name)}", arguments[1], item)
            for name, item in value.items()
        }
    if kind is Source and isinstance(value, Mapping):
        return Source(**_typed_fields(Source, value, "", key))
    if type(value) is kind or (kind is float and type(value) is int):
        return _sound(key, value, kind)
    raise refusal(key, value, f"must be {_must_be(kind)}")


def make_config(name: str, sections: Sections) -> Config:
    """One phase: what the sections do not name keeps its default."""
    return Config(name=name, **{section: SECTIONS[section](**options) for section, options in sections.items()})


def plain_sections(config: Config) -> Sections:
    """Every option of a phase, by section and name in the order of `config.py`; sources as tables."""
    return {name: asdict(getattr(config, name)) for name in SECTIONS}


def option_field(section: str, option: str) -> Field[Any] | None:
    """An option as `config.py` declares it; None where there is no such option."""
    declared = fields(SECTIONS[section]) if section in SECTIONS else ()
    return next((field for field in declared if field.name == option), None)


def option_rows() -> Iterator[OptionRow]:
    """Every option in the order of `config.py`; those of a source once, under `data.sources[]`."""
    docs = _docstrings()
    for section, owner in SECTIONS.items():
        for field in fields(owner):
            yield _row(section, owner, field, docs)
            if (section, field.type) == ("data", tuple[Source, ...]):
                yield from (_row(f"{section}.{field.name}[]", Source, inner, docs) for inner in fields(Source))


def _row(prefix: str, owner: Any, field: Field[Any], docs: Mapping[tuple[str, str], str]) -> OptionRow:
    default = field.default if field.default_factory is MISSING else field.default_factory()
    allowed = "true, false" if field.type is bool else _allowed(field).removeprefix("must be ").removeprefix("one of ")
    return OptionRow(
        key=f"{prefix}.{field.name}",
        type=_kind_name(field.type),
        default=literal(default),
        allowed=allowed,
        doc=docs[owner.__name__, field.name],
    )


def _docstrings() -> dict[tuple[str, str], str]:
    """The string after each field of `config.py`, by class and field."""
    docs = {}
    classes = [node for node in ast.parse(inspect.getsource(declarations)).body if isinstance(node, ast.ClassDef)]
    for owner in classes:
        for field, after in zip(owner.body, owner.body[1:], strict=False):
            match field, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    docs[owner.name, name] = " ".join(text.split())
    return docs


def _typed_fields(owner: Any, table: Mapping[str, Any], prefix: str, name: str) -> dict[str, Any]:
    """The options of one section or source, by name."""
    known = {field.name: field for field in fields(owner)}
    result = {}
    for option, value in table.items():
        key = f"{prefix}{name}.{key_text(option)}"
        if option not in known:
            raise _unknown_option(key, name, option, list(known))
        result[option] = typed_option(key, known[option], value)
    return result


def _sound(key: str, value: Any, kind: Any) -> Any:
    """A scalar of the right type that TOML can hold: a finite number, 64 bits, Unicode text."""
    if kind is float:
        if not abs(value) <= sys.float_info.max:
            raise refusal(key, value, "must be a finite number")
        return float(value)
    if kind is int and not -(2**63) <= value < 2**63:
        raise refusal(key, value, "must fit in 64 bits")
    if kind is str and any("\ud800" <= character <= "\udfff" for character in value):
        raise refusal(key, value, "must be valid Unicode")
    return value


def _bounds(field: Field[Any]) -> tuple[float | None, float | None, tuple[str, ...]]:
    return field.metadata["low"], field.metadata["high"], field.metadata["choices"]


def _allowed(field: Field[Any]) -> str:
    """What is allowed, as the end of a sentence; empty where the type says it all."""
    low, high, choices = _bounds(field)
    if choices:
        return f"must be one of {', '.join(choices)}"
    if low is not None and high is not None:
        return f"must be between {_number(low)} and {_number(high)}"
    if low is not None:
        return f"must be at least {_number(low)}"
    return "" if high is None else f"must be at most {_number(high)}"


def _number(value: float) -> str:
    return str(int(value) if value == int(value) else value)


def _kind_name(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"array of {_ONE[get_args(kind)[0]]}s"
    return f"table of {_ONE[get_args(kind)[1]]}s" if get_origin(kind) is dict else _ONE[kind]


def _must_be(kind: Any) -> str:
    name = _kind_name(kind)
    return "true or false" if kind is bool else f"{'an' if name[0] in 'ai' else 'a'} {name}"


def _unknown_section(prefix: str, name: str, value: Any, others: tuple[str, ...]) -> UserError:
    what = "section" if isinstance(value, Mapping) else "option"
    guesses = _named_like(name) or _close(name, [*SECTIONS, *others])
    return _unknown(prefix + key_text(name), what, guesses, f"sections: {', '.join(SECTIONS)}")


def _unknown_option(key: str, section: str, option: str, known: list[str]) -> UserError:
    place = f"{section}." if section in SECTIONS else ""
    guesses = [place + guess for guess in _close(option, known)] or _named_like(option)
    return _unknown(key, "option", guesses, f"{section} has {', '.join(known)}")


def _unknown(key: str, what: str, guesses: list[str], allowed: str) -> UserError:
    hint = f"did you mean {' or '.join(guesses)}?" if guesses else allowed
    return UserError(f"{key}: unknown {what} ({hint})")


def _named_like(option: str) -> list[str]:
    """The full keys of the options with this name, wherever they are."""
    return [row.key for row in option_rows() if row.key.rpartition(".")[2] == option]


def _close(name: str, candidates: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, candidates, n=1)


def _escaped(character: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}.get(character)
    if short or character.isprintable():
        return short or character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
