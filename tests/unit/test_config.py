"""The options themselves: documented, typed, sound by default; and the rules between them."""

import dataclasses
import runpy
from pathlib import Path
from typing import Any

import pytest

from prorl.checks import check
from prorl.config import Config, Data, Evaluation, Loss, Model, Optimizer, Phase, Reset, Rollouts, Run, Source, Train
from prorl.errors import UserError
from prorl.options import SECTIONS, literal, option_rows, plain_sections, typed_sections
from prorl.recipe import load_run
from rules import MAX_OPTIONS

ROOT = Path(__file__).resolve().parents[2]
ROWS = {row.key: row for row in option_rows()}


def a_config(**sections: Any) -> Config:
    return Config(**{"data": Data(sources=(Source(),)), **sections})


def a_run(*phases: Config) -> Run:
    return Run(name="run", phases=phases or (a_config(),))


def test_every_option_has_a_row_with_documentation() -> None:
    declared = {f"{name}.{field.name}" for name, owner in SECTIONS.items() for field in dataclasses.fields(owner)}
    declared |= {f"data.sources[].{field.name}" for field in dataclasses.fields(Source)}
    assert set(ROWS) == declared
    assert [row.key for row in ROWS.values() if len(row.doc) < 8] == []
    assert ROWS["loss.clip_low"] == (
        "loss.clip_low",
        "number",
        "0.2",
        "between 0 and 1",
        "Lower clip of the importance ratio (the paper: 0.2).",
    )
    assert ROWS["data.sources[].tasks"].type == "array of strings"
    assert ROWS["reward.functions"][1:3] == ("table of strings", "{}")
    assert ROWS["phase.until_stagnation"].allowed == "true, false"
    assert ROWS["train.seed"].allowed == "between 0 and 2147483647"


def test_number_of_options() -> None:
    assert 0 < len(ROWS) <= MAX_OPTIONS


def test_committed_page_of_options_is_current() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "write_options.py"))["page"]()
    committed = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert committed == page, "run scripts/write_options.py"
    assert [key for key in ROWS if f"| `{key}` |" not in committed] == []


def test_defaults_are_allowed_and_of_their_types() -> None:
    plain = plain_sections(Config())
    assert typed_sections(plain) == plain
    check(a_run())


def test_sections_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().loss.clip_low = 0.3  # type: ignore[misc]


def test_dictionaries_are_not_shared_between_instances() -> None:
    assert Data().domain_weights is not Data().domain_weights


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (-3, "-3"),
        (1e-06, "1e-06"),
        ('a "b"\\\n\t\x7f\x85\U000e0001', r'"a \"b\"\\\n\t\u007f\u0085\U000e0001"'),
        ("\xe9", '"\xe9"'),
        (("a", "b"), '["a", "b"]'),
        ({"a b": 1.0, "c": 2.0}, '{"a b" = 1.0, c = 2.0}'),
    ],
)
def test_literal(value: object, text: str) -> None:
    assert literal(value) == text


RECIPE = """
data = {sources = [{}], max_prompt_tokens = 1024}
rollouts = {prompts_per_step = 32, max_response_tokens = 64}
optimizer = {minibatch_prompts = 8}
reset = {patience = 3}
evaluation = {every = 20}
"""
REFUSED = [
    ("data.sources=[]", 'data.sources = []: name at least one source, as [{source = "mini"}]'),
    ("data.sources=[{weight=0}]", "data.sources: at least one weight must be above 0"),
    ('data.sources=[{source=""}]', 'data.sources[0].source = "": must be mini or a JSON Lines file'),
    (
        "evaluation.sources=[{}, {min_level=4, max_level=3}]",
        "evaluation.sources[1].min_level = 4: must be at most its max_level (3)",
    ),
    ("data.domain_weights={math=1, code=0}", "data.domain_weights.code = 0.0: must be above 0"),
    ("evaluation.domain_weights.math=-1", "evaluation.domain_weights.math = -1.0: must be above 0"),
    ("filter.score_floor={code=1.5}", "filter.score_floor.code = 1.5: must be between 0 and 1"),
    ("reward.functions={math='score'}", 'reward.functions.math = "score": must be module:function'),
    ("loss.dual_clip=1", "loss.dual_clip = 1.0: must be 0 (off) or above 1"),
    ("loss.behaviour_low=3", "loss.behaviour_low = 3.0: must be at most loss.behaviour_high (2.0)"),
    ("optimizer.beta1=1", "optimizer.beta1 = 1.0: must be below 1"),
    ("optimizer.beta2=1", "optimizer.beta2 = 1.0: must be below 1"),
    (
        "optimizer.minibatch_prompts=33",
        "optimizer.minibatch_prompts = 33: must be at most rollouts.prompts_per_step (32)",
    ),
    (
        "rollouts.token_budget=1087",
        "rollouts.token_budget = 1087: must hold one rollout, "
        "data.max_prompt_tokens + rollouts.max_response_tokens (1088)",
    ),
    (
        "reward.truncation=soft",
        "reward.soft_buffer_tokens = 0: must be above 0 and below rollouts.max_response_tokens (64)"
        ' for reward.truncation = "soft"',
    ),
    (
        "reward.truncation=soft;reward.soft_buffer_tokens=64",
        "reward.soft_buffer_tokens = 64: must be above 0 and below rollouts.max_response_tokens (64)"
        ' for reward.truncation = "soft"',
    ),
    (
        "reward.sandbox=docker",
        'reward.sandbox = "docker": must be auto, landlock, bubblewrap, unsafe or the URL of a Sandbox Fusion server',
    ),
    ("evaluation.every=0", "reset.patience = 3 needs validation: set evaluation.every"),
    (
        "reset.max_kl=0.5;loss.kl_coefficient=0",
        "reset.max_kl = 0.5 needs the KL to the reference: set loss.kl_coefficient above 0",
    ),
    (
        "health.max_kl=2;loss.kl_coefficient=0",
        "health.max_kl = 2.0 needs the KL to the reference: set loss.kl_coefficient above 0",
    ),
    (
        "phase.until_stagnation=true",
        "phase.until_stagnation = true ends a phase after its last allowed reset: set reset.max_resets",
    ),
    (
        "phase.until_stagnation=true;reset.patience=0",
        "phase.until_stagnation = true ends a phase after its last allowed reset: set reset.patience",
    ),
]
NEED_VALIDATION = [
    ("reset.max_drop=0.1", "reset.max_drop = 0.1"),
    ("reset.roll_back=true", "reset.roll_back = true"),
    ("reset.reference=best", 'reset.reference = "best"'),
]
REFUSED += [
    (f"{override};reset.patience=0;evaluation.every=0", f"{shown} needs validation: set evaluation.every")
    for override, shown in NEED_VALIDATION
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[overrides for overrides, _ in REFUSED])
def test_combinations_that_cannot_run(tmp_path: Path, overrides: str, message: str) -> None:
    recipe = tmp_path / "a.toml"
    recipe.write_text(RECIPE)
    with pytest.raises(UserError) as caught:
        load_run(str(recipe), overrides.split(";"))
    assert str(caught.value) == f"{recipe}: {message}"


