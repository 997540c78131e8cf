"""A library that takes a process for its own: what it changes is put back, what it prints goes to a file, and a call
that does not return ends the process.

vLLM sets variables of the environment that child processes would inherit, seeds the global generators, replaces
`torch.set_num_threads` and freezes the garbage collector. The learner lives in the same process.
"""

import faulthandler
import functools
import gc
import logging
import os
import random
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import numpy as np
import torch
from torch import Tensor

from prorl.errors import RunFailed, UserError

_POLL_SECONDS = 1.0
_GRACE_SECONDS = 15.0
"""After it the process is ended from below the interpreter, where a call holds the interpreter's lock."""


@contextmanager
def process_kept(prefix: str) -> Iterator[None]:
    """Put back what a block changes of the process. Variables that begin with `prefix` are the library's own."""
    environment, affinity = dict(os.environ), _affinity()
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    threads, set_num_threads = torch.get_num_threads(), torch.set_num_threads
    dtype, precision = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    gradients, level = torch.is_grad_enabled(), logging.getLogger().level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in environment.keys() | os.environ.keys():
            if not name.startswith(prefix):
                _set_variable(name, environment.get(name))
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        torch.set_num_threads = set_num_threads
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        torch.set_float32_matmul_precision(precision)
        torch.set_grad_enabled(gradients)
        logging.getLogger().setLevel(level)
        gc.unfreeze()
        if affinity and affinity != _affinity():
            os.sched_setaffinity(0, affinity)


def _affinity() -> set[int]:
    return os.sched_getaffinity(0) if sys.platform == "linux" else set()


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    elif os.environ.get(name) != value:
        os.environ[name] = value


@functools.cache
def log_file(name: str) -> Path:
    """The file of this process that takes what a library says; it stays for whoever has to look."""
    path = Path(tempfile.mkdtemp(prefix=f"prorl-{name}-")) / f"{name}.log"
    path.touch()
    return path


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Everything that this process, its libraries and its new child processes print goes to the end of a file."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [os.dup(1), os.dup(2)]
    with open(path, "ab") as log:
        try:
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)


class Watched:
    """Calls into a library, each of which fails in one line and has a time after which the process ends with code 1.

    A thread sees to it. Where the call holds the interpreter's lock, so that no thread runs, the operating system's
    timer does, without a line on the terminal. The log gets the stack of every thread either way.
    """

    def __init__(self, name: str, log: Path) -> None:
        self._name, self._path = name, log
        self._log: TextIO = open(log, "a")  # noqa: SIM115  (open as long as the object)
        self._terminal = os.dup(2)
        self._deadline, self._what, self._closed = float("inf"), "", threading.Event()
        threading.Thread(target=self._watch, name=f"{name} clock", daemon=True).start()

    @contextmanager
    def call(self, what: str, seconds: float) -> Iterator[None]:
        """RunFailed with the log's place for every exception but this project's own."""
        self._what, self._deadline = what, time.monotonic() + seconds
        faulthandler.dump_traceback_later(seconds + _GRACE_SECONDS, exit=True, file=self._log)
        try:
            with _Translated(self._name, what, self._path, self._log):
                yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._deadline = float("inf")

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._log.close()
            os.close(self._terminal)

    def _watch(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            if time.monotonic() > self._deadline:
                faulthandler.dump_traceback(file=self._log, all_threads=True)
                line = f"prorl: {self._name} did not {self._what} in time; its log, with the stack: {self._path}\n"
                os.write(self._terminal, line.encode(errors="replace"))
                os._exit(1)


class _Translated:
    """Turns a library's exception into a RunFailed that names its log, which gets the traceback."""

    def __init__(self, name: str, what: str, path: Path, log: TextIO) -> None:
        self._name, self._what, self._path, self._log = name, what, path, log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, Exception) and not isinstance(error, (UserError, RunFailed)):
            traceback.print_exception(error, file=self._log)
            self._log.flush()
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise RunFailed(f"{self._name} could not {self._what} ({reason}); its log: {self._path}") from None


def buckets(items: Iterable[tuple[str, Tensor]], limit: int) -> Iterator[list[tuple[str, Tensor]]]:
    """The items in order, in lists of at most `limit` bytes; a larger one alone. Holds no more than one list."""
    bucket: list[tuple[str, Tensor]] = []
    room = limit
    for name, value in items:
        size = value.numel() * value.element_size()
        if bucket and size > room:
            yield bucket
            bucket, room = [], limit
        bucket.append((name, value))
        room -= size
    if bucket:
        yield bucket
