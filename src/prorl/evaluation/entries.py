"""Stage 7: the numbers of one entry of `boundary.json`, a level or a group of levels, from its problems' values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from prorl.evaluation.estimators import all_at_k, chance_at_k, chance_corrected, crossing, shift_bound
from prorl.evaluation.intervals import (
    mean_interval,
    samples_change_interval,
    samples_interval,
    stratified_interval,
    widened,
)
from prorl.evaluation.regimes import regime
from prorl.evaluation.solved import solved_sets
from prorl.evaluation.testing import guess_test, mcnemar, swap_test
from prorl.evaluation.verdicts import Change
from prorl.seeds import stream_seed

BINS = 10
"""Of the distribution of pass@1 over problems."""

Bounds = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Role:
    """One model's numbers by problem."""

    num_samples: Int[np.ndarray, " P"]
    num_correct: Int[np.ndarray, " P"]
    num_tolerant: Int[np.ndarray, " P"]
    """Right in at least one reading."""
    strict: Float[np.ndarray, "P K"]
    """pass@k of each problem."""
    tolerant: Float[np.ndarray, "P K"]
    values: Mapping[str, Float[np.ndarray, " P"]]
    is_fixed: bool
    """Whether every problem has the same number of samples by rule, not by what came out."""

    def at(self, places: np.ndarray) -> "Role":
        """The same of some of the problems."""
        return Role(
            self.num_samples[places],
            self.num_correct[places],
            self.num_tolerant[places],
            self.strict[places],
            self.tolerant[places],
            {name: values[places] for name, values in self.values.items()},
            self.is_fixed,
        )


def generator(*name: str) -> np.random.Generator:
    """The random numbers of one entry's resampling: always the same ones."""
    return np.random.default_rng(stream_seed("analysis", *name) & (2**63 - 1))


def numbers(
    name: str, roles: Mapping[str, Role], strata: np.ndarray, ks: Sequence[int], chance: float, alpha: float
) -> dict[str, Any]:
    """All numbers and intervals of an entry. `strata`: the level of each problem, in a group of levels."""
    entry: dict[str, Any] = {"sample_interval": {}}
    checkpoints = {}
    for role, part in roles.items():
        measured = _means(part, strata, ks, chance)
        if role.isdigit():
            checkpoints[role] = measured
        else:
            entry[role] = measured
        entry["sample_interval"][role] = _over_samples(part, strata, ks, alpha)
    if checkpoints:
        entry["checkpoints"] = checkpoints
    entry["interval"] = _intervals(roles, strata, ks, alpha, generator(name))
    if {"base", "trained"} <= roles.keys():
        entry["sample_interval"]["change"] = _change_over_samples(roles["base"], roles["trained"], strata, ks, alpha)
        entry |= _compared(entry, roles["base"], roles["trained"], strata, ks)
    return entry


def _intervals(
    roles: Mapping[str, Role], strata: np.ndarray, ks: Sequence[int], alpha: float, rng: np.random.Generator
) -> dict[str, dict[str, list[float]]]:
    """Over problems, by role, and of the change. The same resampled problems for all: a change of -1 to 1 as 0 to 1."""
    columns = {role: np.concatenate([part.strict, part.tolerant], axis=1) for role, part in roles.items()}
    if {"base", "trained"} <= roles.keys():
        columns["change"] = (columns["trained"] - columns["base"] + 1.0) / 2.0
    together = np.concatenate(list(columns.values()), axis=1)
    if len(np.unique(strata)) == 1:
        low, high = mean_interval(together, 0.0, 1.0, alpha=alpha, rng=rng)
    else:
        low, high = _group_bounds(together, strata, alpha, rng)
    found = {}
    for role, of_low, of_high in zip(columns, np.split(low, len(columns)), np.split(high, len(columns)), strict=True):
        scale, shift = (2.0, -1.0) if role == "change" else (1.0, 0.0)
        found[role] = _named((of_low * scale + shift, of_high * scale + shift), ks)
    return found


