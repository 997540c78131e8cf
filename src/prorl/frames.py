"""Numbers of measurements and runs as pandas data frames, for notebooks. It measures and computes nothing.

The only module that imports `pandas`, which is the extra `frames`. What is absent in a file is missing in the frame.
"""

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from prorl.errors import UserError
from prorl.evaluation.boundary import VERSION
from prorl.evaluation.samples import ENDING, Sample, check_store, read_samples, unusable
from prorl.metrics import read_jsonl

try:
    import pandas
except ImportError as error:
    raise ImportError(f"prorl.frames needs pandas ({error}); pip install 'prorl[frames]'") from None

FILES = ("boundary.json", "eval.json")
READINGS = {"": "strict", "tolerant/": "tolerant", "corrected/": "corrected"}
PLACE = ("scope", "name", "domain", "family", "level")
STREAM = ("role", "model", "temperature", "top_p", "max_tokens", "seed")
SAMPLE = tuple(field.name for field in fields(Sample))
_CELLS = attrgetter(*SAMPLE)
_NAME = re.compile(r"(tolerant/|corrected/|)pass@(\d+)")

Place = str | Path
Entry = Mapping[str, Any]


def levels(path: Place, setting: str = "") -> pandas.DataFrame:
    """One row a level. A column is the path of its value in the file, joined by `/`: `base/pass@1`, `test/pass@1/q`.

    Of an interval there are two, as `interval/change/pass@1/low` and `.../high`. `path`: a `boundary.json`, or the
    folder of a measurement or a run. `setting`: the name of one of the file's `other_settings`. UserError: no such file
    or setting, or not a measurement of this version.
    """
    return pandas.DataFrame([_flat(entry) for entry in _part(path, setting)["levels"]])


def groups(path: Place, setting: str = "") -> pandas.DataFrame:
    """One row a group of levels: all of them, each domain, each family. Columns and arguments as `levels`."""
    return pandas.DataFrame([_flat(entry) for entry in _part(path, setting)["groups"]])


def curves(path: Place, setting: str = "") -> pandas.DataFrame:
    """One row a pass@k of a level or group, role and reading, with its intervals. Arguments as `levels`.

    Columns: scope, name, domain, family, level, role, reading, k, value; low and high (over problems); sample_low and
    sample_high (over samples of the same problems).
    """
    head = (*PLACE, "role", "reading", "k", "value", "low", "high", "sample_low", "sample_high")
    part = _part(path, setting)
    rows = [row for entry in (*part["groups"], *part["levels"]) for row in _curve(entry)]
    return _placed(rows, head)


def problems(path: Place) -> pandas.DataFrame:
    """One row a problem and role: its samples, those right, and those right in at least one reading."""
    head = ("id", "domain", "family", "level", "role", "samples", "correct", "correct_tolerant")
    rows = [
        (*(problem[name] for name in head[:4]), role, counts["n"], counts["c"], counts["tolerant"])
        for problem in _part(path)["problems"]
        for role, counts in problem.items()
        if isinstance(counts, dict)
    ]
    return pandas.DataFrame(rows, columns=list(head))


def solved(path: Place, setting: str = "") -> pandas.DataFrame:
    """One row a level or group and reading: who solved its problems at all, and what luck alone would give."""
    part = _part(path, setting)
    rows = [
        {**_place(entry), "reading": reading, **entry[name]}
        for entry in (*part["groups"], *part["levels"])
        for name, reading in (("solved", "strict"), ("tolerant/solved", "tolerant"))
        if name in entry
    ]
    return _placed(rows, (*PLACE, "reading"))


def settings(path: Place) -> pandas.DataFrame:
    """How it was measured: a name and a value a row."""
    rows = list(_flat(_part(path)["summary"]["settings"]).items())
    return pandas.DataFrame(rows, columns=["name", "value"], dtype=object)


def samples(path: Place, role: str | None = None, *, texts: bool = True) -> pandas.DataFrame:
    """One row a sample, of all stores or those of one role.

    `path`: a store, or a folder with stores or with `samples`. Columns: role, model (digest of the weights),
    temperature, top_p, max_tokens, seed, id of the problem, and the fields of `samples.Sample`. `texts`: with them,
    which are most of the memory. UserError: no store or no such role there, or a damaged store.
    """
    parts = []
    for store in _stores(Path(path)):
        stream, ids = _opened(store)
        if role in (None, stream["role"]):
            rows = [(id, *_CELLS(one)) for id, found in read_samples(store, ids) for one in found]
            frame = pandas.DataFrame(rows, columns=["id", *SAMPLE])
            frame = frame if texts else frame.drop(columns="text")
            parts.append(frame.assign(**{name: stream[name] for name in STREAM})[[*STREAM, *frame.columns]])
    if not parts:
        raise UserError(f"{path}: no samples of role {role}; name another role or leave it out for all")
    return pandas.concat(parts, ignore_index=True)


def metrics(run: Place) -> pandas.DataFrame:
    """`metrics.jsonl` of a run's folder, one row a step; docs/metrics.md says what each column is."""
    return pandas.DataFrame(_records(Path(run)))


