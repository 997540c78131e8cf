"""The benchmark of the regimes: its truths are what they are called, and a small run of it."""

import numpy as np
import pytest
from boundary_regimes import TRUTHS, K, Truth, confusion, is_wrong, markdown, measure

from prorl.evaluation.regimes import REGIMES


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda truth: truth.name)
def test_the_exact_curves_have_the_regime(truth: Truth) -> None:
    assert sum(share for share, _ in truth.kinds) == pytest.approx(1, abs=1e-12)
    base, _, end = truth.pass_at(1)
    first, middle, last = truth.pass_at(K)
    assert (end > base + 0.02) == (truth.regime != "none")
    if truth.regime == "diminish":
        assert last < first + 1e-9
    elif truth.regime != "none":
        assert last > first + 0.02
        assert (last > middle + 0.02) == (truth.regime == "sustained")


def test_pass_at_by_hand() -> None:
    # Half of the problems at 1/2, half at 0: pass@2 = (3/4) / 2.
    truth = Truth("coin", "none", ((0.5, (0.5, 0.5, 1.0)), (0.5, (0.0, 0.0, 0.0))))
    np.testing.assert_allclose(truth.pass_at(2), [0.375, 0.375, 0.5], atol=1e-15)


def test_small_run() -> None:
    cases = measure((100,), (128,), 10)
    assert [case["truth"] for case in cases] == [truth.name for truth in TRUTHS]
    assert all(sum(case["rates"].values()) == pytest.approx(1) for case in cases)
    assert sum(case["wrong"] for case in cases) <= 0.3
    found = {row["regime"]: row["rates"][row["regime"]] for row in confusion(cases)}
    assert set(found) == {"sustained", "plateau", "diminish", "none"}
    assert min(found.values()) > 0.4
    table = markdown(cases).splitlines()
    assert len(table) == 2 + 4 + 1 + 2 + len(TRUTHS)
    assert {line.count("|") for line in table[:6]} == {table[0].count("|")}
    assert all(name in table[0] for name in REGIMES)


def test_wrong_is_a_regime_that_is_not_the_true_one() -> None:
    assert is_wrong("plateau", "sustained")
    assert is_wrong("plateau", "none")
    assert not any(is_wrong(given, "plateau") for given in ("plateau", "unclear", "none"))
