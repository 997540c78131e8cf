"""The command line: arguments, which module runs a command, and exit codes. No command's work is done here.

Exit codes: 0 done, 1 the run failed, 2 the user's input is wrong, 130 interrupted.
"""

import prorl.environment  # noqa: F401, I001  (before anything that imports torch)

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence

from prorl import __version__
from prorl.errors import RunFailed, UserError

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130

COMMANDS = {
    "train": "train a model as a recipe says",
    "plan": "print what a recipe means before anything runs",
    "reset": "ask a running job for a hard reset",
    "eval": "score a model on evaluation suites",
    "boundary": "measure what a trained model can do that its base cannot",
    "report": "write a run's report.html, or compare runs",
    "doctor": "say what this machine can do",
    "data": "list, prepare, show and export data",
    "verify": "judge JSON Lines of answers",
}

SANDBOX_HELP = "where programs run: auto, landlock, bubblewrap, the URL of a Sandbox Fusion server, or unsafe"
RESUME_HELP = "go on from the newest checkpoint in DIR, with the same --set options; begins where DIR holds none"
CLUSTER_HELP = "start and restart the ranks of the recipe's section `cluster` with Ray Train (docs/ray.md)"

WATCH_HELP = "write it again every SECONDS (default: 10) while the run goes on"

MEASURED_NUMBERS = (
    ("--min-level", int, 0, "lowest level of a suite"),
    ("--max-level", int, 0, "highest level of a suite (default: its own)"),
    ("--problems", int, None, "problems of each level (default: 40 of a generated suite, all of a file)"),
    ("--samples", int, None, "most samples of a problem (default: 256, for eval as the paper's setting of the suite)"),
    ("--stop-after", int, 0, "leave a problem early once so many samples are right (default: 0, never)"),
    ("--temperature", float, None, "of both models (default: 1, for eval 0.6 as in the paper)"),
    ("--top-p", float, None, "of both models (default: 1, for eval 0.95 as in the paper)"),
    ("--max-tokens", int, None, "of a response (default: the suite's, at most half of what the model holds)"),
    ("--threshold", float, 1.0, "score from which a sample solves its problem"),
    ("--seed", int, 0, "of the samples"),
)
ALSO_HELP = "other settings beside: the paper's temperature 0.6 and top-p 0.95, each model's best temperature"
MEASURED_SET = "an option of model, data, rollouts or reward, as rollouts.token_budget=131072; may be repeated"

