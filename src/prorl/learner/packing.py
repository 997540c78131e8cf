"""Stage 6: rows of a mini-batch packed into micro-batches without padding, and attention over such a pack.

A pack is one long sequence of pieces: each distinct prompt once, and each response, which continues its prompt. So the
rollouts of a group share their prompt's computation, and every layer but attention runs on the pack as it is. Attention
takes pieces of similar size together: short ones as batched products of a piece's queries with the keys of its prompt
and its own, long ones by the fused causal kernel on whole rows. On a GPU a kernel for pieces of unequal length does
without both (`varlen.py`). Works for every model that takes its attention from transformers' registry.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

from prorl.errors import UserError
from prorl.learner.varlen import Kernel, VarlenLayout
from prorl.records import Row

ATTENTION = "prorl_packed"
SHORT = 192
"""Keys of a piece up to which batched products beat the fused kernel on a CPU (`benchmarks/NOTES.md`)."""
_HIDDEN = -1e30
"""Not -inf: a padded query may see no key at all, and its softmax must not be NaN."""
_SAME_QUERIES, _SAME_KEYS = 0.6, 0.4
"""Pieces share a bucket when their sizes are at least these shares of the largest."""


@dataclass(frozen=True, slots=True, eq=False)
class Bucket:
    """R pieces padded to Q queries and K keys each."""

    shape: tuple[int, int, int]
    """R, Q, K."""
    before: Tensor
    """`[R]`: keys of a piece before its first query."""
    bias: Tensor | None
    """`[R 1 Q 1 K]`, added to the scores: 0 for a key up to the query's own, `_HIDDEN` beyond. None: the fused kernel,
    whose queries are whole rows: Q = K."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where attention finds a pack's tokens, and where it leaves them; padded places repeat a piece's first key."""

    buckets: tuple[Bucket, ...]
    queries: Tensor
    """Places of all buckets' queries, one bucket after the other."""
    keys: Tensor
    """Places of all buckets' keys."""
    outputs: Tensor
    """`[N]`: for each token of the pack its place among the queries."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None) -> Tensor:
        """`[N heads D]` from query `[N heads D]`, key and value `[N kv_heads D]`."""
        places = (self.queries, self.keys, self.keys)
        gathered = [x.index_select(0, at) for x, at in zip((query, key, value), places, strict=True)]
        parts = zip(
            self.buckets,
            gathered[0].split([bucket.shape[0] * bucket.shape[1] for bucket in self.buckets]),
            *(x.split([bucket.shape[0] * bucket.shape[2] for bucket in self.buckets]) for x in gathered[1:]),
            strict=True,
        )
        mixed = [
            (_fused if bucket.bias is None else _products)(q, k, v, bucket, scale, window) for bucket, q, k, v in parts
        ]
        return torch.cat(mixed).index_select(0, self.outputs)


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A micro-batch of N tokens; T response tokens are trained, in the order of its rows."""

    tokens: Tensor
    """`[1 N]`."""
    positions: Tensor
    """`[1 N]`, from 0 in each row."""
    layout: Layout | VarlenLayout
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
    """Packs of at most `token_budget` tokens, groups together; a longer row is alone."""
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
    return [tuple(part) for part in packs]


@dataclass(slots=True)
class _Piece:
    """A prompt, or the tokens of a response that predict something; `before` is the response's prompt."""

    tokens: np.ndarray
    before: "_Piece | None" = None
    start: int = 0
    """Place of its first token in the pack."""

    @property
    def num_before(self) -> int:
        return len(self.before.tokens) if self.before else 0

    @property
    def num_keys(self) -> int:
        return self.num_before + len(self.tokens)

    @property
    def places(self) -> np.ndarray:
        """Where its keys stand: the prompt's, then its own."""
        own = np.arange(self.start, self.start + len(self.tokens))
        return own if self.before is None else np.concatenate([self.before.places, own])


