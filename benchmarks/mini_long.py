"""The long run: 2,000 steps of `mini_long`, what it gained, what it lost, and how it kept.

    python benchmarks/mini_long.py --out runs/mini_long

Runs the recipe, or reads the run that is in the folder. For each boundary measurement (the base and every 500 steps)
pass@1 and pass@128 by level; resets, phases, memory, entropy against the recipe's floor, the longest step. The run's
`report.html` is kept beside the result.
"""

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from record import COMMIT, RESULTS, finish, machine, options_parser, run

Record = Mapping[str, Any]
WINDOW = 20
"""Steps of a mean."""
K = "pass@128"


def read(folder: Path) -> dict[str, Any]:
    """The numbers of a finished run."""
    boundary = json.loads((folder / "boundary.json").read_text())
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    recipe = tomllib.loads((folder / "config.toml").read_text())
    places = [0, *boundary["summary"]["checkpoints"], steps[-1]["step"]]
    return {
        "steps": steps[-1]["step"],
        "hours": sum(step["seconds/step"] for step in steps) / 3600,
        "tokens": sum(step["tokens/generated"] for step in steps),
        "floor": recipe["health"]["min_entropy"],
        "phases": [(event["step"], event["name"]) for event in events if event["event"] == "phase"],
        "resets": [(event["step"], event["trigger"]) for event in events if event["event"] == "reset"],
        "resumed": [event["step"] for event in events if event["event"] == "resume"],
        "alarms": [event for event in events if event["event"] == "alarm"],
        "skipped": sum(step.get("updates_skipped", 0) for step in steps),
        "longest_step": max((step["seconds/step"], step["step"]) for step in steps),
        "median_step": median(step["seconds/step"] for step in steps),
        "entropy": lowest(steps, "entropy", recipe["health"]["min_entropy"]),
        "validation": validation(steps),
        "places": places,
        "course": [course(steps, place) for place in places[1:]],
        "summary": boundary["summary"],
        "levels": [level_row(level, places) for level in boundary["levels"]],
    }


def lowest(steps: Sequence[Record], name: str, floor: float) -> dict[str, float]:
    """The lowest step, the number of steps below the floor, and the lowest mean of a window of steps."""
    single = min((step[name], step["step"]) for step in steps if name in step)
    means = [
        (fmean(step[name] for step in steps[end - WINDOW : end] if name in step), steps[end - 1]["step"])
        for end in range(WINDOW, len(steps) + 1)
    ]
    below = sum(step[name] < floor for step in steps if name in step)
    return {
        "lowest": single[0],
        "at": single[1],
        "steps_below": below,
        "lowest_mean": min(means)[0],
        "mean_at": min(means)[1],
    }


def validation(steps: Sequence[Record]) -> dict[str, float]:
    """First, best and last of the blend, and the spread of the last ones as a measure of its noise."""
    blend = [(step["validation/mean"], step["step"]) for step in steps if "validation/mean" in step]
    last = [value for value, _ in blend[-5:]]
    best = max(blend)
    return {
        "first": blend[0][0],
        "best": best[0],
        "best_at": best[1],
        "last": blend[-1][0],
        "last_five_low": min(last),
        "last_five_high": max(last),
    }


def course(steps: Sequence[Record], place: int) -> dict[str, float]:
    """Means of the window that ends at a step, the validation there and the memory so far."""
    part = [step for step in steps if place - WINDOW < step["step"] <= place]
    means: dict[str, Callable[[Record], float]] = {
        "score": lambda step: step["score/mean"],
        "entropy": lambda step: step["entropy"],
        "kl": lambda step: step["kl/reference"],
        "length": lambda step: step["response_length/mean"],
        "kept": lambda step: step["groups/kept"] / step["groups/drawn"],
        "seconds": lambda step: step["seconds/step"],
    }
    (last,) = (step for step in steps if step["step"] == place)
    return {
        "step": place,
        "validation": last["validation/mean"],
        "memory_mib": last["memory/host_bytes"] / 2**20,
        **{name: fmean(value(step) for step in part) for name, value in means.items()},
    }


