"""Asynchronous rollouts against synchronous ones: seconds a step, and what is learned, on the quickstart's recipe.

    python benchmarks/async_rollouts.py --seeds 0 1 2 --steps 400

Synchronous: one process, which samples, verifies and updates in turn. Asynchronous: a rollout process beside it,
`rollouts.max_staleness = 1`, truncated importance weights. One thread each. The two take turns, a block of steps at a
time: each block goes on from the checkpoint of the one before, so that a change of the machine's load meets both.
Seconds are of the wall clock, for that is what a second process can save; the first step of a block, which is cold and
has nothing ahead of it, and steps with a validation are left out. About 25 minutes for three seeds on two idle cores.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from record import finish, options_parser, run, whole_number

ARMS = {
    "synchronous": ("rollouts.process=false",),
    "asynchronous": ("rollouts.process=true", "rollouts.max_staleness=1", 'loss.behaviour_correction="truncated"'),
}
COMMON = ("evaluation.boundary_samples=0", "model.threads=1", "train.tensorboard=false", "train.checkpoint_every=0")


def block(arm: str, seed: int, folder: Path, until: int) -> None:
    """Take a run on to a step."""
    settings = (*COMMON, *ARMS[arm], f"train.seed={seed}", f"train.steps={until}")
    command = [sys.executable, "-m", "prorl.cli", "train", "quickstart", "--out", str(folder)]
    command += ["--resume"] if folder.exists() else []
    with (folder.parent / f"{arm}_{seed}.log").open("a") as log:
        subprocess.run([*command, *(f"--set={text}" for text in settings)], check=True, stdout=log, stderr=log)
    sys.stderr.write(f"seed {seed}, {arm}, step {until}\n")


def measure(folder: Path, size: int) -> dict[str, Any]:
    """Of one run: seconds a step without what is cold, and its validations."""
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    warm = [step for step in steps if step["step"] % size != 1 and "validation/mean" not in step]
    scores = [step["validation/mean"] for step in steps if "validation/mean" in step]

    def mean(name: str) -> float:
        return statistics.fmean(step.get(name, 0.0) for step in warm)

    names = ("step", "rollout", "reward", "update", "sync", "wait")
    return {
        "seconds": {name: mean(f"seconds/{name}") for name in names},
        "seconds_steps": [step["seconds/step"] for step in warm],
        "staleness": mean("staleness/mean"),
        "importance_weight": mean("importance_weight/mean"),
        "kl_engine": mean("kl/engine"),
        "tokens": mean("tokens/generated"),
        "resets": sum("reset" in line for line in (folder / "events.jsonl").read_text().splitlines()),
        "validation": {
            "first": scores[0],
            "best": max(scores),
            "last": scores[-1],
            "last_three": statistics.fmean(scores[-3:]),
        },
    }


def markdown(found: dict[str, dict[int, dict[str, Any]]], num_steps: int) -> str:
    rows = [
        "| seed | arm | s/step | rollout | reward | update | wait | staleness | weight "
        "| validation first / best / last | last three | resets |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|",
    ]
    for seed in next(iter(found.values())):
        for arm, of_seed in found.items():
            one = of_seed[seed]
            seconds, score = one["seconds"], one["validation"]
            cells = [f"{seconds[name]:.3f}" for name in ("step", "rollout", "reward", "update", "wait")]
            cells += [f"{one['staleness']:.2f}", f"{one['importance_weight'] or 1:.3f}"]
            cells += [f"{score['first']:.3f} / {score['best']:.3f} / {score['last']:.3f}", f"{score['last_three']:.3f}"]
            rows.append(f"| {seed} | {arm} | {' | '.join(cells)} | {one['resets']} |")
    means = {arm: statistics.fmean(one["seconds"]["step"] for one in of.values()) for arm, of in found.items()}
    scores = {
        arm: statistics.fmean(one["validation"]["last_three"] for one in of.values()) for arm, of in found.items()
    }
    first, second = ARMS
    return "\n".join(
        [
            *rows,
            "",
            f"{num_steps} steps. {first}: {means[first]:.3f} s a step, {second}: {means[second]:.3f} s "
            f"({means[first] / means[second]:.2f} times as fast). Mean of the last three validations: "
            f"{scores[first]:.3f} and {scores[second]:.3f}.",
        ]
    )


def main() -> None:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=whole_number, default=400, help="of each run (default: 400, the recipe's)")
    parser.add_argument("--block", type=whole_number, default=50, help="steps in a row of one arm (default: 50)")
    options = parser.parse_args()
    found: dict[str, dict[int, dict[str, Any]]] = {arm: {} for arm in ARMS}
    with tempfile.TemporaryDirectory() as scratch:
        for seed in options.seeds:
            for until in [*range(options.block, options.steps, options.block), options.steps]:
                for arm in ARMS:
                    block(arm, seed, Path(scratch) / f"{arm}_{seed}", until)
            for arm in ARMS:
                found[arm][seed] = measure(Path(scratch) / f"{arm}_{seed}", options.block)
    result = {"steps": options.steps, "block": options.block, "runs": found}
    finish(options, "async_rollouts", result, markdown(found, options.steps))


if __name__ == "__main__":
    run(main)
