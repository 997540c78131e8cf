"""Stage 7: the measurements of a run: validation by level, and the problems of its boundary."""

from collections.abc import Callable, Sequence

from prorl.config import Config
from prorl.evaluation.chance import chance_of
from prorl.evaluation.problems import held_out, trained_levels, validation_problems
from prorl.evaluation.sampling import answer
from prorl.evaluation.suites import Problem, with_own_ids
from prorl.evaluation.validate import summarise
from prorl.judging import Judge
from prorl.prompts.template import Template
from prorl.records import Prompt, Report, Sampling
from prorl.rewards.verifier import VerifierPool
from prorl.rollouts.engine import Engine


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
    """Problems of every level of the evaluation sources, or else of the training sources; none is there twice.

    `before`: the phases before this one, which have trained too. Rows of a file come from its end, validation's from
    its beginning.
    """
    options = config.evaluation
    trained = trained_levels((*before, config))
    found: dict[tuple[str, str, int, str], tuple[Prompt, str]] = {}
    for source in options.sources or config.data.sources:
        for prompt in held_out((source,), options.boundary_problems, "boundary", from_end=True):
            key = (prompt.domain, prompt.task, prompt.level, str(prompt.content))
            found.setdefault(key, (prompt, source.source))
    prompts = with_own_ids([prompt for prompt, _ in found.values()])
    return [
        Problem(prompt, suite, (prompt.task, prompt.level) in trained, chance_of(prompt))
        for prompt, (_, suite) in zip(prompts, found.values(), strict=True)
    ]


def evaluation_prompts(config: Config) -> list[Prompt]:
    """Every problem that the phase's measurements ask."""
    options = config.evaluation
    prompts = validation_problems(config) if options.every else []
    return prompts + ([problem.prompt for problem in boundary_problems(config)] if options.boundary_samples else [])
