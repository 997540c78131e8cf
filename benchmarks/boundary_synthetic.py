"""Intervals and verdicts of a boundary measurement where the truth is known: coverage, false claims, power.

    python benchmarks/boundary_synthetic.py

The models are made of numbers. Each problem of a level has a probability that a sample of the base, and of the trained
model, is right, drawn from a mixture of point masses and beta distributions; with it the exact pass@k of the level is
known. A repetition draws new problems and new samples.

Coverage: of 10,000 problems as 100 levels of 100, 250 of 40 and 500 of 20. The intervals over problems must hold the
population's pass@k, those over samples the pass@k of the very problems. Verdicts: measurements of 100 levels, whose
claims are compared with the true change. Tests and intervals of the verdicts have fewer resamples than in a
measurement, for time; that makes them noisier, and their p-values no smaller.
"""

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from record import finish, options_parser, run, whole_number

from prorl.evaluation.boundary import powers_of_two
from prorl.evaluation.budget import Budget
from prorl.evaluation.estimators import chance_at_k
from prorl.evaluation.intervals import mean_interval, samples_change_interval, samples_interval, stratified_interval
from prorl.evaluation.testing import guess_test, swap_test
from prorl.evaluation.verdicts import ALPHA, Change, LevelEvidence, judge_levels, judged_k

SHAPES = ((100, 100), (250, 40), (500, 20))
"""Levels and problems of each."""
SAMPLES = (128, 256)
LEVELS = 100
"""Of a measurement whose verdicts are counted."""
PROBLEMS = (20, 40, 100)
FAMILY = 10
"""Levels of a group."""
CLAIMS = ("expanded", "diminished", "sharpened")
RESAMPLES, FLIPS = 1000, 4000

Rate = float | tuple[float, float]
"""A problem's probability of a right sample: a number, or the two parameters of a beta distribution."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A share of the problems of a level."""

    share: float
    base: Rate
    trained: Rate | None = None
    """None: each problem's that of the base; else drawn for itself."""


