"""Peak memory of the log-probabilities' forward and backward pass, against hidden states plus one chunk.

    python benchmarks/logprob_memory.py
    python benchmarks/logprob_memory.py --tokens 8192 --vocabulary 151936 --hidden 1536 --chunk 2048 --json

`prorl.algorithm.logprobs.token_logprobs` in float32 on the CPU at temperature 1.2, in a process of its own: its peak
resident memory less what was resident before the hidden states were made. By then the head's weight is there and one
small pass has been run. The weight's gradient, there during the whole backward pass, is taken off as well and stated.
What stays is hidden states, their gradient, chunk and results. Goal: within 1.2 times of hidden states and one chunk.

Beside it the plain way, `log_softmax(hidden @ weight.T / temperature)` and a gather, at two sizes that fit, with a head
that is not trained, so that no gradient of it has to be taken off; its figure at the full size is computed from the
line through the two, and marked so. Takes about three minutes.
"""

import prorl.environment  # noqa: F401, I001  (before anything that imports torch)

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from record import finish, options_parser, run, whole_number
from torch import Tensor

from prorl.algorithm.logprobs import token_logprobs
from prorl.config import Learner
from prorl.errors import UserError

TEMPERATURE = 1.2
PLAIN_TOKENS = (256, 512)
MIB, GIB = 2**20, 2**30
FLOAT_BYTES = 4
_STATUS = Path("/proc/self/status")
_PLAIN_COPIES = 6
"""More [tokens, vocabulary] matrices than the plain way holds: for the estimate before the run."""


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement."""

    way: str
    tokens: int
    vocabulary: int
    hidden: int
    chunk: int

    @property
    def weight_bytes(self) -> int:
        return FLOAT_BYTES * self.vocabulary * self.hidden

    @property
    def hidden_bytes(self) -> int:
        return FLOAT_BYTES * self.tokens * self.hidden

    @property
    def chunk_bytes(self) -> int:
        return FLOAT_BYTES * min(self.chunk, self.tokens) * self.vocabulary

    @property
    def expected_bytes(self) -> int:
        """Of the whole process, roughly: weight and gradient, hidden and gradient, chunk or plain copies, libraries."""
        rows = (
            self.chunk_bytes if self.way == "chunked" else _PLAIN_COPIES * FLOAT_BYTES * self.tokens * self.vocabulary
        )
        return 2 * self.weight_bytes + 2 * self.hidden_bytes + rows + GIB // 2


def chunked(hidden: Tensor, weight: Tensor, tokens: Tensor, chunk: int) -> Tensor:
    return token_logprobs(hidden, weight, tokens, temperature=TEMPERATURE, chunk_size=chunk)[0]


def plain(hidden: Tensor, weight: Tensor, tokens: Tensor, chunk: int) -> Tensor:
    return torch.log_softmax(hidden @ weight.t() / TEMPERATURE, -1).gather(-1, tokens[:, None]).squeeze(-1)


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor, int], Tensor]] = {"chunked": chunked, "plain": plain}


def resident(field: str) -> int:
    """Bytes of `VmRSS` (now) or `VmHWM` (the most so far) of this process."""
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def one_pass(case: Case, weight: Tensor) -> None:
    hidden = torch.randn(case.tokens, case.hidden, requires_grad=True)
    tokens = torch.randint(0, case.vocabulary, (case.tokens,))
    WAYS[case.way](hidden, weight, tokens, case.chunk).sum().backward()


def measure_here(case: Case) -> dict[str, float]:
    """Extra peak of this process, which must be a fresh one, in bytes: without the weight and its gradient."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    trained = case.way == "chunked"
    weight = torch.randn(case.vocabulary, case.hidden, requires_grad=trained)
    small = replace(case, tokens=8, vocabulary=1024)
    one_pass(small, torch.randn(small.vocabulary, small.hidden, requires_grad=trained))
    before, start = resident("VmRSS"), time.process_time()
    one_pass(case, weight)
    peak = resident("VmHWM")
    extra = peak - before - (case.weight_bytes if trained else 0)
    return {"extra": extra, "cpu_seconds": time.process_time() - start}


