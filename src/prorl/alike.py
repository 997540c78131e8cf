"""What all ranks of a run must have alike beside the recipe: software, contents of data files; and what not: GPUs.

Ranks draw the same prompts, each from its own copy of the data, and share their rollouts. Files that differ between
machines would train on another stream than any of them tells of.
"""

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from prorl import __version__, distributed, models
from prorl.config import Run
from prorl.durable import sha256
from prorl.errors import UserError
from prorl.prompts.sources import is_missing
from prorl.prompts.suites import SUITES


def refuse_unlike(run: Run) -> None:
    """UserError on every rank where one has other versions, or other contents in a data file. Alone, reads nothing."""
    if distributed.world() == 1:
        return
    software = "\n".join([f"prorl {__version__}", *(f"{name} {version(name)}" for name in ("torch", "transformers"))])
    distributed.refuse_differences("software", software)
    distributed.refuse_differences("data file", "\n".join(distributed.each(lambda: list(_contents(run)))))
    refuse_shared_gpu(distributed.gather(distributed.each(lambda: _gpu(run))))


def refuse_shared_gpu(gpus: Sequence[str]) -> None:
    """UserError where two ranks have the same GPU; empty is the name of none."""
    for rank, gpu in enumerate(gpus):
        if gpu and gpu in gpus[:rank]:
            both = f"ranks {gpus.index(gpu)} and {rank} have the same GPU ({gpu})"
            raise UserError(f"{both}: a rank needs its own; start as many ranks on a node as it has GPUs")


def _gpu(run: Run) -> str:
    """Node and identity of the GPU that this rank computes on."""
    if models.resolve_device(run.model).type == "cpu":
        return ""
    return f"{platform.node()} {torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"


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
