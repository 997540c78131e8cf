"""Stage 7: the stated probability that a guess solves a problem. Draws nothing, judges nothing.

A guess knows the form of the answer, may copy parts of the prompt and knows which answers are common; it works nothing
out. `docs/suites.md` has what was measured.
"""

from collections.abc import Callable, Mapping
from typing import Any

from prorl.errors import UserError
from prorl.prompts.suites import GENERATORS
from prorl.records import Prompt
from prorl.rewards.puzzles.tasks import ALL_TASKS, CHANCE, task_of

TASK_CHANCE: dict[str, float] = {"aime24": 0.001, "aime25": 0.001, "gpqa_diamond": 0.25}
"""By task, where the form of the answer leaves few: whole numbers from 0 to 999, and one of four letters."""


def chance_of(prompt: Prompt) -> float:
    """Probability in [0, 1] that a guess is right; 0 where nothing is known of it.

    `metadata.chance` decides where a row has it. UserError: it is no probability.
    """
    if "chance" in prompt.metadata:
        return _given(prompt)
    found = _of_family(prompt)
    if found is not None:
        return found
    return max(_of_puzzle(prompt), _of_choices(prompt), TASK_CHANCE.get(prompt.task, 0.0))


def _given(prompt: Prompt) -> float:
    value = prompt.metadata["chance"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(
            f"{prompt.id}: metadata.chance = {str(value)[:40]}: must be a number from 0 to 1, the probability that a "
            "guess is right; correct it or leave it out"
        )
    return float(value)


def _of_family(prompt: Prompt) -> float | None:
    """What the problem's family states for its level; None for what no generator made."""
    generator = GENERATORS.get(prompt.id.partition("/")[0])
    family = generator.families.get(prompt.task) if generator else None
    if family is None or not 1 <= prompt.level <= family.max_level:
        return None
    return family.chance(prompt.level)


def _of_choices(prompt: Prompt) -> float:
    """Of a multiple choice, one in the number of its options."""
    choices = prompt.metadata.get("choices")
    return 1 / len(choices) if isinstance(choices, list | tuple | Mapping) and len(choices) > 1 else 0.0


def _of_puzzle(prompt: Prompt) -> float:
    """Of a Reasoning Gym entry: what the commonest answer earns, or one in the number of answers that the entry allows.

    The first was measured at the library's own settings, and is an upper bound there.
    """
    task, entry = task_of(prompt.metadata, prompt.task), prompt.metadata.get("entry")
    if task not in ALL_TASKS or not isinstance(entry, Mapping):
        return 0.0
    facts = entry.get("metadata")
    count = ANSWERS[task](facts) if task in ANSWERS and isinstance(facts, Mapping) else 0
    return max(CHANCE.get(task, 0.0), 1 / count if count > 0 else 0.0)


def _size(value: object) -> int:
    return len(value) if isinstance(value, list | tuple) else 0


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _difficulty(facts: Mapping[str, Any], name: str) -> int:
    difficulty = facts.get("difficulty")
    return _whole(difficulty.get(name)) if isinstance(difficulty, Mapping) else 0


def _kinds_of_people(facts: Mapping[str, Any]) -> int:
    """Each is a knight or a knave."""
    count = _size(facts.get("names"))
    return 2 ** min(count, 64) if count else 0


def _empty_points(facts: Mapping[str, Any]) -> int:
    """Where a stone can be put on a board of Go."""
    board = facts.get("board")
    rows = board if isinstance(board, list) else []
    return sum(row.count(".") for row in rows if isinstance(row, list))


ANSWERS: dict[str, Callable[[Mapping[str, Any]], int]] = {
    "knights_knaves": _kinds_of_people,
    "needle_haystack": lambda facts: _whole(facts.get("num_statements")),
    "path_star": lambda facts: _difficulty(facts, "degree"),
    "tsumego": _empty_points,
    "zebra_puzzles": lambda facts: _difficulty(facts, "num_people"),
}
"""How many answers an entry allows, by task, from its metadata; 0 where they do not tell."""
