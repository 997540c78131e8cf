"""One step of a Qwen2-1.5B-shaped model from random weights on a GPU: sampling, update, memory, kernels.

    python benchmarks/gpu_step.py                 # one GPU of 80 GB, bfloat16, 8,192 response tokens
    python benchmarks/gpu_step.py --small         # a small model on the CPU, float32: that the script works

- tokens a second of the embedded engine, and of `transformers.generate` at the same number of rows: both draw responses
  of exactly the stated length (no end token), so that every row stays in the batch;
- the update (`TorchLearner.update`, activation checkpointing, AdamW, a reference): response tokens a second and model
  FLOPs utilisation: the operations of `flops.py` (forward, backward, reference; what is recomputed does not count) over
  time and the device's peak (`--peak`, default the H100's 989e12 in bfloat16; on a CPU a measured matrix product);
- peak memory of sampling and of the update, by torch's CUDA allocator, against `prorl plan`;
- torch.profiler's ten operators with the most time of their own in one update.

`generate` keeps its own whole cache; where it does not fit its rows are halved. Its cost grows with the length, so a
response is `--sampled` tokens long for both sides. The first call of each side warms up and does not count.

The part for a GPU was written without one: no result of it is recorded.
"""

import prorl.environment  # noqa: F401, I001  (before anything that imports torch)

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from batches import groups_of
from flops import Shape, update_flop
from plan_memory import GB, SMALL, Case, make_batch, make_model
from record import finish, options_parser, run, whole_number
from torch.profiler import ProfilerActivity, profile
from transformers import GenerationConfig

from prorl.errors import UserError
from prorl.planning.footprint import footprint
from prorl.learner.torch_learner import TorchLearner
from prorl.models import LoadedModel
from prorl.records import Request, Sampling
from prorl.rollouts.torch_engine import TorchEngine
from prorl.seeds import stream_seed

TOP, H100_PEAK = 10, 989e12
NO_END = -1
"""An end token that no model writes."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The model's shape with its update, and what is sampled."""

    case: Case
    device: torch.device
    rows: int
    prompt: int
    sampled: int


def synchronised(device: torch.device, call: Callable[[], object]) -> float:
    """Seconds of a call after one that warms up."""
    call()
    seconds = []
    for _ in range(2):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def peak_gb(device: torch.device, call: Callable[[], object]) -> float | None:
    """Most bytes of the CUDA allocator during a call, in GB; None on a CPU."""
    if device.type != "cuda":
        call()
        return None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    call()
    return torch.cuda.max_memory_allocated() / GB


def engine_of(setting: Setting, model: Any) -> Callable[[], int]:
    """Draws from the embedded engine; gives the number of tokens."""
    longest = setting.prompt + setting.sampled
    engine = TorchEngine(
        model.config,
        eos_ids=[NO_END],
        max_length=longest,
        token_budget=setting.rows * longest,
        dtype=setting.case.dtype,
        device=setting.device,
    )
    engine.load_weights(dict(model.named_parameters()), 0)
    sampling = Sampling(1.0, 1.0, setting.sampled)
    seeds = tuple(stream_seed(0, index) for index in range(setting.rows))
    request = Request(0, tuple(range(2, 2 + setting.prompt)), setting.rows, sampling, seeds)
    return lambda: sum(len(rollout.tokens) for rollout in engine.generate([request]))


def generate_of(setting: Setting, model: Any, rows: int) -> Callable[[], int]:
    """Draws from transformers; gives the number of tokens."""
    settings = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=setting.sampled, pad_token_id=0
    )
    prompts = torch.arange(2, 2 + setting.prompt, device=setting.device).repeat(rows, 1)

    @torch.inference_mode()
    def draw() -> int:
        output = model.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=settings)
        return output[:, setting.prompt :].numel()

    return draw


def sampling_result(setting: Setting) -> dict[str, Any]:
    """Tokens a second of both sides, and the engine's peak beside the model in its type."""
    model = make_model(setting.case, setting.device).to(setting.case.dtype).eval()
    model.generation_config.eos_token_id = None
    draw = engine_of(setting, model)
    count = draw()
    peak = peak_gb(setting.device, draw)
    result: dict[str, Any] = {"engine_per_second": count / synchronised(setting.device, draw), "sampling_peak_gb": peak}
    rows = setting.rows
    while rows:
        try:
            generate = generate_of(setting, model, rows)
            count = generate()
            result |= {"generate_per_second": count / synchronised(setting.device, generate), "generate_rows": rows}
            break
        except torch.OutOfMemoryError:
            rows //= 2
    return result


