"""Stage 7: how many samples a problem gets, a fixed number or fewer where it is solved early, and pass@k of either.

It draws and judges nothing.

An adaptive budget looks at a problem after 16, 32, 64, ... samples and leaves it once R of them are right. The plain
estimate of pass@k is biased then: problems are left after a lucky start, so c / N lies above pass@1. What stays known
at the end is X_k = [one of the first k samples is right], for every k up to the budget n: a problem with fewer than n
samples has a right one, so X_k = 1 for k beyond its N samples. E X_k = pass@k, and averaging X_k over all orders of
the samples that the rule allows keeps the mean and only lowers the variance (Rao and Blackwell; by counting paths as
in Girshick, Mosteller and Savage 1946, "Unbiased estimates for certain binomial sampling problems"):

    pass@k = 1 - A(k) / A(0) for k <= N, 1 for k > N
    A(k) = ways to place the c right samples among the N, none in the first k, fewer than R before each earlier stage

All orders that A counts have the same probability p^c (1 - p)^(N - c), whatever p is.

A second, tolerant reading takes d further samples for right; stopping looks at the strict reading alone. Given the
places of the c right ones, any d of the other N - c are equally likely, and C(N - c - k, d) choices avoid the first k:

    tolerant pass@k = 1 - A(k) / A(0) * C(N - c - k, d) / C(N - c, d) for k <= N, 1 for k > N

Both are unbiased when n, R and the first stage are chosen before the samples are seen.

Statistics of one sample (score, form, length) come from `Budget.mean_value`, which is k = 1 of the same argument.
Statistics that look at several samples of a problem at once (majority, answer entropy, duplicates, all of k right) have
no such form: they may use the first `fixed_samples` of every problem and no later one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from prorl.errors import UserError
from prorl.evaluation.passk import pass_at_k

_CACHED = 1 << 16


@dataclass(frozen=True, slots=True)
class Budget:
    """The samples of one problem: `samples` of them, or fewer by a rule on the right ones among the first."""

    samples: int
    """Most samples of a problem, n."""
    stop_after: int = 0
    """0: a fixed number. R > 0: a problem is left at the first stage at which it has at least R right samples."""
    first_stage: int = 16
    """Samples of the first stage; each further stage has twice as many in all, up to `samples`."""

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UserError(f"samples = {self.samples}: must be at least 1; ask for more samples of a problem")
        if not 0 <= self.stop_after <= self.samples:
            raise UserError(
                f"stop_after = {self.stop_after}: must be between 0 and samples = {self.samples}; 0 for a fixed number"
            )
        if self.first_stage < 1:
            raise UserError(f"first_stage = {self.first_stage}: must be at least 1; 16 is usual")

    @property
    def fixed_samples(self) -> int:
        """Samples that every problem has, whatever came out."""
        return self.stages()[0]

    def stages(self) -> tuple[int, ...]:
        """Numbers of samples after which a problem is looked at; the last is `samples`."""
        return _stages(self.samples, self.stop_after, self.first_stage)

    def wanted(self, right: Sequence[bool]) -> int:
        """Samples the problem should have by now, when `right` says of those there are, in order, which are right.

        The next stage, or the stage at which the problem was left. It is done when `wanted(right) <= len(right)`.
        """
        for stage in self.stages():
            if len(right) < stage or (self.stop_after and sum(right[:stage]) >= self.stop_after):
                return stage
        return self.samples

    def counted(self, right: Sequence[bool]) -> int:
        """How many of the samples count, from the first on: those of a larger budget are left out."""
        return min(self.wanted(right), len(right))

    def pass_at_k(self, num_samples: int, num_right: int, k: int, *, num_other: int = 0) -> float:
        """Unbiased pass@k of a problem that ended with `num_right` right ones among `num_samples` counted samples.

        `num_other`: samples that only the tolerant reading takes for right; then this is the tolerant pass@k. Exact
        integers and one rounding; for a fixed budget `passk.pass_at_k` of all that are right. UserError when k is
        larger than the budget, or no problem can end with these counts.
        """
        if not self.stop_after:
            return _fixed(num_samples, num_right + num_other, k)
        self._check(num_samples, num_right, num_other, k)
        if k > num_samples:
            return 1.0
        stages = self.stages()
        return _adaptive(stages[: stages.index(num_samples) + 1], self.stop_after, num_right, num_other, k)

    def pass_at_k_table(
        self,
        num_samples: Int[np.ndarray, " P"],
        num_right: Int[np.ndarray, " P"],
        ks: Sequence[int],
        num_other: Int[np.ndarray, " P"] | None = None,
    ) -> Float[np.ndarray, "P K"]:
        """`pass_at_k` of every problem at every k of `ks`. Problems with the same counts are computed once."""
        other = np.zeros_like(num_right) if num_other is None else num_other
        if not self.stop_after:
            num_right, other = num_right + other, np.zeros_like(other)
        counts, position = np.unique(np.stack([num_samples, num_right, other], axis=1), axis=0, return_inverse=True)
        rows = [
            [self.pass_at_k(samples, right, k, num_other=tolerant) for k in ks]
            for samples, right, tolerant in counts.tolist()
        ]
        return np.array(rows, dtype=np.float64).reshape(len(counts), len(ks))[position.reshape(-1)]

    def mean_value(self, num_samples: int, num_right: int, mean_right: float, mean_wrong: float) -> float:
        """Unbiased mean of any number that a sample has, such as its score or its tokens.

        `mean_right` is the mean over the right ones of the counted samples, `mean_wrong` that over the others; one of
        no sample is not looked at.

            pass@1 * mean_right + (1 - pass@1) * mean_wrong

        It is what the first sample is expected to have, given the counts and the values: within either kind all orders
        are equally likely. For a fixed budget that is the plain mean.
        """
        if num_right == 0:
            return mean_wrong
        if num_right == num_samples:
            return mean_right
        share = self.pass_at_k(num_samples, num_right, 1)
        return share * mean_right + (1 - share) * mean_wrong

    def _check(self, num_samples: int, num_right: int, num_other: int, k: int) -> None:
        if not 1 <= k <= self.samples:
            raise UserError(f"k = {k}: must be between 1 and the budget of {self.samples} samples; ask for a smaller k")
        stages = self.stages()
        if num_samples not in stages:
            raise UserError(
                f"num_samples = {num_samples}: a problem ends at one of the stages {stages}; draw the samples that miss"
            )
        if num_right < 0 or num_other < 0 or num_right + num_other > num_samples:
            raise UserError(
                f"num_right = {num_right}, num_other = {num_other}: must be at least 0, and together at most "
                f"num_samples = {num_samples}; check the counts"
            )
        ended = stages[: stages.index(num_samples) + 1]
        left_early = num_samples < self.samples and num_right < self.stop_after
        if left_early or not _arrangements(ended, self.stop_after, num_right, 0):
            raise UserError(
                f"num_right = {num_right}: no problem ends with it at {num_samples} samples when it is left at "
                f"{self.stop_after} right ones; count the samples with Budget.counted"
            )


@lru_cache(maxsize=64)
def _stages(samples: int, stop_after: int, first_stage: int) -> tuple[int, ...]:
    if not stop_after:
        return (samples,)
    stages = []
    stage = first_stage
    while stage < samples:
        stages.append(stage)
        stage *= 2
    return (*stages, samples)


_fixed = lru_cache(maxsize=_CACHED)(pass_at_k)


@lru_cache(maxsize=_CACHED)
def _adaptive(stages: tuple[int, ...], stop_after: int, num_right: int, num_other: int, k: int) -> float:
    """The module's formula for k <= N, the last of `stages`."""
    rest = stages[-1] - num_right
    total = _arrangements(stages, stop_after, num_right, 0) * _choose(rest, num_other)
    none = _arrangements(stages, stop_after, num_right, k)
    if none:
        none *= _choose(rest - k, num_other)
    return (total - none) / total


