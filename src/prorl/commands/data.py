"""`prorl data show`: problems of the mini suite as prompt rows, and the shipped base model."""

import argparse
import json
import sys

from prorl.config import Source
from prorl.errors import UserError
from prorl.models import MINI_BASE, mini_base_path
from prorl.prompts import suites
from prorl.prompts.sources import prompt_row
from prorl.prompts.suites import SUITES


def run(arguments: argparse.Namespace) -> int:
    """Print JSON Lines of prompt rows, or a folder."""
    if arguments.name == MINI_BASE:
        path = mini_base_path()
        sys.stdout.write(f"{path}\n" if arguments.path else (path / "README.md").read_text(encoding="utf-8"))
        return 0
    if arguments.name not in SUITES:
        raise UserError(f"data show {arguments.name}: must be one of {', '.join((*SUITES, MINI_BASE))}")
    if arguments.path:
        raise UserError(f"data show {arguments.name} --path: only {MINI_BASE} has a folder")
    if arguments.count < 1 or arguments.seed < 0 or arguments.level < 0:
        raise UserError("data show: --count must be at least 1, --seed and --level at least 0")
    tasks = (arguments.task,) if arguments.task else ()
    source = Source(source=arguments.name, tasks=tasks, min_level=arguments.level, max_level=arguments.level)
    for task, level in suites.levels(source):
        for number in range(arguments.seed, arguments.seed + arguments.count):
            prompt = suites.generate(source.source, task, level, number)
            row = prompt_row(prompt) | {"verifier": prompt.verifier}
            sys.stdout.write(json.dumps(row) + "\n")
    return 0
