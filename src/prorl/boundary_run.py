"""The end of a run: what the trained model can do that the model it began with could not."""

import prorl.environment  # noqa: F401, I001  (before torch, where this module is the program)

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from prorl import models
from prorl.assembly import Parts, make_engine, make_verifiers
from prorl.config import Config, Run
from prorl.durable import replace_file
from prorl.errors import RunFailed
from prorl.evaluation.boundary import ProblemCounts
from prorl.evaluation.measure import boundary_problems, boundary_result, count_answers
from prorl.models import LoadedModel
from prorl.prompts.template import Template
from prorl.rollouts.engine import Engine

_POLL_SECONDS = 0.2


def asked(config: Config, seed: int, step: int) -> dict[str, Any]:
    """What is to be measured, as `boundary.json` holds it: of which model, on which problems, with how many samples."""
    options = config.evaluation
    return {
        "step": step,
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
    return isinstance(found, dict) and found.get("asked") == asked(parts.phase.config, parts.run.train.seed, step)


def write_boundary(parts: Parts, folder: Path, step: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure base against trained and write `boundary.json`; `progress` may raise to give up.

    On a CPU with a core to spare the base is measured by a second process at the same time.
    """
    config, engine, seed = parts.phase.config, parts.phase.engine, parts.run.train.seed
    phase = parts.run.phases.index(config)

    def count(role: str) -> list[ProblemCounts]:
        return _count(parts.loaded, engine, parts.run.phases[: phase + 1], role, seed, progress)

    side_by_side = parts.loaded.device.type == "cpu" and torch.get_num_threads() < (os.cpu_count() or 1)
    if side_by_side:
        with _Beside(parts.run, phase) as beside:
            parts.sync()
            trained = count("trained")
            base = beside.result(progress)
    else:
        parts.sync()
        trained = count("trained")
        engine.load_weights(parts.base, version=-1)
        base = count("base")
    result = {"asked": asked(config, seed, step), **boundary_result(config, base, trained, seed)}
    replace_file(folder / "boundary.json", [json.dumps(result, indent=1).encode()])
    return result


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
    with make_verifiers(config) as strict, make_verifiers(config, reading="tolerant") as tolerant:
        return count_answers(
            boundary_problems(config, before),
            engine,
            template,
            [strict, tolerant],
            config,
            seed=seed,
            role=role,
            progress=progress,
        )


class _Beside:
    """The base's counts, computed by a fresh interpreter, which does not run the caller's program again."""

    def __init__(self, run: Run, phase: int) -> None:
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
            pipe.write(pickle.dumps((run, phase)))
        self._process.stdin = None  # or `communicate` would flush it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def result(self, progress: Callable[[str], None]) -> list[ProblemCounts]:
        """Wait for the counts; `progress` is called meanwhile and may raise to give up."""
        while True:
            try:
                output, errors = self._process.communicate(timeout=_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                progress("boundary, base")
        if self._process.returncode:
            last = errors.decode(errors="replace").strip().splitlines()[-1:]
            raise RunFailed(
                f"the process that measured the base model ended with {self._process.returncode} {' '.join(last)}; "
                "resume the run to measure again"
            )
        return [ProblemCounts(**counts) for counts in json.loads(output)]


def count_base(run: Run, phase: int, parent: int) -> list[ProblemCounts]:
    """The counts of the model that the run began with; given up when the parent process is gone."""

    def check(text: str) -> None:
        if os.getppid() != parent:
            raise SystemExit(1)

    if run.model.threads:
        torch.set_num_threads(run.model.threads)
    config, loaded = run.phases[phase], models.load(run.model)
    engine = make_engine(loaded, config)
    engine.load_weights(dict(loaded.model.named_parameters()), version=0)
    return _count(loaded, engine, run.phases[: phase + 1], "base", run.train.seed, check)


if __name__ == "__main__":
    recipe, number = pickle.loads(sys.stdin.buffer.read())
    answers = count_base(recipe, number, parent=int(sys.argv[1]))
    sys.stdout.write(json.dumps([asdict(counts) for counts in answers]))
