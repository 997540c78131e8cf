"""Stage 8, decision: the health rules, which raise an alarm when a run is about to collapse.

Pure, like the schedule that calls it. A rule acts when it is broken `health.window` steps in a row; it is logged when
that begins, not in each step that it lasts.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prorl.config import Health
from prorl.records import OUTCOMES

NONFINITE = "updates_skipped"
NONFINITE_STEPS = 3
"""Steps in a row with a skipped update that stop every run."""

Metrics = Mapping[str, float]
Alarm = Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True)
class HealthState:
    """What the rules remember between two steps."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """By rule: the steps in a row in which it is broken. Rules that hold are absent."""
    alarms: tuple[str, ...] = ()
    """Rules that have been logged and are broken still."""


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule that is broken in one step."""

    rule: str
    value: float
    limit: float
    window: int
    stops: bool

    def __str__(self) -> str:
        if self.rule == NONFINITE:
            return "three non-finite updates in a row: lower optimizer.learning_rate, or look at the saved batch"
        side = "below" if self.rule.startswith("min_") else "above"
        return f"{self.value:.4g} is {side} health.{self.rule} = {self.limit:g}, {self.window} steps in a row"


def check_health(
    options: Health, state: HealthState, metrics: Metrics
) -> tuple[HealthState, tuple[Alarm, ...], str | None]:
    """The state after a step, the alarms that begin with it, and why the run has to stop (None: it goes on).

    A metric that is absent breaks no rule and ends the run of steps that did; one that is not a number breaks it. A run
    that is resumed after such a stop stops again in its first step, unless that is better or the option is changed.
    """
    breaches = _breaches(options, metrics)
    counts = {breach.rule: state.counts.get(breach.rule, 0) + 1 for breach in breaches}
    acting = [breach for breach in breaches if counts[breach.rule] >= breach.window or breach.rule in state.alarms]
    begun = tuple(_alarm(breach) for breach in acting if breach.rule not in state.alarms)
    reasons = [str(breach) for breach in acting if breach.stops]
    stop = "health: " + "; ".join(reasons) if reasons else None
    return HealthState(counts, tuple(breach.rule for breach in acting)), begun, stop


def finite(value: float) -> float | str:
    """The value as JSON can hold it: "nan" and "inf" as text."""
    return value if math.isfinite(value) else str(value)


def _entropy(metrics: Metrics) -> float | None:
    return metrics.get("entropy")


def _kl(metrics: Metrics) -> float | None:
    return metrics.get("kl/reference")


def _truncated(metrics: Metrics) -> float | None:
    return metrics.get("truncated_fraction")


def _engine_kl(metrics: Metrics) -> float | None:
    return metrics.get("kl/engine")


def _verifier_errors(metrics: Metrics) -> float | None:
    """Share of `error` among all outcomes."""
    total = sum(metrics.get(f"outcomes/{outcome}", 0.0) for outcome in OUTCOMES)
    return metrics.get("outcomes/error", 0.0) / total if total else None


def _dead_groups(metrics: Metrics) -> float | None:
    """Share of the drawn groups that taught nothing; a surplus group would have, had there been room."""
    drawn, kept = metrics.get("groups/drawn"), metrics.get("groups/kept")
    if not drawn or kept is None:
        return None
    return (drawn - kept - metrics.get("groups/surplus", 0.0)) / drawn


RULES: dict[str, Callable[[Metrics], float | None]] = {
    "min_entropy": _entropy,
    "max_kl": _kl,
    "max_truncated": _truncated,
    "max_verifier_errors": _verifier_errors,
    "max_dead_groups": _dead_groups,
    "max_engine_kl": _engine_kl,
}
"""What each option of `Health` bounds: from below where it is called `min_...`, from above otherwise."""

ZERO_IS_OFF = frozenset({"min_entropy", "max_kl"})


def _breaches(options: Health, metrics: Metrics) -> list[Breach]:
    """The rules that are broken in this step."""
    found = []
    for rule, read in RULES.items():
        limit: float = getattr(options, rule)
        value = read(metrics)
        if value is None or (rule in ZERO_IS_OFF and limit == 0):
            continue
        holds = value >= limit if rule.startswith("min_") else value <= limit
        if not holds:
            found.append(Breach(rule, value, limit, options.window, options.action == "stop"))
    skipped = metrics.get(NONFINITE, 0.0)
    if not skipped <= 0:
        found.append(Breach(NONFINITE, skipped, 0.0, NONFINITE_STEPS, stops=True))
    return found


def _alarm(breach: Breach) -> Alarm:
    """The fields of the alarm's line in `events.jsonl`."""
    return {
        "rule": breach.rule,
        "value": finite(breach.value),
        "limit": breach.limit,
        "window": breach.window,
        "action": "stop" if breach.stops else "warn",
    }
