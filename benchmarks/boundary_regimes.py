"""How often the rule for the regimes of a run names the right one, where the truth is known.

Problems are drawn from a mixture: each kind of problem has one probability that a sample is right at base, one at the
middle and one at the end of the run, so that the mean pass@128 of all three, and with it the regime, is known. The
mixtures follow the curves of arXiv 2505.24864 (figures of section 4 and its appendix; pass@128 of base, middle, end).
A repetition draws new problems and new samples and asks `evaluation.regimes.regime` once.

    python benchmarks/boundary_regimes.py

A wrong verdict is one of the three regimes that is not the true one, or any of them where there is none. Unclear is
not wrong, and none is not where pass@1 rose: it says that no rise was found. Intervals here have fewer resamples than
in a measurement, for time; that makes them noisier, not narrower.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from record import finish, options_parser, run, whole_number

from prorl.evaluation.budget import Budget
from prorl.evaluation.regimes import REGIMES, Verdict, regime

K = 128
PROBLEMS = (30, 100, 500)
SAMPLES = (128, 256)
LEVELS = 5
ALPHA = 0.05
RESAMPLES = 250

Kind = tuple[float, tuple[float, float, float]]
"""Share of the problems, and their probability of a right sample at base, middle and end."""


@dataclass(frozen=True, slots=True)
class Truth:
    """A population of problems and the regime that its exact pass@1 and pass@K have."""

    name: str
    regime: Verdict
    kinds: Sequence[Kind]

    def pass_at(self, k: int) -> np.ndarray:
        """Exact mean pass@k of base, middle, end."""
        shares, rates = np.array([share for share, _ in self.kinds]), np.array([rates for _, rates in self.kinds])
        return shares @ (1 - (1 - rates) ** k)


TRUTHS = (
    Truth("dice: 0, .89, 1", "sustained", ((0.88, (0.0, 0.03, 0.4)), (0.12, (0.0, 0.002, 0.35)))),
    Truth(
        "one level after the other",
        "sustained",
        ((0.3, (0.3, 0.6, 0.9)), (0.25, (0.0, 0.05, 0.4)), (0.25, (0.0, 0.0005, 0.3)), (0.2, (0.0, 0.0, 0.0))),
    ),
    Truth(
        "codecontests: .85, .95, .98",
        "sustained",
        (
            (0.74, (0.35, 0.55, 0.62)),
            (0.15, (0.01, 0.05, 0.1)),
            (0.08, (0.0002, 0.006, 0.015)),
            (0.03, (0.0, 0.0, 0.0)),
        ),
    ),
    Truth("palindrome: .34, 1, 1", "plateau", ((0.3, (0.03, 0.6, 0.92)), (0.7, (0.0005, 0.55, 0.9)))),
    Truth(
        "early, then level",
        "plateau",
        ((0.65, (0.25, 0.45, 0.5)), (0.25, (0.005, 0.05, 0.06)), (0.05, (0.0, 0.005, 0.005)), (0.05, (0.0, 0.0, 0.0))),
    ),
    Truth(
        "GPQA: .77, .95, .88",
        "plateau",
        ((0.65, (0.25, 0.45, 0.5)), (0.23, (0.005, 0.05, 0.06)), (0.08, (0.0, 0.03, 0.002)), (0.04, (0.0, 0.0, 0.0))),
    ),
    Truth(
        "MATH: .99, .99, .98",
        "diminish",
        ((0.88, (0.9, 0.95, 0.96)), (0.1, (0.3, 0.5, 0.6)), (0.02, (0.01, 0.005, 0.002))),
    ),
    Truth(
        "Minerva: .79, .74, .67",
        "diminish",
        ((0.6, (0.6, 0.75, 0.8)), (0.2, (0.03, 0.02, 0.005)), (0.2, (0.0, 0.0, 0.0))),
    ),
    Truth(
        "flat, rare solutions kept",
        "diminish",
        ((0.6, (0.3, 0.4, 0.5)), (0.3, (0.005, 0.005, 0.005)), (0.1, (0.0, 0.0, 0.0))),
    ),
    Truth(
        "no change",
        "none",
        ((0.4, (0.5, 0.5, 0.5)), (0.2, (0.1, 0.1, 0.1)), (0.3, (0.005, 0.005, 0.005)), (0.1, (0.0, 0.0, 0.0))),
    ),
)


def verdicts(truth: Truth, problems: int, samples: int, repetitions: int, rng: np.random.Generator) -> Counter[Verdict]:
    """How often each verdict was given."""
    shares, rates = [share for share, _ in truth.kinds], np.array([rates for _, rates in truth.kinds])
    strata = np.arange(problems) % LEVELS
    kinds = rng.choice(len(rates), p=shares, size=(repetitions, problems))
    right = rng.binomial(samples, rates[kinds])
    table = Budget(samples).pass_at_k_table(np.full(right.size, samples), right.reshape(-1), (1, K))
    found = Counter[Verdict]()
    for values in table.reshape(repetitions, problems, 3, 2):
        pass_1, pass_k = values[..., 0].T, values[..., 1].T
        found[regime(pass_1, pass_k, strata, alpha=ALPHA, rng=rng, resamples=RESAMPLES).verdict] += 1
    return found


def is_wrong(given: Verdict, truth: Verdict) -> bool:
    """A regime was named and it is not the true one."""
    return given not in {"unclear", "none", truth}


def measure(problems: Sequence[int], samples: Sequence[int], repetitions: int) -> list[dict[str, Any]]:
    """One entry for each truth and size: the rate of each verdict."""
    cases = []
    for number, truth in enumerate(TRUTHS):
        for size in problems:
            for drawn in samples:
                rng = np.random.default_rng((number, size, drawn))
                found = verdicts(truth, size, drawn, repetitions, rng)
                rates = {name: found[name] / repetitions for name in REGIMES}
                cases.append(
                    {
                        "truth": truth.name,
                        "regime": truth.regime,
                        "problems": size,
                        "samples": drawn,
                        "pass@1": truth.pass_at(1).tolist(),
                        f"pass@{K}": truth.pass_at(K).tolist(),
                        "rates": rates,
                        "wrong": sum(rate for name, rate in rates.items() if is_wrong(name, truth.regime)),
                    }
                )
    return cases


def confusion(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean rates over the truths of one regime, by size."""
    grouped: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
    for case in cases:
        grouped.setdefault((case["regime"], case["problems"], case["samples"]), []).append(case)
    return [
        {
            "regime": true,
            "problems": problems,
            "samples": samples,
            "rates": {name: float(np.mean([case["rates"][name] for case in group])) for name in REGIMES},
            "wrong": float(np.mean([case["wrong"] for case in group])),
        }
        for (true, problems, samples), group in grouped.items()
    ]


