"""One reader for files of every format: the same rows, and the place of each."""

import gzip
import json
import sys

import pyarrow
import pyarrow.ipc
import pytest

from prorl.config import Source
from prorl.errors import UserError
from prorl.prompts.sources import read_rows
from prorl.prompts.tables import BrokenRow, TableRow, read_table, table_format
from raw_rows import write_parquet

ROWS = [{"a": f"text {number}, with\nlines", "b": "\N{GREEK SMALL LETTER PI}" * number} for number in range(200)]


def write_as(path):
    """`ROWS` in the format of the suffix; the line of each row, or 0."""
    table = pyarrow.Table.from_pylist(ROWS)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    name = path.name
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(table, path, row_group_size=7)
    elif name.endswith("stream.arrow"):
        with pyarrow.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
    elif name.endswith(".arrow"):
        with pyarrow.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    elif name.endswith(".csv"):
        path.write_text("a,b\r\n" + "".join(f'"{row["a"]}",{row["b"]}\r\n' for row in ROWS), newline="")
    elif name.endswith(".json"):
        path.write_text(json.dumps(ROWS, indent=1, ensure_ascii=False))
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    elif name.endswith(".zst"):
        with pyarrow.output_stream(str(path), compression="zstd") as file:
            file.write(lines.encode())
    else:
        path.write_text(lines)


NAMES = ["r.jsonl", "r.jsonl.gz", "r.jsonl.zst", "r.json", "r.csv", "r.parquet", "r.arrow", "stream.arrow"]


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_same_rows(tmp_path, name):
    write_as(tmp_path / name)
    rows = list(read_table(tmp_path / name))
    assert [row.value for row in rows] == ROWS
    places = {
        "r.jsonl": f"{tmp_path}/r.jsonl:3",
        "r.json": f"{tmp_path}/r.json:10",  # "[", then four lines a row
        "r.csv": f"{tmp_path}/r.csv:6",  # the header, then two lines a row
        "r.parquet": f"{tmp_path}/r.parquet, row 3",
    }
    assert rows[2].where == places.get(name, rows[2].where)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_was_cut_off_is_refused(tmp_path, name):
    path = tmp_path / name
    write_as(path)
    path.write_bytes(path.read_bytes()[:-9])
    if name == "r.jsonl":
        last = list(read_table(path))[-1]
        assert isinstance(last, BrokenRow)
        return
    with pytest.raises(UserError, match=rf"{name}.* (cannot be read|not a JSON object)"):
        list(read_table(path))


def test_rows_of_json_may_follow_each_other_and_be_broken(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"a": 1}\n{"a": 2}\n7 {"a": 3}')
    assert list(read_table(path)) == [
        TableRow(f"{path}:1", {"a": 1}),
        TableRow(f"{path}:2", {"a": 2}),
        BrokenRow(f"{path}:3", "a row must be a JSON object, not int"),
        TableRow(f"{path}:3", {"a": 3}),
    ]
    path.write_text('[{"a": 1},\n{"a": ]')
    with pytest.raises(UserError, match=r"r.json:2: not a JSON object"):
        list(read_table(path))


def test_a_value_across_the_pieces_that_are_read_is_whole(tmp_path):
    long = [{"a": "x" * 3_000_000, "n": 1}, {"a": "\N{GRINNING FACE}" * 700_000, "n": 2}]
    path = tmp_path / "r.json"
    path.write_text(json.dumps(long, ensure_ascii=False))
    assert [row.value for row in read_table(path)] == long


def test_a_row_of_csv_with_too_few_or_too_many_fields_is_broken(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    rows = list(read_table(path))
    assert rows[1:3] == [BrokenRow(f"{path}:{line}", "must have 2 fields, as the header") for line in (3, 4)]
    assert rows[3] == TableRow(f"{path}:5", {"a": "7", "b": "8"})


def test_a_file_of_parquet_that_is_none(tmp_path):
    path = tmp_path / "r.parquet"
    path.write_text("{}")
    with pytest.raises(UserError, match=r"r.parquet: cannot be read .*is it complete\?"):
        list(read_table(path))


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    write_as(tmp_path / "r.parquet")
    monkeypatch.delitem(sys.modules, "prorl.prompts.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'prorl\[tasks\]'"):
        list(read_table(tmp_path / "r.parquet"))


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.JSONL", ".jsonl"), ("a.b.json.gz", ".json"), ("a.parquet.gz", ""), ("a.txt", ""), ("gz", ""), ("a.gz", "")],
)
def test_formats(tmp_path, name, format_):
    assert table_format(tmp_path / name) == format_


def test_prompt_rows_from_parquet(tmp_path):
    """Metadata as JSON text or as a struct; null is as left out."""
    base = {"domain": "math", "prompt": "x?", "answer": "1", "verifier": None, "id": None}
    text = write_parquet(tmp_path / "text.parquet", [base | {"metadata": '{"level": 3, "note": null}'}])
    structs = [base | {"metadata": {"level": 4, "unit": None}}, base | {"metadata": {"level": 5, "unit": "m"}}]
    struct = write_parquet(tmp_path / "struct.parquet", structs)
    chat = write_parquet(tmp_path / "chat.parquet", [base | {"prompt": [{"role": "user", "content": "y?"}]}])
    (prompt,) = read_rows(Source(source=str(text)))
    assert (prompt.id, prompt.verifier, dict(prompt.metadata)) == (f"{text}, row 1", "", {"level": 3, "note": None})
    assert [dict(row.metadata) for row in read_rows(Source(source=str(struct)))] == [
        {"level": 4},
        {"level": 5, "unit": "m"},
    ]
    (prompt,) = read_rows(Source(source=str(chat)))
    assert prompt.content == ({"role": "user", "content": "y?"},)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"metadata": "{"}, "row 1: metadata: not JSON text"),
        ({"metadata": "[1]"}, "row 1: metadata must be an object, not list"),
        ({"answer": b"bytes"}, "row 1: .*bytes is not JSON serializable; a column must hold text"),
        ({"surprise": 1}, "row 1: unknown field surprise"),
    ],
)
def test_wrong_rows_of_parquet_are_named(tmp_path, fields, words):
    path = write_parquet(tmp_path / "r.parquet", [{"domain": "math", "prompt": "x?"} | fields])
    with pytest.raises(UserError, match=words):
        read_rows(Source(source=str(path)))
