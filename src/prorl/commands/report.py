"""`prorl report`."""

import argparse
import sys
from pathlib import Path

from prorl.errors import UserError
from prorl.report.compare import NAME, write_comparison
from prorl.report.page import write_report
from prorl.report.watch import watch

INTERRUPTED = 130


def run(arguments: argparse.Namespace) -> int:
    """Write `report.html` of a run, or go on writing it while the run goes on; of several runs `comparison.html`.

    130 where a watch was ended by the user.
    """
    folders = [Path(folder) for folder in arguments.runs]
    try:
        if len(folders) > 1:
            return _compare(folders, arguments)
        if arguments.out:
            raise UserError(f"--out {arguments.out}: is for comparisons; the report of one run goes into its folder")
        if arguments.watch is not None:
            return _watch(folders[0], arguments.watch)
        path = write_report(folders[0])
    except OSError as error:
        raise UserError(
            f"{error.filename if len(folders) > 1 else folders[0]}: cannot read and write there ({error.strerror}); "
            "give a run's own folder, or --out for a comparison"
        ) from None
    sys.stdout.write(f"{path}\n")
    return 0


def _compare(folders: list[Path], arguments: argparse.Namespace) -> int:
    if arguments.watch is not None:
        raise UserError(f"--watch with {len(folders)} runs: one run can be watched; name one, or leave out --watch")
    path, troubles = write_comparison(folders, Path(arguments.out or NAME))
    for trouble in troubles:
        sys.stderr.write(f"prorl: left out: {' '.join(trouble.split())}\n")
    sys.stdout.write(f"{path}\n")
    return 0


def _watch(folder: Path, seconds: float) -> int:
    if not 1 <= seconds <= 3600:
        raise UserError(f"--watch {seconds:g}: must be between 1 and 3600 seconds")

    def note(text: str) -> None:
        sys.stdout.write(" ".join(text.split()) + "\n")
        sys.stdout.flush()

    note(f"{folder}: writing report.html again every {seconds:g} s while the run goes on; Ctrl-C ends it")
    return INTERRUPTED if watch(folder, seconds, note) else 0
