"""Stage 8, decision: when to reset, when the next phase begins, when to stop; and the learning rate.

One pure state machine. `decide` looks at a finished step and gives the next state with what is to be done and why; it
applies nothing, reads no clock, writes no file. All it remembers is in `ScheduleState`, which goes into the checkpoint.
The rules that watch for collapse are in `health.py`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, get_args, get_origin

from prorl.config import Config, Reset, Run
from prorl.errors import UserError
from prorl.health import HealthState, check_health, finite
from prorl.records import Report

Trigger = Literal["manual", "regression", "stagnation", "kl", "interval", "phase"]
EventName = Literal["reset", "phase", "alarm", "resume", "timeout"]
Number = int | float | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResetRecord:
    """One reset of the run's history."""

    step: int
    phase: int
    trigger: Trigger
    reference_step: int
    """The step whose policy went into the reference (by `reset.blend`)."""
    optimizer: Literal["clear", "keep"]


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What the schedule remembers between two steps; a new run starts with `ScheduleState()`."""

    step: int = 0
    """Completed steps."""
    phase: int = 0
    """Index of the phase of the next step; the number of phases once the last one has ended."""
    phase_step: int = 0
    """Completed steps of that phase."""
    best_score: float | None = None
    """Best validation of the phase; None before its first one, as other data or context make another scale."""
    best_step: int = 0
    """Step of the best validation; stays over a phase's end until the first validation of the next. 0 for none."""
    bar_score: float | None = None
    """The score that stagnation has to beat and that regression falls from: the best of the phase, or the score at a
    regression that was not rolled back. Without that re-basing each later validation would be a regression again,
    and every recovery below the best a stagnation."""
    stale_validations: int = 0
    """Validations in a row that did not beat the bar, since the last reset or the phase's start."""
    kl_above: int = 0
    """Steps in a row with `kl/reference` above `reset.max_kl`, since the last reset or the phase's start."""
    health: HealthState = field(default_factory=HealthState)
    history: tuple[ResetRecord, ...] = ()
    """Every reset so far, in order."""

    @property
    def last_reset(self) -> int:
        """Step of the last reset; 0 for none."""
        return self.history[-1].step if self.history else 0

    @property
    def reference_step(self) -> int:
        """The step whose policy is the reference; 0 for the model the run began with."""
        return self.history[-1].reference_step if self.history else 0

    @property
    def optimizer_started(self) -> int:
        """The step after which the optimizer was last empty."""
        return max((record.step for record in self.history if record.optimizer == "clear"), default=0)

    @property
    def phase_resets(self) -> int:
        """Automatic resets in the phase."""
        return sum(record.phase == self.phase and record.trigger != "manual" for record in self.history)

    def to_json(self) -> dict[str, Any]:
        """The state as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ScheduleState":
        """The state that `to_json` gave; UserError for a missing, unknown or mistyped field."""
        values = _exact_fields(cls, data)
        watched = _exact_fields(HealthState, values["health"])
        history = tuple(ResetRecord(**_exact_fields(ResetRecord, row)) for row in values["history"])
        state = HealthState(counts=dict(watched["counts"]), alarms=tuple(watched["alarms"]))
        return cls(**(values | {"health": state, "history": history}))


@dataclass(frozen=True, slots=True)
class Event:
    """One line of `events.jsonl`."""

    step: int
    event: EventName
    numbers: Mapping[str, Number]

    def to_json(self) -> dict[str, Any]:
        """The line's object."""
        return {"step": self.step, "event": self.event, **self.numbers}


