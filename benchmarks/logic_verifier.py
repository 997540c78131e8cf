"""Answers a second that the verifier of Reasoning Gym's puzzles judges in one process, over all 96 training tasks.

    python benchmarks/logic_verifier.py
    python benchmarks/logic_verifier.py --per-task 10 --seconds 20 --json

Puzzles are made first, by the library's own settings. Each is answered three times: by its own answer, by that of
another puzzle of its task, and by junk of a few hundred characters. Goal: over 500 a second on one core. CPU seconds;
importing and making puzzles are left out. Nothing is cached between answers but what the judges keep themselves.
"""

import itertools
import time
from collections import Counter, defaultdict
from typing import Any

from record import finish, options_parser, run, whole_number

from prorl.datasets.reasoning_gym import generate_rows
from prorl.records import Prompt
from prorl.rewards.puzzles.tasks import TRAINING_TASKS
from prorl.rewards.puzzles.verdict import verify

GOAL = 500
_SLOWEST = 10
_JUNK = ("I am not sure, it might be 42. " * 10, "[[1, 2], [3, 4]]" * 20, "9" * 300, "(x + 1)*" * 40, "")

Answered = tuple[Prompt, str, str]
"""A problem, a response, and its kind."""


def make_answers(per_task: int, seed: int) -> list[Answered]:
    """Right, wrong and junk answers to each puzzle, task by task."""
    by_task: dict[str, list[Prompt]] = defaultdict(list)
    for row in generate_rows(TRAINING_TASKS, per_task=per_task, seed=seed):
        prompt = Prompt(row["id"], "logic", row["task"], row["prompt"], row["answer"], row["metadata"])
        by_task[prompt.task].append(prompt)
    junk = itertools.cycle(_JUNK)
    answers: list[Answered] = []
    for prompts in by_task.values():
        for place, prompt in enumerate(prompts):
            other = prompts[(place + 1) % len(prompts)]
            answers.append((prompt, _response(prompt.answer), "right"))
            answers.append((prompt, _response(other.answer), "wrong"))
            answers.append((prompt, _response(next(junk)), "junk"))
    return answers


def _response(answer: str) -> str:
    thought = "Let me think about the problem step by step. " * 20
    return f"<think>{thought}</think>\nThe answer follows.\n<answer>{answer}</answer>"


def measure(answers: list[Answered], seconds: float) -> dict[str, Any]:
    """Judge all answers in turn until the time is used up, at least once."""
    spent: dict[tuple[str, str], float] = defaultdict(float)
    slowest: dict[str, float] = defaultdict(float)
    outcomes: Counter[str] = Counter()
    for prompt, response, _ in answers:
        verify(prompt, response)  # fills what the judges keep: word lists, turns of the cube
    rounds, begin = 0, time.process_time()
    while not rounds or time.process_time() - begin < seconds:
        rounds += 1
        for prompt, response, kind in answers:
            start = time.process_time()
            score = verify(prompt, response)
            used = time.process_time() - start
            spent[prompt.task, kind] += used
            slowest[prompt.task] = max(slowest[prompt.task], used)
            outcomes[f"{kind}: {score.outcome}"] += rounds == 1
    total = sum(spent.values())
    per_task = {task: sum(spent[task, kind] for kind in ("right", "wrong", "junk")) for task in slowest}
    counts = Counter(prompt.task for prompt, _, _ in answers)
    return {
        "answers": len(answers),
        "rounds": rounds,
        "answers_a_cpu_second": rounds * len(answers) / total,
        "outcomes": dict(sorted(outcomes.items())),
        "milliseconds": {task: 1000 * used / counts[task] / rounds for task, used in per_task.items()},
        "slowest_milliseconds": {task: 1000 * used for task, used in slowest.items()},
    }


def markdown(result: dict[str, Any]) -> str:
    """The rate, the outcomes, and the tasks that cost most."""
    means = sorted(result["milliseconds"].items(), key=lambda item: -item[1])[:_SLOWEST]
    lines = [
        f"{result['answers_a_cpu_second']:.0f} answers a CPU second over {result['answers']} answers to all "
        f"{len(result['milliseconds'])} tasks, {result['rounds']} rounds; goal: {GOAL}.",
        "",
        "Outcomes: " + ", ".join(f"{name} {count}" for name, count in result["outcomes"].items()) + ".",
        "",
        "| slowest tasks | mean ms | slowest ms |",
        "|---|---|---|",
        *(f"| {task} | {mean:.3f} | {result['slowest_milliseconds'][task]:.2f} |" for task, mean in means),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--per-task", type=whole_number, default=5, help="puzzles of each task")
    parser.add_argument("--seconds", type=whole_number, default=10, help="of processor time to measure for")
    parser.add_argument("--seed", type=whole_number, default=1)
    options = parser.parse_args()
    result = measure(make_answers(options.per_task, options.seed), options.seconds)
    finish(options, "logic_verifier", result, markdown(result))


if __name__ == "__main__":
    run(main)
