"""The packaged recipes: the paper's values, appendix E as differences of phases, a source for each value, and plans."""

import math
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from prorl.cli import main
from prorl.config import Config, Run
from prorl.recipe import PACKAGED, difference, load_run, recipe_names
from rules import ROOT

PAPER_FILES = [path for path in sorted(PACKAGED.rglob("*.toml")) if path.stem not in ("quickstart", "mini_long")]
SOURCED = re.compile(r"# (ours: |(paper|TR|verl|verl's [\w ]+|v2|v2's [\w ]+|v2 scripts|BroRL|JustRL's table)\b)")

PAGE = ROOT / "docs" / "paper_recipe.md"

PHASES = (
    "01_four_domains",
    "02_reset",
    "03_instruction",
    "04_termination",
    "05_reset",
    "06_group_32",
    "07_reset",
    "08_context_16k",
)
APPENDIX_E = {
    "02_reset": ["phase.reset: false -> true"],
    "03_instruction": [
        'data.sources[4].source: unset -> "data/nemotron_instruction.jsonl"',
        "data.sources[4].weight: unset -> 10.0",
        'data.sources[4].domain: unset -> "instruction"',
        "data.sources[4].tasks: unset -> []",
        "data.sources[4].min_level: unset -> 0",
        "data.sources[4].max_level: unset -> 0",
    ],
    "04_termination": ['reward.truncation: "none" -> "zero"'],
    "05_reset": [],
    "06_group_32": ["rollouts.group_size: 16 -> 32"],
    "07_reset": [],
    "08_context_16k": ["rollouts.group_size: 32 -> 16", "rollouts.max_response_tokens: 8192 -> 16384"],
}
V2 = {
    "rollouts.prompts_per_step: 256 -> 512",
    "rollouts.max_response_tokens: 16384 -> 8192",
    "reward.length_penalty: 0.0 -> 0.1",
    'loss.advantage: "group" -> "batch"',
    "loss.clip_high: 0.4 -> 0.28",
    'loss.kl_estimator: "k3" -> "k2"',
    'loss.behaviour_correction: "none" -> "icepop"',
    "loss.behaviour_high: 2.0 -> 5.0",
    "optimizer.minibatch_prompts: 64 -> 128",
    "reset.patience: 0 -> 5",
    "reset.interval: 0 -> 500",
    "reset.max_kl: 0.0 -> 0.5",
    "reset.cooldown: 0 -> 199",
    'reset.optimizer: "clear" -> "keep"',
    "train.steps: 2450 -> 550",
}
BRORL = {
    "rollouts.prompts_per_step: 512 -> 128",
    "rollouts.group_size: 16 -> 512",
    "rollouts.max_response_tokens: 8192 -> 16384",
    "reward.length_penalty: 0.1 -> 0.0",
    'loss.behaviour_correction: "icepop" -> "truncated"',
    "loss.behaviour_high: 5.0 -> 2.0",
    "optimizer.learning_rate: 2e-06 -> 5.657e-06",
    "optimizer.minibatch_prompts: 128 -> 32",
    "train.steps: 550 -> 191",
}
# By hand, for each phase: prompts x rollouts = rollouts a step, updates.
BATCHES = {
    "prorl_1.5b": [
        *["256 prompts x 16 rollouts = 4096 rollouts a step, 4 updates"] * 5,
        *["256 prompts x 32 rollouts = 8192 rollouts a step, 4 updates"] * 2,
        "256 prompts x 16 rollouts = 4096 rollouts a step, 4 updates",
    ],
    "prorl_v2_1.5b": ["512 prompts x 16 rollouts = 8192 rollouts a step, 4 updates"],
    "brorl_1.5b": ["128 prompts x 512 rollouts = 65536 rollouts a step, 4 updates"],
    "quickstart": ["32 prompts x 16 rollouts = 512 rollouts a step, 4 updates"],
}

