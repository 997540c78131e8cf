"""Time and memory of the index behind the creativity index: build, save, load and query.

    python benchmarks/novelty.py
    python benchmarks/novelty.py --tokens 1000000 --query 1000000 --json

Made-up corpora, each case in a process of its own with one thread:

- zipf: 50,000 tokens by Zipf's law in documents of 1,000 tokens, about the worst for the search: every place of the
  query looks at about log2(N) places of the corpus before it is known to have no long match
- repeated: documents drawn from 1,000 phrases of 20 tokens, as samples of one model repeat each other
- one token: every suffix is like every other, the worst for the sort

The query has texts of 1,000 tokens, made like the corpus, with 60 % in runs of 20 tokens taken from it; matches up to
11 tokens. Seconds are CPU seconds of the process, so that other work on the machine counts less. Memory is the peak
resident memory of the process less what was resident before the build or the query, the corpus included, which is an
array of 32-bit numbers by then. Goal: 10 M tokens built in under 60 s and 1.5 GiB, 1 M tokens asked about in under
10 s. Takes about three minutes.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from record import finish, options_parser, run, whole_number

from prorl.evaluation.suffixes import SuffixIndex

DOCUMENT, RUN, PHRASES, VOCABULARY = 1000, 20, 1000, 50_000
MAX_LENGTH = 11
GIB = 2**30
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement."""

    corpus: str
    tokens: int
    query: int


def zipf(count: int, rng: np.random.Generator) -> np.ndarray:
    """Tokens whose frequency falls as one over their rank."""
    weights = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    return np.searchsorted(weights / weights[-1], rng.random(count)).astype(np.int32)


def repeated(count: int, rng: np.random.Generator) -> np.ndarray:
    """Phrases one after the other."""
    phrases = zipf(PHRASES * RUN, np.random.default_rng(1)).reshape(PHRASES, RUN)
    return phrases[rng.integers(PHRASES, size=-(-count // RUN))].reshape(-1)[:count]


def one_token(count: int, rng: np.random.Generator) -> np.ndarray:
    """Nothing else."""
    return np.full(count, 7, dtype=np.int32)


CORPORA: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "zipf": zipf,
    "repeated": repeated,
    "one token": one_token,
}


def documents(tokens: np.ndarray) -> list[np.ndarray]:
    """Cut into documents."""
    return [tokens[at : at + DOCUMENT] for at in range(0, len(tokens), DOCUMENT)]


def question(case: Case, corpus: np.ndarray) -> list[np.ndarray]:
    """Texts of which 60 % is taken from the corpus in runs."""
    rng = np.random.default_rng(2)
    tokens = CORPORA[case.corpus](case.query, rng)
    for at in range(0, len(tokens) - RUN + 1, RUN):
        if rng.random() < 0.6:
            start = rng.integers(max(1, len(corpus) - RUN))
            tokens[at : at + RUN] = corpus[start : start + RUN]
    return documents(tokens)


def resident(name: str) -> int:
    """Bytes of a line of the process's status: VmRSS now, VmHWM the peak."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What `work` gives, its CPU seconds, and the GiB that it took at its peak."""
    _CLEAR.write_text("5")  # the peak starts anew
    before, start = resident("VmRSS"), time.process_time()
    result = work()
    return result, time.process_time() - start, (resident("VmHWM") - before) / GIB


def measure(case: Case) -> dict[str, Any]:
    """Build, save, load and ask."""
    corpus = CORPORA[case.corpus](case.tokens, np.random.default_rng(0))
    index, build_seconds, build_gib = timed(lambda: SuffixIndex.build(documents(corpus)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        _, save_seconds, _ = timed(lambda: index.save(path))
        size = path.stat().st_size
        index, load_seconds, _ = timed(lambda: SuffixIndex.load(path, unit="token", digest=""))
        texts = question(case, corpus)
        found, query_seconds, query_gib = timed(lambda: index.match_lengths(texts, MAX_LENGTH))
    return {
        **asdict(case),
        "build_seconds": build_seconds,
        "build_gib": build_gib + corpus.nbytes / GIB,
        "save_seconds": save_seconds,
        "load_seconds": load_seconds,
        "file_bytes_per_token": size / case.tokens,
        "query_seconds": query_seconds,
        "query_gib": query_gib,
        "longest_share": float(np.mean(np.concatenate(found) == MAX_LENGTH)),
    }


ROWS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("tokens of the corpus", lambda x: f"{x['tokens']:,}"),
    ("build, s", lambda x: f"{x['build_seconds']:.1f}"),
    ("build, peak GiB", lambda x: f"{x['build_gib']:.2f}"),
    ("file, bytes a token", lambda x: f"{x['file_bytes_per_token']:.1f}"),
    ("save, s", lambda x: f"{x['save_seconds']:.2f}"),
    ("load, s", lambda x: f"{x['load_seconds']:.2f}"),
    ("tokens of the query", lambda x: f"{x['query']:,}"),
    ("query, s", lambda x: f"{x['query_seconds']:.1f}"),
    ("query, peak GiB", lambda x: f"{x['query_gib']:.2f}"),
    ("places with a match of 11", lambda x: f"{x['longest_share']:.0%}"),
)


def table(results: list[dict[str, Any]]) -> str:
    """Cases from left to right."""
    head = ["| |" + "".join(f" {x['corpus']} |" for x in results), "|---|" + "---|" * len(results)]
    return "\n".join([*head, *(f"| {name} |" + "".join(f" {show(x)} |" for x in results) for name, show in ROWS)])


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--tokens", type=whole_number, nargs="+", default=[1_000_000, 10_000_000], metavar="N")
    parser.add_argument("--query", type=whole_number, default=1_000_000, metavar="N")
    return parser.parse_args()


def main() -> None:
    """Measure and write."""
    options = parse()
    results = []
    for size in options.tokens:
        for corpus in CORPORA:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                results.append(pool.submit(measure, Case(corpus, size, options.query)).result())
    finish(options, "novelty", {"cases": results}, table(results))


if __name__ == "__main__":
    run(main)
