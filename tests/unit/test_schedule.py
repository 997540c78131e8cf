"""What the schedule says and keeps: actions, numbers, checkpoints, learning rate, and its state as JSON."""

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest

from prorl.config import Health, Optimizer, Phase, Reset
from prorl.errors import UserError
from prorl.records import Report
from prorl.schedule import (
    Event,
    ResetAction,
    ResetRecord,
    ScheduleState,
    decide,
    done,
    learning_rate,
    phase,
)
from schedule_runs import Inputs, play, run_of


def test_a_suppressed_trigger_is_not_among_those_of_a_manual_reset() -> None:
    run = run_of(Reset(interval=1, max_resets=1))
    decisions = play(run, Inputs(2, manual=(2,)), resumed=False)
    assert decisions[1].events[0].numbers["triggers"] == ("manual",)


def test_numbers_of_a_reset() -> None:
    """The event says what was measured, before the reset changed the counters."""
    options = Reset(patience=2, max_kl=0.5, kl_window=9, reference="best", optimizer="keep", blend=0.25)
    inputs = Inputs(5, scores={2: 0.5, 4: 0.25, 5: 0.375}, kl={4: 0.75, 5: 0.625}, manual=(3,))
    event = play(run_of(options), inputs, resumed=False)[-1].events[0]
    assert event.to_json() == {
        "step": 5,
        "event": "reset",
        "trigger": "stagnation",
        "triggers": ("stagnation",),
        "phase": 0,
        "steps_since_reset": 2,
        "reference": "best",
        "reference_step": 2,
        "roll_back": False,
        "optimizer": "keep",
        "blend": 0.25,
        "score": 0.375,
        "best_score": 0.5,
        "best_step": 2,
        "bar_score": 0.5,
        "stale_validations": 2,
        "kl": 0.625,
        "kl_above": 2,
    }


def test_numbers_that_do_not_apply_are_absent_and_nan_is_text() -> None:
    run = run_of(Reset(interval=1))
    plain, odd = play(run, Inputs(2, kl={2: math.nan}), resumed=False)
    assert {"score", "best_score", "best_step", "bar_score", "kl"} & plain.events[0].numbers.keys() == set()
    assert odd.events[0].numbers["kl"] == "nan"


def test_numbers_of_a_phase() -> None:
    run = run_of(Phase(steps=2), ())
    (event,) = play(run, Inputs(2), resumed=False)[-1].events
    numbers = {"from": 0, "to": 1, "name": "phase1", "reason": "steps", "phase_steps": 2}
    assert event == Event(2, "phase", numbers)


