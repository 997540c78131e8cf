"""Stage 3, rewards: the trainer's handle of one verifier process. Starts, feeds, reads and kills it; never blocks.

It knows nothing about tickets, deadlines or whose turn it is: that is `verifier.py`.
"""

import collections
import contextlib
import json
import os
import pickle
import signal
from collections.abc import Iterator, Mapping, Sequence

from prorl.records import Score
from prorl.rewards.server_process import ServerProcess
from prorl.rewards.worker import LENGTH_BYTES

Report = list[str | float]

READ_BYTES = 1 << 16
MAX_READS = 16
"""In one call, so that a worker that floods its pipe cannot hold the trainer."""
MAX_REPORT_BYTES = 1 << 16
SERVER_GONE = "its server's end"
"""How a worker ended whose server was killed."""


class WorkerProcess:
    """A verifier process and its two pipes."""

    def __init__(self, server: ServerProcess, *, functions: Sequence[str], memory_mb: int) -> None:
        self._server = server
        far_requests, self.requests = os.pipe()
        self.reports, far_reports = os.pipe()
        try:
            self.pid = server.start_worker(functions, memory_mb, (far_requests, far_reports))
        except BaseException:
            self.close()
            raise
        finally:
            os.close(far_requests)
            os.close(far_reports)
        self._server_pid = server.pid
        os.set_blocking(self.requests, False)
        os.set_blocking(self.reports, False)
        self._unsent: collections.deque[memoryview] = collections.deque()
        self._unread = bytearray()
        self.ended = False
        """Whether the pipe of its reports is closed: it is dead or as good as dead."""

    @property
    def wants_to_write(self) -> bool:
        return bool(self._unsent)

    def send(self, message: tuple[str, bytes, Mapping[str, Score], Sequence[str]]) -> None:
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
        status = self._server.kill_worker(self.pid, self._server_pid)
        if status is None:
            return SERVER_GONE
        code = os.waitstatus_to_exitcode(status)
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        """Close the pipes of a killed process."""
        os.close(self.requests)
        os.close(self.reports)


def _parse(line: bytearray) -> Report:
    try:
        report = json.loads(line)
    except RecursionError as error:
        raise ValueError("a report that nests too deep") from error
    if not isinstance(report, list) or not report:
        raise ValueError("a report that is no list")
    return report
