"""Train the shipped mini base model from scratch by supervised fine-tuning on fresh samples.

    python scripts/train_mini_base.py --out src/prorl/assets/mini_base

Two phases: a constant learning rate, then a new optimizer whose rate falls to 2 %. Single-threaded and deterministic
for a seed on one machine. Writes the model in Hugging Face format, its tokenizer, `training.json` and a card. Does no
reinforcement learning.
"""

import argparse
import hashlib
import json
import os
import random
import string
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import tokenizers
import torch
import transformers
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from prorl.prompts.mini import FAMILIES, make_prompt
from prorl.rewards.mini import verify

PAD, EOS, UNK = 0, 1, 2
ALPHABET = "\n" + "".join(chr(code) for code in range(32, 127))
IGNORE = -100


@dataclass(frozen=True, slots=True)
class Taught:
    """What a family contributes: its share of the samples and the highest level of the main part."""

    weight: float
    levels: int
    """Levels 1..levels are taught, a thin tail of the levels above them is shown: `TAIL`."""
    tail: float = 0.05


@dataclass(slots=True)
class Progress:
    """What has been done so far, over both phases."""

    steps: int = 0
    tokens: int = 0
    cpu_seconds: float = 0.0


TAUGHT: dict[str, Taught] = {
    "add": Taught(2.0, 3),
    "run": Taught(3.0, 3),
    "prog": Taught(3.0, 3),
    "rpn": Taught(1.0, 2),
    "merge": Taught(1.0, 4),
    "sheet": Taught(1.5, 2),
    "gene": Taught(1.0, 2),
    "sort": Taught(1.5, 4),
    "chain": Taught(1.0, 3),
    "color": Taught(1.5, 2),
    "acro": Taught(1.5, 3),
    "slots": Taught(1.5, 3),
}
TAIL = (0.80, 0.15, 0.04, 0.01)
"""How the tail is shared by the levels above the taught ones."""
SKILL_SHARE = 0.15
"""Share of the samples that are generic skills, never rewarded: copying and reversing strings of all lengths."""
MAX_COPY, MAX_REVERSE = 48, 20


CARD = """# mini base

A Llama of {parameters:,} parameters with one token a character, for the mini suite of `prorl` (`docs/mini.md`).
Trained from scratch on generated problems only; no natural language, no data set, no reinforcement learning.

- Made by `python scripts/train_mini_base.py --steps {steps} --decay-steps {decay_steps} --seed {seed}`:
  {tokens:,} tokens, {cpu_seconds} CPU seconds on one thread. Bit-equal repeats need the same machine and the versions
  of `training.json`.
- SHA-256 of `model.safetensors`: `{sha256}`
- License: Apache-2.0, as the repository.

What it was taught, on fresh samples (the tail is a share of the family's samples):

| family | weight | main levels, uniform | tail |
|---|---|---|---|
{rows}

{skill_share:.0%} of all samples are generic skills that no reward ever asks for: copying a string of up to {copy}
characters and reversing one of up to {reverse}. Every level above the tail was never shown.
"""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character, exact round trip, no automatic special tokens."""
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<eos>", "<unk>", *ALPHABET])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        model_max_length=256,
    )


def build_model(hidden_size: int) -> LlamaForCausalLM:
    """A Llama of head size 32 with one key-value head and tied embeddings."""
    config = LlamaConfig(
        vocab_size=3 + len(ALPHABET),
        hidden_size=hidden_size,
        intermediate_size=3 * hidden_size,
        num_hidden_layers=4,
        num_attention_heads=hidden_size // 32,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=256,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    return LlamaForCausalLM(config)


def draw_skill(rng: random.Random) -> tuple[str, str]:
    """Draw `=text:` -> text or `<text:` -> text backwards."""
    letters = string.ascii_letters + string.digits
    if rng.random() < 0.7:
        text = "".join(rng.choices(letters + " +-*", k=rng.randint(1, MAX_COPY)))
        return f"={text}:", text
    text = "".join(rng.choices(letters, k=rng.randint(1, MAX_REVERSE)))
    return f"<{text}:", text[::-1]


def tail_shares(taught: Taught) -> dict[int, float]:
    """Level -> share of the family's samples, for the levels above the main part."""
    return {taught.levels + 1 + above: round(taught.tail * share, 6) for above, share in enumerate(TAIL)}


