"""The learner's peak memory as `prorl plan` predicts it, against what an allocator counts.

    python benchmarks/plan_memory.py
    python benchmarks/plan_memory.py --contexts 8192 --layers 4 --no-record
    python benchmarks/plan_memory.py --small

A Qwen2-1.5B-shaped model (28 layers of 1,536, vocabulary 151,936, a head of its own), float32 master weights, computed
in bfloat16 with activation checkpointing, AdamW and a reference: one update by `TorchLearner.update` itself, a
mini-batch that makes the optimizer's state and one of two full packs. Goal: the prediction within 15 % of the count,
and the count within 80 GB together with the engine's weights and a cache of the paper's recipe (589,824 tokens).

With a GPU the figure is `torch.cuda.max_memory_allocated`. Without one nothing is computed: tensors are fake, and
`accounting.py` counts the storages that the learner's operations would have. Kernels' own work space is not in that,
and the attention is the CPU's fused kernel, which like the GPU's keeps no scores. `--small` (always part of a run)
holds that counting against real memory: the same update of a small model with real tensors, counted, by the records of
torch's CPU allocator, and by the process's peak resident memory, which has the C library's and the kernels' own in it.
"""

import prorl.environment  # noqa: F401, I001  (before anything that imports torch)

import argparse
import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from accounting import accounting
from logprob_memory import resident
from record import finish, options_parser, run, whole_number
from torch.profiler import ProfilerActivity, profile
from transformers import AutoConfig, AutoModelForCausalLM

from prorl.config import Config, Data, Learner, Loss, Optimizer, Rollouts
from prorl.planning.footprint import footprint
from prorl.learner.torch_learner import TorchLearner
from prorl.models import LoadedModel, Size
from prorl.records import Batch, Row

GB, PROMPT, GOAL = 1e9, 1024, 0.15


@dataclass(frozen=True, slots=True)
class Case:
    """One update: the model's shape, and rows of `context` response tokens."""

    layers: int = 28
    hidden: int = 1536
    mlp: int = 8960
    heads: int = 12
    kv_heads: int = 2
    vocabulary: int = 151_936
    prompt: int = PROMPT
    context: int = 8192
    budget: int = 16_384
    chunk: int = 2048
    dtype: torch.dtype = torch.bfloat16

    @property
    def config(self) -> Config:
        return Config(
            data=Data(max_prompt_tokens=self.prompt),
            rollouts=Rollouts(max_response_tokens=self.context, token_budget=589_824, group_size=2),
            optimizer=Optimizer(minibatch_prompts=2),
            loss=Loss(engine_logprobs_below=0.0),
            learner=Learner(token_budget=self.budget, logprob_chunk=self.chunk, activation_checkpointing=True),
        )

    @property
    def size(self) -> Size:
        head = self.hidden // self.heads
        keys = self.kv_heads * head
        layer = 2 * self.hidden**2 + 2 * self.hidden * keys + self.hidden + 2 * keys + 3 * self.hidden * self.mlp
        layer += 2 * self.hidden
        outer = self.vocabulary * self.hidden
        parameters = self.layers * layer + 2 * outer + self.hidden
        return Size(
            parameters=parameters,
            trained=parameters,
            multiplied=parameters - outer,
            vocabulary=self.vocabulary,
            layers=self.layers,
            hidden=self.hidden,
            queries=self.hidden,
            keys=keys,
            mlp=self.mlp,
            itemsize=self.dtype.itemsize,
            published=False,
        )


SMALL = Case(
    layers=4, hidden=512, mlp=1408, heads=8, kv_heads=2, vocabulary=8192, prompt=256, context=1024, budget=2048,
    chunk=512, dtype=torch.float32,
)  # fmt: skip


def make_model(case: Case, device: torch.device) -> torch.nn.Module:
    settings = AutoConfig.for_model(
        "qwen2",
        vocab_size=case.vocabulary,
        hidden_size=case.hidden,
        intermediate_size=case.mlp,
        num_hidden_layers=case.layers,
        num_attention_heads=case.heads,
        num_key_value_heads=case.kv_heads,
        tie_word_embeddings=False,
        max_position_embeddings=case.prompt + case.context,
    )
    with device:
        return AutoModelForCausalLM.from_config(settings, dtype=torch.float32)


