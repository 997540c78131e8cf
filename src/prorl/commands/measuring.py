"""What `prorl eval` and `prorl boundary` share: from arguments to an order of samples."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from prorl import models
from prorl.config import Config, Model
from prorl.durable import explained
from prorl.errors import UserError
from prorl.evaluation.budget import Budget
from prorl.evaluation.samples import MAX_SAMPLES
from prorl.evaluation.suites import SUITE_NAMES, Problem, Suite, open_suite, with_own_ids
from prorl.interrupt import Interrupted, Interrupts
from prorl.laboratory import Order, check
from prorl.recipe import measurement_config
from prorl.records import Sampling
from prorl.rewards.readiness import check_rows
from prorl.terminal import Progress

USED = {
    "model": ("dtype", "device", "threads", "revision"),
    "data": ("system_prompt",),
    "rollouts": ("engine", "token_budget"),
    "reward": ("functions", "sandbox", "workers", "timeout_seconds", "memory_mb"),
}
"""Options that a measurement has of these sections; the others of a recipe would change nothing."""
INSTEAD = {"temperature": "--temperature", "max_response_tokens": "--max-tokens", "sources": "--suite"}


@dataclass(frozen=True, slots=True)
class Setting:
    """How samples are drawn where the user does not say."""

    temperature: float
    top_p: float
    samples: int
    max_tokens: int


def progress_line() -> Progress:
    """On standard error: the result goes to standard output."""
    return Progress(sys.stderr, 0, after="measuring")


def open_suites(arguments: argparse.Namespace, trained: frozenset[tuple[str, int]] = frozenset()) -> list[Suite]:
    """The suites of the command line, in its order."""
    if arguments.problems is not None:
        _at_least("--problems", arguments.problems, 0)
    for name in ("min_level", "max_level"):
        _at_least(f"--{name.replace('_', '-')}", vars(arguments)[name], 0)
    return [
        open_suite(
            name,
            tasks=arguments.task,
            min_level=arguments.min_level,
            max_level=arguments.max_level,
            per_level=arguments.problems,
            trained=trained,
        )
        for name in dict.fromkeys(arguments.suite)
    ]


def all_problems(suites: Sequence[Suite]) -> tuple[Problem, ...]:
    """The suites' problems under ids of their own; a problem that two suites have is asked once."""
    found: dict[tuple[str, str, int, str], Problem] = {}
    for suite in suites:
        for problem in suite.problems:
            prompt = problem.prompt
            key = (prompt.domain, prompt.task, prompt.level, str(prompt.content))
            found.setdefault(key, replace(problem, prompt=replace(prompt, id=_place(suite) + prompt.id)))
    named = with_own_ids([problem.prompt for problem in found.values()])
    return tuple(replace(problem, prompt=prompt) for problem, prompt in zip(found.values(), named, strict=True))


def _place(suite: Suite) -> str:
    """What ids of a suite begin with: those of a user's file with its name, since other files may have the same ids."""
    return "" if suite.name in SUITE_NAMES else f"{Path(suite.name).name}:"


def make_order(
    arguments: argparse.Namespace,
    paths: Mapping[str, str],
    problems: tuple[Problem, ...],
    default: Setting,
    folder: Path,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
) -> Order:
    """What the arguments ask for, of the models at these paths by role. UserError: a value or model that cannot be."""
    config = measurement_config(arguments.overrides, {name: dict(of) for name, of in (sections or {}).items()})
    _refuse_unused(arguments.overrides)
    roles = {role: replace(config.model, path=path) for role, path in paths.items()}
    order = Order(
        config=config,
        problems=problems,
        models=roles,
        budget=_budget(arguments, default),
        sampling=Sampling(
            _within("--temperature", _first(arguments.temperature, default.temperature), 0.0, 10.0),
            _within("--top-p", _first(arguments.top_p, default.top_p), 0.01, 1.0),
            _max_tokens(arguments, default, roles, config),
        ),
        seed=_at_least("--seed", arguments.seed, 0),
        threshold=_within("--threshold", arguments.threshold, 0.01, 1.0),
        folder=folder / "samples",
    )
    if config.model.threads:
        torch.set_num_threads(config.model.threads)
    try:
        check_rows([problem.prompt for problem in problems], config.reward.functions)
    except UserError as error:
        raise UserError(str(error).replace("data.sources:", "--suite:", 1)) from None
    check(order)
    return order


