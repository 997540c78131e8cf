"""docs/boundary.md says what the code does: its rules word by word, its options, and its example runs."""

import argparse
import contextlib
import json
import re
from typing import Any

import pytest

from prorl.cli import parser
from prorl.evaluation.regimes import RULES
from prorl.evaluation.testing import ASSUMPTIONS
from prorl.evaluation.verdicts import rules
from rules import ROOT

TEXT = (ROOT / "docs" / "boundary.md").read_text()


@pytest.mark.parametrize("told", [rules(), RULES], ids=["verdicts", "regimes"])
def test_rules_stand_word_by_word(told: dict[str, str]) -> None:
    missing = [name for name, text in told.items() if f"| {name} | {text} |" not in TEXT]
    assert missing == []


def test_assumptions_of_the_tests_that_are_shown_stand_word_by_word() -> None:
    shown = re.findall(r"^\| `(\w+)` \| (.* null .*) \|$", TEXT, re.MULTILINE)
    assert len(shown) == 5
    assert dict(shown).items() <= ASSUMPTIONS.items()


def test_every_option_is_named() -> None:
    (commands,) = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    options = {
        option
        for name in ("eval", "boundary")
        for action in commands.choices[name]._actions
        for option in action.option_strings
        if option not in ("-h", "--help")
    }
    cells = re.findall(r"^\| (`--[^|]*)\|", TEXT, re.MULTILINE)
    named = {option for cell in cells for option in re.findall(r"--[\w-]+", cell)}
    assert named == options


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the example of the document finds."""
    folder = tmp_path_factory.mktemp("example")
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    with contextlib.chdir(folder):
        exec(compile(example, "boundary.md", "exec"), {})
    found: dict[str, Any] = json.loads((folder / "runs" / "by_hand" / "boundary.json").read_text())
    return found


@pytest.mark.slow
def test_the_example_runs(measured: dict[str, Any]) -> None:
    assert [level["name"] for level in measured["levels"]] == ["add/1"]
    assert measured["summary"]["ks"] == [1, 2, 4]
    assert measured["audit"]["by_family"]["add"]["gold"] == {"accepted": 3, "of": 3}


@pytest.mark.slow
def test_every_key_of_the_file_is_explained(measured: dict[str, Any]) -> None:
    schema = set(re.findall(r"[\w/]+", TEXT.partition("## boundary.json")[2].partition("## In Python")[0]))
    numbers = set(re.findall(r"`([^`]+)`", TEXT.partition("## The numbers")[2].partition("### Chance")[0]))
    level, group, summary = measured["levels"][0], measured["groups"][0], measured["summary"]
    kinds = measured["audit"]["by_family"]["add"]
    parts = [measured, summary, summary["settings"], level, group, level["solved"], level["distribution"]["base"]]
    parts += [kinds, kinds["junk"], kinds["agreement"]["base"], measured["problems"][0]]
    assert {name for part in parts for name in part} - schema == set()
    known = {re.sub(r"@\w+", "@", name) for name in numbers}
    assert {re.sub(r"@\w+", "@", name) for name in level["base"]} - known == set()
