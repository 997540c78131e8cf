"""Stage 3, rewards: what has been handed in to be judged, what of it waits, and what is known of it already.

A ticket is one prompt with its answers; it travels in chunks. It starts no process and knows no worker.
"""

import collections
import dataclasses
import hashlib
import pickle
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Sequence

from prorl.records import Prompt, Score

CHUNK_ANSWERS = 64
CHUNK_CHARACTERS = 1 << 22
"""A message holds as many answers of a ticket as fit, and at least one."""
MAX_PROBLEMS_KNOWN = 4096
MAX_ANSWERS_KNOWN = 512
"""Of one problem; the verdicts of the problems that were judged last are kept."""


@dataclasses.dataclass(slots=True)
class Ticket:
    """The answers to one prompt; `scores` fills up in any order."""

    prompt_id: str
    spec: str
    prompt: bytes
    """Pickled."""
    problem: bytes
    """Equal for equal problems under the same verifier."""
    responses: Sequence[str]
    timeout_seconds: float
    """Of one answer."""
    scores: dict[int, Score] = dataclasses.field(default_factory=dict)
    late: dict[str, Score] = dataclasses.field(default_factory=dict)
    """Answers, by key, that ran out of time; for this ticket only, as a machine may be slow for a while."""


@dataclasses.dataclass(slots=True)
class Chunk:
    """Answers of one ticket that travel together; `indices` are those without a score, in order."""

    ticket: int
    indices: collections.deque[int]
    started: bool = False
    lost: int = 0


class Tickets:
    """Tickets from their submission until their scores are fetched, with the verdicts that may be used again."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.timeouts: list[tuple[str, int]] = []
        """Prompt id and index of each answer that ran out of time."""
        self.queue: deque[Chunk] = deque()
        self.num_characters = 0
        """Of the answers of unfinished tickets."""
        self._open: dict[int, Ticket] = {}
        self._num_tickets = 0
        self._finished: list[tuple[int, tuple[Score, ...]]] = []
        self._known: OrderedDict[bytes, dict[str, Score]] = OrderedDict()

    def __getitem__(self, number: int) -> Ticket:
        return self._open[number]

    def __len__(self) -> int:
        """Tickets that are not finished yet."""
        return len(self._open)

    @property
    def any_finished(self) -> bool:
        return bool(self._finished)

    def add(self, prompt: Prompt, spec: str, responses: Sequence[str], timeout_seconds: float) -> int:
        """Queue the answers; returns the ticket's number."""
        prompt = dataclasses.replace(prompt, metadata=dict(prompt.metadata))
        problem = pickle.dumps((spec, dataclasses.replace(prompt, id="")))
        ticket = Ticket(
            prompt_id=prompt.id,
            spec=spec,
            prompt=pickle.dumps(prompt),
            problem=hashlib.blake2b(problem, digest_size=16).digest(),
            responses=tuple(responses),
            timeout_seconds=timeout_seconds,
        )
        num_characters = _num_characters(ticket.responses)  # what is no text fails here, with nothing queued
        number = self._num_tickets
        self._num_tickets += 1
        self._open[number] = ticket
        self.num_characters += num_characters
        self.queue.extend(_chunks(number, ticket.responses))
        if not ticket.responses:
            self._finish(number)
        return number

    def message(self, chunk: Chunk) -> tuple[str, bytes, dict[str, Score], list[str]]:
        """What a worker is sent: verifier, prompt, known verdicts by key, and the chunk's answers."""
        ticket = self._open[chunk.ticket]
        known = {**self._known.get(ticket.problem, {}), **ticket.late}
        return ticket.spec, ticket.prompt, known, [ticket.responses[index] for index in chunk.indices]

    def record(self, number: int, index: int, score: Score, key: str, *, keep: bool = True) -> None:
        """Take the verdict of one answer; `key` names the answer among the others of its problem, empty for none.

        `keep`: the verdict may be used again for the same answer.
        """
        ticket = self._open[number]
        assert index not in ticket.scores, (number, index)
        ticket.scores[index] = dataclasses.replace(score, answer=key)
        self.outcomes[score.outcome] += 1
        if score.outcome == "timeout":
            self.timeouts.append((ticket.prompt_id, index))
        if key and keep:
            self._remember(ticket, key, score)
        if len(ticket.scores) == len(ticket.responses):
            self._finish(number)

    def take_finished(self) -> list[tuple[int, tuple[Score, ...]]]:
        finished, self._finished = self._finished, []
        return finished

    def put_back(self, finished: Sequence[tuple[int, tuple[Score, ...]]]) -> None:
        self._finished.extend(finished)

    def clear(self) -> None:
        self._open.clear()
        self.queue.clear()

    def _remember(self, ticket: Ticket, key: str, score: Score) -> None:
        if score.outcome == "timeout":
            ticket.late[key] = score
        elif score.outcome != "error":
            answers = self._known.setdefault(ticket.problem, {})
            if len(answers) < MAX_ANSWERS_KNOWN:
                answers[key] = score
            self._known.move_to_end(ticket.problem)
            if len(self._known) > MAX_PROBLEMS_KNOWN:
                self._known.popitem(last=False)

    def _finish(self, number: int) -> None:
        ticket = self._open.pop(number)
        self.num_characters -= _num_characters(ticket.responses)
        self._finished.append((number, tuple(ticket.scores[index] for index in range(len(ticket.scores)))))


def _num_characters(responses: Sequence[str]) -> int:
    return sum(len(response) for response in responses)


def _chunks(ticket: int, responses: Sequence[str]) -> Iterator[Chunk]:
    """Split the answers of a ticket into messages."""
    chunk = Chunk(ticket, collections.deque())
    characters = 0
    for index, response in enumerate(responses):
        full = len(chunk.indices) == CHUNK_ANSWERS or characters + len(response) > CHUNK_CHARACTERS
        if full and chunk.indices:
            yield chunk
            chunk = Chunk(ticket, collections.deque())
            characters = 0
        chunk.indices.append(index)
        characters += len(response)
    if chunk.indices:
        yield chunk
