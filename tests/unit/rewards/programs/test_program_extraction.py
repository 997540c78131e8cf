"""Which program of a response is judged, and that finding it takes linear time."""

import time

import pytest

from prorl.records import Prompt, Score
from prorl.rewards.programs.extraction import MAX_SOURCE_CHARACTERS, strict_program, tolerant_program

PROMPT = Prompt(id="", domain="code", task="", content="")

BOTH = [
    ("```python\nprint(1)\n```", "print(1)\n"),
    ("text\n```py\nprint(1)\n```\nmore", "print(1)\n"),
    ("```\nprint(1)\n```", "print(1)\n"),
    ("```Python\nprint(1)\n```", "print(1)\n"),
    ("```python3\nprint(1)\n```", "print(1)\n"),
    ("```python\none\n```\nor better\n```python\ntwo\n```", "two\n"),
    ("```python\nprint(1)\n```\nIt prints\n```\n1\n```", "print(1)\n"),
    ("```python\nprint(1)\n```\n```text\n1\n```", "print(1)\n"),
    ("```\none\n```\n```\ntwo\n```", "two\n"),
    ("<think>\n```python\nno\n```\n</think>\n```python\nyes\n```", "yes\n"),
    ("  ```python\n  x = 1\n  ```", "  x = 1\n"),
]


@pytest.mark.parametrize(("response", "program"), BOTH)
@pytest.mark.parametrize("extract", [strict_program, tolerant_program])
def test_the_last_python_block_counts(extract, response, program):
    assert extract(PROMPT, response) == program


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("```cpp\nint x;\n```\n```text\nprint(1)\n```", "print(1)\n"),
        ("```python\nprint(1)\n", "print(1)\n"),
        ("Here:\n```\nprint(1)", "print(1)"),
        ("print(1)\n", "print(1)\n"),
        ("<think>a</think>print(1)", "print(1)"),
    ],
)
def test_tolerant_reads_more(response, program):
    strict = strict_program(PROMPT, response)
    assert isinstance(strict, Score)
    assert strict.outcome == "unparsable"
    assert tolerant_program(PROMPT, response) == program


@pytest.mark.parametrize("extract", [strict_program, tolerant_program])
@pytest.mark.parametrize("response", ["", "  \n", "```python\n```", "```python\n \n```", "<think>\n```python\nx\n```"])
def test_nothing_to_run_is_unparsable(extract, response):
    score = extract(PROMPT, response)
    assert (score.value, score.outcome) == (0.0, "unparsable")


@pytest.mark.parametrize("extract", [strict_program, tolerant_program])
def test_length_limit(extract):
    fits = "#" * (MAX_SOURCE_CHARACTERS - 1) + "\n"
    assert extract(PROMPT, f"```python\n{fits}```") == fits
    score = extract(PROMPT, f"```python\n#{fits}```")
    assert (score.outcome, score.detail) == ("unparsable", "a program of 65537 characters, over 65536")


@pytest.mark.parametrize("extract", [strict_program, tolerant_program])
@pytest.mark.parametrize(
    "unit", ["`", "```", "```\n", "```python\n", "\n", " ", "<think>", "</think>", "\0", "\\", "a\n"]
)
def test_a_megabyte_of_anything_is_quick(extract, unit):
    text = unit * (2**20 // len(unit))
    started = time.process_time()
    extract(PROMPT, text)
    assert time.process_time() - started < 10.0
