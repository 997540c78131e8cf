"""Processes beside the main one that share a run's work on a CPU: a replica samples prompts and computes gradients.

The main process decides, in the order that it would alone; a replica (`replica_process.py`) does what it is told with
the weights that lie in memory of both. What is shared out, and the order in which results are added, depend on the
data only, so a run repeats itself bit for bit with the same number of processes.
"""

import copy
import itertools
import mmap
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prorl.config import Config
from prorl.errors import RunFailed
from prorl.models import LoadedModel
from prorl.records import Request, Rollout
from prorl.rollouts.engine import Engine

_ALIGNED_BYTES = 64
_END_SECONDS = 10.0
"""For a process that has closed its pipe to say why."""
_LOOK_EVERY = 32
"""Rollouts of the main process between two looks at what the replicas have sent."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a replica begins with."""

    loaded: LoadedModel
    """Its parameters have shapes but no numbers: those are in shared memory."""
    config: Config
    threads: int


def anonymous_file() -> int:
    """A file descriptor of memory without a name, which is gone with the last process that maps it."""
    if sys.platform == "linux":
        return os.memfd_create("prorl")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def mapped(file: int, like: Sequence[Tensor]) -> list[Tensor]:
    """Float32 tensors of these shapes in the memory of the file."""
    sizes = [-(-tensor.numel() * 4 // _ALIGNED_BYTES) * _ALIGNED_BYTES for tensor in like]
    starts = list(itertools.accumulate(sizes, initial=0))
    os.ftruncate(file, starts[-1])
    memory = mmap.mmap(file, starts[-1])
    return [
        torch.frombuffer(memory, dtype=torch.float32, count=tensor.numel(), offset=start).view(tensor.shape)
        for tensor, start in zip(like, starts, strict=False)
    ]


def bind(parameters: Sequence[nn.Parameter], tensors: Sequence[Tensor]) -> None:
    """Let the parameters be these tensors; shared parameters stay shared."""
    for parameter, tensor in zip(parameters, tensors, strict=True):
        parameter.data = tensor


class Replicas:
    """The replicas of a run, `model.processes` less one; they start at their first task. `Others` for the learner.

    To be made before the learner, which changes the model in ways that another process cannot be sent.
    """

    def __init__(self, loaded: LoadedModel, config: Config) -> None:
        self.gradients: list[list[Tensor]] = []
        self._policy = dict(loaded.model.named_parameters())
        self._loaded, self._config = replace(loaded, model=_skeleton(loaded.model)), config
        self._parameters: list[nn.Parameter] = []
        self._replicas: list[_Replica] = []
        self._busy: list[_Replica] = []

    @property
    def count(self) -> int:
        return self._config.model.processes - 1

    def share(self, parameters: Sequence[nn.Parameter]) -> None:
        """Which parameters are to be in shared memory: the policy's, then the reference's."""
        self._parameters = list(parameters)

    def start(self, task: str, work: Sequence[tuple[Any, ...]]) -> None:
        """Give the i-th replica a task with the i-th arguments; RunFailed when one has died."""
        self._open()
        self.finish()  # of a task that was given up
        for replica, arguments in zip(self._replicas, work, strict=False):
            replica.send((task, arguments))
            self._busy.append(replica)

    def finish(self) -> list[Any]:
        """Wait for the tasks; the last that each of them gave, in the order of the replicas."""
        results = []
        for replica in self._busy:
            result = None
            while (part := replica.receive()) is not None:
                result = part
            results.append(result)
        self._busy.clear()
        return results

    @property
    def are_busy(self) -> bool:
        return bool(self._busy)

    def arrived(self, *, block: bool) -> Iterator[Any]:
        """What the tasks have given since, in any order; `block` waits for something."""
        ready = wait([replica.connection for replica in self._busy], None if block else 0.0)
        for replica in [replica for replica in self._busy if replica.connection in ready]:
            if (part := replica.receive()) is not None:
                yield part
            else:
                self._busy.remove(replica)

    def load(self, weights: Mapping[str, Tensor], config: Config, version: int) -> None:
        """Have the replicas' engines take over weights; their gradients' memory, idle meanwhile, carries them."""
        self._open()
        self.finish()
        for tensors in self.gradients:
            for name, tensor in zip(self._policy, tensors, strict=True):
                tensor.copy_(weights[name].detach())
        self.start("load", [(config, version)] * self.count)

    def _open(self) -> None:
        """Move the weights into shared memory and start the processes, once."""
        if self._replicas:
            return
        weights = anonymous_file()
        tensors = mapped(weights, self._parameters)
        for tensor, parameter in zip(tensors, self._parameters, strict=True):
            tensor.copy_(parameter.detach())
        bind(self._parameters, tensors)
        try:
            for number in range(self.count):
                gradients = anonymous_file()
                self.gradients.append(mapped(gradients, list(self._policy.values())))
                self._replicas.append(_Replica(f"{number + 2} of {self.count + 1}", (weights, gradients)))
                os.close(gradients)
        except OSError as error:
            raise RunFailed(
                f"model.processes = {self.count + 1}: process {number + 2} cannot start ({error.strerror}); "
                "make room, or go on with --resume and fewer processes"
            ) from error
        finally:
            os.close(weights)
        message = pickle.dumps(Setup(self._loaded, self._config, torch.get_num_threads()))
        for replica in self._replicas:
            replica.send_bytes(message)

    def close(self) -> None:
        """Kill the processes."""
        for replica in self._replicas:
            replica.kill()
        self._busy.clear()


def _skeleton(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose parameters hold no memory."""
    empty = {id(p): nn.Parameter(p.new_zeros(1).expand(p.shape), p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, empty)


class _Replica:
    """One process, a fresh interpreter that does not run the caller's program again, and the pipe to it."""

    def __init__(self, name: str, files: tuple[int, int]) -> None:
        self._name = name
        self.connection, theirs = multiprocessing.Pipe()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `kill`
        descriptors = (theirs.fileno(), *files)
        # In a session of its own, so that Ctrl-C reaches the main process alone, which then ends this one too.
        self._process = subprocess.Popen(
            # -P: a file of the user's that is named like a module must not stand in for it.
            [sys.executable, "-P", "-m", "prorl.replica_process", *map(str, descriptors)],
            stdin=subprocess.PIPE,  # never written to: it closes when this process is gone
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            pass_fds=descriptors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        theirs.close()

    def send(self, message: tuple[str, tuple[Any, ...]]) -> None:
        self.send_bytes(pickle.dumps(message))

    def send_bytes(self, message: bytes) -> None:
        try:
            self.connection.send_bytes(message)
        except OSError:
            raise self._failure() from None

    def receive(self) -> Any:
        try:
            return pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            raise self._failure() from None

    def _failure(self) -> RunFailed:
        """Why it has closed its pipe."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._process.kill()
        code = self._process.wait()
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
        return RunFailed(
            f"process {self._name} of this run ended with {code} {' '.join(last)}; "
            "go on from the last checkpoint with --resume, or there with --set model.processes=1"
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.connection.close()
        self._errors.close()


class SplitEngine:
    """`Engine` over one of this process and the replicas': of n processes each samples every n-th request."""

    def __init__(self, own: Engine, replicas: Replicas, config: Config) -> None:
        self._own, self._replicas, self._config = own, replicas, config

    @property
    def version(self) -> int:
        return self._own.version

    def load_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        self._replicas.load(weights, self._config, version)
        self._own.load_weights(weights, version)
        self._replicas.finish()

    def generate(self, requests: Iterable[Request]) -> Iterator[Rollout]:
        """As in the protocol, but all requests are pulled at once."""
        every, count = list(requests), self._replicas.count + 1
        shares = [every[first::count] for first in range(count)]
        self._replicas.start("generate", [(share,) for share in shares[1:] if share])
        for number, rollout in enumerate(self._own.generate(shares[0]), 1):
            yield rollout
            if number % _LOOK_EVERY == 0:
                for part in self._replicas.arrived(block=False):
                    yield from part
        while self._replicas.are_busy:
            for part in self._replicas.arrived(block=True):
                yield from part

    def score(self, sequences: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], temperature: float) -> list[Tensor]:
        return self._own.score(sequences, temperature)

    def close(self) -> None:
        self._own.close()
