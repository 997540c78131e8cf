"""The ranks of a run, and the few collectives the loop needs; on one process each of them is its argument.

Objects travel through gloo, from host memory to host memory; the learner's gradients and weights go through FSDP. No
other module issues a collective but `learner/fsdp.py`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist

from prorl.errors import RankFailed, UserError

T = TypeVar("T")

PATIENCE = timedelta(hours=2)
"""How long a rank waits for the others: the longest that one rank's rollouts may end after another's."""

_GLOO = "gloo/transport/"
"""In its errors, which have no type of their own: the place in its source."""


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Number of ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this rank is the one that writes files and talks to the terminal."""
    return rank() == 0


@contextmanager
def ranks() -> Iterator[None]:
    """Join the ranks that a launcher (torchrun, Ray Train) started, and leave them at the end; alone where none did.

    UserError where the launcher's environment is not complete or no rank is found at its address; RankFailed where a
    rank is lost in the block, in a collective of this module or of the learner.
    """
    if dist.is_initialized() or _launched_ranks() <= 1:
        with _lost_ranks():
            yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    try:
        dist.init_process_group(backend, timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise UserError(f"cannot join the other ranks at {where}: {_short(error)}") from None
    try:
        with _lost_ranks():
            yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _launched_ranks() -> int:
    """How many ranks the launcher's environment tells of; UserError where it is not whole."""
    if "WORLD_SIZE" not in os.environ:
        return 1
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT"):
        value = os.environ.get(name, "0")
        if not value.isdecimal():
            raise UserError(f"{name} = {value!r}: must be a number; start with torchrun, or unset WORLD_SIZE")
    count = int(os.environ["WORLD_SIZE"])
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if count > 1 and missing:
        raise UserError(f"WORLD_SIZE = {count}, but {missing[0]} is not set; start with torchrun")
    return count


def gather(value: T) -> list[T]:
    """Every rank's value, by rank, on all of them. RankFailed when a rank is gone."""
    if world() == 1:
        return [value]
    values: list[T | None] = [None] * world()
    with _peers():
        dist.all_gather_object(values, value)
    return cast(list[T], values)


def from_first(value: T) -> T:
    """The first rank's value, on all of them."""
    if world() == 1:
        return value
    values = [value if is_first() else None]
    with _peers():
        dist.broadcast_object_list(values)
    return cast(T, values[0])


def total(values: Mapping[str, float]) -> dict[str, float]:
    """Sums by name, added in the order of the ranks, so that every rank has the same to the bit."""
    if world() == 1:
        return dict(values)
    sums: dict[str, float] = {}
    for part in gather(dict(values)):
        for name, value in part.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def any_rank(flag: bool) -> bool:
    """Whether it holds on one of them."""
    return any(gather(flag))


def each(work: Callable[[], T]) -> T:
    """This rank's result of `work`. What one of the ranks raises is raised on all, so that none waits for it.

    The first rank's error counts where several raise; one that is no message for people becomes RankFailed elsewhere.
    """
    if world() == 1:
        return work()
    mine: Exception | None = None
    result: T | None = None
    try:
        result = work()
    except Exception as error:  # noqa: BLE001  (raised again below, on every rank)
        mine = error
    errors = [error for error in gather(_to_send(mine)) if error is not None]
    if mine is not None:
        raise mine
    if errors:
        raise errors[0]
    return cast(T, result)


def together(work: Callable[[], T]) -> list[T]:
    """Every rank's result of `work`, by rank; errors as in `each`."""
    return gather(each(work))


def on_first(work: Callable[[], T]) -> T:
    """What the first rank gets from `work`; the others wait for it, and raise what it raises."""
    return cast(T, from_first(each(lambda: work() if is_first() else None)))


def leave() -> None:
    """End the ranks' time together: what the first one does after it is done alone."""
    if world() > 1:  # a group of one is not this module's: an engine in this process may have made it
        dist.barrier()
        dist.destroy_process_group()


def drop() -> None:
    """Leave the ranks without waiting for them: those that wait for this one fail at once."""
    if world() > 1:
        dist.destroy_process_group()


def refuse_differences(what: str, text: str) -> None:
    """UserError on every rank when their texts differ: names the first line that does."""
    mine, *others = gather(text)
    for other, found in enumerate(others, start=1):
        if found == mine:
            continue
        pairs = zip(mine.splitlines(), found.splitlines(), strict=False)
        first, second = next(((a, b) for a, b in pairs if a != b), ("", "(more of it)"))
        raise UserError(f"rank {other} has another {what} than rank 0: {second!r}, not {first!r}; start all alike")


def _to_send(error: Exception | None) -> Exception | None:
    if error is None or type(error).__module__.startswith("prorl."):
        return error
    return RankFailed(f"rank {rank()} failed: {type(error).__name__}: {_short(error)}")


@contextmanager
def _peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise _lost(error) from error


@contextmanager
def _lost_ranks() -> Iterator[None]:
    """What the collectives of FSDP raise when a rank is gone; any other error passes."""
    try:
        yield
    except RuntimeError as error:
        if world() == 1 or not (isinstance(error, dist.DistError) or _GLOO in str(error)):
            raise
        raise _lost(error) from error


def _lost(error: Exception) -> RankFailed:
    return RankFailed(f"rank {rank()} has lost another rank ({_short(error)}); go on with --resume")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
