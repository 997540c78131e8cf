"""Every public data set's own rows become the prompt rows that its verifier reads."""

import json
from pathlib import Path

import pytest

import raw_rows as raw
from prorl.config import Source
from prorl.datasets.catalogue import DATASETS
from prorl.datasets.cleaning import Cleaner, Options
from prorl.datasets.hub import local_files
from prorl.datasets.overlap import Overlaps
from prorl.datasets.record import BadRow, Files
from prorl.datasets.wording import CHOICE, CODE_INPUT, MATH, STEM
from prorl.errors import UserError
from prorl.prompts.sources import read_rows
from prorl.records import Prompt
from prorl.rewards.programs.problems import Examining, Printing, Returning, read_problem


def clean(name: str, path: Path, **options) -> tuple[list[dict], Cleaner]:
    cleaner = Cleaner(DATASETS[name], Options(**options), Overlaps())
    files = [file for _, file in local_files(DATASETS[name], path).files]
    return list(cleaner.rows(files, lambda text: None)), cleaner


def problem_of(row: dict):
    prompt = Prompt(row["id"], row["domain"], row["task"], row["prompt"], row["answer"], row["metadata"])
    return read_problem(prompt)


def test_deepscaler(tmp_path):
    (tmp_path / "deepscaler.json").write_text(json.dumps(raw.DEEPSCALER, indent=2))
    rows, cleaner = clean("deepscaler", tmp_path)
    assert rows[0] == {
        "id": "deepscaler/0",
        "domain": "math",
        "task": "deepscaler",
        "prompt": f"What is the sum of the first ten positive integers? {MATH}",
        "answer": "55",
        "metadata": {"source": "deepscaler"},
    }
    assert [row["answer"] for row in rows] == ["55", "\\frac{3}{4}"]
    assert dict(cleaner.tally.dropped) == {"near duplicate": 1, "no answer": 1, "unusable": 1}
    assert "braces" in cleaner.tally.examples["unusable"][0]


def test_dapo_has_each_problem_a_hundred_times(tmp_path):
    rows = [raw.dapo(f"What is {n} + 1?", str(n + 1), f"{n}-{copy}") for copy in range(100) for n in range(3)]
    raw.write_parquet(tmp_path / "data" / "dapo-math-17k.parquet", rows)
    kept, cleaner = clean("dapo_math_17k", tmp_path)
    assert [row["answer"] for row in kept] == ["1", "2", "3"]
    assert kept[0]["prompt"] == f"What is 0 + 1? {MATH}"
    assert cleaner.tally.read == 300
    assert dict(cleaner.tally.dropped) == {"exact duplicate": 297}


def test_eurus(tmp_path):
    raw.write_parquet(tmp_path / "train.parquet", raw.EURUS)
    raw.write_parquet(tmp_path / "validation.parquet", raw.EURUS_VALIDATION)
    rows, cleaner = clean("eurus_code", tmp_path)
    assert [row["metadata"]["data_source"] for row in rows] == ["taco", "apps"]
    assert rows[0]["prompt"] == f"Print the sum of two numbers of a line.\n\n{CODE_INPUT}"
    assert json.loads(rows[0]["answer"]) == raw.STDIN_TESTS
    assert problem_of(rows[0]) == Printing(("1 2\n", "3 4\n"), ("3\n", "7\n"))
    assert "it must define `minFlips`" in rows[1]["prompt"]
    problem = problem_of(rows[1])
    assert isinstance(problem, Returning)
    assert problem.arguments == (("01010101",), ("11111111",))
    assert problem.expected[1][-1] == 4
    assert cleaner.tally.dropped == {
        "not a programming problem": 1,
        "no tests": 1,
        "a number of over 4,300 digits in its tests": 1,
    }
    rows, cleaner = clean("codeforces", tmp_path)
    assert [row["prompt"].split("\n")[0] for row in rows] == ["Print the smaller of two numbers."]
    assert cleaner.tally.dropped == {"of another set": 1}


def test_scp(tmp_path):
    raw.write_lines(tmp_path / "scp.jsonl", raw.SCP)
    rows, cleaner = clean("scp_116k", tmp_path)
    assert [row["answer"] for row in rows] == ["5 m/s", "hydrogen", "B", "3.2\\times 10^{-19}\\,\\mathrm{C}"]
    assert rows[2]["metadata"] == {
        "subject": "Physics",
        "choices": ["sulphur", "iron", "neon", "iodine"],
        "source": "scp_116k",
    }
    assert rows[2]["prompt"].endswith(CHOICE)
    assert rows[0]["prompt"].endswith(f"How fast is it? {STEM}")
    assert cleaner.tally.dropped == {"no short answer in the solution": 1, "no model came to the answer": 1}


