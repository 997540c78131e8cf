"""Stage 1, data sets: what a source is: where its files lie, which columns it has, and how a row of it reads.

Holds no source; they are listed in `catalogue.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["training", "suite"]
Row = dict[str, Any]
"""A prompt row, or the part of it that differs from row to row: `prompt`, `answer`, `metadata`, `id`, `task`."""


class BadRow(ValueError):
    """A row that is not what its data set says it is: a column is missing or of the wrong type."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A sound row that cannot be used, and why, in words that rows share: they are counted by it."""

    reason: str


NO_ANSWER = Dropped("no answer")
NO_TESTS = Dropped("no tests")
OTHER_ROWS = Dropped("of another set")
"""In the same files, but not part of this source."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as its data set has it, under the names that the source gives its columns."""

    values: Mapping[str, Any]
    index: int
    """Number of the row in the data set, from 0."""
    seed: int

    def value(self, name: str, *types: type) -> Any:
        """A column's value, which is of one of the types. BadRow: it is not."""
        value = self.values[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            allowed = " or ".join(kind.__name__ for kind in types)
            raise BadRow(f"{name} is of type {type(value).__name__}, not {allowed}")
        return value

    def text(self, name: str) -> str:
        """A column of text; null is empty."""
        return "" if self.values[name] is None else str(self.value(name, str)).strip()

    def number(self, name: str) -> str:
        """A column with a number or text, as text; 142.0 is 142."""
        if self.values[name] is None:
            return ""
        value = self.value(name, str, int, float)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return str(value).strip()

    def messages(self, name: str) -> list[dict[str, str]]:
        """A column of chat messages, the last of them the user's."""
        value = self.value(name, list)
        if not value or not all(_is_message(message) for message in value) or value[-1]["role"] != "user":
            raise BadRow(f'{name} must be messages {{"role", "content"}}, the last of them the user\'s')
        return [{"role": message["role"], "content": message["content"]} for message in value]


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("role", "content"))


Convert = Callable[[RawRow], Row | Dropped]
Columns = Mapping[str, tuple[str, ...]]
"""A name to the names that the column has in the versions of the data set; the first that is there counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Rows of files: of a repository on the hub, or of a folder that holds the same files."""

    convert: Convert
    columns: Columns = field(default_factory=dict)
    """Left out: every column under its own name."""
    optional: Columns = field(default_factory=dict)
    """Columns that may be missing, which is as null."""
    hub: str = ""
    revision: str = "main"
    """A commit, or a branch, whose commit is looked up and written to the manifest."""
    patterns: tuple[str, ...] = ("*.parquet", "*.jsonl", "*.json", "*.csv")
    """Of file names; those of the first that names any are read, in the order of their names."""
    gated: bool = False
    """The hub asks for an account that has accepted the terms."""

    def raw_row(self, value: Mapping[str, Any], index: int, seed: int) -> RawRow:
        """The row under our names. BadRow: a column is missing."""
        if not self.columns:
            return RawRow(value, index, seed)
        values = {name: self._column(name, known, value) for name, known in self.columns.items()}
        for name, known in self.optional.items():
            values[name] = next((value[column] for column in known if column in value), None)
        return RawRow(values, index, seed)

    @staticmethod
    def _column(name: str, known: tuple[str, ...], value: Mapping[str, Any]) -> object:
        for column in known:
            if column in value:
                return value[column]
        has = ", ".join(list(value)[:20]) or "none"
        raise BadRow(f"no column {' or '.join(known)} (the {name}); it has {has}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """Rows that a program makes, task by task: each part is kept while the others are made."""

    tasks: tuple[str, ...]
    package: str
    """The distribution whose version decides what is made."""
    generate: Callable[[str, int], Iterator[Row]]
    """The rows of a task under a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A source of training rows, or a suite that models are measured with."""

    name: str
    kind: Kind
    domain: str
    """Empty where the rows name their own."""
    about: str
    origin: Files | Generated
    licence: str = "not stated"
    commercial: bool = True
    """Otherwise the licence forbids commercial use, and the user must accept it."""
    rows: int = 0
    """As published; 0 where no number is known."""
    own: bool = False
    """A file of the user: its rows keep their ids."""
    folder: str = ""
    """Under the folder of `--from`; left out, the name."""
