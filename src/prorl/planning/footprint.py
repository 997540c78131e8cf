"""Bytes that a device holds while it samples and while it updates, from a recipe and a model's size.

Arithmetic only; `benchmarks/plan_memory.py` holds it against what an allocator counts. With several ranks FSDP2 shards
weights, gradients, moments and reference evenly; engine, activations and what a layer gathers are every rank's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from prorl.config import Config
from prorl.models import Size
from prorl.planning.devices import split

MASTER_BYTES = 4
MOMENT_BYTES = {"adamw": 8.0, "adamw_8bit": 2 * (1 + 4 / 256)}
"""Both moments of a parameter, by `optimizer.name`."""
ROUNDED_UP = 1.02
"""What lies unused in and between the allocator's blocks."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes by use, in the two halves of a step."""

    sampling: Mapping[str, float]
    updating: Mapping[str, float]
    at_once: bool = False
    """Whether one device holds both halves, of a learner and of a rollout process that share it."""

    @property
    def peak(self) -> float:
        """On the device that holds more, or in the half in which it does."""
        halves = sum(self.sampling.values()), sum(self.updating.values())
        return sum(halves) if self.at_once else max(halves)


def footprint(config: Config, size: Size, devices: int = 1) -> Footprint:
    """What each of the devices holds; or a device of each side, where a rollout process has some of its own."""
    sides = split(config, devices)
    ranks = sides.learners
    learner = {
        "policy": size.parameters * MASTER_BYTES / ranks,
        "optimizer": size.trained * MOMENT_BYTES[config.optimizer.name] / ranks,
        "reference": size.trained * MASTER_BYTES / ranks,
    }
    engine = {
        "engine": size.parameters * size.itemsize / config.rollouts.tensor_parallel_size,
        "cache": cache_tokens(config) * size.cache_bytes / config.rollouts.tensor_parallel_size,
    }
    beside = config.rollouts.process
    sampling = {**({} if beside else learner), **engine, "prefill": _prefill(config, size)}
    updating = {**learner, **({} if beside else engine), "gradients": size.trained * MASTER_BYTES / ranks}
    updating |= _working(config, size, ranks)
    if config.learner.reference_on_host and size.trained == size.parameters:
        sampling |= {"reference": 0.0}
        # One process brings all of it over for the update; sharded layers come one by one.
        updating["reference"] = 0.0 if ranks > 1 or not config.loss.kl_coefficient else updating["reference"]
    if config.rollouts.gpu_memory_utilization:
        updating["cache"] = 0.0
    return Footprint(_rounded_up(sampling), _rounded_up(updating), at_once=beside and not sides.apart)


def _rounded_up(part: Mapping[str, float]) -> dict[str, float]:
    return {name: value * ROUNDED_UP for name, value in part.items() if value}


def _working(config: Config, size: Size, ranks: int) -> dict[str, float]:
    """What the update holds beside the weights and their gradients and moments, where it holds most.

    Kept activations, and then what is largest: the log-probabilities, a layer's backward pass, or, in the forward pass,
    one layer's activations with autocast's copies of the weights.
    """
    tokens = micro_batch_tokens(config)
    recomputed = config.learner.activation_checkpointing
    layer = tokens * layer_bytes(size) if recomputed else 0.0
    copy = (size.parameters - outer_parameters(size)) * size.itemsize if size.itemsize < MASTER_BYTES else 0.0
    kept_copy = 0.0 if recomputed or ranks > 1 else copy
    at_most = {
        "log-probs": _logprob_bytes(config, size, tokens),
        "one layer": layer + tokens * _backward_bytes(size),
        "16-bit copy": (copy - kept_copy if ranks == 1 else 0.0) + layer,
    }
    largest = max(at_most, key=lambda name: at_most[name])
    working = {
        "activations": tokens * kept_bytes(config, size),
        largest: at_most[largest],
        "gathered": _gathered(size) if ranks > 1 else 0.0,
    }
    working["16-bit copy"] = working.get("16-bit copy", 0.0) + kept_copy
    return working