def draw_level(rng: random.Random, taught: Taught) -> int:
    """Draw a level: uniform over the taught ones, or from the thin tail above them."""
    if rng.random() < taught.tail:
        return taught.levels + 1 + rng.choices(range(len(TAIL)), weights=TAIL)[0]
    return rng.randint(1, taught.levels)


def draw_sample(rng: random.Random) -> tuple[str, str]:
    """Draw one fresh prompt and its right response."""
    if rng.random() < SKILL_SHARE:
        return draw_skill(rng)
    family = rng.choices(list(TAUGHT), weights=[taught.weight for taught in TAUGHT.values()])[0]
    problem = FAMILIES[family].generate(rng, draw_level(rng, TAUGHT[family]))
    return problem.prompt, problem.solution


def draw_batch(rng: random.Random, ids: dict[str, int], num_tokens: int) -> list[tuple[list[int], int]]:
    """Draw samples up to `num_tokens` tokens, shortest first: token ids and the length of the prompt."""
    samples, total = [], 0
    while total < num_tokens:
        prompt, response = draw_sample(rng)
        samples.append(([ids[c] for c in prompt + response] + [EOS], len(prompt)))
        total += len(samples[-1][0])
    return sorted(samples, key=lambda sample: len(sample[0]))


def pad(samples: list[tuple[list[int], int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-pad to inputs and targets; targets are ignored on prompt and padding."""
    width = max(len(tokens) for tokens, _ in samples)
    inputs = torch.full((len(samples), width), PAD)
    targets = torch.full((len(samples), width), IGNORE)
    for row, (tokens, prompt_length) in enumerate(samples):
        inputs[row, : len(tokens)] = torch.tensor(tokens)
        targets[row, prompt_length : len(tokens)] = inputs[row, prompt_length : len(tokens)]
    return inputs[:, :-1], targets[:, 1:]


def train_step(
    model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, samples: list[tuple[list[int], int]]
) -> float:
    """One optimizer step over three micro-batches of like lengths; returns the mean loss in nats a token."""
    num_targets = sum(len(tokens) - prompt_length for tokens, prompt_length in samples)
    third = (len(samples) + 2) // 3
    total = 0.0
    for start in range(0, len(samples), third):
        inputs, targets = pad(samples[start : start + third])
        logits = model(input_ids=inputs, use_cache=False).logits
        is_target = targets != IGNORE
        loss = torch.nn.functional.cross_entropy(logits[is_target], targets[is_target], reduction="sum") / num_targets
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


def constant(step: int, num_steps: int) -> float:
    """Learning-rate factor of the first phase: warm up over 50 steps, then 1."""
    return min(1.0, (step + 1) / 50)


def decaying(step: int, num_steps: int) -> float:
    """Learning-rate factor of the second phase: warm up over 50 steps, falling linearly to 2 %."""
    return min(1.0, (step + 1) / 50) * (1.0 - 0.98 * step / num_steps)


@torch.no_grad()
def greedy_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, family: str, level: int) -> float:
    """Share of 32 problems whose greedy answer is right."""
    prompts = [make_prompt(family, level, seed) for seed in range(32)]
    encoded = tokenizer([prompt.text for prompt in prompts], padding=True, padding_side="left", return_tensors="pt")
    output = model.generate(
        input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], max_new_tokens=56, do_sample=False
    )
    texts = tokenizer.batch_decode(output[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
    return sum(verify(prompt, text).value for prompt, text in zip(prompts, texts, strict=True)) / len(prompts)


def report_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Print greedy accuracy of each family at the taught levels and three above."""
    for family, taught in TAUGHT.items():
        levels = range(1, min(taught.levels + 3, FAMILIES[family].max_level) + 1)
        shares = " ".join(f"{greedy_accuracy(model, tokenizer, family, level):.2f}" for level in levels)
        print(f"  {family:6} levels 1-{levels[-1]}: {shares}", flush=True)


def write_card(facts: dict[str, object]) -> str:
    """The model card: what it is, what it was taught, how to make it again."""
    rows = []
    for name, taught in TAUGHT.items():
        tail = ", ".join(f"{level}: {share:.2%}" for level, share in tail_shares(taught).items())
        rows.append(f"| {name} | {taught.weight:g} | 1-{taught.levels} | {tail} |")
    return CARD.format(**facts, rows="\n".join(rows), skill_share=SKILL_SHARE, copy=MAX_COPY, reverse=MAX_REVERSE)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path, facts: dict[str, object]) -> None:
    """Write model, tokenizer and `training.json`."""
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config = GenerationConfig(eos_token_id=EOS, pad_token_id=PAD)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    settings = json.loads((out / "tokenizer_config.json").read_text())
    settings.pop("backend", None)
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers 4 knows too
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    facts = {**facts, "sha256": hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()}
    (out / "training.json").write_text(json.dumps(facts, indent=2) + "\n")
    (out / "README.md").write_text(write_card(facts))


def describe(arguments: argparse.Namespace, progress: Progress, num_parameters: int) -> dict[str, object]:
    """The facts of `training.json`."""
    return {
        "seed": arguments.seed,
        "steps": progress.steps,
        "decay_steps": arguments.decay_steps,
        "hidden_size": arguments.hidden_size,
        "tokens": progress.tokens,
        "cpu_seconds": round(progress.cpu_seconds),
        "parameters": num_parameters,
        "taught": {
            name: {
                "weight": taught.weight,
                "levels": list(range(1, taught.levels + 1)),
                "tail": tail_shares(taught),
            }
            for name, taught in TAUGHT.items()
        },
        "skills": {"share": SKILL_SHARE, "copy_up_to": MAX_COPY, "reverse_up_to": MAX_REVERSE},
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
    }


def run_phase(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    arguments: argparse.Namespace,
    progress: Progress,
    phase: Literal["constant", "decay"],
) -> None:
    """Train one phase with an optimizer and a sample stream of its own."""
    num_steps = arguments.steps - arguments.decay_steps if phase == "constant" else arguments.decay_steps
    factor = constant if phase == "constant" else decaying
    rng = random.Random(arguments.seed if phase == "constant" else f"{arguments.seed}/decay")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step, num_steps))
    ids = {character: index for index, character in enumerate(ALPHABET, start=3)}
    recent: list[float] = []
    started = time.process_time() - progress.cpu_seconds
    for _ in range(num_steps):
        samples = draw_batch(rng, ids, arguments.tokens_per_step)
        recent.append(train_step(model, optimizer, samples))
        schedule.step()
        progress.steps += 1
        progress.tokens += sum(len(tokens) for tokens, _ in samples)
        progress.cpu_seconds = time.process_time() - started
        if progress.steps % 100 == 0:
            loss, recent = sum(recent) / len(recent), []
            print(f"step {progress.steps} loss {loss:.4f} {progress.cpu_seconds:.0f} CPU s", flush=True)
        if progress.steps % arguments.report_every == 0:
            report_accuracy(model, tokenizer)


def main() -> None:
    """Parse the arguments, train both phases, save after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4000, help="of both phases")
    parser.add_argument("--decay-steps", type=int, default=1000, help="of the second phase")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("src/prorl/assets/mini_base"))
    parser.add_argument("--start", type=Path, help="folder written after the first phase: do the second only")
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--tokens-per-step", type=int, default=3072)
    parser.add_argument("--report-every", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    tokenizer, progress = build_tokenizer(), Progress()
    if arguments.start:
        model = LlamaForCausalLM.from_pretrained(arguments.start).train()
        facts = json.loads((arguments.start / "training.json").read_text())
        progress = Progress(facts["steps"], facts["tokens"], facts["cpu_seconds"])
    else:
        model = build_model(arguments.hidden_size)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{num_parameters:,} parameters", flush=True)
    if not arguments.start:
        run_phase(model, tokenizer, arguments, progress, "constant")
        save(model, tokenizer, arguments.out, describe(arguments, progress, num_parameters))
    run_phase(model, tokenizer, arguments, progress, "decay")
    report_accuracy(model, tokenizer)
    save(model, tokenizer, arguments.out, describe(arguments, progress, num_parameters))


if __name__ == "__main__":
    main()
