"""Stage 1, data sets: puzzles of Reasoning Gym, which are made here and not downloaded."""

from collections.abc import Iterator, Sequence
from functools import partial

from prorl.datasets.reasoning_gym import generate_rows
from prorl.datasets.record import Dataset, Generated, Kind, Row
from prorl.rewards.puzzles.tasks import HELD_OUT_TASKS, TRAINING_TASKS

TRAINING_PER_TASK = 400
"""The paper has 37k puzzles of 96 tasks (table 4); some tasks have fewer different ones."""
SUITE_PER_TASK = 100
"""9,600 validation puzzles of 96 tasks, as in its appendix D."""
SUITE_SEED = 1 << 20
"""Added to the seed of a suite, so that it draws other puzzles than training does."""


def _rows(per_task: int, added_seed: int, task: str, seed: int) -> Iterator[Row]:
    return generate_rows([task], per_task=per_task, seed=seed + added_seed, level=0)


def _dataset(name: str, kind: Kind, about: str, tasks: Sequence[str]) -> Dataset:
    per_task, added = (TRAINING_PER_TASK, 0) if kind == "training" else (SUITE_PER_TASK, SUITE_SEED)
    origin = Generated(tasks=tuple(tasks), package="reasoning-gym", generate=partial(_rows, per_task, added))
    rows = per_task * len(tasks)
    return Dataset(name=name, kind=kind, domain="logic", about=about, rows=rows, licence="Apache-2.0", origin=origin)


DATASETS = (
    _dataset("reasoning_gym", "training", "puzzles of the 96 training tasks", TRAINING_TASKS),
    _dataset("reasoning_gym_validation", "suite", "other puzzles of the training tasks", TRAINING_TASKS),
    _dataset("reasoning_gym_held_out", "suite", "puzzles of the tasks that training leaves out", HELD_OUT_TASKS),
    _dataset("graph_color", "suite", "other puzzles of one training task, which the paper monitored", ["graph_color"]),
)
