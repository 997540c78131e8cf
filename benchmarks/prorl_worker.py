"""prorl's own loop, one step at a time, as `step_vs_trl.py` tells it: `train.step` on the session of a run.

python benchmarks/prorl_worker.py settings.json
"""

import prorl.environment  # noqa: F401, I001 - first: it sets what must stand before torch is imported
import hashlib
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from workers import Channel
from workloads import recipe

from prorl.records import Request, Rollout
from prorl.session import Session, open_session
from prorl.train import step


class Meter:
    """CPU seconds of this process by phase, and what was generated."""

    def __init__(self, session: Session) -> None:
        self.reset()
        parts = session.parts
        self._total = self._timed("fill", parts.pool.fill)
        parts.pool.fill = self._recorded(self._total)  # type: ignore[method-assign]
        parts.learner.update = self._timed("update", parts.learner.update)  # type: ignore[method-assign]
        engine = parts.phase.engine
        engine.load_weights = self._timed("sync", engine.load_weights)  # type: ignore[method-assign]
        engine.generate = self._timed_items(engine.generate)  # type: ignore[method-assign]

    def reset(self) -> None:
        self.cpu: dict[str, float] = defaultdict(float)
        self.tokens = self.rollouts = 0
        self.prompts = hashlib.sha256()
        self.start = time.process_time()

    def report(self) -> dict[str, Any]:
        total = time.process_time() - self.start
        cpu = self.cpu
        phases = {
            "generate": cpu["generate"],
            "reward": cpu["fill"] - cpu["generate"],
            "sync": cpu["sync"],
            "update": cpu["update"],
            "other": total - cpu["fill"] - cpu["sync"] - cpu["update"],
        }
        return {
            "phases": phases,
            "tokens": self.tokens,
            "rollouts": self.rollouts,
            "prompts": self.prompts.hexdigest(),
        }

    def _timed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            start = time.process_time()
            result = function(*arguments)
            self.cpu[phase] += time.process_time() - start
            return result

        return timed

    def _timed_items(self, function: Callable[[Iterable[Request]], Iterator[Rollout]]) -> Callable[..., Any]:
        def timed(requests: Iterable[Request]) -> Iterator[Rollout]:
            source = function(requests)
            while True:
                start = time.process_time()
                item = next(source, None)
                self.cpu["generate"] += time.process_time() - start
                if item is None:
                    return
                self.tokens += len(item.tokens)
                self.rollouts += 1
                yield item

        return timed

    def _recorded(self, fill: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any) -> Any:
            filled = fill(*arguments)
            self.prompts.update("\0".join(group.prompt.text for group in filled.groups).encode())
            return filled

        return recorded


def main() -> None:
    """Open the session, step, report."""
    channel = Channel()
    settings = json.loads(Path(sys.argv[1]).read_text())
    with (
        tempfile.TemporaryDirectory() as folder,
        open_session(
            recipe(settings, settings["options"]), Path(folder) / "run", resume=False, changes=(), terminal=sys.stderr
        ) as session,
    ):
        state = session.state
        meter = Meter(session)
        channel.report({"threads": torch.get_num_threads()})
        for _ in range(settings["steps"]):
            meter.reset()
            state = step(session, state)
            channel.report(meter.report())


if __name__ == "__main__":
    main()
