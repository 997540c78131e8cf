"""The reasoning boundary of a trained model against its base: counts of right samples -> `boundary.json`, and a table.

Draws no samples. Both models answered the same problems with independent sample streams; pass@k is the unbiased
estimator. Problems are in two folds: levels are chosen on `select`, every number comes from `report`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from statistics import fmean
from typing import Any, Literal, get_args

import numpy as np

from prorl.evaluation.passk import pass_at_k

MAX_BASE = 0.05
"""The base does not solve a level whose pass@K is at most this, strictly and tolerantly read."""
MIN_TRAINED = 0.5
"""The trained model solves a level whose pass@1 is at least this."""
MARGIN = 0.1
"""A smaller change is none."""
ROUNDING = 1e-9
"""Means that are equal on paper compare equal."""
RESAMPLES = 2000

Fold = Literal["select", "report"]
LevelKey = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class ProblemCounts:
    """How often one model solved one problem."""

    prompt_id: str
    domain: str
    family: str
    level: int
    fold: Fold
    num_samples: int
    num_correct: int
    num_correct_tolerant: int
    """Right samples when the form of the answer is read tolerantly."""
    num_well_formed: int
    """Samples that the strict reading could parse."""
    num_errors: int = 0
    """Verdicts that a failing verifier did not give; such a sample counts as not solved."""
    suite: str = ""
    trained_on: bool = False
    """Whether problems of this level were in the training data."""


Pair = Mapping[str, Sequence[ProblemCounts]]
"""One level's problems by model: `base` and `trained`."""


def powers_of_two(num_samples: int) -> tuple[int, ...]:
    """The k of pass@k that `num_samples` samples give: 1, 2, 4, ..."""
    return tuple(2**exponent for exponent in range(num_samples.bit_length()))


