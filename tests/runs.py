"""A run that takes a second or two: the shipped base on a few easy levels, with a reset and a phase change in it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

RECIPE = """
name = "tiny"
[data]
sources = [{source = "mini", tasks = ["sort", "merge", "chain"], min_level = 5, max_level = 7}]
max_prompt_tokens = 48
[rollouts]
prompts_per_step = 4
group_size = 4
temperature = 1.0
max_response_tokens = 24
token_budget = 2304
[filter]
max_rounds = 4
[loss]
kl_coefficient = 1e-2
[optimizer]
learning_rate = 1e-3
warmup_steps = 2
minibatch_prompts = 2
[reset]
patience = 1
min_delta = 1.0
[evaluation]
every = 3
problems_per_level = 1
samples = 1
temperature = 1.0
top_p = 1.0
[train]
steps = 12
checkpoint_every = 2
tensorboard = false
samples_per_step = 1
[model]
threads = 1
"""

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}


def write_recipe(folder: Path, text: str = RECIPE) -> Path:
    path = folder / "tiny.toml"
    path.write_text(text)
    return path


def prorl(*arguments: object, **options) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "prorl.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=240, **options)


def usual_signals() -> None:
    """In a child: undo what a caller of the tests that runs under nohup or in the background ignores."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def start(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "prorl.cli", *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=usual_signals,
    )


def records(folder: Path, name: str = "metrics") -> list[dict]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def reproducible(folder: Path) -> list[dict]:
    """The metrics without those that depend on the clock or the machine."""
    clock = ("seconds/", "memory/", "time/")
    return [{k: v for k, v in record.items() if not k.startswith(clock)} for record in records(folder)]
