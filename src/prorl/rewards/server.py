"""Stage 3, rewards: the program of the server that verifier processes are forked from.

It imports the built-in verifiers once, before any answer exists, and then forks a worker for each request: a worker
that replaces a killed one starts in milliseconds. It never reads an answer, imports no function of the user's and no
torch, has one thread, and reaps a worker only when it is told to, so that a worker's number stays its own until then.

Requests are JSON lines: `["start", functions, memory_mb]` with two file descriptors, answered by `["started", pid]`,
and `["reap", pid]`, answered by `["reaped", status]` as of `os.waitpid`. First of all it says `["ready"]`, or
`["failed", spec, text]` where a verifier cannot be imported.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from prorl.rewards.functions import clean, describe
from prorl.rewards.worker import Setup, main

MAX_REQUEST_BYTES = 1 << 20
MAX_FAILURE_TEXT = 1000
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSetup:
    """What the server is told on its command line, as JSON."""

    path: Sequence[str]
    """The trainer's import path."""
    verifiers: Sequence[str]
    """Modules to import at the start."""
    parent: int
    channel: int
    """File descriptor of its socket."""


def serve(setup: ServerSetup) -> None:
    """Fork workers until the trainer closes the socket."""
    die_with(setup.parent)
    sys.argv[:] = ["prorl-verifier"]
    channel = socket.socket(fileno=setup.channel)
    _silence()
    if not _preload(channel, setup.verifiers):
        return
    _say(channel, "ready")
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST_BYTES, 2)
        if not data:
            return  # the trainer is gone; the workers end with this process, or with their pipes
        match json.loads(data):
            case ["start", functions, memory_mb]:
                _say(channel, "started", _start(channel, descriptors, functions, memory_mb))
            case ["reap", pid]:
                _say(channel, "reaped", os.waitpid(pid, 0)[1])


def die_with(parent: int) -> None:
    """Be killed when the parent is, also in a busy loop; elsewhere than on Linux the closed pipe must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _silence() -> None:
    """Standard input and output are nobody's: libraries may print as they are imported."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def _preload(channel: socket.socket, modules: Sequence[str]) -> bool:
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - process boundary: whatever a library raises while it is imported
            _say(channel, "failed", module, clean(describe(error), MAX_FAILURE_TEXT))
            return False
    return True


def _start(channel: socket.socket, descriptors: Sequence[int], functions: Sequence[str], memory_mb: int) -> int:
    """Fork a worker with its two pipes; returns its process number."""
    server = os.getpid()
    pid = os.fork()
    if pid:
        for descriptor in descriptors:
            os.close(descriptor)
        return pid
    # The child never returns into the server's loop.
    status = 1
    with contextlib.suppress(BaseException):
        os.setsid()  # one kill takes what it starts, too
        die_with(server)
        channel.close()
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        main(Setup(functions=functions, memory_mb=memory_mb), *descriptors)
        status = 0
    os._exit(status)


def _say(channel: socket.socket, *fields: str | int) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        channel.sendall(json.dumps(fields).encode() + b"\n")
