"""The policy update on ragged batches, as a fraction of the matrix-multiply ceiling measured in the same run.

    python benchmarks/update.py
    python benchmarks/update.py --models tiny3m --repeats 5 --json
    python benchmarks/update.py --models mini tiny3m --profile --no-record

The update is the real one: `TorchLearner.update` under the quickstart's options, with the reference pass, four
mini-batches, gradient clipping and AdamW; the engine's log-probs serve as the old policy's, as in a run. Rows come in
groups of 16 that share a prompt, of response lengths that would fill half of a padded batch. CPU seconds, one thread.

Useful FLOP are those of `flops.py`: the matrix products on real tokens, shared prompts once. `rows` beside it counts
every row's prompt, as a trainer without shared prompts would have to compute it. The ceiling is measured twice:
square products of 1024 and 2048 (goal: 60 % of the better one), and products of the model's own shapes, fused
projections, at the size of a micro-batch, kind by kind weighed by its FLOP.

Ceiling and update take turns; medians. `--profile` prints where one update's time goes by operator.
"""

import prorl.environment  # noqa: F401, I001  (before anything that imports torch)

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from batches import Group, Lengths, make_rows, num_padded_tokens, num_row_tokens
from flops import Shape, count_places, update_flop, without_sharing
from models import MODELS, load_model
from record import finish, options_parser, run, whole_number
from torch.profiler import ProfilerActivity, profile

from prorl.config import Config
from prorl.learner.packing import micro_batches
from prorl.learner.torch_learner import TorchLearner
from prorl.recipe import load_run
from prorl.records import Batch

GROUP_SIZE, MINIBATCHES = 16, 4
LEARNING_RATE = 1e-7
"""So small that the engine's log-probs stay the old policy's over all repeats; the cost does not depend on it."""
SQUARES = (1024, 2048)
_MEASURE_SECONDS = 0.2
_PRODUCTS = {"aten::mm": 0, "aten::bmm": 0, "aten::addmm": 1, "aten::addmm_": 1, "aten::baddbmm": 1}
"""Operators that are matrix products, and the place of their first factor."""


SIZES = {
    "mini": Lengths(32, GROUP_SIZE, (12, 40), 48),
    "tiny3m": Lengths(16, GROUP_SIZE, (24, 96), 128),
    "tiny32k": Lengths(16, GROUP_SIZE, (24, 96), 128),
    "tiny26m": Lengths(8, GROUP_SIZE, (32, 128), 256),
}
"""Few tokens for many parameters, so that every model takes seconds."""


@dataclass(slots=True)
class Case:
    """A learner with its batch."""

    name: str
    groups: list[Group]
    config: Config
    learner: TorchLearner
    batch: Batch
    shape: Shape

    def update(self) -> None:
        metrics = self.learner.update(self.batch, self.config, LEARNING_RATE)
        assert metrics["kl/engine"] < self.config.loss.engine_logprobs_below, "an extra pass was measured"
        assert metrics["updates_skipped"] == 0


def make_case(name: str, seed: int = 0) -> Case:
    """Model, learner and a batch whose behaviour log-probs are the policy's."""
    config = load_run("quickstart").phases[0]
    loaded = load_model(name, seed)
    shape = Shape.of(loaded.model.config)
    groups = SIZES[name].draw(seed)
    learner = TorchLearner(loaded, config)
    rows = make_rows(groups, min(shape.vocabulary, 32_000), seed)
    values = learner.evaluate(rows, config)
    rows = tuple(replace(row, behaviour_logprobs=value.numpy()) for row, value in zip(rows, values, strict=True))
    part = len(rows) // MINIBATCHES
    batch = Batch(tuple(rows[start : start + part] for start in range(0, len(rows), part)), {})
    return Case(name, groups, config, learner, batch, shape)


