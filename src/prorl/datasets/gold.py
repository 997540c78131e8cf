"""Stage 1, data sets: whether a row can be judged: by its own check, and by its gold answer, which must score 1.

Gold answers are judged in the verifier pool, never here. Verdicts are kept in a file, so that an interrupted
preparation does not judge them again.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from prorl.errors import UserError
from prorl.records import Outcome, Prompt, Score
from prorl.rewards.rows import GOLD_RESPONSES, ROW_CHECKS, verifier_name
from prorl.rewards.verifier import VERIFIERS, VerifierPool

MEMORY_MB = 2048
TIMEOUT_SECONDS = 10.0
UNKNOWN = "unknown"
"""Instead of an outcome: the row has no gold response, as a programming problem without a solution."""


def check_row(prompt: Prompt) -> None:
    """ValueError: the row's verifier cannot judge against it. A verifier that is not built in checks nothing."""
    name = verifier_name(prompt)
    if name in ROW_CHECKS:
        ROW_CHECKS[name](prompt)


def gold_response(prompt: Prompt) -> str | None:
    """A response that must score 1; None where none is known."""
    name = verifier_name(prompt)
    return GOLD_RESPONSES[name](prompt) if name in GOLD_RESPONSES else None


class GoldCheck:
    """Judges gold answers, each once: verdicts are read from the journal and appended to it."""

    def __init__(self, journal: Path, *, workers: int, sandbox: str) -> None:
        self._journal = journal
        self._workers, self._sandbox = workers, sandbox
        self._known: dict[str, str] = {}
        self._pool: VerifierPool | None = None
        self._read_journal()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.close()

    def outcomes(self, prompts: Sequence[Prompt]) -> list[str]:
        """For each prompt the outcome of its gold answer, or `UNKNOWN`."""
        keys = [_key(prompt) for prompt in prompts]
        new = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in self._known}
        responses = {key: gold_response(prompt) for key, prompt in new.items()}
        found: dict[str, str] = {key: UNKNOWN for key, response in responses.items() if response is None}
        judged = [(key, new[key], response) for key, response in responses.items() if response is not None]
        scores = self._judge([(prompt, [response]) for _, prompt, response in judged]) if judged else []
        found |= {key: _outcome(score) for (key, _, _), score in zip(judged, scores, strict=True)}
        self._write(found)
        return [self._known[key] for key in keys]

    def _judge(self, items: list[tuple[Prompt, list[str]]]) -> list[Score]:
        if self._pool is None:
            names = {verifier_name(prompt) for prompt, _ in items} & VERIFIERS.keys()
            self._pool = VerifierPool(
                workers=self._workers,
                timeout_seconds=TIMEOUT_SECONDS,
                memory_mb=MEMORY_MB,
                preload=sorted(names),
                sandbox=self._sandbox,
            )
        scores = [score for (score,) in self._pool.verify(items)]
        if all(score.outcome == "error" for score in scores) and not set(self._known.values()) - {UNKNOWN, "error"}:
            raise UserError(f"gold answers cannot be judged ({scores[0].detail}); --no-gold-check leaves that out")
        return scores

    def _read_journal(self) -> None:
        if not self._journal.exists():
            return
        whole, _, _ = self._journal.read_bytes().rpartition(b"\n")  # a line that was cut off does not count
        for line in whole.splitlines():
            key, outcome = json.loads(line)
            self._known[key] = outcome
        self._journal.write_bytes(whole + b"\n" if whole else b"")

    def _write(self, found: dict[str, str]) -> None:
        self._known |= found
        with self._journal.open("ab") as file:
            file.write(b"".join(json.dumps(item).encode() + b"\n" for item in found.items()))


def _key(prompt: Prompt) -> str:
    content = json.dumps([prompt.id, prompt.text, prompt.answer, dict(prompt.metadata)], sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _outcome(score: Score) -> Outcome:
    """A gold answer that only half counts is wrong."""
    return "wrong" if score.outcome == "correct" and score.value < 1.0 else score.outcome
