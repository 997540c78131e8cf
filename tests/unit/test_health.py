"""The health rules: what breaks each, how long it takes to act, and what is said."""

import math

import pytest

from prorl.config import Health
from prorl.health import RULES, HealthState, check_health, finite

# Every rule with its bound: metrics that just hold, metrics that just break it, the value that is reported.
QUIET = Health()
BOUNDS: dict[str, tuple[Health, dict[str, float], dict[str, float], float]] = {
    "min_entropy": (Health(min_entropy=0.25), {"entropy": 0.25}, {"entropy": 0.125}, 0.125),
    "max_kl": (Health(max_kl=0.5), {"kl/reference": 0.5}, {"kl/reference": 0.75}, 0.75),
    "max_truncated": (Health(max_truncated=0.5), {"truncated_fraction": 0.5}, {"truncated_fraction": 0.625}, 0.625),
    # 2 of 8 and 4 of 8 outcomes
    "max_verifier_errors": (
        Health(max_verifier_errors=0.25),
        {"outcomes/error": 2, "outcomes/correct": 3, "outcomes/timeout": 3},
        {"outcomes/error": 4, "outcomes/correct": 1, "outcomes/wrong": 1, "outcomes/partial": 1, "outcomes/timeout": 1},
        0.5,
    ),
    # 8 drawn: 2 kept and 2 surplus leave 4 dead; 1 and 1 leave 6.
    "max_dead_groups": (
        Health(max_dead_groups=0.5),
        {"groups/drawn": 8, "groups/kept": 2, "groups/surplus": 2},
        {"groups/drawn": 8, "groups/kept": 1, "groups/surplus": 1},
        0.75,
    ),
    "max_engine_kl": (Health(max_engine_kl=0.25), {"kl/engine": 0.25}, {"kl/engine": 0.5}, 0.5),
}


def outcomes(options: Health, steps: list[dict[str, float]]) -> list[tuple[list[str], bool]]:
    """By step: the alarms that begin, and whether the run stops."""
    state, told = HealthState(), []
    for metrics in steps:
        state, alarms, stop = check_health(options, state, metrics)
        told.append(([str(alarm["rule"]) for alarm in alarms], stop is not None))
    return told


def test_every_rule_has_a_row() -> None:
    assert BOUNDS.keys() == RULES.keys()


@pytest.mark.parametrize("rule", BOUNDS)
def test_bound(rule: str) -> None:
    """At the bound a rule holds, beyond it the window's last step raises one alarm, and a good step ends it."""
    options, good, bad, value = BOUNDS[rule]
    quiet, begins = ([], False), ([rule], False)
    assert outcomes(options, [good] * 5) == [quiet] * 5
    assert outcomes(options, [bad, bad, good, bad, bad]) == [quiet] * 5
    assert outcomes(options, [bad, bad, {}, bad, bad]) == [quiet] * 5
    assert outcomes(options, [bad] * 5) == [quiet, quiet, begins, quiet, quiet]
    assert outcomes(options, [bad] * 4 + [good] + [bad] * 3) == [quiet, quiet, begins, *[quiet] * 4, begins]
    state = HealthState({rule: 2})
    _, (alarm,), _ = check_health(options, state, bad)
    limit = next(iter(good.values())) if rule in ("min_entropy", "max_kl", "max_truncated", "max_engine_kl") else None
    assert alarm == {
        "rule": rule,
        "value": value,
        "limit": limit if limit is not None else {"max_verifier_errors": 0.25, "max_dead_groups": 0.5}[rule],
        "window": 3,
        "action": "warn",
    }


@pytest.mark.parametrize("rule", BOUNDS)
def test_a_value_that_is_no_number_breaks_the_rule(rule: str) -> None:
    options, good, _, _ = BOUNDS[rule]
    bad = dict.fromkeys(good, math.nan)
    state, alarms, stop = check_health(options, HealthState({rule: 2}), bad)
    assert (state.counts, stop) == ({rule: 3}, None)
    assert [alarm["value"] for alarm in alarms] == ["nan"]


@pytest.mark.parametrize("rule", BOUNDS)
def test_stop(rule: str) -> None:
    """The same step stops the run; a resumed one stops again as long as the rule is broken."""
    options, good, bad, _ = BOUNDS[rule]
    stopping = Health(**{rule: getattr(options, rule)}, action="stop")
    steps = outcomes(stopping, [bad, bad, bad, bad, good, bad])
    assert steps == [([], False), ([], False), ([rule], True), ([], True), ([], False), ([], False)]


def test_reasons() -> None:
    options = Health(min_entropy=0.5, max_kl=0.25, window=2, action="stop")
    state = HealthState({"min_entropy": 1, "max_kl": 1})
    _, alarms, stop = check_health(options, state, {"entropy": 0.125, "kl/reference": 1.5})
    assert stop == (
        "health: 0.125 is below health.min_entropy = 0.5, 2 steps in a row; "
        "1.5 is above health.max_kl = 0.25, 2 steps in a row"
    )
    assert [alarm["action"] for alarm in alarms] == ["stop", "stop"]


