"""Train a small random model on all five domains with the real verifiers, while some of the answers are hostile.

    python benchmarks/five_domains.py [--steps 200] [--hostile 0.05] [--json] [--no-record]

The model learns nothing worth knowing. On their way to the verifiers its answers are replaced: a share by hostile ones
(`hostile_answers.py`), a third by right ones where the problem has a known right answer, so that groups differ. All the
rest is `prorl train`. What is looked at: that no step stalls or fails, what the outcomes are, that memory stays flat,
that no payload ran and no process is left.
"""

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from hostile_answers import hostile
from record import finish, options_parser, run, whole_number
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from prorl import assembly
from prorl.datasets.reasoning_gym import generate_rows
from prorl.errors import UserError
from prorl.recipe import load_run
from prorl.records import Prompt
from prorl.rewards.rows import GOLD_RESPONSES, verifier_name
from prorl.rewards.verifier import VerifierPool
from prorl.train import train

DOMAINS = ("math", "code", "stem", "logic", "instruction")
RIGHT_SHARE = 1 / 3
LOGIC_TASKS = (
    "chain_sum",
    "countdown",
    "spell_backward",
    "propositional_logic",
    "n_queens",
    "polynomial_multiplication",
)
RECIPE = """
name = "five domains"
[model]
path = "{folder}/model"
dtype = "float32"
threads = 1
[data]
sources = [{{source = "procedural", weight = 4.0, max_level = 2}}, {{source = "{folder}/logic.jsonl", weight = 1.0}}]
domain_weights = {{math = 1, code = 1, stem = 1, logic = 1, instruction = 1}}
max_prompt_tokens = 4096
[rollouts]
prompts_per_step = 5
group_size = 8
max_response_tokens = 16
token_budget = 40000
[reward]
workers = 2
truncation = "none"
[filter]
max_rounds = 2
[optimizer]
learning_rate = 1e-4
minibatch_prompts = 5
[reset]
patience = 0
[evaluation]
every = 0
boundary_samples = 0
[train]
steps = {steps}
checkpoint_every = 100
tensorboard = false
"""


class AnsweringPool(VerifierPool):
    """A verifier pool that replaces some of the answers before they are judged."""

    hostile_share = 0.0
    canary = Path()
    sent: ClassVar[Counter[str]] = Counter()

    def submit(self, prompt: Prompt, responses: Sequence[str]) -> int:
        # Every response has a place of its own in the random stream, so that a run can be repeated.
        generator = random.Random(prompt.id)
        return super().submit(prompt, [self._replaced(prompt, response, generator) for response in responses])

    def _replaced(self, prompt: Prompt, response: str, generator: random.Random) -> str:
        draw = generator.random()
        if draw < self.hostile_share:
            self.sent["hostile"] += 1
            return hostile(prompt, generator.randrange(1000), self.canary)
        right = GOLD_RESPONSES[verifier_name(prompt)](prompt) if draw < self.hostile_share + RIGHT_SHARE else None
        self.sent["model" if right is None else "right"] += 1
        return response if right is None else right


def write_model(folder: Path) -> None:
    """A random Qwen2 with one token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<eos>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>").save_pretrained(folder)
    config = Qwen2Config(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=128,
        vocab_size=len(vocabulary),
        max_position_embeddings=8192,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)


def write_logic(path: Path) -> None:
    rows = generate_rows(LOGIC_TASKS, per_task=20, seed=0, level=0)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def measure(steps: int, hostile_share: float) -> dict[str, Any]:
    """Train, and give what came of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        write_logic(folder / "logic.jsonl")
        (folder / "five.toml").write_text(RECIPE.format(folder=folder, steps=steps))
        AnsweringPool.hostile_share, AnsweringPool.canary, AnsweringPool.sent = (
            hostile_share,
            folder / "canary",
            Counter(),
        )
        assembly.VerifierPool = AnsweringPool  # type: ignore[misc]
        start = time.monotonic()
        try:
            train(load_run(str(folder / "five.toml"), []), folder / "run")
        finally:
            assembly.VerifierPool = VerifierPool  # type: ignore[misc]
        lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
        payload_ran = AnsweringPool.canary.exists()
    return {
        "steps": len(lines),
        "hostile_share": hostile_share,
        "seconds": time.monotonic() - start,
        "longest_step_seconds": max(line["seconds/step"] for line in lines),
        "answers": dict(AnsweringPool.sent),
        "outcomes": _outcomes(lines),
        "scores": {domain: _mean(lines, f"score/{domain}") for domain in DOMAINS},
        "memory_mib": {
            line["step"]: round(line["memory/host_bytes"] / 2**20, 1) for line in lines if line["step"] % 25 == 0
        },
        "payload_ran": payload_ran,
    }


def _mean(lines: Sequence[dict[str, Any]], name: str) -> float:
    values = [line[name] for line in lines if name in line]
    return sum(values) / max(len(values), 1)


def _outcomes(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    names = sorted({name for line in lines for name in line if name.startswith("outcomes/")})
    return {name.removeprefix("outcomes/"): sum(line.get(name, 0.0) for line in lines) / len(lines) for name in names}


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    rows = [
        ("steps", result["steps"]),
        ("seconds in all", f"{result['seconds']:.0f}"),
        ("longest step, seconds", f"{result['longest_step_seconds']:.1f}"),
        ("answers", ", ".join(f"{name} {count}" for name, count in result["answers"].items())),
        ("outcomes", ", ".join(f"{name} {share:.3f}" for name, share in result["outcomes"].items())),
        ("mean score", ", ".join(f"{name} {score:.2f}" for name, score in result["scores"].items())),
        ("memory, MiB by step", ", ".join(f"{step}: {size}" for step, size in result["memory_mib"].items())),
        ("payload ran", "YES" if result["payload_ran"] else "no"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> None:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--steps", type=whole_number, default=200)
    parser.add_argument("--hostile", type=float, default=0.05, metavar="SHARE")
    options = parser.parse_args()
    if not 0 <= options.hostile <= 0.5:
        raise UserError(f"--hostile {options.hostile}: must be between 0 and 0.5")
    result = measure(options.steps, options.hostile)
    finish(options, "five_domains", result, table(result))


if __name__ == "__main__":
    run(main)
