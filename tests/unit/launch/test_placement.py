"""What a run asks of a cluster, as numbers and as lines."""

from dataclasses import replace

import pytest

from prorl.config import Cluster, Config, Model, Run
from prorl.errors import UserError
from prorl.launch.placement import (
    Node,
    Placement,
    cluster_address,
    described,
    holding,
    node,
    placement,
    refuse_other,
)

SMALL, LARGE = Node("10.0.0.1", 4, 0), Node("10.0.0.2", 16, 4)


def a_run(device: str = "auto", **cluster: int) -> Run:
    return Run(name="r", phases=(Config(name="r", model=Model(device=device), cluster=Cluster(**cluster)),))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ray", ""),
        ("ray://head:10001", "ray://head:10001"),
        ("ray://10.0.0.1:6379", "ray://10.0.0.1:6379"),
        ("ray://[::1]:10001", "ray://[::1]:10001"),
    ],
)
def test_address(text: str, address: str) -> None:
    assert cluster_address(text) == address


@pytest.mark.parametrize(
    "text", ["Ray", "ray:", "ray://", "ray://head", "ray://head:", "ray://head:0", "ray://head:65536", "slurm", "a:1"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UserError) as caught:
        cluster_address(text)
    assert str(caught.value) == (
        f'--cluster "{text}": must be ray (the cluster of this machine, or one of its own) or ray://HOST:PORT'
    )


@pytest.mark.parametrize(
    ("run", "nodes", "placed"),
    [
        (a_run(), [SMALL], Placement(1, 1, 0)),  # one rank where there is no GPU
        (a_run(ranks=4), [SMALL], Placement(4, 1, 0)),
        (a_run(ranks=2, cpus_per_rank=2), [SMALL], Placement(2, 2, 0)),
        (a_run(), [LARGE, LARGE], Placement(8, 1, 1)),  # one for each GPU
        (a_run(cpus_per_rank=4), [SMALL, LARGE], Placement(4, 4, 1)),  # 16 // 4 CPUs beside 4 GPUs
        (a_run(device="cpu", ranks=20), [SMALL, LARGE], Placement(20, 1, 0)),  # 4 + 16 CPUs
        (a_run(device="cuda", ranks=3), [SMALL, LARGE], Placement(3, 1, 1)),
    ],
)
def test_placement(run: Run, nodes: list[Node], placed: Placement) -> None:
    assert placement(run, nodes) == placed


@pytest.mark.parametrize(
    ("run", "nodes", "line"),
    [
        (
            a_run(ranks=5),
            [SMALL],
            "cluster.ranks = 5: the cluster has 4 CPUs and 0 GPUs on 1 node and holds 4 ranks of 1 CPU each; "
            "set cluster.ranks = 4, or start more nodes",
        ),
        (  # 3 CPUs fit once in each node of 4, though 8 CPUs are there
            a_run(ranks=3, cpus_per_rank=3),
            [SMALL, SMALL],
            "cluster.ranks = 3: the cluster has 8 CPUs and 0 GPUs on 2 nodes and holds 2 ranks of 3 CPUs each; "
            "set cluster.ranks = 2, or start more nodes",
        ),
        (  # 16 // 5 = 3 ranks have their CPUs, though there are 4 GPUs
            a_run(cpus_per_rank=5),
            [LARGE],
            "cluster.ranks = 0 (all GPUs: 4): the cluster has 16 CPUs and 4 GPUs on 1 node and holds 3 ranks of "
            "5 CPUs and 1 GPU each; set cluster.ranks = 3, or start more nodes",
        ),
        (
            a_run(cpus_per_rank=8),
            [SMALL],
            "cluster.ranks = 0: the cluster has 4 CPUs and 0 GPUs on 1 node and holds 0 ranks of 8 CPUs each; "
            "lower cluster.cpus_per_rank, or start larger nodes",
        ),
        (
            a_run(device="cuda"),
            [SMALL],
            'model.device = "cuda", but the cluster has no GPU (4 CPUs and 0 GPUs on 1 node); '
            'add a node with one, or set "cpu"',
        ),
    ],
)
def test_what_a_cluster_lacks(run: Run, nodes: list[Node], line: str) -> None:
    with pytest.raises(UserError) as caught:
        placement(run, nodes)
    assert str(caught.value) == line


def test_a_node_of_ray() -> None:
    found = node("10.0.0.3", {"CPU": 7.5, "GPU": 2.0, "memory": 1e9, "node:10.0.0.3": 1.0})
    assert found == Node("10.0.0.3", 7, 2)
    assert node("10.0.0.4", {}) == Node("10.0.0.4", 0, 0)


def test_words() -> None:
    assert described(Placement(2, 4, 1)) == "2 ranks of 4 CPUs and 1 GPU each"
    assert described(Placement(1, 1, 0)) == "1 rank of 1 CPU each"
    assert holding([SMALL, replace(LARGE, gpus=1)]) == "20 CPUs and 1 GPU on 2 nodes"


def test_versions_of_a_node() -> None:
    refuse_other("a", "torch", "2.13.0+cu128", "2.13.0+cpu")  # another build of the same
    with pytest.raises(UserError, match=r"^--cluster: node a has torch 2\.12\.0, not 2\.13\.0\+cpu as here; install"):
        refuse_other("a", "torch", "2.12.0", "2.13.0+cpu")
    with pytest.raises(UserError, match=r"^--cluster: node a has no prorl; install prorl 0\.1\.0 there, in Ray's env"):
        refuse_other("a", "prorl", "", "0.1.0")
