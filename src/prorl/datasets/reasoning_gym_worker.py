"""Stage 2, prompts: the program of the process that makes Reasoning Gym's puzzles, one for each request it reads.

It is started with a fixed hash seed, so that a puzzle depends on task, level and seed only, and ends itself at a puzzle
that costs too much processor time. It judges nothing and stores nothing.

A request is a JSON array `[task, step, seed, number]` a line: the step of the curriculum, -1 for the library's own
settings, and the number of the puzzle among those of the seed. The reply is a JSON object a line: the puzzle, or
`{"error": text}`.
"""

import datetime
import functools
import json
import math
import os
import random
import resource
import sys
from typing import Any

import numpy
from reasoning_gym.arithmetic import time_intervals
from reasoning_gym.dataset import ProceduralDataset
from reasoning_gym.factory import create_curriculum, create_dataset, has_curriculum

CPU_SECONDS = 10
"""For one puzzle; the process ends when it is used up."""
NUM_PUZZLES = 10_000
"""Of a task, step and seed. Some generators draw them all at the start."""
_PLAIN = (str, int, float, bool, type(None))


class _FixedDate(datetime.date):
    """Clock times that puzzles start from must not depend on the day they are made."""

    @classmethod
    def today(cls) -> "_FixedDate":
        return cls(2025, 1, 1)


def main() -> None:
    """Serve until the requests end."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # some generators print
    time_intervals.date = _FixedDate
    for line in sys.stdin:
        _limit_processor_time()
        try:
            reply = make(*json.loads(line))
        except Exception as error:  # noqa: BLE001 - the generators fail in many ways; each costs one puzzle
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def make(task: str, step: int, seed: int, number: int) -> dict[str, Any]:
    """The puzzle as JSON can hold it."""
    puzzles = dataset(task, step, seed)
    random.seed(seed + number)
    numpy.random.seed((seed + number) % (1 << 32))
    entry: dict[str, Any] = puzzles[number]
    return {
        "question": str(entry["question"]),
        "answer": None if entry["answer"] is None else str(entry["answer"]),
        "metadata": plain(entry["metadata"]),
    }


@functools.lru_cache(maxsize=8)
def dataset(task: str, step: int, seed: int) -> ProceduralDataset:
    """The puzzles of a task, its attributes all at the step of its curriculum or at their last."""
    if step < 0 or not has_curriculum(task):
        return create_dataset(task, seed=seed, size=NUM_PUZZLES)
    curriculum = create_curriculum(task)
    for name, attribute in curriculum.attributes.items():
        curriculum.set_attr_level(name, min(step, len(attribute.levels) - 1))
    settings = curriculum.generate_configuration({"seed": seed, "size": NUM_PUZZLES})
    return create_dataset(task, **vars(settings))


def plain(value: Any) -> Any:
    """The part of a value that JSON can hold: numbers of other types as Python's, what is no data left out."""
    if isinstance(value, numpy.generic):
        value = value.item()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items() if _is_data(item)}
    if isinstance(value, list | tuple | numpy.ndarray):
        return [plain(item) for item in value if _is_data(item)]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value if _is_data(item)), key=repr)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or type(value) in _PLAIN else str(value)


def _is_data(value: Any) -> bool:
    """Also fractions, decimals and dates, as their text, which is the same in every process."""
    return not callable(value)


def _limit_processor_time() -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(usage.ru_utime + usage.ru_stime) + CPU_SECONDS
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


if __name__ == "__main__":
    main()
