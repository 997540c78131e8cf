"""`prorl verify`: JSON Lines of answers on standard input, verdicts on standard output, in order."""

import argparse
import sys

from prorl.errors import UserError
from prorl.rewards.jsonl import verify_stream
from prorl.rewards.verifier import VERIFIERS, Reading, VerifierPool

MEMORY_MB = 2048


def run(arguments: argparse.Namespace) -> int:
    """Judge every line."""
    if arguments.workers < 1 or not arguments.timeout > 0:
        raise UserError("verify: --workers must be at least 1 and --timeout above 0")
    if arguments.domain not in VERIFIERS:
        raise UserError(f"verify --domain {arguments.domain}: must be one of {', '.join(VERIFIERS)}")
    reading: Reading = "tolerant" if arguments.tolerant else "strict"
    with VerifierPool(
        workers=arguments.workers,
        timeout_seconds=arguments.timeout,
        memory_mb=MEMORY_MB,
        reading=reading,
        preload=[arguments.domain],
        sandbox=arguments.sandbox,
    ) as pool:
        verify_stream(arguments.domain, sys.stdin.buffer, sys.stdout.buffer, pool)
    return 0
