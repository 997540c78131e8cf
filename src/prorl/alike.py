"""What all ranks of a run must have alike beside the recipe: the software, and what the data files hold.

Ranks draw the same prompts, each from its own copy of the data, and share their rollouts. Files that differ between
machines would train on another stream than any of them tells of.
"""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from prorl import __version__, distributed
from prorl.config import Run
from prorl.durable import sha256
from prorl.prompts.sources import is_missing
from prorl.prompts.suites import SUITES


def refuse_unlike(run: Run) -> None:
    """UserError on every rank where one has other versions, or other contents in a data file. Alone, reads nothing."""
    if distributed.world() == 1:
        return
    software = "\n".join([f"prorl {__version__}", *(f"{name} {version(name)}" for name in ("torch", "transformers"))])
    distributed.refuse_differences("software", software)
    distributed.refuse_differences("data file", "\n".join(distributed.each(lambda: list(_contents(run)))))


def _contents(run: Run) -> Iterator[str]:
    """A line for each data file that the recipe names."""
    sources = (source for config in run.phases for source in (*config.data.sources, *config.evaluation.sources))
    for name, source in {source.source: source for source in sources}.items():
        try:
            if is_missing(source):
                yield f"{name}: not there"
            elif name not in SUITES:
                yield f"{name}: SHA-256 {sha256(Path(name).expanduser())[:16]}"
        except OSError as error:
            yield f"{name}: cannot be read ({error.strerror})"
