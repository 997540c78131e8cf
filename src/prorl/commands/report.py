"""`prorl report`."""

import argparse
import sys
from pathlib import Path

from prorl.report.page import write_report


def run(arguments: argparse.Namespace) -> int:
    """Write `report.html` of a run."""
    sys.stdout.write(f"{write_report(Path(arguments.run))}\n")
    return 0
