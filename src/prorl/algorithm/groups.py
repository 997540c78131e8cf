"""Stage 4, the group filter: which groups teach, and how kept items are spread over ranks. It draws and drops nothing.

Annotations are executed in the tests, which is why a number that may be whole is written `float | int` in this package.
"""

from collections.abc import Sequence


def is_informative(scores: Sequence[float | int], *, min_spread: float | int, floor: float | int = 0.0) -> bool:
    """Whether the scores of one group differ enough to carry a gradient.

    max(s) - min(s) > min_spread,  with s = score where score >= floor, else 0

    Dynamic sampling of ProRL (arXiv 2505.24864) and DAPO (arXiv 2503.14476 eq. 11): with scores 0 and 1 it keeps
    0 < #correct < G. Scores are the verifier's, before shaping, so that a length term cannot fake a spread. Fewer than
    two scores never teach. A spread equal to `min_spread` is flat; 0 keeps every group that is not exactly flat.
    """
    counted = [score if score >= floor else 0.0 for score in scores]
    return len(counted) >= 2 and max(counted) - min(counted) > min_spread


def balance(lengths: Sequence[int], num_bins: int) -> list[list[int]]:
    """Indices of items for each bin, so that the bins' token counts are about equal.

    Longest item first, each to the bin with the fewest tokens (Graham 1969: the fullest bin holds at most
    4/3 - 1/(3 * num_bins) times the best possible). Ties go to the bin with fewer items, then to the lower number, so
    the result depends on `lengths` only. Indices are ascending in a bin; with fewer items than bins some are empty.
    """
    assert num_bins >= 1, f"num_bins = {num_bins}"
    bins: list[list[int]] = [[] for _ in range(num_bins)]
    tokens = [0] * num_bins
    for index in sorted(range(len(lengths)), key=lambda item: (-lengths[item], item)):
        target = min(range(num_bins), key=lambda number: (tokens[number], len(bins[number]), number))
        bins[target].append(index)
        tokens[target] += lengths[index]
    return [sorted(items) for items in bins]
