"""Held-out problems: always the same, all different, and no fold has another one's."""

import json
from collections import Counter

from prorl.config import Config, Data, Evaluation, Source
from prorl.evaluation.measure import boundary_problems
from prorl.evaluation.problems import held_out, validation_problems

MINI = Source(source="mini", tasks=("sort", "chain", "acro"), max_level=2)


def write_rows(path, count=7, tasks=("s", "t")):
    rows = [
        {"id": f"{task}{i}", "domain": "m", "task": task, "prompt": f"{task}{i}", "metadata": {"level": 1 + i % 2}}
        for i in range(count)
        for task in tasks
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source(source=str(path))


def ids(problems):
    return [problem.id for problem in problems]


def make_config(*sources, evaluation=(), **options):
    return Config(data=Data(sources=sources), evaluation=Evaluation(sources=tuple(evaluation), **options))


def test_the_same_problems_every_time_for_a_level_whatever_stands_beside_it():
    first, again = (held_out((MINI,), 5, "validation") for _ in range(2))
    assert first == again
    alone = held_out((Source(source="mini", tasks=("chain",), min_level=2, max_level=2),), 5, "validation")
    assert alone == [problem for problem in first if (problem.task, problem.level) == ("chain", 2)]
    # More problems a level begin with the same ones.
    assert held_out((MINI,), 8, "validation")[:5] == first[:5]


def test_so_many_of_each_level_all_different():
    problems = held_out((MINI,), 20, "validation")
    assert Counter((p.task, p.level) for p in problems) == {
        (t, i): 20 for t in ("sort", "chain", "acro") for i in (1, 2)
    }
    texts = {(p.task, p.level, p.text) for p in problems}
    assert len(texts) == len(problems)
    assert {p.verifier for p in problems} == {"mini"}


def test_a_level_with_few_problems_gives_each_once():
    """`acro` at level 1 has 40 different problems."""
    level = Source(source="mini", tasks=("acro",), max_level=1)
    problems = held_out((level,), 400, "validation")
    assert len(problems) == len({problem.text for problem in problems}) == 40


def test_another_purpose_draws_other_problems():
    one, two = (held_out((MINI,), 20, purpose) for purpose in ("validation", "boundary"))
    assert not set(ids(one)) & set(ids(two))


def test_the_sources_domain_is_the_problems():
    assert {p.domain for p in held_out((Source(source="mini", max_level=1, domain="all"),), 1, "x")} == {"all"}
    assert {p.domain for p in held_out((MINI,), 1, "x")} == {"logic", "instruction"}


def test_rows_of_a_file_are_taken_in_order_by_task_and_level(tmp_path):
    """Levels alternate along the file: level 1 has rows 0, 2, 4, 6."""
    source = write_rows(tmp_path / "rows.jsonl")
    assert ids(held_out((source,), 3, "validation")) == [
        *("s0", "s2", "s4"),
        *("t0", "t2", "t4"),
        *("s1", "s3", "s5"),
        *("t1", "t3", "t5"),
    ]
    assert ids(held_out((source,), 2, "x", from_end=True)) == ["s6", "s4", "t6", "t4", "s5", "s3", "t5", "t3"]


def test_validation_takes_the_evaluation_sources_or_else_those_of_training(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl")
    assert {p.domain for p in validation_problems(make_config(rows, problems_per_level=2))} == {"m"}
    other = make_config(rows, evaluation=[MINI], problems_per_level=2)
    assert Counter((p.task, p.level) for p in validation_problems(other)) == {
        (task, level): 2 for task in ("sort", "chain", "acro") for level in (1, 2)
    }


def test_the_boundary_says_what_was_trained_on(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", 100)
    hard = Source(source="mini_hard", tasks=("sort",))
    problems = boundary_problems(make_config(rows, MINI, evaluation=[rows, MINI, hard], boundary_problems=15))
    assert set(Counter((p.prompt.task, p.prompt.level) for p in problems).values()) == {15}
    assert len({p.prompt.id for p in problems}) == len({p.prompt.text for p in problems}) == len(problems)
    assert {p.suite: p.trained_on for p in problems} == {rows.source: True, "mini": True, "mini_hard": False}