@dataclass(frozen=True, slots=True)
class ResetAction:
    """What the learner is to do. With `roll_back` the policy becomes that of `reference_step` first."""

    trigger: Trigger
    reference: Literal["policy", "best"]
    """`best` only where the best is another policy than the one of now."""
    reference_step: int
    """The step whose policy the reference takes: of the best checkpoint, or this one."""
    roll_back: bool
    optimizer: Literal["clear", "keep"]
    blend: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a step."""

    state: ScheduleState
    reset: ResetAction | None
    new_best: bool
    checkpoint: bool
    """Save this step: it is a new best, it has a reset, or it is the last."""
    stop: str | None
    """Why the run ends here."""
    failed: bool
    """The run ends because it went wrong."""
    events: tuple[Event, ...]


def phase(run: Run, state: ScheduleState) -> Config:
    """The recipe in force for the next step; the last one for a run that has ended."""
    return run.phases[min(state.phase, len(run.phases) - 1)]


def done(run: Run, state: ScheduleState) -> bool:
    """No step is left: `train.steps` are complete or the last phase has ended."""
    return state.step >= run.train.steps or state.phase >= len(run.phases)


def decide(
    run: Run, state: ScheduleState, metrics: Mapping[str, float], report: Report | None, *, manual_reset: bool
) -> Decision:
    """What follows from step `state.step + 1`, which has just ended; `report` is its validation, if it had one.

    Nothing here depends on whether the run stops, so a run that is made longer later goes on as if it had been longer
    from the start. A phase that ends in the step of a reset ends after it: the reset follows the old phase's options,
    also where it is the next phase that asks for it (`phase.reset`).
    """
    assert not done(run, state), f"step {state.step + 1} after the end of the run"
    config = phase(run, state)
    score = None if report is None else float(report.score)
    seen, new_best = _observed(config.reset, state, metrics.get("kl/reference"), score)
    watched, alarms, failure = check_health(config.health, state.health, metrics)
    seen = replace(seen, health=watched)
    events = [Event(seen.step, "alarm", alarm) for alarm in alarms]

    ended = _phase_end(config, seen, score)
    fired = _fired(config.reset, seen, score, manual_reset)
    following = run.phases[seen.phase + 1 :]
    if ended and following and following[0].phase.reset:
        fired = (*fired, "phase")
    action = _action(config.reset, seen, fired) if fired else None
    after = seen
    if action:
        events.append(_reset_event(seen, action, fired, score, metrics.get("kl/reference")))
        after = _after_reset(after, action, score if "regression" in fired else None)
    if ended:
        after = replace(
            after, phase=after.phase + 1, phase_step=0, best_score=None, bar_score=None, stale_validations=0, kl_above=0
        )
        if after.phase < len(run.phases):
            events.append(_phase_event(seen, phase(run, after).name, ended))
    stop = failure or _end(run, after, ended)
    return Decision(
        state=after,
        reset=action,
        new_best=new_best,
        checkpoint=bool(action or new_best or stop),
        stop=stop,
        failed=failure is not None,
        events=tuple(events),
    )


def learning_rate(run: Run, state: ScheduleState) -> float:
    """Of the next step: the phase's rate times its schedule over `train.steps` times the warm-up.

    The first step after a start is warmed up to 1/w and the w-th one to 1. The decay begins at 1, and would reach 0
    only in the step after the last.
    """
    options = phase(run, state).optimizer
    progress = min(1.0, state.step / max(1, run.train.steps))
    warmed = state.step - state.optimizer_started + 1
    warmup = min(1.0, warmed / options.warmup_steps) if options.warmup_steps else 1.0
    return options.learning_rate * DECAY[options.schedule](progress) * warmup


def _constant(progress: float) -> float:
    return 1.0


def _linear(progress: float) -> float:
    return 1.0 - progress


def _cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


DECAY: dict[str, Callable[[float], float]] = {"constant": _constant, "linear": _linear, "cosine": _cosine}


def _observed(
    options: Reset, state: ScheduleState, kl: float | None, score: float | None
) -> tuple[ScheduleState, bool]:
    """The state with this step counted in, and whether its validation is a new best."""
    # A value that is not a number is not within the bound.
    above = options.max_kl > 0 and kl is not None and not kl <= options.max_kl
    kl_above = state.kl_above + 1 if above else 0
    seen = replace(state, step=state.step + 1, phase_step=state.phase_step + 1, kl_above=kl_above)
    if score is None:
        return seen, False
    assert math.isfinite(score), f"validation score of step {seen.step} is {score}"
    if state.bar_score is None or score > state.bar_score + options.min_delta:
        seen = replace(seen, bar_score=score, stale_validations=0)
    else:
        seen = replace(seen, stale_validations=state.stale_validations + 1)
    if state.best_score is None or score > state.best_score + options.min_delta:
        return replace(seen, best_score=score, best_step=seen.step), True
    return seen, False


def _regression(options: Reset, seen: ScheduleState, score: float | None) -> bool:
    if score is None or seen.bar_score is None:
        return False
    return options.max_drop > 0 and score < seen.bar_score - options.max_drop


def _stagnation(options: Reset, seen: ScheduleState, score: float | None) -> bool:
    return options.patience > 0 and score is not None and seen.stale_validations >= options.patience


def _kl(options: Reset, seen: ScheduleState, score: float | None) -> bool:
    return seen.kl_above >= options.kl_window


def _interval(options: Reset, seen: ScheduleState, score: float | None) -> bool:
    return options.interval > 0 and seen.step - seen.last_reset >= options.interval


AUTOMATIC: dict[Trigger, Callable[[Reset, ScheduleState, float | None], bool]] = {
    "regression": _regression,
    "stagnation": _stagnation,
    "kl": _kl,
    "interval": _interval,
}
"""In order of priority; a reset by hand comes before them all."""


def _fired(options: Reset, seen: ScheduleState, score: float | None, manual: bool) -> tuple[Trigger, ...]:
    """The triggers that fire within the phase, the one that names the reset first.

    Cooldown and budget hold back the automatic ones. They go on counting meanwhile, and fire afterwards if they still
    have cause; stagnation and regression only at a validation.
    """
    cooling = bool(seen.history) and seen.step - seen.last_reset <= options.cooldown
    spent = options.max_resets > 0 and seen.phase_resets >= options.max_resets
    fired: list[Trigger] = ["manual"] if manual else []
    if not cooling and not spent:
        fired += [name for name, fires in AUTOMATIC.items() if fires(options, seen, score)]
    return tuple(fired)


def _action(options: Reset, seen: ScheduleState, fired: tuple[Trigger, ...]) -> ResetAction:
    """The reset as it can be done: without an older best, `best` is the policy and there is nothing to go back to."""
    older_best = seen.best_score is not None and seen.best_step < seen.step
    roll_back = options.roll_back and older_best
    # After a roll-back the policy is the best one, so `reference = "policy"` means the best as well.
    best = roll_back or (options.reference == "best" and older_best)
    return ResetAction(
        trigger=fired[0],
        reference="best" if best else "policy",
        reference_step=seen.best_step if best else seen.step,
        roll_back=roll_back,
        optimizer="clear" if options.optimizer == "clear" else "keep",
        blend=options.blend,
    )


def _after_reset(seen: ScheduleState, action: ResetAction, regressed_to: float | None) -> ScheduleState:
    """The state with the reset done; `regressed_to` is the score of a regression among its triggers."""
    record = ResetRecord(seen.step, seen.phase, action.trigger, action.reference_step, action.optimizer)
    rebased = regressed_to is not None and not action.roll_back
    return replace(
        seen,
        bar_score=regressed_to if rebased else seen.bar_score,
        stale_validations=0,
        kl_above=0,
        history=(*seen.history, record),
    )


def _reset_event(
    seen: ScheduleState, action: ResetAction, fired: tuple[Trigger, ...], score: float | None, kl: float | None
) -> Event:
    """The reset with the numbers behind it, as they were before it."""
    numbers: dict[str, Number | None] = {
        **asdict(action),
        "triggers": fired,
        "phase": seen.phase,
        "steps_since_reset": seen.step - seen.last_reset,
        "score": score,
        "best_score": seen.best_score,
        "best_step": None if seen.best_score is None else seen.best_step,
        "bar_score": seen.bar_score,
        "stale_validations": seen.stale_validations,
        "kl": None if kl is None else finite(kl),
        "kl_above": seen.kl_above,
    }
    return Event(seen.step, "reset", {name: number for name, number in numbers.items() if number is not None})


def _phase_end(config: Config, seen: ScheduleState, score: float | None) -> str | None:
    """Why the phase ends with this step: its steps are done, or validation stagnates and no reset is left to try."""
    if 0 < config.phase.steps <= seen.phase_step:
        return "steps"
    spent = 0 < config.reset.max_resets <= seen.phase_resets
    if config.phase.until_stagnation and spent and _stagnation(config.reset, seen, score):
        return "stagnation"
    return None


def _phase_event(seen: ScheduleState, name: str, reason: str) -> Event:
    """The change to the next phase, `name` by its recipe."""
    numbers: dict[str, Number] = {"from": seen.phase, "to": seen.phase + 1, "name": name, "reason": reason}
    return Event(seen.step, "phase", {**numbers, "phase_steps": seen.phase_step})


def _end(run: Run, after: ScheduleState, ended: str | None) -> str | None:
    """Why the run ends well here, if it does."""
    if after.step >= run.train.steps:
        return "train.steps reached"
    return f"last phase ended: {ended}" if done(run, after) else None


def _exact_fields(kind: type, data: Any) -> dict[str, Any]:
    """A copy of `data`, which has exactly the fields of the record `kind`, each of its type."""
    place = f"{kind.__name__} in the checkpoint"
    if not isinstance(data, Mapping):
        raise UserError(f"{place} is {data!r}, allowed is an object: use another checkpoint")
    types = {item.name: item.type for item in fields(kind)}
    if data.keys() != types.keys():
        unknown, missing = sorted(data.keys() - types.keys()), sorted(types.keys() - data.keys())
        raise UserError(
            f"{place} has unknown fields {unknown} and lacks {missing}; allowed are {sorted(types)}: "
            "resume with the version of prorl that wrote it"
        )
    for name, value in data.items():
        if not _fits(value, types[name]):
            raise UserError(f"{place} has {name} = {value!r}, allowed is {types[name]}: use another checkpoint")
    return dict(data)


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a JSON value can be that of a field of the type `wanted`."""
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    if get_origin(wanted) is tuple:
        return isinstance(value, list | tuple)
    if get_origin(wanted) is Mapping or is_dataclass(wanted):
        return isinstance(value, Mapping)
    return isinstance(value, wanted) and not isinstance(value, bool)
