"""`prorl report`."""

import argparse
import sys
from pathlib import Path

from prorl.errors import UserError
from prorl.report.page import write_report


def run(arguments: argparse.Namespace) -> int:
    """Write `report.html` of a run."""
    folder = Path(arguments.run)
    try:
        path = write_report(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot read and write there ({error.strerror}); give a run's own folder") from None
    sys.stdout.write(f"{path}\n")
    return 0
