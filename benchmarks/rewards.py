"""The reward functions of the step benchmark, one and the same for both sides. Needs numpy and `prorl` on the path."""

from collections.abc import Callable

from prorl.records import Prompt, Score
from prorl.rewards.mini import verify


def letters(prompt: Prompt, response: str) -> Score:
    """Share of lower-case ASCII letters: cheap, and differs between the answers of a random model."""
    count = sum("a" <= character <= "z" for character in response)
    return Score(count / max(len(response), 1), "partial")


REWARDS: dict[str, Callable[[Prompt, str], Score]] = {"mini": verify, "letters": letters}
