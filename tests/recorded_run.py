"""The command line with an engine that keeps what it samples in a file, or gives what the file holds.

    python tests/recorded_run.py record|replay FILE train RECIPE ...

Rollouts are known by the seed of their random stream. On several ranks only a replay makes sense.
"""

import pickle
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prorl import assembly, cli
from prorl.records import Request, Rollout


class Recorded:
    """An engine in front of the real one."""

    def __init__(self, engine: Any, rollouts: dict[int, tuple[Any, ...]], replays: bool) -> None:
        self._engine, self._rollouts, self._replays = engine, rollouts, replays

    @property
    def version(self) -> int:
        return self._engine.version

    def load_weights(self, weights: Any, version: int) -> None:
        self._engine.load_weights(weights, version)

    def close(self) -> None:
        self._engine.close()

    def generate(self, requests: Iterable[Request]) -> Iterator[Rollout]:
        if self._replays:
            for request in requests:
                for index, seed in enumerate(request.seeds):
                    tokens, logprobs, reason = self._rollouts[seed]
                    yield Rollout(request.key, index, tokens, logprobs, reason, ((self.version, len(tokens)),))
            return
        known = list(requests)
        seeds = {(request.key, index): seed for request in known for index, seed in enumerate(request.seeds)}
        for rollout in self._engine.generate(iter(known)):
            seed = seeds[rollout.key, rollout.index]
            self._rollouts[seed] = (rollout.tokens, rollout.logprobs, rollout.finish_reason)
            yield rollout


def main() -> int:
    mode, path, *arguments = sys.argv[1:]
    file = Path(path)
    rollouts = pickle.loads(file.read_bytes()) if file.exists() else {}
    real = assembly.ENGINES["torch"]
    assembly.ENGINES["torch"] = lambda loaded, config: Recorded(real(loaded, config), rollouts, mode == "replay")
    code = cli.main(arguments)
    if mode == "record":
        file.write_bytes(pickle.dumps(rollouts))
    return code


if __name__ == "__main__":
    sys.exit(main())