@lru_cache(maxsize=_CACHED)
def _choose(total: int, chosen: int) -> int:
    return math.comb(total, chosen)


@lru_cache(maxsize=_CACHED)
def _arrangements(stages: tuple[int, ...], stop_after: int, num_right: int, k: int) -> int:
    """A(k) of the module's docstring for a problem that ended at the last of `stages`."""
    before = _before(stages[:-1], stop_after, k)
    places = stages[-1] - max(k, _last(stages[:-1]))
    return sum(
        ways * _choose(places, num_right - right)
        for right, ways in enumerate(before)
        if 0 <= num_right - right <= places
    )


@lru_cache(maxsize=_CACHED)
def _before(stages: tuple[int, ...], stop_after: int, k: int) -> tuple[int, ...]:
    """Ways to go on after the last of `stages`, by the number of right samples so far (below `stop_after`)."""
    if not stages:
        return (1,)
    places = max(0, stages[-1] - max(k, _last(stages[:-1])))
    ways = [0] * stop_after
    for right, so_far in enumerate(_before(stages[:-1], stop_after, k)):
        for more in range(min(stop_after - 1 - right, places) + 1):
            ways[right + more] += so_far * _choose(places, more)
    return tuple(ways)


def _last(stages: tuple[int, ...]) -> int:
    return stages[-1] if stages else 0
