"""The sample store: what goes in comes out, once; what is not such a store is refused."""

import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from prorl.errors import UserError
from prorl.evaluation.samples import Sample, SampleStore, Stream, read_samples

STREAM = Stream(model="m" * 32, role="base", seed=3, temperature=1.0, top_p=1.0, max_tokens=9)
PROBLEMS = {"p/0": "digest 0", "p/1": "digest 1"}


def sample(index, **fields):
    return Sample(
        **{
            "index": index,
            "text": f"text {index}",
            "num_tokens": 4,
            "finish": "stop",
            "logprob": -1.25,
            "strict": 0.0,
            "strict_outcome": "wrong",
            "tolerant": 1.0,
            "tolerant_outcome": "correct",
            "answer": "ab",
            **fields,
        }
    )


HOSTILE = ["", "\0 null \0", "'); DROP TABLE sample; --", "\U0001f600 \u202e", "x" * 100_000, "\ud800 alone"]


def filled(folder):
    with SampleStore(folder, STREAM, PROBLEMS) as store:
        store.add([("p/1", sample(index, text=text)) for index, text in enumerate(HOSTILE)])
        store.add([("p/0", sample(2, strict=0.5, strict_outcome="partial", finish="length"))])
    return store.path


def test_samples_come_back_in_the_order_of_the_problems_asked_for(tmp_path):
    path = filled(tmp_path)
    ((first, of_first), (second, of_second)) = read_samples(path, ["p/0", "p/1"])
    assert (first, second) == ("p/0", "p/1")
    assert of_first == [sample(2, strict=0.5, strict_outcome="partial", finish="length")]
    # What UTF-8 cannot hold becomes replacement marks: three bytes of a lone surrogate, three marks.
    assert [item.text for item in of_second] == [*HOSTILE[:-1], "\ufffd\ufffd\ufffd alone"]
    assert [item.index for item in of_second] == list(range(len(HOSTILE)))
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.with_suffix(".lock").name, path.name]


def test_a_place_is_written_once_and_all_or_nothing(tmp_path):
    path = filled(tmp_path)
    with SampleStore(tmp_path, STREAM, PROBLEMS) as store:
        with pytest.raises(AssertionError, match="drawn twice"):
            store.add([("p/0", sample(7)), ("p/0", sample(2))])
        assert store.solved(0.5) == {"p/0": {2: True}, "p/1": dict.fromkeys(range(len(HOSTILE)), False)}
        assert store.solved(0.6)["p/0"] == {2: False}
    assert [[item.index for item in found] for _, found in read_samples(path, ["p/0"])] == [[2]]


def test_problems_can_be_added_and_left_out_but_not_changed(tmp_path):
    filled(tmp_path)
    with SampleStore(tmp_path, STREAM, {"p/9": "digest 9", "p/1": "digest 1"}) as store:
        store.add([("p/9", sample(0))])
        assert list(store.solved(1.0)) == ["p/9", "p/1"]
    with pytest.raises(UserError, match=r"problem p/1 is not the one that its samples answer"):
        SampleStore(tmp_path, STREAM, {"p/1": "another"})
    with SampleStore(tmp_path, STREAM, PROBLEMS) as store:  # the refused one has let go of it
        assert len(store.solved(1.0)["p/1"]) == len(HOSTILE)


@pytest.mark.parametrize(
    "field",
    [
        {"model": "n" * 32},
        {"role": "trained"},
        {"seed": 4},
        {"temperature": 0.6},
        {"top_p": 0.95},
        {"max_tokens": 10},
        {"judges": "{}"},
        {"computed": "torch bfloat16"},
    ],
)
def test_every_setting_has_a_file_of_its_own(tmp_path, field):
    path = filled(tmp_path)
    with SampleStore(tmp_path, replace(STREAM, **field), PROBLEMS) as store:
        assert store.path != path
        assert store.solved(1.0) == {"p/0": {}, "p/1": {}}


def test_one_process_writes_and_others_read(tmp_path):
    with SampleStore(tmp_path, STREAM, PROBLEMS) as store:
        with pytest.raises(UserError, match="another process is sampling into it"):
            SampleStore(tmp_path, STREAM, PROBLEMS)
        store.add([("p/0", sample(0))])
        assert [len(found) for _, found in read_samples(store.path, ["p/0", "p/1"])] == [1, 0]
    with SampleStore(tmp_path, STREAM, PROBLEMS):
        pass


def foreign(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (x)")


def newer(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 2")


def of_another(path):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE stream SET settings = '{}'")


def torn(path):
    path.write_bytes(path.read_bytes()[:5000])


SPOILT = {
    "text": (lambda path: path.write_text("my notes"), "not a sample store"),
    "another database": (lambda path: (path.unlink(), foreign(path)), "not a sample store of prorl; move it away"),
    "another version": (newer, "a sample store of version 2, this prorl reads 1"),
    "another stream": (of_another, "holds the samples of another model or setting"),
    "torn": (torn, "not a sample store of prorl, or damaged"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_no_store_is_refused_in_one_line_and_left_alone(tmp_path, name):
    spoil, message = SPOILT[name]
    path = filled(tmp_path)
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(UserError, match=message) as caught:
        SampleStore(tmp_path, STREAM, PROBLEMS)
    assert "\n" not in str(caught.value)
    if name != "another stream":
        with pytest.raises(UserError, match=message):
            list(read_samples(path, ["p/0"]))
    assert path.read_bytes() == before


KILLED_WHILE_IT_CREATES = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.executescript("PRAGMA cache_size = 1; BEGIN; CREATE TABLE stream (settings TEXT);")
for _ in range(50):
    database.execute("INSERT INTO stream VALUES (?)", ("x" * 5000,))
os._exit(9)
"""


def test_a_store_whose_creation_was_killed_is_created_anew(tmp_path):
    """The file has pages that were never committed: SQLite takes them back when the file is next looked into."""
    path = tmp_path / STREAM.file_name
    assert subprocess.run([sys.executable, "-c", KILLED_WHILE_IT_CREATES, path], check=False).returncode == 9
    assert path.stat().st_size > 0
    assert path.with_name(path.name + "-journal").stat().st_size > 0
    with SampleStore(tmp_path, STREAM, PROBLEMS) as store:
        store.add([("p/0", sample(0))])
    assert [len(found) for _, found in read_samples(path, ["p/0", "p/1"])] == [1, 0]


def test_reading_what_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no such sample store"):
        list(read_samples(tmp_path / "x.sqlite", ["p/0"]))
    with pytest.raises(UserError, match="has no problem p/7"):
        list(read_samples(filled(tmp_path), ["p/7"]))
