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
        shutil.rmtree(path, ignore_errors=True)


def sweep() -> None:
    """Remove folders whose owners were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < UNLOCKED_SECONDS:
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)
