"""Wall time of a training step of the quickstart by processes and threads: what is a second process worth?

    python benchmarks/processes.py --json

Each setting runs `train.step` in a program of its own; they do one step in turn, and those that wait are blocked. The
CPU time is that of the whole process tree. Measure on an idle machine: a setting that needs two cores must have them.
Linux only. About three minutes.
"""

import prorl.environment  # noqa: F401, I001 - first: it sets what must stand before torch is imported

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from record import ROOT, finish, options_parser, run
from workers import Channel, Worker, WorkerFailed

from prorl.errors import UserError
from prorl.metrics import read_jsonl
from prorl.recipe import load_run
from prorl.session import open_session
from prorl.train import step

Setting = tuple[int, int]
"""Processes, and threads of each."""
SETTINGS: tuple[Setting, ...] = ((1, 1), (1, 2), (2, 1))
_OFF = ("evaluation.every=0", "evaluation.boundary_samples=0", "reset.patience=0", "train.tensorboard=false")
GOAL = 1.2
"""How much faster two processes must be than either of the others."""


def name_of(setting: Setting) -> str:
    """As `2 x 1`."""
    return f"{setting[0]} x {setting[1]}"


def serve(setting: Setting, steps: int, folder: Path) -> None:
    """The program that is measured: open the session, step, report."""
    channel = Channel()
    options = (f"model.processes={setting[0]}", f"model.threads={setting[1]}", f"train.steps={steps}")
    recipe = load_run("quickstart", [*_OFF, *options])
    with open_session(recipe, folder / "run", resume=False, changes=(), terminal=sys.stderr) as session:
        channel.report({})
        state = session.state
        for _ in range(steps):
            state = step(session, state)
            channel.report(read_jsonl(folder / "run" / "metrics.jsonl")[-1])


def start(setting: Setting, folder: Path, steps: int) -> Worker:
    """Start the program of one setting; ready when this returns."""
    place = folder / name_of(setting)
    place.mkdir()
    arguments = ["--serve", str(place), *map(str, setting), "--steps", str(steps)]
    environment = {"PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(setting[1])}
    return Worker([sys.executable, __file__, *arguments], environment, place / "log.txt")


def measure(steps: int, warmup: int) -> dict[str, list[dict[str, Any]]]:
    """The reports of `steps` steps after `warmup`, by setting, taken in turn."""
    reports: dict[str, list[dict[str, Any]]] = {name_of(setting): [] for setting in SETTINGS}
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for setting in SETTINGS:
                workers[name_of(setting)] = start(setting, Path(folder), warmup + steps)
            for number in range(warmup + steps):
                for name, worker in workers.items():
                    reports[name].append(worker.step())
                costs = ", ".join(f"{name}: {found[-1]['wall']:.2f}" for name, found in reports.items())
                sys.stderr.write(f"step {number + 1} of {warmup + steps}, wall seconds: {costs}\n")
        finally:
            for worker in workers.values():
                worker.close()
    return {name: found[warmup:] for name, found in reports.items()}


def summary(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of one setting: seconds a step, least and median."""

    def of(key: str) -> list[float]:
        return [float(report[key]) for report in steps]

    return {
        "wall_seconds": statistics.median(of("wall")),
        "wall_least": min(of("wall")),
        "cpu_seconds": statistics.median(of("cpu")),
        "rollout_least": min(of("seconds/rollout")),
        "update_least": min(of("seconds/update")),
        "tokens": sum(of("tokens/generated")) / len(steps),
        "wall": of("wall"),
    }


def compared(sides: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Wall time of each other setting over that of two processes, least and median, and whether the goal is met."""
    ours = sides[name_of((2, 1))]
    ratios = {
        name: {key: side[key] / ours[key] for key in ("wall_least", "wall_seconds")}
        for name, side in sides.items()
        if side is not ours
    }
    return {"ratios": ratios, "goal_met": all(ratio["wall_seconds"] >= GOAL for ratio in ratios.values())}


def table(sides: Mapping[str, Mapping[str, Any]], found: Mapping[str, Any]) -> str:
    """The comparison as Markdown."""
    lines = [
        "| processes x threads | wall s a step, median (least) | CPU s a step | sampling s, least | update s, least |",
        "|---|---|---|---|---|",
    ]
    for name, side in sides.items():
        lines.append(
            f"| {name} | {side['wall_seconds']:.3f} ({side['wall_least']:.3f}) | {side['cpu_seconds']:.3f} "
            f"| {side['rollout_least']:.3f} | {side['update_least']:.3f} |"
        )
    lines.append("")
    for name, ratio in found["ratios"].items():
        lines.append(
            f"Two processes are {ratio['wall_seconds']:.2f} times as fast as {name} (least {ratio['wall_least']:.2f})."
        )
    lines.append(f"Goal {GOAL} against both: {'met' if found['goal_met'] else 'missed'}.")
    return "\n".join(lines)


def check(options: argparse.Namespace) -> None:
    """UserError for what cannot be measured."""
    if sys.platform != "linux":
        raise UserError(f"this system is {sys.platform}: CPU time of another process is read the way Linux gives it")
    if options.steps < 1 or options.warmup < 1:
        raise UserError("--steps and --warmup must be at least 1: the first step starts the second process")
    if (os.cpu_count() or 1) < 2:
        raise UserError("this machine has one core: there is nothing to compare")


def main() -> None:
    """Measure, print, record."""
    parser = options_parser(__doc__ or "")
    parser.add_argument("--steps", type=int, default=20, help="measured steps of each setting")
    parser.add_argument("--warmup", type=int, default=5, help="steps before them")
    parser.add_argument("--serve", nargs=3, metavar=("DIR", "PROCESSES", "THREADS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        folder, *setting = options.serve
        serve((int(setting[0]), int(setting[1])), options.steps, Path(folder))
        return
    check(options)
    try:
        reports = measure(options.steps, options.warmup)
    except WorkerFailed as error:
        sys.exit(f"processes.py: {error}")
    sides = {name: summary(steps) for name, steps in reports.items()}
    found = compared(sides)
    finish(options, "processes", {"settings": sides, **found}, table(sides, found))


if __name__ == "__main__":
    run(main)
