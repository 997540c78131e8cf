"""Stage 3, rewards: the program of one verifier process. It judges answers one after the other and reports each.

It knows no deadline: the trainer kills it (`verifier.py`). It is forked by `server.py` and never imports torch of its
own accord.

It reads messages of 8 bytes of length and a pickled `(spec, pickled prompt, known, responses)`. It writes one JSON
array a line: `["loading", spec]` for each function it imports at the start, then `["ready"]` or `["failed", text]`; for
each message `["start"]`; for each answer that is found and not `known`, `["answer", key]` before it is judged; for each
answer `["score", value, outcome, detail, seconds, key]`, where the key is empty for what was not found; `["retire"]`
before it leaves by itself. Reports are JSON, not pickles, because a hostile answer may have taken the process over.
"""

import functools
import hashlib
import json
import os
import pickle
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from prorl.errors import UserError
from prorl.records import Prompt, Score
from prorl.rewards.functions import TwoStageVerifier, Verifier, as_score, clean, describe, fault, load_verifier

Judge = Callable[[str], tuple[Score, str]]
"""From a response to its score and the key of the answer that was found in it, or an empty key."""

LENGTH_BYTES = 8
MAX_FAILURE_TEXT = 1000
RECYCLE_ANSWERS = 5000
"""After so many a worker makes room for a fresh one: what libraries cache and leak goes with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What a worker is told."""

    functions: Sequence[str]
    """The run's own functions, loaded at the start; built-in verifiers at their first use."""
    memory_mb: int


def main(setup: Setup, requests: int, reports: int) -> None:
    """Serve until the trainer closes the pipe `requests`."""
    _limit_memory(setup.memory_mb)
    worker = _Worker(reports)
    try:
        if worker.load(setup.functions):
            worker.serve(os.fdopen(requests, "rb"))
    except BrokenPipeError:
        pass
    # Not a plain exit: threads that a reward function left behind would keep the process alive.
    os._exit(0)


class _Worker:
    """The verifiers loaded so far, and the pipe to the trainer."""

    def __init__(self, reports: int) -> None:
        self._reports = reports
        self._verifiers: dict[str, Verifier] = {}
        self._pid = os.getpid()

    def load(self, specs: Sequence[str]) -> bool:
        """Import the run's own functions; False, reported, where one cannot be used."""
        for spec in specs:
            self._report("loading", spec)
            try:
                self._verifiers[spec] = load_verifier(spec)
            except UserError as error:
                self._report("failed", clean(str(error), MAX_FAILURE_TEXT))
                return False
            except BaseException as error:  # noqa: BLE001 - process boundary: importing runs the user's code
                self._report("failed", clean(f"{spec!r}: {describe(error)}", MAX_FAILURE_TEXT))
                return False
        self._report("ready")
        return True

    def serve(self, requests: BinaryIO) -> None:
        num_answers = 0
        while header := requests.read(LENGTH_BYTES):
            spec, prompt_bytes, known, responses = pickle.loads(requests.read(int.from_bytes(header, "little")))
            judge = self._judge_of(spec, prompt_bytes, known)
            self._report("start")
            for response in responses:
                started = time.monotonic()
                score, key, out_of_memory = _guarded(judge, response)
                seconds = time.monotonic() - started
                if os.getpid() != self._pid:
                    os._exit(0)  # a child that the reward function forked and did not end
                self._report("score", score.value, score.outcome, score.detail, seconds, key)
                if out_of_memory:
                    self._report("retire")
                    return
            num_answers += len(responses)
            if num_answers >= RECYCLE_ANSWERS:
                self._report("retire")
                return

    def _judge_of(self, spec: str, prompt_bytes: bytes, known: dict[str, Score]) -> Judge:
        """The verifier bound to its prompt; a built-in one is imported at its first use, and failing is an outcome."""
        try:
            prompt: Prompt = pickle.loads(prompt_bytes)
            if spec not in self._verifiers:
                self._verifiers[spec] = load_verifier(spec)
            verifier = self._verifiers[spec]
        except BaseException as error:  # noqa: BLE001 - process boundary: importing runs the verifier's code
            score = fault(f"cannot use {spec}: {describe(error)}")
            return lambda response: (score, "")
        if isinstance(verifier, TwoStageVerifier):
            return functools.partial(self._judge_once, verifier, prompt, known)
        return lambda response: (as_score(verifier(prompt, response)), "")

    def _judge_once(
        self, verifier: TwoStageVerifier, prompt: Prompt, known: dict[str, Score], response: str
    ) -> tuple[Score, str]:
        """Find the answer, and judge it unless the same answer to the same problem was judged before."""
        extracted = verifier.extract(prompt, response)
        if isinstance(extracted, Score):
            return as_score(extracted), ""
        key = hashlib.blake2b(extracted.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        if key not in known:
            self._report("answer", key)
            known[key] = as_score(verifier.judge(prompt, extracted))
        return known[key], key

    def _report(self, *fields: str | float) -> None:
        line = json.dumps(fields).encode() + b"\n"
        while line:
            line = line[os.write(self._reports, line) :]


def _guarded(judge: Judge, response: str) -> tuple[Score, str, bool]:
    """Score, key, and whether memory ran out: what the verifier caches may then be too much for the next answer."""
    try:
        return (*judge(response), False)
    except MemoryError:
        return fault("MemoryError: more than reward.memory_mb"), "", True
    except BaseException as error:  # noqa: BLE001 - process boundary: a verifier's failure is an outcome
        return fault(describe(error)), "", False


def _limit_memory(memory_mb: int) -> None:
    """The soft limit only: a sandbox that the verifier starts sets its own."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere the address space cannot be limited
        limit = memory_mb * 2**20
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
