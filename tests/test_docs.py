"""The documents say what the code does: recipes load, reward functions judge, names exist."""

import ast
import re
from pathlib import Path

import pytest

from prorl.cli import COMMANDS
from prorl.recipe import load_run
from prorl.records import Prompt
from prorl.rewards.functions import load_verifier
from rules import PACKAGE, ROOT

DOCS = ROOT / "docs"


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)


def defined_names(source: str) -> set[str]:
    """Functions, classes and assigned names at the top of a module."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def missing_names(text: str, folders: list[Path]) -> list[str]:
    """Of `` `path.py:name` `` and `` `path.py` `` in the text, those that exist in none of the folders."""
    missing = []
    for path, name in re.findall(r"`([\w/]+\.py)(?::(\w+))?`", text):
        files = [folder / path for folder in folders if (folder / path).is_file()]
        if not files or (name and name not in defined_names(files[0].read_text())):
            missing.append(f"{path}:{name}" if name else path)
    return missing


def test_recipe_of_the_readme_loads_by_itself(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "README.md", "toml")
    path = tmp_path / "my.toml"
    path.write_text(block)
    run = load_run(str(path))
    assert run.name == "my_run"
    assert run.phases[0].optimizer.minibatch_prompts * 4 == run.phases[0].rollouts.prompts_per_step
    assert run.phases[0].loss.clip_high == 0.4


@pytest.mark.parametrize("document", ["data.md", "custom_rewards.md", "ray.md"])
def test_recipe_sections_of_the_documents_load(document: str, tmp_path: Path) -> None:
    found = blocks(DOCS / document, "toml")
    assert found
    for block in found:
        path = tmp_path / "part.toml"
        path.write_text(f'extends = "quickstart"\n{block}')
        load_run(str(path))


@pytest.mark.parametrize("document", [ROOT / "README.md", DOCS / "custom_rewards.md"], ids=lambda path: path.name)
def test_reward_functions_of_the_documents_judge(document: Path, tmp_path: Path) -> None:
    prompt = Prompt(id="1", domain="math", task="sums", content="What is 17 + 25?", answer="42")
    found = blocks(document, "python")
    assert found
    for number, block in enumerate(found):
        path = tmp_path / f"rewards_{number}.py"
        path.write_text(block)
        (name,) = re.findall(r"^def (\w+)", block, re.MULTILINE)
        verifier = load_verifier(f"{path}:{name}")
        assert verifier(prompt, " 42").value == 1.0
        assert verifier(prompt, "43").value == 0.0
        assert verifier(prompt, "43").outcome == "wrong"


def test_the_two_stage_example_needs_its_marker(tmp_path: Path) -> None:
    (block,) = [block for block in blocks(DOCS / "tasks.md", "python") if "TwoStageVerifier(" in block]
    (tmp_path / "two.py").write_text(block)
    verifier = load_verifier(f"{tmp_path / 'two.py'}:verify")
    prompt = Prompt(id="1", domain="math", task="sums", content="What is 17 + 25?", answer="42")
    outcomes = [verifier(prompt, text).outcome for text in ("so ANSWER: 42", "ANSWER: 43", "42")]
    assert outcomes == ["correct", "wrong", "unparsable"]


def test_readme_lists_every_command() -> None:
    listed = re.findall(r"^\| `prorl (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def test_names_of_the_paper_map_exist() -> None:
    text = (DOCS / "paper_map.md").read_text()
    assert len(re.findall(r"`[\w/]+\.py", text)) > 40
    assert missing_names(text, [PACKAGE, ROOT / "tests"]) == []


def test_marks_of_the_paper_map_are_explained() -> None:
    tables, explanations = (DOCS / "paper_map.md").read_text().split("## Deviations")
    rows = [line for line in tables.splitlines() if line.startswith("|")]
    used = {mark for row in rows for mark in re.findall(r"\b[DF]\d+\b", row)}
    assert used == set(re.findall(r"^\| ([DF]\d+) \|", explanations, re.MULTILINE))


def test_missing_names_are_seen(tmp_path: Path) -> None:
    (tmp_path / "loss.py").write_text("LIMIT: int = 1\n\ndef token_mean(): ...\n")
    text = "`loss.py:token_mean` `loss.py:LIMIT` `loss.py` `loss.py:gone` `kl.py`"
    assert missing_names(text, [tmp_path]) == ["loss.py:gone", "kl.py"]
