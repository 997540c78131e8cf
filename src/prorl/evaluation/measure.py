"""Stage 7: the measurements of a run: validation by level, and the boundary of two models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prorl.config import Config
from prorl.evaluation.boundary import ProblemCounts, boundary, powers_of_two
from prorl.evaluation.problems import held_out
from prorl.evaluation.sampling import answer
from prorl.evaluation.validate import summarise
from prorl.judging import Judge
from prorl.prompts.template import Template
from prorl.records import Prompt, Report, Sampling, Score
from prorl.rewards.verifier import VerifierPool
from prorl.rollouts.engine import Engine

Fold = Literal["select", "report"]
WELL_FORMED = ("correct", "partial", "wrong")
FOLDS: tuple[Fold, Fold] = ("select", "report")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of the boundary measurement with its place in it."""

    prompt: Prompt
    fold: Fold
    suite: str
    trained_on: bool


def validate(
    problems: Sequence[Prompt],
    engine: Engine,
    template: Template,
    verifiers: VerifierPool,
    config: Config,
    *,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Score the held-out problems; the same random streams at every validation, so that noise does not differ."""
    options = config.evaluation
    answered = answer(
        problems,
        Judge(engine, template, [verifiers], lambda text: progress(f"validate: {text}")),
        template,
        sampling=Sampling(options.temperature, options.top_p, config.rollouts.max_response_tokens),
        samples=options.samples,
        seed=(seed, "validation"),
    )
    scores = [[score.value for score in strict if score.outcome != "error"] for (strict,) in answered]
    return summarise(problems, scores, options.domain_weights)


def boundary_problems(config: Config) -> list[Problem]:
    """Both folds of the trained levels and of the levels above them that no training saw."""
    options = config.evaluation
    sources = options.sources or config.data.sources
    return [
        Problem(prompt, fold, source.source, trained_on=source in config.data.sources)
        for source in sources
        for part, fold in enumerate(FOLDS)
        for prompt in held_out((source,), options.boundary_problems, "boundary", part=part, parts=len(FOLDS))
    ]


def count_answers(
    problems: Sequence[Problem],
    engine: Engine,
    template: Template,
    verifiers: Sequence[VerifierPool],
    config: Config,
    *,
    seed: int,
    role: str,
    progress: Callable[[str], None] = lambda text: None,
) -> list[ProblemCounts]:
    """How often the engine's model solves each problem at T 1, top-p 1; `role` keeps two models' streams apart.

    `verifiers`: the strict reading, then the tolerant one.
    """
    samples = config.evaluation.boundary_samples
    answered = answer(
        [problem.prompt for problem in problems],
        Judge(engine, template, verifiers, lambda text: progress(f"boundary, {role}: {text}")),
        template,
        sampling=Sampling(1.0, 1.0, config.rollouts.max_response_tokens),
        samples=samples,
        seed=(seed, "boundary", role),
    )
    return [_counts(problem, item) for problem, item in zip(problems, answered, strict=True)]


def _counts(problem: Problem, readings: Sequence[Sequence[Score]]) -> ProblemCounts:
    strict, tolerant = readings
    solved = [sum(score.value >= 1.0 for score in scores) for scores in (strict, tolerant)]
    prompt = problem.prompt
    return ProblemCounts(
        prompt_id=prompt.id,
        domain=prompt.domain,
        family=prompt.task,
        level=prompt.level,
        fold=problem.fold,
        num_samples=len(strict),
        num_correct=solved[0],
        num_correct_tolerant=solved[1],
        num_well_formed=sum(score.outcome in WELL_FORMED for score in strict),
        num_errors=sum(score.outcome == "error" for scores in readings for score in scores),
        suite=problem.suite,
        trained_on=problem.trained_on,
    )


def boundary_result(
    config: Config, base: Sequence[ProblemCounts], trained: Sequence[ProblemCounts], seed: int
) -> dict[str, Any]:
    """The `boundary.json` object of two models' counts."""
    settings = {
        "samples": config.evaluation.boundary_samples,
        "problems_per_level_and_fold": config.evaluation.boundary_problems,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_response_tokens": config.rollouts.max_response_tokens,
        "seed": seed,
        "verifier_errors": sum(counts.num_errors for counts in (*base, *trained)),
    }
    return boundary(base, trained, ks=powers_of_two(config.evaluation.boundary_samples), settings=settings)
