"""Pairs of real models that must not be called expanded, and one that must: what the laboratory says of each level.

    python benchmarks/boundary_acid.py

All are made from the shipped base by seconds of supervised fine-tuning (`tests/acid_models.py`), on fresh problems of
the mini suite:

- form: the base answers in a form that only the tolerant reading accepts, the trained model gives the same answers in
  the strict form
- guess: the base answers junk, the trained model guesses: at random, what is most frequent, the prompt's items in a
  random order, parts of the prompt as they stand
- text: the same guesses and no junk, without a model between the guesser and its answers: more problems and levels
- control: the trained model was shown solutions of levels that the base cannot solve
"""

import argparse
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from record import ROOT, finish, options_parser, run, whole_number

from prorl.config import Model
from prorl.evaluation.boundary import Analysis, ProblemCounts, boundary, powers_of_two
from prorl.evaluation.budget import Budget
from prorl.evaluation.suites import open_suite
from prorl.evaluation.verdicts import VERDICTS
from prorl.findings import Questions, find
from prorl.laboratory import Order, sample
from prorl.models import load
from prorl.prompts.mini import FAMILIES
from prorl.recipe import measurement_config
from prorl.records import Sampling
from prorl.rewards.mini import verify, verify_tolerant
from prorl.shipped import MINI_BASE

sys.path.insert(0, str(ROOT / "tests"))

import acid_models as models

TEXT_PROBLEMS, TEXT_LEVELS = 40, 6
MAX_TOKENS = 64
"""The longest right answer has 48 characters; a form adds some."""
FORM_STEPS, GUESS_STEPS, JUNK_STEPS, CONTROL_STEPS = 80, 100, 15, 60
EASY = [(family, level) for family in FAMILIES for level in (1, 2, 3)]
"""Where a guess is often right."""
KNOWN = [(family, level) for family in FAMILIES for level in (4, 5)]
"""Around the end of what the base can do."""
UNKNOWN = [("sort", 10), ("sort", 11), ("sort", 12)]


