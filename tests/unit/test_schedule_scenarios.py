"""The schedule by tables: what each step's validation, KL and requests lead to, in straight and in resumed runs."""

import itertools
import json
import math
from dataclasses import replace

import pytest

from prorl.config import Phase, Reset, Run
from prorl.schedule import AUTOMATIC, ResetRecord, ScheduleState
from schedule_runs import Inputs, every, labels, play, run_of

FLAT = every(1, *[0.5] * 40)
STAGNATION = Reset(patience=2)

SCENARIOS: dict[str, tuple[Run, Inputs, dict[int, str]]] = {
    "nothing is switched on": (run_of(()), Inputs(30, scores=every(1, 0.9, 0.1), kl={3: 99.0}), {}),
    # Stagnation. Best at 1; 2 and 3 do not beat it, so 3 is the second stale one; then patience starts over at 0.
    "stagnation": (run_of(STAGNATION), Inputs(9, scores=FLAT), dict.fromkeys((3, 5, 7, 9), "reset stagnation")),
    "stagnation only at validations": (
        run_of(STAGNATION),
        Inputs(29, scores=every(5, 0.5, 0.5, 0.5, 0.6, 0.5)),
        {15: "reset stagnation"},
    ),
    "a new best starts patience over": (
        run_of(STAGNATION),
        Inputs(7, scores=every(1, 0.5, 0.4, 0.6, 0.6, 0.7, 0.7, 0.7)),
        {7: "reset stagnation"},
    ),
    # 0.5625 does not beat 0.5 by more than 0.0625, and the bar stays: 0.59375 does.
    "min_delta is exceeded, not met": (
        run_of(Reset(patience=2, min_delta=0.0625)),
        Inputs(6, scores=every(1, 0.5, 0.5625, 0.59375, 0.625, 0.65625, 0.6875)),
        {5: "reset stagnation"},
    ),
    # Regression: 0.375 is not below 0.5 - 0.125, 0.25 is. The bar is then 0.25: only 0.0 is below 0.25 - 0.125.
    "regression re-bases its bar": (
        run_of(Reset(max_drop=0.125)),
        Inputs(6, scores=every(1, 0.5, 0.375, 0.25, 0.25, 0.125, 0.0)),
        {3: "reset regression", 6: "reset regression"},
    ),
    "the bar rises with a recovery": (
        run_of(Reset(max_drop=0.125)),
        Inputs(5, scores=every(1, 0.5, 0.25, 0.45, 0.35, 0.3)),
        {2: "reset regression", 5: "reset regression"},
    ),
    # Rolled back, the policy is the best again, and falling from it again is a regression again.
    "regression with roll-back keeps its bar": (
        run_of(Reset(max_drop=0.125, roll_back=True)),
        Inputs(5, scores=every(1, 0.5, 0.25, 0.25, 0.5, 0.25)),
        dict.fromkeys((2, 3, 5), "reset regression"),
    ),
    # 0.3, 0.35 and 0.4 beat the re-based bar one after the other, though none is a new best.
    "a recovery is no stagnation": (
        run_of(Reset(patience=2, max_drop=0.125)),
        Inputs(7, scores=every(1, 0.5, 0.25, 0.3, 0.35, 0.4, 0.4, 0.4)),
        {2: "reset regression", 7: "reset stagnation"},
    ),
    "regression waits out a cooldown": (
        run_of(Reset(max_drop=0.125, interval=2, cooldown=3)),
        Inputs(6, scores={1: 0.5, 3: 0.25, 4: 0.25, 5: 0.25, 6: 0.25}),
        {2: "reset interval", 6: "reset regression+interval"},
    ),
    # KL: three in a row; a step at the bound, or without the metric, or a reset, starts over.
    "kl": (
        run_of(Reset(max_kl=0.5, kl_window=3)),
        Inputs(9, kl=dict.fromkeys(range(1, 10), 0.75)),
        dict.fromkeys((3, 6, 9), "reset kl"),
    ),
    "kl at the bound": (
        run_of(Reset(max_kl=0.5, kl_window=3)),
        Inputs(8, kl={1: 0.75, 2: 0.75, 3: 0.5, 4: 0.75, 5: 0.75, 6: 0.75, 7: 0.75}),
        {6: "reset kl"},
    ),
    "kl absent": (
        run_of(Reset(max_kl=0.5, kl_window=3)),
        Inputs(8, kl={1: 0.75, 2: 0.75, 4: 0.75, 5: 0.75, 7: 0.75, 8: 0.75}),
        {},
    ),
    "kl that is not a number is above": (
        run_of(Reset(max_kl=0.5, kl_window=2)),
        Inputs(3, kl={1: math.nan, 2: math.nan, 3: math.inf}),
        {2: "reset kl"},
    ),
    "kl starts over at another reset": (
        run_of(Reset(max_kl=0.5, kl_window=3)),
        Inputs(5, kl=dict.fromkeys(range(1, 6), 0.75), manual=(2,)),
        {2: "reset manual", 5: "reset kl"},
    ),
    "interval": (
        run_of(Reset(interval=4)),
        Inputs(13, manual=(6,)),
        {4: "reset interval", 6: "reset manual", 10: "reset interval"},
    ),
    # After 2, steps 3, 4 and 5 are the cooldown of 3; 6 is the first that may.
    "cooldown": (
        run_of(Reset(max_kl=0.5, kl_window=1, cooldown=3)),
        Inputs(9, kl=dict.fromkeys(range(2, 10), 0.75)),
        {2: "reset kl", 6: "reset kl"},
    ),
    "no cooldown before the first reset": (run_of(Reset(interval=1, cooldown=30)), Inputs(20), {1: "reset interval"}),
    # Stale at 4 and 5 already, in the cooldown of the manual reset at 3; 6 and 7 are no validations; 8 may.
    "stagnation waits out a cooldown for a validation": (
        run_of(Reset(patience=1, cooldown=3)),
        Inputs(8, scores={1: 0.5, 4: 0.5, 5: 0.5, 8: 0.5}, manual=(3,)),
        {3: "reset manual", 8: "reset stagnation"},
    ),
    "max_resets holds the automatic ones back": (
        run_of(Reset(interval=2, max_resets=2)),
        Inputs(20, manual=(7, 9)),
        {2: "reset interval", 4: "reset interval", 7: "reset manual", 9: "reset manual"},
    ),
    "a manual reset does not use the budget up": (
        run_of(Reset(interval=3, max_resets=1)),
        Inputs(20, manual=(1, 2)),
        {1: "reset manual", 2: "reset manual", 5: "reset interval"},
    ),
    "manual ignores cooldown, in every step": (
        run_of(Reset(interval=1, cooldown=9, max_resets=1)),
        Inputs(5, manual=(2, 3, 4, 5)),
        {1: "reset interval"} | dict.fromkeys((2, 3, 4, 5), "reset manual"),
    ),
    # The regression at 3 is in the manual reset's cooldown and is not held to have been answered: 6 finds it.
    "a manual reset hides no later regression": (
        run_of(Reset(max_drop=0.125, cooldown=2)),
        Inputs(6, scores={1: 0.5, 3: 0.25, 6: 0.25}, manual=(2, 3)),
        {2: "reset manual", 3: "reset manual", 6: "reset regression"},
    ),
    # Phases.
    "phases by steps": (run_of(Phase(steps=3), Phase(steps=2), ()), Inputs(20), {3: "steps -> 1", 5: "steps -> 2"}),
    "the last phase ends": (
        run_of(Phase(steps=3), Phase(steps=2)),
        Inputs(20),
        {3: "steps -> 1", 5: "stop: last phase ended: steps"},
    ),
    "train.steps caps": (run_of(Phase(steps=9), steps=4), Inputs(20), {4: "stop: train.steps reached"}),
    "train.steps in the step of a phase's end": (
        run_of(Phase(steps=4), (), steps=4),
        Inputs(20),
        {4: "steps -> 1; stop: train.steps reached"},
    ),
    "train.steps in the step of the last phase's end": (
        run_of(Phase(steps=4), steps=4),
        Inputs(20),
        {4: "stop: train.steps reached"},
    ),
    "reset, phase's end and train.steps in one step": (
        run_of((Phase(steps=4), Reset(interval=4)), (), steps=4),
        Inputs(20),
        {4: "reset interval; steps -> 1; stop: train.steps reached"},
    ),
    "reset and the last phase's end in one step": (
        run_of((Phase(steps=4), Reset(interval=4))),
        Inputs(20),
        {4: "reset interval; stop: last phase ended: steps"},
    ),
    # Stagnation at 3 resets, the only one allowed; at 5 it ends the phase. Phase 1 again: best at 6, stale at 7 and 8.
    "until_stagnation": (
        run_of(
            (Phase(until_stagnation=True), Reset(patience=2, max_resets=1)),
            (Phase(until_stagnation=True), Reset(patience=2, max_resets=1)),
        ),
        Inputs(20, scores=FLAT),
        {3: "reset stagnation", 5: "stagnation -> 1", 8: "reset stagnation", 10: "stop: last phase ended: stagnation"},
    ),
    "until_stagnation waits for a validation": (
        run_of((Phase(until_stagnation=True), Reset(patience=1, max_resets=1, interval=2)), ()),
        Inputs(20, scores={1: 0.5, 7: 0.5}),
        {2: "reset interval", 7: "stagnation -> 1"},
    ),
    "until_stagnation with no bound on resets": (
        run_of((Phase(until_stagnation=True), STAGNATION), ()),
        Inputs(6, scores=FLAT),
        {3: "reset stagnation", 5: "reset stagnation"},
    ),
    "without until_stagnation the phase goes on": (
        run_of(Reset(patience=2, max_resets=1), ()),
        Inputs(20, scores=FLAT),
        {3: "reset stagnation"},
    ),
    "a manual reset in the step of a phase's stagnation": (
        run_of((Phase(until_stagnation=True), Reset(patience=2, max_resets=1)), ()),
        Inputs(20, scores=FLAT, manual=(5,)),
        {3: "reset stagnation", 5: "reset manual; stagnation -> 1"},
    ),
    "the last allowed reset is no end": (
        run_of((Phase(until_stagnation=True), Reset(patience=2, max_resets=1, interval=3)), ()),
        Inputs(4, scores=FLAT),
        {3: "reset stagnation+interval"},
    ),
    "steps before until_stagnation": (
        run_of((Phase(steps=5, until_stagnation=True), Reset(patience=2, max_resets=1)), ()),
        Inputs(9, scores=FLAT),
        {3: "reset stagnation", 5: "steps -> 1"},
    ),
    # Phase 1's first validation is its best, however low; two stale ones after it reset.
    "a phase has its own best": (
        run_of(Phase(steps=3), Reset(patience=2, max_drop=0.125)),
        Inputs(8, scores=every(1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1)),
        {3: "steps -> 1", 6: "reset stagnation"},
    ),
    "a phase has its own run of high KL": (
        run_of((Phase(steps=3), Reset(max_kl=0.5, kl_window=4)), Reset(max_kl=0.5)),
        Inputs(8, kl=dict.fromkeys(range(1, 9), 0.75)),
        {3: "steps -> 1", 8: "reset kl"},
    ),
    "a phase has its own budget": (
        run_of((Phase(steps=4), Reset(interval=2, max_resets=1)), Reset(interval=2)),
        Inputs(7),
        {2: "reset interval", 4: "steps -> 1", 5: "reset interval", 7: "reset interval"},
    ),
    "the step of a phase's end has the old phase's options": (
        run_of((Phase(steps=4), Reset(interval=4)), Reset(interval=2)),
        Inputs(7),
        {4: "reset interval; steps -> 1", 6: "reset interval"},
    ),
    # Cooldown and interval count from the last reset, whatever the phase.
    "cooldown and interval cross a phase's end": (
        run_of((Phase(steps=4), Reset(interval=3)), Reset(interval=5, cooldown=6)),
        Inputs(10),
        {3: "reset interval", 4: "steps -> 1", 10: "reset interval"},
    ),
    # The reset at a phase's end that the next phase asks for.
    "phase.reset": (
        run_of(Phase(steps=3), Phase(steps=2, reset=True), Phase(steps=2), Phase(steps=1, reset=True)),
        Inputs(20),
        {
            3: "reset phase; steps -> 1",
            5: "steps -> 2",
            7: "reset phase; steps -> 3",
            8: "stop: last phase ended: steps",
        },
    ),
    "phase.reset of the first phase": (run_of(Phase(steps=2, reset=True), ()), Inputs(9), {2: "steps -> 1"}),
    "phase.reset is not held back": (
        run_of((Phase(steps=4), Reset(interval=2, max_resets=1, cooldown=9)), Phase(reset=True)),
        Inputs(9),
        {2: "reset interval", 4: "reset phase; steps -> 1"},
    ),
    # Steps 4, 5 and 6 are the cooldown after the reset at 3, which leaves the new phase its budget of one.
    "phase.reset starts interval and cooldown over and uses no budget up": (
        run_of((Phase(steps=3), Reset(interval=2)), (Phase(reset=True), Reset(interval=2, max_resets=1, cooldown=3))),
        Inputs(12),
        {2: "reset interval", 3: "reset phase; steps -> 1", 7: "reset interval"},
    ),
    "phase.reset and triggers of the old phase are one reset": (
        run_of((Phase(steps=4), Reset(interval=4)), Phase(reset=True)),
        Inputs(9, manual=(4,)),
        {4: "reset manual+interval+phase; steps -> 1"},
    ),
    "phase.reset after a stagnation": (
        run_of((Phase(until_stagnation=True), Reset(patience=2, max_resets=1)), Phase(reset=True)),
        Inputs(9, scores=FLAT),
        {3: "reset stagnation", 5: "reset phase; stagnation -> 1"},
    ),
    "phase.reset in the run's last step is made": (
        run_of(Phase(steps=4), Phase(reset=True), steps=4),
        Inputs(20),
        {4: "reset phase; steps -> 1; stop: train.steps reached"},
    ),
    "a health stop comes before a good end": (
        run_of((Phase(steps=3), Reset(interval=3)), steps=3),
        Inputs(9, metrics={step: {"updates_skipped": 1.0} for step in (1, 2, 3)}),
        {
            3: "reset interval; alarm updates_skipped; failed: health: three non-finite updates in a row: lower "
            "optimizer.learning_rate, or look at the saved batch"
        },
    ),
}


