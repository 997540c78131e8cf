"""Stage 6: rows of a mini-batch packed into micro-batches without padding, and attention over such a pack.

A pack is one long sequence: each distinct prompt once, then the responses to it, so the rollouts of a group share their
prompt's computation. Every layer but attention runs on it as it is. Attention gathers whole rows, prompt and response,
into a few buckets of similar length, causal within a row; what it computes a second time for a shared prompt is left
out. Works for every model that takes its attention from transformers' registry.
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
    """Rows of a pack, padded to one length: where their tokens stand, and which of them the row brings in."""

    index: Tensor
    """`[R L]` places in the pack; a padded place repeats the row's first token."""
    owned: Tensor
    """`[R L]`: False for padding and for a prompt that an earlier row has brought in."""


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A micro-batch of N tokens; T response tokens are trained, in the order of its rows."""

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
    """Tokens of a row on its own: the last one predicts nothing and is left out."""
    return len(row.prompt_tokens) + len(row.response_tokens) - 1


def num_pack_tokens(rows: Sequence[Row]) -> int:
    """Tokens of a pack of these rows: shared prompts count once."""
    prompts = {row.prompt_tokens for row in rows}
    return sum(map(len, prompts)) + sum(len(row.response_tokens) - 1 for row in rows)


def micro_batches(rows: Sequence[Row], token_budget: int) -> list[tuple[Row, ...]]:
    """Packs of at most `token_budget` tokens, groups together, each longest row first; a longer row is alone."""
    packs: list[list[Row]] = []
    prompts: set[tuple[int, ...]] = set()
    size = 0
    for row in rows:
        cost = len(row.response_tokens) - 1 + (0 if row.prompt_tokens in prompts else len(row.prompt_tokens))
        if not packs or size + cost > token_budget:
            packs.append([])
            prompts, size, cost = set(), 0, num_row_tokens(row)
        packs[-1].append(row)
        prompts.add(row.prompt_tokens)
        size += cost
    return [tuple(sorted(part, key=num_row_tokens, reverse=True)) for part in packs]


def pack(rows: Sequence[Row], device: torch.device) -> Pack:
    """Tensors of a micro-batch; `rows` come longest first."""
    prompt_at: dict[tuple[int, ...], int] = {}
    places, owned, tokens, positions = [], [], [], []
    size = 0
    for row in rows:
        length, prompt = num_row_tokens(row), row.prompt_tokens
        brings = prompt not in prompt_at
        start = prompt_at.setdefault(prompt, size)
        skipped = 0 if brings else len(prompt)
        place = np.arange(length) + size - skipped
        place[: len(prompt)] = start + np.arange(len(prompt))
        sequence = np.concatenate([prompt, row.response_tokens[:-1]])
        places.append(place)
        owned.append(np.arange(length) >= skipped)
        tokens.append(sequence[skipped:])
        positions.append(np.arange(skipped, length))
        size += length - skipped

    def tensor(parts: Sequence[np.ndarray], dtype: type) -> Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(dtype, copy=False)).to(device)

    return Pack(
        rows=tuple(rows),
        tokens=tensor(tokens, np.int64)[None],
        positions=tensor(positions, np.int64)[None],
        buckets=tuple(_buckets(places, owned, device)),
        predictors=tensor([at[len(row.prompt_tokens) - 1 :] for at, row in zip(places, rows, strict=True)], np.int64),
        targets=tensor([row.response_tokens for row in rows], np.int64),
        behaviour_logprobs=tensor([row.behaviour_logprobs for row in rows], np.float32),
        advantages=tensor([np.full(len(row.response_tokens), row.advantage) for row in rows], np.float32),
    )


def _buckets(places: Sequence[np.ndarray], owned: Sequence[np.ndarray], device: torch.device) -> Iterator[Bucket]:
    first = 0
    while first < len(places):
        longest, last = len(places[first]), first
        while last < len(places) and len(places[last]) >= _BUCKET_FILL * longest:
            last += 1
        index = np.zeros((last - first, longest), dtype=np.int64)
        keep = np.zeros((last - first, longest), dtype=bool)
        for line, (place, own) in enumerate(zip(places[first:last], owned[first:last], strict=True)):
            index[line] = place[0]
            index[line, : len(place)] = place
            keep[line, : len(place)] = own
        yield Bucket(torch.from_numpy(index).to(device), torch.from_numpy(keep).to(device))
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
        q, k, v = (
            x[0].index_select(1, bucket.index.flatten()).unflatten(1, bucket.index.shape).transpose(0, 1)
            for x in (query, key, value)
        )
        mask = _window_mask(q.shape[2], window, q.device)
        o = F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=mask is None, scale=kwargs.get("scaling"), enable_gqa=heads != kv_heads
        ).transpose(1, 2)
        mixed.append(o[bucket.owned])
    return torch.cat(mixed)[None], None


def _window_mask(length: int, window: int | None, device: torch.device) -> Tensor | None:
    """Causal mask `[L L]` of a sliding window; None where plain causal attention is the same."""
    if window is None or window >= length:
        return None
    places = torch.arange(length, device=device)
    distance = places[:, None] - places[None]
    return (distance >= 0) & (distance < window)


AttentionInterface.register(ATTENTION, packed_attention)
