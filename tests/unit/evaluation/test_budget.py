"""The sampling budget: its stages by hand, and its pass@k against all sequences of samples, in exact fractions."""

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from prorl.errors import UserError
from prorl.evaluation.budget import Budget
from prorl.evaluation.passk import pass_at_k

RATES = (Fraction(0), Fraction(1, 7), Fraction(1, 2), Fraction(9, 10), Fraction(1))
BUDGETS = [
    Budget(samples, stop_after=stop_after, first_stage=first_stage)
    for samples, first_stage in ((12, 2), (11, 3), (10, 1), (9, 4), (8, 8), (8, 16), (5, 4))
    for stop_after in (1, 2, 3, 5)
]


def _exact(estimate: float) -> Fraction:
    """The fraction that was rounded: no divisor here, an A(0) times a binomial, is above 50,000."""
    return Fraction(estimate).limit_denominator(50_000)


def test_stages_by_hand() -> None:
    assert Budget(100).stages() == (100,)
    assert Budget(100, stop_after=4).stages() == (16, 32, 64, 100)
    assert Budget(256, stop_after=4).stages() == (16, 32, 64, 128, 256)
    assert Budget(16, stop_after=4).stages() == (16,)
    assert Budget(8, stop_after=4).stages() == (8,)
    assert Budget(50, stop_after=1, first_stage=10).stages() == (10, 20, 40, 50)
    assert [Budget(256).fixed_samples, Budget(256, stop_after=4).fixed_samples] == [256, 16]


def test_wanted_and_counted_by_hand() -> None:
    budget = Budget(100, stop_after=2)
    assert [budget.wanted([]), budget.wanted([True] * 15)] == [16, 16]
    one, two = [True] + [False] * 15, [True] + [False] * 14 + [True]
    assert [budget.wanted(one), budget.counted(one)] == [32, 16]
    assert [budget.wanted(two), budget.counted(two)] == [16, 16]
    # The second right sample is the 17th: the problem is left at 32, and only there.
    late = [*one, True] + [False] * 14
    assert [budget.wanted(late), budget.counted(late)] == [32, 31]
    assert [budget.wanted([*late, False]), budget.counted([*late, False])] == [32, 32]
    never = [False] * 100
    assert [budget.wanted(never[:99]), budget.wanted(never), budget.counted(never)] == [100, 100, 100]
    assert [Budget(100).wanted([True] * 99), Budget(100).counted([True] * 99)] == [100, 99]


def test_surplus_samples_are_left_out() -> None:
    drawn = [False] * 40 + [True] * 88
    assert Budget(100, stop_after=2).counted(drawn) == 64
    assert Budget(30, stop_after=2).counted(drawn) == 30
    assert Budget(100, stop_after=100).counted(drawn) == 100
    assert Budget(100).counted(drawn) == 100
    assert Budget(100).wanted(drawn) == 100


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05, 0.3])
def test_a_larger_budget_goes_on_from_a_smaller_one(rate: float) -> None:
    small, large = Budget(100, stop_after=3), Budget(256, stop_after=3)
    for seed in range(50):
        stream = (np.random.default_rng(seed).random(256) < rate).tolist()
        after_small = _draw(small, stream, 0)
        continued = _draw(large, stream, after_small)
        assert large.counted(stream[:continued]) == _draw(large, stream, 0)
        # The smaller budget, asked again, counts what it had.
        assert small.counted(stream[:continued]) == after_small
        # A problem left by the rule has the same samples under both; only those at 100 go on.
        assert after_small == 100 or continued == after_small


def _draw(budget: Budget, stream: list[bool], drawn: int) -> int:
    while budget.wanted(stream[:drawn]) > drawn:
        drawn = budget.wanted(stream[:drawn])
    return drawn


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_unbiased_over_all_sequences(budget: Budget) -> None:
    ended = Counter[tuple[int, int, int]]()
    for sequence in itertools.product((False, True), repeat=budget.samples):
        counted = budget.counted(sequence)
        ended[counted, sum(sequence[:counted]), sum(sequence)] += 1
    for k in range(1, budget.samples + 1):
        estimates = {key: _exact(budget.pass_at_k(*key[:2], k)) for key in ended}
        for rate in RATES:
            mean = sum(
                times * rate ** key[2] * (1 - rate) ** (budget.samples - key[2]) * estimates[key]
                for key, times in ended.items()
            )
            assert mean == 1 - (1 - rate) ** k, (k, rate)


