"""Rollouts in a process beside the learner's, sampled ahead of it by a bounded number of updates.

At the top of step s the learner asks for the batches up to s + S (`rollouts.max_staleness`), after it has sent its
weights: so batch s + S is sampled with the weights of before step s, however long anything takes. The run depends on
no clock. Where something happens that a resumed run must find as it was (a checkpoint), or that makes the batches
ahead another run's (a reset, another phase), they are dropped, and the pool goes back to where the last batch that
was trained on left it. With S = 0 this is the synchronous run.
"""

import math
import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from prorl.asynchronous import shared_weights
from prorl.asynchronous.rollout_process import Order, RolloutProcess, Say
from prorl.config import Config, Train
from prorl.pool import Filled
from prorl.records import Report


class Batches(Protocol):
    """Stages 1 to 4 as the loop sees them; `pool.py` in this process, or another process's."""

    def fill(self, step: int, config: Config) -> Filled: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...

    def carry_over(self, state: Mapping[str, Any]) -> None: ...


class Sampler(Protocol):
    """What samples, as the loop sees it: an engine, or another process's."""

    @property
    def version(self) -> int: ...

    def load_weights(self, weights: Mapping[str, Tensor], version: int) -> None: ...


class Phase(Protocol):
    """What depends on the phase's recipe, wherever it lives."""

    @property
    def config(self) -> Config: ...

    @property
    def engine(self) -> Sampler: ...

    @property
    def pool(self) -> Batches: ...

    def validate(self, progress: Say) -> Report:
        """Score the held-out problems with the engine's weights."""
        ...

    def drain(self) -> None:
        """Drop what was sampled ahead."""
        ...

    def close(self) -> None: ...


def known_end(train: Train, phase_end: float, step: int) -> float:
    """The first step from `step` on after which the batches ahead would be dropped, as far as the recipe says."""
    saved = [math.ceil(step / every) * every for every in (train.checkpoint_every, train.boundary_every) if every]
    return min([train.steps, phase_end, *saved])


def staleness(filled: Filled, version: int) -> float | None:
    """Versions between the weights that sampled a token and `version`, mean over the tokens of the kept groups."""
    spans = [span for group in filled.groups for rollout in group.rollouts for span in rollout.versions]
    tokens = sum(count for _, count in spans)
    return sum((version - own) * count for own, count in spans) / tokens if tokens else None


class RemoteEngine:
    """The other process's engine: weights go there through shared memory, one slot for each version on its way."""

    def __init__(self, process: RolloutProcess, slots: list[int]) -> None:
        self._process, self._slots = process, slots
        self._loading: dict[int, int] = {}
        self._turn, self._version = 0, -1

    @property
    def version(self) -> int:
        """Of the weights that it is sent last, and samples the next batch with that it is asked for."""
        return self._version

    def load_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        slot = self._turn
        if slot in self._loading:  # its last weights have been loaded, or are waited for
            self._process.wait(self._loading.pop(slot), lambda text: None)
        places = shared_weights.write(self._slots[slot], weights)
        self._loading[slot] = self._process.ask("weights", slot, places, version)
        self._turn, self._version = (slot + 1) % len(self._slots), version


class AheadPool:
    """`Batches` of another process, asked for ahead of time."""

    def __init__(
        self,
        process: RolloutProcess,
        engine: RemoteEngine,
        state: dict[str, Any],
        config: Config,
        phase_end: float,
        sampling: Say,
    ) -> None:
        """`state` is the pool's there; `phase_end` the step with which the phase ends, infinite where none is set.

        `sampling` is told of rollouts and may abandon them.
        """
        self._process, self._engine, self._state = process, engine, state
        self._config, self._phase_end = config, phase_end
        self._ahead = config.rollouts.max_staleness
        self._asked: deque[tuple[int, int]] = deque()
        self._sampling = sampling

    def fill(self, step: int, config: Config) -> Filled:
        """The batch of a step; those after it are asked for as well."""
        assert config == self._config, "a rollout process samples for the phase that it was started for"
        last = min(step + self._ahead, known_end(config.train, self._phase_end, step))
        for number in range(self._asked[-1][0] + 1 if self._asked else step, max(int(last), step) + 1):
            self._asked.append((number, self._process.ask("fill", number)))
        asked, ticket = self._asked.popleft()
        assert asked == step, f"batch {step} is wanted and {asked} is next"
        start = time.perf_counter()
        filled, self._state = self._process.wait(ticket, self._sampling)
        metrics = {**filled.metrics, "seconds/wait": time.perf_counter() - start}
        stale = staleness(filled, self._engine.version)
        if self._ahead and stale is not None:
            metrics["staleness/mean"] = stale
        return replace(filled, metrics=metrics)

    def drain(self) -> None:
        """Drop the batches asked for ahead, without waiting for them."""
        if self._asked:
            self._forget()
            self._process.forget(self._process.ask("restore", self._state))

    def state_dict(self) -> dict[str, Any]:
        """After the last batch that `fill` gave."""
        return self._state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._forget()
        self._state = dict(state)
        if not self._process.is_over:
            self._process.wait(self._process.ask("restore", self._state), lambda text: None)

    def carry_over(self, state: Mapping[str, Any]) -> None:
        self._state = self._process.wait(self._process.ask("carry_over", dict(state)), lambda text: None)

    def _forget(self) -> None:
        while self._asked:
            self._process.forget(self._asked.popleft()[1])


@dataclass(slots=True)
class PhaseBeside:
    """`Phase` in a process of its own."""

    config: Config
    engine: RemoteEngine
    pool: AheadPool
    process: RolloutProcess
    slots: list[int]

    def validate(self, progress: Say) -> Report:
        report: Report = self.process.wait(self.process.ask("validate"), progress)
        return report

    def drain(self) -> None:
        self.pool.drain()

    def close(self) -> None:
        self.process.close()
        shared_weights.close_slots(self.slots)


def open_beside(order: Order, phase_end: float, folder: Path, sampling: Say) -> PhaseBeside:
    """Start a rollout process for a phase, on each rank; UserError as where the phase is opened in this process."""
    config = order.run.phases[order.phase]
    with ExitStack() as undo:
        slots = [shared_weights.open_slot() for _ in range(max(config.rollouts.max_staleness, 1))]
        undo.callback(shared_weights.close_slots, slots)
        process = RolloutProcess(order, slots, folder)
        undo.callback(process.close)
        state = process.open(sampling)
        undo.pop_all()
    engine = RemoteEngine(process, slots)
    pool = AheadPool(process, engine, state, config, phase_end, sampling)
    return PhaseBeside(config, engine, pool, process, slots)
