"""From the samples of a measurement to what is reported of it: analysis, audit, novelty; files. It samples nothing."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prorl.assembly import make_verifiers
from prorl.durable import replace_file
from prorl.evaluation.audit import Audit, audit
from prorl.evaluation.boundary import Analysis, LevelKey, boundary, powers_of_two
from prorl.evaluation.samples import Stream
from prorl.evaluation.tally import answered, tally
from prorl.evaluation.verdicts import MARGIN
from prorl.laboratory import Order
from prorl.novelty_findings import measure_novelty
from prorl.report.boundary_page import write_boundary_page


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is asked of the samples beyond pass@k."""

    audit: bool = True
    novelty: str = ""
    """`base`, a corpus to compare texts with, or empty for no such measurement."""
    margin: float = MARGIN
    guessed: Mapping[LevelKey, float] = field(default_factory=dict)
    """Measured rate of guessing where it is known from another setting; an audit measures it."""


def find(
    order: Order, streams: Mapping[str, Stream], questions: Questions, progress: Callable[[str], None]
) -> dict[str, Any]:
    """The object of `boundary.json`."""
    counts = {}
    for role, stream in streams.items():
        progress(f"boundary: counting the samples of {role}")
        counts[role] = tally(order.problems, order.folder / stream.file_name, order.budget, order.threshold)
    audited = _audit(order, streams, progress) if questions.audit else Audit({}, {})
    measured = {
        level: max(rate for role, rate in rates.items() if role != "of") for level, rates in audited.levels.items()
    }
    guessed = {**questions.guessed, **measured}
    analysis = Analysis(
        budget=order.budget,
        ks=powers_of_two(order.budget.samples),
        margin=questions.margin,
        guessed=guessed,
        shuffled={
            level: (round(rates["trained"] * rates["of"]), int(rates["of"]))
            for level, rates in audited.levels.items()
            if "trained" in rates
        },
    )
    progress("boundary: analysis")
    errors = sum(problem.num_errors for of_role in counts.values() for problem in of_role)
    result = boundary(counts, analysis, settings={**_settings(order, streams), "verifier_errors": errors})
    if audited.by_family:
        result["audit"] = {"by_family": audited.by_family}
    if questions.novelty:
        result["novelty"] = measure_novelty(order, streams, questions.novelty, progress)
    return result


def _audit(order: Order, streams: Mapping[str, Stream], progress: Callable[[str], None]) -> Audit:
    """Of the verifiers, on the samples of base and trained model."""
    prompts = [problem.prompt for problem in order.problems]
    roles = {role: stream for role, stream in streams.items() if not role.isdigit()}
    with (
        make_verifiers(order.config, prompts, "strict") as strict,
        make_verifiers(order.config, prompts, "tolerant") as tolerant,
    ):
        return audit(
            prompts,
            {
                role: answered(order.problems, order.folder / stream.file_name, order.budget, order.threshold)
                for role, stream in roles.items()
            },
            strict,
            tolerant,
            seed=order.seed,
            threshold=order.threshold,
            progress=progress,
        )


def write_findings(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `boundary.json` and its page; returns their paths."""
    path = folder / "boundary.json"
    replace_file(path, [json.dumps(result, indent=1).encode()])
    return [path, write_boundary_page(result, folder)]


def _settings(order: Order, streams: Mapping[str, Stream]) -> dict[str, Any]:
    per_level: dict[tuple[str, str, int], int] = {}
    for problem in order.problems:
        prompt = problem.prompt
        key = (prompt.domain, prompt.task, prompt.level)
        per_level[key] = per_level.get(key, 0) + 1
    return {
        "samples": order.budget.samples,
        "stop_after": order.budget.stop_after,
        "problems_per_level": max(per_level.values()),
        "temperature": order.sampling.temperature,
        "top_p": order.sampling.top_p,
        "max_response_tokens": order.sampling.max_tokens,
        "seed": order.seed,
        "threshold": order.threshold,
        "models": {
            role: {"path": order.models[role].path, "hash": stream.model, "computed": stream.computed}
            for role, stream in streams.items()
        },
        "suites": _unique([problem.suite for problem in order.problems]),
    }


def _unique(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
