"""Stage 7: the measurements of a run: validation by level, and the boundary of two models."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from prorl.config import Config
from prorl.errors import UserError
from prorl.evaluation.boundary import ProblemCounts, boundary, powers_of_two
from prorl.evaluation.problems import held_out, trained_levels, validation_problems
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
PROBLEMS_AT_ONCE = 512
"""Of a boundary measurement: bounds the samples that are held."""


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


def boundary_problems(config: Config, before: Sequence[Config] = ()) -> list[Problem]:
    """Both folds of every level of the evaluation sources, or else of the training sources; no problem is there twice.

    `before`: the phases before this one, which have trained too. Rows of a file come from its end, validation's from
    its beginning.
    """
    options = config.evaluation
    trained = trained_levels((*before, config))
    problems: dict[tuple[str, str, int, str], Problem] = {}
    for source in options.sources or config.data.sources:
        for part, fold in enumerate(FOLDS):
            parts = {"part": part, "parts": len(FOLDS)}
            for prompt in held_out((source,), options.boundary_problems, "boundary", **parts, from_end=True):
                key = (prompt.domain, prompt.task, prompt.level, str(prompt.content))
                seen = (prompt.task, prompt.level) in trained
                problems.setdefault(key, Problem(prompt, fold, source.source, trained_on=seen))
    return _checked(list(problems.values()))


def _checked(problems: Sequence[Problem]) -> list[Problem]:
    """The problems under ids of their own; UserError for a level that has too few for both folds."""
    folds: dict[tuple[str, str, int], set[Fold]] = {}
    names: Counter[str] = Counter()
    checked = []
    for problem in problems:
        prompt = problem.prompt
        folds.setdefault((prompt.domain, prompt.task, prompt.level), set()).add(problem.fold)
        names[prompt.id] += 1
        unique = prompt.id if names[prompt.id] == 1 else f"{prompt.id}#{names[prompt.id]}"
        checked.append(replace(problem, prompt=replace(prompt, id=unique)))
    for (domain, task, level), present in folds.items():
        if len(present) < len(FOLDS):
            raise UserError(
                f"evaluation.boundary_samples: {domain}: level {level} of {task} has one problem, the boundary needs "
                "at least two of each level; name evaluation.sources without it, or set boundary_samples = 0"
            )
    return checked


def evaluation_prompts(config: Config) -> list[Prompt]:
    """Every problem that the phase's measurements ask."""
    options = config.evaluation
    prompts = validation_problems(config) if options.every else []
    return prompts + ([problem.prompt for problem in boundary_problems(config)] if options.boundary_samples else [])


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
    counts: list[ProblemCounts] = []
    for start in range(0, len(problems), PROBLEMS_AT_ONCE):
        part = problems[start : start + PROBLEMS_AT_ONCE]
        place = f"boundary, {role}: problems {start + 1} to {start + len(part)} of {len(problems)}"
        answered = answer(
            [problem.prompt for problem in part],
            Judge(engine, template, verifiers, lambda text, place=place: progress(f"{place}: {text}")),  # type: ignore[misc]
            template,
            sampling=Sampling(1.0, 1.0, config.rollouts.max_response_tokens),
            samples=config.evaluation.boundary_samples,
            seed=(seed, "boundary", role),
        )
        counts += [_counts(problem, item) for problem, item in zip(part, answered, strict=True)]
    return counts


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


def boundary_result(config: Config, counts: Mapping[str, Sequence[ProblemCounts]], seed: int) -> dict[str, Any]:
    """The `boundary.json` object of the counts by role: `base`, the steps of checkpoints in between, `trained`."""
    between = {role: item for role, item in counts.items() if role.isdigit()}
    settings = {
        "samples": config.evaluation.boundary_samples,
        "problems_per_level_and_fold": config.evaluation.boundary_problems,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_response_tokens": config.rollouts.max_response_tokens,
        "seed": seed,
        "verifier_errors": sum(problem.num_errors for problems in counts.values() for problem in problems),
    }
    ks = powers_of_two(config.evaluation.boundary_samples)
    return boundary(counts["base"], counts["trained"], between, ks=ks, settings=settings)
