"""What both sides of the step benchmark are told, and how its figures are made, by hand."""

import json
from pathlib import Path

import pytest
import step_vs_trl
from record import ROOT
from step_vs_trl import PROGRAMS, best_ratio
from workloads import WORKLOADS, recipe, write_settings

from prorl.assembly import held_out_texts, open_stream
from prorl.errors import UserError
from prorl.models import load


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_the_peer_gets_the_prompts_that_the_loop_draws(name: str, tmp_path: Path) -> None:
    workload = WORKLOADS[name]
    settings = json.loads(write_settings(workload, {}, tmp_path / "x", threads=1, steps=2).read_text())
    run = recipe(settings, {})
    stream = open_stream(run.phases[0], run.train.seed, held_out_texts(run))
    drawn = [prompt.text for _ in range(2) for _, prompt in stream.draw(32, {})]
    rows = [json.loads(line) for line in Path(settings["prompts"]).read_text().splitlines()]
    assert [row["prompt"] for row in rows] == drawn
    assert len(set(drawn)) > 32
    loaded = load(run.model)
    sizes = [len(loaded.tokenizer(text)["input_ids"]) for text in drawn]
    if name == "tiny3m":
        assert len(loaded.tokenizer) == loaded.model.config.vocab_size == 128
        assert 20 <= min(sizes) < 25
        assert 50 < max(sizes) <= 60
        assert sum(parameter.numel() for parameter in loaded.model.parameters()) == 2_986_240


def test_the_recipe_is_the_quickstart_with_the_settings_of_both_sides(tmp_path: Path) -> None:
    settings = json.loads(write_settings(WORKLOADS["mini"], {}, tmp_path / "x", threads=1, steps=2).read_text())
    config = recipe(settings, {"learner.token_budget": 777}).phases[0]
    assert (config.rollouts.group_size, config.rollouts.max_response_tokens, config.rollouts.temperature) == (16, 48, 1)
    assert (config.rollouts.prompts_per_step, config.optimizer.minibatch_prompts) == (32, 8)
    assert (config.loss.kl_coefficient, config.loss.clip_low, config.loss.clip_high) == (1e-3, 0.2, 0.4)
    assert not config.filter.enabled
    assert config.learner.token_budget == 777
    assert config.evaluation.every == config.train.checkpoint_every == 0


def test_a_missing_peer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {**PROGRAMS, "trl": (ROOT / ".venv-nowhere/bin/python", PROGRAMS["trl"][1])}
    monkeypatch.setattr(step_vs_trl, "PROGRAMS", missing)
    monkeypatch.setattr("sys.argv", ["step_vs_trl.py"])
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(UserError, match=r"^\.venv-nowhere/bin/python is not there: run `make bench-venv`$"):
        step_vs_trl.main()


def test_best_ratio_takes_each_sides_cheapest_thread_count() -> None:
    def result(ours: float, theirs: float) -> dict[str, dict[str, dict[str, float]]]:
        return {"sides": {"prorl": {"cpu_seconds": ours}, "trl": {"cpu_seconds": theirs}}}

    assert best_ratio([result(2.0, 8.0), result(1.0, 10.0)]) == 8.0
