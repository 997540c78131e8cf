"""Stage 1: tables in columns. The one module that knows pyarrow; `tables.py` opens it where a file asks for it."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

BATCH_ROWS = 64
"""Rows decoded at a time: a row of programming tests may have tens of megabytes."""
READ_ERRORS = (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, pyarrow.ArrowTypeError, OSError)
TEXT = pyarrow.string()
MESSAGES = pyarrow.list_(pyarrow.struct([("role", TEXT), ("content", TEXT)]))
TYPES = {"text": TEXT, "integer": pyarrow.int64(), "messages": MESSAGES}
Kind = Literal["text", "integer", "messages"]


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, a few at a time."""
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            yield from batch.to_pylist()


def read_arrow(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of an Arrow stream or an Arrow file."""
    with pyarrow.memory_map(str(path)) as source:
        try:
            reader = pyarrow.ipc.open_file(source)
            batches = map(reader.get_batch, range(reader.num_record_batches))
        except pyarrow.ArrowInvalid:
            source.seek(0)
            batches = iter(pyarrow.ipc.open_stream(source))
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield from batch.slice(start, BATCH_ROWS).to_pylist()


def open_zstandard(path: Path) -> BinaryIO:
    """A .zst file as the bytes it holds."""
    # Arrow's own stream does not give lines.
    return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))


def write_parquet(
    path: Path, columns: Mapping[str, Kind | Mapping[str, Kind]], groups: Iterable[Sequence[Mapping[str, Any]]]
) -> None:
    """Write groups of rows; a column of columns is a struct. The bytes depend on the rows alone."""
    schema = pyarrow.schema([(name, _type(kind)) for name, kind in columns.items()])
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in groups:
            writer.write_table(pyarrow.Table.from_pylist([dict(row) for row in group], schema=schema))


def _type(kind: Kind | Mapping[str, Kind]) -> pyarrow.DataType:
    return TYPES[kind] if isinstance(kind, str) else pyarrow.struct([(name, TYPES[k]) for name, k in kind.items()])
