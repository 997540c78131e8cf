"""Rows of one's own through the whole loop: what stands in them may be odd, and must not end a run half way."""

import io
import json
from dataclasses import replace

import pytest

from prorl.assembly import held_out_texts, open_stream
from prorl.config import Source
from prorl.errors import RunFailed, UserError
from prorl.evaluation.measure import boundary_problems
from prorl.evaluation.problems import validation_problems
from prorl.prompts.sources import read_rows
from prorl.recipe import load_run
from prorl.train import train
from runs import records, write_recipe


def run(folder, recipe, *overrides, resume=False):
    changes = [override.partition("=")[0] for override in overrides]
    loaded = load_run(str(recipe), overrides)
    return train(loaded, folder, resume=resume, changes=changes, terminal=io.StringIO())


def sort_row(number, **fields):
    """A problem that the shipped base solves now and then."""
    digits = f"{number:06d}"
    row = {"id": f"r{number}", "domain": "logic", "task": "sort", "prompt": f"o{digits}:", "verifier": "mini"}
    return row | {"answer": "".join(sorted(digits)), "metadata": {"task": "sort", "level": 5}} | fields


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f'data.sources=[{{source = "{path}"}}]'


def test_a_round_of_too_long_prompts_is_no_reason_to_stop(tmp_path):
    """Most rows are too long, so that some rounds draw no other; a step stops only where all of its rounds do."""
    recipe = write_recipe(tmp_path)
    long = [sort_row(number, prompt="o" + "1" * 90 + ":") for number in range(80)]
    options = ("evaluation.every=0", "reset.patience=0", "rollouts.prompts_per_step=2", "train.steps=6")
    source = write(tmp_path / "some.jsonl", [*long, *map(sort_row, range(100, 130))])
    assert run(tmp_path / "run", recipe, *options, "filter.max_rounds=12", source).outcome == "done"
    steps = records(tmp_path / "run")
    assert any(record["prompts/too_long"] > record["groups/drawn"] for record in steps)
    source = write(tmp_path / "none.jsonl", long)
    with pytest.raises(RunFailed, match=r"step 1: all \d+ prompts drawn are longer than data.max_prompt_tokens = 48"):
        run(tmp_path / "stopped", recipe, *options, "filter.max_rounds=3", source)


def loaded(recipe, *overrides):
    return load_run(str(recipe), overrides).phases


def test_no_phase_trains_on_what_a_later_one_is_measured_by(tmp_path):
    """Only the last phase asks for a boundary; `sort` has 100 problems at level 1, of which 40 are in it."""
    phases = "phases = [{steps = 1}, {evaluation = {boundary_samples = 2}}]\n"
    recipe = write_recipe(tmp_path, phases + write_recipe(tmp_path).read_text())
    plan = load_run(str(recipe), ('data.sources=[{source = "mini", tasks = ["sort"], max_level = 1}]',))
    held_out = held_out_texts(plan)
    measured = {problem.prompt.text for problem in boundary_problems(plan.phases[1])}
    assert len(measured) == 40
    for config in plan.phases:
        drawn = {prompt.text for _, prompt in open_stream(config, 0, held_out).draw(400, {})}
        assert len(drawn) > 40
        assert not drawn & measured


def test_a_level_counts_as_trained_on_whichever_source_or_phase_brought_it(tmp_path):
    recipe = write_recipe(tmp_path, "phases = [{steps = 1}, {}]\n" + write_recipe(tmp_path).read_text())
    evaluated = 'evaluation.sources=[{source = "mini", tasks = ["sort"], min_level = 6, max_level = 8}]'
    first, second = loaded(recipe, evaluated)
    assert first.data.sources[0].max_level == 7
    by_level = {problem.prompt.level: problem.trained_on for problem in boundary_problems(first)}
    assert by_level == {6: True, 7: True, 8: False}
    other = replace(second, data=replace(second.data, sources=(Source(source="mini", tasks=("add",)),)))
    assert not any(problem.trained_on for problem in boundary_problems(other))
    assert any(problem.trained_on for problem in boundary_problems(other, before=[first]))
    unused = replace(second, data=replace(second.data, sources=(replace(first.data.sources[0], weight=0.0),)))
    assert not any(problem.trained_on for problem in boundary_problems(unused))


BOUNDARY = ("train.steps=1", "evaluation.boundary_samples=2", "evaluation.boundary_problems=3", "evaluation.every=0")