Plan = Callable[..., str]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Plan:
    """Prints a plan in an empty folder, on a machine without a network."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("a plan of a packaged recipe asks no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    def run(*arguments: str) -> str:
        assert main(["plan", *arguments]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        assert list(tmp_path.iterdir()) == []
        return printed.out

    return run


def changes(old: Config, new: Config) -> list[str]:
    """What a phase changes, its name, its number of steps and the model that it starts from aside."""
    lines = difference(Run(name="", phases=(old,)), Run(name="", phases=(new,)))
    return [line for line in lines if not line.startswith(("name: ", "phase.steps: ", "model.path: "))]


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_planned_offline_and_without_its_data(name: str, plan: Plan) -> None:
    run, text = load_run(name), plan(name)
    batches = re.findall(r"^  batch     (.*)$", text, re.MULTILINE)
    assert len(batches) == len(run.phases)
    assert batches == BATCHES.get(name, batches)
    for line in ("tokens", "memory", "time", "phase", "draws", "reset"):
        assert len(re.findall(rf"^  {line} ", text, re.MULTILINE)) == len(run.phases), line
    assert "whole run" in text
    assert "assumed" in text
    assert ("not found here" in text) == (name not in ("quickstart", "mini_long"))


def test_the_phases_are_those_of_appendix_e() -> None:
    run = load_run("prorl_1.5b")
    assert tuple(config.name for config in run.phases) == PHASES
    found = {new.name: changes(old, new) for old, new in zip(run.phases, run.phases[1:], strict=False)}
    assert found == APPENDIX_E


def test_each_phase_is_a_recipe_that_names_only_what_it_changes() -> None:
    run = load_run("prorl_1.5b")
    for before, name, config in zip(PHASES, PHASES[1:], run.phases[1:], strict=False):
        (alone,) = load_run(f"prorl_1.5b/{name}").phases
        assert changes(alone, config) == []
        text = (PACKAGED / "prorl_1.5b" / f"{name}.toml").read_text()
        assert f'extends = "{before}"' in text
        options = re.findall(r"^(\w+) = ", text.replace(f'extends = "{before}"', ""), re.MULTILINE)
        assert options == list(dict.fromkeys(re.split(r"[.:\[]", line)[1] for line in APPENDIX_E[name]))


def test_steps_of_the_paper() -> None:
    """2,450 in all, the last 200 at 16k; and the token budget of JustRL's table, counted as the recipe says."""
    run = load_run("prorl_1.5b")
    steps = [config.phase.steps for config in run.phases]
    assert sum(steps) == run.train.steps == 2450
    assert steps[-1] == 200
    full = sum(
        config.phase.steps * 256 * config.rollouts.group_size * config.rollouts.max_response_tokens
        for config in run.phases
    )
    assert 2 * full == pytest.approx(2.1e11, rel=0.001)


def test_phase_1_has_the_published_values() -> None:
    (config,) = load_run("prorl_1.5b/01_four_domains").phases
    assert config.model.path == "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
    rollouts, loss, optimizer = config.rollouts, config.loss, config.optimizer
    assert (rollouts.prompts_per_step, rollouts.group_size, rollouts.temperature) == (256, 16, 1.2)
    assert (rollouts.max_response_tokens, optimizer.minibatch_prompts) == (8192, 64)
    assert (loss.clip_low, loss.clip_high, loss.kl_coefficient) == (0.2, 0.4, 1e-4)
    assert (loss.advantage, loss.kl_estimator, loss.dual_clip) == ("group", "k3", 0.0)
    assert (optimizer.learning_rate, optimizer.schedule, optimizer.weight_decay) == (2e-6, "constant", 0.01)
    assert (optimizer.max_grad_norm, optimizer.warmup_steps) == (1.0, 0)
    assert config.filter.enabled
    assert (config.reset.optimizer, config.reset.reference, config.reset.blend) == ("clear", "policy", 1.0)
    assert (config.evaluation.temperature, config.evaluation.top_p) == (0.6, 0.95)
    # Table 4: 40k, 24k, 25k, 37k, and from run 3 on 10k: 136k.
    last = load_run("prorl_1.5b").phases[-1].data.sources
    assert [source.weight for source in last] == [40, 24, 25, 37, 10]
    assert [source.domain for source in last] == ["math", "code", "stem", "logic", "instruction"]
    blend = [Path(source.source).stem for source in config.evaluation.sources]
    assert blend == ["aime_2024", "codeforces", "gpqa_diamond", "ifeval", "graph_color"]


def test_v2_and_brorl_as_differences() -> None:
    (last, v2, brorl) = (load_run(name).phases[-1] for name in ("prorl_1.5b", "prorl_v2_1.5b", "brorl_1.5b"))
    assert set(changes(last, v2)) == V2
    assert set(changes(v2, brorl)) == BRORL
    assert (v2.loss.behaviour_low, v2.reward.length_penalty_on, v2.reward.length_penalty_off) == (0.5, 100, 500)
    assert v2.reward.truncation == "zero"


