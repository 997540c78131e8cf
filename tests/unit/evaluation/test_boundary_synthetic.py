"""Intervals and verdicts where the truth is known: small runs of the benchmark, and its exact numbers by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from boundary_synthetic import (
    ANY_GUESS,
    CHANGED,
    CLAIMS,
    EQUAL,
    FORM_ONLY,
    MEASUREMENTS,
    ONE_GUESS,
    POPULATIONS,
    Kind,
    Truth,
    count_verdicts,
    coverage,
    is_wrong,
    markdown,
)


def test_exact_pass_at_k() -> None:
    # Half at 1/2: 1 - 1/4, halved. Beta(1, 1): E(1-p)^2 = 1/3. Beta(2, 3): E(1-p)^2 = 3/5 * 4/6 = 2/5.
    truth = Truth("x", (Kind(0.5, 0.5, (1.0, 1.0)), Kind(0.5, 0.0, (2.0, 3.0))))
    assert truth.pass_at(2) == pytest.approx((0.375, (2 / 3 + 3 / 5) / 2), abs=1e-12)
    assert truth.pass_at(1) == pytest.approx((0.25, (1 / 2 + 2 / 5) / 2), abs=1e-12)


@pytest.mark.parametrize("truth", [t for of in MEASUREMENTS.values() for t in of], ids=lambda truth: truth.name)
def test_drawn_problems_have_the_exact_pass_at_k(truth: Truth) -> None:
    rates = truth.draw(200_000, np.random.default_rng(0))
    # The mean of 200,000 values in [0, 1] has a standard error of at most 0.0012.
    for k in (1, 8, 128):
        assert [np.mean(1 - (1 - rate) ** k) for rate in rates] == pytest.approx(truth.pass_at(k), abs=0.006)


def test_intervals_hold_the_truth() -> None:
    found = coverage((100, 20), 64, 5, np.random.default_rng(0))
    assert set(found) >= {"level", "family", "all", "samples", *(f"level: {truth.name}" for truth in POPULATIONS)}
    level = {name: share for name, share in found["level"].items() if name != "intervals"}
    # 500 intervals: at a coverage of 95 % the standard error of a share is 1 %.
    assert found["level"]["intervals"] == 500
    assert min(level.values()) >= 0.93
    # 50 intervals of ten levels each: at 93 % the standard error is 3.6 %; three of them below that.
    assert found["family"]["intervals"] == 50
    assert min(found["family"][name] for name in found["family"] if name != "intervals") >= 0.93 - 3 * 0.036


def verdicts(truths: tuple[Truth, ...], problems: int, repetitions: int) -> dict:
    return count_verdicts(truths, problems, 64, repetitions, np.random.default_rng(0))


@pytest.mark.parametrize(
    "truths", [EQUAL, FORM_ONLY, (*ANY_GUESS, *ONE_GUESS)], ids=["equal models", "form only", "guesses only"]
)
def test_without_a_change_nothing_is_claimed(truths: tuple[Truth, ...]) -> None:
    # At most 5 % of the measurements may claim anything: of 4, more than 1 with probability 1.4 %.
    found = verdicts(truths, 20, 4)
    assert found["any_claim"] <= 0.25
    assert sum(found["wrong_rate"].values()) <= 0.0025  # one of the 400 levels


def test_changes_are_found_and_few_claims_are_wrong() -> None:
    found = verdicts((*EQUAL, *CHANGED), 40, 2)
    assert found["false_discovery"] <= 0.05
    assert found["levels"]["opened, 100% of the problems"] == {"expanded": 1.0}
    assert found["levels"]["closed, 100% of the problems"] == {"diminished": 1.0}
    assert found["levels"]["pass@1 0.2 to 0.8"] == {"sharpened": 1.0}
    assert found["levels"]["opened, 50% of the problems"]["expanded"] >= 0.8
    columns = {line.count("|") for line in markdown([], {"mixed": [found]}).splitlines() if "expanded" in line}
    assert len(columns) == 2  # of the two tables of verdicts


def test_which_claims_are_wrong() -> None:
    opened, closed, sharper = (CHANGED[place] for place in (0, 5, 12))
    assert not is_wrong("expanded", opened, 64)
    assert is_wrong("diminished", opened, 64)
    assert is_wrong("expanded", closed, 64)
    assert not is_wrong("sharpened", sharper, 64)
    assert is_wrong("expanded", ANY_GUESS[0], 64)
    assert all(is_wrong(claim, EQUAL[0], 64) for claim in CLAIMS)
    assert not is_wrong("unclear", EQUAL[0], 64)
