"""Around the loop: the run folder, resuming, recording, saving and ending. No stage of a step lives here."""

import errno
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from prorl import distributed, schedule
from prorl.alike import refuse_unlike
from prorl.assembly import Parts, host_bytes, open_run
from prorl.boundary_run import is_measured, write_boundary
from prorl.checkpoint import Checkpoints
from prorl.checks import check
from prorl.config import Config, Run
from prorl.durable import explained, truncate_jsonl
from prorl.errors import RunFailed
from prorl.evaluation.boundary_table import headline, table
from prorl.evaluation.validate import report_metrics
from prorl.interrupt import Interrupted, Interrupts
from prorl.metrics import MetricsWriter, load_wandb, read_jsonl
from prorl.pool import Filled
from prorl.recipe import to_toml, without_placement
from prorl.recording import append, batch_records, sample_records
from prorl.records import Batch, Report
from prorl.report.environment import record_environment
from prorl.report.page import write_report
from prorl.run_folder import beginning, claimed, last_good, write_config
from prorl.schedule import Decision, Event, ScheduleState
from prorl.terminal import Progress, described, summary

RESET_REQUEST = "reset.request"
_DISK_TROUBLE = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EROFS})


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended."""

    folder: Path
    steps: int
    outcome: str
    """`done` or `interrupted`."""
    metrics: Mapping[str, float]
    """Of the last step of this process."""


class Clock:
    """Seconds of the parts of a step, and of all of it since the clock was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[f"seconds/{name}"] = time.perf_counter() - start

    def total(self) -> dict[str, float]:
        return {**self.seconds, "seconds/step": time.perf_counter() - self._start}


