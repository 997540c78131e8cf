"""The evaluation suites: which problems, in which order, under which settings; and what is refused, in one line."""

import json
from collections import Counter
from pathlib import Path

import pytest

from prorl.config import Source
from prorl.datasets.catalogue import DATASETS, MIXTURE_FILES
from prorl.datasets.request import default_output
from prorl.errors import UserError
from prorl.evaluation.problems import held_out
from prorl.evaluation.suites import MIXTURE_NAMES, PREPARED, SUITE_NAMES, open_suite
from prorl.prompts.suites import SUITES
from prorl.recipe import load_run


def row(number, **fields):
    return {"id": f"r{number}", "domain": "math", "task": "t", "prompt": f"p{number}", "answer": "1"} | fields


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def ids(suite):
    return [problem.prompt.id for problem in suite.problems]


def refusal(*arguments, **options):
    with pytest.raises(UserError) as caught:
        open_suite(*arguments, **options)
    assert "\n" not in str(caught.value)
    assert "data.sources" not in str(caught.value)
    return str(caught.value)


def test_the_names_are_the_generated_suites_and_those_of_the_data_sets():
    suites = {name for name, dataset in DATASETS.items() if dataset.kind == "suite"}
    assert set(PREPARED) == suites
    assert set(SUITE_NAMES) == suites | set(SUITES)
    assert len(SUITE_NAMES) == len(set(SUITE_NAMES))
    mixed = {name: Path(file).stem for file, (name, _) in MIXTURE_FILES.items() if file.startswith("validation/")}
    assert {name: file for name, file in mixed.items() if file != name} == MIXTURE_NAMES


def test_the_papers_settings():
    """Section 4: temperature 0.6, top-p 0.95, 32k tokens, 16 samples; 256 for pass@k. Logic and IFEval: continuous."""
    for name, protocol in PREPARED.items():
        numbers = (protocol.temperature, protocol.top_p, protocol.max_tokens, protocol.samples)
        assert (*numbers, protocol.boundary_samples) == (0.6, 0.95, 32 * 1024, 16, 256)
        is_continuous = DATASETS[name].domain in ("logic", "instruction")
        assert protocol.score == ("continuous" if is_continuous else "binary"), name


@pytest.mark.parametrize("name", PREPARED)
def test_a_prepared_suite_is_read_from_where_it_is_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refusal(name)
    assert message.endswith(f"`prorl data prepare {name}`")
    place = default_output(DATASETS[name])
    assert str(place) in message
    write(place, [row(i, task=name, domain=DATASETS[name].domain) for i in range(50)])
    suite = open_suite(name)
    assert ids(suite) == [f"r{i}" for i in range(50)]
    assert (suite.name, suite.protocol, suite.max_tokens) == (name, PREPARED[name], 32768)
    assert {problem.suite for problem in suite.problems} == {name}


def test_the_mixtures_name_of_a_file_is_found_too_and_another_folder(tmp_path):
    folder = tmp_path / "sets"
    assert refusal("aime24", folder=folder).endswith(f"aime24 --out {folder}/validation/aime24.jsonl`")
    write(folder / "validation" / "aime_2024.jsonl", [row(1)])
    assert ids(open_suite("aime24", folder=folder)) == ["r1"]
    write(folder / "validation" / "aime24.jsonl", [row(2)])
    assert ids(open_suite("aime24", folder=folder)) == ["r2"]


def test_generated_problems_are_those_of_a_boundary_measurement():
    """40 a level, one stream by purpose and level: fewer are its beginning, and more levels change none."""
    suite = open_suite("mini", tasks=["sort", "run"], min_level=2, max_level=4)
    counts = Counter((problem.prompt.task, problem.prompt.level) for problem in suite.problems)
    assert counts == {(task, level): 40 for task in ("sort", "run") for level in (2, 3, 4)}
    alone = open_suite("mini", tasks=["run"], min_level=3, max_level=3, per_level=7)
    every = [problem.prompt for problem in suite.problems if (problem.prompt.task, problem.prompt.level) == ("run", 3)]
    assert [problem.prompt for problem in alone.problems] == every[:7]
    source = Source(source="mini", tasks=("run",), min_level=3, max_level=3)
    assert held_out((source,), 40, "boundary") == every
    assert open_suite("mini", tasks=["sort", "run"], min_level=2, max_level=4) == suite