def test_off_by_default() -> None:
    """Entropy 0 and any KL, truncation and dead share are no alarm without a bound; 0 switches off for NaN as well."""
    metrics = {
        "entropy": 0.0,
        "kl/reference": 99.0,
        "truncated_fraction": 1.0,
        "groups/drawn": 9,
        "groups/kept": 0,
        "kl/engine": 0.1,
        "outcomes/error": 5,
        "outcomes/correct": 95,
    }
    assert check_health(QUIET, HealthState(), metrics) == (HealthState(), (), None)
    assert check_health(QUIET, HealthState(), {"entropy": math.nan, "kl/reference": math.nan}) == (
        HealthState(),
        (),
        None,
    )


def test_on_by_default() -> None:
    """Above 5 % verifier errors and above 0.1 engine mismatch, from the third step."""
    bad = {"outcomes/error": 6, "outcomes/correct": 94, "kl/engine": 0.11}
    assert outcomes(QUIET, [bad] * 3)[-1] == (["max_verifier_errors", "max_engine_kl"], False)


@pytest.mark.parametrize(
    "metrics",
    [{"groups/drawn": 0, "groups/kept": 0}, {"groups/drawn": 4}, {"groups/kept": 0}, {"outcomes/error": 0}, {}],
)
def test_a_share_of_nothing_breaks_nothing(metrics: dict[str, float]) -> None:
    options = Health(max_dead_groups=0.0, max_verifier_errors=0.0, window=1)
    assert check_health(options, HealthState(), metrics) == (HealthState(), (), None)


def test_shares_are_the_same_for_counts_and_for_fractions() -> None:
    options = Health(max_verifier_errors=0.1, window=1)
    for metrics in ({"outcomes/error": 2, "outcomes/wrong": 6}, {"outcomes/error": 0.25, "outcomes/wrong": 0.75}):
        _, (alarm,), _ = check_health(options, HealthState(), metrics)
        assert alarm["value"] == 0.25


def test_a_bound_of_zero_is_a_bound() -> None:
    """Only entropy and KL are off at 0."""
    options = Health(max_truncated=0.0, max_verifier_errors=0.0, max_dead_groups=0.0, max_engine_kl=0.0, window=1)
    bad = {
        "truncated_fraction": 0.1,
        "outcomes/error": 1,
        "outcomes/wrong": 9,
        "groups/drawn": 9,
        "groups/kept": 8,
        "kl/engine": 0.1,
    }
    assert outcomes(options, [bad])[0][0] == [rule for rule in RULES if rule not in ("min_entropy", "max_kl")]
    assert outcomes(options, [{"outcomes/wrong": 9, "groups/drawn": 9, "groups/kept": 9}]) == [([], False)]


def test_dead_share_without_surplus() -> None:
    _, (alarm,), _ = check_health(
        Health(max_dead_groups=0.5, window=1), HealthState(), {"groups/drawn": 8, "groups/kept": 2}
    )
    assert alarm["value"] == 0.75


def test_three_non_finite_updates_stop_whatever_the_options() -> None:
    skipped, fine = {"updates_skipped": 1.0}, {"updates_skipped": 0.0}
    options = Health(window=9, action="warn")
    assert outcomes(options, [skipped, skipped, fine, skipped, skipped, {}, skipped]) == [([], False)] * 7
    assert outcomes(options, [skipped] * 4) == [
        ([], False),
        ([], False),
        (["updates_skipped"], True),
        ([], True),
    ]
    _, (alarm,), stop = check_health(options, HealthState({"updates_skipped": 2}), {"updates_skipped": 4.0})
    assert alarm == {"rule": "updates_skipped", "value": 4.0, "limit": 0.0, "window": 3, "action": "stop"}
    assert stop is not None
    assert "three non-finite updates in a row" in stop


def test_an_alarm_outlives_a_change_of_its_window() -> None:
    """A new phase's window neither repeats an alarm that lasts nor misses one that is overdue."""
    bad = {"entropy": 0.0}
    state, alarms, _ = check_health(
        Health(min_entropy=1.0, window=9), HealthState({"min_entropy": 3}, ("min_entropy",)), bad
    )
    assert (state, alarms) == (HealthState({"min_entropy": 4}, ("min_entropy",)), ())
    state, alarms, _ = check_health(Health(min_entropy=1.0, window=2), HealthState({"min_entropy": 5}), bad)
    assert state == HealthState({"min_entropy": 6}, ("min_entropy",))
    assert len(alarms) == 1


def test_the_state_that_goes_in_stays_as_it_was() -> None:
    counts = {"min_entropy": 2, "max_kl": 1}
    check_health(Health(min_entropy=1.0), HealthState(counts), {"entropy": 0.0})
    assert counts == {"min_entropy": 2, "max_kl": 1}


def test_finite() -> None:
    assert [finite(value) for value in (0.5, math.nan, math.inf, -math.inf)] == [0.5, "nan", "inf", "-inf"]
