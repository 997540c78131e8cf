"""The repository keeps the rules of `rules.py`, and each rule speaks up on a small bad sample."""

import tomllib
from pathlib import Path

import pytest

from rules import (
    MAX_FILE_LINES,
    MAX_FUNCTION_LINES,
    MAX_OPTIONS,
    MODULES,
    PACKAGE,
    ROOT,
    bad_names,
    dead_links,
    distributed_violations,
    foreign_addresses,
    guessing_calls,
    import_cycles,
    imports,
    layer_violations,
    long_files,
    long_functions,
    many_arguments,
    options,
    prints,
    repository_files,
    sample,
    unpackaged,
)

MODULE_RULES = {
    "layers": (layer_violations, sample("def f():\n    from prorl.train import train\n")),
    "collectives": (distributed_violations, sample("import torch\n\ntorch.distributed.barrier()\n")),
    "file length": (long_files, sample("x = 1\n" * (MAX_FILE_LINES + 1))),
    "function length": (long_functions, sample("def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES)),
    "arguments": (many_arguments, sample("def f(a, b, c, d, /, e, f, *, g, h, i): ...\n")),
    "guessing": (guessing_calls, sample("x = getattr(y, 'z', None)\n")),
    "print": (prints, sample("print(1)\n")),
    "names": (bad_names, sample("", name="prorl.learner.utils")),
}


@pytest.mark.parametrize("rule", MODULE_RULES)
def test_package_keeps_the_rule(rule: str) -> None:
    check, _ = MODULE_RULES[rule]
    violations = [line for module in MODULES for line in check(module)]
    assert not violations, "\n".join(["", *violations])


@pytest.mark.parametrize("rule", MODULE_RULES)
def test_rule_sees_a_violation(rule: str) -> None:
    check, bad = MODULE_RULES[rule]
    assert len(check(bad)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prorl.pool", "import prorl.cli"),
        ("prorl.pool", "from prorl import train"),
        ("prorl.pool", "from . import schedule"),
        ("prorl.pool", "from .evaluation.passk import pass_at_k"),
        ("prorl.rewards.mini", "from ..rollouts import engine"),
        ("prorl.rewards.mini", "from ..learner.batch import make_batch"),
        ("prorl.rewards.mini", "import importlib\nimportlib.import_module('prorl.pool')"),
        ("prorl.records", "from prorl.algorithm import kl"),
        ("prorl.novelty", "import math"),
        ("prorl", "from prorl.train import train"),
    ],
)
def test_layers_see_every_kind_of_import(name: str, text: str) -> None:
    assert len(layer_violations(sample(text, name=name))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prorl.pool", "from prorl.records import Group\nfrom .rewards import verifier\nimport torch"),
        ("prorl.rewards.mini", "from . import verifier\nfrom ..prompts.mini import families"),
        ("prorl.recipe", "from prorl.config import Config"),
        ("prorl.cli", "from prorl import __version__\nfrom prorl.train import train"),
    ],
)
def test_layers_allow_what_lies_below(name: str, text: str) -> None:
    assert layer_violations(sample(text, name=name)) == []


def test_relative_import_in_a_package_file_starts_at_the_package() -> None:
    bad = sample("from ..pool import fill", name="prorl.rewards", is_package=True)
    assert [target for _, target in imports(bad)] == ["prorl.pool.fill"]
    assert len(layer_violations(bad)) == 1


def test_no_import_cycles() -> None:
    assert import_cycles(MODULES) == []


