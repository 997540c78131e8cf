"""Weights between two processes of a machine, through memory that both have: no copy on a disk, nothing pickled.

The writer puts the tensors one after the other into a file without a name, which lives in memory, and sends the reader
their places. There are as many of these slots as versions may be on their way; each is used again and again.
"""

import mmap
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

_ALIGNED = 64
"""Bytes: each tensor begins at a multiple of it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies in a slot."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    """In bytes."""


def open_slot() -> int:
    """A file descriptor of memory that a process started with it shares."""
    if sys.platform == "linux":
        return os.memfd_create("prorl-weights")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def write(slot: int, weights: Mapping[str, Tensor]) -> dict[str, Place]:
    """Copy the weights into a slot, one tensor at a time (a sharded one is gathered alone); their places."""
    places: dict[str, Place] = {}
    end = 0
    for name in weights:
        value = weights[name].detach().to("cpu").contiguous()
        places[name] = Place(str(value.dtype).removeprefix("torch."), tuple(value.shape), end)
        data: np.ndarray = value.reshape(-1).view(torch.uint8).numpy()
        left = data.data
        while left:
            written = os.pwrite(slot, left, end)
            left, end = left[written:], end + written
        end = -(-end // _ALIGNED) * _ALIGNED
    return places


class SlotWeights(Mapping[str, Tensor]):
    """What `write` put into a slot: each tensor is copied out when it is asked for, for the slot is used again."""

    def __init__(self, slot: int, places: Mapping[str, Place]) -> None:
        self._places = places
        self._memory = mmap.mmap(slot, 0) if places else None

    def __getitem__(self, name: str) -> Tensor:
        place = self._places[name]
        dtype: torch.dtype = getattr(torch, place.dtype)
        count = prod(place.shape)
        if self._memory is None or not count:
            return torch.empty(place.shape, dtype=dtype)
        flat = torch.frombuffer(self._memory, dtype=dtype, count=count, offset=place.offset)
        return flat.reshape(place.shape).clone()

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
