"""Stage 3, rewards: the engine of `prorl verify`: JSON Lines of answers in, JSON Lines of verdicts out.

Every line is answered, in order, as soon as those before it are, whatever stands in it; memory is bounded. It parses
the envelope only: what an answer says is read by a verifier process.
"""

import collections
import contextlib
import io
import json
import os
import select
from dataclasses import dataclass
from typing import Any, BinaryIO

from prorl.records import Prompt, Score
from prorl.rewards.functions import fault
from prorl.rewards.verifier import VerifierPool

MAX_LINE_BYTES = 64 * 2**20
MAX_PENDING_LINES = 1024
MAX_PENDING_BYTES = 64 * 2**20
READ_BYTES = 1 << 20
NEEDS_NO_ANSWER = ("instruction", "logic")
"""Domains whose problem is in the metadata."""
TOO_LONG = b"\n"
"""Stands for a line over the limit: no line holds a line feed."""


def verify_stream(domain: str, lines_in: BinaryIO, out: BinaryIO, pool: VerifierPool) -> None:
    """Answer each `{"answer", "response", "metadata"}` with `{"score", "outcome", "detail"}` until the input ends.

    UserError: nobody verifies the domain.
    """
    pool.spec_of(Prompt(id="", domain=domain, task="", content=""))
    reader = _LineReader(lines_in)
    lines = _PendingLines(domain, pool)
    while True:
        text = None if lines.full else reader.next_line()
        if text is not None:
            lines.add(text)
        elif not lines.full and not reader.ended and (lines.empty or reader.is_ready()):
            reader.fill()
        elif not lines.empty:
            for score in lines.settle():
                verdict = {"score": score.value, "outcome": score.outcome, "detail": score.detail}
                out.write(json.dumps(verdict).encode() + b"\n")
            out.flush()
        else:
            return


@dataclass(slots=True)
class _Line:
    num_bytes: int
    score: Score | None = None


class _PendingLines:
    """Lines that have not been answered, in order."""

    def __init__(self, domain: str, pool: VerifierPool) -> None:
        self._domain = domain
        self._pool = pool
        self._lines: collections.deque[_Line] = collections.deque()
        self._tickets: dict[int, _Line] = {}
        self._num_bytes = 0

    @property
    def empty(self) -> bool:
        return not self._lines

    @property
    def full(self) -> bool:
        return len(self._lines) >= MAX_PENDING_LINES or self._num_bytes >= MAX_PENDING_BYTES

    def add(self, text: bytes) -> None:
        """Have a line judged, or find it malformed."""
        line = _Line(len(text))
        self._lines.append(line)
        self._num_bytes += line.num_bytes
        try:
            prompt, response = _parse(self._domain, text)
            self._tickets[self._pool.submit(prompt, [response])] = line
        except (ValueError, RecursionError, MemoryError) as error:
            line.score = fault(f"malformed line: {error}")

    def settle(self) -> list[Score]:
        """The scores of the first lines as far as they are known; waits for the first line's."""
        while self._lines[0].score is None:
            for ticket, (score,) in self._pool.collect(block=True):
                self._tickets.pop(ticket).score = score
        scores: list[Score] = []
        while self._lines and (known := self._lines[0].score) is not None:
            scores.append(known)
            self._num_bytes -= self._lines.popleft().num_bytes
        return scores


def _parse(domain: str, text: bytes) -> tuple[Prompt, str]:
    """The prompt and the response of a line. ValueError says what is malformed."""
    if text == TOO_LONG:
        raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
    row = json.loads(text.decode("utf-8"))
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    response, answer = row.get("response"), row.get("answer")
    metadata = {} if row.get("metadata") is None else row["metadata"]
    if not isinstance(response, str):
        raise ValueError("`response` must be a string")
    if not isinstance(metadata, dict):
        raise ValueError("`metadata` must be an object")
    if answer is None and domain not in NEEDS_NO_ANSWER:
        raise ValueError("`answer` is missing")
    return _prompt(domain, answer, metadata), response


def _prompt(domain: str, answer: object, metadata: dict[str, Any]) -> Prompt:
    return Prompt(
        id="",
        domain=domain,
        task=str(metadata.get("task", "")),
        content=str(metadata.get("prompt", "")),
        answer=answer if isinstance(answer, str) else "" if answer is None else json.dumps(answer),
        metadata=metadata,
    )


class _LineReader:
    """Splits a stream into lines without reading further than asked."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._searched = 0
        self._skipping = False
        self.ended = False
        self._descriptor = -1
        with contextlib.suppress(io.UnsupportedOperation):  # a stream in memory has none, and is always ready
            self._descriptor = stream.fileno()

    def is_ready(self) -> bool:
        """Whether `fill` returns at once."""
        return self._descriptor < 0 or bool(select.select([self._descriptor], [], [], 0.0)[0])

    def fill(self) -> None:
        """Read once, waiting for the first byte."""
        # Past the stream's own buffer, where `select` could not see what is left.
        data = os.read(self._descriptor, READ_BYTES) if self._descriptor >= 0 else self._stream.read(READ_BYTES)
        self._buffer += data
        self.ended = not data

    def next_line(self) -> bytes | None:
        """The next line without its line feed, `TOO_LONG`, or None where it has not arrived as a whole."""
        end = self._buffer.find(b"\n", self._searched)
        if end < 0 and self.ended and (self._buffer or self._skipping):
            end = len(self._buffer)  # the last line may lack its line feed
        if end < 0:
            self._skipping |= len(self._buffer) > MAX_LINE_BYTES
            if self._skipping:
                self._buffer.clear()
            self._searched = len(self._buffer)
            return None
        line = TOO_LONG if self._skipping or end > MAX_LINE_BYTES else bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        self._skipping = False
        return line
