"""`report.html` kept up to date while a run goes on: written again whenever the run's files have changed."""

import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from prorl.errors import UserError
from prorl.interrupt import Interrupts
from prorl.report.folder import planned_steps, read_run
from prorl.report.page import write_report

Life = Literal["running", "ended", "unknown"]
Stamp = tuple[tuple[int, int], ...]

FILES = ("metrics.jsonl", "events.jsonl", "samples.jsonl", "boundary.json", "config.toml", "environment.jsonl")
"""What the page is made from."""
LOCK = ".lock"
"""Held by the process that trains in the folder."""
MIN_SECONDS = 1.0
NAP = 0.2
"""Longest sleep between two looks at whether the user has asked to end, in seconds."""


def watch(
    folder: Path,
    seconds: float,
    note: Callable[[str], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    life: Callable[[Path], Life] | None = None,
) -> bool:
    """Write the report every `seconds` while the run goes on and its files change; True where the user ended it.

    The last page, which does not read itself again, is written when the run ends, and on Ctrl-C, SIGTERM or SIGHUP.
    What cannot be written meanwhile, as there is no step yet, is said once and tried again. UserError for a folder
    that holds no run at all, and for what is still wrong at the end.
    """
    if not folder.is_dir():
        raise UserError(f"run folder {str(folder)!r}: no such folder; name the folder of a run")
    lives, refresh = life or life_of, max(round(seconds), 1)
    seen: Stamp | None = None
    said = ""
    with Interrupts(lambda text: None) as interrupts:
        while not interrupts.requested:
            state, stamp = lives(folder), _stamp(folder)
            if state == "ended":
                break
            if stamp != seen:
                if state == "unknown" and _is_complete(folder):
                    break
                trouble = _attempt(folder, refresh)
                if trouble and trouble != said:
                    note(f"waiting: {trouble}")
                said, seen = trouble, stamp
            _wait(seconds, interrupts, sleep)
        if not interrupts.requested:
            note(f"{write_report(folder)}: the run has ended")
            return False
        note(_attempt(folder, 0) or str(folder / "report.html"))
        return True


def life_of(folder: Path) -> Life:
    """Whether a process trains in the folder; `unknown` of a copy, which has no lock.

    The lock is shared and given back at once: a run that wanted it in the same microsecond would be refused.
    """
    try:
        with (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(lock, fcntl.LOCK_UN)
    except BlockingIOError:
        return "running"
    except OSError:
        return "unknown"
    return "ended"


def _attempt(folder: Path, refresh: int) -> str:
    """Write the page; gives what was wrong, empty where nothing was."""
    try:
        write_report(folder, refresh=refresh)
    except UserError as error:
        return str(error)
    except OSError as error:
        return f"{folder}: cannot read and write there ({error.strerror})"
    return ""


def _stamp(folder: Path) -> Stamp:
    """Changes when one of the files does."""
    found = []
    for name in FILES:
        try:
            status = (folder / name).stat()
            found.append((status.st_mtime_ns, status.st_size))
        except OSError:
            found.append((0, 0))
    return tuple(found)


def _is_complete(folder: Path) -> bool:
    """Whether the run has all the steps of its recipe."""
    try:
        run = read_run(folder)
    except UserError:
        return False
    steps = planned_steps(run)
    return steps is not None and run.records[-1]["step"] >= steps


def _wait(seconds: float, interrupts: Interrupts, sleep: Callable[[float], None]) -> None:
    left = max(seconds, MIN_SECONDS)
    while left > 0 and not interrupts.requested:
        sleep(min(NAP, left))
        left -= NAP