def _refuse_unused(overrides: Sequence[str]) -> None:
    for override in overrides:
        section, _, option = (part.strip() for part in override.partition("=")[0].partition("."))
        if option.partition(".")[0] not in USED[section]:
            instead = f"use {INSTEAD[option]}" if option in INSTEAD else f"it has {section}.{', '.join(USED[section])}"
            raise UserError(f"--set {json.dumps(override)}: a measurement does not use it; {instead}")


def _budget(arguments: argparse.Namespace, default: Setting) -> Budget:
    samples = _at_least("--samples", default.samples if arguments.samples is None else arguments.samples, 1)
    if samples > MAX_SAMPLES:
        raise UserError(f"--samples {samples}: must be at most {MAX_SAMPLES}")
    if not 0 <= arguments.stop_after <= samples:
        raise UserError(
            f"--stop-after {arguments.stop_after}: must be between 0 and the {samples} samples of a problem"
        )
    return Budget(samples, arguments.stop_after)


@contextmanager
def written_into(folder: Path) -> Iterator[None]:
    """One line for a file that cannot be written in here; what was sampled stays."""
    try:
        yield
    except OSError as error:
        place = str(error.filename or folder)
        raise explained(error, place, lambda: "no sample is lost: start again to go on") from None


def _first(given: float | None, default: float) -> float:
    return default if given is None else given


def _at_least(name: str, value: int, low: int) -> int:
    if value < low:
        raise UserError(f"{name} {value}: must be {low} or more")
    return value


def _within(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise UserError(f"{name} {value:g}: must be between {low:g} and {high:g}")
    return value


def _max_tokens(arguments: argparse.Namespace, default: Setting, roles: Mapping[str, Model], config: Config) -> int:
    """The limit asked for; else the suites', or half of what the smallest model can hold where that is less."""
    if arguments.max_tokens is not None:
        return _at_least("--max-tokens", arguments.max_tokens, 1)
    limits = [limit for options in set(roles.values()) if (limit := models.max_positions(options)) is not None]
    return min([default.max_tokens, *(limit // 2 for limit in limits)])


def given_up_or(order: Order, work: Callable[[Callable[[str], None]], dict[str, Any]]) -> dict[str, Any] | None:
    """The result of the work, which is handed what says where it is; None where a signal ended it, said so."""
    progress = progress_line()
    with Interrupts(progress.note, "interrupted: every sample so far is kept") as signals:

        def status(text: str) -> None:
            signals.check()
            progress.status(text)

        try:
            with written_into(order.folder.parent):
                return work(status)
        except Interrupted:
            progress.note(f"given up; the same command goes on, the samples so far are in {order.folder}")
            return None
        finally:
            progress.close()


def out_folder(arguments: argparse.Namespace, *paths: str) -> Path:
    """Where the measurement goes: `--out`, or a folder named after the models."""
    if arguments.out:
        return Path(arguments.out)
    return Path("runs") / "-".join([arguments.command, *map(_short, paths)])


def refuse_other(path: Path, order: Order) -> None:
    """Keep a result that is there unless it is of the same models on the same suites: more samples replace it."""
    if not os.path.exists(path):  # nor can it be, where the folder's name is a file's or too long: writing says so
        return
    try:
        found = json.loads(path.read_bytes())
        summary = found["summary"]["settings"]
        paths = {role: model["path"] for role, model in summary["models"].items() if not role.isdigit()}
        suites, of_run = summary["suites"], "sources" in found.get("asked", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: is not a result of this command; choose another --out") from None
    same = paths == {role: model.path for role, model in order.models.items() if not role.isdigit()}
    if of_run or not same or suites != list(dict.fromkeys(problem.suite for problem in order.problems)):
        whose = "the run's own result" if of_run else "a result of other models or suites"
        raise UserError(f"{path}: is {whose} and would be replaced; choose another --out")


def _short(path: str) -> str:
    """A folder's own name; of a run's checkpoint `RUN-step_5`, for all of them are called `policy`."""
    if "/" not in path and not path.startswith((".", "~")):
        return path
    resolved = Path(path).expanduser().resolve()
    if resolved.name == "policy" and resolved.parent.parent.name == "checkpoints":
        return f"{resolved.parents[2].name}-{resolved.parent.name}"
    return resolved.name


def made(folder: Path) -> Path:
    """The folder, which is there now."""
    folder.mkdir(exist_ok=True)
    return folder
