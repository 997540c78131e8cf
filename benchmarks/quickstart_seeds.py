"""The quickstart with several seeds, one after the other, as one table.

    python benchmarks/quickstart_seeds.py --seeds 0 1 2 --out runs/seeds

For each seed the wall time, the resets, the means over levels with their intervals, the verdicts, the levels that were
opened (the base does not solve them in 128 samples, the trained model mostly does in one) and those that diminished.
A run that is in its folder already is read, not repeated; one that was stopped and resumed has no wall time in all.

    python benchmarks/quickstart_seeds.py --seeds 0 --out runs/vllm --set rollouts.engine=vllm --name quickstart_vllm
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from record import finish, options_parser, run


def measure(seed: int, folder: Path, settings: list[str]) -> dict[str, Any]:
    """One run, or the numbers of one that is there already."""
    seconds_file = folder / "wall_seconds.json"
    if not seconds_file.exists() and not (folder / "boundary.json").exists():
        start = time.time()
        command = [sys.executable, "-m", "prorl.cli", "train", "quickstart", "--out", str(folder)]
        subprocess.run([*command, *(f"--set={text}" for text in (f"train.seed={seed}", *settings))], check=True)
        seconds_file.write_text(json.dumps(time.time() - start))
    boundary = json.loads((folder / "boundary.json").read_text())
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    validations = [step["validation/mean"] for step in steps if "validation/mean" in step]
    return {
        "seed": seed,
        "seconds": json.loads(seconds_file.read_text()) if seconds_file.exists() else None,
        "seconds_steps": sum(step["seconds/step"] for step in steps),
        "steps": steps[-1]["step"],
        "resets": [(event["step"], event["trigger"]) for event in events if event["event"] == "reset"],
        "validation": {"first": validations[0], "best": max(validations), "last": validations[-1]},
        "entropy": {"first": steps[0]["entropy"], "last": steps[-1]["entropy"]},
        "summary": {name: boundary["summary"][name] for name in ("expanded_levels", "expanded_families", "verdicts")},
        "all": {name: boundary["groups"][0][name] for name in ("base", "trained", "solved")}
        | {"change": boundary["groups"][0]["interval"]["change"]},
        "levels": {level["name"]: short(level) for level in boundary["levels"]},
    }


def short(level: dict[str, Any]) -> dict[str, Any]:
    """Of a level what the table shows."""
    names = ("pass@1", "pass@128", "tolerant/pass@128")
    numbers = {role: {name: level[role][name] for name in names} for role in ("base", "trained")}
    return {**numbers, "change": level["interval"]["change"]["pass@128"], "verdict": level["verdict"], "k": level["k"]}


def moved(run: dict[str, Any], name: str) -> str:
    """`base -> trained (interval of the change)`."""
    everything = run["all"]
    low, high = everything["change"][name]
    return f"{everything['base'][name]:.3f} -> {everything['trained'][name]:.3f} ({low:+.3f} to {high:+.3f})"


def alone(run: dict[str, Any]) -> str:
    """Problems that one model alone solves, and how many luck would give each."""
    solved = run["all"]["solved"]
    lucky = f"{solved['expected_trained_only']:.0f} / {solved['expected_base_only']:.0f}"
    return f"{solved['trained_only']} / {solved['base_only']} ({lucky})"


def cell(run: dict[str, Any], name: str) -> str:
    """`base pass@128 -> trained pass@1 / pass@128`, in percent."""
    level = run["levels"].get(name)
    if level is None:
        return "-"
    base, trained = level["base"], level["trained"]
    tolerant = f" ({100 * base['tolerant/pass@128']:.0f})"
    text = f"{100 * base['pass@128']:.0f}{tolerant} -> {100 * trained['pass@1']:.0f} / {100 * trained['pass@128']:.0f}"
    return f"**{text}**" if name in run["summary"]["expanded_levels"] else text


def markdown(runs: list[dict[str, Any]]) -> str:
    """The table for the README."""
    seeds = [f"seed {run['seed']}" for run in runs]
    lines = [f"| | {' | '.join(seeds)} |", "|---|" + "---|" * len(runs)]

    def row(name: str, cells: list[str]) -> None:
        lines.append(f"| {name} | {' | '.join(cells)} |")

    walls = ["-" if run["seconds"] is None else f"{run['seconds']:.0f}" for run in runs]
    row(
        "wall seconds, all / RL",
        [f"{wall} / {run['seconds_steps']:.0f}" for wall, run in zip(walls, runs, strict=True)],
    )
    row("RL steps", [str(run["steps"]) for run in runs])
    row("resets", [", ".join(f"{trigger} at {step}" for step, trigger in run["resets"]) or "none" for run in runs])
    row(
        "validation first / best / last",
        [" / ".join(f"{run['validation'][key]:.3f}" for key in ("first", "best", "last")) for run in runs],
    )
    row("pass@1, mean over levels (95 % of the change)", [moved(run, "pass@1") for run in runs])
    row("pass@128", [moved(run, "pass@128") for run in runs])
    row("solved by trained only / base only (by luck)", [alone(run) for run in runs])
    for verdict in runs[0]["summary"]["verdicts"]:
        row(f"levels {verdict}", [str(len(run["summary"]["verdicts"][verdict])) for run in runs])
    row("of the expanded, opened from nothing", [str(len(run["summary"]["expanded_levels"])) for run in runs])
    row("families with one", [", ".join(run["summary"]["expanded_families"]) for run in runs])
    row("diminished", [", ".join(run["summary"]["verdicts"]["diminished"]) or "none" for run in runs])
    names = list(dict.fromkeys(name for run in runs for name in run["summary"]["expanded_levels"]))
    order = list(runs[0]["levels"])
    for name in sorted(names, key=order.index):
        row(name, [cell(run, name) for run in runs])
    legend = "A level's cell: base pass@128 (read tolerantly) -> trained pass@1 / pass@128, in percent; bold: opened."
    return "\n".join([*lines, "", legend])


def main() -> None:
    """Run, collect, write."""
    parser = options_parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of the runs")
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"), help="folder of the run folders")
    parser.add_argument("--set", action="append", default=[], help="an option of the recipe, as of `prorl train`")
    parser.add_argument("--name", default="quickstart", help="of the result file")
    options = parser.parse_args()
    runs = [measure(seed, options.out / f"seed_{seed}", options.set) for seed in options.seeds]
    finish(options, options.name, {"settings": options.set, "runs": runs}, markdown(runs))


if __name__ == "__main__":
    run(main)
