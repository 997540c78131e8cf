"""Stage 3, rewards: which verifier judges which prompt, and the pool of processes that runs them.

The pool owns deadlines, memory limits, restarts and the order of work. It judges nothing itself: a verifier's code
runs in a `worker.py` process only, and a reward function's signature is the business of `functions.py`.
"""

import collections
import dataclasses
import re
import selectors
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Literal, Self

from prorl.errors import RunFailed, UserError
from prorl.records import Prompt, Score
from prorl.rewards.functions import Verifier, as_score, fault
from prorl.rewards.programs.limits import deadline_seconds as program_deadline
from prorl.rewards.server_process import ServerProcess
from prorl.rewards.tickets import Chunk, Tickets
from prorl.rewards.worker_process import SERVER_GONE, Report, WorkerProcess

__all__ = ["TOLERANT", "VERIFIERS", "Verifier", "VerifierPool"]

_MODULES = {
    "math": "prorl.rewards.mathematics.verdict",
    "code": "prorl.rewards.programs.verdict",
    "stem": "prorl.rewards.science.verdict",
    "logic": "prorl.rewards.puzzles.verdict",
    "instruction": "prorl.rewards.instructions.verdict",
    "mini": "prorl.rewards.mini",
}
VERIFIERS: dict[str, str] = {name: f"{module}:verify" for name, module in _MODULES.items()}
TOLERANT: dict[str, str] = {name: f"{module}:verify_tolerant" for name, module in _MODULES.items()}
"""The format-tolerant second reading; the same names as in `VERIFIERS`."""
Reading = Literal["strict", "tolerant"]
TABLES: dict[Reading, dict[str, str]] = {"strict": VERIFIERS, "tolerant": TOLERANT}

START_SECONDS = 60.0
"""For a worker to start, or to import a verifier and begin with a message."""
DEADLINES: dict[str, Callable[[Prompt], float]] = {VERIFIERS["code"]: program_deadline}
"""Verifiers with a clock of their own, which the pool's must not overtake."""
MAX_FAILED_STARTS = 3
MAX_LOST = 3
"""A message whose worker died this often before it began is not sent again: reading it is what kills."""
MESSAGES_IN_FLIGHT = 2
"""A worker: one to work on and one that waits in the pipe."""
ANSWER_KEY = re.compile(r"[0-9a-f]{32}")
"""The digest that `worker.py` makes of an answer; a hostile answer may have it report anything else."""
MAX_PENDING_CHARACTERS = 1 << 28
"""`submit` waits while more than this is to be judged, so that a fast engine does not fill the memory."""


@dataclasses.dataclass(slots=True, eq=False)
class _Worker:
    """A process, what it has been sent, and since when the trainer has known what it is doing now."""

    process: WorkerProcess
    since: float
    ready: bool = False
    retiring: bool = False
    loading: str = ""
    failure: str = ""
    key: str = ""
    """Of the answer it works on, once that has been found."""
    in_flight: collections.deque[Chunk] = dataclasses.field(default_factory=collections.deque)

    def current(self) -> tuple[int, int] | None:
        """Ticket and index of the answer that it works on, or will next."""
        return (self.in_flight[0].ticket, self.in_flight[0].indices[0]) if self.in_flight else None