def markdown(cases: Sequence[dict[str, Any]]) -> str:
    head = f"{' | '.join(REGIMES)} | wrong |"
    rule = "--:|" * (len(REGIMES) + 1)
    lines = [f"| true regime | problems | samples | {head}", f"|---|--:|--:|{rule}"]
    for row in confusion(cases):
        lines.append(f"| {row['regime']} | {row['problems']} | {row['samples']} | {_rates(row)}")
    lines += ["", f"| truth | pass@1 | pass@{K} | problems | samples | {head}", f"|---|---|---|--:|--:|{rule}"]
    for case in cases:
        curves = " | ".join(", ".join(f"{value:.3f}" for value in case[name]) for name in ("pass@1", f"pass@{K}"))
        size = f"{case['problems']} | {case['samples']}"
        lines.append(f"| {case['regime']}, {case['truth']} | {curves} | {size} | {_rates(case)}")
    return "\n".join(lines)


def _rates(row: dict[str, Any]) -> str:
    rates = [*(row["rates"][name] for name in REGIMES), row["wrong"]]
    return " | ".join(f"{rate:.1%}" for rate in rates) + " |"


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--repetitions", type=whole_number, default=500, help="measurements of each truth and size")
    return parser.parse_args()


def main() -> None:
    options = parse()
    start = time.process_time()
    cases = measure(PROBLEMS, SAMPLES, options.repetitions)
    seconds = time.process_time() - start
    settings = {"repetitions": options.repetitions, "levels": LEVELS, "alpha": ALPHA, "resamples": RESAMPLES}
    result = {**settings, "cpu_seconds": seconds, "confusion": confusion(cases), "cases": cases}
    said = ", ".join(f"{name} {value}" for name, value in settings.items())
    finish(options, "boundary_regimes", result, f"{said}; {seconds:.0f} CPU seconds\n\n{markdown(cases)}")


if __name__ == "__main__":
    run(main)