def measure(
    paths: tuple[Path | str, Path | str],
    levels: models.Levels,
    folder: Path,
    *,
    problems: int,
    samples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """The object of `boundary.json` of base and trained model on these levels of the mini suite."""
    suite = open_suite("mini", tasks=sorted({family for family, _ in levels}), per_level=problems)
    chosen = tuple(p for p in suite.problems if (p.prompt.task, p.prompt.level) in set(levels))
    order = Order(
        config=measurement_config(["model.threads=1"], {}),
        problems=chosen,
        models={
            role: Model(path=str(path), device="cpu", threads=1)
            for role, path in zip(("base", "trained"), paths, strict=True)
        },
        budget=Budget(samples),
        sampling=Sampling(1.0, 1.0, MAX_TOKENS),
        seed=seed,
        threshold=1.0,
        folder=folder,
    )
    return find(order, sample(order, lambda text: None), Questions(), lambda text: None)


def form_pair(name: str, levels: models.Levels, folder: Path, steps: int = FORM_STEPS) -> tuple[Path, Path]:
    """The base's answers in a form of `models.FORMS`, and from there in the strict form again."""
    torch.manual_seed(0)
    base = models.save(models.learn_form(models.own_base(), levels, models.FORMS[name], steps=steps), folder / name)
    start = load(Model(path=str(base), device="cpu"))
    return base, models.save(models.learn_form(start, levels, models.PLAIN, steps=steps, seed=1), folder / f"{name}-to")


def guess_pair(kind: str, levels: models.Levels, folder: Path, steps: int = GUESS_STEPS) -> tuple[Path, Path]:
    """Junk, and a guesser of `models.GUESSES`. All pairs of a folder have the same junk."""
    base = folder / "junk"
    if not base.exists():
        models.save(models.fine_tune(models.own_base(), levels, models.junk, steps=JUNK_STEPS), base)
    guesser = models.fine_tune(models.own_base(), levels, models.guesses(kind), steps=steps)
    return base, models.save(guesser, folder / kind)


def measure_text(kind: str, *, problems: int, samples: int, max_level: int, seed: int = 0) -> dict[str, Any]:
    """The object of `boundary.json` of a base that solves nothing and a perfect guesser; no shuffled answers."""
    suite, answer = open_suite("mini", max_level=max_level, per_level=problems), models.guesses(kind)
    rng, counts = Random(f"text/{seed}"), []
    for problem in suite.problems:
        texts = Counter(answer(problem.prompt, rng) for _ in range(samples))
        strict = sum(n for text, n in texts.items() if verify(problem.prompt, text).value == 1)
        tolerant = sum(n for text, n in texts.items() if verify_tolerant(problem.prompt, text).value == 1)
        assert strict <= tolerant, problem.prompt.id
        counts.append(
            ProblemCounts(
                prompt_id=problem.prompt.id,
                domain=problem.prompt.domain,
                family=problem.prompt.task,
                level=problem.prompt.level,
                num_samples=samples,
                num_correct=strict,
                num_correct_tolerant=tolerant,
                chance=problem.chance,
            )
        )
    nothing = [replace(count, num_correct=0, num_correct_tolerant=0) for count in counts]
    analysis = Analysis(budget=Budget(samples), ks=powers_of_two(samples))
    return boundary({"base": nothing, "trained": counts}, analysis, settings={})


def control_pair(levels: models.Levels, folder: Path, steps: int = CONTROL_STEPS) -> tuple[str, Path]:
    """The shipped base, and the same after solutions of the levels."""
    learned = models.fine_tune(models.own_base(), levels, models.solutions, steps=steps)
    return MINI_BASE, models.save(learned, folder / "learned")


def case(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a measurement."""
    summary = result["summary"]
    keys = ("name", "verdict", "reason", "opened", "chance", "k", "num_problems", "base", "trained", "test")
    wanted = {"pass@1", "tolerant/pass@1", f"pass@{summary['k']}", f"tolerant/pass@{summary['k']}"}
    levels = [{key: level[key] for key in keys} for level in result["levels"]]
    for level in levels:
        for role in ("base", "trained"):
            level[role] = {key: value for key, value in level[role].items() if key in wanted}
    return {"name": name, "verdicts": summary["verdicts"], "opened": summary["expanded_levels"], "levels": levels}


def markdown(cases: Sequence[dict[str, Any]]) -> str:
    """Verdict counts; and what guessers reach beside what is stated."""
    lines = [f"| pair | levels | {' | '.join(VERDICTS)} | opened | base pass@1, tolerant | trained pass@1, tolerant |"]
    lines.append("|---|" + "--:|" * (len(VERDICTS) + 4))
    for found in cases:
        counts = " | ".join(str(len(found["verdicts"][verdict])) for verdict in VERDICTS)
        scores = " | ".join(
            ", ".join(f"{_mean([level[role][key] for level in found['levels']]):.3f}" for key in PASS_1)
            for role in ("base", "trained")
        )
        lines.append(f"| {found['name']} | {len(found['levels'])} | {counts} | {len(found['opened'])} | {scores} |")
    lines += [
        "",
        "| guesser better than its chance by 2 standard errors | level | chance | trained pass@1 | verdict |",
        "|---|---|--:|--:|---|",
    ]
    for found in cases:
        for level in found["levels"]:
            noise = math.sqrt(level["chance"] * (1 - level["chance"]) / level["num_problems"])
            is_guesser = found["name"].startswith(("guess", "text"))
            if is_guesser and level["trained"]["pass@1"] > level["chance"] + 2 * noise:
                shares = f"{level['chance']:.4f} | {level['trained']['pass@1']:.4f}"
                lines.append(f"| {found['name']} | {level['name']} | {shares} | {level['verdict']} |")
    called = [(found["name"], found["verdicts"]["expanded"]) for found in cases if found["verdicts"]["expanded"]]
    return "\n".join([*lines, "", *(f"Expanded in {name}: {', '.join(names)}" for name, names in called)])


PASS_1 = ("pass@1", "tolerant/pass@1")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def parse() -> argparse.Namespace:
    parser = options_parser(__doc__)
    parser.add_argument("--problems", type=whole_number, default=20, help="of each level")
    parser.add_argument("--samples", type=whole_number, default=128, help="of each problem")
    parser.add_argument("--text", action="store_true", help="the guesses as text only, in a minute; writes no result")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    start, cases = time.process_time(), []
    for kind in (*models.GUESSES, "mixed"):
        result = measure_text(kind, problems=TEXT_PROBLEMS, samples=options.samples, max_level=TEXT_LEVELS)
        cases.append(case(f"text: {kind}", result))
    if options.text:
        print(markdown(cases))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs: list[tuple[str, models.Levels, Callable[[], tuple[Path | str, Path]]]] = [
            *((f"form: {form}", KNOWN, lambda form=form: form_pair(form, KNOWN, folder)) for form in models.FORMS),
            *((f"guess: {kind}", EASY, lambda kind=kind: guess_pair(kind, EASY, folder)) for kind in models.GUESSES),
            ("control", UNKNOWN, lambda: control_pair(UNKNOWN, folder)),
        ]
        for pair, levels, make in pairs:
            made = make()
            result = measure(made, levels, folder / "samples", problems=options.problems, samples=options.samples)
            cases.append(case(pair, result))
            print(f"{time.process_time() - start:.0f} CPU s: {pair}", file=sys.stderr, flush=True)
    seconds = time.process_time() - start
    settings = {"problems": options.problems, "samples": options.samples, "cpu_seconds": round(seconds)}
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())
    finish(options, "boundary_acid", {**settings, "cases": cases}, f"{said}\n\n{markdown(cases)}")


if __name__ == "__main__":
    run(main)