def _group_bounds(
    values: Float[np.ndarray, "P C"], strata: np.ndarray, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Stratified bootstrap of values in [0, 1], with two repairs for what it cannot see.

    Strata of one problem are collapsed into one, in which the problems count as they did: their own variance is
    unknown, that between them is an upper bound (Wolter 2007, collapsed strata). And the bounds are set further from
    the mean by z / (P + 2), in quadrature, for where all problems agree (Agresti and Min 2005).
    """
    names, sizes = np.unique(strata, return_counts=True)
    alone = np.isin(strata, names[sizes == 1])
    if alone.sum() > 1:
        num_strata = len(names) - alone.sum() + 1
        scale = np.where(alone, alone.sum(), 1) * num_strata / len(names)
        low, high = stratified_interval(
            values * scale[:, None], np.where(alone, strata.max() + 1, strata), alpha=alpha, rng=rng
        )
    else:
        low, high = stratified_interval(values, strata, alpha=alpha, rng=rng)
    mean, room = _mean(values, strata), NormalDist().inv_cdf(1 - alpha / 2) / (len(values) + 2)
    low, high = widened(mean, low, high, room)
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


def _compared(
    entry: Mapping[str, Any], base: Role, trained: Role, strata: np.ndarray, ks: Sequence[int]
) -> dict[str, Any]:
    """What needs two models."""
    largest = max(ks)
    found: dict[str, Any] = {
        "solved": _solved(base, trained, base.num_correct, trained.num_correct),
        "tolerant/solved": _solved(base, trained, base.num_tolerant, trained.num_tolerant),
        "distribution": {
            role: _distribution(part, strata, largest) for role, part in (("base", base), ("trained", trained))
        },
    }
    curves = [np.array([entry[role][f"pass@{k}"] for k in ks]) for role in ("base", "trained")]
    crossed = crossing(ks, *curves)
    if crossed is not None:
        found["crossing"] = {"k": crossed[0], "direction": crossed[1]}
    return found


def change(
    entry: Mapping[str, Any],
    base: Role,
    trained: Role,
    ks: Sequence[int],
    k: int,
    rng: np.random.Generator,
    guessing: tuple[float, float],
) -> Change:
    """The evidence of a level's change at one k. `guessing`: its pass@k, and the p-value of `shuffled_test`."""
    column = list(ks).index(k)
    names = (f"pass@{k}", f"tolerant/pass@{k}")
    differences = ((trained.strict - base.strict)[:, column], (trained.tolerant - base.tolerant)[:, column])
    low, high = (tuple(entry[role][name] for name in names) for role in ("base", "trained"))
    first, second = (tuple(entry["interval"]["change"][name]) for name in names)
    p_strict, p_tolerant = (swap_test(values, rng=rng) for values in differences)
    return Change(
        base=(low[0], low[1]),
        trained=(high[0], high[1]),
        intervals=((first[0], first[1]), (second[0], second[1])),
        p_values=(p_strict, p_tolerant),
        p_guess=max(guess_test(high[0], len(base.strict), guessing[0]), guessing[1]),
    )


def regime_of(roles: Mapping[str, Role], strata: np.ndarray, alpha: float) -> dict[str, str]:
    """The regime of a group, from base, checkpoints in their order, and trained."""
    steps = sorted((role for role in roles if role.isdigit()), key=int)
    order = [roles[role] for role in ("base", *steps, "trained")]
    first, last = (np.stack([part.strict[:, column] for part in order]) for column in (0, -1))
    return asdict(regime(first, last, strata, alpha=alpha, rng=generator("regime")))


def _named(bounds: Bounds, ks: Sequence[int]) -> dict[str, list[float]]:
    names = [f"{reading}pass@{k}" for reading in ("", "tolerant/") for k in ks]
    return {name: [float(low), float(high)] for name, low, high in zip(names, *bounds, strict=True)}


def _over_samples(part: Role, strata: np.ndarray, ks: Sequence[int], alpha: float) -> dict[str, list[float]]:
    """Intervals of the same problems under other samples, where they can be had: a fixed budget and k below it."""
    if not part.is_fixed:
        return {}
    found = {f"pass@{k}": samples_interval(part.num_samples, part.num_correct, k, strata, alpha=alpha) for k in ks}
    return {name: list(bounds) for name, bounds in found.items() if bounds is not None}


def _change_over_samples(
    base: Role, trained: Role, strata: np.ndarray, ks: Sequence[int], alpha: float
) -> dict[str, list[float]]:
    if not base.is_fixed:
        return {}
    pairs = ((base.num_samples, base.num_correct), (trained.num_samples, trained.num_correct))
    found = {f"pass@{k}": samples_change_interval(*pairs, k, strata, alpha=alpha) for k in ks}
    return {name: list(bounds) for name, bounds in found.items() if bounds is not None}


def _mean(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """The mean over strata of their means, of the leading axis; of equal values exactly that value."""
    means: np.ndarray = np.stack([values[strata == stratum].mean(axis=0) for stratum in np.unique(strata)]).mean(axis=0)
    return means


def _means(part: Role, strata: np.ndarray, ks: Sequence[int], chance: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for reading, values in (("", part.strict), ("tolerant/", part.tolerant)):
        found |= {f"{reading}pass@{k}": float(v) for k, v in zip(ks, _mean(values, strata), strict=True)}
    if chance > 0:
        guessable = [k for k in ks if chance_at_k(chance, k) < 0.999]
        found |= {f"corrected/pass@{k}": chance_corrected(found[f"pass@{k}"], chance, k) for k in guessable}
    if part.is_fixed:
        pairs = list(zip(part.num_samples.tolist(), part.num_correct.tolist(), strict=True))
        known = {pair: [all_at_k(*pair, k) for k in ks] for pair in set(pairs)}
        every = _mean(np.array([known[pair] for pair in pairs]), strata)
        found |= {f"all@{k}": float(v) for k, v in zip(ks, every, strict=True)}
    return found | {name: float(_mean(values, strata)) for name, values in part.values.items()}


def _solved(base: Role, trained: Role, base_right: np.ndarray, trained_right: np.ndarray) -> dict[str, Any]:
    """What each model solves. Under an adaptive budget the number of samples follows from what came out, and the counts
    that luck would give are not known."""
    sets = asdict(solved_sets(base.num_samples, base_right, trained.num_samples, trained_right))
    unknown = () if base.is_fixed else ("expected_trained_only", "expected_base_only", "p")
    found = {name: value for name, value in sets.items() if value is not None and name not in unknown}
    return {**found, "mcnemar": mcnemar(found["trained_only"], found["base_only"])}


def _distribution(part: Role, strata: np.ndarray, k: int) -> dict[str, Any]:
    """How pass@1 is spread over the problems, and what its mean and variance allow pass@k to be, for k above 1.

    Mean and variance weigh levels equally, as pass@k of a group does. The variance is that of the problems' true
    pass@1: that of the estimates, less what sampling adds to them.
    """
    shares = part.strict[:, 0]
    mean = float(_mean(shares, strata))
    noise = shares * (1.0 - shares) / np.maximum(part.num_samples - 1, 1)
    variance = max(float(_mean((shares - mean) ** 2 - noise, strata)), 0.0)
    histogram, _ = np.histogram(shares, bins=BINS, range=(0.0, 1.0))
    found = {"mean": mean, "variance": variance, "histogram": histogram.tolist()}
    return found | ({"bound": {f"pass@{k}": shift_bound(mean, variance, k)}} if k > 1 else {})
