"""Run by `.venv-bench`'s Python: TRL's GRPOTrainer, one step at a time, as `step_vs_trl.py` tells it.

    python benchmarks/trl_worker.py settings.json

One step is one generation with its optimizer steps. Nothing of TRL is replaced: what is timed is called by `super()`.
"""

import hashlib
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from rewards import REWARDS
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from workers import Channel

from prorl.records import Prompt


class Meter:
    """What a step took and made."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = defaultdict(float)
        self.tokens = self.rollouts = 0
        self.prompts = hashlib.sha256()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.cpu[phase] += time.process_time() - start


class MeteredTrainer(GRPOTrainer):
    """GRPOTrainer with a clock around its phases."""

    meter = Meter()

    def _generate(self, prompts: list[Any]) -> Any:
        self.meter.prompts.update("\0".join(prompts[:: self.num_generations]).encode())
        with self.meter("generate"):
            result = super()._generate(prompts)
        self.meter.tokens += sum(map(len, result[1]))
        self.meter.rollouts += len(result[1])
        return result

    def _calculate_rewards(self, *arguments: Any) -> Any:
        with self.meter("reward"):
            return super()._calculate_rewards(*arguments)

    def _get_per_token_logps_and_entropies(self, model: Any, *arguments: Any, **options: Any) -> Any:
        if torch.is_grad_enabled():
            return super()._get_per_token_logps_and_entropies(model, *arguments, **options)
        with self.meter("reference" if model is self.ref_model else "old"):
            return super()._get_per_token_logps_and_entropies(model, *arguments, **options)

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        with self.meter("rollout_all"):
            return super()._generate_and_score_completions(inputs)


class StepByStep(TrainerCallback):
    """Reports after every `optimizer_steps` optimizer steps, and waits."""

    def __init__(self, channel: Channel, optimizer_steps: int) -> None:
        self._channel, self._optimizer_steps = channel, optimizer_steps
        self._start = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        versions = {name: version(name) for name in ("trl", "transformers", "torch")}
        self._channel.report({"versions": versions, "threads": torch.get_num_threads()})
        self._begin()

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step % self._optimizer_steps == 0:
            self._channel.report(self._measured())
            self._begin()

    def _begin(self) -> None:
        MeteredTrainer.meter = Meter()
        self._start = time.process_time()

    def _measured(self) -> dict[str, Any]:
        meter, total = MeteredTrainer.meter, time.process_time() - self._start
        named = {name: meter.cpu[name] for name in ("generate", "reward", "old", "reference")}
        around = meter.cpu["rollout_all"] - sum(named.values())
        update = total - meter.cpu["rollout_all"]
        return {
            "phases": {**named, "update": update, "other": around},
            "tokens": meter.tokens,
            "rollouts": meter.rollouts,
            "prompts": meter.prompts.hexdigest(),
        }


def reward_function(name: str) -> Any:
    """The verifier that both sides use, in TRL's signature."""
    verify = REWARDS[name]

    def reward(prompts: list[str], completions: list[str], answer: list[str], metadata: list[str], **_: Any) -> Any:
        return [
            verify(Prompt("", "", "", prompt, gold, json.loads(data)), completion).value
            for prompt, completion, gold, data in zip(prompts, completions, answer, metadata, strict=True)
        ]

    return reward


def trainer_options(settings: dict[str, Any], folder: str) -> GRPOConfig:
    """The settings in TRL's names; `settings["options"]` holds what the search chose."""
    rollouts = settings["prompts_per_step"] * settings["group_size"]
    chosen = dict(settings["options"])
    micro_batch = chosen.pop("micro_batch")
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=rollouts // settings["optimizer_steps"] // micro_batch,
        steps_per_generation=rollouts // micro_batch,
        num_generations=settings["group_size"],
        max_completion_length=settings["max_response_tokens"],
        max_steps=settings["steps"] * settings["optimizer_steps"],
        temperature=1.0,
        top_k=0,
        beta=settings["kl_coefficient"],
        epsilon=settings["clip_low"],
        epsilon_high=settings["clip_high"],
        use_bias_correction_kl=False,
        loss_type="dapo",
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        bf16=False,
        gradient_checkpointing=False,
        shuffle_dataset=False,
        use_cpu=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        logging_steps=10**9,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=0,
        **{"optim": "adamw_torch_fused", **chosen},
    )


def main() -> None:
    """Load, train, report."""
    channel = Channel()
    settings = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(settings["threads"])
    rows = [json.loads(line) for line in Path(settings["prompts"]).read_text().splitlines()]
    for row in rows:
        row["metadata"] = json.dumps(row["metadata"])
    attention = settings["options"].pop("attention", "sdpa")
    model = AutoModelForCausalLM.from_pretrained(settings["model"], dtype=torch.float32, attn_implementation=attention)
    with tempfile.TemporaryDirectory() as folder:
        trainer = MeteredTrainer(
            model=model,
            reward_funcs=reward_function(settings["reward"]),
            args=trainer_options(settings, folder),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(settings["model"]),
            callbacks=[StepByStep(channel, settings["optimizer_steps"])],
        )
        trainer.train()


if __name__ == "__main__":
    main()