def test_import_cycle_is_seen() -> None:
    ring = [
        sample("from prorl import b", name="prorl.a"),
        sample("from prorl.c import f", name="prorl.b"),
        sample("def g():\n    import prorl.a", name="prorl.c"),
    ]
    assert import_cycles(ring) == ["prorl.a -> prorl.b -> prorl.c -> prorl.a"]


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("prorl.distributed", "import torch.distributed as dist\n\ndist.barrier()", 0),
        ("prorl.learner.fsdp", "from torch.distributed.fsdp import fully_shard", 0),
        ("prorl.learner.fsdp", "from torch.distributed import all_reduce", 1),
        ("prorl.learner.fsdp", "from torch.distributed.tensor import DTensor", 0),
        ("prorl.checkpoint", "import torch\n\ntorch.distributed.checkpoint.save(x)", 1),
        ("prorl.checkpoint", "from torch import distributed", 1),
        ("prorl.pool", "import torch.distributed.fsdp", 1),
    ],
)
def test_parts_of_torch_distributed_by_module(name: str, text: str, count: int) -> None:
    assert len(distributed_violations(sample(text, name=name))) == count


def test_guessing_by_hasattr_and_the_loop_allowance() -> None:
    assert len(guessing_calls(sample("hasattr(x, 'y')"))) == 1
    assert guessing_calls(sample("getattr(x, 'y')")) == []
    loop = "def train():\n" + "    x = 1\n" * 79
    assert long_functions(sample(loop, name="prorl.train")) == []
    assert len(long_functions(sample(loop + "    x = 1\n", name="prorl.train"))) == 1
    assert len(bad_names(sample("", name="prorl.types"))) == 1


def test_number_of_options() -> None:
    found = [line for module in MODULES for line in options(module)]
    assert 0 < len(found) <= MAX_OPTIONS
    assert options(sample("class Model:\n    path: str = option('')\n    name: str = 'run'\n")) == ["sample.py:2 path"]


def test_every_file_of_the_package_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    violations = unpackaged(PACKAGE, project["tool"]["setuptools"]["package-data"]["prorl"])
    assert not violations, "\n".join(["", *violations])


def test_unpackaged_files_are_seen(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    (tmp_path / "recipes" / "deep").mkdir(parents=True)
    (tmp_path / "recipes" / "deep" / "one.toml").touch()
    (tmp_path / "recipes" / "notes.txt").touch()
    (tmp_path / "orphan").mkdir()
    (tmp_path / "orphan" / "module.py").touch()
    assert unpackaged(tmp_path, ["recipes/**/*.toml"]) == [
        "orphan/module.py:1 stands in a folder without __init__.py",
        "recipes/notes.txt:1 matches no pattern of package-data",
    ]


def test_no_machine_paths_and_no_registry_addresses() -> None:
    files = [path for path in repository_files(ROOT) if path != Path(__file__)]
    violations = [line for path in files for line in foreign_addresses(str(path.relative_to(ROOT)), path.read_bytes())]
    assert len(files) > len(MODULES)
    assert not violations, "\n".join(["", *violations])


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (b"out = '/root/runs'", 1),
        (b"cd /home/me && ls", 1),
        (b"pip install --index-url https://mirror.example/pypi/simple", 1),
        (b"https://download.pytorch.org/whl/cpu", 1),
        (b"https://example.org/work/shop", 0),
        (b"see ./opt/flags and homework/", 0),
    ],
)
def test_foreign_addresses_are_seen(line: bytes, count: int) -> None:
    assert len(foreign_addresses("sample", b"first line\n" + line)) == count


def test_ignored_files_are_no_part_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("/.venv/\n*.egg-info/\n__pycache__/\n")
    for name in (
        ".git/config",
        ".venv/bin/python",
        "src/a.egg-info/top",
        "src/__pycache__/a.pyc",
        "src/a.py",
        ".ci/run",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in repository_files(tmp_path)] == [
        ".ci/run",
        ".gitignore",
        "src/a.py",
    ]


def test_links_between_documents() -> None:
    documents = [path for path in repository_files(ROOT) if path.suffix == ".md"]
    violations = [line for path in documents for line in dead_links(ROOT, path)]
    assert not violations, "\n".join(["", *violations])


def test_dead_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[self](page.md#top) [web](https://example.org)\n[gone](gone.md)\n")
    assert dead_links(tmp_path, page) == ["page.md:2 no file gone.md"]
