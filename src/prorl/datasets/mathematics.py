"""Stage 1, data sets: mathematics: DeepScaleR and DAPO-Math to train on, six suites to measure with."""

from prorl.datasets.record import NO_ANSWER, BadRow, Columns, Dataset, Dropped, Files, Kind, RawRow, Row
from prorl.datasets.wording import MATH, asked, of_dapo

PROBLEM: Columns = {"problem": ("problem", "question"), "answer": ("answer",)}


def problem_row(raw: RawRow) -> Row | Dropped:
    """A problem with its final answer, a number or LaTeX."""
    problem, answer = raw.text("problem"), raw.number("answer")
    if not problem:
        raise BadRow("the problem is empty")
    return {"prompt": asked(problem, MATH), "answer": answer, "metadata": {}} if answer else NO_ANSWER


def dapo_row(raw: RawRow) -> Row | Dropped:
    """A prompt in the form of verl; what it says of the answer's form is replaced."""
    reward = raw.value("reward_model", dict)
    answer = reward.get("ground_truth")
    if not isinstance(answer, str | int):
        raise BadRow(f"reward_model.ground_truth is of type {type(answer).__name__}, not str")
    problem = of_dapo(raw.messages("prompt")[-1]["content"])
    return {"prompt": asked(problem, MATH), "answer": str(answer), "metadata": {}} if str(answer).strip() else NO_ANSWER


def math_500_row(raw: RawRow) -> Row | Dropped:
    row = problem_row(raw)
    if isinstance(row, dict):
        row["metadata"] = {"subject": raw.text("subject"), "difficulty": raw.number("level")}
    return row


def olympiad_row(raw: RawRow) -> Row | Dropped:
    """A problem whose answer is a list of LaTeX; several answers are one, separated by commas."""
    if raw.text("language") not in ("", "English"):
        return Dropped("not in English")
    if raw.values["answer"] is None:
        return NO_ANSWER
    answers = raw.value("answer", list, str)
    texts = [answers] if isinstance(answers, str) else answers
    if not all(isinstance(text, str) for text in texts):
        raise BadRow("final_answer must be a list of texts")
    answer = ", ".join(text.strip().strip("$").strip() for text in texts if text.strip())
    if not answer:
        return NO_ANSWER
    problem = "\n\n".join(text for text in (raw.text("context"), raw.text("problem")) if text)
    metadata = {name: raw.text(name) for name in ("answer_type", "unit", "subject") if raw.text(name)}
    return {"prompt": asked(problem, MATH), "answer": answer, "metadata": metadata}


def _dataset(
    name: str, hub: str, about: str, rows: int, *, licence: str = "not stated", kind: Kind = "suite"
) -> Dataset:
    """A data set of problems with plain answers."""
    origin = Files(hub=hub, columns=PROBLEM, convert=problem_row)
    return Dataset(name=name, kind=kind, domain="math", about=about, rows=rows, licence=licence, origin=origin)


DATASETS = (
    _dataset(
        "deepscaler",
        "agentica-org/DeepScaleR-Preview-Dataset",
        "competition problems with final answers",
        40_315,
        licence="MIT",
        kind="training",
    ),
    Dataset(
        name="dapo_math_17k",
        kind="training",
        domain="math",
        about="competition problems with integer answers; each stands about 100 times in the file",
        rows=1_791_700,
        licence="Apache-2.0",
        origin=Files(
            hub="BytedTsinghua-SIA/DAPO-Math-17k",
            columns={"prompt": ("prompt",), "reward_model": ("reward_model",)},
            convert=dapo_row,
        ),
    ),
    _dataset("aime24", "HuggingFaceH4/aime_2024", "AIME 2024, both papers", 30),
    _dataset("aime25", "yentinglin/aime_2025", "AIME 2025, both papers", 30),
    _dataset("amc", "AI-MO/aimo-validation-amc", "AMC 12 of 2022 and 2023", 83, licence="Apache-2.0"),
    Dataset(
        name="math_500",
        kind="suite",
        domain="math",
        about="500 test problems of MATH",
        rows=500,
        origin=Files(
            hub="HuggingFaceH4/MATH-500",
            columns=PROBLEM,
            optional={"subject": ("subject",), "level": ("level",)},
            convert=math_500_row,
        ),
    ),
    _dataset("minerva", "math-ai/minervamath", "undergraduate problems of Minerva", 272),
    Dataset(
        name="olympiad_bench",
        kind="suite",
        domain="math",
        about="OlympiadBench, open questions in English, text only",
        rows=674,
        origin=Files(
            hub="math-ai/olympiadbench",
            columns={"problem": ("question",), "answer": ("final_answer",)},
            optional={name: (name,) for name in ("context", "answer_type", "unit", "subject", "language")},
            convert=olympiad_row,
        ),
    ),
)
