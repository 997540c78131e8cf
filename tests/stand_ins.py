"""Stand-ins for the parts of a run: an engine that says what a script tells it, and verifiers that read a mark."""

import contextlib
import functools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from transformers import AutoTokenizer

from prorl.config import Source
from prorl.prompts.template import Template
from prorl.records import Request, Rollout
from prorl.rewards.verifier import VerifierPool
from prorl.shipped import mini_base_path

EOS = 1

REWARDS = """
import time


def grade(prompt, response):
    if response == "!":
        raise ValueError("broken verifier")
    if response == "z":
        time.sleep(60)
    return {"1": 1.0, "h": 0.5, "q": 0.25}.get(response[:1], 0.0)


def harsh(prompt, response):
    return float(response == "1")
"""
"""A reward file. `!` breaks it, `z` never ends; 1, h and q at the start are 1, 1/2 and 1/4, all else is 0."""


@contextlib.contextmanager
def two_readings(folder: Path) -> Iterator[list[VerifierPool]]:
    """A strict and a tolerant reading: the strict one takes `1` only, the tolerant one what begins with it."""
    path = folder / "rewards.py"
    path.write_text(REWARDS)
    with contextlib.ExitStack() as opened:
        yield [
            opened.enter_context(
                VerifierPool(workers=1, timeout_seconds=30.0, memory_mb=512, functions={"d": f"{path}:{name}"})
            )
            for name in ("harsh", "grade")
        ]


@functools.cache
def tokenizer():
    """The shipped one: one token a character."""
    return AutoTokenizer.from_pretrained(mini_base_path())


def template() -> Template:
    return Template(tokenizer(), [EOS])


class ScriptedEngine:
    """Says `script(key, index)`, a text; one that ends in `~` was cut there. Rollouts finish in a shuffled order."""

    version = 0

    def __init__(self, script: Callable[[int, int], str], order: int = 0) -> None:
        self._script, self._order = script, order
        self.requests: list[Request] = []

    def generate(self, requests: Iterable[Request]) -> Iterator[Rollout]:
        new = list(requests)
        self.requests += new
        rollouts = [self._rollout(request, index) for request in new for index in range(request.num_rollouts)]
        random.Random(self._order).shuffle(rollouts)
        yield from rollouts

    def _rollout(self, request: Request, index: int) -> Rollout:
        text = self._script(request.key, index)
        tokens = tokenizer().convert_tokens_to_ids(list(text.removesuffix("~")))
        cut = text.endswith("~")
        tokens = np.array(tokens if cut else [*tokens, EOS])
        logprobs = np.full(len(tokens), -1.0, np.float32)
        return Rollout(request.key, index, tokens, logprobs, "length" if cut else "stop", ((0, len(tokens)),))

    def score(self, sequences: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], temperature: float) -> list[Tensor]:
        raise NotImplementedError

    def load_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


def write_rows(path, **sizes: int) -> Source:
    """A file of `sizes` rows of each domain, with ids `a0, a1, ...`; as a source."""
    rows = [{"id": f"{d}{i}", "domain": d, "prompt": f"{d}{i}"} for d, size in sizes.items() for i in range(size)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source(source=str(path))