def events(run: Place) -> pandas.DataFrame:
    """`events.jsonl` of a run's folder, one row an event: step, kind, and the numbers behind it."""
    _records(Path(run))
    return _with(read_jsonl(Path(run) / "events.jsonl"), ("step", "event"))


def validation(run: Place) -> pandas.DataFrame:
    """Validation scores of a run, long: step, scope (all, domain, level), name, family, level, score."""
    rows = []
    for record in _records(Path(run)):
        for metric, score in record.items():
            scope, *names = metric.split("/")
            if scope == "validation":
                name = "all" if names == ["mean"] else "/".join(names)
                family, level = (names[0], int(names[1])) if len(names) == 2 else (None, None)
                kind = "level" if family else "all" if name == "all" else "domain"
                rows.append((record["step"], kind, name, family, level, score))
    frame = pandas.DataFrame(rows, columns=["step", "scope", "name", "family", "level", "score"])
    return frame.astype({"level": "Int64"})


def _part(path: Place, setting: str = "") -> Entry:
    """The object of the file, or of one of its other settings."""
    result = _read(_file(Path(path)))
    if not setting:
        return result
    others = {other["name"]: other for other in result.get("other_settings", ())}
    if setting not in others:
        known = ", ".join(others) or "none; measure with --also"
        raise UserError(f"{path}: no other setting {setting!r}; it has {known}")
    found: Entry = others[setting]
    return found


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [path / name for name in FILES if (path / name).is_file()]
    if not found:
        raise UserError(f"{path}: has no {' or '.join(FILES)}; measure it with `prorl boundary` or `prorl eval`")
    return found[0]


def _read(file: Path) -> dict[str, Any]:
    try:
        result = json.loads(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); name a boundary.json or its folder") from None
    except ValueError:
        raise UserError(f"{file}: not JSON; name a boundary.json or its folder") from None
    version = result.get("version") if isinstance(result, dict) else None
    if version != VERSION:
        raise UserError(f"{file}: not a measurement of version {VERSION} (version {version}); measure again")
    return dict(result)


def _flat(value: object, path: str = "") -> dict[str, Any]:
    """Every leaf under its path; the ends of an interval are `low` and `high`, other lists count from 0."""
    if isinstance(value, Mapping):
        named: Mapping[Any, object] = value
    elif isinstance(value, list):
        is_interval = len(value) == 2 and "interval" in path
        named = dict(zip(("low", "high"), value, strict=True)) if is_interval else dict(enumerate(value))
    else:
        return {path: value}
    return {key: leaf for name, part in named.items() for key, leaf in _flat(part, f"{path}/{name}".strip("/")).items()}


def _place(entry: Entry) -> dict[str, Any]:
    return {name: entry.get(name) for name in PLACE} | {"scope": entry.get("scope", "level")}


def _curve(entry: Entry) -> Iterator[dict[str, Any]]:
    checkpoints = entry.get("checkpoints", {})
    for role in [role for role in entry["interval"] if role != "change"]:
        numbers = checkpoints[role] if role in checkpoints else entry[role]
        for name, value in numbers.items():
            if (match := _NAME.fullmatch(name)) is not None:
                low, high = entry["interval"].get(role, {}).get(name, (None, None))
                sample_low, sample_high = entry["sample_interval"].get(role, {}).get(name, (None, None))
                yield {
                    **_place(entry),
                    "role": role,
                    "reading": READINGS[match[1]],
                    "k": int(match[2]),
                    **{"value": value, "low": low, "high": high},
                    **{"sample_low": sample_low, "sample_high": sample_high},
                }


def _placed(rows: Sequence[Entry], head: Sequence[str]) -> pandas.DataFrame:
    return _with(rows, head).astype({"level": "Int64"})


def _with(rows: Sequence[Entry], head: Sequence[str]) -> pandas.DataFrame:
    """The rows with these columns first, which are there without a row too."""
    others = dict.fromkeys(name for row in rows for name in row if name not in head)
    return pandas.DataFrame(rows, columns=[*head, *others])


def _stores(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(path.glob(f"*{ENDING}")) or sorted(path.glob(f"samples/*{ENDING}"))
    if not found:
        raise UserError(f"{path}: has no sample store; name the folder of a measurement, or a file *{ENDING}")
    return found


def _opened(store: Path) -> tuple[dict[str, Any], list[str]]:
    """Of a store, what its samples depend on and the ids of its problems, in the order they came."""
    try:
        with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)) as database:
            stream = check_store(database, store)
            return stream, [id for (id,) in database.execute("SELECT id FROM problem ORDER BY number")]
    except sqlite3.Error as error:
        raise unusable(store, error) from None


def _records(run: Path) -> list[dict[str, Any]]:
    records = read_jsonl(run / "metrics.jsonl")
    if not records:
        raise UserError(f"{run}: metrics.jsonl is missing or empty; name the folder of a run that has finished a step")
    return records
