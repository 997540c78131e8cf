"""The program of a replica: it does one task after the other, as the main process (`replicas.py`) says.

It reads pickled `(task, arguments)` and answers with any number of parts, then None. It decides nothing and keeps
nothing but its engine: weights, gradients and all else come and go with the task.
"""

import prorl.environment  # noqa: F401, I001  (before torch)

import os
import pickle
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from prorl.assembly import make_engine
from prorl.config import Config
from prorl.learner.learner import Share
from prorl.learner.torch_learner import TorchLearner
from prorl.records import Request, Rollout
from prorl.replicas import Setup, bind, mapped
from prorl.rollouts.engine import Engine

_TOGETHER = 32
"""Rollouts of a message."""


class _Replica:
    """Engine and learner over the shared weights."""

    def __init__(self, setup: Setup, weights: int, gradients: int) -> None:
        self._loaded, self._policy = setup.loaded, list(setup.loaded.model.parameters())
        tensors = mapped(weights, self._policy * 2)
        bind(self._policy, tensors[: len(self._policy)])
        self._learner = TorchLearner(setup.loaded, setup.config)
        bind(self._learner.parameters(), tensors)
        self._gradients = mapped(gradients, self._policy)
        self._config: Config | None = None
        self._engine: Engine

    def load(self, config: Config, version: int) -> Iterator[None]:
        """Take over the weights that lie where the gradients do, in an engine for the phase."""
        if config != self._config:
            self._engine, self._config = make_engine(self._loaded, config), config
        self._engine.load_weights(dict(zip(self._learner.weights(), self._gradients, strict=True)), version)
        yield from ()

    def generate(self, requests: Sequence[Request]) -> Iterator[list[Rollout]]:
        part: list[Rollout] = []
        for rollout in self._engine.generate(requests):
            part.append(rollout)
            if len(part) == _TOGETHER:
                yield part
                part = []
        yield part

    def accumulate(self, share: Share, config: Config) -> Iterator[tuple[bool, dict[str, float]]]:
        """Leave the gradient of a share in the shared memory."""
        for parameter, gradient in zip(self._policy, self._gradients, strict=True):
            parameter.grad = gradient.zero_()
        self._learner.begin(config)
        totals: dict[str, float] = defaultdict(float)
        yield self._learner.accumulate(share, config, totals), dict(totals)

    def old_logprobs(self, share: Share, config: Config) -> Iterator[list[Tensor]]:
        self._learner.begin(config)
        yield self._learner.old_logprobs(share, config)


def main(pipe: int, weights: int, gradients: int) -> None:
    """Serve until the main process kills this one or is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection = Connection(pipe)
    setup: Setup = pickle.loads(connection.recv_bytes())
    torch.set_num_threads(setup.threads)
    replica = _Replica(setup, weights, gradients)
    tasks: dict[str, Callable[..., Iterator[Any]]] = {
        "load": replica.load,
        "generate": replica.generate,
        "accumulate": replica.accumulate,
        "old_logprobs": replica.old_logprobs,
    }
    with ThreadPoolExecutor(1) as sender:  # sampling goes on while the main process has no time to read
        while True:
            task, arguments = pickle.loads(connection.recv_bytes())
            for part in tasks[task](*arguments):
                sender.submit(connection.send_bytes, pickle.dumps(part))
            sender.submit(connection.send_bytes, pickle.dumps(None))


def _end_with_parent() -> None:
    """Standard input is a pipe that nobody writes to: it can be read when the main process is gone."""
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