def _gathered(size: Size) -> float:
    """Whole weights and gradients of what FSDP2 has at hand: two layers, for the next is fetched early, in the
    computing type, and in float32 what belongs to no layer, which stays gathered, the reference's too. Gradients are in
    their weight's type and, on their way to the other ranks, in float32."""
    outer, layers = outer_parameters(size), 2 * layer_parameters(size)
    if size.trained < size.parameters:
        return layers * size.itemsize + outer * MASTER_BYTES
    return layers * (2 * size.itemsize + MASTER_BYTES) + outer * 4 * MASTER_BYTES


def outer_parameters(size: Size) -> int:
    """Of the embedding, and of the head where it is another."""
    return size.vocabulary * size.hidden * (1 if size.multiplied == size.parameters else 2)


def layer_parameters(size: Size) -> float:
    return (size.parameters - outer_parameters(size)) / size.layers


def longest_row(config: Config) -> int:
    """Tokens of the longest prompt with the longest response."""
    return config.data.max_prompt_tokens + config.rollouts.max_response_tokens


def cache_rows(config: Config) -> int:
    """Rollouts that the engine samples at a time."""
    return config.rollouts.token_budget // longest_row(config)


def cache_tokens(config: Config) -> int:
    return cache_rows(config) * longest_row(config)


def micro_batch_tokens(config: Config) -> int:
    """Tokens of the largest micro-batch: the budget or one longest row, and never more than a mini-batch has."""
    group = config.data.max_prompt_tokens + config.rollouts.group_size * config.rollouts.max_response_tokens
    return min(max(config.learner.token_budget, longest_row(config)), config.optimizer.minibatch_prompts * group)


def kept_bytes(config: Config, size: Size) -> float:
    """Bytes that a token's activations take until their layer's backward pass, of a decoder with gated MLPs.

    Where they are recomputed one float32 residual a layer is kept.
    """
    return size.layers * (MASTER_BYTES * size.hidden if config.learner.activation_checkpointing else layer_bytes(size))


def layer_bytes(size: Size) -> float:
    """Bytes of a token that a layer keeps for its backward pass.

    For each of its two norms what goes in, what comes out (float32) and the factor of the next product; queries, keys,
    values, the attention's result and its copy; and four tensors of the MLP.
    """
    norms = 2 * (2 * MASTER_BYTES + size.itemsize) * size.hidden
    attention = size.itemsize * (3 * size.queries + 2 * size.keys)
    return norms + attention + 4 * size.itemsize * size.mlp


def _backward_bytes(size: Size) -> float:
    """Bytes of a token's gradients within a layer: the residual's, and three tensors of the MLP's width."""
    return 2 * MASTER_BYTES * size.hidden + 3 * size.itemsize * size.mlp


def _logprob_bytes(config: Config, size: Size, tokens: int) -> float:
    """A chunk of logits, the head's gradient and 16-bit copy, and hidden states: normed, those that predict, and their
    gradient."""
    chunk = min(config.learner.logprob_chunk, tokens) * size.vocabulary * MASTER_BYTES
    head = size.vocabulary * size.hidden * (MASTER_BYTES if size.trained == size.parameters else 0)
    if size.itemsize < MASTER_BYTES:
        head += size.vocabulary * size.hidden * size.itemsize
    return chunk + head + 3 * tokens * size.hidden * MASTER_BYTES


def _prefill(config: Config, size: Size) -> float:
    """The MLP of the prompts that are prefilled together, and the logits of the rows with their distribution."""
    rows = cache_rows(config)
    prompts = -(-rows // config.rollouts.group_size) * config.data.max_prompt_tokens
    mlp = min(prompts, cache_tokens(config) // 4) * (4 * size.mlp + 3 * size.hidden) * size.itemsize
    return mlp + 3 * rows * size.vocabulary * MASTER_BYTES
