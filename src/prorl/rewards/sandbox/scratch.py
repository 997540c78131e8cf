"""Stage 3, rewards: the folder that a program may write to, which goes when the program is done.

The owner of a folder holds a lock on it, so that one left by a killed process can be told from one in use.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "prorl-sandbox-"
UNLOCKED_SECONDS = 10.0
"""Longer than it takes to lock a folder that was just made."""


@contextlib.contextmanager
def scratch_folder(user: int) -> Iterator[str]:
    """An empty folder of this user (0: of ourselves) that only he can enter."""
    path = tempfile.mkdtemp(prefix=PREFIX)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if user:
            os.chown(path, user, user)
        yield path
    finally:
        os.close(descriptor)
        _remove(path)


def sweep() -> None:
    """Remove folders whose owners were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < UNLOCKED_SECONDS:
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
            finally:
                os.close(descriptor)


def _remove(path: str | Path) -> None:
    """As far as it goes: an unsafe program may have left folders deeper than can be walked."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(path, ignore_errors=True)
