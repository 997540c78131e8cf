"""The launcher of a cluster: the ranks are placed, started and restarted by Ray Train, and every rank runs `train.py`.

`placement.py` says what a run asks of a cluster and whether it has it; `ray_cluster.py` connects, looks before it
starts, and waits; `ray_worker.py` is what a rank runs. torchrun needs none of it: `distributed.ranks` joins its ranks.
"""

import importlib
from collections.abc import Collection
from pathlib import Path
from typing import TextIO

from prorl.config import Run
from prorl.errors import UserError
from prorl.launch.placement import cluster_address


def train_on_cluster(
    run: Run, folder: Path, cluster: str, *, resume: bool, changes: Collection[str], terminal: TextIO
) -> str:
    """Train on the cluster that `--cluster` names; gives the outcome, `done` or `interrupted`.

    UserError where the cluster lacks something, before anything starts; the run's own errors as `train` raises them.
    """
    address = cluster_address(cluster)
    try:
        ray_cluster = importlib.import_module("prorl.launch.ray_cluster")
    except ImportError as error:
        if str(error.name).startswith("prorl"):
            raise
        raise UserError(f"--cluster {cluster}: {error.name} is not installed; pip install 'prorl[ray]'") from None
    outcome: str = ray_cluster.train_on_ray(
        run, folder, address, resume=resume, changes=tuple(changes), terminal=terminal
    )
    return outcome