@pytest.mark.parametrize("budget", [Budget(8, stop_after=r, first_stage=f) for r in (1, 2, 3) for f in (2, 3)], ids=str)
def test_unbiased_in_the_tolerant_reading(budget: Budget) -> None:
    # Outcomes: 2 right, 1 right in the tolerant reading only, 0 wrong.
    ended = Counter[tuple[int, int, int, int, int]]()
    for sequence in itertools.product((0, 1, 2), repeat=budget.samples):
        counted = budget.counted([outcome == 2 for outcome in sequence])
        seen = sequence[:counted]
        ended[counted, seen.count(2), seen.count(1), sequence.count(2), sequence.count(1)] += 1
    for right, other in (
        (Fraction(1, 5), Fraction(1, 3)),
        (Fraction(0), Fraction(2, 7)),
        (Fraction(1, 2), Fraction(0)),
    ):
        wrong = 1 - right - other
        for k in range(1, budget.samples + 1):
            mean = sum(
                times
                * right ** key[3]
                * other ** key[4]
                * wrong ** (budget.samples - key[3] - key[4])
                * _exact(budget.pass_at_k(key[0], key[1], k, num_other=key[2]))
                for key, times in ended.items()
            )
            assert mean == 1 - wrong**k, (k, right, other)


@pytest.mark.parametrize("budget", BUDGETS[::5], ids=str)
def test_equal_to_the_mean_over_all_orders(budget: Budget) -> None:
    # Rao and Blackwell by force: the share, of all prefixes that end alike, with a right one among the first k.
    orders: dict[tuple[int, int], list[tuple[bool, ...]]] = {}
    for sequence in itertools.product((False, True), repeat=budget.samples):
        counted = budget.counted(sequence)
        if not any(sequence[counted:]):
            orders.setdefault((counted, sum(sequence[:counted])), []).append(sequence[:counted])
    for (counted, right), prefixes in orders.items():
        for k in range(1, counted + 1):
            share = Fraction(sum(any(prefix[:k]) for prefix in prefixes), len(prefixes))
            assert budget.pass_at_k(counted, right, k) == float(share)


def test_by_hand() -> None:
    # n = 4, stages 2 and 4, R = 1. Left at 2 with one right: it is the first or the second.
    budget = Budget(4, stop_after=1, first_stage=2)
    assert [budget.pass_at_k(2, 1, k) for k in (1, 2, 3, 4)] == [0.5, 1.0, 1.0, 1.0]
    # At 4 with one right it is the third or the fourth: the plain estimate at k = 1 would be 1/4.
    assert [budget.pass_at_k(4, 1, k) for k in (1, 2, 3, 4)] == [0.0, 0.0, 0.5, 1.0]
    assert [budget.pass_at_k(4, 0, k) for k in (1, 4)] == [0.0, 0.0]
    # Two of the three wrong ones are right in the tolerant reading: the first sample is one of the three.
    assert budget.pass_at_k(4, 1, 1, num_other=2) == pytest.approx(2 / 3, abs=1e-15)
    # R = 2: at 4 with two right, one or none of the first two is: 6 - 1 = 5 orders; the first is right in 2 of them.
    assert Budget(4, stop_after=2, first_stage=2).pass_at_k(4, 2, 1) == 2 / 5


