"""What Ray Train runs as a rank.

A rank ends in one of two ways. With an ending, which is the run's: done, interrupted, or an error for people. Or by an
exception or a death, after which Ray Train starts all ranks anew, and they go on from the newest checkpoint.
"""

import io
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO, cast

import ray
import torch
from ray.train.torch import get_device

from prorl import distributed
from prorl.errors import RankFailed, RunFailed, UserError
from prorl.interrupt import stop_all
from prorl.launch.ray_mailbox import LOGS, Ending, Job
from prorl.run_folder import refuse_taken, wait_until_free
from prorl.train import train

LOCK_SECONDS = 60.0
"""How long a restarted rank waits for the one before it to be gone."""
ENDING_SECONDS = 5.0
"""How long a rank that has lost another waits for the other's last word."""
POLL_SECONDS = 1.0


class MailboxStream(io.TextIOBase):
    """A terminal in another place: what is written here is printed by the command, and stands in the rank's log."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox

    def write(self, text: str) -> int:
        sys.stdout.write(text)
        sys.stdout.flush()
        self._mailbox.say.remote(text)
        return len(text)


def run_rank(config: dict[str, Any]) -> None:
    """One rank from its start to its ending. An exception makes Ray Train start all ranks anew."""
    job, mailbox = config["job"], config["mailbox"]
    if ray.get(mailbox.ending.remote()) is not None:
        return
    rank = distributed.rank()  # while the group stands
    over = threading.Event()
    threading.Thread(target=_watch, args=(mailbox, over), daemon=True).start()
    try:
        ending = _ending(job, mailbox)
    except Exception as error:
        traceback.print_exc()
        distributed.drop()
        if isinstance(error, RankFailed) and _has_ended(mailbox):
            return
        raise
    finally:
        over.set()
    distributed.drop()
    ray.get(mailbox.end.remote(rank, ending))


def _ending(job: Job, mailbox: Any) -> Ending:
    try:
        resume = distributed.on_first(lambda: _begin(job, mailbox))
        _enter(job)
        result = train(
            job.run, job.folder, resume=resume, changes=job.changes, terminal=cast(TextIO, MailboxStream(mailbox))
        )
        return Ending(result.outcome)
    except RankFailed:
        raise
    except UserError as error:
        return Ending("refused", str(error))
    except RunFailed as error:
        return Ending("failed", str(error))


def _begin(job: Job, mailbox: Any) -> bool:
    """On the first rank: whether to resume. A taken folder is refused at the start; after it, it is this run's own."""
    _change_folder(job.start_folder)
    restarted = bool(ray.get(mailbox.begun.remote()))
    if restarted:
        wait_until_free(job.folder, LOCK_SECONDS)
    elif not job.resume:
        refuse_taken(job.folder)
    ray.get(mailbox.begin.remote())
    return restarted or job.resume


def _enter(job: Job) -> None:
    """Everything a process of its own would have: folder, output, device."""
    distributed.each(lambda: _change_folder(job.start_folder))
    distributed.each(lambda: _write_log(job.folder / LOGS, distributed.rank()))
    device = get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)


def _change_folder(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        where = f"rank {distributed.rank()} on {ray.util.get_node_ip_address()}"
        why = f"cannot enter {folder} ({error.strerror})"
        raise UserError(f"{where} {why}; start in a folder all nodes share") from None


def _write_log(folder: Path, rank: int) -> None:
    """Send all output of the process, C libraries' too, to `rank_N.log`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = os.open(folder / f"rank_{rank}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise UserError(f"--out {folder.parent}: rank {rank} cannot write there ({error.strerror})") from None
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _watch(mailbox: Any, over: threading.Event) -> None:
    """Stop this rank when the command is asked to."""
    while not over.wait(POLL_SECONDS):
        try:
            if ray.get(mailbox.stopping.remote()):
                stop_all()
        except ray.exceptions.RayError:  # the command is gone, and soon this process
            return


def _has_ended(mailbox: Any) -> bool:
    """Whether another rank said how the run ended, which this one has lost for that reason."""
    end = time.monotonic() + ENDING_SECONDS
    while time.monotonic() < end:
        if ray.get(mailbox.ending.remote()) is not None:
            return True
        time.sleep(0.2)
    return False