def update_result(setting: Setting, peak_flops: float) -> dict[str, Any]:
    """Tokens a second, utilisation, peak memory and kernels of one update."""
    case, device = setting.case, setting.device
    learner = TorchLearner(LoadedModel(make_model(case, device), None, device, case.dtype, (1,)), case.config)
    batch = make_batch(case)
    shape = Shape(
        case.hidden, case.layers, case.heads, case.kv_heads, case.hidden // case.heads, case.mlp, case.vocabulary
    )
    flop = sum(sum(update_flop(shape, groups_of(rows)).values()) for rows in batch.minibatches)

    def update() -> None:
        learner.update(batch, case.config, 0.0)

    seconds = synchronised(device, update)
    memory = peak_gb(device, update)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as found:
        update()
    order = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    events = sorted(found.key_averages(), key=lambda event: event_time(event, order), reverse=True)
    total = sum(event_time(event, order) for event in events)
    parts = footprint(case.config, case.size).updating
    return {
        "trained_per_second": batch.num_tokens / seconds,
        "useful_flop": flop,
        "utilisation": flop / seconds / peak_flops,
        "updating_peak_gb": memory,
        "predicted_gb": sum(value for name, value in parts.items() if name not in ("engine", "cache")) / GB,
        "kernels": [(event.key, event.count, event_time(event, order) / total) for event in events[:TOP]],
    }


def event_time(event: Any, order: str) -> float:
    return float(event.self_device_time_total if order.startswith("self_device") else event.self_cpu_time_total)


def cpu_peak() -> float:
    """Operations a second of a square matrix product here."""
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return 2 * 1024**3 / synchronised(torch.device("cpu"), lambda: left @ right)


def markdown(result: dict[str, Any]) -> str:
    def gb(value: float | None) -> str:
        return "no GPU" if value is None else f"{value:.1f}"

    lines = [
        f"{result['what']}",
        "",
        "| what | figure |",
        "|---|--:|",
        f"| embedded engine, tokens a second | {result['engine_per_second']:,.0f} |",
        f"| `transformers.generate`, {result['generate_rows']} rows | {result['generate_per_second']:,.0f} |",
        f"| ratio | {result['engine_per_second'] / result['generate_per_second']:.2f} |",
        f"| update, response tokens a second | {result['trained_per_second']:,.0f} |",
        f"| model FLOPs utilisation of {result['peak_flops']:.3g} | {result['utilisation']:.1%} |",
        f"| peak while sampling, GB | {gb(result['sampling_peak_gb'])} |",
        f"| peak of the update, GB | {gb(result['updating_peak_gb'])} |",
        f"| `prorl plan` for the update, GB | {result['predicted_gb']:.2g} |",
        "",
        "| operator of the update | calls | share of its own time |",
        "|---|--:|--:|",
        *(f"| `{name[:60]}` | {count} | {share:.1%} |" for name, count, share in result["kernels"]),
        "",
        "The part for a GPU was written without one and has never run.",
    ]
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--small", action="store_true", help="a small model on the CPU")
    parser.add_argument("--context", type=whole_number, default=8192, help="response tokens of the update's rows")
    parser.add_argument("--rows", type=whole_number, default=64, help="rollouts at a time")
    parser.add_argument("--sampled", type=whole_number, default=1024, help="tokens of a timed response")
    parser.add_argument("--peak", type=float, default=H100_PEAK, help="operations a second of the GPU")
    options = parser.parse_args()
    if not options.small and not torch.cuda.is_available():
        raise UserError("no GPU here: use --small, or a machine with one")
    return options


def main() -> None:
    options = parse()
    if options.small:
        torch.set_num_threads(1)
        case = replace(SMALL, layers=2, hidden=256, mlp=704, heads=4, context=256, budget=1024, prompt=64)
        setting = Setting(case, torch.device("cpu"), rows=16, prompt=64, sampled=32)
    else:
        setting = Setting(Case(context=options.context), torch.device("cuda"), options.rows, 1024, options.sampled)
    peak = cpu_peak() if options.small else options.peak
    device = "CPU, one thread" if options.small else torch.cuda.get_device_name()
    case = setting.case
    what = (
        f"{case.layers} layers of {case.hidden}, vocabulary {case.vocabulary}, {case.dtype}, {device}; sampling "
        f"{setting.rows} rows of {setting.prompt} + {setting.sampled} tokens, update of rows of up to {case.context}"
    )
    result = {"what": what, "peak_flops": peak, **sampling_result(setting), **update_result(setting, peak)}
    finish(options, "gpu_step_small" if options.small else "gpu_step", result, markdown(result))


if __name__ == "__main__":
    run(main)
