"""Stage 2: a Llama, Qwen2 or Qwen3 decoder over the keys and values of `cache.py`, for sampling only.

It computes what the Hugging Face model computes, with fused projections and without its per-call overhead. The weights
are copies: `load` must follow every update. No gradient, no padding mask: rows are left-aligned and hold their length.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PretrainedConfig

from prorl.errors import UserError
from prorl.rollouts.cache import Cache, Context

ARCHITECTURES = ("llama", "qwen2", "qwen3")


def supports(config: PretrainedConfig) -> bool:
    """Whether this decoder computes that architecture exactly."""
    plain = config.to_dict()
    rope = plain.get("rope_parameters") or plain.get("rope_scaling") or {}
    return (
        plain["model_type"] in ARCHITECTURES
        and plain.get("hidden_act") == "silu"
        and rope.get("rope_type", rope.get("type", "default")) == "default"
        and rope.get("partial_rotary_factor", 1.0) == 1.0
        and not plain.get("use_sliding_window", False)
        and not plain.get("mlp_bias", False)
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a decoder."""

    layers: int
    heads: int
    kv_heads: int
    head_size: int
    hidden: int
    vocabulary: int
    epsilon: float
    rope_theta: float

    def cache(self, rows: int, length: int, like: Tensor) -> Cache:
        """An empty cache in `like`'s type and on its device."""
        return Cache.empty((self.layers, rows, self.kv_heads, length, self.head_size), like)

    @classmethod
    def of(cls, config: PretrainedConfig) -> "Shape":
        plain = config.to_dict()
        rope = plain.get("rope_parameters") or {}
        heads = plain["num_attention_heads"]
        return cls(
            layers=plain["num_hidden_layers"],
            heads=heads,
            kv_heads=plain.get("num_key_value_heads") or heads,
            head_size=plain.get("head_dim") or plain["hidden_size"] // heads,
            hidden=plain["hidden_size"],
            vocabulary=plain["vocab_size"],
            epsilon=plain["rms_norm_eps"],
            rope_theta=float(rope.get("rope_theta") or plain.get("rope_theta") or 10000.0),
        )


@dataclass(slots=True)
class Layer:
    """One block's weights, projections fused."""

    input_norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    q_norm: Tensor | None
    k_norm: Tensor | None
    output: Tensor
    output_bias: Tensor | None
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor


