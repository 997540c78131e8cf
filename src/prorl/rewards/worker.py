"""Stage 3, rewards: the program of one verifier process. It judges answers one after the other and reports each.

It knows no deadline: the trainer kills it (`verifier.py`). It never imports torch of its own accord.

It reads messages of 8 bytes of length and a pickled `(spec, pickled prompt, responses)`. It writes one JSON array a
line: `["loading", spec]` for each function it imports at the start, then `["ready"]` or `["failed", text]`; for each
message `["start"]` and for each answer `["score", value, outcome, detail, seconds]`; `["retire"]` before it leaves by
itself. Reports are JSON, not pickles, because a hostile answer may have taken the process over.
"""

import ctypes
import functools
import json
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from prorl.errors import UserError
from prorl.records import Score
from prorl.rewards.functions import Verifier, as_score, clean, describe, fault, load_verifier

LENGTH_BYTES = 8
MAX_FAILURE_TEXT = 1000
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What a worker is told on its command line, as JSON."""

    path: Sequence[str]
    """The trainer's import path."""
    functions: Sequence[str]
    """Loaded at the start; others at their first use."""
    memory_mb: int
    parent: int


def main(setup: Setup) -> None:
    """Serve until the trainer closes the pipe."""
    _die_with(setup.parent)
    requests, reports = _private_pipes()
    _limit_memory(setup.memory_mb)
    sys.argv[:] = ["prorl-verifier"]
    worker = _Worker(reports)
    try:
        if worker.load(setup.functions):
            worker.serve(requests)
    except BrokenPipeError:
        pass
    # Not a plain exit: threads that a reward function left behind would keep the process alive.
    os._exit(0)


class _Worker:
    """The verifiers loaded so far, and the pipe to the trainer."""

    def __init__(self, reports: int) -> None:
        self._reports = reports
        self._verifiers: dict[str, Verifier] = {}
        self._pid = os.getpid()

    def load(self, specs: Sequence[str]) -> bool:
        """Import the run's own functions; False, reported, where one cannot be used."""
        for spec in specs:
            self._report("loading", spec)
            try:
                self._verifiers[spec] = load_verifier(spec)
            except UserError as error:
                self._report("failed", clean(str(error), MAX_FAILURE_TEXT))
                return False
            except BaseException as error:  # noqa: BLE001 - process boundary: importing runs the user's code
                self._report("failed", clean(f"{spec!r}: {describe(error)}", MAX_FAILURE_TEXT))
                return False
        self._report("ready")
        return True

    def serve(self, requests: BinaryIO) -> None:
        while header := requests.read(LENGTH_BYTES):
            spec, prompt_bytes, responses = pickle.loads(requests.read(int.from_bytes(header, "little")))
            judge = self._judge_of(spec, prompt_bytes)
            self._report("start")
            for response in responses:
                started = time.monotonic()
                score, out_of_memory = _guarded(judge, response)
                seconds = time.monotonic() - started
                if os.getpid() != self._pid:
                    os._exit(0)  # a child that the reward function forked and did not end
                self._report("score", score.value, score.outcome, score.detail, seconds)
                if out_of_memory:
                    self._report("retire")
                    return

    def _judge_of(self, spec: str, prompt_bytes: bytes) -> Callable[[str], object]:
        """The verifier bound to its prompt; a built-in one is imported at its first use, and failing is an outcome."""
        try:
            prompt = pickle.loads(prompt_bytes)
            if spec not in self._verifiers:
                self._verifiers[spec] = load_verifier(spec)
            return functools.partial(self._verifiers[spec], prompt)
        except BaseException as error:  # noqa: BLE001 - process boundary: importing runs the verifier's code
            score = fault(f"cannot use {spec}: {describe(error)}")
            return lambda response: score

    def _report(self, *fields: str | float) -> None:
        line = json.dumps(fields).encode() + b"\n"
        while line:
            line = line[os.write(self._reports, line) :]


def _guarded(judge: Callable[[str], object], response: str) -> tuple[Score, bool]:
    """The checked score, and whether memory ran out: what the verifier caches may then be too much for the next one."""
    try:
        return as_score(judge(response)), False
    except MemoryError:
        return fault("MemoryError: more than reward.memory_mb"), True
    except BaseException as error:  # noqa: BLE001 - process boundary: a verifier's failure is an outcome
        return fault(describe(error)), False


def _private_pipes() -> tuple[BinaryIO, int]:
    """Move the pipes away from standard input and output, which reward functions may read and print to."""
    requests, reports = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return os.fdopen(requests, "rb"), reports


def _limit_memory(memory_mb: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere the address space cannot be limited
        limit = memory_mb * 2**20
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _die_with(parent: int) -> None:
    """Be killed when the trainer is, also in a busy loop; elsewhere than on Linux the closed pipe must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