DATA_TEXTS = (
    ("--out", "PATH", "the .jsonl or .parquet file to write, for prorl a folder"),
    ("--revision", "COMMIT", "of the data set on the hub (default: its main branch, whose commit is written down)"),
    ("--columns", "FIELD=COLUMN,...", "of a file of your own, as prompt=question,answer=gold"),
    ("--domain", "DOMAIN", "of a file of your own"),
)
DATA_NUMBERS = (
    ("--limit", 0, "draw this many rows (default: all)"),
    ("--seed", 0, "of what is drawn, shuffled and generated"),
    ("--max-prompt-characters", 0, "drop longer prompts"),
    ("--workers", 1, "verifier processes of the gold check"),
)
DATA_SWITCHES = (
    ("--accept-licence", "keep to a licence that forbids commercial use"),
    ("--no-gold-check", "do not judge the gold answers"),
    ("--no-decontamination", "keep rows that overlap evaluation suites"),
    ("--skip-bad-rows", "leave out and count rows that are not what the data set says"),
    ("--overwrite", "replace a file that was made otherwise"),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UserError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = _Parser(prog="prorl", description="Prolonged reinforcement learning with verifiable rewards.")
    root.add_argument("--version", action="version", version=f"prorl {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    by_name = {
        name: commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        for name, text in COMMANDS.items()
    }
    for name in ("train", "plan"):
        by_name[name].add_argument("recipe", metavar="RECIPE", help="a packaged recipe's name or a .toml file")
        by_name[name].add_argument(
            "--set",
            metavar="SECTION.OPTION=VALUE",
            action="append",
            default=[],
            dest="overrides",
            help="change an option, as loss.clip_high=0.28; may be repeated",
        )
    plan = by_name["plan"]
    plan.add_argument("--devices", type=int, default=1, metavar="N", help="devices that share the work (default: 1)")
    plan.add_argument("--device-memory", type=float, metavar="GB", help="refuse what needs more (default: 80 of a GPU)")
    plan.add_argument("--probe", action="store_true", help="time a short update and rollout on this machine first")
    plan.add_argument("--flops", type=float, metavar="X", help="peak operations a second of a device, as 989e12")
    plan.add_argument("--tokens-per-second", type=float, metavar="X", help="tokens that a device samples a second")
    plan.add_argument("--response-tokens", type=float, metavar="N", help="mean response (default: half of its limit)")
    plan.add_argument("--acceptance", type=float, default=0.5, metavar="X", help="share of groups that teach")
    by_name["train"].add_argument("--out", metavar="DIR", help="run folder (default: runs/<recipe>)")
    by_name["train"].add_argument("--resume", action="store_true", help=RESUME_HELP)
    by_name["train"].add_argument("--cluster", metavar="ray[://HOST:PORT]", default="", help=CLUSTER_HELP)
    by_name["reset"].add_argument("run", metavar="RUN", help="run folder")
    _add_measurements(by_name["eval"], by_name["boundary"])
    report = by_name["report"]
    report.add_argument("runs", metavar="RUN", nargs="+", help="run folders; several are compared on one page")
    report.add_argument("--watch", type=float, nargs="?", const=10.0, metavar="SECONDS", help=WATCH_HELP)
    report.add_argument("--out", metavar="FILE", default="", help="the comparison's page (default: comparison.html)")
    _add_data_actions(by_name["data"])
    by_name["verify"].add_argument("--domain", required=True, help="math, code, stem, logic, instruction or mini")
    by_name["verify"].add_argument("--workers", type=int, default=1, help="verifier processes")
    by_name["verify"].add_argument("--timeout", type=float, default=10.0, help="seconds an answer")
    by_name["verify"].add_argument("--tolerant", action="store_true", help="the format-tolerant reading")
    by_name["verify"].add_argument("--sandbox", default="auto", help=SANDBOX_HELP)
    return root


def _add_measurements(score: argparse.ArgumentParser, boundary: argparse.ArgumentParser) -> None:
    score.add_argument("model", metavar="MODEL", help="a folder, a hub name, or mini-base")
    boundary.add_argument("base", metavar="BASE", help="a folder, a hub name, or mini-base")
    boundary.add_argument("trained", metavar="TRAINED", help="a folder or a hub name")
    for command in (score, boundary):
        command.add_argument("--suite", metavar="SUITE", nargs="+", default=["mini"], help="suites or files of rows")
        command.add_argument("--task", metavar="TASK", nargs="+", default=[], help="these tasks only")
        for flag, kind, default, text in MEASURED_NUMBERS:
            command.add_argument(flag, type=kind, metavar="N" if kind is int else "X", default=default, help=text)
        command.add_argument("--out", metavar="DIR", help="folder of samples and results (default: in runs/)")
        command.add_argument("--csv", action="store_true", help="tables too")
        command.add_argument("--no-audit", action="store_true", help="leave out the audit of the verifiers")
        command.add_argument(
            "--set", metavar="SECTION.OPTION=VALUE", action="append", default=[], dest="overrides", help=MEASURED_SET
        )
    boundary.add_argument("--checkpoints", metavar="RUN", help="measure the checkpoints of this run on the way too")
    boundary.add_argument("--also", nargs="+", choices=["paper", "best"], default=[], help=ALSO_HELP)
    boundary.add_argument("--margin", type=float, default=0.2, metavar="X", help="a smaller change is none of note")
    boundary.add_argument("--novelty", metavar="CORPUS", default="", help="a file, a folder, or base: compare texts")
    boundary.add_argument("--figures", nargs="+", choices=["svg", "pdf"], default=[], help="plots for a paper")


def _add_data_actions(data: argparse.ArgumentParser) -> None:
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="print the sources and suites with their licences")
    prepare = actions.add_parser("prepare", help="make a clean file of prompt rows, with a manifest")
    prepare.add_argument(
        "name", metavar="NAME", help="a source, a suite, prorl (the paper's mixture) or a file of rows"
    )
    for flag, metavar, text in DATA_TEXTS:
        prepare.add_argument(flag, metavar=metavar, default="", help=text)
    prepare.add_argument("--from", dest="source", metavar="PATH", default="", help="files of the data set, no download")
    prepare.add_argument("--against", metavar="SUITE", nargs="+", default=[], help="suites that no row may overlap")
    prepare.add_argument("--sandbox", default="auto", help=SANDBOX_HELP)
    for flag, default, text in DATA_NUMBERS:
        prepare.add_argument(flag, type=int, metavar="N", default=default, help=text)
    for flag, text in DATA_SWITCHES:
        prepare.add_argument(flag, action="store_true", help=text)
    show = actions.add_parser("show", help="print rows of a prepared file or a built-in suite, or the base's folder")
    show.add_argument("name", metavar="NAME", help="mini, mini_hard, mini-base, procedural, a data set or a file")
    show.add_argument("--path", action="store_true", help="print the folder only (mini-base)")
    show.add_argument("--json", action="store_true", help="JSON Lines on a terminal too")
    show.add_argument("--task", default="", help="one task family")
    show.add_argument("--level", type=int, default=0, help="one level")
    show.add_argument("--count", type=int, default=1, help="problems a level, or rows of a file")
    show.add_argument("--seed", type=int, default=0, help="number of the first problem")
    export = actions.add_parser("export", help="write prepared rows in the format of another trainer")
    export.add_argument("file", metavar="FILE", help="a file of prompt rows")
    export.add_argument("out", metavar="OUT", help="the .parquet file to write")
    export.add_argument("--to", choices=["verl"], default="verl", help="the format (default: verl)")
    export.add_argument("--split", default="train", help="extra_info.split of the rows")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; every expected error is one line on standard error."""
    code = DONE
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the locale lacks must not end a command
    try:
        parsed = parser().parse_args(arguments)
        module = importlib.import_module(f"prorl.commands.{parsed.command}")
        code = int(module.run(parsed))
        sys.stdout.flush()
        return code
    except UserError as error:
        return _fail(error, WRONG_INPUT)
    except RunFailed as error:
        return _fail(error, FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of a pipe has left; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code


def _fail(reason: object, code: int) -> int:
    line = "".join(mark if mark.isprintable() else "?" for mark in " ".join(str(reason).split()))
    sys.stderr.write(f"prorl: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
