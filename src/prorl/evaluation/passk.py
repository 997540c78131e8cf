"""Stage 7: the unbiased estimate of pass@k from n samples of which c are correct. It draws and scores nothing."""

import math
from collections.abc import Sequence

from prorl.errors import UserError


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that at least one of k samples, drawn without replacement from the n there are, is correct.

    pass@k = 1 - C(n - c, k) / C(n, k)

    arXiv 2107.03374 eq. 1. Exact integers and one rounding: pass@1 is c / n to the last bit, so a threshold such as
    0.05 means what it says. UserError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not 0 <= num_correct <= num_samples:
        raise UserError(
            f"num_correct = {num_correct}: must be between 0 and num_samples = {num_samples}; check the counts"
        )
    if not 1 <= k <= num_samples:
        raise UserError(
            f"k = {k}: must be between 1 and num_samples = {num_samples}; draw more samples or ask for a smaller k"
        )
    # C(n - c, k) / C(n, k) = C(n - k, c) / C(n, c): the form with the smaller numbers.
    chosen, left_out = sorted((k, num_correct))
    total = math.comb(num_samples, chosen)
    return (total - math.comb(num_samples - left_out, chosen)) / total


def pass_at_k_curve(num_samples: int, num_correct: int, ks: Sequence[int]) -> list[float]:
    """pass@k of one problem for each k of `ks`."""
    return [pass_at_k(num_samples, num_correct, k) for k in ks]


def mean_pass_at_k(counts: Sequence[tuple[int, int]], k: int) -> float:
    """Mean pass@k over problems, each given as (num_samples, num_correct)."""
    if not counts:
        raise UserError("counts is empty: pass@k needs at least one problem; check the suite and its filters")
    return math.fsum(pass_at_k(num_samples, num_correct, k) for num_samples, num_correct in counts) / len(counts)
