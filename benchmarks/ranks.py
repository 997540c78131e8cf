"""Seconds a step on one rank and on several, on this machine's cores: the quickstart's recipe, one thread a rank.

    python benchmarks/ranks.py --ranks 1 2 --steps 24

The numbers of ranks take turns, `--rounds` times, so that a change of the machine's load meets all. The first four
steps of each run, which are cold, are left out; no step validates or writes a checkpoint. Tokens a second are of the
wall clock. Needs as many idle cores as ranks; about five minutes.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import finish, options_parser, run, whole_number

from prorl.errors import UserError

SETTINGS = (
    "evaluation.boundary_samples=0",
    "evaluation.every=0",
    "reset.patience=0",
    "model.threads=1",
    "train.tensorboard=false",
    "train.checkpoint_every=0",
)
COLD = 4
PARTS = ("rollout", "reward", "update", "sync")


def steps_of(ranks: int, num_steps: int, folder: Path) -> list[dict[str, Any]]:
    """The metrics of the warm steps of a run on some ranks."""
    python = [sys.executable]
    if ranks > 1:
        python += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    settings = (*SETTINGS, f"train.steps={num_steps + COLD}")
    command = [*python, "-m", "prorl.cli", "train", "quickstart", "--out", str(folder)]
    done = subprocess.run([*command, *(f"--set={text}" for text in settings)], stdout=subprocess.DEVNULL)
    if done.returncode:
        raise UserError(f"{ranks} ranks ended with exit code {done.returncode}")
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()][COLD:]


def summary(steps: list[dict[str, Any]]) -> dict[str, float]:
    """Means of a step: seconds, in all and by part, and tokens sampled and trained a second of their part."""
    seconds = {part: statistics.fmean(step.get(f"seconds/{part}", 0.0) for step in steps) for part in PARTS}
    return {
        "step": statistics.fmean(step["seconds/step"] for step in steps),
        **seconds,
        "sampled_per_second": statistics.fmean(step["tokens/generated"] for step in steps) / seconds["rollout"],
        "trained_per_second": statistics.fmean(step["tokens/trained"] for step in steps) / seconds["update"],
    }


def markdown(found: dict[int, dict[str, float]]) -> str:
    rows = [
        "| ranks | s/step | rollout | reward | update | sync | sampled tokens/s | trained tokens/s | times as fast |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    first = next(iter(found.values()))
    for ranks, one in found.items():
        seconds = " | ".join(f"{one[name]:.3f}" for name in ("step", *PARTS))
        rates = f"{one['sampled_per_second']:,.0f} | {one['trained_per_second']:,.0f}"
        rows.append(f"| {ranks} | {seconds} | {rates} | {first['step'] / one['step']:.2f} |")
    return "\n".join(rows)


def main() -> None:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--ranks", type=whole_number, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=whole_number, default=24, help="warm steps of each run (default: 24)")
    parser.add_argument("--rounds", type=whole_number, default=2)
    options = parser.parse_args()
    steps: dict[int, list[dict[str, Any]]] = {ranks: [] for ranks in options.ranks}
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(options.rounds):
            for ranks in options.ranks:
                steps[ranks] += steps_of(ranks, options.steps, Path(scratch) / f"{ranks}_{turn}")
                sys.stderr.write(f"round {turn + 1}, {ranks} ranks\n")
    found = {ranks: summary(of) for ranks, of in steps.items()}
    finish(options, "ranks", {"steps": options.steps, "rounds": options.rounds, "runs": found}, markdown(found))


if __name__ == "__main__":
    run(main)