ACTIONS = {
    # options, scores, step of a manual reset -> reference, its step, rolled back
    "policy": (Reset(), {1: 0.5, 2: 0.4}, 3, ("policy", 3, False)),
    "best": (Reset(reference="best"), {1: 0.5, 2: 0.4}, 3, ("best", 1, False)),
    "best is now": (Reset(reference="best", roll_back=True), {1: 0.5, 3: 0.6}, 3, ("policy", 3, False)),
    "best before any validation": (Reset(reference="best", roll_back=True), {}, 3, ("policy", 3, False)),
    "roll-back": (Reset(reference="best", roll_back=True), {1: 0.5, 2: 0.4}, 3, ("best", 1, True)),
    "roll-back of the policy that becomes the reference": (Reset(roll_back=True), {2: 0.5}, 3, ("best", 2, True)),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_action(name: str) -> None:
    options, scores, step, expected = ACTIONS[name]
    decision = play(run_of(options), Inputs(step, scores=scores, manual=(step,)), resumed=True)[-1]
    assert decision.reset is not None
    assert (decision.reset.reference, decision.reset.reference_step, decision.reset.roll_back) == expected
    assert decision.state.reference_step == decision.state.history[-1].reference_step == expected[1]


def test_options_of_the_action() -> None:
    run = run_of(Reset(optimizer="keep", blend=0.5))
    decision = play(run, Inputs(1, manual=(1,)), resumed=False)[0]
    assert decision.reset == ResetAction("manual", "policy", 1, False, "keep", 0.5)
    assert decision.state.optimizer_started == 0


def test_reset_at_a_phase_end_has_the_old_phases_options_and_best() -> None:
    old = (Phase(steps=3), Reset(reference="best", optimizer="keep", blend=0.5))
    new = Reset(optimizer="clear", reference="best")
    run = run_of(old, new)
    decisions = play(run, Inputs(4, scores={1: 0.5, 2: 0.4}, manual=(3, 4)), resumed=True)
    assert [event.event for event in decisions[2].events] == ["reset", "phase"]
    assert decisions[2].reset == ResetAction("manual", "best", 1, False, "keep", 0.5)
    state = decisions[2].state
    assert (state.phase, state.phase_step, state.best_score, state.bar_score, state.best_step) == (1, 0, None, None, 1)
    assert state.history == (ResetRecord(3, 0, "manual", 1, "keep"),)
    # In the new phase, before its first validation, there is no best to go to.
    assert decisions[3].reset == ResetAction("manual", "policy", 4, False, "clear", 1.0)


def test_reset_on_entering_a_phase() -> None:
    """Made in the old phase's last step, with its options and its best; saved, and with a warm-up after it."""
    old = (Phase(steps=3), Reset(reference="best", optimizer="clear", blend=0.5), Optimizer(learning_rate=0.5))
    new = (Phase(reset=True), Reset(optimizer="keep"), Optimizer(learning_rate=1.0, warmup_steps=2))
    run = run_of(old, new)
    decisions = play(run, Inputs(4, scores={1: 0.5, 3: 0.4}), resumed=True)
    last = decisions[2]
    assert last.reset == ResetAction("phase", "best", 1, False, "clear", 0.5)
    assert [event.event for event in last.events] == ["reset", "phase"]
    assert last.events[0].numbers["triggers"] == ("phase",)
    assert last.checkpoint
    assert last.state.history == (ResetRecord(3, 0, "phase", 1, "clear"),)
    assert (last.state.phase, last.state.phase_step, last.state.phase_resets) == (1, 0, 0)
    assert [learning_rate(run, decision.state) for decision in decisions[1:]] == [0.5, 0.5, 1.0]


def test_new_best_and_checkpoints() -> None:
    """A save for each new best, reset and stop; the best is the best although the bar was lowered at step 4."""
    run = run_of(Reset(max_drop=0.125), steps=8)
    inputs = Inputs(8, scores={1: 0.4, 3: 0.6, 4: 0.2, 5: 0.3, 6: 0.7, 7: 0.7}, manual=(7,))
    decisions = play(run, inputs, resumed=True)
    assert [d.state.step for d in decisions if d.new_best] == [1, 3, 6]
    assert [d.state.step for d in decisions if d.checkpoint] == [1, 3, 4, 6, 7, 8]
    assert [(d.state.best_step, d.state.best_score) for d in decisions[3:6]] == [(3, 0.6), (3, 0.6), (6, 0.7)]
    assert [d.state.bar_score for d in decisions[2:6]] == [0.6, 0.2, 0.3, 0.7]


def test_a_new_best_exceeds_the_old_one_by_more_than_min_delta() -> None:
    """0.5625 is the old best and min_delta; 0.59375 is more, and 0.625 less than min_delta above that."""
    run = run_of(Reset(min_delta=0.0625))
    decisions = play(run, Inputs(4, scores={1: 0.5, 2: 0.5625, 3: 0.59375, 4: 0.625}), resumed=True)
    assert [d.new_best for d in decisions] == [True, False, True, False]


def test_the_best_of_a_phase_stays_until_the_next_phases_first_validation() -> None:
    run = run_of(Phase(steps=3), ())
    decisions = play(run, Inputs(5, scores={2: 0.9, 3: 0.8, 5: 0.1}), resumed=True)
    assert [d.state.best_step for d in decisions] == [0, 2, 2, 2, 5]
    assert [d.new_best for d in decisions] == [False, True, False, False, True]
    assert [d.state.stale_validations for d in decisions] == [0, 0, 0, 0, 0]


def test_phase_in_force() -> None:
    run = run_of(Phase(steps=2), Phase(steps=1))
    names, ends, state = [], [], ScheduleState()
    while not done(run, state):
        names.append(phase(run, state).name)
        ends.append(state.phase_step)
        state = decide(run, state, {}, None, manual_reset=False).state
    assert names == ["phase0", "phase0", "phase1"]
    assert ends == [0, 1, 0]
    assert phase(run, state).name == "phase1"


def test_done() -> None:
    run = run_of(Phase(steps=2), steps=5)
    assert not done(run, ScheduleState())
    assert not done(run, ScheduleState(step=4))
    assert done(run, ScheduleState(step=5))
    assert done(run, ScheduleState(step=1, phase=1))
    assert done(run_of((), steps=0), ScheduleState())
    with pytest.raises(AssertionError, match="step 6 after the end of the run"):
        decide(run, ScheduleState(step=5), {}, None, manual_reset=False)


def test_a_score_that_is_no_number_is_a_programming_error() -> None:
    report = Report(score=math.nan, domains={}, levels=())
    with pytest.raises(AssertionError, match="validation score of step 1 is nan"):
        decide(run_of(()), ScheduleState(), {}, report, manual_reset=False)


# The learning rate of the next step: rate 0.5, by hand.
RATES = {
    "constant": (Optimizer(learning_rate=0.5), [0.5, 0.5, 0.5, 0.5]),
    # 1 - step/4
    "linear": (Optimizer(learning_rate=0.5, schedule="linear"), [0.5, 0.375, 0.25, 0.125]),
    # (1 + cos(pi step/4)) / 2, with cos(pi/4) = 0.7071067811865476
    "cosine": (Optimizer(learning_rate=0.5, schedule="cosine"), [0.5, 0.4267766952966369, 0.25, 0.0732233047033631]),
    # (step + 1)/2, then 1
    "warm-up": (Optimizer(learning_rate=0.5, warmup_steps=2), [0.25, 0.5, 0.5, 0.5]),
    "warm-up of one step": (Optimizer(learning_rate=0.5, warmup_steps=1), [0.5, 0.5, 0.5, 0.5]),
    # 0.5 * (1/3, 2/3 * 3/4, 1/2, 1/4)
    "both": (Optimizer(learning_rate=0.5, schedule="linear", warmup_steps=3), [1 / 6, 0.25, 0.25, 0.125]),
}


@pytest.mark.parametrize("name", RATES)
def test_learning_rate(name: str) -> None:
    options, expected = RATES[name]
    run = run_of(options, steps=4)
    rates = [learning_rate(run, ScheduleState(step=step)) for step in range(4)]
    assert rates == pytest.approx(expected, rel=1e-12)
    assert learning_rate(run, ScheduleState(step=9)) == pytest.approx(0.0 if options.schedule != "constant" else 0.5)


def test_learning_rate_of_the_phase_in_force_over_the_whole_run() -> None:
    """The second phase's rate at step 2 of 8, not of its own `train.steps`."""
    first = (Phase(steps=2), Optimizer(learning_rate=0.5))
    run = run_of(first, Optimizer(learning_rate=1.0, schedule="linear"), steps=8)
    assert learning_rate(run, play(run, Inputs(1), resumed=False)[-1].state) == 0.5
    assert learning_rate(run, play(run, Inputs(2), resumed=False)[-1].state) == 0.75


@pytest.mark.parametrize(("optimizer", "expected"), [("clear", [0.5, 1, 1, 0.5, 1]), ("keep", [0.5, 1, 1, 1, 1])])
def test_warm_up_starts_over_after_a_clear(optimizer: str, expected: list[float]) -> None:
    """Manual reset at step 3 of warm-up 2: the rates of steps 1 to 5."""
    run = run_of((Reset(optimizer=optimizer), Optimizer(learning_rate=1.0, warmup_steps=2)), steps=99)
    states = [ScheduleState(), *(d.state for d in play(run, Inputs(4, manual=(3,)), resumed=True))]
    assert [learning_rate(run, state) for state in states] == expected


def test_a_kept_optimizer_is_as_old_as_its_last_clear() -> None:
    records = (ResetRecord(3, 0, "kl", 3, "clear"), ResetRecord(5, 1, "manual", 2, "keep"))
    state = ScheduleState(step=6, phase=1, history=records)
    assert (state.optimizer_started, state.last_reset, state.reference_step, state.phase_resets) == (3, 5, 2, 0)
    assert replace(state, phase=0).phase_resets == 1
    fresh = ScheduleState()
    assert (fresh.optimizer_started, fresh.last_reset, fresh.reference_step, fresh.phase_resets) == (0, 0, 0, 0)


def full_state() -> ScheduleState:
    """A state whose every field differs from its default."""
    run = run_of((Phase(steps=4), Health(min_entropy=1.0, window=2)), Reset(max_kl=0.1))
    inputs = Inputs(
        6,
        scores={3: 0.5, 5: 0.5, 6: 0.25},
        kl={6: 0.75},
        manual=(2,),
        metrics={step: {"entropy": 0.5, "kl/engine": 0.5} for step in (3, 4, 5, 6)},
    )
    return play(run, inputs, resumed=False)[-1].state


def test_json_keeps_every_field() -> None:
    state, fresh = full_state(), ScheduleState()
    same = {item.name for item in fields(state) if getattr(state, item.name) == getattr(fresh, item.name)}
    assert same == set()
    assert ScheduleState.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert ScheduleState.from_json(state.to_json()) == state
    assert ScheduleState.from_json(fresh.to_json()) == fresh


BROKEN: dict[str, tuple[Any, str]] = {
    "unknown": (lambda data: data | {"colour": 1}, r"ScheduleState .* unknown fields \['colour'\] and lacks \[\]"),
    "missing": (lambda data: {k: v for k, v in data.items() if k != "phase"}, r"unknown fields \[\].*\['phase'\]"),
    "text for a number": (lambda data: data | {"step": "6"}, "step = '6'"),
    "a switch for a number": (lambda data: data | {"step": True}, "step = True"),
    "None for a number": (lambda data: data | {"best_step": None}, "best_step = None"),
    "a fraction for a count": (lambda data: data | {"kl_above": 1.5}, "kl_above = 1.5"),
    "no history": (lambda data: data | {"history": 3}, "history = 3"),
    "no record": (lambda data: data | {"history": [3]}, "ResetRecord in the checkpoint is 3"),
    "an unknown trigger": (
        lambda data: data | {"history": [data["history"][0] | {"trigger": "moon"}]},
        "trigger = 'moon', allowed is .*stagnation",
    ),
    "a record too short": (lambda data: data | {"history": [{"step": 1}]}, "ResetRecord .* lacks"),
    "no health": (lambda data: data | {"health": None}, "health = None"),
    "health too short": (lambda data: data | {"health": {"counts": {}}}, r"HealthState .* lacks \['alarms'\]"),
    "counts": (lambda data: data | {"health": {"counts": [], "alarms": []}}, r"counts = \[\]"),
    "not an object": (lambda data: [data], "ScheduleState in the checkpoint is"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_foreign_state_is_refused_in_one_line(name: str) -> None:
    spoil, message = BROKEN[name]
    with pytest.raises(UserError, match=message) as caught:
        ScheduleState.from_json(spoil(json.loads(json.dumps(full_state().to_json()))))
    assert "\n" not in str(caught.value)
