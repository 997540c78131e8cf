"""The workloads of the step benchmark: model, prompts and settings, written so that both sides read the same."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models import load_model

from prorl.assembly import held_out_texts, open_stream
from prorl.config import Run
from prorl.prompts.mini import make_prompt
from prorl.prompts.sources import prompt_row
from prorl.recipe import load_run
from prorl.records import Prompt
from prorl.shipped import mini_base_path

_CHARACTERS = 128
LEVELS = {"add": range(6, 17), "prog": range(3, 9), "chain": range(6, 20), "gene": range(6, 17), "sheet": range(5, 9)}
"""Of the mini suite: prompts of 20 to 60 characters."""
_OFF = (
    "model.device=cpu",
    "model.dtype=float32",
    "filter.enabled=false",
    "filter.solved_streak=0",
    "filter.unsolved_streak=0",
    "reward.truncation=none",
    "optimizer.warmup_steps=0",
    "reset.patience=0",
    "evaluation.every=0",
    "evaluation.boundary_samples=0",
    "train.checkpoint_every=0",
    "train.tensorboard=false",
)
"""Of the quickstart: what TRL has not, and what is not part of a step. A stream without lanes is known beforehand."""


@dataclass(frozen=True)
class Workload:
    """What both sides are told."""

    name: str
    group_size: int
    max_response_tokens: int
    learning_rate: float
    reward: str
    """Of `rewards.REWARDS`."""
    prompts_per_step: int = 32
    optimizer_steps: int = 4
    kl_coefficient: float = 1e-3
    clip_low: float = 0.2
    clip_high: float = 0.4


# tiny3m learns slowly so that the lengths of a random policy stay what they are: at 1e-5 they drift apart by 7 %.
WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("mini", 16, 48, 3e-4, "mini"),
        Workload("tiny3m", 8, 96, 1e-6, "letters"),
    )
}

_CONTINUOUS: dict[str, Any] = {
    "use_transformers_continuous_batching": True,
    "transformers_continuous_batching_config": {"num_blocks": 512, "max_batch_tokens": 2048},
}
"""Bounded: left alone it takes its cache from the machine's free memory."""
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}
"""glibc's environment: give no memory back to the system, so it need not be cleared again. The peers gain by it."""
CANDIDATES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "trl": {
        "mini": [
            {"micro_batch": 128, "environment": KEEP_MEMORY},
            {"micro_batch": 128},
            {"micro_batch": 64},
            {"micro_batch": 32},
            {"micro_batch": 128, "cache_implementation": "static"},
            {"micro_batch": 128, "attention": "eager"},
            {"micro_batch": 128, "optim": "adamw_torch"},
            {"micro_batch": 128, "torch_compile": True},
            {"micro_batch": 128, **_CONTINUOUS},
        ],
        "tiny3m": [
            {"micro_batch": 32, "environment": KEEP_MEMORY},
            {"micro_batch": 8, "environment": KEEP_MEMORY},
            {"micro_batch": 64},
            {"micro_batch": 32},
            {"micro_batch": 16},
            {"micro_batch": 8},
            {"micro_batch": 32, "cache_implementation": "static"},
            {"micro_batch": 32, "attention": "eager"},
            {"micro_batch": 32, "torch_compile": True},
            {"micro_batch": 32, **_CONTINUOUS},
        ],
    },
    "prorl": {
        "mini": [{}, *({"learner.token_budget": size} for size in (2048, 4096, 16384))],
        "tiny3m": [
            {"rollouts.token_budget": 45056},
            {},
            *({"rollouts.token_budget": 45056, "learner.token_budget": size} for size in (2048, 4096, 16384)),
        ],
    },
}
"""What `--tune` measures: options of `GRPOConfig` (with `micro_batch` and `attention`), options of our recipe.

The first of each list is what the search chose and the comparison runs with.
"""


