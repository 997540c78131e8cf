"""A measured boundary as `boundary.json` holds it, version 2, made up from counts: 3 domains, 12 families, 93 levels.

Counts of right samples are drawn from rates that differ by problem; every share follows from the counts.
"""

import math
import random
from collections.abc import Mapping, Sequence
from statistics import fmean, pvariance
from typing import Any

from prorl.evaluation.passk import pass_at_k

SAMPLES = 128
KS = (1, 2, 4, 8, 16, 32, 64, 128)
ROLES = ("base", "500", "1000", "trained")
CHECKPOINTS = ("500", "1000")
FAMILIES = {
    "sort": ("logic", 10, "open"),
    "chain": ("logic", 10, "open"),
    "color": ("logic", 6, "plateau"),
    "halting": ("logic", 5, "guess"),
    "prog": ("code", 8, "open"),
    "merge": ("code", 10, "plateau"),
    "rpn": ("code", 8, "hard"),
    "trace": ("code", 6, "narrow"),
    "add": ("math", 10, "narrow"),
    "mul": ("math", 8, "narrow"),
    "run": ("math", 6, "plateau"),
    "gcd": ("math", 6, "hard"),
}
"""Domain, number of levels, and how training changes it."""
REACH = {"base": 0.0, "500": 0.5, "1000": 0.8, "trained": 1.0}
Problem = dict[str, Any]
Entry = dict[str, Any]


def boundary_result(problems_per_level: int = 10, seed: int = 0) -> dict[str, Any]:
    """The whole object, with checkpoints, an audit, novelty, and another sampling setting."""
    draw = random.Random(seed)
    problems = [
        _problem(draw, family, level, number)
        for family, (_, num_levels, _) in FAMILIES.items()
        for level in range(1, num_levels + 1)
        for number in range(problems_per_level)
    ]
    levels = [_level(family, level, problems) for family in FAMILIES for level in range(1, FAMILIES[family][1] + 1)]
    groups = [_group("all", "all", problems, levels)]
    for domain in sorted({domain for domain, _, _ in FAMILIES.values()}):
        groups.append(_group("domain", domain, problems, levels))
    groups += [_group("family", family, problems, levels) for family in sorted(FAMILIES)]
    summary = _summary(levels, groups, problems_per_level)
    return {
        "version": 2,
        "asked": {"step": 1500, "suite": "mini"},
        "summary": summary,
        "groups": groups,
        "levels": levels,
        "problems": [_written(problem) for problem in problems],
        "audit": _audit(draw),
        "novelty": _novelty(),
        "other_settings": [
            {
                "name": "paper",
                "settings": {"samples": SAMPLES, "temperature": 0.6, "top_p": 0.95, "problems_per_level": 10},
                "groups": groups[:1],
                "levels": levels[:4],
            }
        ],
    }


def _rate(kind: str, level: int, num_levels: int, reach: float, luck: float) -> float:
    """Chance that one sample is right; `luck`, of mean 0, is the problem's own."""
    place = level / num_levels
    frontier = {"open": 0.35 + 0.5 * reach, "plateau": 0.6 + 0.35 * min(reach, 0.5), "hard": 0.2 + 0.05 * reach}
    slope = 30.0
    if kind == "guess":
        return 1 / (1 + math.exp(-(0.1 + 0.5 * reach * (1 - place) + 0.3 * luck)))
    if kind == "narrow":
        # Sharpened: what is likely becomes sure and what is rare gets lost.
        start = -0.5 - 3.0 * place + 2.2 * luck
        return 1 / (1 + math.exp(-(start + 2.4 * reach * (start + 3.0))))
    return 1 / (1 + math.exp(slope * (place - frontier[kind] - 0.08 * luck)))


def _problem(draw: random.Random, family: str, level: int, number: int) -> Problem:
    domain, num_levels, kind = FAMILIES[family]
    luck = draw.gauss(0, 1)
    found: Problem = {"id": f"{family}/{level}/{number}", "domain": domain, "family": family, "level": level}
    for role in ROLES:
        rate = _rate(kind, level, num_levels, REACH[role], luck)
        strict = sum(draw.random() < rate for _ in range(SAMPLES))
        lenient = 0.02 if role == "base" else 0.002
        found[role] = {"n": SAMPLES, "c": strict}
        found[role]["tolerant"] = min(SAMPLES, strict + sum(draw.random() < lenient * rate for _ in range(SAMPLES)))
    return found


