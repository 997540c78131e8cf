"""Stage 1, data sets: prompt rows into files: JSON Lines, Parquet, and the Parquet that verl reads."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from prorl.datasets.record import Row
from prorl.durable import replace_file, sync
from prorl.errors import UserError
from prorl.prompts.tables import PARQUET, parquet_module, table_format
from prorl.records import Prompt

GROUP_ROWS = 512
"""Rows that a Parquet file is written by."""
_FIELDS = ("id", "domain", "task", "prompt", "answer", "metadata", "verifier")
_VERL_INFO = ("split", "id", "domain", "task", "verifier", "metadata")


def check_output(path: Path) -> None:
    """UserError: rows cannot be written under that name."""
    if table_format(path) not in WRITERS or path.suffix not in WRITERS:
        raise UserError(f"--out {path}: must end in {' or '.join(WRITERS)}")
    if path.suffix == PARQUET:
        parquet_module()


def write_rows(path: Path, rows: Callable[[], Iterable[Row]]) -> None:
    """Write rows, all or none, in the format of the suffix. `rows` gives them anew each time it is called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[path.suffix](path, rows)


def row_line(row: Row) -> bytes:
    """The row as a line of JSON, the same bytes for the same row."""
    return json.dumps({name: row[name] for name in _FIELDS if name in row}, ensure_ascii=False).encode() + b"\n"


def write_verl(path: Path, prompts: Iterable[Prompt], split: str) -> None:
    """Write prompts in verl's columns: data_source, prompt, ability, reward_model, extra_info."""
    info = {"index": "integer"} | dict.fromkeys(_VERL_INFO, "text")
    columns = {
        "data_source": "text",
        "prompt": "messages",
        "ability": "text",
        "reward_model": {"style": "text", "ground_truth": "text"},
        "extra_info": info,
    }
    rows = (verl_row(prompt, index, split) for index, prompt in enumerate(prompts))
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_parquet(path, columns, rows)


def verl_row(prompt: Prompt, index: int, split: str) -> Row:
    """A prompt as verl has it. `extra_info.metadata` is JSON text, for its keys differ from row to row."""
    return {
        "data_source": str(prompt.metadata.get("data_source") or prompt.metadata.get("source") or prompt.task),
        "prompt": _messages(prompt.content if isinstance(prompt.content, str) else list(prompt.content)),
        "ability": prompt.domain,
        "reward_model": {"style": "rule", "ground_truth": prompt.answer},
        "extra_info": {
            "index": index,
            "split": split,
            "id": prompt.id,
            "domain": prompt.domain,
            "task": prompt.task,
            "verifier": prompt.verifier,
            "metadata": json.dumps(dict(prompt.metadata), ensure_ascii=False),
        },
    }


def _write_lines(path: Path, rows: Callable[[], Iterable[Row]]) -> None:
    replace_file(path, map(row_line, rows()))


def _write_columns(path: Path, rows: Callable[[], Iterable[Row]]) -> None:
    """Prompts are a column of text; where any row has messages, all have them."""
    has_messages = any(not isinstance(row["prompt"], str) for row in rows())
    columns = dict.fromkeys(_FIELDS, "text") | ({"prompt": "messages"} if has_messages else {})

    def flat(row: Row) -> Row:
        answer, metadata = row.get("answer", ""), row.get("metadata", {})
        return row | {
            "prompt": _messages(row["prompt"]) if has_messages else row["prompt"],
            "answer": answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False),
            "metadata": json.dumps(metadata, ensure_ascii=False),
        }

    _write_parquet(path, columns, map(flat, rows()))


def _write_parquet(path: Path, columns: dict[str, Any], rows: Iterable[Row]) -> None:
    aside = path.with_name(f"{path.name}.tmp")
    try:
        parquet_module().write_parquet(aside, columns, _groups(rows))
        sync(aside)
        aside.replace(path)
        sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while group := list(itertools.islice(iterator, GROUP_ROWS)):
        yield group


def _messages(content: Any) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}] if isinstance(content, str) else [dict(item) for item in content]


WRITERS: dict[str, Callable[[Path, Callable[[], Iterable[Row]]], None]] = {
    ".jsonl": _write_lines,
    PARQUET: _write_columns,
}
