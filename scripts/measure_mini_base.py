"""Measure the shipped base on every level of the mini suite and write `docs/mini_base.md`.

    python scripts/measure_mini_base.py

20 problems a level, 128 samples a problem, temperature 1, top-p 1, strict and tolerant reading. About two minutes on
one core.
"""

import prorl.environment  # noqa: F401, I001  (before anything that imports torch)

from collections import defaultdict
from pathlib import Path
from statistics import fmean

import torch

from prorl import models
from prorl.assembly import make_engine, make_verifiers
from prorl.evaluation.boundary import ProblemCounts
from prorl.evaluation.measure import Problem, count_answers
from prorl.evaluation.passk import pass_at_k
from prorl.evaluation.problems import held_out
from prorl.config import Source
from prorl.prompts.mini import FAMILIES
from prorl.prompts.template import Template
from prorl.recipe import load_run

PAGE = Path(__file__).parent.parent / "docs" / "mini_base.md"
SETTINGS = ["data.max_prompt_tokens=72", "rollouts.max_response_tokens=56", "rollouts.token_budget=262144"]
HEAD = """# The shipped base model, level by level

Written by `python scripts/measure_mini_base.py` with the embedded engine: {problems} problems a level, {samples}
samples a problem, temperature 1, top-p 1, seed 0. In percent, means over problems.

- *pass@1*, *pass@128*: strict reading, unbiased estimator (arXiv 2107.03374).
- *tolerant*: pass@128 when the form of the answer is forgiven (docs/mini.md).
- *right form*: share of the samples that the strict reading could parse.

Levels marked `*` are held out of suite `mini` (they are `mini_hard`). What was taught is in [mini.md](mini.md).
"""


def main() -> None:
    """Sample, judge, write."""
    torch.set_num_threads(1)
    (config,) = load_run("quickstart", SETTINGS).phases
    loaded = models.load(config.model)
    engine = make_engine(loaded, config)
    engine.load_weights(dict(loaded.model.named_parameters()), version=0)
    problems = [
        Problem(prompt, "report", suite, trained_on=False)
        for suite in ("mini", "mini_hard")
        for prompt in held_out((Source(source=suite),), config.evaluation.boundary_problems, "measure")
    ]
    with make_verifiers(config) as strict, make_verifiers(config, reading="tolerant") as tolerant:
        template = Template(loaded.tokenizer, loaded.eos_ids)
        counts = count_answers(problems, engine, template, [strict, tolerant], config, seed=0, role="base")
    PAGE.write_text("\n".join(page(counts, config.evaluation.boundary_problems, config.evaluation.boundary_samples)))


def page(counts: list[ProblemCounts], num_problems: int, samples: int) -> list[str]:
    """The lines of the page."""
    by_level: dict[tuple[str, int], list[ProblemCounts]] = defaultdict(list)
    for count in counts:
        by_level[count.family, count.level].append(count)
    lines = HEAD.format(problems=num_problems, samples=samples).splitlines()
    for family in FAMILIES.values():
        lines += [
            "",
            f"## {family.name} ({family.domain})",
            "",
            "| level | pass@1 | pass@128 | tolerant | right form |",
        ]
        lines.append("|---|---|---|---|---|")
        for level in range(1, family.max_level + 1):
            rows = by_level[family.name, level]
            numbers = (
                fmean(pass_at_k(row.num_samples, row.num_correct, 1) for row in rows),
                fmean(pass_at_k(row.num_samples, row.num_correct, samples) for row in rows),
                fmean(pass_at_k(row.num_samples, row.num_correct_tolerant, samples) for row in rows),
                fmean(row.num_well_formed / row.num_samples for row in rows),
            )
            mark = "*" if level > family.train_levels else ""
            lines.append(f"| {level}{mark} | " + " | ".join(f"{100 * number:.1f}" for number in numbers) + " |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
