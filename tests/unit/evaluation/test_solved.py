"""Solved sets against hand counts, all splits of a small case, and a Monte Carlo of the hypergeometric split."""

import itertools
import math

import numpy as np
import pytest

from prorl.evaluation.solved import SolvedSets, solved_sets


def _sets(base: list[tuple[int, int]], trained: list[tuple[int, int]]) -> SolvedSets:
    """From (samples, right ones) of each problem."""
    (base_n, base_c), (trained_n, trained_c) = np.array(base).T, np.array(trained).T
    return solved_sets(base_n, base_c, trained_n, trained_c)


def test_counts_and_shares_by_hand() -> None:
    # One problem of each kind, and a second one solved by both.
    found = _sets([(4, 1), (4, 0), (4, 3), (4, 0), (4, 4)], [(4, 2), (4, 1), (4, 0), (4, 0), (4, 4)])
    assert (found.both, found.trained_only, found.base_only, found.neither) == (2, 1, 1, 1)
    assert found.retention == 2 / 3
    assert found.discovery == 1 / 3
    # P(a model has none of the c right ones of 8) = C(4, c) / C(8, c): c = 3: 4/56, c = 1: 4/8; 3: 4/56; 0; 8: 0.
    assert found.expected_trained_only == pytest.approx(4 / 56 + 4 / 8 + 4 / 56, abs=1e-15)
    assert found.expected_base_only == pytest.approx(4 / 56 + 4 / 8 + 4 / 56, abs=1e-15)
    assert found.p == 1.0  # the difference is 0, as expected


@pytest.mark.parametrize(
    ("problems", "p"),
    [
        (1, 1.0),  # one right sample falls to the one or the other
        (2, 0.5),  # both to the same model: 1/4 + 1/4
        (5, 2 / 32),
    ],
)
def test_single_successes_fall_to_either_model_with_one_half(problems: int, p: float) -> None:
    found = _sets([(128, 0)] * problems, [(128, 1)] * problems)
    assert found.trained_only == problems
    assert found.expected_trained_only == found.expected_base_only == problems / 2
    assert found.p == pytest.approx(p, abs=1e-15)
    swapped = _sets([(128, 1)] * problems, [(128, 0)] * problems)
    assert swapped.p == pytest.approx(p, abs=1e-15)


def test_unequal_numbers_of_samples() -> None:
    # One right sample of 1 + 3: the base has none in 3/4, the trained model in 1/4. The difference +1 has
    # expectation 1/2 and p = P(|D - 1/2| >= 1/2) = 1; the difference -1 is 3/2 away and p = 1/4.
    favoured = _sets([(1, 0)], [(3, 1)])
    assert (favoured.expected_trained_only, favoured.expected_base_only) == (0.75, 0.25)
    assert favoured.p == 1.0
    assert _sets([(1, 1)], [(3, 0)]).p == 0.25


def test_p_against_all_splits_of_a_small_case() -> None:
    base, trained = [(3, 0), (2, 0), (3, 2)], [(3, 2), (4, 3), (3, 1)]
    found = _sets(base, trained)
    # Every way to choose which samples of a problem are the right ones: the first `base_n` are the base's.
    outcomes = []
    for (base_n, base_c), (trained_n, trained_c) in zip(base, trained, strict=True):
        of_problem = []
        for right in itertools.combinations(range(base_n + trained_n), base_c + trained_c):
            of_problem.append(int(min(right) >= base_n) - int(max(right) < base_n))
        outcomes.append(of_problem)
    sums = [sum(split) for split in itertools.product(*outcomes)]
    mean = sum(sums) / len(sums)
    assert mean == pytest.approx(found.expected_trained_only - found.expected_base_only, abs=1e-14)
    observed = found.trained_only - found.base_only
    assert observed == 2
    expected = sum(abs(value - mean) >= abs(observed - mean) - 1e-9 for value in sums) / len(sums)
    assert found.p == pytest.approx(expected, abs=1e-14)


def test_p_against_a_monte_carlo_of_the_split() -> None:
    rng = np.random.default_rng(0)
    size, draws = 60, 20_000
    base_n, trained_n = rng.integers(8, 33, size), rng.integers(8, 33, size)
    base_c, trained_c = rng.binomial(base_n, 0.03), rng.binomial(trained_n, 0.05)
    found = solved_sets(base_n, base_c, trained_n, trained_c)
    right = base_c + trained_c
    of_base = rng.hypergeometric(right, base_n + trained_n - right, base_n, size=(draws, size))
    trained_only = np.sum((of_base == 0) & (right > 0), axis=1)
    base_only = np.sum((of_base == right) & (right > 0), axis=1)
    assert trained_only.mean() == pytest.approx(found.expected_trained_only, abs=4 * trained_only.std() / draws**0.5)
    assert base_only.mean() == pytest.approx(found.expected_base_only, abs=4 * base_only.std() / draws**0.5)
    split = trained_only - base_only
    observed = found.trained_only - found.base_only
    p = np.mean(np.abs(split - split.mean()) >= abs(observed - split.mean()))
    assert 0.001 < p < 0.9
    assert found.p == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / draws))


def test_p_is_valid_under_equal_ability() -> None:
    rng = np.random.default_rng(1)
    repeats, n = 1000, np.full(30, 32)
    ps = []
    for _ in range(repeats):
        ability = rng.beta(0.1, 2, 30)
        ps.append(solved_sets(n, rng.binomial(n, ability), n, rng.binomial(n, ability)).p)
    for level in (0.05, 0.2):
        assert np.mean(np.array(ps) <= level) <= level + 3 * math.sqrt(level * (1 - level) / repeats)


def test_nothing_solved() -> None:
    found = _sets([(8, 0)] * 3, [(8, 0)] * 3)
    assert found == SolvedSets(0, 0, 0, 3, 0.0, 0.0, 1.0, None, None)
    only_trained = _sets([(8, 0)] * 3, [(8, 8)] * 3)
    assert only_trained.retention is None
    assert only_trained.discovery == 1.0
    # All 8 right ones of 16 on one side: 1 / C(16, 8) = 1 / 12870 each, and p = 2 / 12870^3.
    assert only_trained.p == pytest.approx(2 / 12870**3, rel=1e-9, abs=0)


def test_common_solutions_say_nothing_of_luck() -> None:
    # More right samples than either model drew: whoever has them, both solve it.
    found = _sets([(8, 5), (8, 8)], [(8, 4), (8, 8)])
    assert (found.expected_trained_only, found.expected_base_only, found.p) == (0.0, 0.0, 1.0)


def test_impossible_counts_are_a_programmers_error() -> None:
    with pytest.raises(AssertionError, match="more right samples than drawn"):
        _sets([(4, 5)], [(4, 0)])
