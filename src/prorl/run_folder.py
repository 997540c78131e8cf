"""A run's folder: who may write in it, and the checkpoint in it to go on from."""

import fcntl
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from prorl.checkpoint import Checkpoints
from prorl.config import Run
from prorl.distributed import each, is_first, on_first, rank
from prorl.errors import UserError
from prorl.recipe import difference, load_run, to_toml, without_placement


def beginning(checkpoints: Checkpoints, run: Run, folder: Path, resume: bool, changes: Collection[str]) -> Path | None:
    """The checkpoint to go on from; None for a run that begins, in a folder that holds none.

    Refused when the recipe has changed in more than `changes`.
    """
    if not resume:
        refuse_taken(folder)
        return None
    path = checkpoints.latest()
    if path is None and checkpoints.problems:
        raise UserError(f"no checkpoint in {checkpoints.folder} can be used: {checkpoints.problems[0]}")
    if path is None:
        return None
    before = load_run(str(path / "config.toml"))
    changed = difference(without_placement(before), without_placement(run))
    unasked = [line for line in changed if not _asked_for(line, changes)]
    if unasked:
        more = f" (and {len(unasked) - 1} more)" if len(unasked) > 1 else ""
        raise UserError(
            f"{path}: the recipe has changed since this checkpoint: {unasked[0]}{more}; "
            f"resume with the old one ({path / 'config.toml'}), or ask for the change with --set"
        )
    return path


def _asked_for(line: str, changes: Collection[str]) -> bool:
    """Whether a line of `difference`, as `phase 2: data.sources[0].weight: ...`, is about one of the options."""
    key = re.sub(r"^phase \d+: ", "", line).partition(": ")[0]
    return any(key == change or key.startswith((f"{change}.", f"{change}[")) for change in changes)


def refuse_taken(folder: Path) -> None:
    """A folder that holds another run is never overwritten."""
    try:
        str(folder).encode()  # the names of files in it go through libraries that take UTF-8 only
        taken = (folder / "config.toml").exists() or (folder / "checkpoints").exists()
    except UnicodeEncodeError:
        raise UserError(f"--out {str(folder)!r}: the name is not UTF-8; choose another folder") from None
    except OSError as error:
        raise UserError(f"--out {folder}: cannot look there ({error.strerror}); choose another folder") from None
    if taken:
        raise UserError(f"{folder}: holds a run already; go on with --resume, or choose another folder with --out")


def last_good(checkpoints: Checkpoints) -> str:
    return f"the last good checkpoint is {checkpoints.latest() or 'none'}; make room and go on with --resume"


def wait_until_free(folder: Path, seconds: float) -> None:
    """Wait for the process that has the folder to end; what `claimed` says where it does not."""
    end = time.monotonic() + seconds
    while (folder / ".lock").exists() and time.monotonic() < end:
        with (folder / ".lock").open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                time.sleep(0.2)


@contextmanager
def claimed(folder: Path, resume: bool) -> Iterator[None]:
    """Take the folder for this run, on the first rank; the system gives the lock back however the process ends."""
    if not is_first():
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(f"--out {folder}: cannot write there ({error.strerror}); choose another folder") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{folder}: another process is running in it; wait for it or stop it") from None
        if not resume:
            refuse_taken(folder)  # another process may have used it and ended since this one looked
        yield


def write_config(folder: Path, run: Run) -> None:
    """Write the resolved recipe, and see that every rank sees it."""

    def write() -> None:
        try:
            (folder / "config.toml").write_text(to_toml(run), encoding="utf-8")
        except OSError as error:
            raise UserError(f"--out {folder}: cannot write there ({error.strerror}); choose another folder") from None

    def look() -> None:
        if not (folder / "config.toml").is_file():
            raise UserError(f"--out {folder}: rank {rank()} does not see what rank 0 writes; name a shared folder")

    on_first(write)
    each(look)
