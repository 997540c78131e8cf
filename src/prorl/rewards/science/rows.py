"""Stage 3, rewards: checks that a STEM row can be judged against, and writes the response that must be right.

Imports nothing heavy: data preparation checks every row with it.
"""

import math

from prorl.records import Prompt
from prorl.rewards.science.markup import MAX_ANSWER_CHARS, plain
from prorl.rewards.science.options import read_options
from prorl.rewards.science.units import read_unit


def check_row(prompt: Prompt) -> None:
    """ValueError: the answer or metadata of the row cannot be judged against."""
    answer, metadata = prompt.answer, prompt.metadata
    if not plain(answer[: MAX_ANSWER_CHARS + 1]):
        raise ValueError("answer is empty")
    if len(answer) > MAX_ANSWER_CHARS:
        raise ValueError(f"answer has {len(answer)} characters: a short answer has at most {MAX_ANSWER_CHARS}")
    unit, tolerance = metadata.get("unit"), metadata.get("tolerance")
    if unit is not None and (not isinstance(unit, str) or read_unit(plain(unit[:MAX_ANSWER_CHARS])) is None):
        raise ValueError(f"metadata.unit {str(unit)[:60]!r} must be a unit, such as m/s^2")
    is_number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if tolerance is not None and not (is_number and math.isfinite(tolerance) and 0 <= tolerance < 1):
        raise ValueError(f"metadata.tolerance {str(tolerance)[:60]!r} must be a relative number from 0 to below 1")
    read_options(answer, metadata)


def gold_response(prompt: Prompt) -> str | None:
    """The gold answer in a box; None where its braces do not balance."""
    depth = 0
    for character in prompt.answer.replace("\\{", "").replace("\\}", ""):
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return None
    return None if depth else f"\\boxed{{{prompt.answer}}}"
