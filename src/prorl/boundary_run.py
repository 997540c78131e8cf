"""The end of a run: what the trained model can do that the model it began with could not."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from prorl.assembly import Parts, boundary_steps
from prorl.config import Config, Model
from prorl.errors import UserError
from prorl.evaluation.boundary import VERSION
from prorl.evaluation.budget import Budget
from prorl.evaluation.measure import boundary_problems
from prorl.findings import Questions, find, write_findings
from prorl.laboratory import Order, sample
from prorl.records import Sampling


def asked(config: Config, seed: int, step: int, between: Sequence[str]) -> dict[str, Any]:
    """What is to be measured, as `boundary.json` holds it: which models, which problems, how many samples."""
    options = config.evaluation
    return {
        "version": VERSION,
        "step": step,
        "checkpoints": list(between),
        "seed": seed,
        "boundary_samples": options.boundary_samples,
        "boundary_problems": options.boundary_problems,
        "max_response_tokens": config.rollouts.max_response_tokens,
        "sources": [
            {**asdict(source), "tasks": list(source.tasks)} for source in options.sources or config.data.sources
        ],
    }


def is_measured(parts: Parts, folder: Path, step: int) -> bool:
    """Whether `boundary.json` is what the recipe asks for now, of the model of this step."""
    try:
        found = json.loads((folder / "boundary.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    wanted = asked(parts.phase.config, parts.run.train.seed, step, _between(parts, step))
    return isinstance(found, dict) and found.get("asked") == wanted


def write_boundary(parts: Parts, folder: Path, step: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure base, checkpoints in between and trained model, and write what was found; `progress` may raise.

    The samples are in `samples/` as they come: a measurement that was given up goes on from there.
    """
    config, seed = parts.phase.config, parts.run.train.seed
    phase, between = parts.run.phases.index(config), _between(parts, step)
    order = Order(
        config=replace(config, model=parts.run.model),
        problems=tuple(boundary_problems(config, parts.run.phases[:phase])),
        models={
            "base": parts.run.model,
            **{role: _policy(parts, role) for role in between},
            "trained": _policy(parts, str(step)),
        },
        budget=Budget(config.evaluation.boundary_samples),
        sampling=Sampling(1.0, 1.0, config.rollouts.max_response_tokens),
        seed=seed,
        threshold=1.0,
        folder=folder / "samples",
    )
    streams = sample(order, lambda text: progress(f"boundary, {text}"))
    result = {"asked": asked(config, seed, step, between), **find(order, streams, Questions(), progress)}
    for role, model in result["summary"]["settings"]["models"].items():
        if role != "base":  # relative to the run's folder, which may be moved
            model["path"] = f"checkpoints/step_{step if role == 'trained' else role}/policy"
    write_findings(result, folder)
    return result


def _between(parts: Parts, step: int) -> tuple[str, ...]:
    """The checkpoints on the way that are there, by step."""
    steps = boundary_steps(parts.run, step)
    return tuple(str(number) for number in steps if parts.checkpoints.at(number).exists())


def _policy(parts: Parts, step: str) -> Model:
    """The policy of a checkpoint, which is looked at before hours of sampling."""
    path = parts.checkpoints.at(int(step))
    try:
        parts.checkpoints.load_weights(path, "policy")
    except UserError as error:
        raise UserError(f"{error}; delete {path} to measure the boundary without it") from None
    return replace(parts.run.model, path=str(path.absolute() / "policy"), revision="")
