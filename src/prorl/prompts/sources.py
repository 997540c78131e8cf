"""Stage 1: data sets as sequences of `Prompt`s by number: the built-in suites, or files of prompt rows."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from prorl.config import Source
from prorl.errors import UserError
from prorl.prompts import suites
from prorl.prompts.suites import SUITES
from prorl.prompts.tables import PARQUET, BrokenRow, read_table, table_format
from prorl.records import Prompt
from prorl.seeds import shuffled_index, stream_seed

_SURROGATE = re.compile("[\ud800-\udfff]")
_MAY_BE_NULL = {"id", "domain", "task", "verifier"}
"""Left out in a row of a table that has the column."""
ROW_FIELDS = {"id", "domain", "task", "prompt", "answer", "metadata", "verifier"}


class PromptSet(Protocol):
    """Prompts of one domain of one source."""

    domain: str
    size: int
    """Number of prompts that count as one pass, for the weights."""

    def draw(self, seed: int, number: int) -> Prompt:
        """The `number`-th draw of a stream with that seed; always the same one."""
        ...

    def kinds(self) -> list[Prompt]:
        """One prompt of each kind of verification."""
        ...

    def rows(self) -> Sequence[Prompt]:
        """Every prompt that stands in a file; none where they are generated."""
        ...


class SuiteSet:
    """Fresh problems of levels of a suite, each level equally often."""

    def __init__(self, suite: str, domain: str, levels: list[tuple[str, int]]) -> None:
        self.domain, self.size = domain, len(levels)
        self._suite, self._levels = suite, levels

    def draw(self, seed: int, number: int) -> Prompt:
        epoch, place = divmod(number, self.size)
        task, level = self._levels[shuffled_index(place, self.size, stream_seed(seed, self.domain, epoch))]
        problem = abs(stream_seed(seed, "problem", self.domain, number))
        return replace(suites.generate(self._suite, task, level, problem), domain=self.domain)

    def kinds(self) -> list[Prompt]:
        return list({prompt.verifier: prompt for prompt in self._level_samples()}.values())

    def rows(self) -> Sequence[Prompt]:
        return ()

    def _level_samples(self) -> Iterator[Prompt]:
        return (suites.generate(self._suite, task, level, 0) for task, level in self._levels)


class RowSet:
    """Rows of a file, shuffled anew each pass."""

    def __init__(self, domain: str, rows: list[Prompt]) -> None:
        self.domain, self.size = domain, len(rows)
        self._rows = rows

    def draw(self, seed: int, number: int) -> Prompt:
        epoch, place = divmod(number, self.size)
        return self._rows[shuffled_index(place, self.size, stream_seed(seed, "rows", self.domain, epoch))]

    def kinds(self) -> list[Prompt]:
        return list({row.verifier: row for row in self._rows}.values())

    def rows(self) -> Sequence[Prompt]:
        return self._rows


def prompt_row(prompt: Prompt) -> dict[str, Any]:
    """The prompt as a row of a data file, without its verifier's name."""
    return {
        "id": prompt.id,
        "domain": prompt.domain,
        "task": prompt.task,
        "prompt": prompt.text,
        "answer": prompt.answer,
        "metadata": dict(prompt.metadata),
    }


def lane(prompt: Prompt) -> str:
    """What counts as the same problem: a row, or a level of generated ones."""
    return f"{prompt.task}/{prompt.level}" if suites.is_generated(prompt) else prompt.id


def open_source(source: Source) -> list[PromptSet]:
    """The source's prompts by domain."""
    if source.source in SUITES:
        by_domain: dict[str, list[tuple[str, int]]] = {}
        for task, level in suites.levels(source):
            by_domain.setdefault(suites.domain_of(source, task), []).append((task, level))
        return [SuiteSet(source.source, domain, levels) for domain, levels in by_domain.items()]
    rows: dict[str, list[Prompt]] = {}
    for row in read_rows(source):
        rows.setdefault(row.domain, []).append(row)
    return [RowSet(domain, prompts) for domain, prompts in rows.items()]


def is_missing(source: Source) -> bool:
    """Whether the source is a file that is not there."""
    return source.source not in SUITES and not Path(source.source).expanduser().is_file()


