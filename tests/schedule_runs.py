"""Short runs of the schedule for its tests: what happens by step goes in, the decisions come out."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from prorl.config import Config, Health, Optimizer, Phase, Reset, Run, Train
from prorl.records import Report
from prorl.schedule import Decision, ScheduleState, decide

Section = Reset | Phase | Health | Optimizer | Train


def run_of(*phases: Section | tuple[Section, ...], steps: int = 1000) -> Run:
    """A run of phases, each given by its sections that differ from the default.

    `steps` is the first phase's `train.steps`; that of a later one is 1, as it must not matter.
    """
    configs = []
    for index, given in enumerate(phases):
        given = given if isinstance(given, tuple) else (given,)
        sections = {type(one).__name__.lower(): one for one in (Train(steps=1 if index else steps), *given)}
        configs.append(replace(Config(name=f"phase{index}"), **sections))
    return Run(name="run", phases=tuple(configs))


@dataclass(frozen=True)
class Inputs:
    """What happens in a run up to step `last`, by step number."""

    last: int
    scores: Mapping[int, float] = field(default_factory=dict)
    kl: Mapping[int, float] = field(default_factory=dict)
    manual: tuple[int, ...] = ()
    metrics: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def at(self, step: int) -> tuple[dict[str, float], Report | None, bool]:
        metrics = {"reward/mean": 0.5, **self.metrics.get(step, {})}
        if step in self.kl:
            metrics["kl/reference"] = self.kl[step]
        report = Report(score=self.scores[step], domains={}, levels=()) if step in self.scores else None
        return metrics, report, step in self.manual


def play(run: Run, inputs: Inputs, *, resumed: bool, state: ScheduleState | None = None) -> list[Decision]:
    """The decisions up to the last step or the stop; `resumed`: each step is a process of its own.

    Each step is decided twice on equal inputs: the answers are equal, and what went in is as it was.
    """
    state = state or ScheduleState()
    decisions = []
    for step in range(state.step + 1, inputs.last + 1):
        if resumed:
            state = ScheduleState.from_json(json.loads(json.dumps(state.to_json())))
        metrics, report, manual = inputs.at(step)
        before = copy.deepcopy((run, state, metrics, report))
        decision = decide(run, state, metrics, report, manual_reset=manual)
        assert decision == decide(*before, manual_reset=manual)
        assert before == (run, state, metrics, report)
        assert decision.state.step == step
        assert json.loads(json.dumps([event.to_json() for event in decision.events], allow_nan=False)) is not None
        decisions.append(decision)
        state = decision.state
        if decision.stop:
            break
    return decisions


def labels(decisions: list[Decision]) -> dict[int, str]:
    """What was decided, in words, for each step with anything but a new best."""
    told = {}
    for decision in decisions:
        words = []
        if decision.reset:
            (event,) = (event for event in decision.events if event.event == "reset")
            words.append("reset " + "+".join(event.numbers["triggers"]))
        words += [f"{e.numbers['reason']} -> {e.numbers['to']}" for e in decision.events if e.event == "phase"]
        words += [f"alarm {event.numbers['rule']}" for event in decision.events if event.event == "alarm"]
        if decision.stop:
            words.append(f"{'failed' if decision.failed else 'stop'}: {decision.stop}")
        if words:
            told[decision.state.step] = "; ".join(words)
    return told


def every(step: int, *scores: float) -> dict[int, float]:
    """Validations each `step` steps."""
    return {step * (index + 1): score for index, score in enumerate(scores)}
