"""`prorl boundary`."""

import argparse
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prorl.commands.measuring import (
    Setting,
    all_problems,
    given_up_or,
    made,
    make_order,
    open_suites,
    out_folder,
    refuse_other,
    written_into,
)
from prorl.commands.trained_run import open_trained_run
from prorl.errors import UserError
from prorl.evaluation.boundary_table import table
from prorl.evaluation.novelty import corpus_documents
from prorl.evaluation.suites import Protocol
from prorl.findings import Questions, find, write_findings
from prorl.laboratory import Order, sample
from prorl.other_settings import measure_also
from prorl.report.csv_tables import write_tables

INTERRUPTED = 130
SAMPLES = 256


def run(arguments: argparse.Namespace) -> int:
    """Measure what a trained model can do that its base cannot; 130 when given up, with every sample kept."""
    draw_figures = _figures() if arguments.figures else None
    questions = _questions(arguments)
    trained = open_trained_run(Path(arguments.checkpoints), arguments.trained) if arguments.checkpoints else None
    suites = open_suites(arguments, trained.levels if trained else frozenset())
    max_tokens = trained.max_response_tokens if trained else max(suite.max_tokens for suite in suites)
    folder = out_folder(arguments, arguments.base, arguments.trained)
    paths = {"base": arguments.base, **(trained.checkpoints if trained else {}), "trained": arguments.trained}
    setting, sections = Setting(1.0, 1.0, SAMPLES, max_tokens), trained.sections if trained else {}
    order = make_order(arguments, paths, all_problems(suites), setting, folder, sections)
    refuse_other(folder / "boundary.json", order)
    also = list(dict.fromkeys(arguments.also))
    result = given_up_or(order, lambda status: _measured(order, questions, suites[0].protocol, also, status))
    if result is None:
        return INTERRUPTED
    with written_into(folder):
        written = write_findings(result, folder)
        if draw_figures:
            written += draw_figures(result, made(folder / "figures"), arguments.figures)
        if arguments.csv:
            written += write_tables(result, made(folder / "tables"))
    sys.stdout.write(table(result, colour=sys.stdout.isatty()))
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return 0


def _measured(
    order: Order, questions: Questions, protocol: Protocol, also: list[str], status: Callable[[str], None]
) -> dict[str, Any]:
    result = find(order, sample(order, status), questions, status)
    step = re.search(r"step_(\d+)/policy/?$", order.models["trained"].path)
    if step and len(order.models) > 2:  # where the drawings along the run end
        result["asked"] = {"step": int(step[1])}
    if also:
        guessed = {(level["domain"], level["family"], level["level"]): level["chance"] for level in result["levels"]}
        same = Questions(audit=False, margin=questions.margin, guessed=guessed)
        result["other_settings"] = measure_also(also, order, protocol, same, status)
    return result


def _questions(arguments: argparse.Namespace) -> Questions:
    if not 0.0 < arguments.margin < 1.0:
        raise UserError(f"--margin {arguments.margin:g}: must be between 0 and 1")
    corpus = Path(arguments.novelty).expanduser()
    if arguments.novelty not in ("", "base"):
        if not corpus.exists():
            raise UserError(
                f"--novelty {arguments.novelty}: no such file or folder; or `base` for the base's own samples"
            )
        if not any(corpus_documents(corpus, lambda text: [len(text)] if text.strip() else [])):
            raise UserError(f"--novelty {arguments.novelty}: no text in it; name another corpus")
    return Questions(audit=not arguments.no_audit, novelty=arguments.novelty, margin=arguments.margin)


def _figures() -> Callable[..., list[Path]]:
    """The module that draws with matplotlib, which not everybody has; said before hours of sampling."""
    try:
        module = importlib.import_module("prorl.report.figures")
    except ImportError as error:
        raise UserError(f"--figures: {error}; pip install 'prorl[figures]'") from None
    draw: Callable[..., list[Path]] = module.write_figures
    return draw