def _written(problem: Problem) -> Problem:
    return {name: problem[name] for name in ("id", "domain", "family", "level", *ROLES)}


def _measured(problems: Sequence[Problem], role: str, chance: float) -> tuple[Entry, Entry]:
    """Shares of a role, and their intervals over problems by the normal approximation."""
    shares: Entry = {}
    intervals: Entry = {}
    for reading, name in (("c", ""), ("tolerant", "tolerant/")):
        for k in KS:
            values = [pass_at_k(SAMPLES, problem[role][reading], k) for problem in problems]
            mean = fmean(values)
            spread = 1.96 * math.sqrt(pvariance(values) / len(values))
            shares[f"{name}pass@{k}"] = mean
            intervals[f"{name}pass@{k}"] = [max(mean - spread, 0.0), min(mean + spread, 1.0)]
            if chance and not name:
                shares[f"corrected/pass@{k}"] = (mean - chance) / (1 - chance)
    distinct = {"base": 41.0, "500": 22.0, "1000": 15.0, "trained": 9.5}[role]
    shares |= {"mean_score": shares["pass@1"], "well_formed": 0.94 if role == "base" else 0.999, "truncated": 0.01}
    shares |= {"distinct_texts": distinct / SAMPLES, "answer_entropy": math.log2(distinct), "mean_tokens": 21.5}
    return shares, intervals


def _entry(problems: Sequence[Problem], chance: float) -> Entry:
    found: Entry = {"num_problems": len(problems), "num_samples": SAMPLES, "k": 1 if chance else 128, "suite": "mini"}
    if chance:
        found |= {"chance": chance, "k": 4}
    measured = {role: _measured(problems, role, chance) for role in ROLES}
    found |= {"base": measured["base"][0], "trained": measured["trained"][0]}
    found["checkpoints"] = {role: measured[role][0] for role in CHECKPOINTS}
    found["interval"] = {role: intervals for role, (_, intervals) in measured.items()}
    found["interval"]["change"] = change = {}
    for name in ("pass@1", "pass@4", "pass@128", "tolerant/pass@1", "tolerant/pass@128"):
        before, after = (found["interval"][role][name] for role in ("base", "trained"))
        middle = found["trained"][name] - found["base"][name]
        half = math.hypot(before[1] - before[0], after[1] - after[0]) / 2
        change[name] = [middle - half, middle + half]
    narrow = [[(3 * low + high) / 4, (low + 3 * high) / 4] for low, high in change.values()]
    found["sample_interval"] = {"change": dict(zip(change, narrow, strict=True))}
    found["crossing"] = _crossing(found)
    if found["crossing"] is None:
        del found["crossing"]
    found["solved"] = _solved(problems)
    found["distribution"] = {role: _distribution(problems, role) for role in ("base", "trained")}
    return found


def _crossing(entry: Entry) -> Entry | None:
    gaps = [entry["trained"][f"pass@{k}"] - entry["base"][f"pass@{k}"] for k in KS]
    for index in range(1, len(KS)):
        if gaps[index - 1] > 0 > gaps[index]:
            share = gaps[index - 1] / (gaps[index - 1] - gaps[index])
            return {"k": 2 ** (math.log2(KS[index - 1]) + share), "direction": "base overtakes"}
    return None


def _solved(problems: Sequence[Problem]) -> Entry:
    pairs = [(problem["base"]["c"] > 0, problem["trained"]["c"] > 0) for problem in problems]
    both, trained, base = pairs.count((True, True)), pairs.count((False, True)), pairs.count((True, False))
    found: Entry = {"both": both, "trained_only": trained, "base_only": base, "neither": pairs.count((False, False))}
    pooled = [(problem["base"]["c"] + problem["trained"]["c"]) / (2 * SAMPLES) for problem in problems]
    expected = sum((1 - rate) ** SAMPLES * (1 - (1 - rate) ** SAMPLES) for rate in pooled)
    found |= {"expected_trained_only": expected, "expected_base_only": expected, "p": 0.5}
    if both + base:
        found["retention"] = both / (both + base)
    if trained + found["neither"]:
        found["discovery"] = trained / (trained + found["neither"])
    if trained > expected + 2 * math.sqrt(expected + 1):
        found["p"] = 0.001
    return found


