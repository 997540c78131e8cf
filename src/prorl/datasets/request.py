"""Stage 1, data sets: from what a user asks for to jobs: which files, which licence, which suites, which manifest."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prorl.datasets.catalogue import MIXTURE, MIXTURE_FILES, find_dataset
from prorl.datasets.cleaning import Options
from prorl.datasets.hub import Located, hub_files, local_files
from prorl.datasets.manifest import ENDING, MIXTURE_MANIFEST, VALIDATION, Entry, prepared_suites, read_manifest
from prorl.datasets.manifest import write_manifest as write
from prorl.datasets.meter import Meter
from prorl.datasets.output import check_output
from prorl.datasets.own import own_dataset, parse_columns
from prorl.datasets.preparation import Job, finish, prepare
from prorl.datasets.record import Dataset, Files
from prorl.errors import UserError

FOLDER = Path("data")
YES = ("y", "yes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`prorl data prepare` as the user gave it."""

    name: str
    options: Options
    out: str = ""
    source: str = ""
    """`--from`"""
    revision: str = ""
    accept_licence: bool = False
    against: tuple[str, ...] = ()
    decontaminate: bool = True
    columns: str = ""
    domain: str = ""
    workers: int = 1
    sandbox: str = "auto"
    overwrite: bool = False


def prepare_request(request: Request, meter: Meter, ask: Callable[[str], str] = input) -> dict[str, Entry]:
    """Make what is asked for; returns the manifest's entries of it."""
    if request.name == MIXTURE:
        return _prepare_mixture(request, meter, ask)
    dataset = _dataset(request)
    out = Path(request.out) if request.out else default_output(dataset)
    check_output(out)
    _accept([dataset], request, ask)
    manifest = out.with_name(out.name + ENDING)
    return {out.name: _prepare_one(request, dataset, out, manifest, meter)}


def default_output(dataset: Dataset) -> Path:
    """Where a source or suite is written and looked for."""
    return (FOLDER / VALIDATION if dataset.kind == "suite" else FOLDER) / f"{dataset.name}.jsonl"


def _dataset(request: Request) -> Dataset:
    path = Path(request.name)
    is_file = path.is_file() or bool(path.suffix)
    if not is_file:
        for option, value in (("--columns", request.columns), ("--domain", request.domain)):
            if value:
                raise UserError(f"{option}: only for a file of your own; {request.name} is a data set")
        return find_dataset(request.name)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if request.source or request.revision:
        raise UserError(f"--from and --revision: only for a data set; {path} is a file")
    if not request.out:
        raise UserError(f"{path}: needs --out FILE, the file to write")
    if Path(request.out).exists() and Path(request.out).samefile(path):
        raise UserError(f"--out {request.out}: is the file to read; choose another name")
    return own_dataset(path, parse_columns(request.columns), request.domain)


def _prepare_one(request: Request, dataset: Dataset, out: Path, manifest: Path, meter: Meter) -> Entry:
    """Make one file and put its entry into the manifest."""
    options = replace(request.options, against=_suites(request, dataset, out))
    job = Job(
        dataset=dataset,
        located=_locate(request, dataset, meter),
        out=out,
        options=options,
        workers=request.workers,
        sandbox=request.sandbox,
        overwrite=request.overwrite,
    )
    entries = read_manifest(manifest)
    name = out.relative_to(manifest.parent).as_posix()
    entry = prepare(job, entries.get(name, {}), meter.note, meter.progress)
    write(manifest, entries | {name: entry})
    finish(job)
    return entry


def _prepare_mixture(request: Request, meter: Meter, ask: Callable[[str], str]) -> dict[str, Entry]:
    """The paper's files, under one manifest."""
    folder = Path(request.out) if request.out else FOLDER
    if folder.suffix or folder.is_file():
        raise UserError(f"--out {folder}: must be a folder, for {MIXTURE} has {len(MIXTURE_FILES)} files")
    for option, value in (
        ("--columns", request.columns),
        ("--domain", request.domain),
        ("--revision", request.revision),
    ):
        if value:
            raise UserError(f"{option}: not for {MIXTURE}, which has several sources; prepare one of them by its name")
    datasets = {file: find_dataset(name) for file, (name, _) in MIXTURE_FILES.items()}
    _accept(list(datasets.values()), request, ask)
    if request.source:
        missing = [
            str(place)
            for place in {_folder(request, d): d for d in datasets.values() if _is_read(d)}
            if not place.exists()
        ]
        if missing:
            raise UserError(f"--from {request.source}: lacks {', '.join(missing)}: one folder a source")
    entries = {}
    for file, dataset in datasets.items():
        limits = [limit for limit in (MIXTURE_FILES[file][1], request.options.limit) if limit]
        options = replace(request.options, limit=min(limits, default=0))
        part = replace(request, options=options, source=str(_folder(request, dataset)) if request.source else "")
        entries[file] = _prepare_one(part, dataset, folder / file, folder / MIXTURE_MANIFEST, meter)
    return entries


def _is_read(dataset: Dataset) -> bool:
    return isinstance(dataset.origin, Files)


def _folder(request: Request, dataset: Dataset) -> Path:
    return Path(request.source) / (dataset.folder or dataset.name)


def _locate(request: Request, dataset: Dataset, meter: Meter) -> Located:
    origin = dataset.origin
    if not isinstance(origin, Files):
        return Located(())
    if dataset.own:
        return local_files(dataset, Path(request.name))
    if request.source:
        return local_files(dataset, Path(request.source))
    return hub_files(dataset, request.revision or origin.revision, meter.note)


def _accept(datasets: Sequence[Dataset], request: Request, ask: Callable[[str], str]) -> None:
    """UserError: a licence forbids commercial use and the user did not say yes."""
    for dataset in datasets:
        if dataset.commercial or request.accept_licence:
            continue
        text = f"{dataset.name} is licensed {dataset.licence}: not for commercial use"
        if sys.stdin.isatty() and ask(f"{text}. Go on? [y/N] ").strip().lower() in YES:
            continue
        raise UserError(f"{text}; --accept-licence says that you keep to it")


def _suites(request: Request, dataset: Dataset, out: Path) -> tuple[Path, ...]:
    """The prepared suites that no row may overlap: those named, or for training rows those beside the output."""
    if not request.decontaminate:
        if request.against:
            raise UserError("--against and --no-decontamination exclude each other")
        return ()
    if not request.against:
        found = prepared_suites(out.parent) if dataset.kind == "training" else []
        return tuple(path for path in found if path != out.resolve())
    return tuple(dict.fromkeys(_suite_file(name, out.parent) for name in request.against))


def _suite_file(name: str, folder: Path) -> Path:
    if Path(name).is_file():
        return Path(name).resolve()
    places = [place / f"{name}{ending}" for place in (folder, folder / VALIDATION) for ending in (".jsonl", ".parquet")]
    for place in places:
        if place.is_file():
            return place.resolve()
    raise UserError(f"--against {name}: no such file, and no {places[0]} or {places[2]}; prepare that suite first")
