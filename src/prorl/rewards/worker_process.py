"""Stage 3, rewards: the trainer's handle of one verifier process. Starts, feeds, reads and kills it; never blocks.

It knows nothing about tickets, deadlines or whose turn it is: that is `verifier.py`.
"""

import collections
import contextlib
import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from prorl.rewards.worker import LENGTH_BYTES, Setup

Report = list[str | float]

READ_BYTES = 1 << 16
MAX_READS = 16
"""In one call, so that a worker that floods its pipe cannot hold the trainer."""
MAX_REPORT_BYTES = 1 << 16
BOOT = (
    "import json, sys; setup = json.loads(sys.argv[1]); sys.path[:] = setup['path']; "
    "from prorl.rewards.worker import Setup, main; main(Setup(**setup))"
)
"""A fresh interpreter, so that neither torch nor the trainer's `__main__` is in it."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
"""Threads cost address space and compete for cores; a fixed hash seed makes verdicts over sets reproducible."""


class WorkerProcess:
    """A verifier process and its two pipes."""

    def __init__(self, *, functions: Sequence[str], memory_mb: int) -> None:
        here = os.getcwd()
        path = [*(entry or here for entry in sys.path), here]
        setup = Setup(path=path, functions=functions, memory_mb=memory_mb, parent=os.getpid())
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOT, json.dumps(dataclasses.asdict(setup))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **ENVIRONMENT},
            start_new_session=True,  # an interrupt from the keyboard is the trainer's; and one kill takes its children
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self.requests = self._popen.stdin.fileno()
        self.reports = self._popen.stdout.fileno()
        os.set_blocking(self.requests, False)
        os.set_blocking(self.reports, False)
        self._unsent: collections.deque[memoryview] = collections.deque()
        self._unread = bytearray()
        self.ended = False
        """Whether the pipe of its reports is closed: it is dead or as good as dead."""

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def wants_to_write(self) -> bool:
        return bool(self._unsent)

    def send(self, message: tuple[str, bytes, Sequence[str]]) -> None:
        """Queue a message and write what the pipe takes."""
        payload = pickle.dumps(message)
        self._unsent.append(memoryview(len(payload).to_bytes(LENGTH_BYTES, "little")))
        self._unsent.append(memoryview(payload))
        self.flush()

    def flush(self) -> None:
        try:
            while self._unsent:
                self._unsent[0] = self._unsent[0][os.write(self.requests, self._unsent[0]) :]
                if not self._unsent[0]:
                    self._unsent.popleft()
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent.clear()  # it is dead, which `read` finds out

    def read(self) -> Iterator[Report]:
        """The whole reports that have arrived. ValueError, after the good ones: it wrote something that is none."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(MAX_READS):
                data = os.read(self.reports, READ_BYTES)
                self._unread += data
                self.ended = not data
                if self.ended:
                    break
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            yield _parse(line)
        if len(self._unread) > MAX_REPORT_BYTES:
            raise ValueError(f"a report of over {MAX_REPORT_BYTES} bytes")

    def kill(self) -> str:
        """Kill it with its process group; what it reported before can still be read. Returns how it ended."""
        # Before `wait`: until then its number cannot belong to another process.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.kill()
        code = self._popen.wait()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        """Close the pipes of a killed process."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        self._popen.stdout.close()


def _parse(line: bytearray) -> Report:
    try:
        report = json.loads(line)
    except RecursionError as error:
        raise ValueError("a report that nests too deep") from error
    if not isinstance(report, list) or not report:
        raise ValueError("a report that is no list")
    return report
