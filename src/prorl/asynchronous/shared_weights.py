"""Weights between two processes of a machine, through memory that both have: no copy on a disk, nothing pickled.

The writer puts the tensors one after the other into a file without a name, which lives in memory, and sends the reader
their places. There are as many of these slots as versions may be on their way; each is used again and again.
"""

import mmap
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from prorl.learner.computed import Computed

_ALIGNED = 64
"""Bytes: each tensor begins at a multiple of it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies in a slot."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    """In bytes."""

    @property
    def type(self) -> torch.dtype:
        found: torch.dtype = getattr(torch, self.dtype)
        return found

    def empty(self, device: str) -> Tensor:
        return torch.empty(self.shape, dtype=self.type, device=device)


def open_slot() -> int:
    """A file descriptor of memory that a process started with it shares."""
    if sys.platform == "linux":
        return os.memfd_create("prorl-weights")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def close_slots(slots: list[int]) -> None:
    """Give the memory back; the list is empty then, and nothing is closed twice."""
    while slots:
        os.close(slots.pop())


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


def read(slot: int, places: Mapping[str, Place]) -> Computed:
    """What `write` put into a slot: each tensor is copied out when it is asked for, for the slot is used again."""
    memory = mmap.mmap(slot, 0) if places else None

    def copied(name: str) -> Tensor:
        place = places[name]
        count = prod(place.shape)
        if memory is None or not count:
            return place.empty("cpu")
        flat = torch.frombuffer(memory, dtype=place.type, count=count, offset=place.offset)
        return flat.reshape(place.shape).clone()

    return Computed({name: place.empty("meta") for name, place in places.items()}, copied)
