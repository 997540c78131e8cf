"""The cost of a step's parts against response tokens, group size, number of prompts and model size.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --sweeps group_size --model wide128 --json

CPU seconds of one thread: `rollout`, the engine sampling every rollout of a step, and `update`, the learner's four
mini-batches with the reference pass. One quantity changes at a time. The engine has no end token here, so that every
response has a length that was drawn beforehand; a group's rollouts have one length.

Two fits of each series of medians, by least squares of the relative error: a power `seconds = c x^slope`, and a line
`seconds = a + b x`. `residual` is the root mean square of what is left, relative. A slope of 1 and a small `a` mean
that nothing is wasted on small steps; a slope above 1 over response tokens is attention. Takes about four minutes.
"""

import prorl.environment  # noqa: F401, I001  (before anything that imports torch)

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from batches import Lengths
from models import MODELS, load_model
from record import finish, options_parser, run, whole_number

from prorl.assembly import make_engine
from prorl.config import Config
from prorl.learner.torch_learner import TorchLearner
from prorl.models import LoadedModel
from prorl.recipe import load_run
from prorl.records import Batch, Request, Rollout, Row, Sampling
from prorl.rollouts.engine import Engine

PARTS = ("rollout", "update")
PROMPT_TOKENS = (16, 32)
LEARNING_RATE = 1e-7
"""So small that the engine, loaded once, keeps the learner's policy."""
_MINIBATCHES = 4


@dataclass(frozen=True, slots=True)
class Point:
    """One step."""

    model: str
    num_prompts: int
    group_size: int
    longest: int
    """Response tokens at most."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Steps that differ in one quantity."""

    unit: str
    base: Point
    field: str
    values: tuple[Any, ...]

    def points(self, model: str) -> list[Point]:
        return [replace(self.base, **({"model": model} | {self.field: value})) for value in self.values]


SWEEPS = {
    "response_tokens": Sweep("mean tokens of a response", Point("", 4, 8, 0), "longest", (64, 128, 256, 512, 1024)),
    "group_size": Sweep("rollouts of a prompt", Point("", 8, 0, 64), "group_size", (4, 8, 16, 32, 64)),
    "prompts": Sweep("prompts of a step", Point("", 0, 8, 64), "num_prompts", (4, 8, 16, 32)),
    "model_size": Sweep(
        "million parameters", Point("", 8, 16, 64), "model", ("wide64", "wide128", "tiny3m", "wide512")
    ),
}


class Step:
    """The parts of a step of one point."""

    def __init__(self, point: Point) -> None:
        loaded = load_model(point.model)
        loaded = LoadedModel(loaded.model, loaded.tokenizer, loaded.device, loaded.dtype, ())
        drawn = Lengths(point.num_prompts, 1, PROMPT_TOKENS, point.longest).draw()
        self._config = recipe(point)
        self._requests = requests(drawn, point.group_size, loaded.model.config.vocab_size)
        self._engine: Engine = make_engine(loaded, self._config)
        self._learner = TorchLearner(loaded, self._config)
        self._engine.load_weights(self._learner.weights(), self._learner.version)
        self._point = point

    def size(self, field: str) -> float:
        """What a sweep over that field of `Point` is drawn against."""
        if field == "longest":
            return sum(request.sampling.max_tokens for request in self._requests) / len(self._requests)
        if field == "model":
            return sum(value.numel() for value in self._learner.weights().values()) / 1e6
        return float(asdict(self._point)[field])

    def run(self) -> dict[str, float]:
        """CPU seconds of each part."""
        start = time.process_time()
        rollouts = list(self._engine.generate(self._requests))
        between = time.process_time()
        batch = make_batch(self._requests, rollouts)
        before = time.process_time()
        metrics = self._learner.update(batch, self._config, LEARNING_RATE)
        end = time.process_time()
        assert metrics["kl/engine"] < self._config.loss.engine_logprobs_below, "an extra pass was measured"
        return {"rollout": between - start, "update": end - before}


def recipe(point: Point) -> Config:
    """The quickstart's options; an engine with room for every row."""
    longest = PROMPT_TOKENS[1] + point.longest
    overrides = {
        "data.max_prompt_tokens": PROMPT_TOKENS[1],
        "rollouts.max_response_tokens": point.longest,
        "rollouts.token_budget": max(point.num_prompts * point.group_size * longest, 256),
    }
    return load_run("quickstart", [f"{key}={value}" for key, value in overrides.items()]).phases[0]