def cpu_seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def rate(function: Callable[[], object], flop: float) -> float:
    """GFLOP a CPU second of a call, repeated for a fifth of a second after one for warming up."""
    function()
    calls, start = 0, time.process_time()
    while (seconds := time.process_time() - start) < _MEASURE_SECONDS:
        function()
        calls += 1
    return calls * flop / seconds / 1e9


def square_rate(size: int) -> float:
    left, right, out = (torch.randn(size, size) for _ in range(3))
    return rate(lambda: torch.mm(left, right, out=out), 2.0 * size**3)


def linear_rate(places: int, inputs: int, outputs: int) -> float:
    """Forward and both backward products of a linear layer `[places, inputs] -> [places, outputs]`."""
    x, weight, grad = torch.randn(places, inputs), torch.randn(outputs, inputs), torch.randn(places, outputs)
    y, grad_x, grad_weight = torch.empty_like(grad), torch.empty_like(x), torch.empty_like(weight)

    def products() -> None:
        torch.mm(x, weight.t(), out=y)
        torch.mm(grad, weight, out=grad_x)
        torch.mm(grad.t(), x, out=grad_weight)

    return rate(products, 6.0 * places * inputs * outputs)


def attention_rate(batch: int, length: int, head_size: int) -> float:
    """Scores and mixing of full attention, as batched products, softmax left out."""
    query, key, value = (torch.randn(batch, length, head_size) for _ in range(3))
    scores, mixed = torch.empty(batch, length, length), torch.empty_like(query)

    def products() -> None:
        torch.bmm(query, key.transpose(1, 2), out=scores)
        torch.bmm(scores, value, out=mixed)

    return rate(products, 4.0 * batch * length * length * head_size)


