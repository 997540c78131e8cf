"""Time and memory from a full sample store to `boundary.json`, its page and its tables.

    python benchmarks/boundary_analysis.py
    python benchmarks/boundary_analysis.py --problems 1000 --samples 256 --json

Two stores are filled with made-up samples of real problems of the mini suite (400 characters each, right with a
probability drawn for each problem), as `prorl boundary` would have left them. What is measured is what follows in that
command: counting, analysis, the verifier audit, and writing. Goal: 1,000 problems x 256 samples x 2 models in under
60 s and 2 GiB, and a page under 5 MB. Filling the stores is not part of it.
"""

import prorl.environment  # noqa: F401, I001  (before anything that imports torch)

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from record import finish, options_parser, run, whole_number

from prorl.config import Config, Model
from prorl.evaluation.budget import Budget
from prorl.evaluation.drawing import digests
from prorl.evaluation.samples import Sample, SampleStore, Stream
from prorl.evaluation.suites import open_suite
from prorl.findings import Questions, find, write_findings
from prorl.laboratory import Order
from prorl.records import Sampling
from prorl.report.csv_tables import write_tables

CHARACTERS = 400
PER_LEVEL = 10
ROLES = {"base": 1.0, "trained": 3.0}
"""How likely a right answer is made, as a power of 1 / x of each problem's number."""


def samples_of(order: Order, role: str) -> Iterator[tuple[str, Sample]]:
    rng = np.random.default_rng([len(role)])
    for problem in order.problems:
        prompt, p = problem.prompt, rng.beta(0.3, 2.0) ** (1 / ROLES[role])
        for index, right in enumerate(rng.random(order.budget.samples) < p):
            said = prompt.answer if right else f"{rng.integers(99)}"
            value, outcome = (1.0, "correct") if right else (0.0, "wrong")
            text = said + " " * (CHARACTERS - len(said))
            yield prompt.id, Sample(index, text, CHARACTERS, "stop", -9.0, value, outcome, value, outcome)  # type: ignore[arg-type]


def make_order(problems: int, samples: int, folder: Path) -> tuple[Order, dict[str, Stream]]:
    suite = open_suite("mini", per_level=PER_LEVEL)
    order = Order(
        config=Config(),
        problems=suite.problems[:problems],
        models={role: Model() for role in ROLES},
        budget=Budget(samples),
        sampling=Sampling(1.0, 1.0, CHARACTERS),
        seed=0,
        threshold=1.0,
        folder=folder / "samples",
    )
    streams = {}
    prompts = [problem.prompt for problem in order.problems]
    for role in ROLES:
        stream = Stream(model=role * 4, role=role, seed=0, temperature=1.0, top_p=1.0, max_tokens=CHARACTERS)
        tokens = {prompt.id: (1,) for prompt in prompts}
        with SampleStore(order.folder, stream, digests(prompts, tokens)) as store:
            store.add(samples_of(order, role))
        streams[role] = stream
    return order, streams


def measure(problems: int, samples: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        order, streams = make_order(problems, samples, folder)
        assert len(order.problems) == problems, f"the suite has {len(order.problems)} problems; ask for fewer"
        stored = sum(path.stat().st_size for path in order.folder.glob("*.sqlite"))
        start, cpu = time.perf_counter(), time.process_time()
        result = find(order, streams, Questions(audit=False), lambda text: None)
        analysed, analysed_cpu = time.perf_counter() - start, time.process_time() - cpu
        start = time.perf_counter()
        find(order, streams, replace(Questions(), audit=True), lambda text: None)
        audited = time.perf_counter() - start - analysed
        start = time.perf_counter()
        (folder / "tables").mkdir()
        paths = [*write_findings(result, folder), *write_tables(result, folder / "tables")]
        written = time.perf_counter() - start
        sizes = {f"bytes/{path.name}": path.stat().st_size for path in paths}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "problems": problems,
        "samples": samples,
        "levels": len(result["levels"]),
        "bytes/stores": stored,
        "seconds/analysis": analysed,
        "seconds/analysis_cpu": analysed_cpu,
        "seconds/audit": audited,
        "seconds/writing": written,
        "bytes/peak_memory": peak,
        **sizes,
    }


def markdown(found: dict[str, float]) -> str:
    lines = ["| | |", "|---|---|"]
    for name, value in found.items():
        kind = name.partition("/")[0]
        shown = {"seconds": f"{value:.1f}", "bytes": f"{value / 2**20:.1f} MiB"}.get(kind, f"{value:,.0f}")
        lines.append(f"| {name.replace('bytes/', '')} | {shown} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--problems", type=whole_number, default=1000, help="problems")
    parser.add_argument("--samples", type=whole_number, default=256, help="samples of a problem and model")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    found = measure(options.problems, options.samples)
    finish(options, "boundary_analysis", {"found": found}, markdown(found))


if __name__ == "__main__":
    run(main)
