"""CPU seconds of a training step against TRL's GRPOTrainer: same weights, prompts, group size, lengths and updates.

    python benchmarks/step_vs_trl.py --json

Both sides run their own loop in a process of their own, TRL in `.venv-bench` (`make bench-venv`), and do one step in
turn; the one that waits is blocked. Counted is the CPU time of the whole process tree. `--tune` measures the settings
that were looked at for a side instead; what it chose stands in `workloads.py`. Linux only. About five minutes.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from record import ROOT, finish, options_parser, run
from workers import Worker, WorkerFailed
from workloads import CANDIDATES, WORKLOADS, Workload, write_settings

from prorl.errors import UserError

PROGRAMS = {
    "prorl": (Path(sys.executable), ROOT / "benchmarks/prorl_worker.py"),
    "trl": (ROOT / ".venv-bench/bin/python", ROOT / "benchmarks/trl_worker.py"),
}
PHASES = ("generate", "reward", "old", "reference", "sync", "update", "other")
Steps = dict[str, list[dict[str, Any]]]
"""The reports of the measured steps, by side."""


def start(
    side: str, workload: Workload, options: Mapping[str, Any], folder: Path, *, threads: int, steps: int
) -> Worker:
    """Start the program of one side; ready when this returns. `environment` among its options is its environment."""
    python, program = PROGRAMS[side]
    own = {key: value for key, value in options.items() if key != "environment"}
    settings = write_settings(workload, own, folder, threads=threads, steps=steps)
    environment = {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
    environment |= options.get("environment", {})
    return Worker([str(python), str(program), str(settings)], environment, folder / "log.txt")


def alternate(workers: Mapping[str, Worker], title: str, *, steps: int, warmup: int) -> Steps:
    """`warmup` and then `steps` steps of each worker in turn; gives the reports of the latter."""
    reports: Steps = {name: [] for name in workers}
    for number in range(warmup + steps):
        for name, worker in workers.items():
            reports[name].append(worker.step())
        if len({report[-1]["prompts"] for report in reports.values()}) > 1:
            raise WorkerFailed(f"{title}: the sides did not draw the same prompts in step {number + 1}")
        costs = ", ".join(f"{name} {report[-1]['cpu']:.2f}" for name, report in reports.items())
        sys.stderr.write(f"{title}, step {number + 1} of {warmup + steps}, CPU seconds: {costs}\n")
    return {name: report[warmup:] for name, report in reports.items()}


def summary(steps: Sequence[Mapping[str, Any]], worker: Worker) -> dict[str, Any]:
    """Medians of one side, CPU seconds with their range."""
    cpu = [step["cpu"] for step in steps]
    tokens = sum(step["tokens"] for step in steps)
    phases = {
        phase: statistics.median(step["phases"][phase] for step in steps)
        for phase in PHASES
        if phase in steps[0]["phases"]
    }
    return {
        "cpu_seconds": statistics.median(cpu),
        "cpu_range": [min(cpu), max(cpu)],
        "wall_seconds": statistics.median(step["wall"] for step in steps),
        "tokens": tokens / len(steps),
        "length": tokens / sum(step["rollouts"] for step in steps),
        "cpu_per_1000_tokens": statistics.median(1000 * step["cpu"] / step["tokens"] for step in steps),
        "peak_gigabytes": worker.peak_bytes / 1e9,
        "idle_cpu_seconds": worker.idle_cpu,
        "phases": phases,
        "threads": worker.ready["threads"],
        "cpu": cpu,
    }


def compare(workload: Workload, *, threads: int, steps: int, warmup: int) -> dict[str, Any]:
    """Both sides of one workload in turn: a summary of each, and TRL's cost over ours."""
    title = f"{workload.name}, {threads} thread{'s' * (threads > 1)}"
    workers: dict[str, Worker] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for side in PROGRAMS:
                options = CANDIDATES[side][workload.name][0]
                workers[side] = start(
                    side, workload, options, Path(folder) / side, threads=threads, steps=warmup + steps
                )
            reports = alternate(workers, title, steps=steps, warmup=warmup)
            sides = {side: summary(reports[side], worker) for side, worker in workers.items()}
        finally:
            for worker in workers.values():
                worker.close()
    pairs = [theirs["cpu"] / ours["cpu"] for theirs, ours in zip(reports["trl"], reports["prorl"], strict=True)]
    return {
        "sides": sides,
        "ratio": sides["trl"]["cpu_seconds"] / sides["prorl"]["cpu_seconds"],
        "ratio_range": [min(pairs), max(pairs)],
        "ratio_per_token": sides["trl"]["cpu_per_1000_tokens"] / sides["prorl"]["cpu_per_1000_tokens"],
        "ratio_wall": sides["trl"]["wall_seconds"] / sides["prorl"]["wall_seconds"],
        "versions": workers["trl"].ready["versions"],
    }


