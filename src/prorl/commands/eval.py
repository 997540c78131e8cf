"""`prorl eval`."""

import argparse
import json
import sys

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
from prorl.durable import replace_file
from prorl.evaluation.boundary_table import one_model_table
from prorl.findings import Questions, find
from prorl.laboratory import sample
from prorl.report.csv_tables import write_tables

INTERRUPTED = 130
ROLE = "model"


def run(arguments: argparse.Namespace) -> int:
    """Score a model on suites, by default as the paper samples them; 130 when given up, with every sample kept."""
    suites = open_suites(arguments)
    protocol, max_tokens = suites[0].protocol, max(suite.max_tokens for suite in suites)
    folder = out_folder(arguments, arguments.model)
    setting = Setting(protocol.temperature, protocol.top_p, protocol.samples, max_tokens)
    order = make_order(arguments, {ROLE: arguments.model}, all_problems(suites), setting, folder)
    refuse_other(folder / "eval.json", order)
    questions = Questions(audit=not arguments.no_audit)
    result = given_up_or(order, lambda status: find(order, sample(order, status), questions, status))
    if result is None:
        return INTERRUPTED
    path = folder / "eval.json"
    written = [path]
    with written_into(folder):
        replace_file(path, [json.dumps(result, indent=1).encode()])
        if arguments.csv:
            written += write_tables(result, made(folder / "tables"))
    sys.stdout.write(one_model_table(result, ROLE))
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return 0