class Session:
    """A run in its folder."""

    def __init__(
        self,
        parts: Parts,
        folder: Path,
        state: ScheduleState,
        writer: MetricsWriter | None,
        progress: Progress,
        signals: Interrupts,
    ) -> None:
        """Only the first rank has a `writer`."""
        self.run, self.parts, self.folder, self.state = parts.run, parts, folder, state
        self._writer, self._progress, self._signals = writer, progress, signals
        self._saved_step = state.step if parts.checkpoints.at(state.step).exists() else -1
        self._pool_state: Mapping[str, Any] = {}
        self._failure: str | None = None
        self._warned_of_verifier = False
        self._metrics: dict[str, float] = {}

    @property
    def stopped(self) -> bool:
        """Whether to stop after this step; on all ranks, or on none."""
        return distributed.any_rank(self._signals.requested) or self._failure is not None

    def begin_step(self) -> None:
        """Remember where the stream stands, in case the step is abandoned."""
        self._pool_state = self.parts.pool.state_dict()

    def restore_pool(self) -> None:
        """An abandoned step has drawn nothing."""
        self.parts.pool.load_state_dict(self._pool_state)

    def validation_due(self, state: ScheduleState, config: Config) -> bool:
        """At the first step and every `evaluation.every` steps; not at the last, or a longer run would differ."""
        every, number = config.evaluation.every, state.step + 1
        return every > 0 and (number == 1 or number % every == 0)

    def reset_requested(self) -> bool:
        return distributed.from_first((self.folder / RESET_REQUEST).exists())

    def metrics(
        self,
        filled: Filled,
        batch: Batch,
        updated: Mapping[str, float],
        report: Report | None,
        state: ScheduleState,
        learning_rate: float,
        clock: Clock,
    ) -> dict[str, float]:
        """Everything that was measured in the step; what does not apply is absent. The clock is the first rank's."""
        metrics: dict[str, float] = {"phase": state.phase, **filled.metrics, **batch.metrics, **updated}
        metrics["groups/kept"] -= batch.metrics.get("groups/dead_after_shaping", 0.0)
        if report is not None:
            metrics |= report_metrics(report)
        metrics |= {"learning_rate": learning_rate, "memory/host_bytes": host_bytes(), **clock.total()}
        return distributed.from_first(metrics)

    def record(self, metrics: dict[str, float], decision: Decision, filled: Filled, batch: Batch) -> None:
        """Write down what happened in the step, for people and for programs."""
        state = decision.state
        self._metrics = metrics
        if self._writer is None:
            return
        self._writer.write(state.step, metrics)
        for event in decision.events:
            self._writer.event(event.to_json())
            self._progress.note(f"step {event.step}: {event.event}: {described(event.to_json())}")
        for prompt_id, index in filled.timeouts:
            self._writer.event(Event(state.step, "timeout", {"prompt": prompt_id, "index": index}).to_json())
        if filled.verifier_error and not self._warned_of_verifier:
            self._warned_of_verifier = True
            self._progress.note(
                f"step {state.step}: a verifier failed, its answer is left out: {filled.verifier_error}"
            )
        if not batch.minibatches:
            self._progress.note(f"step {state.step}: nothing to train on: {filled.metrics['groups/drawn']} flat groups")
        samples = sample_records(state.step, filled.groups, self.run.train.samples_per_step)
        append(self.folder / "samples.jsonl", samples)
        if metrics.get("updates_skipped", 0.0) > 0:
            (self.folder / "bad_batches").mkdir(exist_ok=True)
            append(self.folder / "bad_batches" / f"step_{state.step}.jsonl", batch_records(batch))
        self._progress.step(state.step, metrics)

    def save_if_due(self, decision: Decision) -> None:
        """Checkpoint at a reset, a new best, the end, and every so many steps."""
        options, step = self.run.train, decision.state.step
        if decision.checkpoint or any(n and step % n == 0 for n in (options.checkpoint_every, options.boundary_every)):
            self._save(decision.state, reset=decision.reset is not None)
        if distributed.is_first() and decision.reset and decision.reset.trigger == "manual":
            (self.folder / RESET_REQUEST).unlink(missing_ok=True)
        if decision.failed:
            self._failure = decision.stop

    def save_if_unsaved(self, state: ScheduleState) -> None:
        if self._saved_step != state.step:
            self._save(state, reset=False)

    def _save(self, state: ScheduleState, *, reset: bool) -> None:
        self._progress.status("saving")
        self.parts.save(state, reset=reset)
        self._saved_step = state.step

    def _boundary(self, state: ScheduleState) -> str:
        """Measure what the recipe asks for, unless just that was measured already; gives the headline."""

        def status(text: str) -> None:
            self._signals.check()
            self._progress.status(text)

        wanted = schedule.phase(self.run, state).evaluation.boundary_samples
        if not wanted or is_measured(self.parts, self.folder, state.step):
            return ""
        result = write_boundary(self.parts, self.folder, state.step, status)
        self._say(table(result))
        return headline(result)

    def _say(self, text: str) -> None:
        for line in text.splitlines():
            self._progress.note(line)

    def finish(self, state: ScheduleState) -> RunResult:
        """Save what is not saved; after the last step measure the boundary, write the report and print the summary."""
        self.save_if_unsaved(state)
        interrupted = self.stopped or not schedule.done(self.run, state)
        self.parts.close()  # the engine's memory is the boundary's now
        distributed.leave()
        self._progress.close()
        where = self.parts.checkpoints.at(state.step)
        if self._failure:
            raise RunFailed(f"step {state.step}: {self._failure}; saved in {where}, see {self.folder}/events.jsonl")
        if interrupted:
            self._progress.note(f"saved step {state.step} in {where}; --resume goes on from there")
            return RunResult(self.folder, state.step, "interrupted", self._metrics)
        if self._writer is None:
            return RunResult(self.folder, state.step, "done", self._metrics)
        try:
            boundary = self._boundary(state)
        except Interrupted:
            self._progress.note("boundary given up; --resume measures it")
            return RunResult(self.folder, state.step, "interrupted", self._metrics)
        if state.step:
            write_report(self.folder)
        self._say(
            summary(
                self.folder,
                read_jsonl(self.folder / "metrics.jsonl"),
                read_jsonl(self.folder / "events.jsonl"),
                total_steps=self.run.train.steps,
                boundary=boundary,
                commands=[
                    f"open {self.folder / name}"
                    for name in ("report.html", "boundary.html")
                    if name == "report.html" or boundary
                ],
            )
        )
        return RunResult(self.folder, state.step, "done", self._metrics)


