"""Stage 7, the rule: what changed on one level between base and trained model, in one word. It measures nothing.

A claim of change (expanded, diminished, sharpened) needs a test that survives the correction for the number of levels,
an interval on the right side of 0, and both readings of the answers; what rose must be more than guessing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from prorl.evaluation.estimators import chance_at_k
from prorl.evaluation.testing import benjamini_hochberg

Verdict = Literal["expanded", "sharpened", "diminished", "unchanged", "unsolved", "unclear"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
ALPHA = 0.05
"""Stated error rate of the tests, and 1 less the level of the intervals."""
MARGIN = 0.2
"""A change is shown to be none of note where its interval lies within plus and minus this."""
MAX_UNSOLVED = 0.05
"""Neither model solves a level where both pass@k are at most this, in both readings."""
MIN_OPENED = 0.5
"""An expanded level that the base did not solve is opened where trained pass@1 is at least this."""
MAX_GUESSED = 0.5
"""A level is judged at the largest k at which guessing gives pass@k of at most this."""
ROUNDING = 1e-9

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Change:
    """A number of a level, at one k: base, trained, and the difference by both readings."""

    base: tuple[float, float]
    """Strictly, then tolerantly read; so are the other pairs."""
    trained: tuple[float, float]
    intervals: tuple[Interval, Interval]
    """Of trained less base."""
    p_values: tuple[float, float]
    """Of the test that the models are equal."""
    p_guess: float
    """Of the test that the trained model, strictly read, does no better than guessing."""

    @property
    def difference(self) -> tuple[float, float]:
        return self.trained[0] - self.base[0], self.trained[1] - self.base[1]

    def p_rise(self) -> float:
        """Both readings rose and guessing does not explain it: the largest p-value, 1 where an interval has 0 in it."""
        return max(*self.p_values, self.p_guess) if self.rises else 1.0

    def p_fall(self) -> float:
        return max(self.p_values) if self.falls else 1.0

    @property
    def rises(self) -> bool:
        return all(low > ROUNDING for low, _ in self.intervals)

    @property
    def falls(self) -> bool:
        return all(high < -ROUNDING for _, high in self.intervals)

    def is_within(self, margin: float) -> bool:
        """The tolerant reading shows no change of note."""
        low, high = self.intervals[1]
        return -margin < low and high < margin


@dataclass(frozen=True, slots=True)
class LevelEvidence:
    """What the rule looks at. `at_k` is `at_1` where the level is judged at k = 1."""

    at_1: Change
    at_k: Change

    @property
    def is_unsolved(self) -> bool:
        return max(*self.at_k.base, *self.at_k.trained) <= MAX_UNSOLVED + ROUNDING


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    reason: str
    q_1: float
    """q-value of a rise of pass@1: the smallest rate of false claims at which it would count."""
    q_k: float
    """Of the change of pass@k, in the direction in which it went."""


def judged_k(ks: Sequence[int], chance: float) -> int:
    """The largest k at which a guesser who is right with probability `chance` is seldom right by luck; at least 1."""
    return max((k for k in ks if chance_at_k(chance, k) <= MAX_GUESSED), default=min(ks))


def judge_levels(levels: Sequence[LevelEvidence], *, alpha: float = ALPHA, margin: float = MARGIN) -> list[Judgement]:
    """The verdict of every level of a measurement, with the share of wrong ones of each kind of claim held at `alpha`.

    Benjamini and Hochberg over the levels, whose problems and samples are independent, for rises of pass@k, falls of
    pass@k and rises of pass@1 by themselves: of the levels called expanded at most `alpha` are so wrongly, on average,
    and so for the other two.
    """
    if not levels:
        return []
    rise, fall, first = (
        benjamini_hochberg(np.array([1.0 if level.is_unsolved else p(level) for level in levels])) for p in _CLAIMS
    )
    found = []
    for level, q_rise, q_fall, q_1 in zip(levels, rise, fall, first, strict=True):
        verdict, reason = _verdict(level, (q_rise <= alpha, q_fall <= alpha, q_1 <= alpha), margin)
        q_k = q_fall if max(level.at_k.difference) < -ROUNDING else q_rise
        found.append(Judgement(verdict, reason, float(q_1), float(q_k)))
    return found


_CLAIMS: tuple[Callable[[LevelEvidence], float], ...] = (
    lambda level: level.at_k.p_rise(),
    lambda level: level.at_k.p_fall(),
    lambda level: 1.0 if level.at_k is level.at_1 else level.at_1.p_rise(),
)
"""The p-value of each kind of claim: expanded, diminished, sharpened."""


def _verdict(level: LevelEvidence, sure: tuple[bool, bool, bool], margin: float) -> tuple[Verdict, str]:
    at_1, at_k = level.at_1, level.at_k
    same = at_k.is_within(margin)
    rises, falls, rises_first = sure
    rules: dict[Verdict, tuple[bool, str]] = {
        "unsolved": (level.is_unsolved, f"pass@k of both models is at most {MAX_UNSOLVED}"),
        "expanded": (rises, "pass@k rose in both readings"),
        "diminished": (falls, "pass@k fell in both readings"),
        "sharpened": (same and rises_first, "pass@1 rose in both readings, pass@k did not change by the margin"),
        "unchanged": (same and at_1.is_within(margin), _why_unchanged(at_1, at_k)),
        "unclear": (True, _why_unclear(at_1, at_k, same)),
    }
    return next((verdict, reason) for verdict, (holds, reason) in rules.items() if holds)


def _why_unchanged(at_1: Change, at_k: Change) -> str:
    if any(change.intervals[0][0] > ROUNDING for change in (at_1, at_k)):
        return "only the form of the answer changed: tolerantly read, neither number changed by the margin"
    return "neither pass@1 nor pass@k changed by the margin"


def _why_unclear(at_1: Change, at_k: Change, same: bool) -> str:
    reasons = {
        "what rose is no more than guessing": at_k.intervals[0][0] > ROUNDING and at_k.p_guess > ALPHA,
        "the readings disagree: it may be the form of the answer": (at_k.intervals[0][0] > ROUNDING)
        != (at_k.intervals[1][0] > ROUNDING),
        "pass@1 fell": same and at_1.falls,
        "pass@k changed, but not beyond the correction for the number of levels": at_k.rises or at_k.falls,
        "pass@1 may have changed": same,
        "too few problems to tell": True,
    }
    return next(reason for reason, holds in reasons.items() if holds)


def is_opened(verdict: Verdict, base: Mapping[str, float], trained: Mapping[str, float], k: int, chance: float) -> bool:
    """An expanded level that the base did not solve in k samples and the trained model mostly does in one.

    `base` and `trained`: numbers by name, `pass@k` and `tolerant/pass@k`; pass@1 counts above chance.
    """
    unsolved = max(base[f"pass@{k}"], base[f"tolerant/pass@{k}"]) <= MAX_UNSOLVED + ROUNDING
    corrected = (trained["pass@1"] - chance) / (1.0 - chance) if chance < 1 else 0.0
    return verdict == "expanded" and unsolved and corrected >= MIN_OPENED - ROUNDING


def rules(alpha: float = ALPHA, margin: float = MARGIN) -> dict[str, str]:
    """The rule in words."""
    return {
        "order": "the verdict is the first that holds: unsolved, expanded, diminished, sharpened, unchanged, unclear",
        "unsolved": f"pass@k of both models is at most {MAX_UNSOLVED} in both readings",
        "expanded": "pass@k rose, in the strict and in the tolerant reading, and the trained model does better than "
        "guessing",
        "diminished": "pass@k fell, in the strict and in the tolerant reading",
        "sharpened": f"pass@k did not change by {margin:g} or more (tolerant reading), and pass@1 rose in both "
        "readings above guessing",
        "unchanged": f"neither pass@1 nor pass@k changed by {margin:g} or more in the tolerant reading: the intervals "
        "exclude it",
        "unclear": "anything else; the reason says what is missing",
        "rose, fell": f"the {100 * (1 - alpha):g} % interval of the change over problems excludes 0, and the test of "
        f"equal models has a q-value of at most {alpha:g}",
        "error rate": f"Benjamini and Hochberg over the levels, for each kind of claim by itself: of the levels called "
        f"expanded at most {alpha:g} are so wrongly, on average, and so for diminished and sharpened",
        "k": f"the largest k measured at which guessing gives pass@k of at most {MAX_GUESSED}; guessing is the stated "
        "chance of the task, or the rate at which the models' own answers to other problems of the level are right, "
        "whichever is larger; 1 where guessing is right more often than that",
        "guessing": "a rise counts where the trained model is above the pass@k of guessing (Chernoff and Hoeffding), "
        "and where its answers are right more often for their own problems than for others of the level (conditional "
        "binomial)",
        "opened": f"expanded, with base pass@K at most {MAX_UNSOLVED} in both readings at the largest K, and trained "
        f"pass@1, corrected for chance, at least {MIN_OPENED}; summary.expanded_levels lists these",
    }
