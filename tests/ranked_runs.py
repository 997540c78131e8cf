"""Runs on several ranks of this machine, and what makes them equal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rules import ROOT
from runs import ENVIRONMENT, reproducible, usual_signals

RECORDED = str(ROOT / "tests" / "recorded_run.py")
PATHS = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "src")])


def launch(num_ranks: int, *arguments: object) -> subprocess.CompletedProcess:
    """The command line, or a script, on some ranks."""
    python = [sys.executable]
    if num_ranks > 1:
        python += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_ranks)]
    return subprocess.run(
        [*python, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "PYTHONPATH": PATHS},
        timeout=280,
        preexec_fn=usual_signals,
    )


def recorded(num_ranks: int, mode: str, folder: Path, out: str, *arguments: object) -> Path:
    """Train `tiny.toml` of a folder on some ranks, with rollouts that are recorded or replayed."""
    options = (folder / "rollouts", "train", folder / "tiny.toml", "--out", folder / out, *arguments)
    done = launch(num_ranks, RECORDED, mode, *options)
    assert done.returncode == 0, done.stderr
    return folder / out


def assert_alike(found: Path, expected: Path, num_steps: int) -> None:
    """Every metric of the first steps within 1e-5."""
    pairs = list(zip(reproducible(found)[:num_steps], reproducible(expected)[:num_steps], strict=True))
    assert len(pairs) == num_steps
    for mine, other in pairs:
        assert mine == pytest.approx(other, rel=1e-5, abs=1e-5), f"step {other['step']}"
