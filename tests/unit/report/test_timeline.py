"""What happened on the steps of a run, from its events and its recipe."""

import tomllib
from pathlib import Path

from prorl.recipe import load_run, to_toml
from prorl.report.timeline import Limit, Phase, Timeline, limits, make_timeline

RECIPE = {
    "health": {"min_entropy": 0.1},
    "phases": [
        {"name": "one", "reset": {"max_kl": 2.0}, "rollouts": {"group_size": 16}, "data": {"sources": [1]}},
        {"name": "two", "reset": {"max_kl": 2.0}, "rollouts": {"group_size": 32}, "data": {"sources": [2]}},
        {"name": "three", "reset": {"max_kl": 0.0}, "rollouts": {"group_size": 32}, "data": {"sources": [2]}},
    ],
}
EVENTS = [
    {"step": 3, "event": "reset", "trigger": "kl", "kl": 2.5, "score": 0.25, "best_score": 0.5, "best_step": 2},
    {"step": 4, "event": "phase", "from": 0, "to": 1, "name": "two", "reason": "steps"},
    {"step": 5, "event": "alarm"},
    {"step": 6, "event": "resume"},
    {"step": 8, "event": "phase", "from": 1, "to": 2, "name": "three", "reason": "stagnation"},
]


def records(last: int) -> list[dict]:
    return [{"step": step} for step in range(1, last + 1)]


def test_phases_with_what_they_change() -> None:
    assert make_timeline(records(10), EVENTS, RECIPE).phases == (
        Phase(1, "one", 1, 4),
        Phase(2, "two", 5, 8, ("rollouts.group_size = 32", "other data.sources")),
        Phase(3, "three", 9, 10, ("reset.max_kl = 0.0",)),
    )
    # A run that ends where a phase does has no step of the next one, and one without events is one phase.
    assert [phase.last for phase in make_timeline(records(8), EVENTS, RECIPE).phases] == [4, 8]
    assert make_timeline(records(2), [], {}).phases == (Phase(1, "phase 1", 1, 2),)


def test_marks_say_why() -> None:
    timeline = make_timeline(records(7), EVENTS, RECIPE)
    assert [(mark.step, mark.kind, mark.text) for mark in timeline.marks] == [
        (3, "reset", "step 3: reset, kl; validation 0.25, best 0.5 at step 2, KL 2.5"),
        (4, "phase", "after step 4: phase 2 two, steps"),
        (6, "resume", "resumed after step 6"),
        (8, "phase", "after step 8: phase 3 three, stagnation"),
    ]
    assert [mark.step for mark in timeline.marks_inside] == [3, 4, 6]
    assert (timeline.span, timeline.share(4)) == (6, 0.5)
    assert Timeline(5, 5).span == 1


def test_limits_of_the_phases() -> None:
    timeline = make_timeline(records(10), EVENTS, RECIPE)
    assert limits(RECIPE, timeline, "health.min_entropy", off=0.0) == [Limit(1, 10, 0.1, "health.min_entropy")]
    # The same in phases 1 and 2, off in phase 3.
    assert limits(RECIPE, timeline, "reset.max_kl", off=0.0) == [Limit(1, 8, 2.0, "reset.max_kl")]
    apart = {"phases": [{"reset": {"max_kl": value}} for value in (2.0, 0.0, 2.0)]}
    assert limits(apart, timeline, "reset.max_kl", off=0.0) == [
        Limit(1, 4, 2.0, "reset.max_kl"),
        Limit(9, 10, 2.0, "reset.max_kl"),
    ]
    assert limits({"health": {"min_entropy": "much"}}, timeline, "health.min_entropy", off=0.0) == []
    assert limits({"phases": "none", "health": 3}, timeline, "health.min_entropy", off=0.0) == []


def test_a_recipe_as_a_run_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(
        'extends = "quickstart"\nhealth = {min_entropy = 0.125}\n'
        "phases = [{steps = 5}, {steps = 5, rollouts = {group_size = 4}}]"
    )
    recipe = tomllib.loads(to_toml(load_run(str(path))))
    timeline = make_timeline(records(10), [{"step": 5, "event": "phase", "name": "wide"}], recipe)
    assert [(phase.name, phase.changes) for phase in timeline.phases] == [
        ("two", ()),
        ("wide", ("rollouts.group_size = 4",)),
    ]
    assert limits(recipe, timeline, "health.min_entropy", off=0.0) == [Limit(1, 10, 0.125, "health.min_entropy")]