@pytest.mark.parametrize("resumed", [False, True], ids=["straight", "resumed"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, resumed: bool) -> None:
    run, inputs, expected = SCENARIOS[name]
    assert labels(play(run, inputs, resumed=resumed)) == expected


@pytest.mark.parametrize("name", SCENARIOS)
def test_resume_at_every_step_gives_the_same_decisions(name: str) -> None:
    """A process that starts from the saved state of any one step goes on as the straight run did."""
    run, inputs, _ = SCENARIOS[name]
    straight = play(run, inputs, resumed=False)
    assert straight == play(run, inputs, resumed=True)
    for cut in range(1, len(straight)):
        saved = ScheduleState.from_json(json.loads(json.dumps(straight[cut - 1].state.to_json())))
        assert play(run, inputs, resumed=False, state=saved) == straight[cut:]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_longer_run_agrees_up_to_the_end_of_the_shorter(name: str) -> None:
    """A run that is capped and then made longer decides as if it had been longer from the start."""
    run, inputs, _ = SCENARIOS[name]
    config = run.phases[0]
    longer = replace(run, phases=(replace(config, train=replace(config.train, steps=1000)), *run.phases[1:]))
    for cap in range(1, inputs.last):
        shorter = replace(run, phases=(replace(config, train=replace(config.train, steps=cap)), *run.phases[1:]))
        capped, whole = play(shorter, inputs, resumed=False), play(longer, inputs, resumed=False)
        assert [(d.state, d.reset, d.events) for d in capped] == [
            (d.state, d.reset, d.events) for d in whole[: len(capped)]
        ]


PRIORITY = ("manual", "regression", "stagnation", "kl", "interval")
CAUSES = [combo for size in range(6) for combo in itertools.combinations(PRIORITY, size)]


@pytest.mark.parametrize("causes", CAUSES, ids="+".join)
def test_one_reset_for_any_triggers_that_coincide(causes: tuple[str, ...]) -> None:
    """All have cause in step 3; the first by priority names the one reset and the event lists them all."""
    options = Reset(
        patience=2 if "stagnation" in causes else 0,
        max_drop=0.125 if "regression" in causes else 0.0,
        max_kl=0.5 if "kl" in causes else 0.0,
        kl_window=3,
        interval=3 if "interval" in causes else 0,
    )
    inputs = Inputs(
        3, scores=every(1, 0.5, 0.5, 0.25), kl={1: 0.75, 2: 0.75, 3: 0.75}, manual=(3,) if "manual" in causes else ()
    )
    *quiet, last = play(run_of(options), inputs, resumed=True)
    assert labels(quiet) == {}
    if not causes:
        assert last.reset is None
        assert last.events == ()
        return
    assert last.reset is not None
    assert last.reset.trigger == causes[0]
    (event,) = last.events
    assert (event.event, event.numbers["trigger"], event.numbers["triggers"]) == ("reset", causes[0], causes)
    assert last.state.history == (ResetRecord(3, 0, causes[0], 3, "clear"),)
    # Whatever named it, everything starts over, and a regression among the causes lowers the bar.
    assert (last.state.stale_validations, last.state.kl_above) == (0, 0)
    assert last.state.bar_score == (0.25 if "regression" in causes else 0.5)
    assert last.state.best_score == 0.5


def test_the_priority_stands_in_the_table() -> None:
    assert ("manual", *AUTOMATIC) == PRIORITY