def test_of_several_models_that_of_the_paper_decides(tmp_path):
    r1 = "is_r1_solution_same_with_matched_solution"
    boxed = "\\boxed{2}"
    rows = [
        raw.scp("First?", boxed, **{r1: "True", raw.O1_SAME: False}),
        raw.scp("Second?", boxed, **{r1: "False", raw.O1_SAME: True}),
    ]
    raw.write_lines(tmp_path / "scp.jsonl", rows)
    assert [row["id"] for row in clean("scp_116k", tmp_path)[0]] == ["scp_116k/0"]


def test_nemotron(tmp_path):
    raw.write_lines(tmp_path / "RL" / "instruction_following" / "instruction_following.jsonl", raw.NEMOTRON)
    rows, cleaner = clean("nemotron_instruction", tmp_path)
    assert rows[0]["prompt"] == "Write about rain without any comma."
    assert rows[0]["metadata"] == {
        "instruction_id_list": ["punctuation:no_comma"],
        "kwargs": [{}],
        "prompt": "Write about rain without any comma.",
        "source": "nemotron_instruction",
    }
    assert rows[1]["metadata"]["kwargs"] == [{"relation": "at least", "num_words": 30}]
    assert cleaner.tally.dropped == {"no instructions to check": 1}


def test_a_rule_may_have_null_for_its_arguments_and_args_may_be_json(tmp_path):
    row = raw.nemotron("No comma please.", ["punctuation:no_comma"], [None])
    text = raw.nemotron("Not one comma.", ["punctuation:no_comma"], [{}])
    text["args"] = json.dumps(text["args"])
    raw.write_lines(tmp_path / "instruction_following.jsonl", [row, text])
    rows, _ = clean("nemotron_instruction", tmp_path)
    assert [row["metadata"]["kwargs"] for row in rows] == [[{}], [{}]]


def test_ifeval(tmp_path):
    raw.write_lines(tmp_path / "ifeval_input_data.jsonl", raw.IFEVAL)
    (row,), _ = clean("ifeval", tmp_path)
    assert row["id"] == "ifeval/1000"
    assert row["metadata"]["kwargs"] == [{}]


@pytest.mark.parametrize(
    ("name", "rows", "answers"),
    [
        ("aime24", raw.AIME24, ["204"]),
        ("aime25", [{"problem": "Find $b$.", "answer": "070", "id": "I-1"}], ["070"]),
        ("amc", raw.AMC, ["142"]),
        ("math_500", raw.MATH_500, ["\\left( 3, \\frac{\\pi}{2} \\right)"]),
        ("minerva", raw.MINERVA, ["4.5e33"]),
        ("olympiad_bench", raw.OLYMPIAD, ["2", "1, -3"]),
    ],
)
def test_math_suites(tmp_path, name, rows, answers):
    raw.write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", rows)
    kept, _ = clean(name, tmp_path)
    assert [row["answer"] for row in kept] == answers
    assert all(row["prompt"].endswith(MATH) for row in kept)
    assert all("level" not in row["metadata"] for row in kept)


def test_apps(tmp_path):
    raw.write_lines(tmp_path / "test.jsonl", raw.APPS)
    rows, cleaner = clean("apps_full", tmp_path)
    assert problem_of(rows[0]) == Printing(("1 2\n", "3 4\n"), ("3\n", "7\n"))
    assert rows[0]["metadata"]["solution"].startswith("print(")
    problem = problem_of(rows[1])
    assert isinstance(problem, Returning)
    assert problem.arguments == (([1, 2], 3),)
    assert problem.expected[0][0] == [2, 4, 3]
    assert "Begin with:\n```python\nclass Solution:" in rows[1]["prompt"]
    assert cleaner.tally.dropped == {"no tests": 1}


def test_code_contests(tmp_path):
    raw.write_parquet(tmp_path / "data" / "test-00000-of-00001-9c49eeff30aacaa8.parquet", raw.CONTESTS)
    (row,), _ = clean("codecontests_full", tmp_path)
    assert problem_of(row) == Printing(("1 2\n", "5 6\n"), ("3\n", "11\n"))
    assert row["metadata"]["solution"] == "print(sum(map(int, input().split())))"


def test_humaneval(tmp_path):
    raw.write_parquet(tmp_path / "data" / "test-00000-of-00001-5973903632b82d40.parquet", raw.HUMANEVAL)
    (row,), _ = clean("humaneval_plus", tmp_path)
    assert row["id"] == "humaneval_plus/HumanEval/53"
    assert problem_of(row) == Examining("add", raw.HUMANEVAL[0]["test"])
    assert row["metadata"]["solution"].endswith("return x + y\n")


