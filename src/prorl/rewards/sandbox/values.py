"""Stage 3, rewards: how a Python value travels between a sandbox and the host: as text, never as a pickle.

JSON, in which an array is a list and an object has one key that says what it stands for: `{"t": [1, 2]}` is a tuple.
`encode` runs beside a stranger's program, `decode` reads what may be forged. This file is also run inside sandboxes,
on any Python from 3.9, so it imports nothing but the standard library. Comparing values is not its job.
"""

import json
from math import isfinite

MAX_DEPTH = 100
MAX_ITEMS = 1_000_000
MAX_HEX_DIGITS = 100_000
MAX_NUMBER_LENGTH = 40
MAX_EQUAL_HASHES = 64
"""More elements of a set with one hash are made on purpose: building it would take quadratic time."""


def encode(value: object, depth: int = 0) -> str:
    """The text of a value of builtin types (subclasses count as their base, numpy arrays as lists).

    Raises:
        ValueError: another type, or nested too deep.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nests over {MAX_DEPTH} deep")
    if value is None or value is True or value is False:
        return json.dumps(value)
    if isinstance(value, str):
        return json.dumps(str.__str__(value))
    if isinstance(value, int):
        return _encode_int(int(value))
    if isinstance(value, float):
        return _encode_float(float(value))
    if isinstance(value, complex):
        return f'{{"c": [{_encode_float(value.real)}, {_encode_float(value.imag)}]}}'
    if isinstance(value, (bytes, bytearray)):
        return f'{{"b": "{value.hex()}"}}'
    return _encode_container(value, depth)


def _encode_container(value: object, depth: int) -> str:
    if isinstance(value, list):
        return f"[{_encode_items(value, depth)}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"[{encode(key, depth + 1)}, {encode(item, depth + 1)}]" for key, item in value.items())
        return f'{{"d": [{pairs}]}}'
    for tag, kind in (("t", tuple), ("s", set), ("fs", frozenset)):
        if isinstance(value, kind):
            return f'{{"{tag}": [{_encode_items(value, depth)}]}}'
    if type(value).__module__ == "numpy":
        return encode(value.tolist(), depth + 1)  # type: ignore[attr-defined]
    raise ValueError(f"a value of type {type(value).__name__}")


def _encode_items(items: object, depth: int) -> str:
    return ", ".join([encode(item, depth + 1) for item in items])  # type: ignore[attr-defined]


def _encode_int(value: int) -> str:
    # Decimal digits of a long number cost quadratic time, hexadecimal ones do not.
    return str(value) if abs(value) < 2**63 else f'{{"i": "{value:x}"}}'


def _encode_float(value: float) -> str:
    return repr(value) if isfinite(value) else f'{{"f": "{value!r}"}}'


def decode(text: str) -> object:
    """The value that `encode` wrote; numbers, depth and sizes are bounded.

    Raises:
        ValueError: anything else, whatever the text holds.
    """
    if text.count(",") > MAX_ITEMS:
        raise ValueError(f"over {MAX_ITEMS} items")
    try:
        value = json.loads(
            text, parse_int=_short(int), parse_float=_short(float), parse_constant=_refuse, object_pairs_hook=_untag
        )
        _check_depth(value)
    except (RecursionError, TypeError, MemoryError, OverflowError) as error:
        raise ValueError(f"no value: {type(error).__name__}") from None
    return value


def _short(parse):  # type: ignore[no-untyped-def]
    def parse_short(text: str) -> object:
        if len(text) > MAX_NUMBER_LENGTH:
            raise ValueError("a number too long")
        return parse(text)

    return parse_short


def _refuse(text: str) -> object:
    raise ValueError(f"{text} is no value")


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 2):
        level = [item for parent in level for item in _children(parent)]
        if not level:
            return
    raise ValueError(f"nests over {MAX_DEPTH} deep")


def _children(value: object) -> list:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else []


def _untag(pairs: list) -> object:
    if len(pairs) != 1 or pairs[0][0] not in _READERS:
        raise ValueError("an object without a known tag")
    tag, body = pairs[0]
    return _READERS[tag](body)


def _read_tuple(body: object) -> object:
    return tuple(_items(body))


def _read_set(body: object) -> object:
    return set(_hashable(_items(body)))


def _read_frozenset(body: object) -> object:
    return frozenset(_hashable(_items(body)))


def _read_dict(body: object) -> object:
    pairs = _items(body)
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError("a dictionary without pairs")
    _hashable([pair[0] for pair in pairs])
    return {pair[0]: pair[1] for pair in pairs}


def _read_int(body: object) -> object:
    if not isinstance(body, str) or len(body) > MAX_HEX_DIGITS:
        raise ValueError(f"a number of over {MAX_HEX_DIGITS} digits")
    return int(body, 16)


def _read_float(body: object) -> object:
    if body not in ("nan", "inf", "-inf"):
        raise ValueError("no float")
    return float(str(body))


def _read_complex(body: object) -> object:
    parts = _items(body)
    if len(parts) != 2 or not all(isinstance(part, float) for part in parts):
        raise ValueError("no complex number")
    return complex(*parts)


def _read_bytes(body: object) -> object:
    if not isinstance(body, str):
        raise ValueError("no bytes")
    return bytes.fromhex(body)


def _items(body: object) -> list:
    if not isinstance(body, list):
        raise ValueError("no list of items")
    return body


def _hashable(items: list) -> list:
    hashes = sorted(map(hash, items))
    if any(first == last for first, last in zip(hashes, hashes[MAX_EQUAL_HASHES:])):  # noqa: B905 - Python 3.9
        raise ValueError("too many items with one hash")
    return items


_READERS = {
    "t": _read_tuple,
    "s": _read_set,
    "fs": _read_frozenset,
    "d": _read_dict,
    "i": _read_int,
    "f": _read_float,
    "c": _read_complex,
    "b": _read_bytes,
}