def pack(rows: Sequence[Row], device: torch.device, kernel: Kernel | None = None) -> Pack:
    """Tensors of a micro-batch; `kernel` attends to pieces of unequal length, where there is one."""
    prompts = {row.prompt_tokens: _Piece(np.array(row.prompt_tokens)) for row in rows}
    responses = [_Piece(row.response_tokens[:-1], prompts[row.prompt_tokens]) for row in rows]
    pieces = [piece for piece in (*prompts.values(), *responses) if len(piece.tokens)]
    buckets = _buckets(pieces, longest_short=SHORT if device.type == "cpu" else 0)
    ordered = [piece for pieces, _ in buckets for piece in pieces]
    size = 0
    for piece in ordered:
        piece.start = size
        size += len(piece.tokens)

    def tensor(parts: Iterable[np.ndarray], dtype: type) -> Tensor:
        return torch.from_numpy(np.concatenate(list(parts)).astype(dtype, copy=False)).to(device)

    return Pack(
        tokens=tensor((piece.tokens for piece in ordered), np.int64)[None],
        positions=tensor((np.arange(piece.num_before, piece.num_keys) for piece in ordered), np.int64)[None],
        layout=_layout(buckets, device) if kernel is None else _varlen_layout(ordered, device, kernel),
        predictors=tensor(map(_predictors, rows, responses), np.int64),
        targets=tensor((row.response_tokens for row in rows), np.int64),
        behaviour_logprobs=tensor((row.behaviour_logprobs for row in rows), np.float32),
        advantages=tensor((np.full(len(row.response_tokens), row.advantage) for row in rows), np.float32),
    )


def _predictors(row: Row, piece: _Piece) -> np.ndarray:
    """The places before each response token; none for a prompt without a response."""
    return piece.places[piece.num_before - 1 :][: len(row.response_tokens)]


def _buckets(pieces: Sequence[_Piece], *, longest_short: int) -> list[tuple[list[_Piece], bool]]:
    """Pieces that are taken together, and whether by the fused kernel: the long ones, by their numbers of keys.

    The short ones are alike in their numbers of queries, and within those in their numbers of keys.
    """
    long = [piece for piece in pieces if piece.num_keys > longest_short]
    short = [piece for piece in pieces if piece.num_keys <= longest_short]
    buckets = [(part, True) for part in _alike(long, lambda piece: piece.num_keys, _SAME_KEYS)]
    for same in _alike(short, lambda piece: len(piece.tokens), _SAME_QUERIES):
        buckets += [(part, False) for part in _alike(same, lambda piece: piece.num_keys, _SAME_KEYS)]
    return buckets


def _alike(pieces: Sequence[_Piece], size: Callable[[_Piece], int], share: float) -> Iterator[list[_Piece]]:
    """Runs of the pieces, largest first, none smaller than `share` of the largest of its run."""
    run: list[_Piece] = []
    for piece in sorted(pieces, key=size, reverse=True):
        if run and size(piece) < share * size(run[0]):
            yield run
            run = []
        run.append(piece)
    if run:
        yield run


def _layout(buckets: Sequence[tuple[Sequence[_Piece], bool]], device: torch.device) -> Layout:
    made, queries, keys, outputs = [], [], [], []
    done = 0
    for bucket, fused in buckets:
        num_keys = max(piece.num_keys for piece in bucket)
        num_queries = num_keys if fused else max(len(piece.tokens) for piece in bucket)
        first = [0 if fused else piece.num_before for piece in bucket]
        key_places = np.zeros((len(bucket), num_keys), dtype=np.int64)
        query_places = np.zeros((len(bucket), num_queries), dtype=np.int64)
        for line, (piece, start) in enumerate(zip(bucket, first, strict=True)):
            places = piece.places
            key_places[line] = query_places[line] = places[0]
            key_places[line, : len(places)] = places
            query_places[line, : len(places) - start] = places[start:]
            at = done + line * num_queries
            outputs.append(np.arange(at + piece.num_before - start, at + piece.num_keys - start))
        keys.append(key_places.ravel())
        queries.append(query_places.ravel())
        done += query_places.size
        before = torch.tensor(first, device=device)
        shape = len(bucket), num_queries, num_keys
        made.append(Bucket(shape, before, None if fused else _causal_bias(before, num_queries, num_keys)))
    index = (torch.from_numpy(np.concatenate(parts)).to(device) for parts in (queries, keys, outputs))
    return Layout(tuple(made), *index)