def _distribution(problems: Sequence[Problem], role: str) -> Entry:
    rates = [problem[role]["c"] / SAMPLES for problem in problems]
    mean, variance = fmean(rates), pvariance(rates)
    histogram = [0] * 10
    for rate in rates:
        histogram[min(int(10 * rate), 9)] += 1
    bound = {f"pass@{k}": 1 - ((1 - mean) ** 2 + variance) ** (k / 2) for k in (1, 128)}
    return {"mean": mean, "variance": variance, "histogram": histogram, "bound": bound}


def _level(family: str, level: int, problems: Sequence[Problem]) -> Entry:
    domain, _, kind = FAMILIES[family]
    own = [problem for problem in problems if problem["family"] == family and problem["level"] == level]
    entry = _entry(own, 0.5 if kind == "guess" else 0.0)
    name = f"{family}/{level}"
    entry |= {"name": name, "domain": domain, "family": family, "task": family, "level": level}
    entry["trained_on"] = level <= 0.7 * FAMILIES[family][1]
    entry["opened"] = False
    entry |= _verdict(entry)
    entry["test"] = {at: {"p": 0.01, "q": 0.03} for at in ("pass@1", "pass@128")}
    return entry


def _verdict(entry: Entry) -> Entry:
    top = f"pass@{entry['k']}"
    base, trained, change = entry["base"], entry["trained"], entry["interval"]["change"]
    gain, single = trained[top] - base[top], trained["pass@1"] - base["pass@1"]
    if change[top][0] > 0 and gain >= 0.2:
        opened = base[top] <= 0.05 and base[f"tolerant/{top}"] <= 0.05 and trained["pass@1"] >= 0.5
        reason = f"{top} {base[top]:.2f} to {trained[top]:.2f}, whole interval above 0"
        return {"verdict": "expanded", "opened": opened, "reason": reason}
    if change[top][1] < 0:
        return {"verdict": "diminished", "reason": f"{top} fell by {-gain:.2f}, whole interval below 0"}
    if base[top] <= 0.05 and trained[top] <= 0.05:
        return {"verdict": "unsolved", "reason": f"neither model solves more than 0.05 at {top}"}
    if single >= 0.2 and abs(gain) < 0.2:
        return {"verdict": "sharpened", "reason": f"pass@1 rose by {single:.2f}, {top} did not change clearly"}
    if abs(single) < 0.05 and abs(gain) < 0.05:
        return {"verdict": "unchanged", "reason": "neither pass@1 nor pass@k changed by more than 0.05"}
    return {"verdict": "unclear", "reason": "the intervals hold both a change and none"}


def _group(scope: str, name: str, problems: Sequence[Problem], levels: Sequence[Entry]) -> Entry:
    field = {"domain": "domain", "family": "family"}.get(scope)
    own = [problem for problem in problems if field is None or problem[field] == name]
    guess = scope == "family" and FAMILIES[name][2] == "guess"
    entry = {"scope": scope, "name": name, **_entry(own, 0.5 if guess else 0.0)}
    if scope != "all":
        entry["domain"] = own[0]["domain"]
    if scope == "family":
        entry |= {"family": name, "task": name}
        entry["regime"] = _regime(FAMILIES[name][2])
    entry["num_levels"] = sum(field is None or level[field] == name for level in levels)
    return entry


def _regime(kind: str) -> Entry:
    regimes = {
        "open": ("sustained", "pass@128 still rises after step 1000"),
        "plateau": ("plateau", "pass@128 rose until step 500 and not after it"),
        "narrow": ("diminish", "pass@1 rises, pass@128 falls"),
        "guess": ("unclear", "the intervals hold both a rise and none"),
        "hard": ("none", "no change that the intervals tell from 0"),
    }
    verdict, reason = regimes[kind]
    return {"verdict": verdict, "reason": reason}


def _pearson(xs: Sequence[float], ys: Sequence[float]) -> float:
    mean_x, mean_y = fmean(xs), fmean(ys)
    above = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return above / math.sqrt(sum((x - mean_x) ** 2 for x in xs) * sum((y - mean_y) ** 2 for y in ys))


