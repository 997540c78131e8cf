"""Tokens a CPU second of the embedded engine against `transformers.generate`, prompts and responses of mixed length.

    python benchmarks/engine.py --json

Both sample from one model with one thread, in turn, in this process: 16 responses to each of 32 prompts (16 for the
large vocabulary), left-padded and ordered by length for `generate`. A response of `mini` ends where the model ends it,
after 10 tokens on average, one of a random model at every 64th token on average; all have one cap, four to five times
that. What counts is a response's tokens up to its end token. Each side takes its best batch size, which `--tune`
measures, and memory stays with the process, which `generate` gains by: it copies its cache at each token. Both sides'
samples are scored by a forward pass of transformers, so that a fast sampler of another distribution is found out.
About seven minutes.
"""

import prorl.environment  # noqa: F401, I001 - first: it sets what must stand before torch is imported
import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from models import load_model
from record import finish, options_parser, run
from transformers import GenerationConfig
from workloads import mixed_prompts, stream_prompts

from prorl.models import LoadedModel
from prorl.records import Request, Sampling
from prorl.rollouts.torch_engine import TorchEngine
from prorl.seeds import stream_seed

GROUP, LONGEST_PROMPT = 16, 64
PROMPTS = {"mini": 32, "tiny3m": 32, "tiny32k": 16}
CAPS = {"mini": 48, "tiny3m": 256, "tiny32k": 256}
BATCHES = {
    "mini": {"prorl": 512, "generate": 128},
    "tiny3m": {"prorl": 512, "generate": 256},
    "tiny32k": {"prorl": 256, "generate": 128},
}
"""Rows at a time, the best of what `--tune` measured."""
MOST_DEVIATION = 4.0
"""Standard errors between the two sides' mean log-probabilities."""
Sample = tuple[int, tuple[int, ...]]
"""Number of the prompt, and the response up to its end token."""


@dataclass(frozen=True)
class Task:
    """What both sides are given."""

    loaded: LoadedModel
    prompts: list[tuple[int, ...]]
    end_ids: list[int]
    cap: int


def make_task(name: str) -> Task:
    """`mini`: the quickstart's mixture and its end token; a random model: every 64th token ends a response."""
    loaded = load_model(name)
    texts = stream_prompts(PROMPTS[name]) if name == "mini" else [p.text for p in mixed_prompts(PROMPTS[name], "mixed")]
    prompts = [tuple(loaded.tokenizer(text)["input_ids"]) for text in texts]
    vocabulary = loaded.model.config.vocab_size
    end_ids = list(loaded.eos_ids) if name == "mini" else list(range(1, vocabulary, 64))
    return Task(loaded, sorted(prompts, key=len), end_ids, CAPS[name])


def sampler(task: Task, side: str, rows: int) -> Callable[[int], list[Sample]]:
    """One side as a function from a seed to the responses to all prompts."""
    return {"prorl": _engine_sampler, "generate": _generate_sampler}[side](task, rows)


def _engine_sampler(task: Task, rows: int) -> Callable[[int], list[Sample]]:
    longest = LONGEST_PROMPT + task.cap
    engine = TorchEngine(
        task.loaded.model.config,
        eos_ids=task.end_ids,
        max_length=longest,
        token_budget=rows * longest,
        dtype=task.loaded.dtype,
        device=task.loaded.device,
    )
    engine.load_weights(dict(task.loaded.model.named_parameters()), 0)
    sampling = Sampling(1.0, 1.0, task.cap)

    def sample(seed: int) -> list[Sample]:
        requests = [
            Request(key, prompt, GROUP, sampling, tuple(stream_seed(seed, key, i) for i in range(GROUP)))
            for key, prompt in enumerate(task.prompts)
        ]
        return [(rollout.key, tuple(rollout.tokens.tolist())) for rollout in engine.generate(requests)]

    return sample


def _generate_sampler(task: Task, rows: int) -> Callable[[int], list[Sample]]:
    settings = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=task.cap,
        eos_token_id=task.end_ids,
        pad_token_id=0,
    )
    repeated = [(key, prompt) for key, prompt in enumerate(task.prompts) for _ in range(GROUP)]
    ends = torch.tensor(task.end_ids)

    @torch.inference_mode()
    def sample(seed: int) -> list[Sample]:
        torch.manual_seed(seed)
        samples = []
        for start in range(0, len(repeated), rows):
            batch = repeated[start : start + rows]
            tokens, mask = _left_padded([prompt for _, prompt in batch])
            output = task.loaded.model.generate(tokens, attention_mask=mask, generation_config=settings)
            written = output[:, tokens.shape[1] :]
            is_end = torch.isin(written, ends)
            sizes = torch.where(is_end.any(1), is_end.int().argmax(1) + 1, written.shape[1]).tolist()
            lines = zip(batch, written.tolist(), sizes, strict=True)
            samples += [(key, tuple(line[:size])) for (key, _), line, size in lines]
        return samples

    return sample


def _left_padded(prompts: list[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, prompts))
    tokens = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return tokens, mask


