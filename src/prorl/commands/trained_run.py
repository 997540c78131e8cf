"""What a run's folder says to a measurement of its checkpoints: which there are, what they were trained on, how."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prorl.errors import UserError
from prorl.evaluation.problems import trained_levels
from prorl.recipe import load_run

_STEP = re.compile(r"step_(\d+)")


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A run whose checkpoints are measured on the way from base to trained."""

    checkpoints: Mapping[str, str]
    """Folder of the policy by step, by rising step."""
    levels: frozenset[tuple[str, int]]
    """(task, level) of what it was trained on."""
    sections: Mapping[str, Mapping[str, Any]]
    """Options of the run that a measurement of its models shares."""
    max_response_tokens: int


def open_trained_run(folder: Path, trained: str) -> TrainedRun:
    """Read a run's folder, without the checkpoint that is itself the trained model. UserError: not a run's folder."""
    if not (folder / "config.toml").is_file():
        raise UserError(f"--checkpoints {folder}: no config.toml there; name the folder of a run (`prorl train --out`)")
    run = load_run(str(folder / "config.toml"))
    last = run.phases[-1]
    found = {
        int(match[1]): path / "policy"
        for path in (folder / "checkpoints").glob("step_*")
        if (match := _STEP.fullmatch(path.name)) and (path / "policy" / "config.json").is_file()
    }
    end = Path(trained).expanduser().resolve()
    checkpoints = {str(step): str(found[step].absolute()) for step in sorted(found) if found[step].resolve() != end}
    if not checkpoints:
        raise UserError(
            f"--checkpoints {folder}: no checkpoint there besides the trained model; keep some with "
            "train.boundary_every or train.keep_checkpoints"
        )
    sections: dict[str, dict[str, Any]] = {
        "data": {"system_prompt": last.data.system_prompt},
        "reward": {"functions": dict(last.reward.functions), "sandbox": last.reward.sandbox},
        "model": {"dtype": run.model.dtype, "device": run.model.device, "threads": run.model.threads},
        "rollouts": {"engine": last.rollouts.engine, "token_budget": last.rollouts.token_budget},
    }
    return TrainedRun(checkpoints, frozenset(trained_levels(run.phases)), sections, last.rollouts.max_response_tokens)
