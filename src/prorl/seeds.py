"""Seeds and orders as pure functions of (run seed, step, purpose, ...): nothing draws from a shared generator."""

import functools
import hashlib
import random


def stream_seed(*parts: int | str) -> int:
    """A signed 64-bit seed from (run seed, purpose, prompt, index, ...)."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def uniform(*parts: int | str) -> float:
    """A number in [0, 1) from the same parts."""
    return (stream_seed(*parts) & ((1 << 53) - 1)) / (1 << 53)


@functools.lru_cache(maxsize=64)
def _order(size: int, seed: int) -> tuple[int, ...]:
    order = list(range(size))
    random.Random(seed).shuffle(order)
    return tuple(order)


def shuffled_index(place: int, size: int, seed: int) -> int:
    """The `place`-th item of a shuffled order of 0..size."""
    return _order(size, seed)[place]
