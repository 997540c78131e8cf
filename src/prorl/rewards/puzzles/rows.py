"""Stage 3, rewards: which rows of puzzles can be judged, and a response to each that must score 1. Judges nothing."""

from prorl.records import Prompt
from prorl.rewards.puzzles.solutions import example_answer
from prorl.rewards.puzzles.statements import check_premises
from prorl.rewards.puzzles.tasks import ALL_TASKS, canonical, problem_with, task_of


def check_row(prompt: Prompt) -> None:
    """ValueError: the row names no known task, or two of them, or its entry lacks what its verifier reads."""
    task, entry = task_of(prompt.metadata, prompt.task), prompt.metadata.get("entry")
    if problem := problem_with(task, entry):
        raise ValueError(problem)
    if canonical(prompt.task) in ALL_TASKS and canonical(prompt.task) != task:
        raise ValueError(f"task = {prompt.task}: metadata.task is {task}; they must name the same task")
    if task == "propositional_logic":
        check_premises(prompt.metadata["entry"])


def gold_response(prompt: Prompt) -> str | None:
    """The entry's own answer in the form asked for; None where none is known. For a row that `check_row` accepts."""
    answer = example_answer(task_of(prompt.metadata, prompt.task), prompt.metadata["entry"])
    return None if answer is None else f"<answer>{answer}</answer>"
