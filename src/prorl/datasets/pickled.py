"""Stage 1, data sets: texts, lists and dictionaries out of a pickle, read as data.

Nothing is unpickled: of the instructions of the pickle machine only those are understood that build plain values. A
pickle that names a class or calls anything is refused where it does so.
"""

import base64
import binascii
import io
import pickletools
import zlib
from collections.abc import Callable
from typing import Any

MAX_BYTES = 512 * 2**20
"""Of an unpacked pickle. The tests of a problem of LiveCodeBench have up to some 100 MB."""
MAX_OPERATIONS = 5_000_000
_MARK = object()
_TEXTS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_INTEGERS = {"BININT", "BININT1", "BININT2"}
_NEW: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
}
_STORE = {"BINPUT", "LONG_BINPUT"}
_FETCH = {"BINGET", "LONG_BINGET"}


def packed_values(text: str, max_bytes: int = MAX_BYTES) -> Any:
    """What a base64 text of a zlib-packed pickle holds. ValueError: damaged, too large, or no plain data."""
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, max_bytes)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"not base64 of zlib ({error})") from None
    if unpacker.unconsumed_tail:
        raise ValueError(f"unpacks to more than {max_bytes} bytes")
    if not unpacker.eof:
        raise ValueError("the packed data end too early")
    return plain_values(data)


def plain_values(data: bytes) -> Any:
    """What a pickle of plain values holds. ValueError: it is damaged, or holds anything else."""
    machine = _Machine()
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            if count > MAX_OPERATIONS:
                raise ValueError(f"a pickle of over {MAX_OPERATIONS} instructions")
            if operation.name == "STOP":
                return machine.result()
            machine.run(operation.name, argument)
    except (LookupError, TypeError, OverflowError) as error:
        raise ValueError(f"a damaged pickle ({error})") from None
    raise ValueError("a damaged pickle (no end)")


class _Machine:
    """The stack and the memory of the pickle machine."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memory: dict[int, Any] = {}

    def result(self) -> Any:
        (value,) = self._stack
        return value

    def run(self, name: str, argument: Any) -> None:
        if name in _TEXTS or name in _INTEGERS:
            self._stack.append(argument)
        elif name in _NEW:
            self._stack.append(_NEW[name]())
        elif name == "MEMOIZE":
            self._memory[len(self._memory)] = self._stack[-1]
        elif name in _STORE:
            self._memory[argument] = self._stack[-1]
        elif name in _FETCH:
            self._stack.append(self._memory[argument])
        elif name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
            self._put(name)
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"a pickle with {name}: only texts, numbers, lists and dictionaries are read")

    def _put(self, name: str) -> None:
        """Move the last values into the list or dictionary below them."""
        if name.endswith("S"):
            start = len(self._stack) - 1 - self._stack[::-1].index(_MARK)
            values = self._stack[start + 1 :]
        else:
            start = len(self._stack) - (1 if name == "APPEND" else 2)
            values = self._stack[start:]
        del self._stack[start:]
        target = self._stack[-1]
        if name.startswith("APPEND") and isinstance(target, list):
            target.extend(values)
        elif name.startswith("SETITEM") and isinstance(target, dict) and all(isinstance(k, str) for k in values[::2]):
            target.update(zip(values[::2], values[1::2], strict=True))
        else:
            raise ValueError(f"a damaged pickle ({name} on {type(target).__name__})")
