"""Stage 7, the numbers: scores of held-out problems -> `Report` -> metrics. Samples nothing and decides nothing.

Each mean gives its parts equal weight: problems in a level, levels in a family, families in a domain. The blend weighs
domains as the recipe says. A family with many levels thus counts no more than one with few.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from statistics import fmean

from prorl.errors import RunFailed, UserError
from prorl.records import LevelReport, Prompt, Report


def summarise(
    prompts: Sequence[Prompt], scores: Sequence[Sequence[float]], domain_weights: Mapping[str, float]
) -> Report:
    """Average the scores of each prompt's samples; `num_samples` of a level counts those of all its problems.

    Samples whose verifier failed are left out by the caller; a problem that has none left does not count. Empty
    weights weigh the domains alike; a domain that the weights leave out is reported and weighs nothing.
    """
    present = sorted({prompt.domain for prompt in prompts})
    weights = _checked(domain_weights, present)
    by_level: dict[tuple[str, str, int], list[Sequence[float]]] = defaultdict(list)
    for prompt, samples in zip(prompts, scores, strict=True):
        if samples:
            by_level[prompt.domain, prompt.task, prompt.level].append(samples)
    levels = tuple(
        LevelReport(
            domain=domain,
            task=task,
            level=level,
            num_problems=len(problems),
            num_samples=sum(len(samples) for samples in problems),
            mean_score=fmean(fmean(samples) for samples in problems),
        )
        for (domain, task, level), problems in sorted(by_level.items())
    )
    domains = _domain_means(levels)
    missing = sorted(domain for domain in weights if domain not in domains)
    if missing or not domains:
        raise RunFailed(f"validation: no sample of {', '.join(missing) or 'any domain'} could be verified")
    score = sum(weight * domains[domain] for domain, weight in weights.items()) / sum(weights.values())
    return Report(score=score, domains=domains, levels=levels)


def check_problems(prompts: Sequence[Prompt], domain_weights: Mapping[str, float]) -> None:
    """UserError for problems that cannot be summed up under these weights."""
    _checked(domain_weights, sorted({prompt.domain for prompt in prompts}))
    domain_of: dict[str, str] = {}
    for prompt in prompts:
        first = domain_of.setdefault(prompt.task, prompt.domain)
        if first != prompt.domain:
            raise UserError(
                f"task {prompt.task} is in two domains, {first} and {prompt.domain} (problem {prompt.id}): metrics are "
                "named after tasks; give one of them another name"
            )


def report_metrics(report: Report) -> dict[str, float]:
    """The report under its metric names."""
    metrics = {"validation/mean": report.score}
    metrics.update({f"validation/{domain}": score for domain, score in report.domains.items()})
    for level in report.levels:
        name = f"validation/{level.task}/{level.level}"
        assert name not in metrics, f"task {level.task!r} is in two domains: their metrics would have one name"
        metrics[name] = level.mean_score
    return metrics


def _domain_means(levels: Sequence[LevelReport]) -> dict[str, float]:
    families: dict[tuple[str, str], list[float]] = defaultdict(list)
    for level in levels:
        families[level.domain, level.task].append(level.mean_score)
    domains: dict[str, list[float]] = defaultdict(list)
    for (domain, _), means in families.items():
        domains[domain].append(fmean(means))
    return {domain: fmean(means) for domain, means in domains.items()}


def _checked(domain_weights: Mapping[str, float], present: Sequence[str]) -> dict[str, float]:
    """The weights in use: every named domain has problems, no weight is negative, one is positive."""
    name, allowed = "evaluation.domain_weights", ", ".join(present) or "none: there are no validation problems"
    for domain, weight in domain_weights.items():
        if domain not in present:
            raise UserError(f"{name}.{domain} = {weight}: no validation problem is in {domain}; allowed: {allowed}")
        if not 0 <= weight < inf:
            raise UserError(f"{name}.{domain} = {weight}: must be 0 or more; remove it to leave the domain out")
    if not domain_weights:
        return dict.fromkeys(present, 1.0)
    weights = {domain: weight for domain, weight in domain_weights.items() if weight > 0}
    if not weights:
        raise UserError(f"{name}: every weight is 0; give at least one of {allowed} a weight above 0, or remove it")
    return weights