def boundary(
    base: Sequence[ProblemCounts],
    trained: Sequence[ProblemCounts],
    between: Mapping[str, Sequence[ProblemCounts]] | None = None,
    *,
    ks: Sequence[int],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The object of `boundary.json`. `settings` says how the samples were drawn and is passed on as it is.

    `between`: checkpoints on the way from base to trained, by step; they have no part in verdicts and intervals.
    """
    assert 1 in ks, f"ks {ks}: pass@1 is needed"
    groups = {"base": _by_level(base), "trained": _by_level(trained)}
    assert groups["base"].keys() == groups["trained"].keys(), "both models answer the same levels"
    checkpoints = {step: _by_level(counts) for step, counts in (between or {}).items()}
    levels, selected, report_only = [], [], []
    for key in sorted(groups["base"]):
        folds: dict[Fold, Pair] = {fold: _fold(key, groups, fold) for fold in get_args(Fold)}
        chosen = {fold: _is_expanded(_measure(pair, ks), max(ks)) for fold, pair in folds.items()}
        name = f"{key[1]}/{key[2]}"
        if chosen["select"]:
            selected.append(name)
        elif chosen["report"]:
            report_only.append(name)
        levels.append(_level(key, folds["report"], ks, all(chosen.values())))
        reported = {
            step: [problem for problem in of_level[key] if problem.fold == "report"]
            for step, of_level in checkpoints.items()
        }
        levels[-1]["checkpoints"] = _measure(reported, ks)
    expanded = [_name(level) for level in levels if level["verdict"] == "expanded"]
    summary = {
        "expanded_levels": expanded,
        "expanded_families": sorted({level["family"] for level in levels if level["verdict"] == "expanded"}),
        "selected_not_confirmed": [name for name in selected if name not in expanded],
        "confirmed_not_selected": report_only,
        "gained_levels": [_name(level) for level in levels if _change(level, max(ks)) > MARGIN + ROUNDING],
        "lost_levels": [_name(level) for level in levels if level["verdict"] == "lost"],
        "mean": {role: _mean_of([level[role] for level in levels]) for role in groups},
        "k": max(ks),
        "checkpoints": [int(step) for step in checkpoints],
        "settings": dict(settings),
        "rules": _rules(max(ks)),
    }
    return {"summary": summary, "levels": levels}


def headline(result: Mapping[str, Any]) -> str:
    """One line: what was gained and what was lost."""
    summary = result["summary"]
    families = len(summary["expanded_families"])
    return (
        f"{len(summary['expanded_levels'])} of {len(result['levels'])} levels expanded, "
        f"in {families} famil{'y' if families == 1 else 'ies'}; pass@{summary['k']} rose on "
        f"{len(summary['gained_levels'])} levels, fell on {len(summary['lost_levels'])}"
    )


def _rules(k: int) -> dict[str, str]:
    base = f"base pass@{k} <= {MAX_BASE} in the strict and in the tolerant reading"
    return {
        "expanded": f"{base}, and trained pass@1 >= {MIN_TRAINED}: on the select fold and again on the report fold; "
        "levels that hold on one fold only are in selected_not_confirmed and confirmed_not_selected",
        "lost": f"trained pass@{k} < base pass@{k} - {MARGIN}",
        "gained": f"trained pass@{k} > base pass@{k} + {MARGIN}; the expanded ones are in gained_levels too",
        "unsolved": f"both pass@{k} <= {MAX_BASE}",
        "sharpened": f"trained pass@1 > base pass@1 + {MARGIN}, and pass@{k} neither gained nor lost",
        "unchanged": "none of these; the verdict is the first that holds: expanded, lost, gained, unsolved, sharpened",
        "folds": "every number is from the report fold; levels are chosen on the select fold, which has other problems",
        "mean": "mean over levels, each of equal weight",
        "interval": f"95 % percentile bootstrap over problems, {RESAMPLES} resamples with a fixed seed; it is narrow "
        "where every problem of a level agrees",
        "tolerant": "an answer that the strict reading cannot parse is searched for a right one, for both models alike",
    }


def _name(level: Mapping[str, Any]) -> str:
    return f"{level['family']}/{level['level']}"


def _by_level(counts: Sequence[ProblemCounts]) -> dict[LevelKey, list[ProblemCounts]]:
    levels: dict[LevelKey, list[ProblemCounts]] = defaultdict(list)
    for problem in counts:
        right = max(problem.num_correct, problem.num_correct_tolerant, problem.num_well_formed)
        assert right <= problem.num_samples, f"{problem.prompt_id}: more right than drawn"
        levels[problem.domain, problem.family, problem.level].append(problem)
    return {key: sorted(problems, key=lambda p: p.prompt_id) for key, problems in levels.items()}


def _readings(ks: Sequence[int]) -> dict[str, Callable[[ProblemCounts], float]]:
    """Name of a number -> how one problem gives it."""
    strict = {f"pass@{k}": lambda p, k=k: pass_at_k(p.num_samples, p.num_correct, k) for k in ks}
    tolerant = {f"tolerant/pass@{k}": lambda p, k=k: pass_at_k(p.num_samples, p.num_correct_tolerant, k) for k in ks}
    return {**strict, **tolerant, "well_formed": lambda p: p.num_well_formed / p.num_samples}


def _fold(key: LevelKey, groups: Mapping[str, Mapping[LevelKey, Sequence[ProblemCounts]]], fold: Fold) -> Pair:
    """The problems of one level and fold, the same ones in the same order for both models."""
    pair = {role: [problem for problem in groups[role][key] if problem.fold == fold] for role in groups}
    ids = {role: [problem.prompt_id for problem in problems] for role, problems in pair.items()}
    assert ids["base"], f"{key}: no problems in fold {fold}"
    assert ids["base"] == ids["trained"], f"{key}, fold {fold}: both models answer the same problems"
    assert len(set(ids["base"])) == len(ids["base"]), f"{key}, fold {fold}: a problem is counted twice"
    return pair


def _measure(pair: Pair, ks: Sequence[int]) -> dict[str, dict[str, float]]:
    """Means over the problems, by model."""
    return {
        role: {name: fmean(reading(problem) for problem in problems) for name, reading in _readings(ks).items()}
        for role, problems in pair.items()
    }


def _is_expanded(measured: Mapping[str, Mapping[str, float]], k: int) -> bool:
    base = max(measured["base"][f"pass@{k}"], measured["base"][f"tolerant/pass@{k}"])
    return base <= MAX_BASE + ROUNDING and measured["trained"]["pass@1"] >= MIN_TRAINED - ROUNDING


def _change(level: Mapping[str, Any], k: int) -> float:
    return level["trained"][f"pass@{k}"] - level["base"][f"pass@{k}"]


def _verdict(level: Mapping[str, Any], k: int, expanded: bool) -> str:
    base, trained, change = level["base"], level["trained"], _change(level, k)
    rules = {
        "expanded": expanded,
        "lost": change < -MARGIN - ROUNDING,
        "gained": change > MARGIN + ROUNDING,
        "unsolved": max(base[f"pass@{k}"], trained[f"pass@{k}"]) <= MAX_BASE + ROUNDING,
        "sharpened": trained["pass@1"] > base["pass@1"] + MARGIN + ROUNDING,
        "unchanged": True,
    }
    return next(verdict for verdict, holds in rules.items() if holds)


def _level(key: LevelKey, pair: Pair, ks: Sequence[int], expanded: bool) -> dict[str, Any]:
    """One entry of `levels`, from the problems of the report fold."""
    domain, family, level = key
    first = pair["base"][0]
    entry: dict[str, Any] = {
        "domain": domain,
        "family": family,
        "level": level,
        "task": family,
        "num_problems": len(pair["base"]),
        "num_samples": min(problem.num_samples for problems in pair.values() for problem in problems),
        "suite": first.suite,
        "trained_on": first.trained_on,
        **_measure(pair, ks),
        "interval": _intervals(key, pair, sorted({1, max(ks)})),
    }
    entry["verdict"] = _verdict(entry, max(ks), expanded)
    return entry


def _intervals(key: LevelKey, pair: Pair, ks: Sequence[int]) -> dict[str, dict[str, list[float]]]:
    """95 % of the means over resampled problems, by model; `change` resamples both models' problems together."""
    size = len(pair["base"])
    rng = np.random.default_rng(list(repr(key).encode()))
    draws = rng.integers(size, size=(RESAMPLES, size))
    intervals: dict[str, dict[str, list[float]]] = {"base": {}, "trained": {}, "change": {}}
    for k in ks:
        values = {
            role: np.array([pass_at_k(p.num_samples, p.num_correct, k) for p in problems])
            for role, problems in pair.items()
        }
        values["change"] = values["trained"] - values["base"]
        for role, of_problem in values.items():
            low, high = np.quantile(of_problem[draws].mean(axis=1), [0.025, 0.975])
            intervals[role][f"pass@{k}"] = [float(low), float(high)]
    return intervals


def _mean_of(entries: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: fmean(entry[name] for entry in entries) for name in entries[0]}


BOLD, GREEN, RED = "1", "32", "31"


def table(result: Mapping[str, Any], *, colour: bool = False) -> str:
    """The result for a terminal: expanded levels, lost ones beside gained ones, the rest a line a domain."""
    summary, levels, k = result["summary"], result["levels"], result["summary"]["k"]
    width = max(len(_name(level)) for level in levels)
    by_verdict: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for level in levels:
        by_verdict[level["verdict"]].append(level)
    lines = [_paint("Reasoning boundary", BOLD, colour), headline(result)]
    lines += [f"expanded: base pass@{k} <= {MAX_BASE}, also read tolerantly, and trained pass@1 >= {MIN_TRAINED}"]
    if by_verdict["expanded"]:
        base, trained = f"pass@1 {f'pass@{k}':>9}  tolerant", f"pass@1 {f'pass@{k}':>9}"
        models = f"{'EXPANDED':<{width}}  {'base':<{len(base)}}     trained"
        lines += ["", _paint(models, GREEN, colour), f"{'':<{width}}  {base}     {trained}  trained on"]
        lines += [_expanded_row(level, k, width) for level in by_verdict["expanded"]]
    if summary["selected_not_confirmed"]:
        lines += ["Chosen, but not confirmed on other problems: " + ", ".join(summary["selected_not_confirmed"])]
    lost, gained = ([_change_cell(level, k, width) for level in by_verdict[side]] for side in ("lost", "gained"))
    if lost or gained:
        lines += ["", *_side_by_side(lost, gained, k, colour), "(in brackets: 95 % interval of the change)"]
    others = [level for verdict in ("unsolved", "sharpened", "unchanged") for level in by_verdict[verdict]]
    if others:
        lines += ["", _paint("OTHER LEVELS", BOLD, colour)]
        lines += [_domain_line(domain, others, k) for domain in sorted({level["domain"] for level in others})]
    return "\n".join(lines) + "\n"


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _expanded_row(level: Mapping[str, Any], k: int, width: int) -> str:
    base, trained = level["base"], level["trained"]
    before = f"{base['pass@1']:6.3f} {base[f'pass@{k}']:9.3f} {base[f'tolerant/pass@{k}']:9.3f}"
    after = f"{trained['pass@1']:6.3f} {trained[f'pass@{k}']:9.3f}"
    return f"{_name(level):<{width}}  {before}  -> {after}  {'yes' if level['trained_on'] else 'no'}"


def _side_by_side(lost: Sequence[str], gained: Sequence[str], k: int, colour: bool) -> list[str]:
    heads = f"LOST pass@{k} ({len(lost)})", f"GAINED pass@{k}, not expanded ({len(gained)})"
    column = max(len(cell) for cell in (heads[0], *lost)) + 3
    lines = [_paint(f"{heads[0]:<{column}}", RED, colour) + _paint(heads[1], GREEN, colour)]
    return lines + [f"{left:<{column}}{right}".rstrip() for left, right in zip_longest(lost, gained, fillvalue="")]


def _change_cell(level: Mapping[str, Any], k: int, width: int) -> str:
    low, high = level["interval"]["change"][f"pass@{k}"]
    values = f"{level['base'][f'pass@{k}']:.2f} -> {level['trained'][f'pass@{k}']:.2f}"
    return f"{_name(level):<{width}}  {values}  ({low:+.2f} to {high:+.2f})"


def _domain_line(domain: str, others: Sequence[Mapping[str, Any]], k: int) -> str:
    levels = [level for level in others if level["domain"] == domain]
    verdicts = Counter(level["verdict"] for level in levels)
    kinds = ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items()))
    means = [
        f"pass@{j} {fmean(x['base'][f'pass@{j}'] for x in levels):.2f} -> "
        f"{fmean(x['trained'][f'pass@{j}'] for x in levels):.2f}"
        for j in sorted({1, k})
    ]
    return f"{domain:<12} {kinds}; {', '.join(means)}"
