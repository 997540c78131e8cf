"""What travels between the command, Ray Train and the ranks. Imports no torch: an actor of it stays small."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.train import UserCallback

from prorl.config import Run

LOGS = "ray"
"""The folder in the run's folder with a log a rank."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every rank is told."""

    run: Run
    folder: Path
    resume: bool
    changes: tuple[str, ...]
    start_folder: str
    """Where the command was started; the recipe's paths are relative to it."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the run ended: `done`, `interrupted`, `refused` (a UserError) or `failed` (a RunFailed), and its line."""

    outcome: str
    line: str = ""


class Mailbox:
    """An actor beside the command: what the ranks say, whether they shall stop, how the run ended."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._stop = self._begun = self._running = False
        self._ending: Ending | None = None

    def say(self, text: str) -> None:
        self._lines.append(text)

    def take(self) -> tuple[list[str], bool]:
        """What was said since the last call, and whether ranks run now."""
        lines, self._lines = self._lines, []
        return lines, self._running

    def stop(self) -> None:
        self._stop = True

    def stopping(self) -> bool:
        return self._stop

    def begun(self) -> bool:
        """Whether the folder is this run's: it is a restart that asks."""
        return self._begun

    def begin(self) -> None:
        self._begun = self._running = True

    def lost(self, reason: str) -> None:
        """The ranks are gone, all of them soon."""
        self._running = False
        self._lines.append(f"{reason}\n")

    def end(self, rank: int, ending: Ending) -> None:
        """The first rank's ending counts, and an error of any; the others are done before the first one is."""
        if self._ending is None and (rank == 0 or ending.outcome in ("refused", "failed")):
            self._ending = ending

    def ending(self) -> Ending | None:
        return self._ending


class Losses(UserCallback):
    """Tells the mailbox which ranks died or failed, and why."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox

    def after_exception(self, run_context: object, worker_exceptions: dict[int, Exception]) -> None:
        self._mailbox.lost.remote(who_is_lost(worker_exceptions))


def who_is_lost(errors: Mapping[int, Exception]) -> str:
    """The rank that failed first, as far as the ranks' errors tell, and why."""
    rank, error = min(errors.items(), key=lambda item: (_is_consequence(item[1]), item[0]))
    if _is_consequence(error):
        return f"a rank is lost (rank {rank} says: {reason(error)})"
    return f"rank {rank} is lost ({reason(error)})"


def reason(error: BaseException) -> str:
    """An exception of a worker in one line."""
    text = str(error)
    for cause in ("process", "node"):
        if f"{cause} has died" in text:  # in half a page of possible causes
            return f"its {cause} died"
    lines = text.split("\n")  # of an exception in the rank's program: its traceback
    return next((line.strip() for line in reversed(lines) if line.strip()), type(error).__name__)[:300]


def _is_consequence(error: Exception) -> bool:
    """Whether a rank failed because another had: it was told so, or their connection broke."""
    return any(sign in str(error) for sign in ("RankFailed", "gloo", "NCCL", "DistBackendError"))
