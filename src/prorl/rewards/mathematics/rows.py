"""Stage 3, rewards: whether a row of math data can be judged, and its gold answer as a response. Judges nothing."""

from prorl.records import Prompt

MAX_GOLD_CHARACTERS = 1000


def check_row(prompt: Prompt) -> None:
    """Raises ValueError where the gold answer is empty, too long, or would end its own box."""
    gold = prompt.answer.strip()
    if not gold:
        raise ValueError("the answer is empty")
    if len(gold) > MAX_GOLD_CHARACTERS:
        raise ValueError(f"the answer has {len(gold)} characters: must be at most {MAX_GOLD_CHARACTERS}")
    plain = gold.replace("\\\\", "").replace(r"\{", "").replace(r"\}", "")
    depth = 0
    for char in plain:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            break
    if depth:
        raise ValueError("the braces of the answer do not balance")


def gold_response(prompt: Prompt) -> str | None:
    """The gold answer in a box."""
    return f"\\boxed{{{prompt.answer}}}"
