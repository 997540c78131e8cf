"""Stage 1: the rows of a file of any format, one after the other, each with the place where it stands.

JSON Lines, JSON (an array of objects), CSV, Parquet and Arrow; the first three also packed as .gz or .zst. Says nothing
about what a row means.
"""

import csv
import gzip
import importlib
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from prorl.errors import UserError

PACKED = (".gz", ".zst")
PARQUET = ".parquet"
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row, and where it stands: `FILE:LINE`, or `FILE, row N` in a file without lines."""

    where: str
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that cannot be read, though those behind it can."""

    where: str
    reason: str


def parquet_module() -> ModuleType:
    """The module that knows pyarrow. UserError where pyarrow is not installed."""
    try:
        return importlib.import_module("prorl.prompts.parquet")
    except ImportError as error:
        raise UserError(f"Parquet, Arrow and .zst files need pyarrow ({error}): pip install 'prorl[tasks]'") from None


def table_format(path: Path) -> str:
    """The suffix that tells the format, without the packing; empty where the name tells none."""
    name = path.name.lower()
    packing = next((suffix for suffix in PACKED if name.endswith(suffix)), "")
    suffix = Path(name.removesuffix(packing)).suffix
    if suffix not in READERS or (packing and suffix not in TEXT_READERS):
        return ""
    return suffix


def read_table(path: Path, suffix: str = "") -> Iterator[TableRow | BrokenRow]:
    """Every row of the file, whose format its name tells, or `suffix`. UserError: a file that is damaged as a whole."""
    suffix = suffix or table_format(path)
    if not suffix:
        raise UserError(f"{path}: must end in one of {', '.join(READERS)} (text also as {' or '.join(PACKED)})")
    try:
        yield from READERS[suffix](path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); is it complete?") from None


def _open(path: Path) -> BinaryIO:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if path.name.lower().endswith(".zst"):
        stream: BinaryIO = parquet_module().open_zstandard(path)
        return stream
    return path.open("rb")


def _json_lines(path: Path) -> Iterator[TableRow | BrokenRow]:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _json_row(line, f"{path}:{number}")


def _json_row(line: bytes, where: str) -> TableRow | BrokenRow:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BrokenRow(where, f"not a JSON object in UTF-8 ({error})")
    if not isinstance(value, dict):
        return BrokenRow(where, f"a row must be a JSON object, not {type(value).__name__}")
    return TableRow(where, value)


class _Characters:
    """The text of a JSON array as far as it has been read and not yet used."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = io.TextIOWrapper(stream, encoding="utf-8-sig")
        self._rest = ""
        self.line = 1
        self._decoder = json.JSONDecoder()

    def skip(self, characters: str) -> str:
        """Pass these characters; returns the one behind them, empty at the end."""
        while True:
            kept = self._rest.lstrip(characters)
            self.line += self._rest.count("\n", 0, len(self._rest) - len(kept))
            self._rest = kept
            if kept or not self._fill(CHUNK):
                return self._rest[:1]

    def value(self) -> object:
        """The next JSON value. ValueError: there is none."""
        size = CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._rest)
                # A number may go on behind what has been read; an object or a text cannot.
                if isinstance(value, dict | list | str) or end < len(self._rest) or not self._fill(CHUNK):
                    break
            except json.JSONDecodeError:
                # Twice as much each time: the value is decoded from its start again.
                if not self._fill(size):
                    raise
                size *= 2
        self.line += self._rest.count("\n", 0, end)
        self._rest = self._rest[end:]
        return value

    def _fill(self, size: int) -> bool:
        more = self._stream.read(size)
        self._rest += more
        return bool(more)


def _json(path: Path) -> Iterator[TableRow | BrokenRow]:
    """An array of objects, or objects that follow each other."""
    with _open(path) as file:
        text = _Characters(file)
        if text.skip(" \t\r\n") == "[":
            text.skip("[")
        while text.skip(" \t\r\n,") not in ("", "]"):
            where = f"{path}:{text.line}"
            try:
                value = text.value()
            except (ValueError, RecursionError) as error:
                raise UserError(f"{where}: not a JSON object ({error}); what follows cannot be read") from None
            if isinstance(value, dict):
                yield TableRow(where, value)
            else:
                yield BrokenRow(where, f"a row must be a JSON object, not {type(value).__name__}")


def _csv(path: Path) -> Iterator[TableRow | BrokenRow]:
    csv.field_size_limit(min(sys.maxsize, (1 << 31) - 1))
    with _open(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        reader = csv.DictReader(text, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise UserError(f"{path}:{line}: not CSV ({error})") from None
            if None in row or None in row.values():
                yield BrokenRow(f"{path}:{line}", f"must have {len(reader.fieldnames or [])} fields, as the header")
            else:
                yield TableRow(f"{path}:{line}", dict(row))


def _columnar(function: str) -> Callable[[Path], Iterator[TableRow | BrokenRow]]:
    def read(path: Path) -> Iterator[TableRow | BrokenRow]:
        module = parquet_module()
        try:
            for number, row in enumerate(vars(module)[function](path), 1):
                yield TableRow(f"{path}, row {number}", row)
        except module.READ_ERRORS as error:
            raise UserError(f"{path}: cannot be read ({error}); is it complete?") from None

    return read


Reader = Callable[[Path], Iterator[TableRow | BrokenRow]]
TEXT_READERS: dict[str, Reader] = {".jsonl": _json_lines, ".json": _json, ".csv": _csv}
READERS: dict[str, Reader] = {
    **TEXT_READERS,
    PARQUET: _columnar("read_parquet"),
    ".arrow": _columnar("read_arrow"),
}