class VerifierPool:
    """Judges responses in processes that are killed at a deadline. All work happens inside its calls: no threads.

    An answer that exceeds `timeout_seconds` of wall clock gets the outcome `timeout`, one whose verifier fails, dies
    or returns nonsense gets `error`; the answers that travelled with it are judged all the same. Call it from one
    thread, which must outlive the pool: on Linux a worker is killed when the thread that started it ends.
    """

    def __init__(
        self,
        *,
        workers: int,
        timeout_seconds: float,
        memory_mb: int,
        functions: Mapping[str, str] | None = None,
        reading: Reading = "strict",
        preload: Sequence[str] = (),
        sandbox: str = "auto",
    ) -> None:
        """Start the workers and import `functions` (by domain) in them, and the verifiers named in `preload` before.

        UserError: one of these cannot be used. `sandbox` is the backend of programs (`reward.sandbox`).
        """
        self.functions = dict(functions or {})
        self.reading: Reading = reading
        self._timeout_seconds = timeout_seconds
        self._memory_mb = memory_mb
        self._tickets = Tickets()
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []
        self._num_workers = workers
        self._failed_starts = 0
        self._opening = True
        modules = dict.fromkeys(TABLES[reading][name].partition(":")[0] for name in preload)
        self._server = ServerProcess(verifiers=list(modules), environment={"PRORL_SANDBOX": sandbox})
        try:
            self._fill_up()
            while not all(worker.ready for worker in self._workers):
                self._pump(self._seconds_to_deadline())
        except BaseException:
            self.close()
            raise
        self._opening = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def num_pending(self) -> int:
        """Tickets that are not finished yet."""
        return len(self._tickets)

    @property
    def outcomes(self) -> Counter[str]:
        """Answers judged so far, by outcome."""
        return self._tickets.outcomes

    @property
    def timeouts(self) -> list[tuple[str, int]]:
        """Prompt id and index of each answer that ran out of time; the caller may clear it."""
        return self._tickets.timeouts

    def spec_of(self, prompt: Prompt) -> str:
        """The function that judges the prompt, as `module:function`. UserError: nobody does."""
        if prompt.domain in self.functions:
            return self.functions[prompt.domain]
        name = prompt.verifier or prompt.domain
        table = TABLES[self.reading]
        if name not in table:
            known = ", ".join(sorted({*table, *self.functions}))
            raise UserError(f"no verifier {name!r}: must be one of {known}, or name a function in reward.functions")
        return table[name]

    def submit(self, prompt: Prompt, responses: Sequence[str]) -> int:
        """Have the responses judged; returns the ticket under which `collect` gives the scores.

        Does not wait, unless `MAX_PENDING_CHARACTERS` are waiting already.
        """
        spec = self.spec_of(prompt)
        seconds = self._timeout_seconds
        if spec in DEADLINES:
            seconds = max(seconds, DEADLINES[spec](prompt))
        ticket = self._tickets.add(prompt, spec, responses, seconds)
        self._pump(0.0)
        while self._tickets.num_characters > MAX_PENDING_CHARACTERS:
            self._pump(self._seconds_to_deadline())
        return ticket

    def collect(self, *, block: bool) -> list[tuple[int, tuple[Score, ...]]]:
        """Finished tickets with their scores in the order of the responses; `block` waits for one if any is pending."""
        self._pump(0.0)
        while block and self._tickets and not self._tickets.any_finished:
            self._pump(self._seconds_to_deadline())
        return self._tickets.take_finished()

    def verify(self, items: Sequence[tuple[Prompt, Sequence[str]]]) -> list[tuple[Score, ...]]:
        """Judge all items and wait; results in their order. Other tickets stay to be collected."""
        for prompt, _ in items:
            self.spec_of(prompt)  # refused before anything is queued
        tickets = [self.submit(prompt, responses) for prompt, responses in items]
        done: dict[int, tuple[Score, ...]] = {}
        while not done.keys() >= set(tickets):
            done.update(self.collect(block=True))
        results = [done.pop(ticket) for ticket in tickets]
        self._tickets.put_back(list(done.items()))
        return results

    def close(self) -> None:
        """Kill every worker with its children; pending tickets are lost."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.close()
        self._server.close()
        self._workers.clear()
        self._tickets.clear()
        self._selector.close()

    def _fill_up(self) -> None:
        """Start workers until there are as many as there should be. RunFailed: the system refuses."""
        functions = sorted(set(self.functions.values()))
        while len(self._workers) < self._num_workers:
            try:
                process = WorkerProcess(self._server, functions=functions, memory_mb=self._memory_mb)
            except OSError as error:
                raise RunFailed(f"a verifier process cannot be started: {error}") from None
            worker = _Worker(process, since=time.monotonic())
            self._workers.append(worker)
            self._selector.register(process.reports, selectors.EVENT_READ, worker)

    def _pump(self, wait_seconds: float | None) -> None:
        """Send work and take in reports, waiting for the first; kill who is late although nothing is left to read."""
        self._fill_up()
        self._dispatch()
        # Read before the last look at the pipes: a pause of this process between the two must not look like lateness.
        now = time.monotonic()
        events = self._selector.select(wait_seconds)
        while events:
            for key, mask in events:
                self._serve(key.data, mask)
            now = time.monotonic()
            events = self._selector.select(0.0)
        for worker in tuple(self._workers):
            if now >= self._deadline(worker):
                self._replace(worker, "it did not begin in time", self._timeout(worker))
        self._dispatch()

    def _dispatch(self) -> None:
        queue = self._tickets.queue
        while queue:
            free = [w for w in self._workers if w.ready and not w.retiring and len(w.in_flight) < MESSAGES_IN_FLIGHT]
            if not free:
                return
            worker = min(free, key=lambda w: len(w.in_flight))
            chunk = queue.popleft()
            if not worker.in_flight:
                worker.since = time.monotonic()
            worker.in_flight.append(chunk)
            worker.process.send(self._tickets.message(chunk))
            self._watch(worker)

    def _watch(self, worker: _Worker) -> None:
        """Look at the pipe towards a worker only while there is something to write."""
        requests = worker.process.requests
        watched = requests in self._selector.get_map()
        if worker.process.wants_to_write and not watched:
            self._selector.register(requests, selectors.EVENT_WRITE, worker)
        elif watched and not worker.process.wants_to_write:
            self._selector.unregister(requests)

    def _serve(self, worker: _Worker, mask: int) -> None:
        """Write to or read from one worker, which `select` says is possible."""
        if worker not in self._workers:
            return  # replaced a moment ago, in the same round
        if mask & selectors.EVENT_WRITE:
            worker.process.flush()
            worker.since = time.monotonic()
            self._watch(worker)
            return
        reason = self._take_reports(worker)
        if reason or worker.process.ended:
            self._replace(worker, reason)

    def _take_reports(self, worker: _Worker) -> str:
        """Act on the reports that have arrived; returns what is wrong with them."""
        try:
            for report in worker.process.read():
                self._take(worker, report)
        except (ValueError, TypeError, LookupError) as error:
            return f"the verifier process broke its protocol: {error}"
        return ""

    def _take(self, worker: _Worker, report: Report) -> None:
        worker.since = time.monotonic()
        match report:
            case ["answer", str() as key] if ANSWER_KEY.fullmatch(key):
                worker.key = key
            case ["score", float() as value, str() as outcome, str() as detail, float() as seconds, str() as key] if (
                not key or ANSWER_KEY.fullmatch(key)
            ):
                chunk = worker.in_flight[0]
                score = as_score(Score(value, outcome, detail))  # type: ignore[arg-type]
                if seconds > self._tickets[chunk.ticket].timeout_seconds:
                    score = self._timeout(worker)  # the same verdict as if the trainer had been there to kill
                # A verdict is kept only under the key that was named before the judging.
                self._tickets.record(chunk.ticket, chunk.indices.popleft(), score, key, keep=key == worker.key)
                worker.key = ""
                if not chunk.indices:
                    worker.in_flight.popleft()
            case ["start"]:
                worker.in_flight[0].started = True
            case ["loading", str() as spec]:
                worker.loading = spec
            case ["failed", str() as text]:
                worker.failure = text
            case ["ready"]:
                worker.ready = True
                self._failed_starts = 0
                self._server.is_well()
            case ["retire"]:
                worker.retiring = True
            case _:
                raise ValueError(f"report {str(report)[:80]}")

    def _timeout(self, worker: _Worker) -> Score:
        """The verdict of an answer that takes too long."""
        seconds = self._timeout_seconds
        if worker.in_flight:
            seconds = self._tickets[worker.in_flight[0].ticket].timeout_seconds
        return Score(0.0, "timeout", f"took over {seconds:g} seconds")

    def _replace(self, worker: _Worker, reason: str, late: Score | None = None) -> None:
        """Kill a worker and start another. Only the answer in progress is lost: it gets `late`, or `error`."""
        suspect = worker.current()
        ended = worker.process.kill()
        if late is not None:
            self._take_reports(worker)  # it may have made it at the last moment
        self._remove(worker)
        reason = reason or f"the verifier process ended with {ended}"
        if not worker.ready and ended != SERVER_GONE:
            self._count_failed_start(worker, reason)
        if worker.in_flight and not worker.retiring:
            chunk = worker.in_flight[0]
            chunk.lost += not chunk.started
            to_blame = (late is None or worker.current() == suspect) if chunk.started else chunk.lost >= MAX_LOST
            if to_blame:
                verdict = late if late is not None and chunk.started else fault(reason)
                self._tickets.record(chunk.ticket, chunk.indices.popleft(), verdict, worker.key)
                chunk.lost = 0
        for chunk in reversed(worker.in_flight):
            chunk.started = False
            if chunk.indices:
                self._tickets.queue.appendleft(chunk)
        self._fill_up()

    def _remove(self, worker: _Worker) -> None:
        for pipe in (worker.process.reports, worker.process.requests):
            if pipe in self._selector.get_map():
                self._selector.unregister(pipe)
        worker.process.close()
        self._workers.remove(worker)

    def _count_failed_start(self, worker: _Worker, reason: str) -> None:
        domains = [domain for domain, spec in self.functions.items() if spec == worker.loading]
        if domains:
            failure = worker.failure or f"{worker.loading!r}: {reason} while importing it"
            message = f"reward.functions.{domains[0]}: {failure}"
        else:
            message = f"a verifier process cannot start: {reason}; is reward.memory_mb = {self._memory_mb} enough?"
        self._failed_starts += 1
        if self._opening:
            raise UserError(message)
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise RunFailed(f"{self._failed_starts} verifier processes in a row did not start. {message}")

    def _deadline(self, worker: _Worker) -> float:
        if worker.ready and not worker.in_flight and not worker.retiring:
            return float("inf")
        if worker.in_flight and worker.in_flight[0].started:
            return worker.since + self._tickets[worker.in_flight[0].ticket].timeout_seconds
        return worker.since + START_SECONDS

    def _seconds_to_deadline(self) -> float | None:
        first = min(self._deadline(worker) for worker in self._workers)
        return None if first == float("inf") else max(0.0, first - time.monotonic())
