"""Files that survive a kill or a full disk: atomic replacement, flushing, and one line for what went wrong.

Serves the checkpoint and the logs of a run. It knows nothing of what the files mean beyond the `step` of a log line.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prorl.errors import RunFailed, UserError

_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Give a file its new content, or leave it as it is: a reader never sees anything between."""
    aside = path.with_name(f"{path.name}.tmp")
    try:
        with aside.open("wb") as file:
            file.writelines(chunks)
        sync(aside)
        aside.replace(path)
        sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def truncate_jsonl(path: Path, last_step: int) -> None:
    """Cut a log back to its objects of `step` <= `last_step`, atomically; a torn last line goes too."""
    if not path.exists():
        return
    try:
        replace_file(path, _lines_until(path, last_step))
    except OSError as error:
        raise explained(error, str(path), lambda: "the file is unchanged") from error


def _lines_until(path: Path, last_step: int) -> Iterator[bytes]:
    bad = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if bad:
                raise UserError(f"{path}, line {bad} is not a JSON object with an integer `step`; remove that line")
            try:
                step = json.loads(line)["step"]
            except (ValueError, TypeError, KeyError):
                step = None
            if not isinstance(step, int):
                bad = number
            elif step <= last_step:
                yield line.rstrip(b"\r\n") + b"\n"


def system_error(error: Exception) -> int | None:
    """The operating system's number of an error, also from the text that safetensors and tokenizers raise it with."""
    if isinstance(error, OSError):
        return error.errno
    match = _RUST_ERROR.search(str(error))
    return None if match is None else int(match[1])


def explained(error: Exception, what: str, more: Callable[[], str]) -> UserError | RunFailed:
    """What to raise for a file that could not be written: the user's to fix, or the end of the run."""
    code = system_error(error)
    reason = str(error) if code is None else os.strerror(code)
    if code in _DENIED:
        return UserError(f"{what} cannot be written: {reason}; make its folder writable or choose another one")
    return RunFailed(f"{what} could not be written: {reason}; {more()}")
