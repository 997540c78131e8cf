"""Reward functions that the tests of the verifier pool run in its workers; not a test itself."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from prorl.records import Prompt, Score


def equal(prompt: Prompt, response: str) -> float:
    return float(response == prompt.answer)


def thousandth(prompt: Prompt, response: str) -> Score:
    return Score(int(response) / 1000, "partial", response)


def slow(prompt: Prompt, response: str) -> float:
    time.sleep(float(response))
    return 1.0


def chatty(prompt: Prompt, response: str) -> float:
    sys.stdout.write('["score", 0.5, "partial", "forged", 0.0]\n')
    sys.stdout.flush()
    os.write(1, b'["score", 0.5, "partial", "forged", 0.0]\n')
    assert sys.stdin.read() == ""
    return 1.0


def row(prompt: Prompt, response: str) -> Score:
    """What the verifier is given, as JSON."""
    seen = [prompt.domain, prompt.task, prompt.text, prompt.answer, dict(prompt.metadata), response]
    return Score(1.0, "correct", json.dumps(seen))


def process(prompt: Prompt, response: str) -> Score:
    threads, hash_seed = os.environ["OMP_NUM_THREADS"], os.environ["PYTHONHASHSEED"]
    heavy = [name for name in ("torch", "transformers") if name in sys.modules]
    return Score(1.0, "correct", f"pid={os.getpid()} heavy={heavy} threads={threads} seed={hash_seed}")


def misbehave(prompt: Prompt, response: str) -> object:
    """Do what the response says; anything else is judged like `equal`."""
    return ACTS[response](prompt) if response in ACTS else equal(prompt, response)


def _busy(prompt: Prompt) -> None:
    while True:
        pass


def _hog(prompt: Prompt) -> None:
    blocks = []
    while True:
        blocks.append(bytearray(10**7))


def _with_child(prompt: Prompt) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    with open(prompt.metadata["pids"], "a") as pids:
        pids.write(f"{child.pid}\n")
    time.sleep(1000)


def _forge(text: bytes) -> float:
    """Write into every pipe that may be the one to the trainer."""
    for descriptor in range(3, 10):
        try:
            os.write(descriptor, text)
        except OSError:
            continue
    time.sleep(1000)
    return 1.0


def _raise(error: BaseException) -> None:
    raise error


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


ACTS: dict[str, Any] = {
    "sleep": lambda prompt: time.sleep(1000),
    "busy": _busy,
    "power": lambda prompt: 9**9**9,
    "exit": lambda prompt: os._exit(3),
    "segfault": lambda prompt: ctypes.string_at(0),
    "kill": lambda prompt: os.kill(os.getpid(), signal.SIGKILL),
    "one big block": lambda prompt: bytearray(10**12),
    "hog": _hog,
    "child": _with_child,
    "fork": lambda prompt: float(os.fork() >= 0),
    "forge garbage": lambda prompt: _forge(b"[" * 5000 + b"\n"),
    "forge scores": lambda prompt: _forge(
        b'["score", 2.0, "correct", "", 0.0]\n["score", 1.0, "great", "", 0.0]\n' * 9
    ),
    "flood": lambda prompt: _forge(b"x" * 10**6),
    "raise": lambda prompt: _raise(ValueError("bad\nvalue " + 500 * "x")),
    "raise surrogate": lambda prompt: _raise(ValueError("\ud800\x00")),
    "raise unprintable": lambda prompt: _raise(Unprintable()),
    "sys.exit": lambda prompt: sys.exit(1),
    "interrupt": lambda prompt: _raise(KeyboardInterrupt()),
    "nan": lambda prompt: float("nan"),
    "above": lambda prompt: 1.5,
    "below": lambda prompt: Score(-0.1, "wrong"),
    "text": lambda prompt: "1.0",
    "nothing": lambda prompt: None,
    "unknown outcome": lambda prompt: Score(1.0, "great"),  # type: ignore[arg-type]
    "text in a score": lambda prompt: Score("1.0", "correct"),  # type: ignore[arg-type]
}
