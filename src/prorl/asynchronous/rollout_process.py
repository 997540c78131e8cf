"""The learner's handle of a rollout process: starts it, asks it, hears it, knows when it is dead, and ends it.

Commands are carried out in the order in which they are asked; each has a number, under which its reply comes back. A
thread takes in what the process says, so that it never waits for a learner that is at an update. What the commands
mean is known to `rollout_program.py`, which runs there, and to `ahead.py`.
"""

import contextlib
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from prorl import distributed
from prorl.config import Run
from prorl.errors import NoGroups, RunFailed
from prorl.interrupt import Interrupted

BOOT = (
    "import json, sys; setup = json.loads(sys.argv[1]); sys.path[:] = setup.pop('path'); import prorl.environment; "
    "from prorl.rewards.server import die_with; die_with(setup.pop('parent')); "
    "from prorl.rollout_program import main; main(**setup)"
)
"""A fresh interpreter: nothing of the learner's CUDA context, threads or `__main__` is in it."""
POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 5.0
MAX_SILENT_POLLS = 600
"""Polls in a row without a heartbeat: five minutes of a machine that runs. A clock would count a suspended one too."""
MAX_IDLE_POLLS = int(distributed.PATIENCE.total_seconds() / POLL_SECONDS)
"""Polls without progress, heart beating or not."""
CLOSE_SECONDS = 5.0
END_SECONDS = 60.0
"""From the end of its channel to its own, on a machine that is busy."""
LAST_LINE = 200
"""Characters of the log's last line that an error quotes."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What a rollout process is to build: a phase of the run, for a model whose weights come later."""

    run: Run
    phase: int
    held_out: frozenset[str]
    architecture: PretrainedConfig
    tokenizer: PreTrainedTokenizerBase
    eos_ids: tuple[int, ...]
    device: str
    dtype: torch.dtype


