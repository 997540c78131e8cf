"""Answers to held-out problems: streams of their own, truncation, and the counts that both measurements make."""

import pytest

from prorl.config import Config, Data, Evaluation, Rollouts, Source
from prorl.evaluation.measure import validate
from prorl.evaluation.problems import validation_problems
from prorl.evaluation.sampling import answer
from prorl.judging import Judge
from prorl.records import Prompt, Sampling
from stand_ins import ScriptedEngine, template, two_readings


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    with two_readings(tmp_path_factory.mktemp("rewards")) as made:
        yield made


@pytest.fixture(scope="module")
def grade(pools):
    return pools[1]


def make_problems(count, **fields):
    return [Prompt(id=f"p{i}", domain="d", task="t", content=f"{i}", **fields) for i in range(count)]


def ask(pools, script, *, problems=3, samples=4, seed=(0, "x"), sampling=None):
    engine = ScriptedEngine(lambda key, index: script[key][index], order=3)
    judge = Judge(engine, template(), pools)
    result = answer(
        make_problems(problems),
        judge,
        template(),
        sampling=sampling or Sampling(0.6, 0.95, 9),
        samples=samples,
        seed=seed,
    )
    return engine, [[[score.value for score in scores] for scores in readings] for readings in result]


def test_scores_by_problem_reading_and_sample(pools):
    engine, values = ask(pools, ["1x10", "0000", "11h1"])
    assert values == [
        [[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0]],
        [[0.0] * 4, [0.0] * 4],
        [[1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.5, 1.0]],
    ]
    assert {request.sampling for request in engine.requests} == {Sampling(0.6, 0.95, 9)}
    assert [request.tokens for request in engine.requests] == [template().encode(p) for p in make_problems(3)]


def test_a_truncated_answer_scores_zero_under_every_reading(pools):
    script = [["1", "1~", "1~", "0"]]
    _, values = ask(pools, script, problems=1)
    assert values == [[[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]]


def seeds(pools, *seed, samples=4, problems=3):
    engine, _ = ask(pools, ["0" * samples] * problems, seed=seed, samples=samples, problems=problems)
    return [request.seeds for request in engine.requests]


def test_every_sample_has_a_stream_of_its_own_which_the_role_changes(grade):
    base, again, trained = (seeds([grade], 0, "boundary", role) for role in ("base", "base", "trained"))
    flat = [seed for row in base for seed in row]
    assert len(set(flat)) == 12
    assert base == again
    assert not set(flat) & {seed for row in trained for seed in row}
    assert not set(flat) & {seed for row in seeds([grade], 1, "boundary", "base") for seed in row}


def test_more_samples_or_problems_leave_the_others_streams_as_they_are(grade):
    few, many = seeds([grade], 0, "x", samples=2, problems=2), seeds([grade], 0, "x", samples=4, problems=3)
    assert [row[:2] for row in many[:2]] == few


def make_config(**options):
    return Config(
        data=Data(sources=(Source(source="mini", tasks=("sort",), max_level=1),)),
        rollouts=Rollouts(max_response_tokens=9),
        evaluation=Evaluation(**options),
    )


def test_validation_means_leave_errors_out_and_use_the_recipes_sampling(grade):
    """Problem 0: 1, 1, 0 of three that were judged, an error left out; problem 1: nothing was judged; 2: a half."""
    config = make_config(samples=4, temperature=0.3, top_p=0.7)
    engine = ScriptedEngine(lambda key, index: ["11!0", "!!!!", "hhhh"][key][index])
    report = validate(make_problems(3, metadata={"level": 2}), engine, template(), grade, config, seed=7)
    (level,) = report.levels
    assert (level.domain, level.task, level.level) == ("d", "t", 2)
    assert level.mean_score == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert report.score == report.domains["d"] == level.mean_score
    assert {request.sampling for request in engine.requests} == {Sampling(0.3, 0.7, 9)}


def test_validations_of_one_run_use_the_same_streams(grade):
    config = make_config(samples=2)
    requests = []
    for _ in range(2):
        engine = ScriptedEngine(lambda key, index: "0")
        validate(make_problems(2), engine, template(), grade, config, seed=7)
        requests.append(engine.requests)
    assert requests[0] == requests[1]


def test_validation_and_boundary_problems_of_a_run_are_those_of_its_levels():
    problems = validation_problems(make_config(problems_per_level=3))
    assert [(p.task, p.level) for p in problems] == [("sort", 1)] * 3
