"""Rows as the public data sets have them, small: their columns, their types, and what is awkward in them."""

import base64
import json
import pickle
import zlib
from pathlib import Path

import pyarrow
import pyarrow.parquet

DEEPSCALER = [
    {"problem": "What is the sum of the first ten positive integers?", "answer": "55", "solution": ""},
    {"problem": "Find the value of $\\frac{1}{2}+\\frac{1}{4}$.", "answer": "\\frac{3}{4}", "solution": "Add them."},
    {"problem": "find the value of  $\\frac{1}{2}+\\frac{1}{4}$.", "answer": "\\frac{3}{4}", "solution": ""},
    {"problem": "Prove that there are infinitely many primes.", "answer": "", "solution": ""},
    {"problem": "Which polynomial is it?", "answer": "\\frac{1}{2", "solution": ""},
]
DAPO_OPENING = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: "
    "$Answer (without quotes) where $Answer is the answer to the problem.\n\n"
)
DAPO_ENDING = '\n\nRemember to put your answer on its own line after "Answer:".'


def dapo(problem: str, answer: str, index: str) -> dict:
    return {
        "data_source": "math_dapo",
        "prompt": [{"content": DAPO_OPENING + problem + DAPO_ENDING, "role": "user"}],
        "ability": "MATH",
        "reward_model": {"ground_truth": answer, "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": index},
    }


EURUS_ENDING = (
    "\n\nWrite Python code to solve the problem. Present the code in \n```python\nYour code\n```\nat the end."
)


def eurus(data_source: str, problem: str, ground_truth: str, ability: str = "code", split: str = "train") -> dict:
    system = "When tackling complex reasoning tasks, you have access to the following actions."
    return {
        "data_source": data_source,
        "prompt": [{"role": "system", "content": system}, {"role": "user", "content": problem + EURUS_ENDING}],
        "ability": ability,
        "reward_model": {"style": "rule", "ground_truth": ground_truth},
        "extra_info": {"split": split, "index": 0},
    }


STDIN_TESTS = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}
CALL_TESTS = {"fn_name": "minFlips", "inputs": [["01010101"], ["11111111"]], "outputs": [[0], [4]]}
EURUS = [
    eurus("taco", "Print the sum of two numbers of a line.", json.dumps(STDIN_TESTS)),
    eurus("numina_olympiads", "What is 2 + 2?", "4", ability="math"),
    eurus("apps", "How many flips make the string alternate?", json.dumps(CALL_TESTS)),
    eurus("codeforces", "A problem whose tests are gone.", json.dumps({"inputs": [], "outputs": []})),
    eurus("codecontests", "A huge number.", '{"inputs": ["1"], "outputs": [' + "9" * 5000 + "]}"),
]
EURUS_VALIDATION = [
    eurus("codeforces", "Print the smaller of two numbers.", json.dumps(STDIN_TESTS), split="test"),
    eurus("apps", "Print the larger of two numbers.", json.dumps(STDIN_TESTS), split="test"),
]


def scp(problem: str, solution: str, **flags: object) -> dict:
    return {"domain": "Physics", "problem": problem, "matched_solution": solution, "o1_solution": "...", **flags}


O1_SAME, QWQ_SAME = "is_o1_solution_same_with_matched_solution", "is_qwq_solution_same_with_matched_solution"
SCP = [
    scp("A car goes 100 m in 20 s. How fast is it?", "v = s / t = 100 m / 20 s, so\n\nv = 5 m/s"),
    scp("Name the gas.", "It burns with a pop. The answer is hydrogen."),
    scp("Explain the second law.", "Entropy of a closed system does not fall. It is a statement about many things."),
    scp("Which is a metal?\nA. sulphur\nB. iron\nC. neon\nD. iodine", "Iron conducts. The correct answer is (B)."),
    scp(
        "What is the charge?", "We find \\boxed{3.2\\times 10^{-19}\\,\\mathrm{C}}.", **{O1_SAME: False, QWQ_SAME: True}
    ),
    scp("What is the mass?", "\\boxed{2\\,\\mathrm{kg}}", **{O1_SAME: False, QWQ_SAME: False}),
]


def nemotron(prompt: str, names: list[str], kwargs: list[dict | None]) -> dict:
    return {
        "input": [{"role": "user", "content": prompt}],
        "args": {"instruction_id_list": names, "instruction_kwargs": kwargs},
        "category": "chat",
        "license": "cc-by-4.0",
        "reasoning": "on",
        "used_in_training": "Nano",
        "version": "v1",
        "system_prompt": "detailed thinking on",
    }


