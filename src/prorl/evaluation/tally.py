"""Stage 7: one model's samples in a store -> counts by problem. Judges nothing: the verdicts are in the store."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from prorl.evaluation.audit import Answered
from prorl.evaluation.boundary import ProblemCounts
from prorl.evaluation.budget import Budget
from prorl.evaluation.diversity import NO_ANSWER, answer_classes, answer_entropy, distinct_texts
from prorl.evaluation.estimators import majority_at_k, mean_at_n, solved_at
from prorl.evaluation.samples import Sample, read_samples
from prorl.evaluation.suites import Problem
from prorl.seeds import stream_seed

WELL_FORMED = ("correct", "partial", "wrong")
MAJORITIES = (8, 64)
"""k of majority@k, where there are as many samples."""
MAJORITY_DRAWS = 50


def tally(problems: Sequence[Problem], path: Path, budget: Budget, threshold: float) -> list[ProblemCounts]:
    """How often the store's model solved each problem: a sample solves it where its value reaches the threshold.

    Of each problem the first samples count that the budget's rule asks for; what else the store has is left out.
    Numbers that are not pass@k come from the same number of samples of every problem.
    """
    by_id = {problem.prompt.id: problem for problem in problems}
    counts = []
    for id, samples in read_samples(path, by_id):
        right = solved_at(np.array([sample.strict for sample in samples]), threshold).tolist()
        num_samples = budget.counted(right)
        assert num_samples, f"{path}: {id} has fewer samples than were asked for"
        counts.append(_counts(by_id[id], samples[:num_samples], right[:num_samples], budget, threshold))
    return counts


def _counts(
    problem: Problem, samples: Sequence[Sample], right: Sequence[bool], budget: Budget, threshold: float
) -> ProblemCounts:
    prompt = problem.prompt
    either = (np.array(right) | solved_at(np.array([sample.tolerant for sample in samples]), threshold)).tolist()
    return ProblemCounts(
        prompt_id=prompt.id,
        domain=prompt.domain,
        family=prompt.task,
        level=prompt.level,
        num_samples=len(samples),
        num_correct=sum(right),
        num_correct_tolerant=sum(either),
        num_errors=sum((sample.strict_outcome, sample.tolerant_outcome).count("error") for sample in samples),
        suite=problem.suite,
        trained_on=problem.trained_on,
        chance=problem.chance,
        values=_values(prompt.id, samples[: budget.fixed_samples], either[: budget.fixed_samples]),
    )


def _values(id: str, samples: Sequence[Sample], right: Sequence[bool]) -> dict[str, float]:
    texts, num_samples = [sample.text for sample in samples], len(samples)
    formed = [sample.strict_outcome in WELL_FORMED for sample in samples]
    classes = answer_classes([texts], [[sample.answer for sample in samples]], [formed], num_samples)
    names = ["" if number == NO_ANSWER else str(number) for number in classes[0]]
    ks = [k for k in MAJORITIES if k <= num_samples]
    rng = np.random.default_rng(stream_seed("majority", id) & (2**63 - 1))
    return {
        "mean_score": mean_at_n([sample.strict for sample in samples]),
        "well_formed": fmean(formed),
        "truncated": fmean(sample.finish == "length" for sample in samples),
        "mean_tokens": fmean(sample.num_tokens for sample in samples),
        "distinct_texts": float(distinct_texts([texts], num_samples)[0]),
        "answer_entropy": float(answer_entropy(classes)[0]),
        **{f"majority@{k}": majority_at_k(names, right, k, rng, MAJORITY_DRAWS) for k in ks},
    }


def answered(problems: Sequence[Problem], path: Path, budget: Budget, threshold: float) -> Iterator[Answered]:
    """The samples of a store that count, problem by problem, as the audit takes them."""
    prompts = {problem.prompt.id: problem.prompt for problem in problems}
    for id, stored in read_samples(path, prompts):
        right = solved_at(np.array([sample.strict for sample in stored]), threshold).tolist()
        samples = stored[: budget.counted(right)]
        yield Answered(
            prompts[id],
            [sample.text for sample in samples],
            np.array([sample.strict for sample in samples]),
            np.array([sample.tolerant for sample in samples]),
            np.array([sample.finish == "length" for sample in samples]),
        )
