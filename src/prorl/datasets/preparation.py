"""Stage 1, data sets: one source into one clean file with its manifest.

Work is done in `OUT.partial`: `candidates.jsonl` (rows that the cheap checks leave, whole or not there), `gold.jsonl`
(verdicts, appended) and, for generated sources, a file a task. A run that was interrupted goes on with what is there
and ends with the same bytes; the folder goes when the output is written.
"""

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prorl.datasets.cleaning import Cleaner, Options, Tally
from prorl.datasets.gold import UNKNOWN, GoldCheck
from prorl.datasets.hub import Located
from prorl.datasets.manifest import Entry, is_current, versions
from prorl.datasets.output import row_line, write_rows
from prorl.datasets.overlap import read_overlaps
from prorl.datasets.record import Dataset, Files, Generated, Row
from prorl.durable import explained, replace_file, sha256
from prorl.errors import UserError
from prorl.prompts.sources import parse_row
from prorl.records import Prompt

BATCH = 256
"""Gold answers judged at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One source, where its files are, and where the rows go."""

    dataset: Dataset
    located: Located
    out: Path
    options: Options
    workers: int = 1
    sandbox: str = "auto"
    overwrite: bool = False

    @property
    def work(self) -> Path:
        return self.out.with_name(f"{self.out.name}.partial")


def prepare(job: Job, known: Entry, note: Callable[[str], None], progress: Callable[[str], None]) -> Entry:
    """Make the file; returns its entry of a manifest. `known` is the entry that stands there already, or empty."""
    request = _request(job)
    if known and is_current(known, request, job.out):
        note(f"{job.out}: prepared already, {known['output']['rows']} rows")
        return known
    if job.out.exists() and not job.overwrite:
        raise UserError(f"--out {job.out}: exists, made otherwise; remove it, choose another name, or use --overwrite")
    try:
        job.out.parent.mkdir(parents=True, exist_ok=True)
        _open_work(job.work, request, note)
        tally, overlaps = _candidates(job, progress)
        kept, gold = _chosen(job, tally, progress)
        _write(job, kept)
        entry = _entry(job, request, tally, len(kept)) | {"gold": gold, "overlaps": overlaps}
    except OSError as error:
        raise explained(error, str(job.out), lambda: "what is done is kept: run the same command again") from error
    return entry


def finish(job: Job) -> None:
    """Remove what an interruption would have needed; for when the manifest is written."""
    shutil.rmtree(job.work, ignore_errors=True)


def _request(job: Job) -> Entry:
    """Everything that the output's bytes depend on."""
    origin, options = job.dataset.origin, job.options
    inputs = [{"name": name, "bytes": path.stat().st_size, "sha256": sha256(path)} for name, path in job.located.files]
    columns: dict[str, list[str]] = {}
    hub = ""
    if isinstance(origin, Files):
        columns = {name: list(known) for name, known in origin.columns.items()}
        hub = origin.hub if job.located.revision else ""
    return {
        "source": job.dataset.name,
        "hub": hub,
        "revision": job.located.revision,
        "inputs": inputs,
        "columns": columns,
        "domain": job.dataset.domain,
        "limit": options.limit,
        "seed": options.seed,
        "gold_check": options.gold_check,
        "skip_bad_rows": options.skip_bad_rows,
        "max_prompt_characters": options.max_prompt_characters,
        "against": sorted([path.stem, sha256(path)] for path in options.against),
        "versions": versions(),
    }


def _open_work(work: Path, request: Entry, note: Callable[[str], None]) -> None:
    """Keep the folder of the same request, clear that of another."""
    file = work / "request.json"
    text = json.dumps(request, sort_keys=True).encode()
    if file.exists() and file.read_bytes() == text:
        note(f"{work.name}: going on with what an interrupted run left")
        return
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    replace_file(file, [text])


def _candidates(job: Job, progress: Callable[[str], None]) -> tuple[Tally, dict[str, Any]]:
    """Write the rows that the cheap checks leave, unless they are there. The tally, and the overlaps by suite."""
    file, summary = job.work / "candidates.jsonl", job.work / "candidates.json"
    if not file.exists():
        cleaner = Cleaner(job.dataset, job.options, read_overlaps(job.options.against))
        aside = job.work / "candidates.tmp"
        with aside.open("wb") as lines:
            for row in cleaner.rows(_files(job, progress), progress):
                lines.write(row_line(row))
        overlaps = {"rows": dict(sorted(cleaner.overlaps.counts.items())), "examples": cleaner.overlaps.examples}
        replace_file(summary, [json.dumps([cleaner.tally.as_json(), overlaps]).encode()])
        aside.replace(file)
    tally, overlaps = json.loads(summary.read_bytes())
    return Tally.from_json(tally), overlaps


