"""Stage 7, the rule: which of three regimes a run took on a group of problems, seen from its checkpoints.

arXiv 2505.24864 section 4 names them by eye: diminish (pass@1 up, pass@k flat or down), plateau (both up, but reached
early: the end adds nothing over the middle) and sustained (still rising with training). Here each is a claim about
intervals of changes, and a group for which none holds is unclear. It measures nothing.

Only pass@k decides between plateau and sustained. The paper's own plateau, palindrome, has pass@k at its ceiling by the
middle while pass@1 goes on from 0.56 to 0.91: what the model can solve at all no longer grows.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from prorl.evaluation.intervals import stratified_interval, widened

Verdict = Literal["sustained", "plateau", "diminish", "unclear", "none"]
REGIMES: tuple[Verdict, ...] = get_args(Verdict)
MARGIN = 0.02
"""A smaller rise of the mean pass@k is of no note. The paper's codecontests, sustained, has 0.023 after the middle."""
ROUNDING = 1e-9
"""Values that are equal on paper compare equal."""
RESAMPLES = 2000

RULES: dict[str, str] = {
    "sustained": "pass@1 and pass@k rose from base to end, and pass@k from the middle to the end: each lower bound is "
    f"above 0, and each upper bound of pass@k above {MARGIN}",
    "plateau": "pass@1 and pass@k rose from base to end, and pass@k not from the middle to the end: the upper bound of "
    f"that change is at most {MARGIN}; pass@1 may rise on, as where pass@k is 1 already",
    "diminish": "pass@1 rose from base to end, and pass@k is flat or down: the upper bound of its change is at most "
    f"{MARGIN}",
    "unclear": "pass@1 rose, and the interval of pass@k, base to end or middle to end, holds both 0 and a rise above "
    f"{MARGIN}: it takes more problems, and for flat at least 96 (at a level of 95 %)",
    "none": "no rise of pass@1 from base to end was found, its lower bound is at most 0; each regime begins with one",
    "measured at": "base, middle and end of the run, strictly read; the middle is the measurement at half of them by "
    "number, the later one of two; the mean is over levels of equal weight",
    "interval": "of the change of the mean, other problems of the same levels: percentile bootstrap, widened in "
    "quadrature by z / (P + 2), which is all of it where no problem changed (Agresti and Min 2005); P is the number of "
    "problems, less where levels differ in theirs",
}
"""The rule in words, with what it is read from."""


@dataclass(frozen=True, slots=True)
class Regime:
    """One verdict, and its reason in one sentence."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class _Change:
    """Change of a mean between two measurements, with its interval."""

    mean: float
    low: float
    high: float

    @property
    def rises(self) -> bool:
        return self.low > ROUNDING

    @property
    def is_no_rise_of_note(self) -> bool:
        return self.high <= MARGIN + ROUNDING

    def __str__(self) -> str:
        # Adding 0 to a rounded number turns -0.000 into 0.000.
        mean, low, high = (round(number, 3) + 0.0 for number in (self.mean, self.low, self.high))
        return f"{mean:+.3f} [{low:.3f}, {high:.3f}]"


def regime(
    pass_1: Float[np.ndarray, "S P"],
    pass_K: Float[np.ndarray, "S P"],
    strata: Int[np.ndarray, " P"],
    *,
    alpha: float,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Regime:
    """The regime by `RULES` from S >= 3 measurements of the same P problems: base, checkpoints in order, trained.

    Each entry is a problem's unbiased pass@1 or pass@K, from samples that no other measurement shares. A claim that is
    false is made with probability of at most about `alpha` / 2: diminish or plateau where pass@K truly rose by more
    than the margin, sustained where it did not rise after the middle.
    """
    assert pass_1.shape == pass_K.shape, f"{pass_1.shape} and {pass_K.shape}: the same measurements of both"
    assert len(pass_1) >= 3, f"{len(pass_1)} measurements: base, at least one on the way, trained"
    middle = len(pass_1) // 2
    changes = np.stack([pass_1[-1] - pass_1[0], pass_K[-1] - pass_K[0], pass_K[-1] - pass_K[middle]], axis=1)
    at_1, at_k, late = _changes(changes, strata, alpha, rng, resamples)
    if not at_1.rises:
        return Regime("none", f"no rise of pass@1 found: {at_1}")
    if at_k.is_no_rise_of_note:
        return Regime("diminish", f"pass@1 rose, {at_1}, and pass@k is flat or down: {at_k}")
    if not at_k.rises:
        return Regime("unclear", f"pass@1 rose, {at_1}; whether pass@k did is open: {at_k}")
    if late.is_no_rise_of_note:
        return Regime("plateau", f"pass@k rose, {at_k}, and not after the middle: {late}")
    if late.rises:
        return Regime("sustained", f"pass@k rose, {at_k}, and still after the middle: {late}")
    return Regime("unclear", f"pass@k rose, {at_k}; whether it still did after the middle is open: {late}")


def _changes(
    values: Float[np.ndarray, "P C"],
    strata: Int[np.ndarray, " P"],
    alpha: float,
    rng: np.random.Generator,
    resamples: int,
) -> list[_Change]:
    """The mean over strata of each column with its interval.

    Where problems agree a bootstrap has no width, though others could still differ. Agresti and Min (2005) add two
    pairs, half of one to each of the four cells: with no problem changed that is a standard error of 1 / (P + 2). It
    is added in quadrature, P being the number of problems of equal weight that would have the same variance.
    """
    _, places, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    share = 1 / (len(sizes) * sizes[places])
    least = NormalDist().inv_cdf(1 - alpha / 2) / (1 / (share**2).sum() + 2)
    means = share @ values
    lower, upper = stratified_interval(values, strata, alpha=alpha, rng=rng, resamples=resamples)
    lower, upper = widened(means, lower, upper, least)
    return [
        _Change(float(mean), float(max(-1.0, low)), float(min(1.0, high)))
        for mean, low, high in zip(means, lower, upper, strict=True)
    ]
