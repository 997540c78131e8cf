"""Stage 2: keys and values of a sampler, and the attention of one new token a row over them.

They lie in two places: the prompt's and the row's own. The rollouts of a group share their prompt's, so they are read
once a step for the whole group, in one product with all its queries. What a row has generated lies in its own cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
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


class Prefix:
    """Prompts, `lengths [P]` tokens long, padded to the longest."""

    def __init__(self, cache: Cache, lengths: Tensor) -> None:
        self.cache, self.lengths = cache, lengths

    def __len__(self) -> int:
        return self.cache.rows

    @classmethod
    def joined(cls, parts: Sequence[tuple["Prefix", Tensor]]) -> "Prefix":
        """The named prompts of several prefixes as one: `(prefix, lines)` each."""
        lengths = torch.cat([prefix.lengths[lines] for prefix, lines in parts])
        width = int(lengths.max())
        caches = ((x[:, lines, :, :width] for x in (p.cache.keys, p.cache.values)) for p, lines in parts)
        padded = ([F.pad(x, (0, 0, 0, width - x.shape[3])) for x in pair] for pair in caches)
        keys, values = (torch.cat(x, 1) for x in zip(*padded, strict=True))
        return cls(Cache(keys, values), lengths)


@dataclass(frozen=True, slots=True, eq=False)
class Sharing:
    """Which rows continue which prompts of `prefix`."""

    prefix: Prefix
    members: Tensor
    """`[P C]`: the rows of each prompt; places without a row repeat some row."""
    place: Tensor
    """`[B]`: where a row stands among the members."""
    line: Tensor
    """`[B]`: the row's prompt."""


class Context:
    """What the rows may look at in one step: their prompts, and rows 0..B of `own` up to `column [B]`, the newest."""

    def __init__(self, sharing: Sharing, own: Cache, column: Tensor) -> None:
        self.own, self.column, self._sharing = own, column, sharing
        self._prompt, self._width = sharing.prefix.cache.length, int(column.max()) + 1
        beyond_prompt = self._places(self._prompt) >= sharing.prefix.lengths[sharing.line, None]
        beyond = torch.cat([beyond_prompt, self._places(self._width) > column[:, None]], 1)
        bias = torch.zeros(beyond.shape, dtype=own.keys.dtype, device=column.device).masked_fill_(beyond, -torch.inf)
        self._bias = bias[:, None, None]

    def _places(self, count: int) -> Tensor:
        return torch.arange(count, device=self.column.device)

    def attend(self, query: Tensor, layer: int) -> Tensor:
        """Of `query [B kv_heads Q D]`, scaled, Q query heads a key head; the same shape."""
        rows = len(query)
        keys, values = (x[layer, :rows, :, : self._width].flatten(0, 1) for x in (self.own.keys, self.own.values))
        shared_keys, shared_values = (
            x[layer].flatten(0, 1) for x in (self._sharing.prefix.cache.keys, self._sharing.prefix.cache.values)
        )
        to_prompts = self._alone(torch.bmm(self._together(query), shared_keys.transpose(1, 2)), query)
        to_own = torch.bmm(query.flatten(0, 1), keys.transpose(1, 2)).view(*query.shape[:3], -1)
        weights = torch.softmax(torch.cat([to_prompts, to_own], -1).add_(self._bias), -1)
        of_prompts, of_own = weights[..., : self._prompt], weights[..., self._prompt :]
        mixed = self._alone(torch.bmm(self._together(of_prompts), shared_values), query)
        return mixed.add_(torch.bmm(of_own.flatten(0, 1), values).view_as(query))

    def _together(self, x: Tensor) -> Tensor:
        """`[B kv Q X]` -> `[P*kv C*Q X]`: what belongs to the rows of a prompt becomes the rows of one product."""
        members = self._sharing.members
        grouped = x.index_select(0, members.flatten()).unflatten(0, members.shape)
        return grouped.transpose(1, 2).flatten(2, 3).flatten(0, 1)

    def _alone(self, x: Tensor, query: Tensor) -> Tensor:
        """`[P*kv C*Q X]` -> `[B kv Q X]`."""
        (num_prompts, count), (kv_heads, heads) = self._sharing.members.shape, query.shape[1:3]
        by_row = x.view(num_prompts, kv_heads, count, heads, -1).transpose(1, 2).flatten(0, 1)
        return by_row.index_select(0, self._sharing.place)
