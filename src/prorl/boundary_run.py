"""The end of a run: what the trained model can do that the model it began with could not."""

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from prorl.assembly import Parts, make_verifiers
from prorl.durable import replace_file
from prorl.evaluation.boundary import headline, table
from prorl.evaluation.measure import measure_boundary
from prorl.terminal import Progress


def write_boundary(parts: Parts, folder: Path, progress: Progress) -> str:
    """Measure base against trained, write `boundary.json`, print the table; gives the headline."""
    config, engine = parts.phase.config, parts.phase.engine

    def loader(weights: Mapping[str, Tensor], version: int) -> None:
        engine.load_weights(weights, version)

    with make_verifiers(config, reading="tolerant") as tolerant:
        result = measure_boundary(
            config,
            engine,
            parts.phase.template,
            [parts.phase.verifiers, tolerant],
            {"base": lambda: loader(parts.base, -2), "trained": lambda: loader(parts.learner.weights(), -3)},
            seed=parts.run.train.seed,
            progress=progress.status,
        )
    replace_file(folder / "boundary.json", [json.dumps(result, indent=1).encode()])
    for line in table(result).splitlines():
        progress.note(line)
    return headline(result)
