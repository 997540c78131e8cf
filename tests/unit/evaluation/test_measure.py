"""Answers to held-out problems: streams of their own, truncation, and the counts that both measurements make."""

from dataclasses import replace

import pytest

from prorl.config import Config, Data, Evaluation, Rollouts, Source
from prorl.evaluation import measure
from prorl.evaluation.measure import Problem, boundary_problems, boundary_result, count_answers, validate
from prorl.evaluation.problems import validation_problems
from prorl.evaluation.sampling import answer
from prorl.judging import Judge
from prorl.records import Prompt, Sampling
from prorl.rewards.verifier import VerifierPool
from stand_ins import REWARDS, ScriptedEngine, template


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """A strict and a tolerant reading: the strict one takes `1` only, the tolerant one what begins with it."""
    path = tmp_path_factory.mktemp("rewards") / "rewards.py"
    path.write_text(REWARDS)
    made = [
        VerifierPool(workers=1, timeout_seconds=30.0, memory_mb=512, functions={"d": f"{path}:{name}"})
        for name in ("harsh", "grade")
    ]
    yield made
    for pool in made:
        pool.close()


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


def test_counts_of_both_readings_by_hand(pools):
    """Strict: `1` alone is right. Tolerant: what begins with 1. The verifiers here call nothing unparsable."""
    config = make_config(boundary_samples=4)
    problems = [
        Problem(prompt, fold, "suite", trained)
        for prompt, fold, trained in zip(make_problems(2), ("select", "report"), (True, False), strict=True)
    ]
    script = [["1", "1x", "0", "1~"], ["0", "0", "h", "1"]]
    engine = ScriptedEngine(lambda key, index: script[key][index])
    first, second = count_answers(problems, engine, template(), pools, config, seed=0, role="base")
    assert (first.num_samples, first.num_correct, first.num_correct_tolerant, first.num_well_formed) == (4, 1, 2, 3)
    assert (second.num_samples, second.num_correct, second.num_correct_tolerant) == (4, 1, 1)
    assert (first.prompt_id, first.family, first.fold, first.suite, first.trained_on) == (
        "p0",
        "t",
        "select",
        "suite",
        True,
    )
    assert (second.fold, second.trained_on) == ("report", False)
    assert {request.sampling for request in engine.requests} == {Sampling(1.0, 1.0, 9)}


def test_a_model_against_itself_is_asked_the_same_under_other_streams_and_compared(pools):
    """The base says 1 to every second sample, the trained model to all: 2 of 4 against 4 of 4 on each problem."""
    config = make_config(boundary_samples=4, boundary_problems=2)
    problems = [replace(p, prompt=replace(p.prompt, domain="d")) for p in boundary_problems(config)]
    assert len(problems) == 4  # a level, two folds of two
    engines = {
        "base": ScriptedEngine(lambda key, index: "10"[index % 2]),
        "trained": ScriptedEngine(lambda key, index: "1"),
    }
    counts = {
        role: count_answers(problems, engine, template(), pools, config, seed=3, role=role)
        for role, engine in engines.items()
    }
    assert [c.num_correct for c in counts["base"]] == [2] * 4
    assert [c.num_correct for c in counts["trained"]] == [4] * 4
    base, trained = (engines[role].requests for role in engines)
    assert [r.tokens for r in base] == [r.tokens for r in trained]
    assert not {s for r in base for s in r.seeds} & {s for r in trained for s in r.seeds}
    result = boundary_result(config, {**counts, "40": counts["base"]}, seed=3)
    assert result["summary"]["settings"] == {
        "samples": 4,
        "problems_per_level_and_fold": 2,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_response_tokens": 9,
        "seed": 3,
        "verifier_errors": 0,
    }
    assert result["summary"]["checkpoints"] == [40]
    (level,) = result["levels"]
    assert (level["checkpoints"], level["base"]["pass@1"], level["trained"]["pass@1"]) == (
        {"40": level["base"]},
        0.5,
        1,
    )


def test_many_problems_are_measured_a_part_at_a_time_with_the_same_outcome(pools, monkeypatch):
    config = make_config(boundary_samples=4, boundary_problems=2)
    problems = [replace(p, prompt=replace(p.prompt, domain="d")) for p in boundary_problems(config)]

    def count(role="x"):
        engine = ScriptedEngine(lambda key, index: "10"[index % 2])
        return count_answers(problems, engine, template(), pools, config, seed=3, role=role), engine.requests

    whole, of_whole = count()
    monkeypatch.setattr(measure, "PROBLEMS_AT_ONCE", 3)
    parts, of_parts = count()
    assert parts == whole
    assert [request.seeds for request in of_parts] == [request.seeds for request in of_whole]


def test_validation_and_boundary_problems_of_a_run_are_those_of_its_levels():
    problems = validation_problems(make_config(problems_per_level=3))
    assert [(p.task, p.level) for p in problems] == [("sort", 1)] * 3
