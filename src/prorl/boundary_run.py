"""The end of a run: what the trained model can do that the model it began with could not."""

import prorl.environment  # noqa: F401, I001  (before torch, where this module is the program)

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from prorl import models
from prorl.assembly import Parts, boundary_steps, make_engine, make_verifiers
from prorl.checkpoint import Checkpoints
from prorl.config import Config, Run
from prorl.durable import replace_file
from prorl.errors import RunFailed, UserError
from prorl.evaluation.boundary import ProblemCounts
from prorl.evaluation.measure import boundary_problems, boundary_result, count_answers
from prorl.models import LoadedModel
from prorl.prompts.template import Template
from prorl.rollouts.engine import Engine

_POLL_SECONDS = 0.2


def asked(config: Config, seed: int, step: int, between: Sequence[str]) -> dict[str, Any]:
    """What is to be measured, as `boundary.json` holds it: which models, which problems, how many samples."""
    options = config.evaluation
    return {
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
    """Measure base, checkpoints in between and trained model, and write `boundary.json`; `progress` may raise.

    On a CPU with a core to spare a second process measures the first half of them at the same time.
    """
    config, seed = parts.phase.config, parts.run.train.seed
    phase, between = parts.run.phases.index(config), _between(parts, step)
    roles = ("base", *between, "trained")
    for role in between:  # said before hours of sampling
        _checkpoint_weights(parts.checkpoints.folder, role)

    def count(role: str) -> list[ProblemCounts]:
        _load(parts, role)
        return _count(parts.loaded, parts.phase.engine, parts.run.phases[: phase + 1], role, seed, progress)

    if parts.loaded.device.type == "cpu" and torch.get_num_threads() < (os.cpu_count() or 1):
        first = roles[: len(roles) // 2]
        with _Beside(_Order(parts.run, phase, first, parts.checkpoints.folder)) as beside:
            last = {role: count(role) for role in roles[len(first) :]}
            counts = {**beside.result(progress), **last}
    else:
        counts = {role: count(role) for role in reversed(roles)}
    counts = {role: counts[role] for role in roles}
    result = {"asked": asked(config, seed, step, between), **boundary_result(config, counts, seed)}
    replace_file(folder / "boundary.json", [json.dumps(result, indent=1).encode()])
    return result


def _between(parts: Parts, step: int) -> tuple[str, ...]:
    """The checkpoints on the way that are there, by step."""
    steps = boundary_steps(parts.run, step)
    return tuple(str(number) for number in steps if parts.checkpoints.at(number).exists())


def _load(parts: Parts, role: str) -> None:
    """Give the engine the weights of a role."""
    if role == "trained":
        parts.sync()
        return
    weights = parts.base if role == "base" else _checkpoint_weights(parts.checkpoints.folder, role)
    parts.phase.engine.load_weights(weights, version=-1)


def _checkpoint_weights(folder: Path, step: str) -> Mapping[str, Tensor]:
    checkpoints = Checkpoints(folder, keep=1)
    path = checkpoints.at(int(step))
    try:
        return checkpoints.load_weights(path, "policy")
    except UserError as error:
        raise UserError(f"{error}; delete {path} to measure the boundary without it") from None


def _count(
    loaded: LoadedModel,
    engine: Engine,
    phases: Sequence[Config],
    role: str,
    seed: int,
    progress: Callable[[str], None],
) -> list[ProblemCounts]:
    """Counts by the last phase's options; those before it have trained too."""
    *before, config = phases
    template = Template(loaded.tokenizer, loaded.eos_ids, config.data.system_prompt)
    problems = boundary_problems(config, before)
    kinds = [problem.prompt for problem in problems]
    with make_verifiers(config, kinds, "strict") as strict, make_verifiers(config, kinds, "tolerant") as tolerant:
        return count_answers(
            problems,
            engine,
            template,
            [strict, tolerant],
            config,
            seed=seed,
            role=role,
            progress=progress,
        )


@dataclass(frozen=True, slots=True)
class _Order:
    """What the second process is to measure."""

    run: Run
    phase: int
    roles: tuple[str, ...]
    checkpoints: Path


class _Beside:
    """Counts that a fresh interpreter computes meanwhile, which does not run the caller's program again."""

    def __init__(self, order: _Order) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # In a session of its own, so that Ctrl-C reaches the run alone, which then ends this process too.
        self._process = subprocess.Popen(
            # -P: a file of the user's that is named like a module must not stand in for it.
            [sys.executable, "-P", "-m", "prorl.boundary_run", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # `result` says why it died
            pipe.write(pickle.dumps(order))
        self._process.stdin = None  # or `communicate` would flush it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def result(self, progress: Callable[[str], None]) -> dict[str, list[ProblemCounts]]:
        """Wait for the counts by role; `progress` is called meanwhile and may raise to give up."""
        while True:
            try:
                output, errors = self._process.communicate(timeout=_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                progress("boundary, the other process")
        if self._process.returncode:
            last = errors.decode(errors="replace").strip().splitlines()[-1:]
            raise RunFailed(
                f"the process that measured the base ended with {self._process.returncode} {' '.join(last)}; "
                "resume the run to measure again"
            )
        found = json.loads(output)
        return {role: [ProblemCounts(**counts) for counts in of_role] for role, of_role in found.items()}


def count_roles(order: _Order, parent: int) -> dict[str, list[ProblemCounts]]:
    """The counts of the base and of checkpoints; given up when the parent process is gone."""

    def check(text: str) -> None:
        if os.getppid() != parent:
            raise SystemExit(1)

    run = order.run
    if run.model.threads:
        torch.set_num_threads(run.model.threads)
    config, loaded = run.phases[order.phase], models.load(run.model)
    engine = make_engine(loaded, config)
    base = dict(loaded.model.named_parameters())
    counts = {}
    for version, role in enumerate(order.roles):
        engine.load_weights(base if role == "base" else _checkpoint_weights(order.checkpoints, role), version)
        counts[role] = _count(loaded, engine, run.phases[: order.phase + 1], role, run.train.seed, check)
    return counts


if __name__ == "__main__":
    # The pickled class was named in the parent's module, which is imported here under that name too.
    found = count_roles(pickle.loads(sys.stdin.buffer.read()), parent=int(sys.argv[1]))
    sys.stdout.write(json.dumps({role: [asdict(counts) for counts in of_role] for role, of_role in found.items()}))