@dataclass(frozen=True, slots=True)
class Truth:
    """A population of problems with both models on it."""

    name: str
    kinds: tuple[Kind, ...]
    form: float = 1.0
    """Share of the base's right answers that the strict reading accepts."""
    chance: float = 0.0
    """Of a guess, as stated."""

    def pass_at(self, k: int) -> tuple[float, float]:
        """Exact expectation of base and trained model, tolerantly read."""
        pairs = [(kind.share, kind.base, kind.base if kind.trained is None else kind.trained) for kind in self.kinds]
        base = sum(share * _expected(rate, k) for share, rate, _ in pairs)
        return base, sum(share * _expected(rate, k) for share, _, rate in pairs)

    def draw(self, problems: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities of base and trained model on new problems."""
        kinds = rng.choice(len(self.kinds), p=[kind.share for kind in self.kinds], size=problems)
        base, trained = np.empty(problems), np.empty(problems)
        for number, kind in enumerate(self.kinds):
            here = np.flatnonzero(kinds == number)
            base[here] = _drawn(kind.base, len(here), rng)
            trained[here] = base[here] if kind.trained is None else _drawn(kind.trained, len(here), rng)
        return base, trained


def _expected(rate: Rate, k: int) -> float:
    """E[1 - (1 - p)^k]; of a beta distribution 1 - prod_i (b + i) / (a + b + i), i below k."""
    if isinstance(rate, float):
        return 1 - (1 - rate) ** k
    a, b = rate
    return float(1 - np.prod([(b + i) / (a + b + i) for i in range(k)]))


def _drawn(rate: Rate, size: int, rng: np.random.Generator) -> np.ndarray:
    return np.full(size, rate) if isinstance(rate, float) else rng.beta(*rate, size=size)


POPULATIONS = (
    Truth("hard, a thin tail", (Kind(0.7, 0.0, (0.3, 20.0)), Kind(0.3, (0.3, 20.0), (0.6, 6.0)))),
    Truth("easy", (Kind(0.5, 1.0, 1.0), Kind(0.5, (5.0, 2.0), (8.0, 1.0)))),
    Truth("half and half", (Kind(0.3, 0.0, 0.0), Kind(0.3, 1.0, (9.0, 1.0)), Kind(0.4, (0.5, 0.5), (1.0, 0.5)))),
    Truth("rare", (Kind(1.0, (0.2, 10.0), (0.2, 4.0)),)),
    Truth("very rare", (Kind(0.95, 0.0, 0.0), Kind(0.05, (1.0, 60.0), (2.0, 30.0)))),
)
EQUAL = tuple(
    Truth(f"equal: {truth.name}", tuple(Kind(kind.share, kind.base) for kind in truth.kinds)) for truth in POPULATIONS
)


def _moved(name: str, share: float, before: Rate, after: Rate, rest: Rate = 0.0) -> Truth:
    """A share of the problems is changed."""
    return Truth(name, (Kind(share, before, after), Kind(1 - share, rest)))


CHANGED = (
    *(_moved(f"opened, {share:.0%} of the problems", share, 0.0, (4.0, 4.0)) for share in (1.0, 0.5, 0.3, 0.2, 0.1)),
    *(_moved(f"closed, {share:.0%} of the problems", share, (2.0, 20.0), 0.0) for share in (1.0, 0.5, 0.3, 0.2, 0.1)),
    *(_moved(f"pass@1 0.2 to {high / 10}", 1.0, (4.0, 16.0), (float(high), 10.0 - high)) for high in (3, 5, 8)),
)
MIXED = (*EQUAL * 3, *CHANGED)
"""15 equal levels and 13 changed ones, in turn."""
FORM_ONLY = tuple(Truth(f"form: {truth.name}", truth.kinds, form=0.0) for truth in EQUAL[1:4])
CHANCES = (0.5, 0.25, 0.1, 0.05, 0.01)
ANY_GUESS = tuple(Truth(f"guess: {chance}", (Kind(1.0, 0.0, chance),), chance=chance) for chance in CHANCES)
ONE_GUESS = tuple(
    Truth(f"one guess a problem: {chance}", (Kind(chance, 0.0, 1.0), Kind(1 - chance, 0.0)), chance=chance)
    for chance in CHANCES
)
UNDERSTATED = tuple(
    Truth(f"guess 1.5 times as good as stated: {chance}", (Kind(1.0, 0.0, 1.5 * chance),), chance=chance)
    for chance in CHANCES
)
MEASUREMENTS: dict[str, tuple[Truth, ...]] = {
    "equal models": EQUAL,
    "equal and changed levels": MIXED,
    "form only": FORM_ONLY,
    "guesses only": (*ANY_GUESS, *ONE_GUESS),
    "guesses, 1.5 times as good as stated": UNDERSTATED,
}


@dataclass(frozen=True, slots=True)
class Counts:
    """Right samples of both models, by problem."""

    samples: int
    base: np.ndarray
    base_strict: np.ndarray
    trained: np.ndarray

    @property
    def drawn(self) -> np.ndarray:
        return np.full(len(self.base), self.samples)

    def tables(self, ks: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """pass@k by problem: base tolerantly and strictly read, trained."""
        table = partial(Budget(self.samples).pass_at_k_table, self.drawn, ks=ks)
        return table(self.base), table(self.base_strict), table(self.trained)


def draw(truth: Truth, rates: tuple[np.ndarray, np.ndarray], samples: int, rng: np.random.Generator) -> Counts:
    """Samples of both models."""
    base, trained = (rng.binomial(samples, of_model) for of_model in rates)
    return Counts(samples, base, rng.binomial(base, truth.form), trained)


def evidence(truth: Truth, counts: Counts, rng: np.random.Generator) -> LevelEvidence:
    """What the rule looks at, as `evaluation.entries.change` makes it of a measurement."""
    k = judged_k(powers_of_two(counts.samples), truth.chance)
    ks = (1, k)
    tolerant, strict, trained = counts.tables(ks)
    differences = np.concatenate([trained - strict, trained - tolerant], axis=1)
    low, high = mean_interval((differences + 1) / 2, 0.0, 1.0, rng=rng, resamples=RESAMPLES)
    bounds = [(2 * float(a) - 1, 2 * float(b) - 1) for a, b in zip(low, high, strict=True)]
    found = []
    for column in range(2):
        p_strict = swap_test(differences[:, column], rng=rng, flips=FLIPS)
        p_tolerant = p_strict if truth.form == 1 else swap_test(differences[:, column + 2], rng=rng, flips=FLIPS)
        reached = float(trained[:, column].mean())
        found.append(
            Change(
                base=(float(strict[:, column].mean()), float(tolerant[:, column].mean())),
                trained=(reached, reached),
                intervals=(bounds[column], bounds[column + 2]),
                p_values=(p_strict, p_tolerant),
                p_guess=guess_test(reached, len(trained), chance_at_k(truth.chance, ks[column])),
            )
        )
    return LevelEvidence(*found)


def is_wrong(verdict: str, truth: Truth, samples: int) -> bool:
    """A claim that the exact numbers do not bear out; a guesser's rise is none."""
    k = judged_k(powers_of_two(samples), truth.chance)
    (base_1, trained_1), (base_k, trained_k) = truth.pass_at(1), truth.pass_at(k)
    guesses = "guess" in truth.name
    return {
        "expanded": guesses or trained_k <= base_k,
        "diminished": trained_k >= base_k,
        "sharpened": guesses or trained_1 <= base_1,
    }.get(verdict, False)


def count_verdicts(
    truths: Sequence[Truth], problems: int, samples: int, repetitions: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Claims in measurements of `LEVELS` levels, which take the truths in turn."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    wrong_shares, any_claim, wrong = [], 0, Counter[str]()
    for _ in range(repetitions):
        levels = [truths[number % len(truths)] for number in range(LEVELS)]
        seen = [evidence(t, draw(t, t.draw(problems, rng), samples, rng), rng) for t in levels]
        verdicts = [judgement.verdict for judgement in judge_levels(seen)]
        claims = [(v, is_wrong(v, t, samples)) for v, t in zip(verdicts, levels, strict=True) if v in CLAIMS]
        wrong_shares.append(sum(bad for _, bad in claims) / max(len(claims), 1))
        any_claim += bool(claims)
        wrong.update(verdict for verdict, bad in claims if bad)
        for truth, verdict in zip(levels, verdicts, strict=True):
            found[truth.name][verdict] += 1
    total = repetitions * LEVELS
    return {
        "problems": problems,
        "samples": samples,
        "repetitions": repetitions,
        "wrong_rate": {verdict: wrong[verdict] / total for verdict in CLAIMS},
        "false_discovery": float(np.mean(wrong_shares)),
        "any_claim": any_claim / repetitions,
        "levels": {name: {v: n / counts.total() for v, n in counts.items()} for name, counts in found.items()},
    }


def coverage(
    shape: tuple[int, int], samples: int, repetitions: int, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Share of intervals that hold the truth, by what they are of and by number: pass@1, pass@8 and pass@K."""
    num_levels, problems = shape
    ks = (1, 8, samples)
    hits: dict[str, list[np.ndarray]] = defaultdict(list)
    exact = {truth.name: np.array([truth.pass_at(k) for k in ks]).T for truth in POPULATIONS}
    for _ in range(repetitions):
        levels = [POPULATIONS[number % len(POPULATIONS)] for number in range(num_levels)]
        tables, truths = [], []
        for truth in levels:
            rates = truth.draw(problems, rng)
            counts = draw(truth, rates, samples, rng)
            table = _columns(counts.tables(ks))
            tables.append(table)
            truths.append(np.concatenate([*exact[truth.name], exact[truth.name][1] - exact[truth.name][0]]))
            of_mean, of_samples = _of_mean(table, rng), _of_samples(counts, ks[:2])
            exact_samples = _exact_samples(rates, ks[:2])
            for ending in ("", f": {truth.name}"):
                _add(hits, f"level{ending}", of_mean, truths[-1])
                _add(hits, f"samples{ending}", of_samples, exact_samples)
        for name, size in (("family", FAMILY), ("all", num_levels)):
            for start in range(0, num_levels, size):
                inside = np.concatenate(tables[start : start + size])
                bounds = stratified_interval(inside, np.repeat(np.arange(size), problems), rng=rng, resamples=RESAMPLES)
                _add(hits, name, bounds, np.mean(truths[start : start + size], axis=0))
    names = [f"{what} pass@{k}" for what in ("base", "trained", "change") for k in ks]
    found = {}
    for scope, of_scope in hits.items():
        columns = [name for name in names if not (scope.startswith("samples") and name.endswith(f"@{samples}"))]
        shares = np.concatenate(of_scope).mean(axis=0)
        found[scope] = {"intervals": float(sum(map(len, of_scope))), **dict(zip(columns, shares.tolist(), strict=True))}
    return found


def _columns(tables: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    base, _, trained = tables
    return np.concatenate([base, trained, trained - base], axis=1)


def _of_mean(table: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The last third is of changes, between -1 and 1."""
    third = table.shape[1] // 3
    scale, shift = np.repeat([1.0, 1.0, 2.0], third), np.repeat([0.0, 0.0, 1.0], third)
    low, high = mean_interval((table + shift) / scale, 0.0, 1.0, rng=rng, resamples=RESAMPLES)
    return low * scale - shift, high * scale - shift


def _add(
    hits: dict[str, list[np.ndarray]], scope: str, bounds: tuple[np.ndarray, np.ndarray], truth: np.ndarray
) -> None:
    low, high = bounds
    hits[scope].append(((low - 1e-9 <= truth) & (truth <= high + 1e-9))[None, :])


def _exact_samples(rates: tuple[np.ndarray, np.ndarray], ks: Sequence[int]) -> np.ndarray:
    """pass@k of these very problems: base, trained, change."""
    base, trained = (np.array([np.mean(1 - (1 - rate) ** k) for k in ks]) for rate in rates)
    return np.concatenate([base, trained, trained - base])


def _of_samples(counts: Counts, ks: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Of the same problems under other samples."""
    strata, base, trained = np.zeros(len(counts.base), int), counts.base, counts.trained
    bounds = [samples_interval(counts.drawn, right, k, strata) for right in (base, trained) for k in ks]
    pairs = ((counts.drawn, base), (counts.drawn, trained))
    bounds += [samples_change_interval(*pairs, k, strata) for k in ks]
    assert None not in bounds, "every k is below the number of samples"
    low, high = np.array(bounds, dtype=float).T
    return low, high


def markdown(coverages: Sequence[Mapping[str, Any]], verdicts: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    columns = [f"{what} pass@{k}" for what in ("base", "trained", "change") for k in ("1", "8", "K")]
    lines = [f"| levels x problems | K | interval | number | {' | '.join(columns)} |"]
    lines.append("|---|--:|---|--:|" + "--:|" * len(columns))
    for row in coverages:
        for scope, shares in row["coverage"].items():
            cells = [shares.get(column.replace("@K", f"@{row['samples']}")) for column in columns]
            said = " | ".join("" if cell is None else f"{cell:.1%}" for cell in cells)
            size = f"{row['levels']} x {row['problems']} | {row['samples']} | {scope}"
            lines.append(f"| {size} | {shares['intervals']:.0f} | {said} |")
    lines += [
        "",
        f"| measurements of {LEVELS} levels | problems | repetitions | {' | '.join(map('wrongly {}'.format, CLAIMS))}",
    ]
    lines[-1] += " | wrong of the claims | measurements with a claim |"
    lines.append("|---|" + "--:|" * (len(CLAIMS) + 4))
    for name, rows in verdicts.items():
        for row in rows:
            rates = " | ".join(f"{row['wrong_rate'][claim]:.2%}" for claim in CLAIMS)
            shares = f"{row['false_discovery']:.2%} | {row['any_claim']:.1%}"
            lines.append(f"| {name} | {row['problems']} | {row['repetitions']} | {rates} | {shares} |")
    lines += [
        "",
        f"| level | problems | pass@1 | pass@k | {' | '.join(CLAIMS)} |",
        "|---|--:|---|---|" + "--:|" * len(CLAIMS),
    ]
    truths = {truth.name: truth for of_measurement in MEASUREMENTS.values() for truth in of_measurement}
    for row in (row for rows in verdicts.values() for row in rows):
        for name, rates in row["levels"].items():
            k = judged_k(powers_of_two(row["samples"]), truths[name].chance)
            curves = " | ".join("{:.3f} to {:.3f}".format(*truths[name].pass_at(each)) for each in (1, k))
            said = " | ".join(f"{rates.get(claim, 0.0):.1%}" for claim in CLAIMS)
            lines.append(f"| {name} | {row['problems']} | {curves} | {said} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--repetitions", type=whole_number, default=50, help="measurements of each kind")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    options = parse()
    start = time.process_time()
    coverages = []
    for number, (levels, problems) in enumerate(SHAPES):
        samples = SAMPLES[number % len(SAMPLES)]
        repetitions = max(1, options.repetitions * 50 // levels)
        found = coverage((levels, problems), samples, repetitions, np.random.default_rng((options.seed, 0, number)))
        coverages.append({"levels": levels, "problems": problems, "samples": samples, "coverage": found})
    half = time.process_time() - start
    verdicts = {
        name: [
            count_verdicts(
                truths,
                problems,
                SAMPLES[0],
                max(1, options.repetitions * 20 // problems if place else options.repetitions),
                np.random.default_rng((options.seed, 1, place, problems)),
            )
            for problems in PROBLEMS
        ]
        for place, (name, truths) in enumerate(MEASUREMENTS.items())
    }
    seconds = time.process_time() - start
    settings = {"alpha": ALPHA, "resamples": RESAMPLES, "flips": FLIPS, "seed": options.seed}
    result = {**settings, "cpu_seconds": round(seconds), "coverage": coverages, "verdicts": verdicts}
    said = ", ".join(f"{name} {value}" for name, value in settings.items())
    table = f"{said}; {seconds:.0f} CPU seconds, {half:.0f} of them for coverage\n\n{markdown(coverages, verdicts)}"
    finish(options, "boundary_synthetic", result, table)


if __name__ == "__main__":
    run(main)
