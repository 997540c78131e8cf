"""How far the log-probs of engine and learner lie apart, on vLLM and on the embedded engine, in float32 and bfloat16.

The quickstart's learner trains the shipped base for some updates on the embedded engine's rollouts. With the weights
after each of them every engine samples the same prompts, and a learner of each type says what its own log-probs of
those tokens are, at the sampling temperature. A gap is |engine - learner| of one token, in nats; `kl/engine` is the
mean of k3 over the tokens, as a run logs it. All weights are float32 and are rounded where something computes in
bfloat16. Needs `make vllm-venv`; run it with `.venv-vllm/bin/python`.
"""

import prorl.environment  # noqa: F401, I001  (before torch)

import argparse
import copy
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import finish, options_parser, run, whole_number
from torch import Tensor

from prorl import assembly
from prorl.algorithm.kl import KL
from prorl.assembly import make_engine, open_run
from prorl.config import Config, Run
from prorl.errors import UserError
from prorl.learner.batch import make_batch
from prorl.learner.torch_learner import TorchLearner
from prorl.models import LoadedModel
from prorl.recipe import load_run
from prorl.records import Request, Rollout, Row, Sampling
from prorl.rollouts import vllm_support
from prorl.seeds import stream_seed

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ENGINES = ("vllm", "torch")
Weights = dict[str, Tensor]


def ignore(text: str) -> None:
    """No progress line."""


def trajectory(updates: int, prompts: int, group: int) -> tuple[Run, LoadedModel, list[Weights], list[Request]]:
    """The weights before the first and after each update, and requests for prompts of the recipe's stream."""
    loaded_run = load_run("quickstart", ["model.device=cpu", "model.dtype=float32", "evaluation.boundary_samples=0"])
    config = loaded_run.phases[0]
    with tempfile.TemporaryDirectory() as folder, open_run(loaded_run, Path(folder), ignore, ignore) as parts:
        weights = [snapshot(parts.learner)]
        requests: list[Request] = []
        for step in range(1, updates + 1):
            parts.sync()
            filled = parts.pool.fill(step, config)
            batch = make_batch(filled.groups, config, step - 1)
            parts.learner.update(batch, config, config.optimizer.learning_rate)
            weights.append(snapshot(parts.learner))
            for drawn in filled.groups:
                seeds = tuple(stream_seed("mismatch", drawn.position, i) for i in range(group))
                sampling = Sampling(config.rollouts.temperature, 1.0, config.rollouts.max_response_tokens)
                requests.append(Request(len(requests), drawn.prompt_tokens, group, sampling, seeds))
        loaded = replace(parts.loaded, model=copy.deepcopy(parts.loaded.model))
    return loaded_run, loaded, weights, requests[:: max(1, len(requests) // prompts)][:prompts]


def snapshot(learner: TorchLearner) -> Weights:
    return {name: value.detach().clone() for name, value in learner.weights().items()}


def sampled(
    loaded: LoadedModel, config: Config, weights: list[Weights], requests: list[Request]
) -> list[list[Rollout]]:
    """The engine's rollouts of the requests with each of the weights."""
    engine = make_engine(loaded, config)
    found = []
    for version, values in enumerate(weights):
        engine.load_weights(values, version)
        found.append(list(engine.generate(requests)))
    engine.close()
    return found


def gaps(learner: TorchLearner, config: Config, rows: tuple[Row, ...]) -> tuple[np.ndarray, float]:
    """|engine - learner| of each token, and the mean of k3."""
    learned = torch.cat(learner.evaluate(rows, config)).float()
    spoken = torch.cat([torch.from_numpy(row.behaviour_logprobs) for row in rows])
    return (spoken - learned).abs().numpy(), float(KL["k3"](spoken, learned).mean())


def measurements(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    recipe, loaded, weights, requests = trajectory(options.updates, options.prompts, options.group)
    keys = {request.key: request for request in requests}
    config = recipe.phases[0]
    for name in ENGINES:
        for engine_type, dtype in DTYPES.items():
            asked = replace(config, rollouts=replace(config.rollouts, engine=name))
            found = sampled(replace(loaded, dtype=dtype), asked, weights, requests)
            for learner_type, learner_dtype in DTYPES.items():
                model = copy.deepcopy(loaded.model)
                learner = TorchLearner(replace(loaded, model=model, dtype=learner_dtype), config)
                of_update = []
                for values, rollouts in zip(weights, found, strict=True):
                    learner.reset(None, values, config)
                    rows = tuple(Row(keys[r.key].tokens, r.tokens, r.logprobs, 0.0) for r in rollouts)
                    absolute, divergence = gaps(learner, config, rows)
                    of_update.append(
                        {
                            "tokens": len(absolute),
                            "mean": float(absolute.mean()),
                            "max": float(absolute.max()),
                            "kl/engine": divergence,
                        }
                    )
                yield {"engine": name, "engine_type": engine_type, "learner_type": learner_type, "updates": of_update}


def table(results: list[dict[str, Any]], options: argparse.Namespace) -> str:
    tokens = results[0]["updates"][0]["tokens"]
    lines = [
        f"Shipped base, quickstart recipe, {options.updates} updates of four optimizer steps; "
        f"{options.prompts} prompts x {options.group} rollouts, {tokens} tokens at the start.",
        "",
        "| engine | its type | learner | mean gap | largest mean | largest gap | kl/engine | largest kl/engine |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for result in results:
        of = {name: [update[name] for update in result["updates"]] for name in ("mean", "max", "kl/engine")}
        lines.append(
            f"| {result['engine']} | {result['engine_type']} | {result['learner_type']} | {np.mean(of['mean']):.2e} | "
            f"{max(of['mean']):.2e} | {max(of['max']):.2e} | {np.mean(of['kl/engine']):.2e} | "
            f"{max(of['kl/engine']):.2e} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--updates", type=whole_number, default=20)
    parser.add_argument("--prompts", type=whole_number, default=16)
    parser.add_argument("--group", type=whole_number, default=4)
    options = parser.parse_args()
    if vllm_support.installed() is None:
        raise UserError("vLLM is not installed here: make vllm-venv, then .venv-vllm/bin/python for this script")
    assert "vllm" in assembly.ENGINES
    torch.set_num_threads(1)
    results = list(measurements(options))
    found = vllm_support.installed()
    finish(options, "vllm_mismatch", {"vllm": found[0] if found else "", "results": results}, table(results, options))


if __name__ == "__main__":
    run(main)
