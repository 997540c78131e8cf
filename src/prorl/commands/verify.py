"""`prorl verify`: JSON Lines of answers on standard input, verdicts on standard output, in order."""

import argparse
import os
import sys

from prorl.errors import RunFailed, UserError
from prorl.rewards.jsonl import verify_stream
from prorl.rewards.verifier import VERIFIERS, Reading, VerifierPool

MEMORY_MB = 2048


def run(arguments: argparse.Namespace) -> int:
    """Judge every line."""
    if arguments.workers < 1 or not arguments.timeout > 0:
        raise UserError("verify: --workers must be at least 1 and --timeout above 0")
    if arguments.domain not in VERIFIERS:
        raise UserError(f"verify --domain {arguments.domain}: must be one of {', '.join(VERIFIERS)}")
    if sys.stdin is None or sys.stdout is None:
        raise UserError("verify reads standard input and writes standard output: both must be open")
    reading: Reading = "tolerant" if arguments.tolerant else "strict"
    with VerifierPool(
        workers=arguments.workers,
        timeout_seconds=arguments.timeout,
        memory_mb=MEMORY_MB,
        reading=reading,
        preload=[arguments.domain],
        sandbox=arguments.sandbox,
    ) as pool:
        try:
            verify_stream(arguments.domain, sys.stdin.buffer, sys.stdout.buffer, pool)
        except BrokenPipeError:
            raise
        except OSError as error:
            # What cannot be written would be tried once more, and complained of, as Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise RunFailed(f"verify: the output cannot be written ({error.strerror})") from None
    return 0