def test_the_boundary_of_sources_that_overlap_and_of_rows_with_equal_ids(tmp_path):
    recipe = write_recipe(tmp_path)
    twice = 'data.sources=[{source = "mini", tasks = ["sort"], max_level = 3}, {source = "mini", max_level = 2}]'
    assert run(tmp_path / "twice", recipe, *BOUNDARY, "reset.patience=0", twice).outcome == "done"
    source = write(tmp_path / "rows.jsonl", [sort_row(number, id="1") for number in range(40)])
    problems = boundary_problems(loaded(recipe, source, *BOUNDARY, "reset.patience=0")[0])
    assert len({problem.prompt.id for problem in problems}) == len(problems) == 3
    assert run(tmp_path / "ids", recipe, *BOUNDARY, "reset.patience=0", source).outcome == "done"


def test_validation_and_boundary_share_no_row_where_there_are_enough(tmp_path):
    source = write(tmp_path / "rows.jsonl", [sort_row(number) for number in range(30)])
    (config,) = loaded(write_recipe(tmp_path), source, "evaluation.problems_per_level=8", *BOUNDARY[:3])
    validation = [problem.id for problem in validation_problems(config)]
    boundary = [problem.prompt.id for problem in boundary_problems(config)]
    assert validation == [f"r{number}" for number in range(8)]
    assert sorted(boundary) == [f"r{number}" for number in range(27, 30)]


def test_what_a_measurement_at_the_end_cannot_use_is_refused_at_the_beginning(tmp_path):
    recipe = write_recipe(tmp_path)
    rows = [sort_row(number) for number in range(40)]
    options = (*BOUNDARY, "reset.patience=0", 'data.sources=[{source = "mini", max_level = 3}]')

    def refused(*more, words):
        evaluated = write(tmp_path / "rows.jsonl", [*rows, *more]).replace("data.", "evaluation.")
        with pytest.raises(UserError, match=words):
            run(tmp_path / "run", recipe, *options, evaluated)
        assert not (tmp_path / "run").exists()

    refused(sort_row(41, prompt="o" + "1" * 90 + ":"), words="evaluation problem r41 has 92 tokens")
    refused(sort_row(41, verifier="chess"), words="no verifier 'chess'")


def test_a_later_phase_that_nobody_can_judge_is_refused_at_the_beginning(tmp_path):
    recipe = write_recipe(tmp_path, "phases = [{steps = 1}, {PLACE}]\n" + write_recipe(tmp_path).read_text())
    source = write(tmp_path / "rows.jsonl", [sort_row(number, verifier="chess") for number in range(40)])
    recipe.write_text(recipe.read_text().replace("PLACE", f"data = {{{source.removeprefix('data.')}}}"))
    with pytest.raises(UserError, match="no verifier 'chess'"):
        run(tmp_path / "run", recipe)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"domain": "openai/gsm8k"}, r'rows.jsonl:21: domain = openai/gsm8k: must not contain "/"'),
        ({"task": "a/b"}, r'rows.jsonl:21: task = a/b: must not contain "/"'),
        ({"domain": "mean", "task": "other"}, r"rows.jsonl:21: domain = mean: must not"),
        ({"domain": "math"}, r"task sort is in two domains, logic and math \(problem r20\)"),
    ],
)
def test_names_that_metrics_cannot_have_are_refused_before_the_first_step(tmp_path, fields, words):
    rows = [sort_row(number, **(fields if number >= 20 else {})) for number in range(40)]
    with pytest.raises(UserError, match=words):
        run(tmp_path / "run", write_recipe(tmp_path), write(tmp_path / "rows.jsonl", rows))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("evaluation.domain_weights={chess = 1}", "no validation problem is in chess; allowed: code, logic"),
        ('data.sources=[{source = "mini", domain = "a/b"}]', r'data.sources\[0\].domain = "a/b": must not contain'),
        (
            'data.sources=[{source = "mini", tasks = ["sort"]}, {source = "mini", tasks = ["add"], weight = 0}]',
            "data.domain_weights.math = 1.0: every source of math has weight 0",
        ),
    ],
)
def test_weights_and_names_in_the_recipe_are_refused_before_the_first_step(tmp_path, override, words):
    weights = "data.domain_weights={logic = 1, math = 1}" if "weight = 0" in override else "train.steps=1"
    with pytest.raises(UserError, match=words):
        run(tmp_path / "run", write_recipe(tmp_path), override, weights)
    assert not (tmp_path / "run").exists()


def test_null_is_as_left_out(tmp_path):
    rows = [sort_row(n, id=None, task=None, domain=None, verifier=None) for n in range(3)]
    path = tmp_path / "rows.jsonl"
    write(path, rows)
    prompts = read_rows(Source(source=str(path), domain="mini"))
    assert [prompt.id for prompt in prompts] == [f"{path}:{line}" for line in (1, 2, 3)]
    assert {(prompt.domain, prompt.task, prompt.verifier) for prompt in prompts} == {("mini", "mini", "")}
