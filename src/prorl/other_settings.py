"""The same comparison under other sampling settings: the paper's, and each model's own best temperature."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from prorl.evaluation.budget import Budget
from prorl.evaluation.samples import Stream
from prorl.evaluation.suites import Protocol
from prorl.evaluation.tally import tally
from prorl.findings import Questions, find
from prorl.laboratory import Order, sample
from prorl.records import Sampling

TEMPERATURES = (0.4, 0.6, 0.8, 1.0, 1.2)
PILOT_SAMPLES = 16
PILOT_PROBLEMS = 200

Progress = Callable[[str], None]


def paper_setting(order: Order, protocol: Protocol, progress: Progress) -> dict[str, Sampling]:
    """Both models at the paper's temperature and top-p."""
    sampling = replace(order.sampling, temperature=protocol.temperature, top_p=protocol.top_p)
    return dict.fromkeys(_ends(order), sampling)


def best_temperatures(order: Order, protocol: Protocol, progress: Progress) -> dict[str, Sampling]:
    """Each model at the temperature at which its mean pass@k is highest in a pilot, top-p 1.

    The pilot: 16 samples of at most 200 problems, spread over all, from streams of their own, so that the choice does
    not flatter the measurement that follows.
    """
    every = -(-len(order.problems) // PILOT_PROBLEMS)
    chosen = {}
    for role in _ends(order):
        scores = {}
        for temperature in TEMPERATURES:
            name = f"{role}-pilot"
            pilot = replace(
                order,
                problems=order.problems[::every],
                models={name: order.models[role]},
                budget=Budget(PILOT_SAMPLES),
                sampling=replace(order.sampling, temperature=temperature, top_p=1.0),
            )
            (stream,) = sample(pilot, lambda text, at=temperature: progress(f"pilot at T {at}: {text}")).values()  # type: ignore[misc]
            counts = tally(pilot.problems, pilot.folder / stream.file_name, pilot.budget, pilot.threshold)
            scores[temperature] = fmean(problem.num_correct > 0 for problem in counts)
        best = max(TEMPERATURES, key=lambda temperature: (scores[temperature], -abs(temperature - 1.0)))
        chosen[role] = replace(order.sampling, temperature=best, top_p=1.0)
    return chosen


SETTINGS: dict[str, Callable[[Order, Protocol, Progress], dict[str, Sampling]]] = {
    "paper": paper_setting,
    "best": best_temperatures,
}
"""`--also NAME`."""


def measure_also(
    names: Sequence[str], order: Order, protocol: Protocol, questions: Questions, progress: Progress
) -> list[dict[str, Any]]:
    """The entries of `other_settings` in `boundary.json`, sampled into the same folder; `questions` of each of them."""
    found = []
    for name in names:
        chosen = SETTINGS[name](order, protocol, lambda text, at=name: progress(f"{at}: {text}"))  # type: ignore[misc]
        streams: dict[str, Stream] = {}
        for sampling in dict.fromkeys(chosen.values()):
            alike = {role: order.models[role] for role in chosen if chosen[role] == sampling}
            part = replace(order, sampling=sampling, models=alike)
            streams |= sample(part, lambda text, at=name: progress(f"{at}: {text}"))  # type: ignore[misc]
        both = replace(order, models={role: order.models[role] for role in chosen})
        result = find(both, {role: streams[role] for role in chosen}, questions, progress)
        settings = {role: {"temperature": of.temperature, "top_p": of.top_p} for role, of in chosen.items()}
        verdicts = result["summary"]["verdicts"]
        found.append(
            {
                "name": name,
                "settings": settings,
                "verdicts": verdicts,
                "groups": result["groups"],
                "levels": result["levels"],
            }
        )
    return found


def _ends(order: Order) -> tuple[str, ...]:
    return tuple(role for role in order.models if not role.isdigit())
