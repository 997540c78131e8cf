"""Stage 1, data sets: programs: Eurus-2-RL to train on, and suites of programming problems.

The answer is JSON text in the form of PRIME: `{"inputs": [...], "outputs": [...], "fn_name"?: ...}`. Without `fn_name`
an input is standard input; with it, one JSON value a line for each argument, and the output is a JSON value.
"""

import json
from typing import Any

from prorl.datasets.pickled import packed_values
from prorl.datasets.record import NO_TESTS, OTHER_ROWS, BadRow, Columns, Convert, Dataset, Dropped, Files, RawRow, Row
from prorl.datasets.wording import CODE_FUNCTION, CODE_INPUT, asked, of_eurus

LONG_NUMBER = Dropped("a number of over 4,300 digits in its tests")
EURUS, EURUS_REVISION = "PRIME-RL/Eurus-2-RL-Data", "9776b132"
EURUS_COLUMNS: Columns = {name: (name,) for name in ("data_source", "prompt", "ability", "reward_model", "extra_info")}
PYTHON_3 = 3
"""Of the numbers for languages in CodeContests."""


def nested_json(raw: RawRow, name: str) -> Any:
    """The value of a column that holds JSON text; `LONG_NUMBER` where Python refuses to read a number in it."""
    return _loads(raw.text(name), name)


