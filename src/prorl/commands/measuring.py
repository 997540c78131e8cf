"""What `prorl eval` and `prorl boundary` share: from arguments to an order of samples."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from prorl import models
from prorl.config import Config, Model
from prorl.errors import UserError
from prorl.evaluation.budget import Budget
from prorl.evaluation.suites import Problem, Suite, open_suite, with_own_ids
from prorl.laboratory import Order
from prorl.recipe import measurement_config
from prorl.records import Sampling
from prorl.rewards.readiness import check_rows
from prorl.terminal import Progress


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
            found.setdefault((prompt.domain, prompt.task, prompt.level, str(prompt.content)), problem)
    named = with_own_ids([problem.prompt for problem in found.values()])
    return tuple(replace(problem, prompt=prompt) for problem, prompt in zip(found.values(), named, strict=True))


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
    if config.model.threads:
        torch.set_num_threads(config.model.threads)
    check_rows([problem.prompt for problem in problems], config.reward.functions)
    roles = {role: replace(config.model, path=path) for role, path in paths.items()}
    return Order(
        config=config,
        problems=problems,
        models=roles,
        budget=Budget(_at_least("--samples", arguments.samples or default.samples, 1), arguments.stop_after),
        sampling=Sampling(
            _within("--temperature", _first(arguments.temperature, default.temperature), 0.0, 10.0),
            _within("--top-p", _first(arguments.top_p, default.top_p), 0.01, 1.0),
            _max_tokens(arguments, default, roles, config),
        ),
        seed=_at_least("--seed", arguments.seed, 0),
        threshold=_within("--threshold", arguments.threshold, 0.0, 1.0),
        folder=folder / "samples",
    )


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


def out_folder(arguments: argparse.Namespace, *paths: str) -> Path:
    """Where the measurement goes: `--out`, or a folder named after the models."""
    if arguments.out:
        return Path(arguments.out)
    names = [Path(path).expanduser().resolve().name if "/" in path else path for path in paths]
    return Path("runs") / "-".join([arguments.command, *names])
