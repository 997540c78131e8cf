"""Stage 3, rewards: how long judging one program may take. Imports nothing heavy, for the pool reads it."""

from collections.abc import Mapping
from typing import Any

from prorl.records import Prompt

TIME_LIMIT_SECONDS = 5.0
"""Of all tests of a program together (the paper, appendix D)."""
MAX_TIME_LIMIT_SECONDS = 300.0
SLACK_SECONDS = 10.0
"""For the sandbox to start and to be cleared away, on a busy machine."""


def time_limit_seconds(metadata: Mapping[str, Any]) -> float:
    """`time_limit_seconds` of a problem. ValueError: it is no number above 0 and at most the largest limit."""
    limit = metadata.get("time_limit_seconds")
    if limit is None:
        return TIME_LIMIT_SECONDS
    is_number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if not (is_number and 0 < limit <= MAX_TIME_LIMIT_SECONDS):
        raise ValueError(
            f"metadata.time_limit_seconds {str(limit)[:60]!r} must be a number above 0, at most "
            f"{MAX_TIME_LIMIT_SECONDS:.0f}"
        )
    return float(limit)


def deadline_seconds(prompt: Prompt) -> float:
    """Wall clock that the pool must allow for one answer of this problem; of a malformed one, for saying so."""
    try:
        return time_limit_seconds(prompt.metadata) + SLACK_SECONDS
    except ValueError:
        return SLACK_SECONDS
