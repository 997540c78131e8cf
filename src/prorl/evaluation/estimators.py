"""Stage 7: what the samples of one problem, or a pass@k curve, say besides pass@k. It draws and scores no samples."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from prorl.errors import UserError
from prorl.evaluation.passk import pass_at_k

ROUNDING = 1e-9
"""Scores and curves that are equal on paper compare equal."""


def all_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """pass^k: probability that k samples, drawn without replacement, are all correct. Unbiased for p^k.

    C(c, k) / C(n, k), exact integers and one rounding. arXiv 2406.12045 (pass^k). UserError as `pass_at_k`.
    """
    pass_at_k(num_samples, num_correct, k)  # the same counts are impossible
    return math.comb(num_correct, k) / math.comb(num_samples, k)


def majority_at_k(
    answers: Sequence[str], right: Sequence[bool], k: int, rng: np.random.Generator, draws: int = 200
) -> float:
    """Probability that the most frequent answer of k samples, drawn without replacement, is right (arXiv 2203.11171).

    `answers` in a form in which equal ones are equal strings; "" is no answer: it is counted only if all k are empty,
    and then it is wrong. Answers of equal frequency share the draw equally. An answer that was not judged alike each
    time counts as right by the share of its samples that are. Mean over `draws` draws (one where k is n), unbiased
    for the majority of k; exactly 0 where no answer is right. UserError unless 1 <= k <= n.
    """
    assert len(answers) == len(right), f"{len(answers)} answers, {len(right)} judgements: one each a sample"
    if not 1 <= k <= len(answers):
        raise UserError(f"k = {k}: a majority needs k between 1 and num_samples = {len(answers)}; draw more samples")
    number: dict[str, int] = {"": 0}
    codes = np.array([number.setdefault(answer, len(number)) for answer in answers])
    totals = np.bincount(codes, minlength=len(number))
    value = np.bincount(codes, weights=np.asarray(right, dtype=np.float64), minlength=len(number)) / np.maximum(
        totals, 1
    )
    value[0] = 0.0
    if not value.any():
        return 0.0
    draws = 1 if k == len(answers) else draws
    drawn = np.argpartition(rng.random((draws, len(answers))), k - 1, axis=1)[:, :k]
    cells = np.arange(draws)[:, None] * len(number) + codes[drawn]
    votes = np.bincount(cells.reshape(-1), minlength=draws * len(number)).reshape(draws, len(number))
    # With its votes at one half, "" loses to any answer and wins where there is none.
    ballots = votes.astype(np.float64)
    ballots[:, 0] = 0.5
    winners = ballots == ballots.max(axis=1, keepdims=True)
    return float(np.mean((winners @ value) / winners.sum(axis=1)))


def mean_at_n(values: Sequence[float]) -> float:
    """Mean of the verifier's values over the samples of one problem (mean@n). UserError where there are none."""
    if not len(values):
        raise UserError("values is empty: a mean needs at least one sample; draw samples of every problem")
    return math.fsum(values) / len(values)


def chance_at_k(chance: float, k: int) -> float:
    """pass@k of independent guesses that are right with probability `chance`: 1 - (1 - chance)^k."""
    assert 0 <= chance <= 1, f"chance {chance}: a probability"
    return 1.0 if chance == 1 else -math.expm1(k * math.log1p(-chance))


def chance_corrected(pass_at_k: float, chance: float, k: int) -> float:
    """(pass@k - g) / (1 - g), g = 1 - (1 - chance)^k: 0 for a guesser, 1 for a model that always solves.

    Negative for a model that is worse than guessing, for instance because it gives no answer. Affine in pass@k, so
    unbiased where that is. UserError where g is 1 to rounding: guessing then solves everything.
    """
    guessed = chance_at_k(chance, k)
    if 1 - guessed < ROUNDING:
        raise UserError(
            f"k = {k}: guessing with chance = {chance} solves every problem in k tries, so pass@k says nothing; "
            "allowed is a smaller k"
        )
    return (pass_at_k - guessed) / (1 - guessed)


def solved_at(values: Float[np.ndarray, "*S"], threshold: float) -> Bool[np.ndarray, "*S"]:
    """Which continuous scores count as solved: value >= threshold, within 1e-9."""
    return np.asarray(values) >= threshold - ROUNDING


def shift_bound(mean: float, variance: float, k: int) -> float:
    """1 - ((1 - mean)^2 + variance)^(k/2): bound of the expected pass@k over problems (arXiv 2505.24864 eq. 5).

    `mean` and `variance` (of the population) of the problems' probabilities of a right sample. By Jensen's
    inequality an upper bound for k >= 2, exact for k = 2; for k = 1 it lies below the mean and bounds nothing. A
    variance over problems of estimated probabilities is too large by that of the estimates, which lowers the bound.
    """
    assert variance >= 0, f"variance {variance}: at least 0"
    return 1 - ((1 - mean) ** 2 + variance) ** (k / 2)


def crossing(
    ks: Sequence[int], base: Float[np.ndarray, " K"], trained: Float[np.ndarray, " K"]
) -> tuple[float, str] | None:
    """The last k at which the lead changes: (k, "base overtakes" | "trained overtakes").

    `ks` ascending. The difference of the curves is interpolated linearly in log k between the first k at which the
    overtaking model is ahead and the k before; points at which the curves are equal (within 1e-9) have no sign.
    None where the sign never changes.
    """
    assert len(ks) == len(base) == len(trained), "one value a k"
    assert all(low < high for low, high in itertools.pairwise(ks)), f"ks {ks}: ascending"
    difference = np.asarray(trained, dtype=np.float64) - np.asarray(base, dtype=np.float64)
    difference[np.abs(difference) <= ROUNDING] = 0.0
    apart = np.flatnonzero(difference)
    changes = apart[1:][np.diff(np.sign(difference[apart])) != 0]
    if not len(changes):
        return None
    after = int(changes[-1])
    share = difference[after - 1] / (difference[after - 1] - difference[after])
    log_k = (1 - share) * math.log(ks[after - 1]) + share * math.log(ks[after])
    return math.exp(log_k), "trained overtakes" if difference[after] > 0 else "base overtakes"