def make_batch(case: Case) -> Batch:
    """A mini-batch of one token, which makes the optimizer's state, and one of two packs.

    In the second pack the gradients of the first are there. A pack is a group that fills the token budget, or one
    longer row.
    """
    rng = np.random.default_rng(0)
    room = case.budget - case.prompt
    count = max(1, -(-room // case.context))
    size = room // count if room > case.context else case.context

    def row(prompt: tuple[int, ...], tokens: int) -> Row:
        return Row(prompt, rng.integers(2, 64, tokens), np.zeros(tokens, np.float32), 1.0)

    prompts = [tuple(map(int, rng.integers(2, 64, case.prompt))) for _ in range(2)]
    return Batch(((row((2,), 1),), tuple(row(prompt, size) for prompt in prompts for _ in range(count))), {})


def update(case: Case, device: torch.device) -> None:
    model = make_model(case, device)
    learner = TorchLearner(LoadedModel(model, None, device, case.dtype, (1,)), case.config)
    learner.update(make_batch(case), case.config, 1e-6)


def counted_real(case: Case) -> float:
    """Peak of the storages that the update's operations make, in bytes."""
    with accounting(fake=False) as found:
        update(case, torch.device("cpu"))
        return found.peak


def counted_fake(case: Case) -> float:
    """The same with fake tensors."""
    with accounting(fake=True) as found:
        update(case, torch.device("cpu"))
        return found.peak


def recorded(case: Case) -> float:
    """Peak of what torch's CPU allocator gave out and took back, as the profiler records it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        update(case, torch.device("cpu"))
    assert found.profiler is not None
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return float(np.cumsum(sizes).max())


def on_gpu(case: Case) -> float:
    """Peak of torch's CUDA allocator."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    update(case, torch.device("cuda"))
    peak = torch.cuda.max_memory_allocated() - before
    gc.collect()
    torch.cuda.empty_cache()
    return peak


def resident_peak(case: Case) -> float:
    """Peak resident bytes of this process, which must be a fresh one, less what it had before."""
    torch.set_num_threads(1)
    tiny = replace(case, layers=1, hidden=64, mlp=64, heads=2, vocabulary=64, prompt=8, context=16, budget=64)
    update(tiny, torch.device("cpu"))
    gc.collect()
    before = resident("VmRSS")
    update(case, torch.device("cpu"))
    return resident("VmHWM") - before


def in_a_process(measure: Callable[[Case], float], case: Case) -> float:
    """In a fresh process: its memory is its own, and after fake tensors torch's heap was seen damaged."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, case).result()


def predicted(case: Case) -> dict[str, float]:
    """The learner's part of the plan: what the engine holds is left out."""
    parts = footprint(case.config, case.size).updating
    return {name: value for name, value in parts.items() if name not in ("engine", "cache")}


def result_of(case: Case, figure: float, how: str) -> dict[str, Any]:
    parts = predicted(case)
    total = sum(footprint(case.config, case.size).updating.values())
    return {
        "how": how,
        "layers": case.layers,
        "context": case.context,
        "predicted_gb": sum(parts.values()) / GB,
        "parts_gb": {name: value / GB for name, value in parts.items()},
        "counted_gb": figure / GB,
        "difference": sum(parts.values()) / figure - 1,
        "with_engine_gb": (figure + total - sum(parts.values())) / GB,
    }


def markdown(results: list[dict[str, Any]]) -> str:
    lines = ["| update | by | predicted GB | counted GB | apart | with engine and cache GB |"]
    lines.append("|---|---|--:|--:|--:|--:|")
    for each in results:
        lines.append(
            f"| {each['layers']} layers, {each['context']} tokens | {each['how']} | {each['predicted_gb']:.3g} | "
            f"{each['counted_gb']:.3g} | {each['difference']:+.1%} | {each['with_engine_gb']:.3g} |"
        )
    parts = "; ".join(f"{name} {value:.3g}" for name, value in results[-1]["parts_gb"].items())
    return "\n".join([*lines, "", f"Goal: within {GOAL:.0%}. Predicted parts of the last line, GB: {parts}."])


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--contexts", type=whole_number, nargs="+", default=[8192, 16_384], help="response tokens")
    parser.add_argument("--layers", type=whole_number, default=Case.layers, help="fewer are quicker to count")
    parser.add_argument("--small", action="store_true", help="the small model on real memory only")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    results = [
        result_of(SMALL, in_a_process(resident_peak, SMALL), "resident memory, real"),
        result_of(SMALL, in_a_process(recorded, SMALL), "CPU allocator's records, real"),
        result_of(SMALL, in_a_process(counted_real, SMALL), "accounting, real tensors"),
        result_of(SMALL, in_a_process(counted_fake, SMALL), "accounting, fake tensors"),
    ]
    for context in [] if options.small else options.contexts:
        case = Case(layers=options.layers, context=context)
        gpu = torch.cuda.is_available()
        figure = on_gpu(case) if gpu else in_a_process(counted_fake, case)
        results.append(result_of(case, figure, "CUDA allocator" if gpu else "accounting, fake tensors"))
        print(markdown(results[-1:]), flush=True)
    finish(options, "plan_memory", {"results": results}, markdown(results))


if __name__ == "__main__":
    run(main)