def no_such_file(section: str, name: str, count: int = 1) -> UserError:
    """The refusal of a file that is not there, one of `count`."""
    more = f" ({count} files are missing)" if count > 1 else ""
    return UserError(
        f"{section}.sources: source = {name}: no such file; use {', '.join(SUITES)} or a .jsonl or .parquet "
        f"file{more}; `prorl data prepare prorl` makes those of the paper's recipes (docs/datasets.md)"
    )


def read_rows(source: Source) -> list[Prompt]:
    """Prompt rows of a JSON Lines or Parquet file; a wrong row is a `UserError` with its place."""
    if is_missing(source):
        raise no_such_file("data", source.source)
    path = Path(source.source).expanduser()
    rows = []
    for row in read_table(path, ".jsonl" if table_format(path) != PARQUET else PARQUET):
        if isinstance(row, BrokenRow):
            raise UserError(f"{row.where}: {row.reason}")
        fields = column_row(row.value, row.where) if table_format(path) == PARQUET else row.value
        rows.append(parse_row(fields, row.where, source.domain))
    kept = [
        row
        for row in rows
        if (not source.tasks or row.task in source.tasks)
        and row.level >= source.min_level
        and (not source.max_level or row.level <= source.max_level)
    ]
    if not kept:
        raise UserError(f"data.sources: {path}: no row is left of {len(rows)}; check tasks, min_level and max_level")
    return kept


def column_row(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The row as a file of lines would hold it: columns may be null, and `metadata` JSON text or a struct."""
    fields = {name: value for name, value in row.items() if value is not None}
    metadata = fields.get("metadata", {})
    if isinstance(metadata, str):
        try:
            fields["metadata"] = json.loads(metadata)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: metadata: not JSON text ({error})") from None
    elif isinstance(metadata, dict):
        fields["metadata"] = {name: value for name, value in metadata.items() if value is not None}
    try:
        json.dumps(fields)
    except TypeError as error:
        raise UserError(f"{where}: {error}; a column must hold text, numbers, lists or structs of them") from None
    return fields


def parse_row(row: Mapping[str, Any], where: str, domain: str = "") -> Prompt:
    """The prompt of a row, in the domain given or its own. UserError: the row is wrong; `where` begins the message."""
    row = {field: value for field, value in row.items() if value is not None or field not in _MAY_BE_NULL}
    if _SURROGATE.search(json.dumps(row, ensure_ascii=False, default=str)):
        raise UserError(f"{where}: half of a surrogate pair (\\ud800 to \\udfff) is not text; remove it")
    unknown = sorted(row.keys() - ROW_FIELDS)
    if unknown:
        raise UserError(f"{where}: unknown field {unknown[0]}; a row has {', '.join(sorted(ROW_FIELDS))}")
    domain = domain or row.get("domain", "")
    if not isinstance(domain, str) or not domain:
        raise UserError(f"{where}: domain is missing; name it in the row or in data.sources")
    answer = row.get("answer", "")
    return Prompt(
        id=str(row.get("id", where)),
        domain=_name(domain, "domain", where),
        task=_name(str(row.get("task", domain)), "task", where),
        content=_content(row.get("prompt"), where),
        answer=answer if isinstance(answer, str) else json.dumps(answer),
        metadata=_metadata(row.get("metadata", {}), where),
        verifier=str(row.get("verifier", "")),
    )


def _name(text: str, field: str, where: str) -> str:
    """A domain or task, which is a part of the names of metrics."""
    if "/" in text or text == "mean":
        raise UserError(
            f'{where}: {field} = {text}: must not contain "/" nor be "mean", for metrics are named after it'
        )
    return text


def _content(prompt: Any, where: str) -> str | tuple[Mapping[str, str], ...]:
    if isinstance(prompt, str) and prompt:
        return prompt
    if isinstance(prompt, list) and prompt and all(_is_message(message) for message in prompt):
        return tuple(prompt)
    raise UserError(f'{where}: prompt must be a text or a list of {{"role": ..., "content": ...}} messages')


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and all(isinstance(message.get(key), str) for key in ("role", "content"))


def _metadata(metadata: Any, where: str) -> dict[str, Any]:
    if not isinstance(metadata, dict):
        raise UserError(f"{where}: metadata must be an object, not {type(metadata).__name__}")
    level = metadata.get("level", 0)
    if not isinstance(level, int) or isinstance(level, bool):
        raise UserError(f"{where}: metadata.level = {level!r}: must be an integer")
    return metadata