def test_the_rate_of_brorl_grows_with_the_root_of_the_batch() -> None:
    v2, brorl = (load_run(name).phases[0] for name in ("prorl_v2_1.5b", "brorl_1.5b"))
    before, after = (config.rollouts.prompts_per_step * config.rollouts.group_size for config in (v2, brorl))
    assert (before, after) == (8192, 65536)
    expected = v2.optimizer.learning_rate * math.sqrt(after / before)
    assert brorl.optimizer.learning_rate == pytest.approx(expected, rel=1e-4)


def test_each_run_begins_where_the_one_before_it_ends() -> None:
    for before, name in (("prorl_1.5b", "prorl_v2_1.5b"), ("prorl_v2_1.5b", "brorl_1.5b")):
        steps = load_run(before).train.steps
        assert load_run(name).model.path == f"./runs/{before}/checkpoints/step_{steps}/policy"


@pytest.mark.parametrize("path", PAPER_FILES, ids=lambda path: path.stem)
def test_every_value_says_where_it_is_from(path: Path) -> None:
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        key = re.match(r"(\w+) = ", line)
        if key and key[1] not in ("extends", "phases", "sources"):
            said = line if "#" in line else lines[number - 1] if lines[number - 1].startswith("#") else ""
            assert SOURCED.search(said), f"{path.name}:{number + 1} {line}"


@pytest.mark.parametrize("name", ["prorl_1.5b", "prorl_v2_1.5b", "brorl_1.5b"])
def test_training_without_the_data_is_refused_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", name]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "prorl: data.sources: source = data/deepscaler.jsonl: no such file; use mini, mini_hard, procedural, "
        "procedural_hard or a .jsonl or .parquet file (10 files are missing); `prorl data prepare prorl` makes those "
        "of the paper's recipes (docs/datasets.md)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_page_describes_every_file_and_recipe() -> None:
    page = PAGE.read_text()
    for name in ("prorl_1.5b", "prorl_v2_1.5b", "brorl_1.5b"):
        assert f"`{name}`" in page
        for config in load_run(name).phases:
            for source in (*config.data.sources, *config.evaluation.sources):
                assert f"`{source.source}`" in page, source.source
    for name in PHASES:
        assert f"`{name}`" in page


def test_steps_of_the_page() -> None:
    rows = dict(re.findall(r"^\| `(0\d_\w+)` \| (\d+) \|", PAGE.read_text(), re.MULTILINE))
    assert rows == {config.name: str(config.phase.steps) for config in load_run("prorl_1.5b").phases}


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["prorl_1.5b"], ["115.7 billion", "9,985"]),
        (["prorl_1.5b", "--response-tokens", "6000"], ["14,158"]),
        (["prorl_v2_1.5b"], ["3,462"]),
        (["prorl_v2_1.5b", "--response-tokens", "6000"], ["5,312"]),
        (
            [
                *["prorl_v2_1.5b", "--acceptance", "0.41"],
                *["--set", "rollouts.max_response_tokens=16384", "--set", "train.steps=225"],
            ],
            ["3,554"],
        ),
        (["brorl_1.5b", "--acceptance", "0.62"], ["116,736", "18,658"]),
        (["brorl_1.5b", "--acceptance", "0.62", "--tokens-per-second", "9267"], ["13,325"]),
    ],
    ids=lambda value: "" if value[0][0].isdigit() else " ".join(value),
)
def test_costs_of_the_page(arguments: list[str], printed: list[str], plan: Plan) -> None:
    text, page = plan(*arguments), PAGE.read_text()
    assert [number for number in printed if number in text and number in page] == printed


def test_a_recipe_that_extends_the_papers_has_its_phases(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "own.toml").write_text(block)
    own, paper = load_run(str(tmp_path / "own.toml")), load_run("prorl_1.5b")
    for mine, theirs in zip(own.phases, paper.phases, strict=True):
        (line,) = {change.partition(": ")[0].partition(".functions")[0] for change in changes(theirs, mine)}
        assert line == "reward"
        assert mine.reward.functions["stem"] == "rewards:stem"
        assert mine.phase == theirs.phase
