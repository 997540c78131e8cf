"""The paper's eight phases, each a step long and in miniature, on a random model of the paper's architecture."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from prorl.config import Config, Run
from prorl.recipe import load_run
from prorl.shipped import mini_base_path
from prorl.train import train
from runs import records

SMALLER = 512
"""Responses of 8,192 tokens become 16, those of 16,384 become 32."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Qwen2 with a head of its own, as DeepSeek-R1-Distill-Qwen-1.5B has it, and the mini model's tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(mini_base_path() / name, folder)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "qwen2",
        vocab_size=99,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    made = AutoModelForCausalLM.from_config(config)
    made.generation_config.eos_token_id = [1, *range(60, 66)]  # so that a random model ends now and then
    made.save_pretrained(folder)
    return folder


def in_miniature(config: Config, model: Path) -> Config:
    """A phase with its own settings, fewer and shorter: 4 prompts for 256, a quarter of the rollouts."""
    rollouts = config.rollouts
    return replace(
        config,
        model=replace(config.model, path=str(model)),
        data=replace(config.data, sources=load_run("quickstart").phases[0].data.sources, max_prompt_tokens=48),
        rollouts=replace(
            rollouts,
            prompts_per_step=rollouts.prompts_per_step // 64,
            group_size=rollouts.group_size // 4,
            max_response_tokens=rollouts.max_response_tokens // SMALLER,
            token_budget=4096,
        ),
        reward=replace(
            config.reward,
            workers=1,
            functions=dict.fromkeys(("math", "code", "stem", "logic", "instruction"), "digit_reward:score"),
        ),
        optimizer=replace(config.optimizer, minibatch_prompts=2),
        evaluation=replace(config.evaluation, every=0, sources=()),
        phase=replace(config.phase, steps=1),
        train=replace(config.train, steps=8, tensorboard=False),
    )


def test_all_eight_phases(tmp_path, model, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    paper = load_run("prorl_1.5b")
    run = Run(name=paper.name, phases=tuple(in_miniature(config, model) for config in paper.phases))
    result = train(run, tmp_path / "run", terminal=io.StringIO())
    assert (result.outcome, result.steps) == ("done", 8)
    steps, events = records(tmp_path / "run"), records(tmp_path / "run", "events")
    assert [step["phase"] for step in steps] == list(range(8))
    assert [event["step"] for event in events if event["event"] == "phase"] == list(range(1, 8))
    # Appendix E as this project reads it: every phase but the first begins with a reset, so its KL is 0 at first.
    assert [event["step"] for event in events if event["event"] == "reset"] == list(range(1, 8))
    assert all(step["updates_skipped"] == 0 and step["tokens/trained"] > 0 for step in steps)
    # 32 rollouts in phases 6 and 7: twice the answers; 16k in phase 8: fewer are cut.
    assert steps[6]["tokens/trained"] > 1.3 * steps[4]["tokens/trained"]
    assert steps[7]["truncated_fraction"] < 0.75 * min(step["truncated_fraction"] for step in steps[:7])