def measure(case: Case) -> dict[str, float]:
    """The same in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(measure_here, case).result()
        except BrokenProcessPool:
            raise UserError(f"{case.way} at {case.tokens} tokens: the process was killed; use fewer tokens") from None


def result_of(case: Case) -> dict[str, Any]:
    """Chunked at the full size, plain at two small ones and computed for the full one."""
    figures = measure(case)
    goal = case.hidden_bytes + case.chunk_bytes
    small = [measure(replace(case, way="plain", tokens=tokens)) for tokens in PLAIN_TOKENS]
    slope = (small[1]["extra"] - small[0]["extra"]) / (PLAIN_TOKENS[1] - PLAIN_TOKENS[0])
    computed = small[1]["extra"] + slope * (case.tokens - PLAIN_TOKENS[1])
    return {
        "tokens": case.tokens,
        "vocabulary": case.vocabulary,
        "hidden": case.hidden,
        "chunk": case.chunk,
        "weight_mib": case.weight_bytes / MIB,
        "hidden_mib": case.hidden_bytes / MIB,
        "chunk_mib": case.chunk_bytes / MIB,
        "extra_mib": figures["extra"] / MIB,
        "ratio": figures["extra"] / goal,
        "cpu_seconds": figures["cpu_seconds"],
        "plain_mib": {tokens: each["extra"] / MIB for tokens, each in zip(PLAIN_TOKENS, small, strict=True)},
        "plain_mib_computed": computed / MIB,
        "plain_over_chunked_computed": computed / figures["extra"],
    }


def markdown(result: dict[str, Any]) -> str:
    goal = result["hidden_mib"] + result["chunk_mib"]
    tokens, extra = result["tokens"], result["extra_mib"]
    chunk = f"one chunk ({result['chunk']} x {result['vocabulary']})"
    lines = [
        f"{tokens} tokens x {result['vocabulary']}, hidden {result['hidden']}, float32, one thread",
        "",
        "| what | MiB |",
        "|---|---|",
        f"| head's weight; its gradient is as large; neither is counted below | {result['weight_mib']:.0f} |",
        f"| hidden states | {result['hidden_mib']:.0f} |",
        f"| {chunk} | {result['chunk_mib']:.0f} |",
        f"| extra peak of forward and backward, measured | {extra:.0f} |",
        f"| **of hidden states and one chunk** (goal: within 1.2) | **{extra / goal:.2f} times** |",
        *(f"| plain log_softmax, {size} tokens, measured | {mib:.0f} |" for size, mib in result["plain_mib"].items()),
        f"| plain log_softmax, {tokens} tokens, computed | {result['plain_mib_computed']:.0f} |",
        f"| plain over chunked at {tokens} tokens, computed | {result['plain_over_chunked_computed']:.1f} times |",
    ]
    return "\n".join([*lines, "", f"CPU seconds of the measured pass: {result['cpu_seconds']:.0f}."])


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--tokens", type=whole_number, default=8192, help="response tokens")
    parser.add_argument("--vocabulary", type=whole_number, default=151_936, help="rows of the head")
    parser.add_argument("--hidden", type=whole_number, default=1536, help="hidden size")
    default = Learner().logprob_chunk
    parser.add_argument("--chunk", type=whole_number, default=default, help="default: learner.logprob_chunk's")
    parser.add_argument("--limit-gib", type=float, default=8.0, help="refuse what would need more memory")
    options = parser.parse_args()
    if not _STATUS.exists():
        raise UserError("this benchmark reads /proc/self/status: it needs Linux")
    return options


def main() -> None:
    options = parse()
    case = Case("chunked", options.tokens, options.vocabulary, options.hidden, options.chunk)
    for each in (case, replace(case, way="plain", tokens=max(PLAIN_TOKENS))):
        if each.expected_bytes > options.limit_gib * GIB:
            need = each.expected_bytes / GIB
            raise UserError(f"the {each.way} way needs about {need:.1f} GiB: lower the sizes or raise --limit-gib")
    result = result_of(case)
    finish(options, "logprob_memory", result, markdown(result))


if __name__ == "__main__":
    run(main)
