"""Stage 3, rewards: the trainer's handle of the server that verifier processes are forked from.

It starts the server, has it fork and reap workers, and starts another where it was killed. The server answers at once,
for it never judges; so these calls wait for it, within a limit.
"""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from prorl.errors import RunFailed, UserError
from prorl.rewards.server import ServerSetup

START_SECONDS = 120.0
"""For a server to import its verifiers on a busy machine, and for any answer of it."""
MAX_LOST = 5
READ_BYTES = 1 << 16
BOOT = (
    "import json, sys; setup = json.loads(sys.argv[1]); sys.path[:] = setup['path']; "
    "from prorl.rewards.server import ServerSetup, serve; serve(ServerSetup(**setup))"
)
"""A fresh interpreter, so that neither torch nor the trainer's `__main__` is in it."""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "SYMPY_GROUND_TYPES": "python",
    "MPMATH_NOGMPY": "1",
}
"""Threads cost address space, compete for cores and do not survive a fork; a fixed hash seed makes verdicts over sets
reproducible; GMP cannot be interrupted and aborts the process where memory ends."""


class ServerLostError(Exception):
    """The server was killed, or does not answer."""


class ServerProcess:
    """A server with its socket. `verifiers` are modules to import before the first fork."""

    def __init__(self, *, verifiers: Sequence[str], environment: Mapping[str, str]) -> None:
        self._verifiers = tuple(verifiers)
        self._environment = {**os.environ, **ENVIRONMENT, **environment}
        self._num_lost = 0
        self._start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def start_worker(self, functions: Sequence[str], memory_mb: int, descriptors: Sequence[int]) -> int:
        """Fork a worker that reads and writes these two pipes; its process number. A lost server is replaced."""
        while True:
            try:
                return self._ask_for_worker(functions, memory_mb, descriptors)
            except ServerLostError as error:
                self._restart(str(error))

    def kill_worker(self, pid: int, server: int) -> int | None:
        """Kill a worker with its process group; its status as of `os.waitpid`, None where its server is gone."""
        if server != self.pid or self._popen.poll() is not None:
            return None  # its worker died with it, and the number may be another's
        # Until it is reaped its number cannot belong to another process; it has no group yet in its first moment.
        for kill in (os.killpg, os.kill):
            try:
                kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        try:
            self._channel.sendall(json.dumps(["reap", pid]).encode())
            answer = self._answer()
        except (ServerLostError, OSError):
            return None
        return int(answer[1])

    def is_well(self) -> None:
        """A worker of it has begun: what was lost before does not count any more."""
        self._num_lost = 0

    def close(self) -> None:
        """Kill the server; on Linux its workers die with it."""
        self._popen.kill()
        self._popen.wait()
        self._channel.close()

    def _restart(self, reason: str) -> None:
        """Replace a lost server, several times in a row at most."""
        self.close()
        self._num_lost += 1
        if self._num_lost > MAX_LOST:
            raise RunFailed(f"the server of the verifier processes ended {MAX_LOST} times in a row: {reason}")
        try:
            self._start()
        except UserError as error:
            raise RunFailed(
                f"the server of the verifier processes ended, and cannot be started again: {error}"
            ) from None

    def _start(self) -> None:
        self._unread = b""
        self._channel, far_end = socket.socketpair()
        self._channel.settimeout(START_SECONDS)
        here = os.getcwd()
        path = [*(entry or here for entry in sys.path), here]
        setup = ServerSetup(path=path, verifiers=self._verifiers, parent=os.getpid(), channel=far_end.fileno())
        with far_end:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-c", BOOT, json.dumps(dataclasses.asdict(setup))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[far_end.fileno()],
                env=self._environment,
                start_new_session=True,  # an interrupt from the keyboard is the trainer's
            )
        try:
            answer = self._answer()
        except ServerLostError as error:
            self.close()
            raise UserError(f"the verifier processes cannot start: {error}") from None
        if answer[0] == "failed":
            self.close()
            raise UserError(
                f"the verifier {answer[1]} cannot be imported ({answer[2]}); "
                "install what it needs: pip install 'prorl[tasks]'"
            )

    def _ask_for_worker(self, functions: Sequence[str], memory_mb: int, descriptors: Sequence[int]) -> int:
        request = json.dumps(["start", list(functions), memory_mb]).encode()
        try:
            socket.send_fds(self._channel, [request], list(descriptors))
        except OSError as error:
            raise ServerLostError(str(error)) from None
        return int(self._answer()[1])

    def _answer(self) -> list[str | int]:
        """The next line the server says."""
        try:
            while b"\n" not in self._unread:
                data = self._channel.recv(READ_BYTES)
                if not data:
                    code = self._popen.wait()
                    raise ServerLostError(f"their server ended with code {code}")
                self._unread += data
        except OSError as error:
            raise ServerLostError(f"their server does not answer ({error})") from None
        line, _, self._unread = self._unread.partition(b"\n")
        answer: list[str | int] = json.loads(line)
        return answer