@pytest.mark.parametrize(
    "overrides",
    [
        "loss.dual_clip=1.01",
        "loss.dual_clip=0",
        "optimizer.beta1=0",
        "optimizer.minibatch_prompts=32",
        "rollouts.token_budget=1088",
        "reward.truncation=soft;reward.soft_buffer_tokens=63",
        "reset.patience=0;evaluation.every=0",
        "reset.max_kl=0.5;loss.kl_coefficient=0.01",
        "phase.until_stagnation=true;reset.max_resets=1",
        "reward.functions.math=my_rewards:score",
        "data.sources=[{min_level=4}]",
    ],
)
def test_combinations_at_the_bound(tmp_path: Path, overrides: str) -> None:
    recipe = tmp_path / "a.toml"
    recipe.write_text(RECIPE)
    load_run(str(recipe), overrides.split(";"))


PYTHON_REFUSED = [
    ((), "phases: a run needs at least one"),
    ((a_config(loss=Loss(clip_low=-0.5)),), "loss.clip_low = -0.5: must be between 0 and 1"),
    ((a_config(data=Data(sources=(Source(weight=-1.0),))),), "data.sources[0].weight = -1.0: must be at least 0"),
    (
        (a_config(rollouts=Rollouts(group_size=16.0)),),  # type: ignore[arg-type]
        "rollouts.group_size = 16.0: must be an integer",
    ),
    (
        (a_config(phase=Phase(steps=5)), a_config(loss=Loss(dual_clip=0.5))),
        "phase 2: loss.dual_clip = 0.5: must be 0 (off) or above 1",
    ),
    (
        (a_config(phase=Phase(steps=5)), a_config(optimizer=Optimizer(schedule="step"))),
        'phase 2: optimizer.schedule = "step": must be one of constant, linear, cosine',
    ),
    ((a_config(), a_config()), "phase 1: phase.steps = 0: only the last phase may be without a bound"),
    (
        (a_config(phase=Phase(steps=5)), a_config(train=Train(seed=1))),
        "phase 2: train.seed = 1: must be 0 as in phase 1, it belongs to the whole run",
    ),
    (
        (a_config(phase=Phase(steps=5)), a_config(model=Model(dtype="float32"))),
        'phase 2: model.dtype = "float32": must be "auto" as in phase 1, it belongs to the whole run',
    ),
]


@pytest.mark.parametrize(("phases", "message"), PYTHON_REFUSED, ids=[message for _, message in PYTHON_REFUSED])
def test_runs_made_in_python_are_checked_alike(phases: tuple[Config, ...], message: str) -> None:
    with pytest.raises(UserError) as caught:
        check(Run(name="run", phases=phases))
    assert str(caught.value) == message


def test_earlier_phase_may_end_by_stagnation_instead_of_steps() -> None:
    open_ended = a_config(
        phase=Phase(until_stagnation=True), reset=Reset(patience=2, max_resets=1), evaluation=Evaluation(every=5)
    )
    check(a_run(open_ended, a_config()))
