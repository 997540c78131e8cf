"""The share of real tokens in what the learner computes, and in what a padded trainer would compute.

    python benchmarks/packing.py
    python benchmarks/packing.py --steps 3 --json

A computation on lengths: the learner's own packs of a step's batch are made and counted, no model is trained. Cases:

- quickstart: what the shipped base samples in the first steps of that recipe, kept and split as the run does
- quickstart_wide: response lengths of a wide distribution up to that recipe's longest
- 8k: the batch of `prorl_1.5b`'s first phase; long-tailed lengths up to 8,192, about a twentieth of them cut. Made up.

The trunk (all layers but attention) has no padding: a place is one token, a prompt stands once for its group, again
only where a group is split over packs. Attention gathers whole rows, prompt included, into padded buckets. `needed` is
every token once. A padded trainer pads rows to the longest of a mini-batch, or, gentler, of a group. Goal: over 95 %.
"""

import prorl.environment  # noqa: F401, I001  (before anything that imports torch)

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from batches import Lengths, groups_of, make_rows, num_padded_tokens, num_row_tokens
from flops import count_places
from models import load_model
from record import finish, options_parser, run

from prorl.assembly import held_out_texts, open_phase
from prorl.config import Config
from prorl.errors import UserError
from prorl.learner.batch import make_batch
from prorl.learner.packing import micro_batches, num_pack_tokens, pack
from prorl.recipe import load_run
from prorl.records import Batch, Row

_CPU = torch.device("cpu")


def quickstart(steps: int) -> tuple[Config, list[Batch]]:
    """The batches of the recipe's first steps, the base unchanged."""
    whole = load_run("quickstart")
    config, loaded = whole.phases[0], load_model("mini")
    parts = open_phase(loaded, config, whole.train.seed, held_out_texts(whole), lambda text: None)
    try:
        parts.engine.load_weights(dict(loaded.model.named_parameters()), 0)
        return config, [make_batch(parts.pool.fill(step, config).groups, config, step) for step in range(steps)]
    finally:
        parts.close()


def made_up(recipe: str, lengths: Lengths, steps: int) -> tuple[Config, list[Batch]]:
    """Batches of drawn lengths under a recipe's numbers of prompts, rollouts and mini-batches."""
    config = load_run(recipe).phases[0]
    rollouts, size = config.rollouts, config.optimizer.minibatch_prompts
    lengths = replace(
        lengths,
        num_prompts=rollouts.prompts_per_step,
        group_size=rollouts.group_size,
        longest_response=rollouts.max_response_tokens,
    )
    batches = []
    for step in range(steps):
        groups = lengths.draw(step)
        parts = [make_rows(groups[at : at + size], 1000, step) for at in range(0, len(groups), size)]
        batches.append(Batch(tuple(parts), {}))
    return config, batches


def quickstart_wide(steps: int) -> tuple[Config, list[Batch]]:
    return made_up("quickstart", Lengths(0, 0, (12, 40), 0), steps)


def long_context(steps: int) -> tuple[Config, list[Batch]]:
    lengths = Lengths(0, 0, (60, 400), 0, median=0.25, between=0.6, within=0.6)
    return made_up("prorl_1.5b", lengths, min(steps, 1))


CASES = {"quickstart": quickstart, "quickstart_wide": quickstart_wide, "8k": long_context}


def num_places(shapes: Sequence[tuple[int, int]]) -> int:
    """Places of padded buckets `[R L]`."""
    return sum(rows * length for rows, length in shapes)


def num_pairs(shapes: Sequence[tuple[int, int]]) -> int:
    """(query, key) pairs of causal attention over padded buckets `[R L]`."""
    return sum(rows * length * (length + 1) // 2 for rows, length in shapes)


def count(rows: Sequence[Row], config: Config) -> dict[str, int]:
    """What is computed for one mini-batch."""
    groups = groups_of(rows)
    lengths = [(1, prompt + size - 1) for prompt, responses in groups for size in responses]
    real = trunk = 0
    buckets = list[tuple[int, int]]()
    for part in micro_batches(rows, config.learner.token_budget):
        packed = pack(part, _CPU)
        real += num_pack_tokens(part)
        trunk += packed.tokens.numel()
        buckets += [tuple(bucket.index.shape) for bucket in packed.buckets]
    return {
        "rows": len(rows),
        "loss_tokens": sum(sum(responses) for _, responses in groups),
        "needed": count_places(groups).all,
        "trunk_real": real,
        "trunk": trunk,
        "row_tokens": num_row_tokens(groups),
        "attention": num_places(buckets),
        "row_pairs": num_pairs(lengths),
        "attention_pairs": num_pairs(buckets),
        "padded_minibatch": num_padded_tokens(groups),
        "padded_group": sum(num_padded_tokens([group]) for group in groups),
    }


def measure(name: str, steps: int) -> dict[str, Any]:
    """Sums over the mini-batches of a case, and shares."""
    config, batches = CASES[name](steps)
    parts = [count(rows, config) for batch in batches for rows in batch.minibatches]
    total = {key: sum(part[key] for part in parts) for key in parts[0]}
    return {
        "case": name,
        "steps": len(batches),
        "token_budget": config.learner.token_budget,
        **total,
        "real_share_trunk": total["trunk_real"] / total["trunk"],
        "needed_share_trunk": total["needed"] / total["trunk"],
        "real_share_attention": total["row_tokens"] / total["attention"],
        "real_share_attention_pairs": total["row_pairs"] / total["attention_pairs"],
        "real_share_padded_minibatch": total["row_tokens"] / total["padded_minibatch"],
        "real_share_padded_group": total["row_tokens"] / total["padded_group"],
        "padded_minibatch_over_trunk": total["padded_minibatch"] / total["trunk"],
    }


def markdown(results: Sequence[dict[str, Any]]) -> str:
    names = {
        "trunk places: real": "real_share_trunk",
        "trunk places: needed (a prompt once a group)": "needed_share_trunk",
        "attention places: real": "real_share_attention",
        "attention (query, key) pairs: real": "real_share_attention_pairs",
        "padded to the group's longest: real": "real_share_padded_group",
        "padded to the mini-batch's longest: real": "real_share_padded_minibatch",
    }
    lines = [f"| | {' | '.join(case['case'] for case in results)} |", "|---|" + "---|" * len(results)]
    for text, key in (("rows", "rows"), ("loss tokens", "loss_tokens"), ("trunk places", "trunk")):
        lines.append(f"| {text} | {' | '.join(f'{case[key]:,}' for case in results)} |")
    for text, key in names.items():
        lines.append(f"| {text} | {' | '.join(f'{case[key]:.1%}' for case in results)} |")
    over = " | ".join(f"{case['padded_minibatch_over_trunk']:.2f}" for case in results)
    return "\n".join([*lines, f"| places of a trainer padded by mini-batch, over ours in the trunk | {over} |"])


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--cases", nargs="+", default=list(CASES), metavar="NAME", help="which")
    parser.add_argument("--steps", type=int, default=3, help="batches of the small cases; one of the large")
    options = parser.parse_args()
    for name in options.cases:
        if name not in CASES:
            raise UserError(f"--cases {name}: use one of {', '.join(CASES)}")
    if options.steps < 1:
        raise UserError(f"--steps {options.steps}: must be at least 1")
    return options


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    results = [measure(name, options.steps) for name in options.cases]
    finish(options, "packing", {"cases": results}, markdown(results))


if __name__ == "__main__":
    run(main)
