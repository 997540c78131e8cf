"""Stage 1, data sets: STEM: SCP-116K to train on, GPQA-Diamond to measure with."""

import random

from prorl.datasets.record import NO_ANSWER, BadRow, Dataset, Dropped, Files, RawRow, Row
from prorl.datasets.short_answers import short_answer
from prorl.datasets.wording import CHOICE, STEM, asked

NO_SHORT_ANSWER = Dropped("no short answer in the solution")
NOT_AGREED = Dropped("no model came to the answer")
AGREEMENT = {
    "r1_same": ("is_r1_solution_same_with_matched_solution", "is_r1_same_with_matched_solution"),
    "o1_same": ("is_o1_solution_same_with_matched_solution", "is_o1_same_with_matched_solution"),
    "qwq_same": ("is_qwq_solution_same_with_matched_solution", "is_qwq_same_with_matched_solution"),
}
"""Whether a judge found a model's solution to have the same answer, by the columns' names in the releases."""
LETTERS = "ABCD"


def scp_row(raw: RawRow) -> Row | Dropped:
    """A problem with a short answer found in its solution.

    The paper kept rows where DeepSeek-R1 came to the answer: its column decides where there is one, else any model's.
    """
    problem, solution = raw.text("problem"), raw.text("solution")
    if not problem or not solution:
        return NO_ANSWER
    flags = {name: _flag(raw, name) for name in AGREEMENT if raw.values[name] is not None}
    agreed = flags["r1_same"] if "r1_same" in flags else any(flags.values())
    if flags and not agreed:
        return NOT_AGREED
    answer = short_answer(problem, solution)
    if answer is None:
        return NO_SHORT_ANSWER
    metadata: Row = {"subject": raw.text("subject")}
    if answer.choices:
        metadata["choices"] = list(answer.choices)
    prompt = asked(problem, CHOICE if answer.choices else STEM)
    return {"prompt": prompt, "answer": answer.text, "metadata": metadata}


def _flag(raw: RawRow, name: str) -> bool:
    """A truth value, also as text."""
    value = raw.value(name, bool, str)
    return value if isinstance(value, bool) else value.strip().lower() == "true"


def gpqa_row(raw: RawRow) -> Row | Dropped:
    """A question with its four options in an order that the seed and the row's number decide."""
    right = raw.text("right")
    options = [right, *(raw.text(name) for name in ("wrong_1", "wrong_2", "wrong_3"))]
    if not all(options):
        raise BadRow("an answer is empty")
    shuffle_seed = f"gpqa/{raw.seed}/{raw.index}"
    order = random.Random(shuffle_seed).sample(range(len(options)), len(options))
    choices = [options[number] for number in order]
    listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=True))
    return {
        "prompt": asked(f"{raw.text('question')}\n\n{listed}", CHOICE),
        "answer": LETTERS[order.index(0)],
        "metadata": {"choices": choices, "shuffle_seed": shuffle_seed, "subject": raw.text("subject")},
    }


DATASETS = (
    Dataset(
        name="scp_116k",
        kind="training",
        domain="stem",
        about="problems with solutions out of textbooks; short answers are found in the solutions",
        rows=274_000,
        licence="CC-BY-NC-SA-4.0",
        commercial=False,
        origin=Files(
            hub="EricLu/SCP-116K",
            columns={"problem": ("problem",), "solution": ("matched_solution",)},
            optional={"subject": ("domain",), **AGREEMENT},
            convert=scp_row,
        ),
    ),
    Dataset(
        name="gpqa_diamond",
        kind="suite",
        domain="stem",
        about="multiple choice by experts; options in an order of the seed",
        rows=198,
        licence="CC-BY-4.0",
        origin=Files(
            hub="Idavidrein/gpqa",
            patterns=("*gpqa_diamond*",),
            gated=True,
            columns={
                "question": ("Question",),
                "right": ("Correct Answer",),
                "wrong_1": ("Incorrect Answer 1",),
                "wrong_2": ("Incorrect Answer 2",),
                "wrong_3": ("Incorrect Answer 3",),
            },
            optional={"subject": ("Subdomain",)},
            convert=gpqa_row,
        ),
    ),
)
