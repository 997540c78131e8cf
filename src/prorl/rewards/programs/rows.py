"""Stage 3, rewards: whether a row of code data can be judged, and its solution as a response. Runs nothing."""

from prorl.records import Prompt
from prorl.rewards.answers import FENCE
from prorl.rewards.programs.extraction import MAX_SOURCE_CHARACTERS
from prorl.rewards.programs.limits import time_limit_seconds
from prorl.rewards.programs.problems import read_problem


def check_row(prompt: Prompt) -> None:
    """Raises ValueError where the tests or the time limit are malformed."""
    time_limit_seconds(prompt.metadata)
    read_problem(prompt)


def gold_response(prompt: Prompt) -> str | None:
    """`metadata.solution` in a block of Python; None where it is missing, too long, or would end its own block."""
    solution = prompt.metadata.get("solution")
    if not isinstance(solution, str) or not solution.strip() or len(solution) >= MAX_SOURCE_CHARACTERS:
        return None
    if any(line.strip().startswith(FENCE) for line in solution.split("\n")):
        return None
    return f"{FENCE}python\n{solution.rstrip()}\n{FENCE}"
