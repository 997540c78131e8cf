"""Stage 7, the rule: what changed on one level between base and trained model, in one word. It measures nothing.

A claim of change (expanded, diminished, sharpened) needs a test that survives the correction for the number of levels,
an interval on the right side of 0, and both readings of the answers; what rose must be more than guessing.
"""

from collections.abc import Mapping, Sequence
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
        """Both readings rose and guessing does not explain it: the largest p-value, 1 where one did not rise."""
        return max(*self.p_values, self.p_guess) if min(self.difference) > ROUNDING else 1.0

    def p_fall(self) -> float:
        return max(self.p_values) if max(self.difference) < -ROUNDING else 1.0

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
    """What the rule looks at."""

    at_1: Change
    at_k: Change


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    reason: str
    q_1: float
    """q-value of the change of pass@1: the smallest rate of false claims at which it would count."""
    q_k: float


def judged_k(ks: Sequence[int], chance: float) -> int:
    """The largest k at which a guesser who is right with probability `chance` is seldom right by luck; at least 1."""
    return max((k for k in ks if chance_at_k(chance, k) <= MAX_GUESSED), default=min(ks))


def judge_levels(levels: Sequence[LevelEvidence], *, alpha: float = ALPHA, margin: float = MARGIN) -> list[Judgement]:
    """The verdict of every level of a measurement, with the rate of false claims among all of them held at `alpha`.

    Benjamini and Hochberg over the levels, whose problems and samples are independent: of the levels called expanded
    or diminished at most `alpha` are so wrongly, on average; where the models are equal, at most `alpha` of the
    measurements name any level at all.
    """
    if not levels:
        return []
    q_1, q_k = (
        benjamini_hochberg(np.array([min(change.p_rise(), change.p_fall()) for change in changes]))
        for changes in ([level.at_1 for level in levels], [level.at_k for level in levels])
    )
    found = []
    for level, of_1, of_k in zip(levels, q_1, q_k, strict=True):
        verdict, reason = _verdict(level, of_1 <= alpha, of_k <= alpha, margin)
        found.append(Judgement(verdict, reason, float(of_1), float(of_k)))
    return found


def _verdict(level: LevelEvidence, sure_1: bool, sure_k: bool, margin: float) -> tuple[Verdict, str]:
    at_1, at_k = level.at_1, level.at_k
    same = at_k.is_within(margin)
    rules: dict[Verdict, tuple[bool, str]] = {
        "unsolved": (max(*at_k.base, *at_k.trained) <= MAX_UNSOLVED + ROUNDING, "neither model solves it"),
        "expanded": (sure_k and at_k.p_rise() < 1 and at_k.rises, "pass@k rose in both readings"),
        "diminished": (sure_k and at_k.p_fall() < 1 and at_k.falls, "pass@k fell in both readings"),
        "sharpened": (
            same and sure_1 and at_1.p_rise() < 1 and at_1.rises,
            "pass@1 rose in both readings, pass@k did not change by the margin",
        ),
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
        "error rate": f"Benjamini and Hochberg over the levels: at most {alpha:g} of the claims of one kind are wrong "
        f"on average, and of measurements of two equal models at most {alpha:g} claim anything",
        "k": f"the largest k measured at which guessing gives pass@k of at most {MAX_GUESSED}; guessing is the stated "
        "chance of the task, or the rate at which the models' own answers to other problems of the level are right, "
        "whichever is larger",
        "opened": f"expanded, with base pass@K at most {MAX_UNSOLVED} in both readings at the largest K, and trained "
        f"pass@1, corrected for chance, at least {MIN_OPENED}; summary.expanded_levels lists these",
    }