def requests(groups: Sequence[tuple[int, tuple[int, ...]]], group_size: int, vocabulary: int) -> list[Request]:
    """One request a group, of random prompt tokens and the group's length."""
    rng = np.random.default_rng(0)
    made = []
    for key, (prompt, (size,)) in enumerate(groups):
        tokens = tuple(map(int, rng.integers(2, vocabulary, prompt)))
        seeds = tuple(map(int, rng.integers(0, 2**62, group_size)))
        made.append(Request(key, tokens, group_size, Sampling(max_tokens=size), seeds))
    return made


def make_batch(asked: Sequence[Request], rollouts: Sequence[Rollout]) -> Batch:
    """Four mini-batches of the rollouts, groups together, with random advantages."""
    rng = np.random.default_rng(0)
    ordered = sorted(rollouts, key=lambda rollout: (rollout.key, rollout.index))
    rows = [
        Row(asked[rollout.key].tokens, rollout.tokens, rollout.logprobs, float(rng.normal())) for rollout in ordered
    ]
    size = len(rows) // _MINIBATCHES
    return Batch(tuple(tuple(rows[at : at + size]) for at in range(0, len(rows), size)), {})


def fit(x: Sequence[float], y: Sequence[float]) -> dict[str, float]:
    """Slope of the power law, intercept and slope of the line, and the relative residual of each."""
    across, up = np.asarray(x, float), np.asarray(y, float)
    slope, constant = np.polyfit(np.log(across), np.log(up), 1)
    line, intercept = np.polyfit(across, up, 1, w=1 / up)
    power_left = constant + slope * np.log(across) - np.log(up)
    line_left = (intercept + line * across) / up - 1
    return {
        "power_slope": float(slope),
        "power_residual": float(np.sqrt(np.mean(power_left**2))),
        "line_intercept_seconds": float(intercept),
        "line_slope_seconds": float(line),
        "line_residual": float(np.sqrt(np.mean(line_left**2))),
    }


def measure(name: str, model: str, repeats: int) -> dict[str, Any]:
    """Medians of each point and the fits through them."""
    sweep = SWEEPS[name]
    x, seconds = list[float](), {part: list[float]() for part in PARTS}
    for point in sweep.points(model):
        step = Step(point)
        runs = [step.run() for _ in range(repeats)]
        for part in PARTS:
            seconds[part].append(median(each[part] for each in runs))
        x.append(step.size(sweep.field))
    fits = {part: fit(x, values) for part, values in seconds.items()}
    return {"sweep": name, "unit": sweep.unit, "model": model, "x": x, "cpu_seconds": seconds, "fits": fits}


def markdown(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| against | part | CPU s at each | power: slope (residual) | line: CPU s at 0 + CPU s a unit (residual) |",
        "|---|---|---|---|---|",
    ]
    for sweep in results:
        for part in PARTS:
            pairs = zip(sweep["x"], sweep["cpu_seconds"][part], strict=True)
            cells = ", ".join(f"{x:.4g}: {value:.3f}" for x, value in pairs)
            fitted = sweep["fits"][part]
            lines.append(
                f"| {sweep['unit']} | {part} | {cells} | {fitted['power_slope']:.2f} ({fitted['power_residual']:.0%}) "
                f"| {fitted['line_intercept_seconds']:.3f} + {fitted['line_slope_seconds']:.4f} x "
                f"({fitted['line_residual']:.0%}) |"
            )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--sweeps", nargs="+", default=list(SWEEPS), choices=list(SWEEPS), help="which")
    parser.add_argument("--model", default="tiny3m", choices=list(MODELS), help="of all sweeps but model_size")
    parser.add_argument("--repeats", type=whole_number, default=3, help="steps that are timed, a point")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    Step(Point(options.model, 4, 4, 16)).run()  # the first call of a process pays for loading
    results = [measure(name, options.model, options.repeats) for name in options.sweeps]
    finish(options, "scaling", {"sweeps": results}, markdown(results))


if __name__ == "__main__":
    run(main)
