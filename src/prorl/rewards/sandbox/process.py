"""Stage 3, rewards: the host's handle of one sandboxed interpreter: starts it, gives it orders, ends it with all in it.

What the interpreter may do is `confinement.py`'s affair, what its answers mean `local.py`'s.
"""

import contextlib
import marshal
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prorl.rewards.sandbox.interface import SandboxUnavailable
from prorl.rewards.sandbox.interpreter import ENVIRONMENT

START_SECONDS = 8.0
"""For the interpreter to start on a busy machine."""
END_SECONDS = 0.5
"""For the harness to end its test and leave."""
MAX_ANSWER_BYTES = 1 << 16
MARSHAL_VERSION = 2
"""Every Python reads it."""


def marshalled(message: object) -> bytes:
    """For the harness. ValueError: it holds something that is no number, text, list or the like."""
    return marshal.dumps(message, MARSHAL_VERSION)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start an interpreter. The number of its end of the channel is appended to `command`."""

    command: tuple[str, ...]
    descriptors: tuple[int, ...]
    setup: Mapping[str, object]
    user: int | None = None
    """Whom to become before; None where the harness does that itself."""


class SandboxProcess:
    """One interpreter in its confinement, in its own process group."""

    def __init__(self, launch: Launch) -> None:
        """Start it and wait until it has given up its rights. SandboxUnavailable: it could not."""
        self.channel, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = os.memfd_create("errors")
        try:
            with far_end:
                self._popen = subprocess.Popen(
                    [*launch.command, str(far_end.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._errors,
                    pass_fds=[far_end.fileno(), *launch.descriptors],
                    env=ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,
                    user=launch.user,
                    group=launch.user,
                    extra_groups=None if launch.user is None else [],
                )
        except OSError as error:
            self.channel.close()
            os.close(self._errors)
            raise SandboxUnavailable(f"{launch.command[0]} does not start: {error}") from None
        try:
            self.order(launch.setup)
            if self.answer(START_SECONDS) != "ready":
                raise SandboxUnavailable(f"the sandbox does not start: {self._last_words()}")
        except BaseException:
            self.close()
            raise

    def order(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Tell the harness; where it has gone, its next answer is missing."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self.channel, [marshalled(message)], list(descriptors))

    def answer(self, seconds: float) -> str | None:
        """The harness's next line; empty where it has gone, None where it did not come in time."""
        self.channel.settimeout(max(seconds, 0.001))
        try:
            line = self.channel.recv(MAX_ANSWER_BYTES).decode(errors="replace")
        except TimeoutError:
            return None
        except ConnectionResetError:
            return ""
        return line

    def close(self) -> None:
        """End it and whatever runs in it."""
        self.channel.close()
        # Each process of the chain ends when the channel closes, and reaps the next: so nothing is left to process 1.
        self._wait(END_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        os.close(self._errors)

    def _wait(self, seconds: float) -> None:
        """For its end, and no longer than this."""
        watch = os.pidfd_open(self._popen.pid)
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.poll(1000 * seconds)
        os.close(watch)

    def _last_words(self) -> str:
        self._wait(END_SECONDS)
        lines = os.pread(self._errors, MAX_ANSWER_BYTES, 0).decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else f"it ended with code {self._popen.poll()}"
