"""Stage 1, data sets: a user's own file as a source: prompt rows already, or a table with a map of its columns."""

from collections.abc import Mapping
from pathlib import Path

from prorl.datasets.record import Dataset, Files, RawRow, Row
from prorl.errors import UserError
from prorl.prompts.sources import ROW_FIELDS, column_row
from prorl.prompts.tables import PARQUET, table_format


def own_dataset(path: Path, columns: Mapping[str, str], domain: str) -> Dataset:
    """The file as a data set. `columns` names the column of each field of a prompt row; the others are not read."""
    if not table_format(path):
        raise UserError(f"{path}: not a data set, and no file of rows (.jsonl, .json, .csv, .parquet, .arrow)")

    def convert(raw: RawRow) -> Row:
        fields = {name: value for name, value in raw.values.items() if value is not None}
        return column_row(fields, "") if table_format(path) == PARQUET else fields

    origin = Files(convert=convert, columns={field: (column,) for field, column in columns.items()})
    return Dataset(name=path.stem, kind="training", domain=domain, about="own rows", origin=origin, own=True)


def parse_columns(text: str) -> dict[str, str]:
    """`prompt=question,answer=gold` as a map."""
    columns: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        field, equals, column = (piece.strip() for piece in part.partition("="))
        if not (equals and column) or field not in ROW_FIELDS:
            allowed = ", ".join(sorted(ROW_FIELDS))
            raise UserError(f"--columns {part}: must be FIELD=COLUMN, where FIELD is one of {allowed}")
        columns[field] = column
    if columns and "prompt" not in columns:
        raise UserError(f"--columns {text}: names no column for the prompt; add prompt=COLUMN")
    return columns
