"""What a run asks of a cluster and whether the cluster has it. Pure: the cluster is described by its nodes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prorl.config import Run
from prorl.errors import UserError
from prorl.options import literal

CLUSTERS = "ray (the cluster of this machine, or one of its own) or ray://HOST:PORT"
_ADDRESS = re.compile(r"ray://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster."""

    address: str
    cpus: int
    gpus: int

    def room(self, cpus: int, gpus: int) -> int:
        """How many ranks of so many CPUs and GPUs it holds."""
        return min(self.cpus // cpus, self.gpus // gpus if gpus else self.cpus)


@dataclass(frozen=True, slots=True)
class Placement:
    """Ranks, and what each of them gets."""

    ranks: int
    cpus: int
    gpus: int
    """0 or 1."""


def cluster_address(text: str) -> str:
    """The value of `--cluster` as an address: empty for the cluster of this machine, else `ray://HOST:PORT`."""
    if text == "ray":
        return ""
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise UserError(f"--cluster {literal(text)}: must be {CLUSTERS}")
    return text


def node(address: str, resources: Mapping[str, float]) -> Node:
    """A node from what Ray says of it; a part of a CPU is none."""
    return Node(address, int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))


def placement(run: Run, nodes: Sequence[Node]) -> Placement:
    """The ranks that the recipe asks for. UserError, in one line, names what the nodes have and what it lacks."""
    wanted, device = run.cluster, run.model.device
    cpus, all_gpus = wanted.cpus_per_rank, sum(each.gpus for each in nodes)
    if device == "cuda" and not all_gpus:
        raise UserError(
            f'model.device = "cuda", but the cluster has no GPU ({holding(nodes)}); add a node with one, or set "cpu"'
        )
    gpus = 1 if all_gpus and device != "cpu" else 0
    ranks = wanted.ranks or (all_gpus if gpus else 1)
    room = sum(each.room(cpus, gpus) for each in nodes)
    if room < ranks:
        asks = f"cluster.ranks = {wanted.ranks}" + ("" if wanted.ranks else f" (all GPUs: {ranks})" if gpus else "")
        holds = f"holds {_count(room, 'rank')} of {_need(cpus, gpus)} each"
        raise UserError(f"{asks}: the cluster has {holding(nodes)} and {holds}; {_way_on(room, cpus)}")
    return Placement(ranks, cpus, gpus)


def refuse_other(address: str, name: str, theirs: str, mine: str) -> None:
    """UserError where a node's version of a package is not this one's; a local part, as `+cpu`, may differ."""
    if not theirs:
        raise UserError(f"--cluster: node {address} has no {name}; install {name} {mine} there, in Ray's environment")
    if theirs.partition("+")[0] != mine.partition("+")[0]:
        raise UserError(f"--cluster: node {address} has {name} {theirs}, not {mine} as here; install the same on all")


def described(placed: Placement) -> str:
    """`2 ranks of 4 CPUs and 1 GPU each`."""
    return f"{_count(placed.ranks, 'rank')} of {_need(placed.cpus, placed.gpus)} each"


def _need(cpus: int, gpus: int) -> str:
    return f"{_count(cpus, 'CPU')} and {_count(gpus, 'GPU')}" if gpus else _count(cpus, "CPU")


def _way_on(room: int, cpus: int) -> str:
    if room:
        return f"set cluster.ranks = {room}, or start more nodes"
    return "lower cluster.cpus_per_rank, or start larger nodes" if cpus > 1 else "start more nodes"


def holding(nodes: Sequence[Node]) -> str:
    """`8 CPUs and 2 GPUs on 1 node`."""
    cpus, gpus = sum(each.cpus for each in nodes), sum(each.gpus for each in nodes)
    return f"{_count(cpus, 'CPU')} and {_count(gpus, 'GPU')} on {_count(len(nodes), 'node')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
