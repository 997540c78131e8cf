"""Stage 7: the unbiased estimate of pass@k from n samples of which c are correct. It draws and scores nothing."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
from jaxtyping import Float, Int

from prorl.errors import UserError


@lru_cache(1 << 16)
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


def pass_at_k_table(
    num_samples: Int[np.ndarray, " P"], num_correct: Int[np.ndarray, " P"], ks: Sequence[int]
) -> Float[np.ndarray, "P K"]:
    """pass@k of every problem and every k of `ks`, as `pass_at_k` gives it: exact integers and one rounding.

    Problems of equal counts are computed once. UserError where `pass_at_k` has one for any problem and k.
    """
    return np.stack([per_counts(num_samples, num_correct, partial(pass_at_k, k=k)) for k in ks], axis=1)


def per_counts(
    num_samples: Int[np.ndarray, " P"], num_correct: Int[np.ndarray, " P"], number: Callable[[int, int], float]
) -> Float[np.ndarray, " P"]:
    """`number(n, c)` of every problem, called once for each pair of counts that occurs, with Python's integers."""
    assert num_samples.shape == num_correct.shape, f"{num_samples.shape} and {num_correct.shape}: one entry a problem"
    assert num_samples.ndim == 1, "one axis: problems"
    low = int(num_correct.min(initial=0))  # an impossible count reaches `number` as it is
    width = int(num_correct.max(initial=0)) - low + 1
    codes, places = np.unique(num_samples.astype(np.int64) * width + (num_correct - low), return_inverse=True)
    pairs = (divmod(code, width) for code in codes.tolist())
    return np.array([number(n, above + low) for n, above in pairs], dtype=np.float64)[places.reshape(-1)]