def level_row(level: Record, places: Sequence[int]) -> dict[str, Any]:
    """pass@1 and pass@128 of a level at each place."""
    models = [level["base"], *(level["checkpoints"][str(place)] for place in places[1:-1]), level["trained"]]
    return {
        "name": f"{level['family']}/{level['level']}",
        "verdict": level["verdict"],
        "trained_on": level["trained_on"],
        "pass@1": [model["pass@1"] for model in models],
        K: [model[K] for model in models],
    }


def markdown(result: Mapping[str, Any]) -> str:
    """The tables for people."""
    entropy, blend, places = result["entropy"], result["validation"], result["places"]
    seconds, at = result["longest_step"]
    facts = {
        "run at commit": result["commit"],
        "steps": f"{result['steps']} in {result['hours']:.2f} hours, {result['tokens'] / 1e6:.1f} million tokens",
        "step": f"median {result['median_step']:.2f} s, longest {seconds:.1f} s (step {at})",
        "resumed": ", ".join(f"after a kill, from step {step}" for step in result["resumed"]) or "never",
        "phases": "; ".join(f"{name} after step {step}" for step, name in result["phases"]),
        "resets": "; ".join(f"{step} {trigger}" for step, trigger in result["resets"]),
        "entropy, floor": f"{result['floor']} nats a token, set in the recipe before the run",
        "entropy, lowest": f"{entropy['lowest']:.3f} (step {entropy['at']}; {entropy['steps_below']} steps below), "
        f"lowest mean of {WINDOW} steps {entropy['lowest_mean']:.3f} (to step {entropy['mean_at']})",
        "alarms": str(len(result["alarms"])),
        "updates skipped": f"{result['skipped']:.0f}",
        "validation": f"first {blend['first']:.3f}, best {blend['best']:.3f} (step {blend['best_at']}), last "
        f"{blend['last']:.3f}; the last five {blend['last_five_low']:.3f} to {blend['last_five_high']:.3f}",
        "levels": verdicts(result),
    }
    lines = ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in facts.items()), ""]
    lines += [f"Over the run (means of the {WINDOW} steps before):", ""]
    names = ("step", "validation", "score", "entropy", "kl", "length", "kept", "seconds", "memory_mib")
    lines += [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for row in result["course"]:
        cells = [f"{row[name]:.0f}" if name in ("step", "memory_mib") else f"{row[name]:.3f}" for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Levels: pass@1 / {K} in percent, by step; those that are 0 everywhere are left out.", ""]
    lines += [f"| level | {' | '.join(map(str, places))} | verdict |", "|---|" + "---|" * len(places) + "---|"]
    lines += [level_line(level) for level in result["levels"] if any(level[K])]
    return "\n".join(lines)


def verdicts(result: Mapping[str, Any]) -> str:
    """How many levels got which verdict, and the names of those that expanded or lost."""
    kinds = [level["verdict"] for level in result["levels"]]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(sorted(kinds)))
    return f"{counts}; diminished: {', '.join(result['summary']['verdicts']['diminished']) or 'none'}"


def level_line(level: Mapping[str, Any]) -> str:
    """A row of the table; a star at a level that no phase trained on."""
    cells = [f"{100 * one:.0f} / {100 * many:.0f}" for one, many in zip(level["pass@1"], level[K], strict=True)]
    return f"| {level['name']}{'' if level['trained_on'] else '*'} | {' | '.join(cells)} | {level['verdict']} |"


def main() -> None:
    """Run or read, then write."""
    parser = options_parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/mini_long"), help="folder of the run")
    parser.add_argument("--commit", default=COMMIT, help="commit that the run was made at, where it is not this one")
    options = parser.parse_args()
    if not (options.out / "boundary.json").exists():
        command = [sys.executable, "-m", "prorl.cli", "train", "mini_long", "--out", str(options.out), "--resume"]
        subprocess.run(command, check=True)
    result = {"commit": options.commit, **read(options.out)}
    finish(options, "mini_long", result, markdown(result))
    if not options.no_record:
        shutil.copyfile(options.out / "report.html", RESULTS / f"mini_long_{machine()['date']}.html")


if __name__ == "__main__":
    run(main)
