"""`prorl train`."""

import argparse
import sys
from pathlib import Path

from prorl import distributed
from prorl.launch import train_on_cluster
from prorl.recipe import load_run
from prorl.train import default_folder, train

INTERRUPTED = 130


def run(arguments: argparse.Namespace) -> int:
    """Train; 130 when it was interrupted and saved."""
    config = load_run(arguments.recipe, arguments.overrides)
    folder = Path(arguments.out) if arguments.out else None
    changes = [override.partition("=")[0].strip() for override in arguments.overrides]
    if arguments.cluster:
        outcome = train_on_cluster(
            config,
            folder or default_folder(config),
            arguments.cluster,
            resume=arguments.resume,
            changes=changes,
            terminal=sys.stdout,
        )
    else:
        with distributed.ranks():
            outcome = train(config, folder, resume=arguments.resume, changes=changes, terminal=sys.stdout).outcome
    return INTERRUPTED if outcome == "interrupted" else 0
