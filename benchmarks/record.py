"""What every benchmark shares: its common options, and a dated result file that says where it was measured.

    from record import finish, options_parser, record

Host names and paths of the machine are left out.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from prorl.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_PACKAGES = ("prorl", "torch", "transformers")
_ABSOLUTE = re.compile(r"(?<![\w.~-])/[^\s,:=]*/([^\s/,:=]+)/?")


def _commit() -> str:
    """Short hash, `-dirty` where tracked files other than results differ; `unknown` outside a checkout."""
    changed = ["git", "diff", "--quiet", "HEAD", "--", ".", ":!benchmarks/results"]
    try:
        head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        dirty = subprocess.run(changed, cwd=ROOT, capture_output=True)
    except FileNotFoundError:
        return "unknown"
    if head.returncode != 0:
        return "unknown"
    return head.stdout.strip() + ("-dirty" if dirty.returncode else "")


COMMIT = _commit()
"""Of the code that was imported: taken at the start, the tree may change while a benchmark runs."""
LOAD_AT_START = os.getloadavg()[0]


def machine() -> dict[str, Any]:
    """Hardware, versions, commit and command of this process."""
    return {
        "date": datetime.date.today().isoformat(),
        "command": command(sys.argv),
        "commit": COMMIT,
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "load_at_start": round(LOAD_AT_START, 2),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def command(arguments: Sequence[str]) -> str:
    """A command line as one types it in the repository; other absolute paths keep their last name only."""
    script, *rest = arguments
    words = [f"benchmarks/{Path(script).name}", *rest]
    return " ".join(["python", *(_ABSOLUTE.sub(r"\1", word.replace(f"{ROOT}/", "")) for word in words)])


def record(name: str, result: Mapping[str, Any], table: str) -> Path:
    """Write `benchmarks/results/<name>_<date>.json` and `.md`; gives the path of the first."""
    where = machine()
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / f"{name}_{where['date']}"
    head = "\n".join(f"- {key}: {value}" for key, value in where.items())
    stem.with_suffix(".md").write_text(f"# {name}\n\n{head}\n\n{table.strip()}\n")
    path = stem.with_suffix(".json")
    path.write_text(json.dumps({"machine": where, **result}) + "\n")
    return path


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")


def whole_number(text: str) -> int:
    """Type of an option: a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number of at least 1")
    return int(text)


def options_parser(description: str) -> argparse.ArgumentParser:
    """A parser with `--json` and `--no-record`; a wrong option is a `UserError`."""
    parser = _Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as the last line")
    parser.add_argument("--no-record", action="store_true", help="write no result file")
    return parser


def finish(options: argparse.Namespace, name: str, result: Mapping[str, Any], table: str) -> None:
    """Print the table, write the result files, and print the result, as the common options say."""
    print(table)
    if not options.no_record:
        print(f"written: {record(name, result, table).relative_to(ROOT)}")
    if options.json:
        print(json.dumps(result))


def run(main: Callable[[], None]) -> None:
    """Run a benchmark; wrong input is one line on standard error and exit code 2."""
    try:
        main()
    except UserError as error:
        sys.stderr.write(f"{Path(sys.argv[0]).name}: {error}\n")
        sys.exit(2)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
