"""Stage 3, rewards: as whom a sandboxed program runs. Never as root."""

import functools
import os
import secrets
from pathlib import Path

from prorl.rewards.sandbox.interface import SandboxUnavailable

SLOTS = 2
"""Sandboxes of one process that run at the same time: of a program and of its examiner."""
HIGH_RANGE = (2**30, 2**23)
"""First and count. Far above what anybody gives to people; enough for hardly any two processes to share one."""
DYNAMIC_RANGE = (61184, 4336)
"""Kept free for this by convention; for a machine that knows only 65,536 users."""


def is_root() -> bool:
    return 0 in (*os.getresuid(), *os.getresgid())


def private_user(slot: int) -> int:
    """Whom the program of this process's sandbox `slot` becomes: a user of its own; 0 where we are not root anyway.

    Raises:
        SandboxUnavailable: we are root and there is nobody else to be.
    """
    if not is_root():
        return 0
    # Drawn, because containers that share a kernel may share process numbers; a user namespace has users of its own.
    for first, count, number in ((*HIGH_RANGE, _drawn(os.getpid())), (*DYNAMIC_RANGE, os.getpid())):
        user = first + (SLOTS * number + slot) % count
        if _is_mapped(user):
            return user
    raise SandboxUnavailable("this root has no other users (uid map): run as a user who is not root")


@functools.lru_cache(maxsize=1)
def _drawn(pid: int) -> int:
    """A number that stays the process's."""
    return secrets.randbelow(HIGH_RANGE[1])


def _is_mapped(user: int) -> bool:
    """In a user namespace only some numbers mean somebody."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = (int(field) for field in line.split())
        if first <= user < first + count:
            return True
    return False