@pytest.mark.parametrize("samples", [1, 16, 256, 1024])
def test_fixed_budget_is_the_plain_estimate(samples: int) -> None:
    for right in {0, 1, samples // 3, samples - 1, samples}:
        for k in {1, 2, samples // 2, samples} & set(range(1, samples + 1)):
            assert Budget(samples).pass_at_k(samples, right, k) == pass_at_k(samples, right, k)
            one_stage = Budget(samples, stop_after=1, first_stage=samples)
            assert one_stage.pass_at_k(samples, right, k) == pass_at_k(samples, right, k)
            other = (samples - right) // 2
            both = pass_at_k(samples, right + other, k)
            assert Budget(samples).pass_at_k(samples, right, k, num_other=other) == both
            assert one_stage.pass_at_k(samples, right, k, num_other=other) == both


def test_table_is_the_estimate_of_every_problem() -> None:
    budget = Budget(1024, stop_after=4)
    generator = np.random.default_rng(0)
    num_samples, num_right = _measure(budget, generator.beta(0.3, 2.0, size=60), generator)
    other = generator.binomial(num_samples - num_right, 0.1)
    ks = (1, 3, 16, 128, 1024)
    for given in (None, other):
        table = budget.pass_at_k_table(num_samples, num_right, ks, given)
        assert table.shape == (60, 5)
        rows = zip(num_samples.tolist(), num_right.tolist(), other.tolist(), strict=True)
        assert table.tolist() == [
            [budget.pass_at_k(n, c, k, num_other=0 if given is None else d) for k in ks] for n, c, d in rows
        ]
    whole = np.full(3, 256)
    plain = Budget(256).pass_at_k_table(whole, np.array([0, 3, 200]), (1, 256), np.array([1, 0, 56]))
    assert plain.tolist() == [[1 / 256, 1.0], [3 / 256, 1.0], [1.0, 1.0]]
    assert budget.pass_at_k_table(whole[:0], whole[:0], ks).shape == (0, 5)


def test_mean_value() -> None:
    # Tokens: 10 of a right sample, 30 of a wrong one; n = 4, stages 2 and 4, R = 1, p = 1/4, so the mean is 25.
    budget = Budget(4, stop_after=1, first_stage=2)
    mean = Fraction(0)
    for sequence in itertools.product((False, True), repeat=4):
        counted = budget.counted(sequence)
        value = budget.mean_value(counted, sum(sequence[:counted]), 10.0, 30.0)
        mean += Fraction(1, 4) ** sum(sequence) * Fraction(3, 4) ** (4 - sum(sequence)) * Fraction(value)
    assert mean == 25
    # A value that is 1 where the tolerant reading says right is its pass@1.
    tolerant = Budget(256, stop_after=4).pass_at_k(64, 5, 1, num_other=7)
    assert Budget(256, stop_after=4).mean_value(64, 5, 1.0, 7 / 59) == pytest.approx(tolerant, abs=1e-15)
    # Fixed: (3 * 1 + 5 * 0.5) / 8. A mean of nothing may be anything.
    assert Budget(8).mean_value(8, 3, 1.0, 0.5) == pytest.approx(5.5 / 8, abs=1e-15)
    assert [Budget(8).mean_value(8, 0, np.nan, 0.5), Budget(8).mean_value(8, 8, 0.25, np.nan)] == [0.5, 0.25]


def _measure(budget: Budget, rates: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Samples and right ones of problems with known rates, drawn stage by stage as the budget says."""
    num_samples, num_right = np.zeros(rates.shape, dtype=np.int64), np.zeros(rates.shape, dtype=np.int64)
    going = np.ones(rates.shape, dtype=bool)
    before = 0
    for stage in budget.stages():
        num_right += np.where(going, generator.binomial(stage - before, rates), 0)
        num_samples[going] = stage
        going &= num_right < budget.stop_after
        before = stage
    return num_samples, num_right


def test_no_bias_in_repeated_measurements_where_the_plain_estimate_has_one() -> None:
    """200 adaptive measurements of 200 problems with known rates; half of the problems are hard or hopeless."""
    generator = np.random.default_rng(11)
    repetitions, ks = 200, (1, 8, 64, 256)
    budget = Budget(256, stop_after=4)
    rates = np.repeat([0.0, 0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 0.99], 25)
    truth = np.array([np.mean(1 - (1 - rates) ** k) for k in ks])
    num_samples, num_right = _measure(budget, np.tile(rates, repetitions), generator)

    table = budget.pass_at_k_table(num_samples, num_right, ks)
    means = table.reshape(repetitions, len(rates), len(ks)).mean(axis=1)
    half_width = 2.576 * means.std(axis=0, ddof=1) / repetitions**0.5
    assert (abs(means.mean(axis=0) - truth) < half_width).all()

    plain = [[pass_at_k(n, c, min(n, k)) for k in ks] for n, c in zip(num_samples, num_right, strict=True)]
    naive = np.array(plain).reshape(repetitions, len(rates), len(ks)).mean(axis=1)
    naive_width = 2.576 * naive.std(axis=0, ddof=1) / repetitions**0.5
    assert (naive.mean(axis=0) - truth > naive_width)[:3].all()

    # Expected samples of a problem: 256 at rate 0 and 0.001 (but for a few), 16 from rate 0.5 on; the mean is near 121.
    saved = 1 - num_samples.mean() / 256
    assert 0.5 < saved < 0.6, f"{saved:.3f} of the samples were saved"


@pytest.mark.parametrize(
    ("budget", "counts", "named"),
    [
        (Budget(64, stop_after=4), (16, 4, 65), "k = 65"),
        (Budget(64, stop_after=4), (16, 4, 0), "k = 0"),
        (Budget(64, stop_after=4), (17, 4, 1), "num_samples = 17"),
        (Budget(64, stop_after=4), (16, 3, 1), "num_right = 3"),
        (Budget(64, stop_after=4), (32, 20, 1), "num_right = 20"),
        (Budget(64, stop_after=4), (16, 17, 1), "num_right = 17"),
        (Budget(64, stop_after=4), (16, -1, 1), "num_right = -1"),
        (Budget(64), (64, 65, 1), "num_correct = 65"),
        (Budget(64), (32, 1, 64), "k = 64"),
    ],
)
def test_impossible_counts_are_named(budget: Budget, counts: tuple[int, int, int], named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        budget.pass_at_k(*counts)
    assert "\n" not in str(caught.value)


def test_impossible_tolerant_counts_are_named() -> None:
    with pytest.raises(UserError, match="num_other = 13"):
        Budget(64, stop_after=4).pass_at_k(16, 4, 1, num_other=13)


@pytest.mark.parametrize(
    ("samples", "stop_after", "first_stage", "named"),
    [
        (0, 0, 16, "samples = 0"),
        (8, -1, 16, "stop_after = -1"),
        (8, 9, 16, "stop_after = 9"),
        (8, 1, 0, "first_stage = 0"),
    ],
)
def test_impossible_budgets_are_named(samples: int, stop_after: int, first_stage: int, named: str) -> None:
    with pytest.raises(UserError, match=named):
        Budget(samples, stop_after, first_stage)
