"""Floating-point operations that a policy update needs, counted from lengths and sizes.

Counted are the matrix products of the mathematics on real tokens, a product of [M, K] and [K, N] as 2 M K N, attention
causal. Not counted: embedding, norms, activations, softmax, the optimizer, padding, and whatever an implementation
computes a second time (logits and attention scores in the backward pass).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from batches import Group
from transformers import PretrainedConfig

UPDATE_PASSES = 4
"""Forward, twice that in the backward pass (both factors of each product), and the reference's forward."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Llama or Qwen2 decoder."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    mlp: int
    vocabulary: int

    @classmethod
    def of(cls, config: PretrainedConfig) -> "Shape":
        plain = config.to_dict()
        heads = plain["num_attention_heads"]
        return cls(
            hidden=plain["hidden_size"],
            layers=plain["num_hidden_layers"],
            heads=heads,
            kv_heads=plain["num_key_value_heads"],
            head_size=plain.get("head_dim") or plain["hidden_size"] // heads,
            mlp=plain["intermediate_size"],
            vocabulary=plain["vocab_size"],
        )

    @property
    def query(self) -> int:
        return self.heads * self.head_size

    @property
    def key_value(self) -> int:
        return 2 * self.kv_heads * self.head_size


@dataclass(frozen=True, slots=True)
class Places:
    """How many places of a batch the trunk computes, and how many (query, key) pairs their attention has."""

    all: int
    predicting: int
    """Places that predict a trained token; in the last layer the others only give keys and values."""
    all_pairs: int
    predicting_pairs: int


def count_places(groups: Sequence[Group]) -> Places:
    """Each group's prompt once; the last token of a response predicts nothing and is left out."""
    everything = predicting = pairs = predicting_pairs = 0
    for prompt, responses in groups:
        everything += prompt
        predicting += 1
        pairs += prompt * (prompt + 1) // 2
        predicting_pairs += prompt
        for size in responses:
            everything += size - 1
            predicting += size - 1
            # The place after k response tokens attends to prompt + k places, k = 1 .. size - 1.
            own = (size - 1) * prompt + size * (size - 1) // 2
            pairs += own
            predicting_pairs += own
    return Places(everything, predicting, pairs, predicting_pairs)


def forward_flop(shape: Shape, places: Places) -> dict[str, int]:
    """FLOP of a forward pass to the log-probs, by kind of product."""
    inner = shape.layers - 1
    through = inner * places.all + places.predicting
    kv_flop = 2 * shape.hidden * shape.key_value * shape.layers * places.all
    return {
        "qkv": 2 * shape.hidden * shape.query * through + kv_flop,
        "attention": 4 * shape.query * (inner * places.all_pairs + places.predicting_pairs),
        "output": 2 * shape.query * shape.hidden * through,
        "gate_up": 2 * shape.hidden * 2 * shape.mlp * through,
        "down": 2 * shape.mlp * shape.hidden * through,
        "head": 2 * shape.hidden * shape.vocabulary * places.predicting,
    }


def update_flop(shape: Shape, groups: Sequence[Group]) -> dict[str, int]:
    """FLOP of an update with one reference pass, by kind."""
    return {kind: UPDATE_PASSES * flop for kind, flop in forward_flop(shape, count_places(groups)).items()}


def without_sharing(groups: Sequence[Group]) -> list[Group]:
    """The same rows, each with a prompt of its own, as a trainer without shared prompts has them."""
    return [(prompt, (size,)) for prompt, responses in groups for size in responses]
