"""Stage 6: rows of a mini-batch packed into micro-batches without padding, and attention over such a pack.

A pack is one long sequence; every layer but attention runs on it as it is. Attention re-pads its queries, keys and
values into a few buckets of rows of similar length, causal within a row. Works for every model that takes its attention
from transformers' registry.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

from prorl.errors import UserError
from prorl.records import Row

ATTENTION = "prorl_packed"
_BUCKET_FILL = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Bucket:
    """Rows `[R L]` of a pack with indices of their tokens; a padded place repeats the row's first token."""

    index: Tensor
    valid: Tensor | None
    """None when no row is padded."""


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A micro-batch. N tokens of all its rows, T of them response tokens, in the order of its rows."""

    rows: tuple[Row, ...]
    tokens: Tensor
    """`[1 N]`."""
    positions: Tensor
    """`[1 N]`, from 0 in each row."""
    buckets: tuple[Bucket, ...]
    predictors: Tensor
    """`[T]`: the place whose hidden state predicts the response token."""
    targets: Tensor
    """`[T]`: response tokens."""
    behaviour_logprobs: Tensor
    """`[T]`: the engine's."""
    advantages: Tensor
    """`[T]`."""

    @property
    def num_targets(self) -> int:
        return self.targets.shape[0]


def num_row_tokens(row: Row) -> int:
    """Tokens of a row in a pack: the last one predicts nothing and is left out."""
    return len(row.prompt_tokens) + len(row.response_tokens) - 1


def micro_batches(rows: Sequence[Row], token_budget: int) -> list[tuple[Row, ...]]:
    """Rows, longest first, in packs of at most `token_budget` tokens; a longer row is a pack of its own."""
    ordered = sorted(rows, key=num_row_tokens, reverse=True)
    packs: list[tuple[Row, ...]] = []
    current: list[Row] = []
    size = 0
    for row in ordered:
        if current and size + num_row_tokens(row) > token_budget:
            packs.append(tuple(current))
            current, size = [], 0
        current.append(row)
        size += num_row_tokens(row)
    if current:
        packs.append(tuple(current))
    return packs


def pack(rows: Sequence[Row], device: torch.device) -> Pack:
    """Tensors of a micro-batch; `rows` come longest first."""
    lengths = np.array([num_row_tokens(row) for row in rows])
    starts = np.concatenate([[0], lengths.cumsum()[:-1]])
    sequences = [np.concatenate([row.prompt_tokens, row.response_tokens]) for row in rows]
    predictors = [
        start + len(row.prompt_tokens) - 1 + np.arange(len(row.response_tokens))
        for start, row in zip(starts, rows, strict=True)
    ]

    def tensor(parts: Sequence[np.ndarray], dtype: type) -> Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(dtype, copy=False)).to(device)

    return Pack(
        rows=tuple(rows),
        tokens=tensor([sequence[:-1] for sequence in sequences], np.int64)[None],
        positions=tensor([np.arange(length) for length in lengths], np.int64)[None],
        buckets=tuple(_buckets(starts, lengths, device)),
        predictors=tensor(predictors, np.int64),
        targets=tensor([row.response_tokens for row in rows], np.int64),
        behaviour_logprobs=tensor([row.behaviour_logprobs for row in rows], np.float32),
        advantages=tensor([np.full(len(row.response_tokens), row.advantage) for row in rows], np.float32),
    )


def _buckets(starts: np.ndarray, lengths: np.ndarray, device: torch.device) -> Iterator[Bucket]:
    first = 0
    while first < len(lengths):
        longest = lengths[first]
        last = first + int(np.searchsorted(-lengths[first:], -_BUCKET_FILL * longest, side="right"))
        places = np.arange(longest)
        valid = places[None] < lengths[first:last, None]
        index = starts[first:last, None] + np.where(valid, places[None], 0)
        yield Bucket(torch.from_numpy(index).to(device), None if valid.all() else torch.from_numpy(valid).to(device))
        first = last


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface over a pack: query `[1 heads N D]`, key and value `[1 kv_heads N D]`."""
    buckets: tuple[Bucket, ...] = kwargs["buckets"]
    window = kwargs.get("sliding_window")
    for name in ("softcap", "s_aux"):
        if kwargs.get(name) is not None:
            raise UserError(f"{type(module).__name__}: attention with {name} is not supported by the packed learner")
    heads, kv_heads = query.shape[1], key.shape[1]
    mixed = []
    for bucket in buckets:
        # [heads R L D] -> [R heads L D]
        q, k, v = (x[0][:, bucket.index].transpose(0, 1) for x in (query, key, value))
        mask = _window_mask(q.shape[2], window, q.device)
        o = F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=mask is None, scale=kwargs.get("scaling"), enable_gqa=heads != kv_heads
        ).transpose(1, 2)
        mixed.append(o.flatten(0, 1) if bucket.valid is None else o[bucket.valid])
    return torch.cat(mixed)[None], None


def _window_mask(length: int, window: int | None, device: torch.device) -> Tensor | None:
    """Causal mask `[L L]` of a sliding window; None where plain causal attention is the same."""
    if window is None or window >= length:
        return None
    places = torch.arange(length, device=device)
    distance = places[:, None] - places[None]
    return (distance >= 0) & (distance < window)


AttentionInterface.register(ATTENTION, packed_attention)