NULLS = {"relation": None, "num_words": None, "keywords": None, "num_bullets": None, "frequency": None}
NEMOTRON = [
    nemotron("Write about rain without any comma.", ["punctuation:no_comma"], [dict(NULLS)]),
    nemotron(
        "Write about sun in at least 30 words.",
        ["length_constraints:number_words"],
        [{**NULLS, "relation": "at least", "num_words": 30}],
    ),
    nemotron("Say anything.", [], []),
]
IFEVAL = [
    {
        "key": 1000,
        "prompt": "Write a poem about a bridge in lower case letters.",
        "instruction_id_list": ["change_case:english_lowercase"],
        "kwargs": [{"num_highlights": None, "relation": None}],
    }
]
AIME24 = [
    {
        "id": 60,
        "problem": "Every morning Aya goes for a nine kilometre walk and stops at a coffee shop afterwards. How long?",
        "solution": "...",
        "answer": "204",
        "url": "https://example.org",
        "year": "2024",
    }
]
AMC = [{"id": 0, "problem": "What is $12^2-2$?", "answer": 142.0, "url": "https://example.org"}]
MATH_500 = [
    {
        "problem": "Convert the point $(0,3)$ to polar coordinates.",
        "solution": "...",
        "answer": "\\left( 3, \\frac{\\pi}{2} \\right)",
        "subject": "Precalculus",
        "level": 2,
        "unique_id": "test/precalculus/807.json",
    }
]
MINERVA = [{"question": "How bright is the star?", "answer": "4.5e33"}]


def olympiad(question: str, answer: list[str] | None, **fields: object) -> dict:
    row = {
        "id": 1,
        "question": question,
        "solution": ["..."],
        "final_answer": answer,
        "context": None,
        "modality": "Text-only",
        "difficulty": "Competition",
        "is_multiple_answer": False,
        "unit": None,
        "answer_type": "Numerical",
        "language": "English",
        "subject": "Math",
    }
    return row | fields


OLYMPIAD = [
    olympiad("Find the least $n$.", ["$2$"]),
    olympiad("Find all $x$.", ["$1$", "$-3$"], is_multiple_answer=True),
    olympiad("Prove it.", None),
    olympiad("Quel est le nombre?", ["$4$"], language="French"),
]
APPS = [
    {
        "problem_id": 0,
        "question": "Add the numbers of a line.",
        "solutions": json.dumps(["print(sum(map(int, input().split())))"]),
        "input_output": json.dumps(STDIN_TESTS),
        "difficulty": "introductory",
        "url": "https://example.org",
        "starter_code": "",
    },
    {
        "problem_id": 1,
        "question": "Double the list and add b.",
        "solutions": "",
        "input_output": json.dumps({"fn_name": "double", "inputs": [[[1, 2], 3]], "outputs": [[2, 4, 3]]}),
        "difficulty": "interview",
        "url": "https://example.org",
        "starter_code": "class Solution:\n    def double(self, a, b):\n        ",
    },
    {
        "problem_id": 2,
        "question": "A problem without tests.",
        "solutions": "",
        "input_output": "",
        "difficulty": "",
        "url": "",
        "starter_code": "",
    },
]
CONTESTS = [
    {
        "name": "1575_A. Another Sorting Problem",
        "description": "Add two numbers.",
        "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
        "private_tests": {"input": ["5 6\n"], "output": ["11\n"]},
        "generated_tests": {"input": [], "output": []},
        "solutions": {"language": [2, 3], "solution": ["int main(){}", "print(sum(map(int, input().split())))"]},
        "cf_rating": 1100,
        "time_limit": {"seconds": 2, "nanos": 0},
        "memory_limit_bytes": 512000000,
    }
]
HUMANEVAL = [
    {
        "task_id": "HumanEval/53",
        "prompt": 'def add(x: int, y: int):\n    """Add two numbers x and y"""\n',
        "canonical_solution": "    return x + y\n",
        "entry_point": "add",
        "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
    }
]


def packed(value: object, protocol: int = 4) -> str:
    """As LiveCodeBench packs its private tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(value, protocol=protocol))).decode()


def live_code(public: list[dict], private: str, metadata: dict, starter: str = "") -> dict:
    return {
        "question_title": "A. Sum",
        "question_content": "Print the sum of a line.",
        "platform": "codeforces",
        "question_id": "1873_A",
        "contest_id": "1873",
        "contest_date": "2023-08-21T00:00:00",
        "starter_code": starter,
        "difficulty": "easy",
        "public_test_cases": json.dumps(public),
        "private_test_cases": private,
        "metadata": json.dumps(metadata),
    }


CASE = {"input": "1 2\n", "output": "3\n", "testtype": "stdin"}
OTHER_CASE = {"input": "5 5\n", "output": "10\n", "testtype": "stdin"}
CALL_CASE = {"input": "[1, 2]\n3", "output": "[2, 4, 3]", "testtype": "functional"}
LIVE_CODE = [
    live_code([CASE], packed(json.dumps([OTHER_CASE])), {}),
    live_code([CALL_CASE], json.dumps([CALL_CASE]), {"func_name": "double"}, "class Solution:\n    def double(self"),
]
GPQA_HEADER = [
    "Question",
    "Correct Answer",
    "Incorrect Answer 1",
    "Incorrect Answer 2",
    "Incorrect Answer 3",
    "Subdomain",
]
GPQA = [
    ["Which particle is neutral?", "neutron", "proton", "electron", "muon", "Physics"],
    ["Which, of these,\nis a noble gas?", "argon", "oxygen", 'so-called "air"', "iron", "Chemistry"],
]


def write_lines(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def write_gpqa(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [GPQA_HEADER, *GPQA]
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines]
    path.write_text("\r\n".join(quoted) + "\r\n")
    return path
