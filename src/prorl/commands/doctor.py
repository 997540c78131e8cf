"""`prorl doctor`: what this machine can do."""

import argparse
import importlib.util
import os
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from prorl.planning import surroundings
from prorl.rewards.sandbox.selection import survey
from prorl.rewards.verifier import VerifierPool
from prorl.shipped import mini_base_path

TASK_MODULES = ("math_verify", "pint", "reasoning_gym", "langdetect", "pyarrow")


def run(arguments: argparse.Namespace) -> int:
    """Print one line a finding; 1 when something that every run needs does not work."""
    lines = [
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("packages", f"{_packages()}, CUDA {torch.version.cuda or 'none'}"),
        ("cores", surroundings.cores()),
        ("threads", f"{torch.get_num_threads()} (OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', '')})"),
        ("memory", surroundings.memory()),
        ("shm", surroundings.shared_memory()),
        ("files", surroundings.open_files()),
        ("disk", f"{shutil.disk_usage('.').free / 2**30:.1f} GiB free in {Path.cwd()}"),
        *((("gpu" if not number else ""), text) for number, text in enumerate(surroundings.gpus())),
        ("attention", surroundings.attention()),
        ("launcher", surroundings.launcher()),
        ("libraries", surroundings.libraries()),
        ("base model", str(mini_base_path()) if (mini_base_path() / "config.json").is_file() else "MISSING"),
        ("verifiers", _verifiers()),
        ("tasks", _tasks()),
        *_sandboxes(),
    ]
    for name, text in lines:
        sys.stdout.write(f"{name:<12}{text}\n")
    return int(any(text.startswith("MISSING") for _, text in lines))


def _packages() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("prorl", "torch", "transformers"))


def _tasks() -> str:
    """The libraries of the real domains' verifiers."""
    found = {name: importlib.util.find_spec(name) is not None for name in TASK_MODULES}
    missing = [name for name, there in found.items() if not there]
    if missing:
        return f"without {', '.join(missing)}: pip install 'prorl[tasks]' for math, STEM, logic, instruction data"
    return f"{', '.join(TASK_MODULES)} are installed"


def _sandboxes() -> list[tuple[str, str]]:
    """Where programs of the code domain would run, and why."""
    found = survey()
    chosen = next((name for name, usable, _ in found if usable), "")
    first = f"programs run in {chosen}" if chosen else "none: the code domain is refused; reward.sandbox names others"
    notes = [
        f"{name}: {'passes its test, ' if usable else 'cannot be used: '}{reason}" for name, usable, reason in found
    ]
    return [("sandbox", first), *(("", note) for note in notes)]


def _verifiers() -> str:
    with VerifierPool(workers=1, timeout_seconds=5.0, memory_mb=2048):
        return "worker processes start and answer"