def _varlen_layout(pieces: Sequence[_Piece], device: torch.device, kernel: Kernel) -> VarlenLayout:
    def starts(sizes: Iterable[int]) -> Tensor:
        return torch.tensor(list(accumulate(sizes, initial=0)), dtype=torch.int32, device=device)

    num_queries, num_keys = [len(piece.tokens) for piece in pieces], [piece.num_keys for piece in pieces]
    keys = torch.from_numpy(np.concatenate([piece.places for piece in pieces])).to(device)
    return VarlenLayout(keys, starts(num_queries), starts(num_keys), (max(num_queries), max(num_keys)), kernel)


def _causal_bias(before: Tensor, num_queries: int, num_keys: int, window: int | None = None) -> Tensor:
    """`[R 1 Q 1 K]`: 0 for the keys that a query may see, the last `window` up to its own, `_HIDDEN` for the others."""
    query = before[:, None, None] + torch.arange(num_queries, device=before.device)[:, None]
    distance = query - torch.arange(num_keys, device=before.device)
    hidden = (distance < 0) if window is None else (distance < 0) | (distance >= window)
    return torch.zeros(hidden.shape, device=before.device).masked_fill_(hidden, _HIDDEN)[:, None, :, None]


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface over a pack: query `[1 heads N D]`, key and value `[1 kv_heads N D]`."""
    layout: Layout | VarlenLayout = kwargs["layout"]
    for name in ("softcap", "s_aux"):
        if kwargs.get(name) is not None:
            raise UserError(f"{type(module).__name__}: attention with {name} is not supported by the packed learner")
    scale = kwargs.get("scaling") or query.shape[-1] ** -0.5
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    return layout.attend(q, k, v, scale, kwargs.get("sliding_window"))[None], None


def _products(q: Tensor, k: Tensor, v: Tensor, bucket: Bucket, scale: float, window: int | None) -> Tensor:
    """Attention of short pieces, `[R*Q heads D]`; the query heads of a key head are more rows of one product."""
    rows, num_queries, num_keys = bucket.shape
    kv_heads, size = k.shape[1:]
    q = (q * scale).view(rows, num_queries, kv_heads, -1, size).transpose(1, 2).flatten(2, 3).flatten(0, 1)
    k, v = (x.view(rows, num_keys, kv_heads, size).transpose(1, 2).flatten(0, 1) for x in (k, v))
    assert bucket.bias is not None
    bias = bucket.bias
    if window is not None and window < num_keys:
        bias = _causal_bias(bucket.before, num_queries, num_keys, window)
    scores = torch.bmm(q, k.transpose(1, 2))
    scores = scores.view(rows, kv_heads, num_queries, -1, num_keys).add_(bias).view_as(scores)
    mixed = torch.bmm(torch.softmax(scores, -1), v)
    return mixed.view(rows, kv_heads, num_queries, -1, size).transpose(1, 2).reshape(rows * num_queries, -1, size)


def _fused(q: Tensor, k: Tensor, v: Tensor, bucket: Bucket, scale: float, window: int | None) -> Tensor:
    """Causal attention of whole rows by torch's kernel, `[R*Q heads D]`."""
    rows, length, _ = bucket.shape
    q, k, v = (x.unflatten(0, (rows, length)).transpose(1, 2) for x in (q, k, v))
    mask = None
    if window is not None and window < length:
        mask = _causal_bias(bucket.before[:1], length, length, window)[0, 0, :, 0] == 0
    mixed = F.scaled_dot_product_attention(
        q, k, v, mask, is_causal=mask is None, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )
    return mixed.transpose(1, 2).flatten(0, 1)


AttentionInterface.register(ATTENTION, packed_attention)