def _summary(levels: Sequence[Entry], groups: Sequence[Entry], problems_per_level: int) -> Entry:
    verdicts = ("expanded", "sharpened", "diminished", "unchanged", "unsolved", "unclear")
    starts = [level["base"]["pass@128"] for level in levels]
    gains = [level["trained"]["pass@128"] - level["base"]["pass@128"] for level in levels]
    ranks = [[sorted(values).index(value) for value in values] for values in (starts, gains)]
    every = groups[0]
    steps = {"base": 0, "500": 500, "1000": 1000, "trained": 1500}
    places = {"base": every["base"], **every["checkpoints"], "trained": every["trained"]}
    names = ("pass@1", "pass@128")
    settings = {"samples": SAMPLES, "problems_per_level": problems_per_level, "temperature": 1.0, "top_p": 1.0}
    settings |= {"max_response_tokens": 48, "seed": 0, "stop_after": 0, "threshold": 1.0, "margin": 0.2, "alpha": 0.05}
    settings["verifier_errors"] = 0
    settings["models"] = {role: {"path": f"runs/mini/{role}", "hash": role[0] * 64} for role in ("base", "trained")}
    return {
        "k": 128,
        "ks": list(KS),
        "roles": list(ROLES),
        "checkpoints": [int(step) for step in CHECKPOINTS],
        "expanded_levels": [level["name"] for level in levels if level["opened"]],
        "expanded_families": sorted({level["family"] for level in levels if level["opened"]}),
        "verdicts": {
            verdict: [level["name"] for level in levels if level["verdict"] == verdict] for verdict in verdicts
        },
        "mean": {"base": every["base"], "trained": every["trained"]},
        "correlation": {
            "num_levels": len(levels),
            "pearson": (pearson := _pearson(starts, gains)),
            "spearman": (spearman := _pearson(*ranks)),
            "interval": {"pearson": [pearson - 0.1, pearson + 0.1], "spearman": [spearman - 0.1, spearman + 0.1]},
        },
        "duration": [
            {"step": step, "role": role, **{name: places[role][name] for name in names}}
            | {"interval": {name: every["interval"][role][name] for name in names}}
            for role, step in steps.items()
        ],
        "generalisation": {
            name: {
                "num_levels": sum(level["trained_on"] is inside for level in levels),
                **{
                    role: {
                        at: fmean(level[role][at] for level in levels if level["trained_on"] is inside) for at in names
                    }
                    for role in ("base", "trained")
                },
            }
            for name, inside in (("trained_on", True), ("not_trained_on", False))
        },
        "settings": settings,
        "rules": RULES,
    }


RULES: Mapping[str, str] = {
    "expanded": "pass@K rose by at least 0.2 with q <= 0.05, in both readings",
    "sharpened": "pass@1 rose, pass@K did not change clearly",
    "diminished": "pass@K fell with q <= 0.05",
    "unchanged": "neither changed by more than the margin",
    "unsolved": "both models solve at most 0.05 at K",
    "unclear": "none of the others",
    "opened": "expanded, base pass@K <= 0.05 in both readings, trained pass@1 >= 0.5",
    "test": "paired permutation of the roles of each problem, two-sided; q by Benjamini and Hochberg over the levels",
    "interval": "95 %, problems drawn again with replacement",
}


def _audit(draw: random.Random) -> Entry:
    kinds = ("empty", "prompt", "punctuation", "other family", "nonsense", "huge", "unicode", "template")
    families = {}
    for family in FAMILIES:
        junk = dict.fromkeys(kinds, 0)
        if family == "halting":
            junk["nonsense"] = 3
        families[family] = {
            "gold": {"accepted": 20, "of": 20},
            "junk": {"accepted": sum(junk.values()), "of": 160, "kinds": junk},
            "shuffled": {
                role: {"rate": 0.5 if family == "halting" else draw.random() / 50, "of": 320} for role in ROLES
            },
            "agreement": {
                role: {"both": 800, "strict_only": 0, "tolerant_only": draw.randrange(40), "neither": 440}
                for role in ("base", "trained")
            },
        }
    return {"by_family": families}


def _novelty() -> Entry:
    return {
        "corpus": "base samples",
        "min_length": 5,
        "unit": "token",
        "roles": {
            "base": {"index": 3.84, "interval": [3.7, 3.98], "num_texts": 500},
            "500": {"index": 4.42, "interval": [4.2, 4.6], "num_texts": 500},
            "trained": {"index": 4.7, "interval": [4.5, 4.9], "num_texts": 500},
        },
        "coverage": {
            role: {str(length): max(0.0, start - 0.08 * (length - 5)) for length in range(5, 13)}
            for role, start in (("base", 0.9), ("trained", 0.62))
        },
        "base_logprob": {
            "base": {"mean_per_token": -0.31, "interval": [-0.33, -0.29]},
            "trained": {"mean_per_token": -0.82, "interval": [-0.9, -0.75]},
        },
    }
