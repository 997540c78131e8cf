"""`prorl train`."""

import argparse
import sys
from pathlib import Path

from prorl import distributed
from prorl.recipe import load_run
from prorl.train import train

INTERRUPTED = 130


def run(arguments: argparse.Namespace) -> int:
    """Train; 130 when it was interrupted and saved."""
    config = load_run(arguments.recipe, arguments.overrides)
    folder = Path(arguments.out) if arguments.out else None
    changes = [override.partition("=")[0].strip() for override in arguments.overrides]
    with distributed.ranks():
        result = train(config, folder, resume=arguments.resume, changes=changes, terminal=sys.stdout)
    return INTERRUPTED if result.outcome == "interrupted" else 0
