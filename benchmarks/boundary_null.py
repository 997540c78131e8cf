"""The shipped base measured against itself: what a boundary measurement claims where there is nothing to claim.

    python benchmarks/boundary_null.py [--seeds 20] [--problems 20] [--samples 32]

Real samples, drawn anew for both roles and each seed, on the levels of the mini suite that the quickstart measures.
Every claim is wrong. The error rate that the rule states: at most 5 % of the measurements claim anything.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from boundary_acid import measure
from record import finish, options_parser, run, whole_number

from prorl.evaluation.verdicts import ALPHA, VERDICTS
from prorl.prompts import suites
from prorl.recipe import load_run
from prorl.shipped import MINI_BASE

CLAIMS = ("expanded", "diminished", "sharpened")


def quickstart_levels() -> list[tuple[str, int]]:
    """Family and level of what the quickstart trains on."""
    sources = {source for phase in load_run("quickstart").phases for source in phase.data.sources}
    return sorted({level for source in sources for level in suites.levels(source)})


def one_seed(seed: int, levels: Sequence[tuple[str, int]], problems: int, samples: int) -> dict[str, Any]:
    """The verdicts of one measurement, and how many intervals of a change leave out 0."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        pair = (MINI_BASE, MINI_BASE)
        result = measure(pair, levels, Path(folder), problems=problems, samples=samples, seed=seed)
    names = ("pass@1", f"pass@{result['summary']['k']}")
    counts = Counter(level["verdict"] for level in result["levels"])
    return {
        "seed": seed,
        "seconds": time.perf_counter() - start,
        "levels": len(result["levels"]),
        "verdicts": {verdict: counts[verdict] for verdict in VERDICTS},
        "claimed": [f"{level['name']} {level['verdict']}" for level in result["levels"] if level["verdict"] in CLAIMS],
        "opened": result["summary"]["expanded_levels"],
        "missed": {
            scope: {name: sum(_misses(entry, name) for entry in result[scope]) / len(result[scope]) for name in names}
            for scope in ("levels", "groups")
        },
    }


def _misses(entry: dict[str, Any], name: str) -> bool:
    low, high = entry["interval"]["change"][name]
    return not low - 1e-9 <= 0 <= high + 1e-9


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    total = sum(row["levels"] for row in rows)
    lines = [
        f"| seed | {' | '.join(VERDICTS)} | opened | claimed | s |",
        "|--:|" + "--:|" * (len(VERDICTS) + 1) + "---|--:|",
    ]
    for row in rows:
        counts = " | ".join(str(row["verdicts"][verdict]) for verdict in VERDICTS)
        lines.append(
            f"| {row['seed']} | {counts} | {len(row['opened'])} | {', '.join(row['claimed'])} | {row['seconds']:.0f} |"
        )
    any_claim = sum(bool(row["claimed"]) for row in rows)
    lines += ["", f"Measurements with a claim: {any_claim} of {len(rows)}; the rule states at most {ALPHA:.0%}."]
    for claim in CLAIMS:
        count = sum(row["verdicts"][claim] for row in rows)
        lines.append(f"Levels called {claim}: {count} of {total}.")
    lines.append("")
    for scope in ("levels", "groups"):
        for name in rows[0]["missed"][scope]:
            share = sum(row["missed"][scope][name] for row in rows) / len(rows)
            lines.append(f"Intervals of the change of {name} that leave out 0, {scope}: {share:.1%}.  ")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--seeds", type=whole_number, default=20)
    parser.add_argument("--problems", type=whole_number, default=20, help="of each level")
    parser.add_argument("--samples", type=whole_number, default=32, help="of each problem")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    levels, rows = quickstart_levels(), []
    for seed in range(options.seeds):
        rows.append(one_seed(seed, levels, options.problems, options.samples))
        print(f"seed {seed}: {rows[-1]['seconds']:.0f} s, claimed {rows[-1]['claimed']}", file=sys.stderr, flush=True)
    settings = {"seeds": options.seeds, "levels": len(levels), "problems": options.problems, "samples": options.samples}
    said = ", ".join(f"{name} {value}" for name, value in settings.items())
    finish(options, "boundary_null", {**settings, "measurements": rows}, f"{said}\n\n{markdown(rows)}")


if __name__ == "__main__":
    run(main)
