"""Stage 2: keys and values of a sampler, and the attention of one new token a row over them.

They lie in two places: the prompt's and the row's own. The rollouts of a group share their prompt's where prefill left
them, so they are read once a step for the whole group, in one product with all its queries. What a row has generated
lies in its own cache. Each part gives its values with the largest score and the sum of the exponentials, from which
both are merged exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Cache:
    """Keys and values of some rows, each `[layers rows kv_heads length head_size]`."""

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(cls, size: tuple[int, int, int, int, int], like: Tensor) -> "Cache":
        """Of that size, in `like`'s type and on its device."""
        return cls(like.new_zeros(size), like.new_zeros(size))

    @property
    def rows(self) -> int:
        return self.keys.shape[1]

    @property
    def length(self) -> int:
        return self.keys.shape[3]


@dataclass(frozen=True, slots=True)
class Attended:
    """Attention over some of the keys, not normalised; Q query heads a key head."""

    values: Tensor
    """`[B kv_heads Q D]`: sum of exp(score - top) times the value."""
    top: Tensor
    """`[B kv_heads Q 1]`: the largest score."""
    total: Tensor
    """`[B kv_heads Q 1]`: sum of exp(score - top)."""


def merged(one: Attended, other: Attended) -> Tensor:
    """Attention over both sets of keys, `[B kv_heads Q D]`."""
    top = torch.maximum(one.top, other.top)
    left, right = torch.exp(one.top - top), torch.exp(other.top - top)
    return (one.values * left + other.values * right) / (one.total * left + other.total * right)


def _attended(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Attended:
    """Query `[X Y D]`, keys and values `[X L D]`, `bias [X 1 L]`: 0 for a key to see, -inf for one not to."""
    scores = torch.baddbmm(bias, query, keys.transpose(1, 2))
    top = scores.amax(-1, keepdim=True)
    scores = scores.sub_(top).exp_()
    return Attended(torch.bmm(scores, values), top, scores.sum(-1, keepdim=True))


def _bias(lengths: Tensor, width: int, kv_heads: int, like: Tensor) -> Tensor:
    """`[B*kv_heads 1 width]`: 0 for the first `lengths` keys, -inf for the others."""
    beyond = torch.arange(width, device=lengths.device) >= lengths[:, None]
    bias = torch.zeros(beyond.shape, dtype=like.dtype, device=like.device).masked_fill_(beyond, -torch.inf)
    return bias.repeat_interleave(kv_heads, 0).unsqueeze(1)


class Own:
    """What the rows have generated: rows 0..B of `cache`, the newest token at `column [B]`."""

    def __init__(self, cache: Cache, column: Tensor) -> None:
        self.cache, self.column = cache, column
        self._width = int(column.max()) + 1
        self._bias = _bias(column + 1, self._width, cache.keys.shape[2], cache.keys)

    def attend(self, query: Tensor, layer: int) -> Attended:
        """Of `query [B kv_heads Q D]`."""
        rows, kv_heads = query.shape[:2]
        keys, values = (x[layer, :rows, :, : self._width].flatten(0, 1) for x in (self.cache.keys, self.cache.values))
        part = _attended(query.flatten(0, 1), keys, values, self._bias)
        return Attended(*(x.unflatten(0, (rows, kv_heads)) for x in (part.values, part.top, part.total)))


class Prefix:
    """The prompts of one prefill, `lengths [P]` tokens long, and which rows continue each of them."""

    def __init__(self, cache: Cache, lengths: Tensor) -> None:
        self.cache, self.lengths = cache, lengths
        self.bias = _bias(lengths, cache.length, cache.keys.shape[2], cache.keys)

    def __len__(self) -> int:
        return self.cache.rows

    def keep(self, lines: Tensor) -> "Prefix":
        """These prompts only."""
        lengths = self.lengths[lines]
        width = int(lengths.max())
        return Prefix(Cache(*(x[:, lines, :, :width] for x in (self.cache.keys, self.cache.values))), lengths)


class Prefixes:
    """The prompts of all rows: `members[i] [P C]` are the rows that continue the prompts of `parts[i]`.

    Places without a row repeat some row. `place [B]` is where a row stands among all members.
    """

    def __init__(self, parts: Sequence[Prefix], members: Sequence[Tensor], place: Tensor) -> None:
        self._parts, self._members, self._place = parts, members, place

    def attend(self, query: Tensor, layer: int) -> Attended:
        """Of `query [B kv_heads Q D]`."""
        found = [self._of(prefix, rows, query, layer) for prefix, rows in zip(self._parts, self._members, strict=True)]
        return Attended(*(torch.cat(parts).index_select(0, self._place) for parts in zip(*found, strict=True)))

    @staticmethod
    def _of(prefix: Prefix, rows: Tensor, query: Tensor, layer: int) -> tuple[Tensor, ...]:
        (num_prompts, count), (kv_heads, heads) = rows.shape, query.shape[1:3]
        # [P C kv Q D] -> [P*kv C*Q D]: the queries of all rows of a prompt are the rows of one product.
        together = query.index_select(0, rows.flatten()).unflatten(0, (num_prompts, count)).transpose(1, 2)
        keys, values = (x[layer].flatten(0, 1) for x in (prefix.cache.keys, prefix.cache.values))
        part = _attended(together.flatten(2, 3).flatten(0, 1), keys, values, prefix.bias)
        return tuple(
            x.unflatten(0, (num_prompts, kv_heads)).unflatten(2, (count, heads)).transpose(1, 2).flatten(0, 1)
            for x in (part.values, part.top, part.total)
        )