def _loads(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadRow(f"{name} is not JSON text ({error})") from None
    except RecursionError:
        raise BadRow(f"{name} is nested too deeply") from None
    except ValueError:
        return LONG_NUMBER


def tests_answer(tests: Any, name: str) -> str | Dropped:
    """Tests in the form of PRIME as the answer of a row."""
    if isinstance(tests, Dropped):
        return tests
    if not isinstance(tests, dict) or not all(isinstance(tests.get(key), list) for key in ("inputs", "outputs")):
        raise BadRow(f'{name} must be {{"inputs": [...], "outputs": [...]}}')
    if not tests["inputs"]:
        return NO_TESTS
    if len(tests["inputs"]) != len(tests["outputs"]):
        return Dropped("unequal numbers of inputs and outputs")
    kept = {"inputs": tests["inputs"], "outputs": tests["outputs"]}
    return json.dumps(kept | ({"fn_name": tests["fn_name"]} if tests.get("fn_name") else {}), ensure_ascii=False)


def code_prompt(problem: str, function: str = "", starter: str = "") -> str:
    """The problem with what the program must do and look like."""
    if starter:
        problem = f"{problem}\n\nBegin with:\n```python\n{starter.strip()}\n```"
    return asked(problem, CODE_FUNCTION.replace("{name}", function) if function else CODE_INPUT)


def eurus_row(raw: RawRow) -> Row | Dropped:
    """A programming problem of Eurus-2-RL; its rows of mathematics are another set."""
    if raw.text("ability") != "code":
        return Dropped("not a programming problem")
    ground_truth = raw.value("reward_model", dict).get("ground_truth")
    if not isinstance(ground_truth, str):
        raise BadRow(f"reward_model.ground_truth is of type {type(ground_truth).__name__}, not str")
    tests = _loads(ground_truth, "reward_model.ground_truth")
    answer = tests_answer(tests, "reward_model.ground_truth")
    if isinstance(answer, Dropped):
        return answer
    problem = of_eurus(raw.messages("prompt")[-1]["content"])
    metadata = {"data_source": raw.text("data_source")}
    return {"prompt": code_prompt(problem, tests.get("fn_name") or ""), "answer": answer, "metadata": metadata}


def eurus_suite(data_source: str) -> Convert:
    """The rows of Eurus-2-RL that come from one place."""

    def convert(raw: RawRow) -> Row | Dropped:
        return eurus_row(raw) if raw.text("data_source") == data_source else OTHER_ROWS

    return convert


def apps_row(raw: RawRow) -> Row | Dropped:
    """A row of APPS or TACO, whose tests and solutions are JSON in text."""
    if not raw.text("input_output"):
        return NO_TESTS
    tests = nested_json(raw, "input_output")
    function = tests.get("fn_name") or "" if isinstance(tests, dict) else ""
    answer = tests_answer(tests, "input_output")
    if isinstance(answer, Dropped):
        return answer
    metadata: dict[str, Any] = {"difficulty": raw.text("difficulty")}
    solutions = _loads(raw.text("solutions"), "solutions") if raw.text("solutions") else []
    if isinstance(solutions, list) and solutions and isinstance(solutions[0], str):
        metadata["solution"] = solutions[0]
    starter = raw.text("starter_code") if function else ""
    return {"prompt": code_prompt(raw.text("question"), function, starter), "answer": answer, "metadata": metadata}


def contest_row(raw: RawRow) -> Row | Dropped:
    """A row of CodeContests: all of its tests, and a solution in Python 3 where there is one."""
    tests: dict[str, list[str]] = {"inputs": [], "outputs": []}
    for name in ("public_tests", "private_tests", "generated_tests"):
        group = raw.values[name] or {}
        if not isinstance(group, dict) or not all(isinstance(group.get(key, []), list) for key in ("input", "output")):
            raise BadRow(f'{name} must be {{"input": [...], "output": [...]}}')
        tests["inputs"] += group.get("input", [])
        tests["outputs"] += group.get("output", [])
    answer = tests_answer(tests, "tests")
    if isinstance(answer, Dropped):
        return answer
    metadata: dict[str, Any] = {"name": raw.text("name")}
    solutions = raw.values["solutions"] or {}
    pairs = zip(solutions.get("language", []), solutions.get("solution", []), strict=False)
    solution = next((text for language, text in pairs if language == PYTHON_3), "")
    if solution:
        metadata["solution"] = solution
    return {"prompt": code_prompt(raw.text("description")), "answer": answer, "metadata": metadata}


def humaneval_row(raw: RawRow) -> Row | Dropped:
    """A function to complete, judged by assertions."""
    entry_point, head = raw.text("entry_point"), str(raw.value("prompt", str))
    problem = f"Complete this function:\n```python\n{head.strip()}\n```"
    return {
        "id": raw.text("task_id"),
        "prompt": asked(problem, CODE_FUNCTION.replace("{name}", entry_point)),
        "answer": json.dumps({"test": raw.value("test", str), "entry_point": entry_point}, ensure_ascii=False),
        "metadata": {"solution": head + str(raw.value("canonical_solution", str))},
    }


def live_code_row(raw: RawRow) -> Row | Dropped:
    """A problem of LiveCodeBench; its private tests are JSON, or JSON in a packed pickle."""
    cases = [*_cases(nested_json(raw, "public_test_cases"), "public_test_cases"), *_private_cases(raw)]
    metadata = nested_json(raw, "metadata") if raw.text("metadata") else {}
    function = str(metadata.get("func_name") or "") if isinstance(metadata, dict) else ""
    tests: dict[str, Any] = {"inputs": [case["input"] for case in cases]}
    tests |= {"outputs": [case["output"] for case in cases], "fn_name": function}
    answer = tests_answer(tests, "test cases")
    if isinstance(answer, Dropped):
        return answer
    kept = {name: raw.text(name) for name in ("platform", "difficulty", "contest_date") if raw.text(name)}
    starter = raw.text("starter_code") if function else ""
    prompt = code_prompt(raw.text("question_content"), function, starter)
    return {"id": raw.text("question_id"), "prompt": prompt, "answer": answer, "metadata": kept}


def _private_cases(raw: RawRow) -> list[dict[str, str]]:
    name = "private_test_cases"
    text = raw.text(name)
    if not text:
        return []
    if text.startswith("["):
        return _cases(_loads(text, name), name)
    try:
        values = packed_values(text)
    except ValueError as error:
        raise BadRow(f"{name}: {error}") from None
    return _cases(_loads(values, name) if isinstance(values, str) else values, name)


def _cases(cases: object, name: str) -> list[dict[str, str]]:
    if not isinstance(cases, list) or not all(
        isinstance(case, dict) and isinstance(case.get("input"), str) and isinstance(case.get("output"), str)
        for case in cases
    ):
        raise BadRow(f'{name} must be a list of {{"input": text, "output": text}}')
    return cases


def _eurus_suite(data_source: str, about: str) -> Dataset:
    origin = Files(
        hub=EURUS,
        revision=EURUS_REVISION,
        patterns=("*validation*",),
        columns=EURUS_COLUMNS,
        convert=eurus_suite(data_source),
    )
    return Dataset(
        name=data_source, kind="suite", domain="code", about=about, licence="MIT", origin=origin, folder="eurus_code"
    )


def _apps_like(name: str, hub: str, about: str, rows: int, licence: str) -> Dataset:
    patterns = ("*test*.jsonl", "*test*.parquet", "*test*.arrow")
    columns: Columns = {name: (name,) for name in ("question", "input_output")}
    optional: Columns = {name: (name,) for name in ("solutions", "starter_code", "difficulty")}
    origin = Files(hub=hub, patterns=patterns, columns=columns, optional=optional, convert=apps_row)
    return Dataset(name=name, kind="suite", domain="code", about=about, rows=rows, licence=licence, origin=origin)


DATASETS = (
    Dataset(
        name="eurus_code",
        kind="training",
        domain="code",
        about="programming problems of Eurus-2-RL, with tests",
        rows=25_276,
        licence="MIT",
        origin=Files(
            hub=EURUS, revision=EURUS_REVISION, patterns=("*train*",), columns=EURUS_COLUMNS, convert=eurus_row
        ),
    ),
    _eurus_suite("apps", "APPS, as in the validation rows of Eurus-2-RL"),
    _eurus_suite("codecontests", "CodeContests, as in the validation rows of Eurus-2-RL"),
    _eurus_suite("codeforces", "Codeforces, as in the validation rows of Eurus-2-RL"),
    _eurus_suite("taco", "TACO, as in the validation rows of Eurus-2-RL"),
    _apps_like("apps_full", "codeparrot/apps", "the test split of APPS itself", 5_000, "MIT"),
    _apps_like("taco_full", "BAAI/TACO", "the test split of TACO itself", 1_000, "Apache-2.0"),
    Dataset(
        name="codecontests_full",
        kind="suite",
        domain="code",
        about="the test split of CodeContests itself",
        rows=165,
        licence="CC-BY-4.0",
        origin=Files(
            hub="deepmind/code_contests",
            patterns=("*test-*.parquet", "*test*"),
            columns={name: (name,) for name in ("name", "description", "public_tests", "private_tests")},
            optional={name: (name,) for name in ("generated_tests", "solutions")},
            convert=contest_row,
        ),
    ),
    Dataset(
        name="humaneval_plus",
        kind="suite",
        domain="code",
        about="functions of HumanEval with the tests of EvalPlus",
        rows=164,
        licence="Apache-2.0",
        origin=Files(
            hub="evalplus/humanevalplus",
            patterns=("*test*.parquet", "*.parquet", "*.jsonl*"),
            columns={n: (n,) for n in ("task_id", "prompt", "canonical_solution", "entry_point", "test")},
            convert=humaneval_row,
        ),
    ),
    Dataset(
        name="live_code_bench",
        kind="suite",
        domain="code",
        about="LiveCodeBench, code generation, all releases",
        origin=Files(
            hub="livecodebench/code_generation_lite",
            patterns=("test*.jsonl", "*.parquet"),
            columns={n: (n,) for n in ("question_content", "question_id", "public_test_cases", "private_test_cases")},
            optional={n: (n,) for n in ("starter_code", "metadata", "platform", "difficulty", "contest_date")},
            convert=live_code_row,
        ),
    ),
)
