"""`prorl data`: lists sources and suites, prepares files of prompt rows, shows rows, exports them to verl."""

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from prorl.config import Source
from prorl.datasets.catalogue import DATASETS, MIXTURE, MIXTURE_FILES
from prorl.datasets.cleaning import Options
from prorl.datasets.manifest import Entry
from prorl.datasets.meter import Meter
from prorl.datasets.output import write_verl
from prorl.datasets.record import Dataset, Files, Row
from prorl.datasets.request import Request, default_output, prepare_request
from prorl.errors import UserError
from prorl.prompts import suites
from prorl.prompts.sources import column_row, parse_row, prompt_row
from prorl.prompts.suites import SUITES
from prorl.prompts.tables import PARQUET, BrokenRow, parquet_module, read_table, table_format
from prorl.records import Prompt
from prorl.shipped import MINI_BASE, mini_base_path

MAX_SHOWN_CHARACTERS = 2000


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says."""
    return ACTIONS[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    lines: list[tuple[str, ...]] = [("name", "kind", "domain", "rows", "licence", "revision", "from")]
    lines += [_line(dataset) for dataset in DATASETS.values()]
    lines += [(name, "built in", "several", "endless", "Apache-2.0", "-", "generated") for name in SUITES]
    rows = sum(limit for _, limit in MIXTURE_FILES.values())
    lines += [(MIXTURE, "mixture", "several", f"{rows}", "several", "-", f"{len(MIXTURE_FILES)} files of the paper")]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(text.rstrip() + "\n")
    return 0


def _line(dataset: Dataset) -> tuple[str, ...]:
    origin = dataset.origin
    licence = dataset.licence if dataset.commercial else f"{dataset.licence} (needs a yes)"
    rows = str(dataset.rows or "unknown")
    if isinstance(origin, Files):
        where = f"{origin.hub} (gated)" if origin.gated else origin.hub
        return (dataset.name, dataset.kind, dataset.domain, rows, licence, origin.revision[:12], where)
    return (dataset.name, dataset.kind, dataset.domain, f"up to {rows}", licence, "-", f"made by {origin.package}")


def _prepare(arguments: argparse.Namespace) -> int:
    numbers = ("limit", "max_prompt_characters", "workers", "seed")
    for name in numbers:
        if vars(arguments)[name] < (1 if name == "workers" else 0):
            raise UserError(f"data prepare: --{name.replace('_', '-')} must be at least {int(name == 'workers')}")
    options = Options(
        limit=arguments.limit,
        seed=arguments.seed,
        gold_check=not arguments.no_gold_check,
        skip_bad_rows=arguments.skip_bad_rows,
        max_prompt_characters=arguments.max_prompt_characters,
    )
    request = Request(
        name=arguments.name,
        options=options,
        out=arguments.out,
        source=arguments.source,
        revision=arguments.revision,
        accept_licence=arguments.accept_licence,
        against=tuple(arguments.against),
        decontaminate=not arguments.no_decontamination,
        columns=arguments.columns,
        domain=arguments.domain,
        workers=arguments.workers,
        sandbox=arguments.sandbox,
        overwrite=arguments.overwrite,
    )
    meter = Meter(sys.stderr)
    try:
        entries = prepare_request(request, meter)
    finally:
        meter.close()
    for name, entry in entries.items():
        sys.stdout.write(_summary(name, entry))
    return 0


def _summary(name: str, entry: Entry) -> str:
    rows, gold = entry["rows"], entry["gold"]
    lines = [f"{name}: {rows['kept']} rows of {rows['read']} ({entry['licence']})"]
    lines += [f"  {count:>8} {reason}" for reason, count in rows["dropped"].items()]
    lines += [f"  {count:>8} of these overlap {suite}" for suite, count in entry["overlaps"]["rows"].items()]
    if gold["unknown"]:
        lines.append(f"  {gold['unknown']:>8} kept without a gold answer to check")
    return "\n".join(lines) + "\n"


def _show(arguments: argparse.Namespace) -> int:
    if arguments.name == MINI_BASE:
        path = mini_base_path()
        sys.stdout.write(f"{path}\n" if arguments.path else (path / "README.md").read_text(encoding="utf-8"))
        return 0
    if arguments.path:
        raise UserError(f"data show {arguments.name} --path: only {MINI_BASE} has a folder")
    if arguments.count < 1 or arguments.seed < 0 or arguments.level < 0:
        raise UserError("data show: --count must be at least 1, --seed and --level at least 0")
    prompts = _suite_prompts(arguments) if arguments.name in SUITES else _file_prompts(arguments)
    for prompt in prompts:
        row = prompt_row(prompt) | {"prompt": prompt.content, "verifier": prompt.verifier}
        if arguments.json or not sys.stdout.isatty():
            sys.stdout.write(json.dumps(row) + "\n")
        else:
            sys.stdout.write(readable(row))
    return 0


def _suite_prompts(arguments: argparse.Namespace) -> Iterator[Prompt]:
    tasks = (arguments.task,) if arguments.task else ()
    source = Source(source=arguments.name, tasks=tasks, min_level=arguments.level, max_level=arguments.level)
    for task, level in suites.levels(source):
        for number in range(arguments.seed, arguments.seed + arguments.count):
            yield suites.generate(source.source, task, level, number)


def _file_prompts(arguments: argparse.Namespace) -> Iterator[Prompt]:
    """Rows of a prepared file from the number `--seed` on, of those that the task and level select."""
    chosen = (
        prompt
        for prompt in _rows(_prepared_file(arguments.name))
        if arguments.task in ("", prompt.task) and arguments.level in (0, prompt.level)
    )
    return itertools.islice(chosen, arguments.seed, arguments.seed + arguments.count)


def _prepared_file(name: str) -> Path:
    if Path(name).is_file():
        return Path(name)
    if name in DATASETS:
        path = default_output(DATASETS[name])
        if path.is_file():
            return path
        raise UserError(f"data show {name}: no {path}; prorl data prepare {name} makes it")
    known = ", ".join((*SUITES, MINI_BASE))
    raise UserError(f"data show {name}: must be one of {known}, a prepared data set or a file of rows")


def _rows(path: Path) -> Iterator[Prompt]:
    """The prompt rows of a file, one after the other."""
    for row in read_table(path):
        if isinstance(row, BrokenRow):
            raise UserError(f"{row.where}: {row.reason}")
        is_parquet = table_format(path) == PARQUET
        yield parse_row(column_row(row.value, row.where) if is_parquet else row.value, row.where)


def readable(row: Row) -> str:
    """A row for a person: long texts are cut."""
    head = f"--- {row['id']}  {row['domain']}/{row['task']}\n"
    content = row["prompt"]
    if isinstance(content, str):
        prompt = _cut(content)
    else:
        prompt = "\n".join(f"[{message['role']}] {_cut(message['content'])}" for message in content)
    metadata = json.dumps(row["metadata"], ensure_ascii=False)
    return f"{head}{prompt}\nanswer: {_cut(row['answer'])}\nmetadata: {_cut(metadata)}\n\n"


def _cut(text: str) -> str:
    more = len(text) - MAX_SHOWN_CHARACTERS
    shown = text if more <= 0 else f"{text[:MAX_SHOWN_CHARACTERS]} ... ({more} characters more)"
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in shown)


def _export(arguments: argparse.Namespace) -> int:
    source, out = Path(arguments.file), Path(arguments.out)
    if not source.is_file():
        raise UserError(f"data export {source}: no such file")
    if out.suffix != PARQUET:
        raise UserError(f"data export: {out} must end in {PARQUET}")
    parquet_module()
    write_verl(out, _rows(source), arguments.split)
    return 0


ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "prepare": _prepare,
    "show": _show,
    "export": _export,
}
