"""Two programs measured in turn: a third one starts both, lets each do one step at a time, and counts their CPU time.

Standard library only: a worker in a peer's environment imports it too. The protocol is one JSON line a message. A
worker reports on its standard output when it is ready and after each step, and blocks on its standard input until it
may go on.
"""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "OMP_DYNAMIC": "FALSE", "TOKENIZERS_PARALLELISM": "false"}
"""A thread that waits by spinning would burn CPU time while the other side is measured."""
_TICKS = os.sysconf("SC_CLK_TCK")
_LAST_LINES = 20
_PATIENCE_SECONDS = 10.0


class WorkerFailed(Exception):
    """A worker ended before its time; the message holds the end of what it wrote to standard error."""


class Channel:
    """The worker's end. Whatever else the process prints goes to standard error."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def report(self, message: Mapping[str, Any]) -> None:
        """Say that a step is done, and block until the next one may begin; ends the process when there is none."""
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()
        if not sys.stdin.readline():
            os._exit(0)


class Worker:
    """The measuring program's end."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **QUIET, **environment},
            )
        self.idle_cpu = 0.0
        """CPU seconds that it used since it was ready and was not measured."""
        self.ready = self._read()
        self._last_cpu = self._cpu()

    def step(self) -> dict[str, Any]:
        """Let it do one step; its report with `wall` and `cpu` seconds of the whole process tree added."""
        before, start = self._cpu(), time.perf_counter()
        self.idle_cpu += before - self._last_cpu
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        report = self._read()
        wall, self._last_cpu = time.perf_counter() - start, self._cpu()
        return {**report, "wall": wall, "cpu": self._last_cpu - before}

    def close(self) -> None:
        """End it and what it started."""
        try:
            self._process.communicate(timeout=_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    @property
    def peak_bytes(self) -> int:
        """Largest resident size of its main process."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

    def _cpu(self) -> float:
        return tree_cpu_seconds(self._process.pid)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
            raise WorkerFailed(f"{self._process.args}: ended with {self._process.returncode}\n{tail}")
        message = json.loads(line)
        assert isinstance(message, dict)
        return message


def tree_cpu_seconds(root: int) -> float:
    """CPU seconds so far of a process and everything below it, the children that have ended included. Linux only."""
    children: dict[int, list[int]] = defaultdict(list)
    ended: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            pid = int(folder.name)
            children[int(fields[1])].append(pid)
            ended[pid] = (int(fields[13]) + int(fields[14])) / _TICKS
    total, waiting = 0.0, [root]
    while waiting:
        pid = waiting.pop()
        total += ended.get(pid, 0.0) + _process_cpu_seconds(pid)
        waiting += children[pid]
    return total


def _process_cpu_seconds(pid: int) -> float:
    """Of all threads of one process, ended ones included; the clock's number is how Linux encodes a process id."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0  # it ended while we looked: its parent has its time now
