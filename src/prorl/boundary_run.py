"""The end of a run: what the trained model can do that the model it began with could not."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import torch

from prorl import models
from prorl.assembly import Parts, make_engine, make_verifiers
from prorl.config import Config, Run
from prorl.durable import replace_file
from prorl.errors import RunFailed
from prorl.evaluation.boundary import ProblemCounts, headline, table
from prorl.evaluation.measure import boundary_problems, boundary_result, count_answers
from prorl.models import LoadedModel
from prorl.prompts.template import Template
from prorl.recipe import load_run
from prorl.rollouts.engine import Engine
from prorl.terminal import Progress


def write_boundary(parts: Parts, folder: Path, progress: Progress) -> str:
    """Measure base against trained, write `boundary.json`, print the table; gives the headline.

    On a CPU with a core to spare the base is measured by a second process at the same time.
    """
    config, engine, seed = parts.phase.config, parts.phase.engine, parts.run.train.seed

    def count(role: str) -> list[ProblemCounts]:
        return _count(parts.loaded, engine, config, role, seed, progress.status)

    side_by_side = parts.loaded.device.type == "cpu" and torch.get_num_threads() < (os.cpu_count() or 1)
    if side_by_side:
        with _beside(folder / "config.toml", parts.run.phases.index(config)) as base_counts:
            parts.sync()
            trained = count("trained")
            base = _result(base_counts)
    else:
        parts.sync()
        trained = count("trained")
        engine.load_weights(parts.base, version=-1)
        base = count("base")
    result = boundary_result(config, base, trained, seed)
    replace_file(folder / "boundary.json", [json.dumps(result, indent=1).encode()])
    for line in table(result).splitlines():
        progress.note(line)
    return headline(result)


def _count(
    loaded: LoadedModel, engine: Engine, config: Config, role: str, seed: int, progress: Callable[[str], None]
) -> list[ProblemCounts]:
    template = Template(loaded.tokenizer, loaded.eos_ids, config.data.system_prompt)
    with make_verifiers(config) as strict, make_verifiers(config, reading="tolerant") as tolerant:
        return count_answers(
            boundary_problems(config),
            engine,
            template,
            [strict, tolerant],
            config,
            seed=seed,
            role=role,
            progress=progress,
        )


@contextmanager
def _beside(recipe: Path, phase: int) -> Iterator["Future[list[ProblemCounts]]"]:
    """The base's counts, computed by a process of their own."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=signal.signal, initargs=_IGNORE_INTERRUPT)
    try:
        yield pool.submit(count_base, str(recipe), phase)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()


_IGNORE_INTERRUPT = (signal.SIGINT, signal.SIG_IGN)


def _result(counts: "Future[list[ProblemCounts]]") -> list[ProblemCounts]:
    try:
        return counts.result()
    except BrokenProcessPool:
        raise RunFailed("the process that measured the base model died; resume the run to measure again") from None


def count_base(recipe: str, phase: int) -> list[ProblemCounts]:
    """The counts of the model that the run began with."""
    run: Run = load_run(recipe)
    if run.model.threads:
        torch.set_num_threads(run.model.threads)
    config, loaded = run.phases[phase], models.load(run.model)
    engine = make_engine(loaded, config)
    engine.load_weights(dict(loaded.model.named_parameters()), version=0)
    return _count(loaded, engine, config, "base", run.train.seed, lambda text: None)
