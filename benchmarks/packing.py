"""The share of real tokens in what the learner computes, and in what a padded trainer would compute.

    python benchmarks/packing.py
    python benchmarks/packing.py --steps 3 --json

A computation on lengths: the learner's own packs of a step's batch are made and counted, no model is trained. Cases:

- quickstart: what the shipped base samples in the first steps of that recipe, kept and split as the run does
- quickstart_wide: response lengths of a wide distribution up to that recipe's longest
- 8k: the batch of `prorl_1.5b`'s first phase; long-tailed lengths up to 8,192, about a twentieth of them cut. Made up.

The trunk (all layers but attention) has no padding: a place is one token, a prompt stands once for its group, again
only where a group is split over packs. Attention takes pieces of similar size together, padded to the largest.
`needed` is every token, and every causal (query, key) pair, once. The last line but one weighs all of it: the matrix
FLOP that are needed (`flops.py`) over those that a forward pass makes, for the model named. A padded trainer pads rows
to the longest of a mini-batch, or, gentler, of a group. Goal: over 95 % real tokens.
"""

import prorl.environment  # noqa: F401, I001  (before anything that imports torch)

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from batches import Lengths, groups_of, make_rows, num_padded_tokens, num_row_tokens
from flops import Places, Shape, count_places, forward_flop
from models import load_model
from record import finish, options_parser, run, whole_number

from prorl.assembly import held_out_texts, open_phase
from prorl.config import Config
from prorl.learner.batch import make_batch
from prorl.learner.packing import Bucket, micro_batches, num_pack_tokens, pack
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


def mini_shape() -> Shape:
    return Shape.of(load_model("mini").model.config)


def qwen_shape() -> Shape:
    """Of Qwen2.5 with 1.5B parameters, which the paper's base has; from its configuration file."""
    return Shape(hidden=1536, layers=28, heads=12, kv_heads=2, head_size=128, mlp=8960, vocabulary=151_936)


@dataclass(frozen=True, slots=True)
class Case:
    """Batches by number of steps, and the model whose FLOP are counted."""

    model: str
    batches: Callable[[int], tuple[Config, list[Batch]]]
    shape: Callable[[], Shape]


CASES = {
    "quickstart": Case("mini", quickstart, mini_shape),
    "quickstart_wide": Case("mini", quickstart_wide, mini_shape),
    "8k": Case("Qwen2.5 1.5B", long_context, qwen_shape),
}


def num_queries(buckets: Sequence[Bucket]) -> int:
    """Places whose attention is computed."""
    return sum(rows * queries for rows, queries, _ in (bucket.shape for bucket in buckets))


def num_pairs(buckets: Sequence[Bucket]) -> int:
    """(query, key) pairs that are computed: all of a batched product, the causal half of the fused kernel."""
    pairs = 0
    for bucket in buckets:
        rows, queries, keys = bucket.shape
        pairs += rows * (queries * (queries + 1) // 2 if bucket.bias is None else queries * keys)
    return pairs


def count(rows: Sequence[Row], config: Config) -> dict[str, int]:
    """What is needed and what is computed for one mini-batch."""
    groups = groups_of(rows)
    needed = count_places(groups)
    figures = {
        "rows": len(rows),
        "loss_tokens": sum(sum(responses) for _, responses in groups),
        "needed": needed.all,
        "needed_predicting": needed.predicting,
        "needed_pairs": needed.all_pairs,
        "needed_predicting_pairs": needed.predicting_pairs,
        "row_tokens": num_row_tokens(groups),
        "padded_minibatch": num_padded_tokens(groups),
        "padded_group": sum(num_padded_tokens([group]) for group in groups),
    }
    computed = dict.fromkeys(("trunk", "trunk_real", "attention_queries", "attention_pairs"), 0)
    for part in micro_batches(rows, config.learner.token_budget):
        packed = pack(part, _CPU)
        computed["trunk"] += packed.tokens.numel()
        computed["trunk_real"] += num_pack_tokens(part)
        computed["attention_queries"] += num_queries(packed.layout.buckets)
        computed["attention_pairs"] += num_pairs(packed.layout.buckets)
    return figures | computed


def needed_flop_share(shape: Shape, total: dict[str, int]) -> float:
    """Of a forward pass: every layer at every place and padded pair, the head at every loss token."""
    needed = Places(*(total[f"needed{what}"] for what in ("", "_predicting", "_pairs", "_predicting_pairs")))
    trunk, pairs = total["trunk"], total["attention_pairs"]
    computed = forward_flop(shape, Places(trunk, trunk, pairs, pairs))
    computed["head"] = forward_flop(shape, Places(0, total["loss_tokens"], 0, 0))["head"]
    return sum(forward_flop(shape, needed).values()) / sum(computed.values())


def measure(name: str, steps: int) -> dict[str, Any]:
    """Sums over the mini-batches of a case, and shares."""
    case = CASES[name]
    config, batches = case.batches(steps)
    parts = [count(rows, config) for batch in batches for rows in batch.minibatches]
    total = {key: sum(part[key] for part in parts) for key in parts[0]}
    return {
        "case": name,
        "model": case.model,
        "steps": len(batches),
        "token_budget": config.learner.token_budget,
        **total,
        "real_share_trunk": total["trunk_real"] / total["trunk"],
        "needed_share_trunk": total["needed"] / total["trunk"],
        "needed_share_attention_queries": total["needed"] / total["attention_queries"],
        "needed_share_attention_pairs": total["needed_pairs"] / total["attention_pairs"],
        "needed_share_flop": needed_flop_share(case.shape(), total),
        "real_share_padded_minibatch": total["row_tokens"] / total["padded_minibatch"],
        "real_share_padded_group": total["row_tokens"] / total["padded_group"],
        "padded_minibatch_over_trunk": total["padded_minibatch"] / total["trunk"],
    }


def markdown(results: Sequence[dict[str, Any]]) -> str:
    names = {
        "trunk places: real": "real_share_trunk",
        "trunk places: needed (a prompt once a group)": "needed_share_trunk",
        "attention queries: needed": "needed_share_attention_queries",
        "attention (query, key) pairs: needed": "needed_share_attention_pairs",
        "matrix FLOP of a forward pass: needed": "needed_share_flop",
        "padded to the group's longest: real": "real_share_padded_group",
        "padded to the mini-batch's longest: real": "real_share_padded_minibatch",
    }
    lines = [f"| | {' | '.join(case['case'] for case in results)} |", "|---|" + "---|" * len(results)]
    lines.append(f"| model | {' | '.join(case['model'] for case in results)} |")
    for text, key in (("rows", "rows"), ("loss tokens", "loss_tokens"), ("trunk places", "trunk")):
        lines.append(f"| {text} | {' | '.join(f'{case[key]:,}' for case in results)} |")
    for text, key in names.items():
        lines.append(f"| {text} | {' | '.join(f'{case[key]:.1%}' for case in results)} |")
    over = " | ".join(f"{case['padded_minibatch_over_trunk']:.2f}" for case in results)
    return "\n".join([*lines, f"| places of a trainer padded by mini-batch, over ours in the trunk | {over} |"])


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES), help="which")
    parser.add_argument("--steps", type=whole_number, default=3, help="batches of the small cases; one of the large")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    results = [measure(name, options.steps) for name in options.cases]
    finish(options, "packing", {"cases": results}, markdown(results))


if __name__ == "__main__":
    run(main)