def tune(workload: Workload, side: str, *, threads: int, steps: int, warmup: int) -> dict[str, Any]:
    """The candidates of one side in turn; medians of the CPU seconds, the cheapest first."""
    workers: dict[str, Worker] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, options in enumerate(CANDIDATES[side][workload.name]):
                place = Path(folder) / str(number)
                try:
                    workers[json.dumps(options)] = start(
                        side, workload, options, place, threads=threads, steps=warmup + steps
                    )
                except WorkerFailed as error:
                    failed[json.dumps(options)] = str(error).splitlines()[-1]
            reports = alternate(workers, f"{workload.name}, {side}", steps=steps, warmup=warmup)
            found = {name: summary(reports[name], worker) for name, worker in workers.items()}
        finally:
            for worker in workers.values():
                worker.close()
    ranked = sorted(found.items(), key=lambda item: item[1]["cpu_seconds"])
    return {"ranked": [{"options": name, **rest} for name, rest in ranked], "failed": failed}


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The comparison as Markdown."""
    lines = [
        "| workload, threads | side | CPU s a step (range) | wall s | tokens | length | CPU s / 1,000 | peak GB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        for side, row in result["sides"].items():
            low, high = row["cpu_range"]
            lines.append(
                f"| {name} | {side} | {row['cpu_seconds']:.3f} ({low:.3f} to {high:.3f}) | {row['wall_seconds']:.2f} "
                f"| {row['tokens']:.0f} | {row['length']:.1f} | {row['cpu_per_1000_tokens']:.4f} "
                f"| {row['peak_gigabytes']:.2f} |"
            )
    lines += ["", f"| CPU s of the main process | side | {' | '.join(PHASES)} |", "|---|---|" + "---|" * len(PHASES)]
    for name, result in results.items():
        for side, row in result["sides"].items():
            cells = [f"{row['phases'][phase]:.3f}" if phase in row["phases"] else "-" for phase in PHASES]
            lines.append(f"| {name} | {side} | {' | '.join(cells)} |")
    lines.append("")
    for name, result in results.items():
        low, high = result["ratio_range"]
        lines.append(
            f"{name}: TRL takes {result['ratio']:.2f} times our CPU seconds (step by step {low:.2f} to {high:.2f}), "
            f"{result['ratio_per_token']:.2f} times a token, {result['ratio_wall']:.2f} times the wall time."
        )
    return "\n".join(lines)


def tuning_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The search as Markdown."""
    lines = ["| workload, side | options | CPU s a step (range) | wall s | peak GB |", "|---|---|---|---|---|"]
    for name, result in results.items():
        for row in result["ranked"]:
            low, high = row["cpu_range"]
            lines.append(
                f"| {name} | `{row['options']}` | {row['cpu_seconds']:.3f} ({low:.3f} to {high:.3f}) "
                f"| {row['wall_seconds']:.2f} | {row['peak_gigabytes']:.2f} |"
            )
        lines += [f"| {name} | `{options}` | failed: {reason} | | |" for options, reason in result["failed"].items()]
    return "\n".join(lines)


def check(options: argparse.Namespace) -> None:
    """UserError for what cannot be measured."""
    if sys.platform != "linux":
        raise UserError(f"this system is {sys.platform}: CPU time of another process is read the way Linux gives it")
    if options.steps < 1 or options.warmup < 0 or min(options.threads) < 1:
        raise UserError("--steps and --threads must be at least 1, --warmup at least 0")
    if not PROGRAMS["trl"][0].exists():
        raise UserError(f"{PROGRAMS['trl'][0].relative_to(ROOT)} is not there: run `make bench-venv`")


def main() -> None:
    """Measure, print, record."""
    parser = options_parser(__doc__ or "")
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--steps", type=int, default=6, help="measured steps of each side")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="thread counts; ratios are of the first")
    parser.add_argument("--tune", nargs="+", choices=list(PROGRAMS), help="measure the candidates of these sides")
    options = parser.parse_args()
    check(options)
    lengths = {"steps": options.steps, "warmup": options.warmup}
    chosen = [WORKLOADS[name] for name in options.workloads]
    try:
        if options.tune:
            found = {
                f"{workload.name}, {side}": tune(workload, side, threads=options.threads[0], **lengths)
                for workload in chosen
                for side in options.tune
            }
            finish(options, "step_vs_trl_tuning", found, tuning_table(found))
            return
        by_threads = {
            (workload.name, threads): compare(workload, threads=threads, **lengths)
            for workload in chosen
            for threads in options.threads
        }
    except WorkerFailed as error:
        sys.exit(f"step_vs_trl.py: {error}")
    results = {f"{name}, {threads}": result for (name, threads), result in by_threads.items()}
    ratios = {name: by_threads[name, options.threads[0]]["ratio"] for name in options.workloads}
    best = {name: best_ratio([by_threads[name, threads] for threads in options.threads]) for name in ratios}
    result = {"ratios": ratios, "ratios_best_threads": best, "results": results}
    finish(options, "step_vs_trl", result, table(results))


def best_ratio(results: Sequence[Mapping[str, Any]]) -> float:
    """TRL's cheapest thread count over ours."""
    theirs, ours = (min(result["sides"][side]["cpu_seconds"] for result in results) for side in ("trl", "prorl"))
    return theirs / ours


if __name__ == "__main__":
    run(main)