class RolloutProcess:
    """A process of one phase's rollouts. What a command raises there is raised here, once, where it is waited for."""

    def __init__(self, order: Order, slots: Sequence[int], folder: Path) -> None:
        """Start it; `slots` are memory for weights. `folder` gets its log where it fails."""
        self._folder = folder
        self._messages: queue.SimpleQueue[tuple[int, str, Any] | None] = queue.SimpleQueue()
        self._replies: dict[int, Any] = {}
        self._forgotten: set[int] = set()
        self._number, self._text = 0, ""
        self._error: Exception | None = None
        self.is_over = False
        """Whether it has ended or reported what it cannot go on from."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (open for as long as the process may write to it)
        near, far = socket.socketpair()
        far_given_up, self._given_up = os.pipe()
        with far:
            self._popen = self._start(far.fileno(), far_given_up, slots, {**os.environ, **_environment(order)})
        os.close(far_given_up)
        self._channel = Connection(near.detach())
        self._reader = threading.Thread(target=_read, args=(self._channel, self._messages), daemon=True)
        self._reader.start()
        self._up = self.ask("prepare", order)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def ask(self, command: str, *arguments: object) -> int:
        """Have a command carried out after those before it; its number."""
        self._number += 1
        with contextlib.suppress(OSError):  # that it is gone is said where something is waited for
            self._channel.send((self._number, command, *arguments))
        return self._number

    def forget(self, number: int) -> None:
        """Nobody waits for that command: its reply is dropped as it comes."""
        if self._replies.pop(number, None) is None:
            self._forgotten.add(number)

    def wait(self, number: int, say: Say) -> Any:
        """The reply to a command. `say` is told what is going on; where it raises Interrupted, the work is abandoned.

        RunFailed when the process ends or falls silent; else whatever the command raised there.
        """
        silent = idle = 0
        while number not in self._replies:
            try:
                message = self._messages.get(timeout=POLL_SECONDS)
                silent = 0
                idle = idle if message and message[1] == "alive" else 0
                self._take(message)
            except queue.Empty:
                silent, idle = silent + 1, idle + 1
                if silent >= MAX_SILENT_POLLS or idle >= MAX_IDLE_POLLS:
                    raise self._failed("does not answer any more") from None
            try:
                say(self._text)
            except Interrupted:
                self._abandon(number)
                say = _nothing
        kind, payload = self._replies.pop(number)
        if kind == "failed":
            raise payload
        return payload

    def open(self, say: Say) -> Any:
        """Have it build its phase once the processes of all ranks are there; the reply to `open`."""
        distributed.each(lambda: self.wait(self._up, say))
        return self.wait(self.ask("open"), say)

    def close(self) -> None:
        """End it, if need be in the middle of its work."""
        self.is_over = True
        if self._given_up >= 0:
            os.close(self._given_up)  # which gives up everything
            self._given_up = -1
        self.ask("close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(CLOSE_SECONDS)
        self._popen.kill()
        self._popen.wait()
        self._reader.join(CLOSE_SECONDS)
        self._channel.close()
        self._log.close()

    def _start(
        self, channel: int, given_up: int, slots: Sequence[int], environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        here = os.getcwd()
        setup = {
            "path": [*(entry or here for entry in sys.path), here],
            "parent": os.getpid(),
            "channel": channel,
            "given_up": given_up,
            "slots": list(slots),
        }
        return subprocess.Popen(
            [sys.executable, "-P", "-c", BOOT, json.dumps(setup)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[channel, given_up, *slots],
            env=environment,
            start_new_session=True,  # an interrupt from the keyboard is the learner's
        )

    def _take(self, message: tuple[int, str, Any] | None) -> None:
        """One thing that it said; at its end raises why it ended."""
        if message is None:
            raise self._error or self._failed(f"ended with {self._ending()}")
        number, kind, payload = message
        if kind == "crashed":
            kind, payload = "failed", self._failed(f"failed: {payload}")
        if kind == "failed" and not isinstance(payload, NoGroups):
            self._error, self.is_over = payload, True
        if kind == "progress":
            self._text = payload
        elif kind == "log":
            name, level, text = payload
            logging.getLogger(name).log(level, "%s", text)
        elif number in self._forgotten:
            self._forgotten.discard(number)
        elif number:
            self._replies[number] = kind, payload

    def _abandon(self, number: int) -> None:
        """Tell it, past all commands, to give up that one, if it is at it."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._given_up, f"{number}\n".encode())

    def _ending(self) -> str:
        try:
            code = self._popen.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return "its channel closed"
        if code == -signal.SIGKILL:
            return "signal SIGKILL (out of memory?)"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _failed(self, what: str) -> RunFailed:
        self.is_over = True
        where, last = self._keep_log()
        said = f" (last: {last})" if last else ""
        return RunFailed(f"the rollout process {what}; its log is {where}{said}; go on with --resume")

    def _keep_log(self) -> tuple[Path, str]:
        """Write what it printed to where it can be read; with its last line."""
        self._log.seek(0)
        text = self._log.read()
        rank = f"_rank{distributed.rank()}" if distributed.world() > 1 else ""
        path = self._folder / f"rollouts{rank}.log"
        if not self._folder.is_dir():  # the run never began
            handle, name = tempfile.mkstemp(prefix="prorl-rollouts-", suffix=".log")
            os.close(handle)
            path = Path(name)
        path.write_bytes(text)
        lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
        return path, " ".join(lines[-1].split())[:LAST_LINE] if lines else ""


def _read(channel: Connection, messages: "queue.SimpleQueue[tuple[int, str, Any] | None]") -> None:
    """Pass on what arrives, and None at the end."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            messages.put(channel.recv())
    messages.put(None)


def _nothing(text: str) -> None:
    """Says it to nobody."""


def _environment(order: Order) -> dict[str, str]:
    """What is another process's own: ranks of the rollout processes at another port, and GPUs."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = distributed.from_first(probe.getsockname()[1])
    environment = {
        "RANK": str(distributed.rank()),
        "WORLD_SIZE": str(distributed.world()),
        "LOCAL_RANK": "0",
        "MASTER_ADDR": distributed.from_first(os.environ.get("MASTER_ADDR", "127.0.0.1")),
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "False",  # torchrun's store is at the learners' port
    }
    if order.device == "cuda":
        seen = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
        learners, rank = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
        size = order.run.phases[order.phase].rollouts.tensor_parallel_size
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus(seen.split(","), learners, rank, size))
    return environment


def gpus(seen: Sequence[str], learners: int, rank: int, size: int) -> list[str]:
    """The `size` GPUs of a local rank's rollouts: those behind the learners', counted around where they run out."""
    first = learners + rank * size
    return [seen[(first + number) % len(seen)] for number in range(size)]
