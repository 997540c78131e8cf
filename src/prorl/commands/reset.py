"""`prorl reset`: leaves a request that the running job picks up at the end of its step."""

import argparse
import sys
from pathlib import Path

from prorl.errors import UserError
from prorl.session import RESET_REQUEST


def run(arguments: argparse.Namespace) -> int:
    """Ask for a hard reset of the reference policy and the optimizer."""
    folder = Path(arguments.run)
    try:
        if not (folder / "config.toml").is_file():
            raise UserError(f"{folder}: no run there (config.toml is missing); give the folder of a run")
        (folder / RESET_REQUEST).touch()
    except OSError as error:
        raise UserError(f"{folder}: cannot write there ({error.strerror})") from None
    sys.stdout.write(f"asked for a reset: the job in {folder} makes it at the end of its step, now or once resumed\n")
    return 0
