"""Stage 7, the analysis: counts of right samples by problem and model -> the object of `boundary.json`, version 2.

Draws no samples and judges none. All models answered the same problems with independent sample streams; pass@k is the
unbiased estimate per problem, and every number of a level is the mean over its problems. A group of levels is the mean
over its levels, each of equal weight.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

from prorl.evaluation import entries, verdicts
from prorl.evaluation.budget import Budget
from prorl.evaluation.entries import Role
from prorl.evaluation.estimators import chance_at_k
from prorl.evaluation.intervals import correlation_interval
from prorl.evaluation.regimes import RULES as REGIME_RULES
from prorl.evaluation.testing import ASSUMPTIONS, shuffled_test
from prorl.evaluation.verdicts import ALPHA, MARGIN, VERDICTS, Judgement, LevelEvidence

VERSION = 2
LevelKey = tuple[str, str, int]
"""Domain, family and level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemCounts:
    """How often one model solved one problem."""

    prompt_id: str
    domain: str
    family: str
    level: int
    num_samples: int
    num_correct: int
    """Right samples in the strict reading."""
    num_correct_tolerant: int
    """Samples that are right in at least one reading."""
    num_errors: int = 0
    """Verdicts that a failing verifier did not give; such a sample counts as not solved."""
    suite: str = ""
    trained_on: bool = False
    """Whether problems of this level were in the training data."""
    chance: float = 0.0
    """Stated probability that a guess is right."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Other numbers of the problem, to be averaged: `well_formed`, `truncated`, `mean_score`, `majority@8`, ..."""

    @property
    def key(self) -> LevelKey:
        return self.domain, self.family, self.level


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """How counts are made into numbers and verdicts."""

    budget: Budget
    ks: tuple[int, ...]
    alpha: float = ALPHA
    margin: float = MARGIN
    guessed: Mapping[LevelKey, float] = field(default_factory=dict)
    """Measured rate at which answers to other problems of the level are right; empty where it was not measured."""
    shuffled: Mapping[LevelKey, tuple[int, int]] = field(default_factory=dict)
    """Of the trained model's answers to other problems of the level, how many are right, and of how many."""


def powers_of_two(num_samples: int) -> tuple[int, ...]:
    """The k of pass@k that `num_samples` samples give: 1, 2, 4, ..."""
    return tuple(2**exponent for exponent in range(num_samples.bit_length()))