def test_live_code_bench(tmp_path):
    raw.write_lines(tmp_path / "test.jsonl", raw.LIVE_CODE)
    rows, _ = clean("live_code_bench", tmp_path)
    assert problem_of(rows[0]) == Printing(("1 2\n", "5 5\n"), ("3\n", "10\n"))
    problem = problem_of(rows[1])
    assert isinstance(problem, Returning)
    assert problem.arguments == (([1, 2], 3),) * 2


def test_gpqa(tmp_path):
    raw.write_gpqa(tmp_path / "gpqa_diamond.csv")
    rows, _ = clean("gpqa_diamond", tmp_path)
    for row, given in zip(rows, raw.GPQA, strict=True):
        choices = row["metadata"]["choices"]
        assert choices["ABCD".index(row["answer"])] == given[1]
        assert sorted(choices) == sorted(given[1:5])
        assert all(f"\n{letter}. {choice}" in row["prompt"] for letter, choice in zip("ABCD", choices, strict=True))
    again, _ = clean("gpqa_diamond", tmp_path)
    orders = {tuple(clean("gpqa_diamond", tmp_path, seed=seed)[0][0]["metadata"]["choices"]) for seed in range(20)}
    assert again == rows
    assert len(orders) > 5


WRONG = {
    "deepscaler": (
        [{"question": "Q", "solution": ""}],
        r"rows.jsonl:1: no column answer \(the answer\); it has question",
    ),
    "amc": ([{"problem": ["Q"], "answer": 1}], r"rows.jsonl:1: problem is of type list, not str"),
    "minerva": ([{"question": "Q", "answer": True}], "answer is of type bool, not str or int or float"),
    "dapo_math_17k": ([{"prompt": "Q", "reward_model": {}}], "reward_model.ground_truth is of type NoneType"),
    "eurus_code": ([raw.eurus("taco", "P", "[1")], "ground_truth is not JSON text"),
    "apps_full": ([{"question": "Q", "input_output": "[]"}], "input_output must be"),
    "nemotron_instruction": ([{"input": [], "args": {}}], "input must be messages"),
    "ifeval": ([{**raw.IFEVAL[0], "kwargs": []}], "two lists of the same length"),
    "live_code_bench": ([{**raw.LIVE_CODE[0], "public_test_cases": "[3]"}], "public_test_cases must be a list"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_row_that_is_not_what_its_data_set_says_is_named(tmp_path, name):
    rows, words = WRONG[name]
    path = raw.write_lines(tmp_path / "rows.jsonl", rows)
    with pytest.raises(UserError, match=words) as error:
        clean(name, path)
    assert str(path) in str(error.value)
    assert "--skip-bad-rows" in str(error.value)
    kept, cleaner = clean(name, path, skip_bad_rows=True)
    assert (kept, dict(cleaner.tally.dropped)) == ([], {"bad row": 1})


def test_broken_lines_are_named_or_skipped(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"problem": "P?", "answer": "1"}\n{"problem": \n\n[]\n{"problem": "Q?", "answer": "2"}\n')
    with pytest.raises(UserError, match=r"rows.jsonl:2: not a JSON object"):
        clean("deepscaler", path)
    rows, cleaner = clean("deepscaler", path, skip_bad_rows=True)
    assert [row["answer"] for row in rows] == ["1", "2"]
    assert cleaner.tally.dropped == {"bad row": 2}


def test_a_private_test_that_would_run_a_program_is_refused(tmp_path):
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return (Path.touch, (marker,))

    path = raw.write_lines(tmp_path / "test.jsonl", [raw.live_code([raw.CASE], raw.packed(Payload()), {})])
    with pytest.raises(UserError, match=r"private_test_cases: a pickle with \w*GLOBAL"):
        clean("live_code_bench", path)
    assert not marker.exists()


def test_every_file_source_names_its_columns_and_the_mixture_is_the_paper_s():
    files = [dataset for dataset in DATASETS.values() if isinstance(dataset.origin, Files)]
    assert all(dataset.origin.columns and dataset.origin.hub for dataset in files)
    assert [name for name, dataset in DATASETS.items() if not dataset.commercial] == ["scp_116k"]


def test_a_bad_row_is_no_user_error_by_itself():
    with pytest.raises(BadRow, match="no column problem or question"):
        DATASETS["aime24"].origin.raw_row({"answer": "3"}, 0, 0)


def test_prepared_rows_load_as_prompts(tmp_path):
    raw.write_parquet(tmp_path / "train.parquet", raw.EURUS)
    rows, _ = clean("eurus_code", tmp_path)
    path = raw.write_lines(tmp_path / "out.jsonl", rows)
    prompts = read_rows(Source(source=str(path)))
    assert [prompt.answer for prompt in prompts] == [row["answer"] for row in rows]
