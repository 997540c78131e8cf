"""Stage 3, rewards: what is known of a problem without judging anything: whether it can be judged, and a right answer.

Imports nothing heavy.
"""

from collections.abc import Callable

from prorl.records import Prompt
from prorl.rewards.instructions import rows as instructions
from prorl.rewards.mathematics import rows as mathematics
from prorl.rewards.programs import rows as programs
from prorl.rewards.puzzles import rows as puzzles
from prorl.rewards.science import rows as science

ROW_CHECKS: dict[str, Callable[[Prompt], None]] = {
    "math": mathematics.check_row,
    "code": programs.check_row,
    "stem": science.check_row,
    "logic": puzzles.check_row,
    "instruction": instructions.check_row,
}
"""By verifier: raises ValueError for a problem that no answer could be judged against."""
GOLD_RESPONSES: dict[str, Callable[[Prompt], str | None]] = {
    "math": mathematics.gold_response,
    "code": programs.gold_response,
    "stem": science.gold_response,
    "logic": puzzles.gold_response,
    "instruction": instructions.gold_response,
    "mini": lambda prompt: prompt.answer,
}
"""By verifier: a response that deserves 1.0; None where none is known."""


def verifier_name(prompt: Prompt) -> str:
    """The built-in verifier that the prompt asks for."""
    return prompt.verifier or prompt.domain
