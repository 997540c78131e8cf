"""`prorl train`."""

import argparse
import sys
from pathlib import Path

from prorl import distributed
from prorl.config import Run
from prorl.errors import UserError
from prorl.launch import train_on_cluster
from prorl.recipe import load_run
from prorl.train import default_folder, train

WRONG_INPUT, INTERRUPTED = 2, 130


def run(arguments: argparse.Namespace) -> int:
    """Train; 130 when it was interrupted and saved."""
    folder = Path(arguments.out) if arguments.out else None
    changes = [override.partition("=")[0].strip() for override in arguments.overrides]
    if arguments.cluster:
        config = load_run(arguments.recipe, arguments.overrides)
        outcome = train_on_cluster(
            config,
            folder or default_folder(config),
            arguments.cluster,
            resume=arguments.resume,
            changes=changes,
            terminal=sys.stdout,
        )
        return INTERRUPTED if outcome == "interrupted" else 0
    with distributed.ranks():
        try:
            config = distributed.each(lambda: _read(arguments))
            outcome = train(config, folder, resume=arguments.resume, changes=changes, terminal=sys.stdout).outcome
        except UserError:  # all ranks have it, the first one says it
            if distributed.is_first():
                raise
            return WRONG_INPUT
    return INTERRUPTED if outcome == "interrupted" else 0


def _read(arguments: argparse.Namespace) -> Run:
    """The recipe as this rank finds it."""
    try:
        return load_run(arguments.recipe, arguments.overrides)
    except UserError as error:
        where = "" if distributed.is_first() else f"on rank {distributed.rank()}: "
        raise UserError(f"{where}{error}") from None