def _files(job: Job, progress: Callable[[str], None]) -> list[Path]:
    """The files of raw rows; those of a generated source are made first, as far as they are not there."""
    origin = job.dataset.origin
    if not isinstance(origin, Generated):
        return [path for _, path in job.located.files]
    parts = []
    for number, task in enumerate(origin.tasks, 1):
        part = job.work / f"task-{task}.jsonl"
        if not part.exists():
            progress(f"{job.dataset.name}: {task}, task {number} of {len(origin.tasks)}")
            replace_file(part, map(row_line, origin.generate(task, job.options.seed)))
        parts.append(part)
    return parts


def _chosen(job: Job, tally: Tally, progress: Callable[[str], None]) -> tuple[list[int], dict[str, int]]:
    """The places in `candidates.jsonl` of the rows to keep, in order, and how many gold answers were judged.

    Of more rows than the limit those with the lowest random numbers are taken, each number drawn from the seed and the
    row, so that gold answers are judged for as many rows as it takes.
    """
    file, limit = job.work / "candidates.jsonl", job.options.limit
    places = _places(file, job.options.seed, shuffled=bool(limit))
    kept: list[int] = []
    gold = {"verified": 0, "unknown": 0}
    looked = 0
    with GoldCheck(job.work / "gold.jsonl", workers=job.workers, sandbox=job.sandbox) as check:
        for batch in _batches(places, BATCH):
            if limit and len(kept) >= limit:
                break
            prompts = list(_prompts_at(file, batch))
            outcomes = check.outcomes(prompts) if job.options.gold_check else [UNKNOWN] * len(prompts)
            for place, prompt, outcome in zip(batch, prompts, outcomes, strict=True):
                if limit and len(kept) >= limit:
                    break
                looked += 1
                if outcome not in ("correct", UNKNOWN):
                    tally.drop(f"gold answer not accepted ({outcome})", prompt.id)
                    continue
                gold["unknown" if outcome == UNKNOWN else "verified"] += 1
                kept.append(place)
            progress(f"{job.dataset.name}: {looked} of {len(places)} gold answers, {len(kept)} rows kept")
    if len(places) > looked:
        tally.dropped["not drawn"] = len(places) - looked
    if not kept:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(tally.dropped.items()))
        raise UserError(f"{job.dataset.name}: no row is left of {tally.read} ({reasons or 'the files are empty'})")
    return sorted(kept), gold


def _places(file: Path, seed: int, *, shuffled: bool) -> list[int]:
    """Where each line begins, in the order of the file or of the lines' random numbers."""
    places: list[tuple[bytes, int]] = []
    position = 0
    with file.open("rb") as lines:
        for line in lines:
            key = hashlib.blake2b(line, digest_size=8, key=str(seed).encode()).digest() if shuffled else b""
            places.append((key, position))
            position += len(line)
    return [place for _, place in sorted(places)]


def _batches(places: list[int], size: int) -> Iterator[list[int]]:
    iterator = iter(places)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _rows_at(file: Path, places: Iterable[int]) -> Iterator[Row]:
    with file.open("rb") as lines:
        for place in places:
            lines.seek(place)
            yield json.loads(lines.readline())


def _prompts_at(file: Path, places: Iterable[int]) -> Iterator[Prompt]:
    return (parse_row(row, file.name) for row in _rows_at(file, places))


def _write(job: Job, kept: list[int]) -> None:
    file = job.work / "candidates.jsonl"
    write_rows(job.out, lambda: _rows_at(file, kept))


def _entry(job: Job, request: Entry, tally: Tally, rows: int) -> Entry:
    dataset = job.dataset
    counts = tally.as_json()
    return {
        "kind": dataset.kind,
        "domain": dataset.domain,
        "licence": dataset.licence,
        "request": request,
        "rows": {"read": counts["read"], "kept": rows, "dropped": counts["dropped"]},
        "examples": counts["examples"],
        "output": {"rows": rows, "bytes": job.out.stat().st_size, "sha256": sha256(job.out)},
    }
