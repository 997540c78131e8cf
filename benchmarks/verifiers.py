"""What each built-in verifier makes of right answers and of junk, and how fast it is on one core.

    python benchmarks/verifiers.py [--domain NAME ...] [--problems 200] [--json] [--no-record]

Problems: the procedural suite's, every family and level alike, and Reasoning Gym's 96 training tasks. Each problem's
known right answer has to score 1; of junk (`hostile_answers.py`) and of the right answers to other problems of the same
task the mean and the highest score of a task's mean are given. Throughput: right and wrong answers mixed, wrapped in
some prose, through one worker process, everything counted but the start.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from hostile_answers import JUNK
from record import finish, options_parser, run, whole_number

from prorl.config import Source
from prorl.datasets.reasoning_gym import generate_rows
from prorl.errors import UserError
from prorl.prompts import suites
from prorl.prompts.sources import parse_row
from prorl.records import Prompt
from prorl.rewards.puzzles.tasks import TRAINING_TASKS
from prorl.rewards.rows import GOLD_RESPONSES
from prorl.rewards.verifier import VerifierPool

DOMAINS = ("math", "code", "stem", "logic", "instruction")
PROSE = "Let me think about it step by step. " * 40 + "\n"
JUNK_PROBLEMS = 40
"""Junk is judged on as many problems of a domain at most, for the code domain runs every program."""


def problems_of(domain: str, count: int) -> list[Prompt]:
    """About `count` problems, spread over the tasks and levels."""
    if domain == "logic":
        per_task = max(1, count // len(TRAINING_TASKS))
        rows = generate_rows(TRAINING_TASKS, per_task=per_task, seed=0, level=0)
        return [parse_row(row, row["id"]) for row in rows]
    levels = [pair for pair in suites.levels(Source(source="procedural")) if _domain(pair[0]) == domain]
    return [suites.generate("procedural", *levels[n % len(levels)], n) for n in range(count)]


def _domain(task: str) -> str:
    return suites.domain_of(Source(source="procedural"), task)


def measure(domain: str, count: int, canary: Path) -> dict[str, Any]:
    """Acceptance, junk and throughput of one verifier."""
    problems = problems_of(domain, count)
    gold = [(problem, GOLD_RESPONSES[domain](problem)) for problem in problems]
    known = [(problem, response) for problem, response in gold if response is not None]
    options = {"workers": 1, "timeout_seconds": 20.0, "memory_mb": 2048, "preload": [domain]}
    with VerifierPool(**options) as pool:  # type: ignore[arg-type]
        pool.verify([(problem, ["x"]) for problem in problems[:1]])
        right = pool.verify([(problem, [response]) for problem, response in known])
        junk = {"another's answer": _means(pool, [(p, r) for p, r in _others(known)])}
        few = problems[:: max(1, len(problems) // JUNK_PROBLEMS)]
        for name, answer in JUNK.items():
            junk[name] = _means(pool, [(problem, answer(problem, n, canary)) for n, problem in enumerate(few)])
        mixed = [(p, [PROSE + r]) for pair in zip(known, _others(known), strict=True) for p, r in pair]
        fresh = [(Prompt(**{**_fields(p), "metadata": {**p.metadata, "turn": 1}}), texts) for p, texts in mixed]
        start = time.perf_counter()
        pool.verify(fresh)
        seconds = time.perf_counter() - start
        errors = pool.outcomes["error"]
    missed = [f"{p.task}: {s.outcome} {s.detail}" for (p, _), (s,) in zip(known, right, strict=True) if s.value < 1.0]
    return {
        "problems": len(problems),
        "known_answers": len(known),
        "gold_accepted": fmean(score.value == 1.0 for (score,) in right),
        "missed": missed[:20],
        "junk": junk,
        "answers_per_second": len(fresh) / seconds,
        "errors": errors,
        "payload_ran": canary.exists(),
    }


def _fields(prompt: Prompt) -> dict[str, Any]:
    return {name: getattr(prompt, name) for name in ("id", "domain", "task", "content", "answer", "verifier")}


def _others(known: Sequence[tuple[Prompt, str]]) -> list[tuple[Prompt, str]]:
    """Each problem with the right answer of the next problem of its task that has another answer."""
    by_task: dict[str, list[str]] = defaultdict(list)
    for problem, response in known:
        by_task[problem.task].append(response)
    pairs = []
    for problem, response in known:
        different = [other for other in by_task[problem.task] if other != response]
        pairs.append((problem, different[len(pairs) % len(different)] if different else "x"))
    return pairs


def _means(pool: VerifierPool, items: Sequence[tuple[Prompt, str]]) -> dict[str, Any]:
    """Mean score, and the task with the highest mean."""
    scores = pool.verify([(problem, [response]) for problem, response in items])
    by_task: dict[str, list[float]] = defaultdict(list)
    for (problem, _), (score,) in zip(items, scores, strict=True):
        by_task[problem.task].append(score.value)
    worst = max(by_task, key=lambda task: fmean(by_task[task]))
    everything = [value for values in by_task.values() for value in values]
    return {"mean": fmean(everything), "highest": fmean(by_task[worst]), "task": worst}


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """One row a verifier, then one a kind of junk."""
    lines = ["| verifier | problems | right answers accepted | answers a second, one core | errors | a payload ran |"]
    lines += ["|---|---|---|---|---|---|"]
    for domain, result in results.items():
        accepted = f"{result['gold_accepted']:.1%} of {result['known_answers']}"
        ran = "YES" if result["payload_ran"] else "no"
        speed = f"{result['answers_per_second']:.0f}"
        lines.append(f"| {domain} | {result['problems']} | {accepted} | {speed} | {result['errors']} | {ran} |")
    lines += ["", f"| mean score of junk (highest of a task) | {' | '.join(results)} |"]
    lines += ["|---" * (len(results) + 1) + "|"]
    for kind in next(iter(results.values()))["junk"]:
        cells = [_junk_cell(result["junk"][kind]) for result in results.values()]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _junk_cell(junk: Mapping[str, Any]) -> str:
    return f"{junk['mean']:.3f} ({junk['highest']:.2f} {junk['task']})" if junk["highest"] else "0"


def main() -> None:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--domain", action="append", metavar="NAME", help="one verifier; may be repeated")
    parser.add_argument("--problems", type=whole_number, default=200, metavar="N")
    options = parser.parse_args()
    for domain in options.domain or ():
        if domain not in DOMAINS:
            raise UserError(f"--domain {domain}: must be one of {', '.join(DOMAINS)}")
    with tempfile.TemporaryDirectory() as folder:
        canary = Path(folder) / "canary"
        results = {name: measure(name, options.problems, canary) for name in options.domain or DOMAINS}
    finish(options, "verifiers", {"verifiers": results}, table(results))
    for domain, result in results.items():
        for line in result["missed"]:
            print(f"missed {domain}: {line}")


if __name__ == "__main__":
    run(main)
