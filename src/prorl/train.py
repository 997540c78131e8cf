"""THE LOOP. One step of ProRL from prompts to checkpoint; every stage it calls lives in the folder of its name."""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TextIO

from prorl import schedule
from prorl.config import Run
from prorl.errors import NoGroups
from prorl.interrupt import Interrupted
from prorl.learner.batch import make_batch
from prorl.schedule import ScheduleState
from prorl.session import Clock, RunResult, Session, open_session


def train(
    run: Run,
    folder: Path | None = None,
    *,
    resume: bool = False,
    changes: Collection[str] = (),
    terminal: TextIO = sys.stdout,
) -> RunResult:
    """Train as the recipe says, in `folder` (`runs/<recipe>` where none is given).

    `resume` goes on from the newest complete checkpoint, where only the options in `changes` may differ from it.
    Raises UserError when configuration or folder are wrong, with nothing touched, and RunFailed when the run cannot go
    on, with a checkpoint. An interrupted run (Ctrl-C) is saved and returns.
    """
    folder = folder or default_folder(run)
    with open_session(run, folder, resume=resume, changes=changes, terminal=terminal) as session:
        state = session.state
        try:
            while not schedule.done(run, state) and not session.stopped:
                state = step(session, state)
        except Interrupted:
            session.restore_pool()
        except NoGroups:
            session.restore_pool()
            session.save_if_unsaved(state)
            raise
        return session.finish(state)


def default_folder(run: Run) -> Path:
    return Path("runs") / run.name


def step(session: Session, state: ScheduleState) -> ScheduleState:
    """One step: the stages in the order of the paper's section 2, each given what the one before it made."""
    run, parts, clock = session.run, session.parts, Clock()
    config = schedule.phase(run, state)
    learning_rate = schedule.learning_rate(run, state)
    session.begin_step()

    with clock("sync"):
        parts.sync()
    filled = parts.pool.fill(state.step + 1, config)  # 1 prompts, 2 rollouts, 3 rewards, 4 group filter
    batch = make_batch(filled.groups, config, state.step)  # 5 advantages
    with clock("update"):
        updated = parts.learner.update(batch, config, learning_rate)  # 6 policy update
    report = None
    if session.validation_due(state, config):
        with clock("validate"):
            parts.sync()
            report = parts.validate(config)  # 7 validation

    metrics = session.metrics(filled, batch, updated, report, state, learning_rate, clock)
    decision = schedule.decide(run, state, metrics, report, manual_reset=session.reset_requested())  # 8 decision
    if decision.reset:
        parts.reset(decision.reset)
    if (following := schedule.phase(run, decision.state)) is not config:
        parts.enter_phase(following, decision.state.step)
    session.record(metrics, decision, filled, batch)
    session.save_if_due(decision)  # 9 checkpoint
    return decision.state