def boundary(
    counts: Mapping[str, Sequence[ProblemCounts]], analysis: Analysis, *, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The object of `boundary.json`. `counts` by role: `base`, steps of checkpoints on the way, `trained`.

    The same problems in every role, in any order. `settings` says how the samples were drawn and is passed on.
    """
    assert 1 in analysis.ks, f"ks {analysis.ks}: pass@1 is needed"
    first, roles = _roles(counts, analysis)
    keys = sorted({problem.key for problem in first})
    places: dict[LevelKey, list[int]] = defaultdict(list)
    for place, problem in enumerate(first):
        places[problem.key].append(place)
    strata = np.array([keys.index(key) for key in (problem.key for problem in first)])
    levels = [_level(key, np.array(places[key]), first, roles, analysis) for key in keys]
    _judge(levels, roles, [np.array(places[key]) for key in keys], analysis)
    groups = []
    for scope, domain, family in _scopes(keys):
        inside = np.array([place for key in keys if _is_in(key, domain, family) for place in places[key]])
        parts = {role: numbers.at(inside) for role, numbers in roles.items()}
        groups.append(_group((scope, domain, family), parts, strata[inside], analysis))
    return {
        "version": VERSION,
        "summary": _summary(levels, groups, roles, analysis, settings),
        "groups": groups,
        "levels": levels,
        "problems": _problems(first, roles),
    }


def _roles(
    counts: Mapping[str, Sequence[ProblemCounts]], analysis: Analysis
) -> tuple[Sequence[ProblemCounts], dict[str, Role]]:
    """The problems in one order, and every role's numbers in it."""
    ordered = {
        role: sorted(of_role, key=lambda problem: (*problem.key, problem.prompt_id)) for role, of_role in counts.items()
    }
    first = ordered["base"] if "base" in ordered else next(iter(ordered.values()))
    ids = [(problem.key, problem.prompt_id) for problem in first]
    assert ids, "no problem"
    assert len(set(ids)) == len(ids), "a problem is counted twice"
    for role, of_role in ordered.items():
        assert [(problem.key, problem.prompt_id) for problem in of_role] == ids, f"{role}: answers other problems"
    return first, {role: _role(of_role, analysis) for role, of_role in ordered.items()}


def _role(problems: Sequence[ProblemCounts], analysis: Analysis) -> Role:
    counted = [(problem.num_samples, problem.num_correct, problem.num_correct_tolerant) for problem in problems]
    samples, correct, tolerant = np.array(counted).T
    assert (correct <= tolerant).all(), "more right strictly than tolerantly"
    assert (tolerant <= samples).all(), "more right than drawn"
    table = analysis.budget.pass_at_k_table
    names = set.intersection(*(set(problem.values) for problem in problems))
    return Role(
        num_samples=samples,
        num_correct=correct,
        num_tolerant=tolerant,
        strict=table(samples, correct, analysis.ks),
        tolerant=table(samples, correct, analysis.ks, tolerant - correct),
        values={name: np.array([problem.values[name] for problem in problems]) for name in sorted(names)},
        is_fixed=not analysis.budget.stop_after,
    )


def _level(
    key: LevelKey, places: np.ndarray, first: Sequence[ProblemCounts], roles: Mapping[str, Role], analysis: Analysis
) -> dict[str, Any]:
    domain, family, level = key
    problem = first[places[0]]
    chance = max(fmean(first[place].chance for place in places), analysis.guessed.get(key, 0.0))
    parts = {role: numbers.at(places) for role, numbers in roles.items()}
    entry: dict[str, Any] = {
        "domain": domain,
        "family": family,
        "level": level,
        "task": family,
        "name": f"{family}/{level}",
        "num_problems": len(places),
        "num_samples": int(min(part.num_samples.min() for part in parts.values())),
        "suite": problem.suite,
        "trained_on": problem.trained_on,
        "chance": chance,
        "k": verdicts.judged_k(analysis.ks, chance),
    }
    return entry | entries.numbers(repr(key), parts, np.zeros(len(places), int), analysis.ks, chance, analysis.alpha)


def _judge(
    levels: Sequence[dict[str, Any]], roles: Mapping[str, Role], places: Sequence[np.ndarray], analysis: Analysis
) -> None:
    """Put verdicts into the levels, where there are two models."""
    if not {"base", "trained"} <= roles.keys():
        return
    evidence = []
    for level, of_level in zip(levels, places, strict=True):
        base, trained = roles["base"].at(of_level), roles["trained"].at(of_level)
        rng = entries.generator(level["name"], "test")
        other = analysis.shuffled.get((level["domain"], level["family"], level["level"]))
        own = int(trained.num_correct.sum()), int(trained.num_samples.sum())
        p_shuffled = shuffled_test(own, other) if other else 0.0
        changes = {
            k: entries.change(level, base, trained, analysis.ks, k, rng, (chance_at_k(level["chance"], k), p_shuffled))
            for k in sorted({1, level["k"]})
        }
        evidence.append(LevelEvidence(changes[1], changes[level["k"]]))
    judged = verdicts.judge_levels(evidence, alpha=analysis.alpha, margin=analysis.margin)
    for level, seen, judgement in zip(levels, evidence, judged, strict=True):
        level |= _judgement(level, seen, judgement, max(analysis.ks))


def _judgement(level: Mapping[str, Any], evidence: LevelEvidence, judgement: Judgement, largest: int) -> dict[str, Any]:
    tests = {
        f"pass@{level['k']}": {"p": max(evidence.at_k.p_values), "q": judgement.q_k},
        "pass@1": {"p": max(evidence.at_1.p_values), "q": judgement.q_1},
    }
    if level["k"] == 1:
        tests = {"pass@1": {"p": max(evidence.at_k.p_values), "q": judgement.q_k}}
    opened = verdicts.is_opened(judgement.verdict, level["base"], level["trained"], largest, level["chance"])
    return {"test": tests, "verdict": judgement.verdict, "reason": judgement.reason, "opened": opened}


def _scopes(keys: Sequence[LevelKey]) -> list[tuple[str, str, str]]:
    """All, every domain, every family: (scope, domain, family)."""
    domains = sorted({domain for domain, _, _ in keys})
    families = sorted({(domain, family) for domain, family, _ in keys})
    return [
        ("all", "", ""),
        *(("domain", domain, "") for domain in domains),
        *(("family", domain, family) for domain, family in families),
    ]


def _is_in(key: LevelKey, domain: str, family: str) -> bool:
    return domain in ("", key[0]) and family in ("", key[1])


def _group(
    place: tuple[str, str, str], parts: Mapping[str, Role], strata: np.ndarray, analysis: Analysis
) -> dict[str, Any]:
    """An entry of `groups`; `strata`: the level of each problem."""
    scope, domain, family = place
    entry = {
        "scope": scope,
        "domain": domain,
        "family": family,
        "name": family or domain or "all",
        "num_levels": len(np.unique(strata)),
        "num_problems": len(strata),
        "num_samples": int(min(part.num_samples.min() for part in parts.values())),
        "k": max(analysis.ks),
    }
    entry |= entries.numbers(repr(place), parts, strata, analysis.ks, 0.0, analysis.alpha)
    if len(parts) > 2 and {"base", "trained"} <= parts.keys():
        entry["regime"] = entries.regime_of(parts, strata, analysis.alpha)
    return entry


def _summary(
    levels: Sequence[Mapping[str, Any]],
    groups: Sequence[Mapping[str, Any]],
    roles: Mapping[str, Role],
    analysis: Analysis,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    k = max(analysis.ks)
    summary: dict[str, Any] = {
        "k": k,
        "ks": list(analysis.ks),
        "roles": list(roles),
        "checkpoints": [int(role) for role in roles if role.isdigit()],
        "num_levels": len(levels),
        "num_problems": groups[0]["num_problems"],
        "mean": {role: groups[0][role] for role in roles if role in groups[0]},
        "settings": {**settings, "alpha": analysis.alpha, "margin": analysis.margin},
    }
    if not {"base", "trained"} <= roles.keys():
        return summary
    opened = [level for level in levels if level["opened"]]
    regimes = {f"regime {name}": text for name, text in REGIME_RULES.items()} if len(roles) > 2 else {}
    of_verdict = {verdict: [x["name"] for x in levels if x["verdict"] == verdict] for verdict in VERDICTS}
    summary |= {
        "expanded_levels": [level["name"] for level in opened],
        "expanded_families": sorted({level["family"] for level in opened}),
        "verdicts": of_verdict,
        "generalisation": _generalisation(levels),
        "duration": _duration(groups[0], roles, k),
        "rules": {**verdicts.rules(analysis.alpha, analysis.margin), **_rules(), **regimes},
        "assumptions": dict(ASSUMPTIONS),
    }
    correlation = _correlation(levels, k, analysis.alpha)
    return summary | ({"correlation": correlation} if correlation else {})


def _correlation(levels: Sequence[Mapping[str, Any]], k: int, alpha: float) -> dict[str, Any]:
    """Gain in pass@k against the base's pass@k, over the levels; nothing where one of them is constant."""
    base = np.array([level["base"][f"pass@{k}"] for level in levels])
    gain = np.array([level["trained"][f"pass@{k}"] for level in levels]) - base
    found: dict[str, Any] = {"num_levels": len(levels), "interval": {}}
    for kind in ("pearson", "spearman"):
        rng = entries.generator("correlation", kind)
        measured = correlation_interval(base, gain, kind, rng=rng, alpha=alpha) if len(levels) > 2 else None
        if measured is not None:
            found[kind], *bounds = measured
            found["interval"][kind] = bounds
    return found if found["interval"] else {}


def _generalisation(levels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the levels that were trained on and over the others."""
    found = {}
    names = [name for name in levels[0]["base"] if name.startswith(("pass@", "tolerant/"))]
    for name, wanted in (("trained_on", True), ("not_trained_on", False)):
        chosen = [level for level in levels if level["trained_on"] is wanted]
        if chosen:
            found[name] = {
                "num_levels": len(chosen),
                **{role: {key: fmean(x[role][key] for x in chosen) for key in names} for role in ("base", "trained")},
            }
    return found


def _duration(everything: Mapping[str, Any], roles: Mapping[str, Role], k: int) -> list[dict[str, Any]]:
    """pass@1 and pass@k of all along the training, with intervals; the end has no step of its own here."""
    names = ("pass@1", f"pass@{k}")
    rows = []
    for role in roles:
        numbers = everything["checkpoints"][role] if role.isdigit() else everything[role]
        row = {"role": role, **{name: numbers[name] for name in names}}
        row["interval"] = {name: everything["interval"][role][name] for name in names}
        if role != "trained":
            row["step"] = int(role) if role.isdigit() else 0
        rows.append(row)
    return rows


def _rules() -> dict[str, str]:
    return {
        "tolerant": "what the strict reading refuses is read without regard to its form, for both models alike",
        "interval": "of a level: Gaffke's interval for a bounded mean, over its problems; of a group: stratified "
        "bootstrap over the problems of its levels",
        "sample_interval": "the same problems, other samples: jackknife over the samples of each problem; for k "
        "below the number of samples",
        "mean": "mean over levels, each of equal weight",
        "corrected": "(pass@k - g) / (1 - g), where g is the pass@k of guessing",
        "solved": "at least one right sample; the expected counts are those of two models of equal ability with the "
        "same total of right samples of each problem",
    }


def _problems(first: Sequence[ProblemCounts], roles: Mapping[str, Role]) -> list[dict[str, Any]]:
    return [
        {
            "id": problem.prompt_id,
            "domain": problem.domain,
            "family": problem.family,
            "level": problem.level,
            **{
                role: {
                    "n": int(numbers.num_samples[place]),
                    "c": int(numbers.num_correct[place]),
                    "tolerant": int(numbers.num_tolerant[place]),
                }
                for role, numbers in roles.items()
            },
        }
        for place, problem in enumerate(first)
    ]