class Decoder:
    """The forward passes of a sampler: `prefill` for prompts, `step` for one token of each row."""

    def __init__(self, config: PretrainedConfig, dtype: torch.dtype, device: torch.device) -> None:
        self.shape = Shape.of(config)
        self.dtype, self.device = dtype, device
        self._layers: list[Layer] = []
        self._embedding = self._norm = self._head = torch.empty(0)
        half = torch.arange(0, self.shape.head_size, 2, dtype=torch.float32, device=device) / self.shape.head_size
        self._frequencies = 1.0 / self.shape.rope_theta**half
        self._cos = self._sin = torch.empty(0, self.shape.head_size)

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Copy weights in under their Hugging Face names; a tied head is the embedding."""

        def get(name: str) -> Tensor:
            if name not in weights:
                raise UserError(f"engine weights lack {name}: is this a {', '.join(ARCHITECTURES)} checkpoint?")
            return weights[name].detach().to(self.device, self.dtype, copy=True)

        def maybe(name: str) -> Tensor | None:
            return get(name) if name in weights else None

        self._embedding = get("model.embed_tokens.weight")
        self._norm = get("model.norm.weight")
        self._head = get("lm_head.weight") if "lm_head.weight" in weights else self._embedding
        self._layers = []
        for index in range(self.shape.layers):
            at = f"model.layers.{index}"
            biases = [maybe(f"{at}.self_attn.{x}_proj.bias") for x in "qkv"]
            self._layers.append(
                Layer(
                    input_norm=get(f"{at}.input_layernorm.weight"),
                    qkv=torch.cat([get(f"{at}.self_attn.{x}_proj.weight") for x in "qkv"]),
                    qkv_bias=torch.cat([b for b in biases if b is not None]) if biases[0] is not None else None,
                    q_norm=maybe(f"{at}.self_attn.q_norm.weight"),
                    k_norm=maybe(f"{at}.self_attn.k_norm.weight"),
                    output=get(f"{at}.self_attn.o_proj.weight"),
                    output_bias=maybe(f"{at}.self_attn.o_proj.bias"),
                    mlp_norm=get(f"{at}.post_attention_layernorm.weight"),
                    gate_up=torch.cat([get(f"{at}.mlp.{x}_proj.weight") for x in ("gate", "up")]),
                    down=get(f"{at}.mlp.down_proj.weight"),
                )
            )

    def head(self, hidden: Tensor) -> Tensor:
        """Logits `[... V]` of final hidden states `[... H]`."""
        return F.linear(hidden, self._head)

    @property
    def head_weight(self) -> Tensor:
        return self._head

    def prefill(self, tokens: Tensor, cache: Cache | None) -> Tensor:
        """Hidden states `[P S H]` of right-padded prompts `[P S]`; their keys and values go to rows 0..P of `cache`."""
        rows, length = tokens.shape
        cos, sin = self._rope(length)
        cos, sin = cos[None, :length, None], sin[None, :length, None]
        hidden = F.embedding(tokens, self._embedding)
        for index, layer in enumerate(self._layers):
            q, k, v = self._qkv(layer, hidden, cos, sin)
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            if cache is not None:
                cache.keys[index, :rows, :, :length] = k
                cache.values[index, :rows, :, :length] = v
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1])
            hidden = self._after_attention(layer, hidden, mixed.transpose(1, 2).flatten(2))
        return self._rms(hidden, self._norm)

    def step(self, tokens: Tensor, positions: Tensor, context: Context) -> Tensor:
        """Hidden states `[B H]` of one token a row, `tokens [B]` at `positions [B]`.

        The token's keys and values go into the rows' own cache.
        """
        shape = self.shape
        table_cos, table_sin = self._rope(int(positions.max()) + 1)
        cos, sin = table_cos[positions][:, None], table_sin[positions][:, None]
        hidden = F.embedding(tokens, self._embedding)
        lines = torch.arange(len(tokens), device=tokens.device)
        for index, layer in enumerate(self._layers):
            q, k, v = self._qkv(layer, hidden, cos, sin)
            context.own.keys[index][lines, :, context.column] = k
            context.own.values[index][lines, :, context.column] = v
            q = (q * shape.head_size**-0.5).unflatten(1, (shape.kv_heads, -1))
            hidden = self._after_attention(layer, hidden, context.attend(q, index).flatten(1))
        return self._rms(hidden, self._norm)

    def _qkv(self, layer: Layer, hidden: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shape = self.shape
        fused = F.linear(self._rms(hidden, layer.input_norm), layer.qkv, layer.qkv_bias)
        fused = fused.unflatten(-1, (shape.heads + 2 * shape.kv_heads, shape.head_size))
        q, k, v = fused.split([shape.heads, shape.kv_heads, shape.kv_heads], -2)
        if layer.q_norm is not None and layer.k_norm is not None:
            q, k = self._rms(q, layer.q_norm), self._rms(k, layer.k_norm)
            return _rotate(q, cos, sin), _rotate(k, cos, sin), v
        both = _rotate(fused[..., : shape.heads + shape.kv_heads, :], cos, sin)
        q, k = both.split([shape.heads, shape.kv_heads], -2)
        return q, k, v

    def _after_attention(self, layer: Layer, hidden: Tensor, mixed: Tensor) -> Tensor:
        hidden = hidden + F.linear(mixed, layer.output, layer.output_bias)
        gate, up = F.linear(self._rms(hidden, layer.mlp_norm), layer.gate_up).chunk(2, -1)
        return hidden + F.linear(F.silu(gate) * up, layer.down)

    def _rms(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self.shape.epsilon)

    def _rope(self, length: int) -> tuple[Tensor, Tensor]:
        if self._cos.shape[0] < length:
            size = 1 << (length - 1).bit_length()
            angles = torch.outer(torch.arange(size, dtype=torch.float32, device=self.device), self._frequencies)
            angles = torch.cat([angles, angles], -1)
            self._cos, self._sin = angles.cos().to(self.dtype), angles.sin().to(self.dtype)
        return self._cos, self._sin


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat([-right, left], -1) * sin


def num_cache_bytes(shape: Shape, dtype: torch.dtype) -> int:
    """Bytes of keys and values a token."""
    return 2 * shape.layers * shape.kv_heads * shape.head_size * dtype.itemsize
