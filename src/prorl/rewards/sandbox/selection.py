"""Stage 3, rewards: which sandbox runs programs, chosen by name and only where it passes its self-test."""

import functools
import os
from collections.abc import Callable

from prorl.rewards.sandbox.confinement import (
    LANDLOCK_VERSION,
    bubblewrap_launch,
    landlock_launch,
    landlock_version,
    unsafe_launch,
)
from prorl.rewards.sandbox.identity import is_root
from prorl.rewards.sandbox.interface import Sandbox, SandboxUnavailable
from prorl.rewards.sandbox.interpreter import find_interpreter
from prorl.rewards.sandbox.local import LocalSandbox
from prorl.rewards.sandbox.remote import RemoteSandbox
from prorl.rewards.sandbox.scratch import sweep
from prorl.rewards.sandbox.selftest import require_containment

VARIABLE = "PRORL_SANDBOX"
"""Tells a verifier process the choice."""
ADDRESS_PREFIXES = ("http://", "https://")
FIX = (
    "use Linux 6.12 or later with Landlock, or install bubblewrap, or name a service (http://...); "
    "`unsafe` runs programs without isolation"
)


def open_sandbox(choice: str) -> Sandbox:
    """The sandbox of this choice: `auto`, a backend's name, or the address of a Sandbox Fusion service.

    Raises:
        SandboxUnavailable: it cannot be used here; all reasons and the fix, in one line.
    """
    sweep()
    if choice.startswith(ADDRESS_PREFIXES):
        return RemoteSandbox(choice)
    if choice in BACKENDS:
        return BACKENDS[choice]()
    if choice != "auto":
        raise SandboxUnavailable(f"no such sandbox; there are auto, {', '.join(BACKENDS)} and http(s)://ADDRESS")
    reasons = []
    for name in AUTOMATIC:
        try:
            return BACKENDS[name]()
        except SandboxUnavailable as error:
            reasons.append(f"{name}: {error}")
    raise SandboxUnavailable(f"no isolation for programs here ({'; '.join(reasons)}): {FIX}")


def worker_sandbox() -> Sandbox:
    """The sandbox of this process, as its environment says; opened once."""
    return _worker_sandbox(os.getpid(), os.environ.get(VARIABLE, "auto"))


def survey() -> list[tuple[str, bool, str]]:
    """Of each automatic backend its name, whether it can be used, and why or with what. The first usable one runs."""
    found = []
    for name in AUTOMATIC:
        try:
            sandbox = BACKENDS[name]()
        except SandboxUnavailable as error:
            found.append((name, False, str(error)))
        else:
            found.append((name, True, sandbox.description))
    return found


@functools.lru_cache(maxsize=1)
def _worker_sandbox(pid: int, choice: str) -> Sandbox:
    return open_sandbox(choice)


def _open_landlock() -> LocalSandbox:
    version = landlock_version()
    if version < LANDLOCK_VERSION:
        raise SandboxUnavailable(f"the kernel offers Landlock version {version}, not {LANDLOCK_VERSION}")
    sandbox = LocalSandbox("landlock", landlock_launch, find_interpreter(for_others=is_root()))
    require_containment(sandbox)
    return sandbox


def _open_bubblewrap() -> LocalSandbox:
    sandbox = LocalSandbox("bubblewrap", bubblewrap_launch, find_interpreter(for_others=is_root()))
    require_containment(sandbox)
    return sandbox


def _open_unsafe() -> LocalSandbox:
    return LocalSandbox("unsafe", unsafe_launch, find_interpreter(for_others=is_root()))


BACKENDS: dict[str, Callable[[], LocalSandbox]] = {
    "landlock": _open_landlock,
    "bubblewrap": _open_bubblewrap,
    "unsafe": _open_unsafe,
}
AUTOMATIC = ("landlock", "bubblewrap")