def own_rates(case: Case) -> dict[str, float]:
    """GFLOP a CPU second of each kind of product at the size of a mean micro-batch."""
    shape = case.shape
    packs = [part for rows in case.batch.minibatches for part in micro_batches(rows, case.config.learner.token_budget)]
    places = count_places(case.groups)
    size, predicting = places.all // len(packs), places.predicting // len(packs)
    rows = sum(map(len, packs))
    length = num_row_tokens(case.groups) // rows
    return {
        "qkv": linear_rate(size, shape.hidden, shape.query + shape.key_value),
        "attention": attention_rate(shape.heads * rows // len(packs), length, shape.head_size),
        "output": linear_rate(size, shape.query, shape.hidden),
        "gate_up": linear_rate(size, shape.hidden, 2 * shape.mlp),
        "down": linear_rate(size, shape.mlp, shape.hidden),
        "head": linear_rate(min(predicting, case.config.learner.logprob_chunk), shape.hidden, shape.vocabulary),
    }


def measure(name: str, repeats: int) -> dict[str, Any]:
    """Ceilings and update by turns."""
    case = make_case(name)
    case.update()
    squares: dict[int, list[float]] = {size: [] for size in SQUARES}
    own: list[dict[str, float]] = []
    seconds = []
    for _ in range(repeats):
        for size in SQUARES:
            squares[size].append(square_rate(size))
        own.append(own_rates(case))
        seconds.append(cpu_seconds(case.update))
    square = {size: median(rates) for size, rates in squares.items()}
    own_median = {kind: median(rates[kind] for rates in own) for kind in own[0]}
    return summary(case, square, own_median, seconds)


def summary(case: Case, square: dict[int, float], own: dict[str, float], seconds: list[float]) -> dict[str, Any]:
    """The figures of one model."""
    flop = update_flop(case.shape, case.groups)
    useful = sum(flop.values()) / 1e9
    rows = sum(update_flop(case.shape, without_sharing(case.groups)).values()) / 1e9
    middle = median(seconds)
    peak = max(square.values())
    own_seconds = sum(flop[kind] / 1e9 / own[kind] for kind in flop)
    return {
        "model": case.name,
        "parameters": sum(value.numel() for value in case.learner.weights().values()),
        "rows": sum(map(len, case.batch.minibatches)),
        "loss_tokens": case.batch.num_tokens,
        "places": count_places(case.groups).all,
        "padded_fill": num_row_tokens(case.groups) / num_padded_tokens(case.groups),
        "cpu_seconds": middle,
        "cpu_seconds_all": seconds,
        "useful_gflop": useful,
        "useful_gflop_by_kind": {kind: value / 1e9 for kind, value in flop.items()},
        "rows_gflop": rows,
        "gflop_per_cpu_second": useful / middle,
        "square_gflop_per_cpu_second": square,
        "own_gflop_per_cpu_second": own,
        "own_gflop_per_cpu_second_weighed": useful / own_seconds,
        "fraction_of_square": useful / middle / peak,
        "fraction_of_own": own_seconds / middle,
        "rows_fraction_of_square": rows / middle / peak,
    }


def markdown(results: list[dict[str, Any]]) -> str:
    """One row a model."""
    lines = [
        "| model | parameters | rows / loss tokens | fill if padded | useful GFLOP (rows) | CPU s | GFLOP a CPU s "
        "| ceiling: square 1024 / 2048 | ceiling: own shapes | share of square (rows) | share of own shapes |",
        "|" + "---|" * 11,
    ]
    for case in results:
        square = " / ".join(f"{value:.0f}" for value in case["square_gflop_per_cpu_second"].values())
        lines.append(
            f"| {case['model']} | {case['parameters'] / 1e6:.2f} M | {case['rows']} / {case['loss_tokens']} "
            f"| {case['padded_fill']:.2f} | {case['useful_gflop']:.1f} ({case['rows_gflop']:.1f}) "
            f"| {case['cpu_seconds']:.3f} | {case['gflop_per_cpu_second']:.1f} | {square} "
            f"| {case['own_gflop_per_cpu_second_weighed']:.0f} "
            f"| {case['fraction_of_square']:.0%} ({case['rows_fraction_of_square']:.0%}) "
            f"| {case['fraction_of_own']:.0%} |"
        )
    goal = "Goal: 60 % of the square ceiling, fp32. `rows`: every row's prompt counted, as without shared prompts."
    return "\n".join([*lines, "", goal])


def print_profile(name: str) -> None:
    """Where the CPU time of one update goes, by operator, itself without what it calls; then its products by shape."""
    case = make_case(name)
    case.update()
    plain = cpu_seconds(case.update)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as trace:
        case.update()
    events = sorted(trace.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    print(f"\n{name}: {plain:.3f} CPU s without the profiler, {total / 1e6:.3f} s under it\n")
    print(f"{'share':>6} {'ms':>9} {'calls':>7}  operator")
    for event in events[:30]:
        spent = event.self_cpu_time_total
        print(f"{spent / total:>6.1%} {spent / 1e3:>9.1f} {event.count:>7}  {event.key}")
    shaped = trace.key_averages(group_by_input_shape=True)
    products = [event for event in shaped if event.key in _PRODUCTS]
    print(f"\n{'share':>6} {'ms':>9} {'calls':>7} {'GFLOP/s':>8}  product")
    for event in sorted(products, key=lambda event: -event.self_cpu_time_total)[:30]:
        left, right = event.input_shapes[_PRODUCTS[event.key] :][:2]
        flop = 2.0 * event.count * math.prod(left) * right[-1]
        spent = event.self_cpu_time_total
        print(
            f"{spent / total:>6.1%} {spent / 1e3:>9.1f} {event.count:>7} {flop / spent / 1e3:>8.1f}  "
            f"{event.key} {left} x {right}"
        )


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument(
        "--models", nargs="+", default=["mini", "tiny3m", "tiny26m"], choices=list(MODELS), help="which"
    )
    parser.add_argument("--repeats", type=whole_number, default=5, help="updates that are timed")
    parser.add_argument("--profile", action="store_true", help="print the operators' times instead")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    if options.profile:
        for name in options.models:
            print_profile(name)
        return
    results = [measure(name, options.repeats) for name in options.models]
    finish(options, "update", {"models": results}, markdown(results))


if __name__ == "__main__":
    run(main)
