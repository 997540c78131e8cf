"""Stage 3, rewards: the built-in verifiers as reward functions of other trainers: TRL, verl, and `verifiers` rubrics.

The same processes, deadlines and outcomes as in training here. They start at the first call and end with the process.
The other direction, functions of these signatures judging in this trainer, is `functions.py`.
"""

import atexit
import contextlib
import json
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Self

from prorl.errors import RunFailed, UserError
from prorl.records import Prompt, Score
from prorl.rewards.verifier import VERIFIERS, VerifierPool

TIMEOUT_SECONDS = 10.0
MEMORY_MB = 2048
POLL_SECONDS = 0.002
Job = tuple[Prompt, Sequence[str], Future[tuple[Score, ...]]]


class SharedPool:
    """A verifier pool that any thread may ask; a thread of its own does the pool's work."""

    _current: Self | None = None
    _lock = threading.Lock()

    def __init__(self, *, workers: int) -> None:
        self.pid = os.getpid()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._opened: Future[None] = Future()
        self._ended: BaseException | None = None
        """Why nothing is judged any more."""
        self._thread = threading.Thread(target=self._run, args=(workers,), daemon=True, name="prorl-verifiers")
        self._thread.start()
        self._opened.result()
        atexit.register(self.close)

    @classmethod
    def current(cls) -> Self:
        """This process's pool; PRORL_WORKERS says how many verifier processes it has (default: 1)."""
        with cls._lock:
            if cls._current is None or cls._current.pid != os.getpid():  # a fork has no thread, and no children
                cls._current = cls(workers=_num_workers())
            return cls._current

    def submit(self, prompt: Prompt, responses: Sequence[str]) -> Future[tuple[Score, ...]]:
        """The scores of the responses, in their order, when they are known; or what went wrong."""
        future: Future[tuple[Score, ...]] = Future()
        with self._lock:
            if self._ended is None:
                self._jobs.put((prompt, responses, future))
            else:
                future.set_exception(self._ended)
        return future

    def close(self) -> None:
        """End the verifier processes; what is not judged yet never will be."""
        if self.pid == os.getpid() and self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def _run(self, workers: int) -> None:
        try:
            pool = VerifierPool(
                workers=workers,
                timeout_seconds=TIMEOUT_SECONDS,
                memory_mb=MEMORY_MB,
                sandbox=os.environ.get("PRORL_SANDBOX", "auto"),
            )
        except BaseException as error:  # noqa: BLE001 - thread boundary: the caller waits for it
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        futures: dict[int, Future[tuple[Score, ...]]] = {}
        ended: BaseException = RuntimeError("the verifier processes were closed")
        try:
            with pool:
                self._serve(pool, futures)
        except BaseException as error:  # noqa: BLE001 - thread boundary: the callers wait for it
            ended = error
        with self._lock:
            self._ended = ended
        for future in (*futures.values(), *(future for _, _, future in _rest(self._jobs))):
            future.set_exception(ended)

    def _serve(self, pool: VerifierPool, futures: dict[int, Future[tuple[Score, ...]]]) -> None:
        while True:
            with contextlib.suppress(queue.Empty):
                job = self._jobs.get(timeout=POLL_SECONDS) if futures else self._jobs.get()
                if job is None:
                    return
                prompt, responses, future = job
                try:
                    futures[pool.submit(prompt, responses)] = future
                except RunFailed as error:
                    future.set_exception(error)
                    raise
                except Exception as error:  # noqa: BLE001 - thread boundary: what is wrong with a job is its caller's
                    future.set_exception(error)
            for ticket, scores in pool.collect(block=False):
                futures.pop(ticket).set_result(scores)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: object,
    extra_info: Mapping[str, Any] | None = None,
    **_unused: object,
) -> dict[str, Any]:
    """verl's signature: `{"score", "outcome", "detail"}`.

    The verifier is `extra_info["domain"]`, or else `data_source`: math, code, stem, logic, instruction or mini. The
    rest of `extra_info` is the problem's metadata, which may also be its `metadata` as JSON text (`prorl data export`).
    RuntimeError where the verifier itself failed: that is no score.
    """
    metadata = dict(extra_info or {})
    metadata |= _object(metadata.pop("metadata", {}))
    prompt = _prompt(str(metadata.get("domain", data_source)), ground_truth, metadata)
    (score,) = SharedPool.current().submit(prompt, [solution_str]).result()
    if score.outcome == "error":
        raise RuntimeError(f"the {prompt.domain} verifier failed: {score.detail}")
    return {"score": score.value, "outcome": score.outcome, "detail": score.detail}


def trl_reward(domain: str) -> Callable[..., list[float | None]]:
    """A reward function of TRL's signature for one domain.

    It reads the columns `answer` and `metadata` (an object or JSON text). A completion that the verifier failed on gets
    None: TRL leaves it out.
    """
    _check_domain(domain)

    def reward(completions: Sequence[Any], **columns: Any) -> list[float | None]:
        count = len(completions)
        answers = columns.get("answer") or [""] * count
        metadata = columns.get("metadata") or [{}] * count
        pool = SharedPool.current()
        futures = [
            pool.submit(_prompt(domain, answer, _object(data)), [_text(completion)])
            for completion, answer, data in zip(completions, answers, metadata, strict=True)
        ]
        scores = [future.result()[0] for future in futures]
        return [None if score.outcome == "error" else score.value for score in scores]

    reward.__name__ = f"prorl_{domain}"
    return reward


def rubric_reward(domain: str) -> Callable[..., float]:
    """A reward function for a rubric of the package `verifiers`: of `completion`, `answer`, `info` (the metadata)."""
    judge = trl_reward(domain)

    def reward(completion: Any, answer: object = "", info: Any = None, **_unused: Any) -> float:
        (value,) = judge([completion], answer=[answer], metadata=[info or {}])
        if value is None:
            raise RuntimeError(f"the {domain} verifier failed")
        return value

    reward.__name__ = f"prorl_{domain}"
    return reward


def _num_workers() -> int:
    text = os.environ.get("PRORL_WORKERS", "1")
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"PRORL_WORKERS={text}: must be a whole number of at least 1")
    return int(text)


def _rest(jobs: queue.SimpleQueue[Job | None]) -> Iterator[Job]:
    """The jobs that nobody has begun."""
    with contextlib.suppress(queue.Empty):
        while True:
            if (job := jobs.get_nowait()) is not None:
                yield job


def _check_domain(domain: str) -> None:
    if domain not in VERIFIERS:
        raise UserError(f"domain {domain}: must be one of {', '.join(VERIFIERS)}")


def _prompt(domain: str, answer: object, metadata: Mapping[str, Any]) -> Prompt:
    _check_domain(domain)
    text = answer if isinstance(answer, str) else json.dumps(answer)
    content = metadata.get("prompt", "")
    return Prompt(
        id="", domain=domain, task=str(metadata.get("task", "")), content=str(content), answer=text, metadata=metadata
    )


def _object(data: Any) -> dict[str, Any]:
    """Metadata as an object; a table may hold it as JSON text."""
    return dict(json.loads(data) if isinstance(data, str) else data)


def _text(completion: Any) -> str:
    """Of a chat the last message's content."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])
