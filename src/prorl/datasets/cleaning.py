"""Stage 1, data sets: raw rows into prompt rows that can be trained on, and how many were left out, by reason.

The cheap checks, row after row. Gold answers are judged later, in `gold.py`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prorl.datasets.gold import check_row
from prorl.datasets.overlap import Duplicates, Overlaps
from prorl.datasets.record import BadRow, Dataset, Dropped, Files, Row
from prorl.errors import UserError
from prorl.prompts.sources import parse_row
from prorl.prompts.tables import BrokenRow, TableRow, read_table
from prorl.records import Prompt

MAX_EXAMPLES = 5
REPORT_ROWS = 500
"""Rows between two looks at the progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user asks of a preparation."""

    limit: int = 0
    """Rows drawn from those that are left; 0: all of them."""
    seed: int = 0
    gold_check: bool = True
    skip_bad_rows: bool = False
    max_prompt_characters: int = 0
    """0: no limit."""
    against: tuple[Path, ...] = ()
    """Prepared suites that no row may overlap."""


@dataclass(slots=True)
class Tally:
    """Rows read, and dropped by reason, with the first few of each."""

    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def drop(self, reason: str, example: str) -> None:
        self.dropped[reason] += 1
        found = self.examples.setdefault(reason, [])
        if len(found) < MAX_EXAMPLES:
            found.append(example)

    def as_json(self) -> dict[str, Any]:
        return {"read": self.read, "dropped": dict(sorted(self.dropped.items())), "examples": self.examples}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Tally":
        return cls(value["read"], Counter(value["dropped"]), value["examples"])


class Cleaner:
    """Cleans the rows of one source; what it has seen decides what a duplicate is."""

    def __init__(self, dataset: Dataset, options: Options, overlaps: Overlaps) -> None:
        self._dataset, self._options = dataset, options
        self.overlaps = overlaps
        self.tally = Tally()
        self._duplicates = Duplicates()

    def rows(self, files: list[Path], progress: Callable[[str], None]) -> Iterator[Row]:
        """The rows of the files that are left. UserError: a row is wrong, and such rows are not to be skipped."""
        for file in files:
            for raw in read_table(file):
                self.tally.read += 1
                if self.tally.read % REPORT_ROWS == 0:
                    progress(f"{self._dataset.name}: {self.tally.read} rows read")
                row = self._row(raw)
                if row is not None:
                    yield row

    def _row(self, raw: TableRow | BrokenRow) -> Row | None:
        try:
            row, prompt = self._converted(raw)
        except (BadRow, UserError) as error:
            if not self._options.skip_bad_rows:
                raise UserError(f"{error}; --skip-bad-rows leaves such rows out and counts them") from None
            self.tally.drop("bad row", str(error))
            return None
        if isinstance(prompt, Dropped):
            self.tally.drop(prompt.reason, raw.where)
            return None
        return row if self._is_usable(prompt) else None

    def _converted(self, raw: TableRow | BrokenRow) -> tuple[Row, Prompt | Dropped]:
        if isinstance(raw, BrokenRow):
            raise BadRow(f"{raw.where}: {raw.reason}")
        index = self.tally.read - 1
        row: Row | Dropped
        if isinstance(self._dataset.origin, Files):
            try:
                row = self._dataset.origin.convert(self._dataset.origin.raw_row(raw.value, index, self._options.seed))
            except BadRow as error:
                raise BadRow(f"{raw.where}: {error}") from None
        else:
            row = raw.value
        if isinstance(row, Dropped):
            return {}, row
        row = self._filled(row, index)
        return row, parse_row(row, raw.where, self._dataset.domain)

    def _filled(self, row: Row, index: int) -> Row:
        """The fields that are the same for every row of the source."""
        name = self._dataset.name
        number = row.get("id") if row.get("id") not in (None, "") else index
        if self._dataset.own:
            domain = {"domain": self._dataset.domain} if self._dataset.domain else {}
            return row | domain | {"id": str(row.get("id") or f"{name}/{index}")}
        fields = {"id": f"{name}/{number}", "domain": self._dataset.domain, "task": row.get("task") or name}
        return row | fields | {"metadata": row["metadata"] | {"source": name}}

    def _is_usable(self, prompt: Prompt) -> bool:
        """Whether the row is kept; counted where it is not."""
        longest = self._options.max_prompt_characters
        try:
            check_row(prompt)
        except ValueError as error:
            self.tally.drop("unusable", f"{prompt.id}: {error}")
            return False
        if longest and len(prompt.text) > longest:
            self.tally.drop("prompt too long", prompt.id)
            return False
        if kind := self._duplicates.kind_of(prompt):
            self.tally.drop(kind, prompt.id)
            return False
        if suite := self.overlaps.suite_of(prompt):
            self.tally.drop("overlaps a suite", f"{prompt.id} ({suite})")
            return False
        return True