@contextmanager
def open_session(
    run: Run, folder: Path, *, resume: bool, changes: Collection[str], terminal: TextIO
) -> Iterator[Session]:
    """Build the parts, put a checkpoint into them, claim the folder, and open the run's files."""
    check(run)
    load_wandb(run.train.wandb)  # refused before anything is built
    distributed.refuse_differences("recipe", to_toml(without_placement(run)))
    refuse_unlike(run)
    checkpoints = Checkpoints(folder / "checkpoints", keep=run.train.keep_checkpoints)
    with ExitStack() as stack:
        begun = resume and distributed.from_first(folder.is_dir())
        if begun:  # before the checkpoint is read, or it may not be the newest any more
            distributed.each(lambda: stack.enter_context(claimed(folder, resume)))
        path = distributed.on_first(lambda: beginning(checkpoints, run, folder, resume, changes))
        found = checkpoints.load(path) if path else None
        start = found.step if found else 0
        if not distributed.is_first():
            terminal = stack.enter_context(open(os.devnull, "w"))
        progress = Progress(terminal, run.train.steps, start=start)
        signals = stack.enter_context(Interrupts(progress.note))

        def status(text: str) -> None:
            signals.check()
            progress.status(text)

        for problem in checkpoints.problems:
            progress.note(f"passed over: {problem}")
        parts = distributed.each(lambda: stack.enter_context(open_run(run, folder, status, progress.status)))
        state = parts.restore(found) if found else ScheduleState()
        del found
        # Not before everything that can be wrong with the recipe has been looked at.
        if not begun:
            distributed.each(lambda: stack.enter_context(claimed(folder, resume)))
        write_config(folder, run)
        writer = _open_records(stack, parts, folder, progress, start if path else None)
        if resume and not path:
            progress.note(f"no checkpoint in {checkpoints.folder}: starting at step 0")
        try:
            yield Session(parts, folder, state, writer, progress, signals)
        except OSError as error:
            if error.errno not in _DISK_TROUBLE:
                raise
            raise explained(error, f"a file in {folder}", lambda: last_good(checkpoints)) from error


def _open_records(
    stack: ExitStack, parts: Parts, folder: Path, progress: Progress, resumed_at: int | None
) -> MetricsWriter | None:
    """On the first rank the run's files, cut back to the step it goes on from."""
    progress.note(_opening(parts, folder))
    if not distributed.is_first():
        return None
    start = resumed_at or 0
    record_environment(folder, start, parts.loaded.device, parts.loaded.dtype)
    truncate_jsonl(folder / "samples.jsonl", start)
    writer = MetricsWriter(folder, parts.run.train.tensorboard, resume_from=-1 if resumed_at is None else start)
    stack.enter_context(writer)
    stack.callback(progress.close)
    writer.mirror_to_wandb(parts.run.train.wandb, progress.note)
    if resumed_at is not None:
        writer.event(Event(start, "resume", {}).to_json())
        progress.note(f"resumed at step {start}")
    return writer


def _opening(parts: Parts, folder: Path) -> str:
    (size, trained), device = parts.learner.num_parameters(), parts.loaded.device
    adapter = f" and an adapter of {trained:,}" if parts.run.model.lora_rank else ""
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    ranks = f"{distributed.world()} ranks on " if distributed.world() > 1 else ""
    model = f"{parts.run.model.path}, {size:,} parameters{adapter}"
    return f"{parts.run.name}: {model} on {ranks}{device}{threads}, into {folder}"
