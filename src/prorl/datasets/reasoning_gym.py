"""Stage 2, prompts: rows of Reasoning Gym's puzzles, made by the library in a process of its own.

Rows are stored, and judged from what is stored: the library is needed to make them, never to score them. A row depends
on task, level and seed only. What a puzzle must hold to be judged is `rewards/puzzles/`.
"""

import contextlib
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from prorl.errors import RunFailed, UserError
from prorl.records import Prompt
from prorl.rewards.puzzles.rows import check_row, gold_response
from prorl.rewards.puzzles.tasks import ALL_TASKS, VERSION, canonical
from prorl.rewards.puzzles.verdict import verify
from prorl.seeds import stream_seed

INSTRUCTION = (
    "Think about the problem step by step, then give only the final answer, in the format that the problem asks for, "
    "between <answer> and </answer>."
)
MAX_BARREN = 40
"""Draws in a row without a usable puzzle after which a task counts as exhausted."""
_LONG_BARREN = {"string_insertion": 1000}
"""Where few puzzles are usable: 19 of 20 strings of the library's own settings stay as they are."""
MAX_LOST = 5
"""Puzzles in a row that cost too much processor time after which a task counts as exhausted."""
_SEEDS = 1 << 31
"""Some generators take no larger ones than 32 bits, the number of the puzzle added."""
_WORKER = "prorl.datasets.reasoning_gym_worker"

FIRST_STEP = {"sokoban": 1}
"""The step of the curriculum that is level 1; the first one where nothing is said."""
_USUAL_LEVELS = 4
_LEVELS = {
    0: "acre gsm_symbolic knight_swap list_functions",
    1: "modulo_grid",
    2: "caesar_cipher jugs survo",
    3: "bf word_ladder",
    5: """
        base_conversion basic_arithmetic circuit_logic color_cube_rotation count_bits count_primes countdown
        course_schedule decimal_chain_sum letter_jumble manipulate_matrix mini_sudoku n_queens power_function
        propositional_logic rectangle_count rotate_matrix spell_backward string_manipulation sudoku word_sorting
    """,
    6: "emoji_mystery figlet_font",
    7: "puzzle24 rearc time_intervals",
    8: "intermediate_integration letter_counting number_sorting",
    9: "aiw boxnet family_relationships",
    10: "bitwise_arithmetic quantum_lock self_reference sokoban",
    11: "chain_sum coin_flip leg_counting products",
}
MAX_LEVEL: dict[str, int] = dict.fromkeys(ALL_TASKS, _USUAL_LEVELS) | {
    task: level for level, tasks in _LEVELS.items() for task in tasks.split()
}
"""Levels of each task: those of its curriculum, all attributes together, that work within a second a puzzle."""


def max_level(task: str) -> int:
    """The task's highest level; 0 where its curriculum does not work, or it has none."""
    return MAX_LEVEL[canonical(task)]


def generate_rows(tasks: Sequence[str], *, per_task: int, seed: int, level: int = 0) -> Iterator[dict[str, Any]]:
    """Prompt rows, task by task: different questions, each with an answer that its verifier accepts.

    Level 0 is the library's own settings, those of the paper; from 1 on the steps of the task's curriculum, the highest
    that works for a level above it. A task with fewer different puzzles yields fewer rows. UserError: an
    unknown task, or a library that is missing or of another version.
    """
    names = [_known(task) for task in tasks]
    _check_library()
    with _Maker() as maker:
        for task in names:
            yield from _task_rows(maker, task, per_task, seed, min(level, max_level(task)))


def _known(task: str) -> str:
    name = canonical(task)
    if name not in ALL_TASKS:
        raise UserError(f"task = {task}: not one of the {len(ALL_TASKS)} tasks of reasoning-gym {VERSION}")
    return name


def _check_library() -> None:
    try:
        found = importlib.metadata.version("reasoning-gym")
    except importlib.metadata.PackageNotFoundError:
        found = "not installed"
    if found != VERSION:
        raise UserError(f"reasoning-gym: {found}; puzzles need {VERSION}: pip install reasoning-gym=={VERSION}")


def _task_rows(maker: "_Maker", task: str, count: int, seed: int, level: int) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    entry: dict[str, Any] | None = None
    number = barren = lost = 0
    step = level - 1 + FIRST_STEP.get(task, 0) if level else -1
    start = stream_seed(seed, "reasoning-gym", task, level) % _SEEDS
    max_barren = _LONG_BARREN.get(task, MAX_BARREN)
    while len(seen) < count and barren < max_barren and lost < MAX_LOST:
        entry = maker.make(task, step, start, number)
        number += 1
        lost = lost + 1 if entry is None else 0
        row = None if entry is None or entry.get("question") in seen else _row(task, level, seed, number - 1, entry)
        barren = barren + 1 if row is None else 0
        if row is not None:
            seen.add(row["metadata"]["entry"]["question"])
            yield row
    if not seen and count:
        raise RunFailed(f"{task} at level {level}: none of {number} puzzles can be used; the last: {str(entry)[:200]}")


def _row(task: str, level: int, seed: int, number: int, entry: dict[str, Any]) -> dict[str, Any] | None:
    """None for a puzzle that cannot be judged, whose own answer is wrong, or is the string that was given."""
    metadata = {"task": task, "level": level, "entry": entry}
    prompt = Prompt(id="", domain="logic", task=task, content="", metadata=metadata)
    try:
        check_row(prompt)
    except ValueError:
        return None
    if "Integral(" in (entry["answer"] or "") or (task == "string_insertion" and _is_copy(entry)):
        return None
    gold = gold_response(prompt)
    if gold is None or verify(prompt, gold).outcome != "correct":
        return None
    return {
        "id": f"{task}-{level}-{seed}-{number}",
        "domain": "logic",
        "task": task,
        "prompt": f"{entry['question'].rstrip()}\n\n{INSTRUCTION}",
        "answer": gold.removeprefix("<answer>").removesuffix("</answer>"),
        "metadata": metadata,
    }


def _is_copy(entry: dict[str, Any]) -> bool:
    return bool(entry["answer"] == entry["metadata"]["string"])


class _Maker:
    """The process that makes puzzles, started anew when one has cost too much."""

    def __init__(self) -> None:
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def make(self, task: str, step: int, seed: int, number: int) -> dict[str, Any] | None:
        """The puzzle, `{"error": ...}`, or None for one that cost too much."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, which reading tells
            self._process.stdin.write(json.dumps([task, step, seed, number]) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._restart()
            return None
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _restart(self) -> None:
        code = self._process.wait()
        self._end()
        if code > 0:
            raise RunFailed(f"the process that makes puzzles ended with exit code {code}: run python -m {_WORKER}")
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        # The order of sets decides what eight of the generators draw.
        environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env=environment,
        )

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
