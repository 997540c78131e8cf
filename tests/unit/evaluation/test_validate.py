"""Validation means by hand."""

import pytest

from prorl.errors import RunFailed, UserError
from prorl.evaluation.validate import report_metrics, summarise
from prorl.records import LevelReport, Prompt


def problem(domain: str, task: str, level: int, number: int) -> Prompt:
    return Prompt(f"{task}/{level}/{number}", domain, task, "?", metadata={"level": level})


PROMPTS = [
    problem("math", "add", 1, 0),
    problem("logic", "sort", 3, 0),
    problem("math", "add", 2, 0),
    problem("math", "add", 1, 1),
    problem("math", "run", 1, 0),
]
SCORES = [[1.0, 0.0], [0.25], [0.5, 0.5], [1.0, 1.0], [0.0, 0.0]]
# add/1: (0.5 + 1) / 2 = 0.75; add/2: 0.5; run/1: 0; sort/3: 0.25.
# add: (0.75 + 0.5) / 2 = 0.625; math: (0.625 + 0) / 2 = 0.3125; logic: 0.25.


def test_levels_families_domains_and_blend() -> None:
    report = summarise(PROMPTS, SCORES, {"math": 3.0, "logic": 1.0})
    assert report.domains == {"math": 0.3125, "logic": 0.25}
    assert report.score == (3 * 0.3125 + 0.25) / 4
    assert report.levels == (
        LevelReport("logic", "sort", 3, num_problems=1, num_samples=1, mean_score=0.25),
        LevelReport("math", "add", 1, num_problems=2, num_samples=4, mean_score=0.75),
        LevelReport("math", "add", 2, num_problems=1, num_samples=2, mean_score=0.5),
        LevelReport("math", "run", 1, num_problems=1, num_samples=2, mean_score=0.0),
    )
    assert report_metrics(report) == {
        "validation/mean": 0.296875,
        "validation/math": 0.3125,
        "validation/logic": 0.25,
        "validation/sort/3": 0.25,
        "validation/add/1": 0.75,
        "validation/add/2": 0.5,
        "validation/run/1": 0.0,
    }


def test_no_weights_weigh_alike_and_an_unnamed_domain_weighs_nothing() -> None:
    assert summarise(PROMPTS, SCORES, {}).score == (0.3125 + 0.25) / 2
    assert summarise(PROMPTS, SCORES, {"logic": 2.0}).score == 0.25
    assert summarise(PROMPTS, SCORES, {"logic": 2.0, "math": 0.0}).score == 0.25


def test_an_unverified_problem_does_not_count_as_wrong() -> None:
    scores = [[1.0, 0.0], [0.25], [0.5, 0.5], [], []]
    report = summarise(PROMPTS, scores, {})
    assert report.domains == {"math": 0.5, "logic": 0.25}
    assert [(level.task, level.level, level.num_problems) for level in report.levels] == [
        ("sort", 3, 1),
        ("add", 1, 1),
        ("add", 2, 1),
    ]
    with pytest.raises(RunFailed, match="no sample of logic could be verified"):
        summarise(PROMPTS, [[1.0], [], [1.0], [1.0], [1.0]], {})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"code": 1.0}, r"domain_weights.code = 1.0: no validation problem is in code; allowed: logic, math$"),
        ({"math": -1.0}, r"domain_weights.math = -1.0: must be 0 or more"),
        ({"math": float("nan")}, r"must be 0 or more"),
        ({"math": 0.0}, r"every weight is 0"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        summarise(PROMPTS, SCORES, weights)


def test_a_task_in_two_domains_is_not_merged_silently() -> None:
    prompts = [problem("math", "add", 1, 0), problem("logic", "add", 1, 1)]
    report = summarise(prompts, [[1.0], [0.0]], {})
    assert report.domains == {"math": 1.0, "logic": 0.0}
    with pytest.raises(AssertionError, match="two domains"):
        report_metrics(report)