def test_a_level_with_fewer_problems_gives_all_of_them():
    """`acro/1` has 20 initials in two cases, `chain/1` 26 * 25 ordered pairs of letters."""
    suite = open_suite("mini", tasks=["acro", "chain"], max_level=1, per_level=300)
    texts = Counter(problem.prompt.task for problem in suite.problems)
    assert texts == {"acro": 40, "chain": 300}
    assert len({problem.prompt.text for problem in suite.problems}) == len(set(ids(suite))) == 340


@pytest.mark.parametrize(("name", "tokens"), [("mini_hard", 48), ("procedural_hard", 8192), ("procedural", 8192)])
def test_levels_and_limits_of_generated_suites(name, tokens):
    suite = open_suite(name, per_level=1)
    assert len(suite.problems) == len({(p.prompt.task, p.prompt.level) for p in suite.problems})
    assert suite.max_tokens == tokens
    assert suite.protocol.samples == 16
    if name == "mini_hard":  # two levels of each of the twelve families
        assert len(suite.problems) == 24


def test_the_limit_of_mini_is_the_quickstarts():
    recipe = load_run("quickstart")
    assert open_suite("mini", per_level=1).max_tokens == recipe.phases[0].rollouts.max_response_tokens


def test_what_was_trained_on_and_what_chance_gives():
    """A guess sorts two digits with 0.55 = 55 pairs of 100, and one level of two is trained on."""
    suite = open_suite("mini", tasks=["sort"], max_level=2, per_level=2, trained={("sort", 2), ("run", 1)})
    assert [(p.prompt.level, p.trained_on) for p in suite.problems] == [(1, False)] * 2 + [(2, True)] * 2
    assert [round(p.chance, 9) for p in suite.problems] == [0.55, 0.55, 0.22, 0.22]


def test_a_file_of_ones_own(tmp_path):
    """Rows 0 to 5 alternate between levels 1 and 2; equal prompts go, equal ids are numbered, the last rows count."""
    rows = [row(i, metadata={"level": 1 + i % 2}) for i in range(6)]
    rows += [row(0, metadata={"level": 1}), row(0, prompt="new", metadata={"level": 1}), row(9, id="r0#2", prompt="q")]
    path = str(write(tmp_path / "mini_own.jsonl", rows))
    suite = open_suite(path)
    assert ids(suite) == ["r0", "r2", "r4", "r0#3", "r1", "r3", "r5", "r0#2"]
    assert (suite.name, suite.max_tokens) == (path, 32768)
    assert ids(open_suite(path, per_level=2)) == ["r4", "r0", "r3", "r5", "r0#2"]
    assert ids(open_suite(path, per_level=0)) == ids(suite)
    assert ids(open_suite(path, min_level=2)) == ["r1", "r3", "r5"]
    assert ids(open_suite(path, tasks=["t"], min_level=1, max_level=1, per_level=1)) == ["r0"]


def test_the_last_rows_are_not_those_of_validation(tmp_path):
    path = str(write(tmp_path / "rows.jsonl", [row(i) for i in range(10)]))
    first = held_out((Source(source=path),), 4, "validation")
    assert not {prompt.id for prompt in first} & set(ids(open_suite(path, per_level=6)))


def test_refusals_are_one_line(tmp_path):
    path = str(write(tmp_path / "rows.jsonl", [row(i) for i in range(3)]))
    assert all(name in refusal("aime") for name in SUITE_NAMES)
    assert "no such file" in refusal(str(tmp_path / "gone.jsonl"))
    assert "must end in .jsonl or .parquet" in refusal(str(tmp_path / "rows.txt"))
    assert refusal("mini", tasks=["nosuch"]).startswith("suite mini: tasks = nosuch")
    assert refusal("mini", min_level=40, max_level=50).startswith("suite mini: no level")
    assert refusal(path, tasks=["nosuch"]).startswith(f"suite {path}:")
    assert "per_level = -1" in refusal("mini", per_level=-1)
    assert "0 problems of a level" in refusal("mini", per_level=0)
    wrong = write(tmp_path / "wrong.jsonl", [row(0) | {"colour": 1}])
    assert refusal(str(wrong)).startswith(f"{wrong}:1: unknown field colour")