def measure(samplers: Mapping[str, Callable[[int], list[Sample]]], repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Each sampler in turn, after a first round that does not count."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in samplers}
    for repeat in range(repeats + 1):
        for name, sample in samplers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            samples = sample(repeat)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            tokens = sum(len(response) for _, response in samples)
            found[name].append({"cpu": cpu, "wall": wall, "tokens": tokens, "rate": tokens / cpu, "samples": samples})
    return {name: runs[1:] for name, runs in found.items()}


@torch.inference_mode()
def mean_logprob(task: Task, samples: list[Sample]) -> tuple[float, float]:
    """Mean log-probability (nats) of the samples' tokens by a forward pass; its standard error given the prompts."""
    totals: dict[int, list[tuple[float, int]]] = {}
    for start in range(0, len(samples), GROUP):
        batch = samples[start : start + GROUP]
        rows = [(task.prompts[key], response) for key, response in batch]
        width = max(len(prompt) + len(response) for prompt, response in rows)
        tokens = torch.tensor([[*p, *r, *[0] * (width - len(p) - len(r))] for p, r in rows])
        logprobs = torch.log_softmax(task.loaded.model(tokens).logits[:, :-1].float(), -1)
        chosen = logprobs.gather(-1, tokens[:, 1:, None])[:, :, 0].double()
        for line, ((prompt, response), (key, _)) in enumerate(zip(rows, batch, strict=True)):
            first = len(prompt) - 1
            total = float(chosen[line, first : first + len(response)].sum())
            totals.setdefault(key, []).append((total, len(response)))
    return ratio_and_error(list(totals.values()))


def ratio_and_error(groups: list[list[tuple[float, int]]]) -> tuple[float, float]:
    """Sum of the first over sum of the second, and the standard error that stems from the spread within groups."""
    size = sum(count for group in groups for _, count in group)
    mean = sum(total for group in groups for total, _ in group) / size
    variance = 0.0
    for group in groups:
        rest = [total - mean * count for total, count in group]
        centre = sum(rest) / len(rest)
        variance += sum((value - centre) ** 2 for value in rest) * len(rest) / (len(rest) - 1)
    return mean, variance**0.5 / size


def compare(name: str, repeats: int) -> dict[str, Any]:
    """Both sides of one model in turn, and whether they sample from one distribution."""
    task = make_task(name)
    found = measure({side: sampler(task, side, rows) for side, rows in BATCHES[name].items()}, repeats)
    sides = {}
    for side, runs in found.items():
        rates = [run["rate"] for run in runs]
        mean, error = mean_logprob(task, [sample for run in runs for sample in run["samples"]])
        sides[side] = {
            "tokens_per_cpu_second": statistics.median(rates),
            "range": [min(rates), max(rates)],
            "wall_tokens_per_second": statistics.median(run["tokens"] / run["wall"] for run in runs),
            "mean_length": sum(run["tokens"] for run in runs) / (repeats * PROMPTS[name] * GROUP),
            "mean_logprob": mean,
            "standard_error": error,
            "rows": BATCHES[name][side],
        }
    ours, theirs = sides["prorl"], sides["generate"]
    apart = abs(ours["mean_logprob"] - theirs["mean_logprob"])
    deviation = apart / (ours["standard_error"] ** 2 + theirs["standard_error"] ** 2) ** 0.5
    ratio = ours["tokens_per_cpu_second"] / theirs["tokens_per_cpu_second"]
    pairs = [a["rate"] / b["rate"] for a, b in zip(found["prorl"], found["generate"], strict=True)]
    return {
        "ratio": ratio,
        "ratio_range": [min(pairs), max(pairs)],
        "deviation": deviation,
        "agree": deviation < MOST_DEVIATION,
        "sides": sides,
    }


def tune(name: str, sizes: Sequence[int], repeats: int) -> str:
    """Batch sizes of both sides in turn, as Markdown."""
    task = make_task(name)
    samplers = {f"{side}, {rows} rows": sampler(task, side, rows) for side in BATCHES[name] for rows in sizes}
    found = measure(samplers, repeats)
    lines = [f"| {name} | tokens a CPU second |", "|---|---|"]
    return "\n".join(
        lines + [f"| {key} | {statistics.median(run['rate'] for run in runs):.0f} |" for key, runs in found.items()]
    )


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The comparison as Markdown."""
    lines = [
        "| model | side | rows | tokens a CPU second (range) | tokens a second | mean length | mean log-prob |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        for side, row in result["sides"].items():
            low, high = row["range"]
            lines.append(
                f"| {name} | {side} | {row['rows']} | {row['tokens_per_cpu_second']:.0f} ({low:.0f} to {high:.0f}) "
                f"| {row['wall_tokens_per_second']:.0f} | {row['mean_length']:.1f} "
                f"| {row['mean_logprob']:.4f} ± {row['standard_error']:.4f} |"
            )
    lines.append("")
    for name, result in results.items():
        low, high = result["ratio_range"]
        lines.append(
            f"{name}: {result['ratio']:.2f} times `generate` a CPU second (run by run {low:.2f} to {high:.2f}). "
            f"The mean log-probs are {result['deviation']:.1f} standard errors apart: the distributions "
            f"{'agree' if result['agree'] else 'DIFFER'}."
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, record."""
    parser: argparse.ArgumentParser = options_parser(__doc__ or "")
    parser.add_argument("--models", nargs="+", default=list(CAPS), choices=list(CAPS))
    parser.add_argument("--repeats", type=int, default=3, help="measured rounds")
    parser.add_argument("--tune", type=int, nargs="+", metavar="ROWS", help="measure these batch sizes, record nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.tune:
        for name in options.models:
            print(tune(name, options.tune, options.repeats))
        return
    results = {name: compare(name, options.repeats) for name in options.models}
    ratios = {name: result["ratio"] for name, result in results.items()}
    finish(options, "engine", {"ratios": ratios, "results": results}, table(results))


if __name__ == "__main__":
    run(main)
