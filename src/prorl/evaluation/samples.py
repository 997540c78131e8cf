"""Stage 7, the sample store: every judged sample of one model, kept as it comes, so that a measurement can go on.

One SQLite file holds one stream: the samples of one model in one role under one seed and one sampling setting. It only
grows; a sample has one place, (problem, index), and is written once. It draws and judges nothing.
"""

import errno
import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from prorl.durable import explained
from prorl.errors import RunFailed, UserError
from prorl.evaluation.estimators import solved_at
from prorl.records import OUTCOMES, FinishReason, Outcome

APPLICATION_ID = 0x50524F4C
VERSION = 1
MAX_SAMPLES = 1 << 20
"""Of a problem: a sample's key is problem * MAX_SAMPLES + index."""
ENDING = ".sqlite"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
_FINISHES: tuple[FinishReason, FinishReason] = ("stop", "length")
_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE stream (settings TEXT NOT NULL);
CREATE TABLE problem (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL);
CREATE TABLE sample (
  key INTEGER PRIMARY KEY, strict REAL NOT NULL, strict_outcome INTEGER NOT NULL, tolerant REAL NOT NULL,
  tolerant_outcome INTEGER NOT NULL, finish INTEGER NOT NULL, num_tokens INTEGER NOT NULL, logprob REAL NOT NULL,
  answer TEXT NOT NULL, text TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What a sample depends on besides its problem and index: the key of a store."""

    model: str
    """Digest of the weights."""
    role: str
    """`base`, `trained` or a checkpoint's step: part of the random streams, so that equal models are sampled anew."""
    seed: int
    temperature: float
    top_p: float
    max_tokens: int
    computed: str = ""
    """Engine and type of the numbers that it is computed with."""
    judges: str = ""
    """Reward functions of the user's own."""

    @property
    def settings(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def file_name(self) -> str:
        return f"{self.role}-{hashlib.sha256(self.settings.encode()).hexdigest()[:16]}{ENDING}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One response with both verdicts."""

    index: int
    text: str
    num_tokens: int
    finish: FinishReason
    logprob: float
    """Sum over its tokens, in nats, under the distribution it was drawn from."""
    strict: float
    strict_outcome: Outcome
    tolerant: float
    tolerant_outcome: Outcome
    answer: str = ""
    """Equal for equal answers to one problem; empty where the verifier names none."""


class SampleStore:
    """The samples of one stream. One process writes to a store at a time; others may read it."""

    def __init__(self, folder: Path, stream: Stream, problems: Mapping[str, str]) -> None:
        """Open or create the stream's file in the folder, for problems given as id -> digest of all they consist of.

        UserError: the file is not such a store, is another stream's, is damaged, is in use, or holds samples of a
        problem that has changed since.
        """
        self.path = folder / stream.file_name
        self._lock = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise UserError(f"{self.path}: another process is sampling into it; wait for it or end it") from None
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise explained(error, str(self.path), lambda: "make room and start again to go on") from None
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise UserError(f"{folder}: cannot write samples there ({reason}); choose another folder") from None
        try:
            self._open(stream, problems)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, stream: Stream, problems: Mapping[str, str]) -> None:
        try:
            self._database = sqlite3.connect(self.path, isolation_level=None)
        except sqlite3.Error as error:
            raise unusable(self.path, error) from None
        try:
            # SQLite's word, not the file's size: it first takes back what a process did not live to commit.
            if self._database.execute("PRAGMA page_count").fetchone() == (0,):
                self._create(stream)
            check_store(self._database, self.path, stream.settings)
            known = self._known(problems)
            self._database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
            self._numbers = self._register(problems, known)
        except sqlite3.Error as error:
            self._database.close()
            raise unusable(self.path, error) from None
        except BaseException:
            self._database.close()
            raise

    def _create(self, stream: Stream) -> None:
        settings = stream.settings.replace("'", "''")
        self._database.executescript(f"BEGIN; {_SCHEMA} INSERT INTO stream VALUES ('{settings}'); COMMIT;")

    def _known(self, problems: Mapping[str, str]) -> dict[str, int]:
        """The number of each problem asked before. UserError: the file is damaged, or a problem has changed."""
        (found,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise _not_a_store(self.path, found)
        known = {id: (number, digest) for number, id, digest in self._database.execute("SELECT * FROM problem")}
        for id, digest in problems.items():
            if id in known and known[id][1] != digest:
                raise UserError(
                    f"{self.path}: problem {id} is not the one that its samples answer (its text, answer or template "
                    "has changed); sample into another folder"
                )
        return {id: number for id, (number, _) in known.items()}

    def _register(self, problems: Mapping[str, str], known: Mapping[str, int]) -> dict[str, int]:
        """The number of each problem; new ones are added."""
        first = 1 + max(known.values(), default=0)
        added = {id: first + place for place, id in enumerate(id for id in problems if id not in known)}
        with _transaction(self._database):
            rows = [(number, id, problems[id]) for id, number in added.items()]
            self._database.executemany("INSERT INTO problem VALUES (?, ?, ?)", rows)
        return {id: added[id] if id in added else known[id] for id in problems}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        with suppress(sqlite3.Error):
            self._database.execute("PRAGMA journal_mode = DELETE")
        with suppress(sqlite3.Error):
            self._database.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def add(self, samples: Iterable[tuple[str, Sample]]) -> None:
        """Write samples, each with its problem's id: all of them or, at a kill, none. A place is written once."""
        rows = [_row(self._numbers[id], sample) for id, sample in samples]
        try:
            with _transaction(self._database):
                self._database.executemany("INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.IntegrityError:
            raise AssertionError(f"{self.path}: a sample was drawn twice") from None
        except sqlite3.Error as error:
            raise unusable(self.path, error) from None

    def solved(self, threshold: float) -> dict[str, dict[int, bool]]:
        """By problem id and index: whether the strict verdict reaches the threshold."""
        ids = {number: id for id, number in self._numbers.items()}
        found: dict[str, dict[int, bool]] = {id: {} for id in self._numbers}
        try:
            rows = self._database.execute("SELECT key, strict FROM sample ORDER BY key").fetchall()
        except sqlite3.Error as error:
            raise unusable(self.path, error) from None
        right = solved_at(np.array([strict for _, strict in rows]), threshold).tolist()
        for (key, _), solves in zip(rows, right, strict=True):
            number, index = divmod(key, MAX_SAMPLES)
            if number in ids:
                found[ids[number]][index] = solves
        return found


class _transaction:
    """BEGIN and COMMIT around the block; ROLLBACK when it raises."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._database.execute("COMMIT")
        else:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")


def read_samples(path: Path, ids: Iterable[str]) -> Iterator[tuple[str, list[Sample]]]:
    """Each of these problems with its samples by rising index, in the order given; nobody is kept from writing.

    UserError: the file is no store, or lacks one of the problems.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such sample store; name the folder of a measurement")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            check_store(database, path)
            numbers = {id: number for number, id in database.execute("SELECT number, id FROM problem")}
            for id in ids:
                if id not in numbers:
                    raise UserError(f"{path}: has no problem {id}; measure again into this folder")
                first = numbers[id] * MAX_SAMPLES
                query = "SELECT * FROM sample WHERE key >= ? AND key < ? ORDER BY key"
                yield id, [_sample(row) for row in database.execute(query, (first, first + MAX_SAMPLES))]
    except sqlite3.Error as error:
        raise unusable(path, error) from None


def check_store(database: sqlite3.Connection, path: Path, settings: str = "") -> dict[str, Any]:
    """The stream's settings of a store; UserError where the file is none, or not the stream of these settings."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise UserError(f"{path}: not a sample store of prorl; move it away or name another folder")
    if version != VERSION:
        raise UserError(f"{path}: a sample store of version {version}, this prorl reads {VERSION}; name another folder")
    found = [text for (text,) in database.execute("SELECT settings FROM stream")]
    if len(found) != 1 or (settings and found[0] != settings):
        raise UserError(f"{path}: holds the samples of another model or setting; move it away or name another folder")
    try:
        return dict(json.loads(found[0]))
    except (ValueError, TypeError):
        raise _not_a_store(path, "its settings are not JSON") from None


def unusable(path: Path, error: sqlite3.Error) -> UserError | RunFailed:
    """What to raise for what SQLite says of a store."""
    # Python's own complaints, as of a text that is not UTF-8, have no name.
    text, name = str(error), vars(error).get("sqlite_errorname", "")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return RunFailed(f"{path}: {text}; what was written is kept: make room and start again to go on")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return UserError(f"{path}: cannot be written ({text}); make its folder writable or name another one")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return UserError(
            f"{path}: another program is reading or writing it ({text}); close it and start again to go on"
        )
    return _not_a_store(path, text)


def _not_a_store(path: Path, reason: str) -> UserError:
    return UserError(f"{path}: not a sample store of prorl, or damaged ({reason}); move it away or name another folder")


def problem_digest(parts: Sequence[object]) -> str:
    """Digest of all that a problem consists of, from values that JSON can hold."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _row(number: int, sample: Sample) -> tuple[object, ...]:
    assert 0 <= sample.index < MAX_SAMPLES, sample.index
    return (
        number * MAX_SAMPLES + sample.index,
        sample.strict,
        OUTCOMES.index(sample.strict_outcome),
        sample.tolerant,
        OUTCOMES.index(sample.tolerant_outcome),
        _FINISHES.index(sample.finish),
        sample.num_tokens,
        sample.logprob,
        sample.answer,
        sample.text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    )


def _sample(row: Sequence[Any]) -> Sample:
    key, strict, strict_outcome, tolerant, tolerant_outcome, finish, num_tokens, logprob, answer, text = row
    return Sample(
        index=key % MAX_SAMPLES,
        text=text,
        num_tokens=num_tokens,
        finish=_FINISHES[finish],
        logprob=logprob,
        strict=strict,
        strict_outcome=OUTCOMES[strict_outcome],
        tolerant=tolerant,
        tolerant_outcome=OUTCOMES[tolerant_outcome],
        answer=answer,
    )