def recipe(settings: Mapping[str, Any], options: Mapping[str, Any]) -> Run:
    """The quickstart with the settings of a workload and options of our own."""
    chosen = {
        "model.path": settings["model"],
        "model.threads": settings["threads"],
        "rollouts.group_size": settings["group_size"],
        "rollouts.prompts_per_step": settings["prompts_per_step"],
        "rollouts.max_response_tokens": settings["max_response_tokens"],
        "optimizer.minibatch_prompts": settings["prompts_per_step"] // settings["optimizer_steps"],
        "optimizer.learning_rate": settings["learning_rate"],
        "loss.kl_coefficient": settings["kl_coefficient"],
        "loss.clip_low": settings["clip_low"],
        "loss.clip_high": settings["clip_high"],
        "train.steps": settings["steps"],
        **options,
    }
    overrides = [f"{key}={json.dumps(value)}" for key, value in chosen.items()]
    if settings["reward"] != "mini":
        function = f"{Path(__file__).parent / 'rewards.py'}:{settings['reward']}"
        overrides.append(f"reward.functions={{{settings['reward']} = {json.dumps(function)}}}")
        overrides.append(f"data.sources=[{{source = {json.dumps(settings['source'])}}}]")
        overrides.append("data.max_prompt_tokens=64")
    return load_run("quickstart", [*_OFF, *overrides])


def write_settings(workload: Workload, options: Mapping[str, Any], folder: Path, *, threads: int, steps: int) -> Path:
    """Write model, prompts and settings for a side with its options into `folder`; gives the file for its worker."""
    folder.mkdir(parents=True)
    settings = {**asdict(workload), "options": dict(options), "threads": threads, "steps": steps}
    settings["model"] = str(mini_base_path() if workload.name == "mini" else write_model(workload.name, folder))
    settings["source"] = str(folder / "source.jsonl")
    settings["prompts"] = str(folder / "prompts.jsonl")
    count = steps * workload.prompts_per_step
    _write_rows(Path(settings["source"]), mixed_prompts(count, workload.reward))
    run = recipe(settings, {})
    stream = open_stream(run.phases[0], run.train.seed, held_out_texts(run))
    _write_rows(Path(settings["prompts"]), [prompt for _, prompt in stream.draw(count, {})])
    path = folder / "settings.json"
    path.write_text(json.dumps(settings))
    return path


def stream_prompts(count: int) -> list[str]:
    """The first prompts of the quickstart."""
    run = load_run("quickstart", _OFF)
    stream = open_stream(run.phases[0], run.train.seed, held_out_texts(run))
    return [prompt.text for _, prompt in stream.draw(count, {})]


def write_model(name: str, folder: Path) -> Path:
    """A random model with a character tokenizer of as many entries as its vocabulary has."""
    loaded, path = load_model(name), folder / "model"
    tokenizer = loaded.tokenizer
    tokenizer.add_tokens([chr(0xC0 + number) for number in range(_CHARACTERS - len(tokenizer))])
    tokenizer.save_pretrained(path)
    loaded.model.generation_config.eos_token_id = loaded.eos_ids[0]
    loaded.model.generation_config.pad_token_id = 0
    loaded.model.save_pretrained(path)
    return path


def mixed_prompts(count: int, domain: str) -> list[Prompt]:
    """Problems of 20 to 60 characters, each other than the ones before it, lengths in turn."""
    levels = [(family, level) for family, span in LEVELS.items() for level in span]
    order = sorted(levels, key=lambda item: hash_order(*item))
    made = [make_prompt(*order[number % len(order)], seed=number) for number in range(count)]
    return [Prompt(prompt.id, domain, prompt.task, prompt.text, prompt.answer, prompt.metadata) for prompt in made]


def hash_order(family: str, level: int) -> str:
    """A fixed shuffle: prompts of all lengths in every step."""
    return str(make_prompt(family, level, 0).answer)


def _write_rows(path: Path, prompts: list[Prompt]) -> None:
    path.write_text("".join(json.dumps(prompt_row(prompt)) + "\n" for prompt in prompts))
