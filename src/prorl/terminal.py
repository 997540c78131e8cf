"""What a person sees while a run goes on and at its end: the progress line and the summary. ASCII, on a given stream.

On a terminal there is one live line, rewritten in place, above which lasting lines scroll; elsewhere (a file, a CI log)
there are only lasting lines, spaced out. Computes no metric and keeps no record.
"""

import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any, TextIO

Number = int | float

TERMINAL_SECONDS, LOG_SECONDS = 2.0, 5.0
"""Least time between two lasting step lines, on a terminal and elsewhere."""
LOG_STATUS_SECONDS = 60.0
"""Silence after which a log without a terminal gets a status line, for steps that take minutes."""
RECENT_STEPS = 20
"""Steps that the time left is estimated from."""
RESET_FIELDS = ("trigger", "score", "best_score", "stale_validations", "kl")
"""What the summary says of a reset; `events.jsonl` has the rest."""


def _columns() -> int:
    return shutil.get_terminal_size().columns


class Progress:
    """The progress of a run. Call `status` as often as you like, `step` after each step, `close` at the end."""

    def __init__(
        self,
        stream: TextIO,
        total_steps: int,
        clock: Callable[[], float] = time.monotonic,
        columns: Callable[[], int] = _columns,
        *,
        start: int = 0,
        after: str = "after the last step",
    ) -> None:
        """`start` steps are complete already; `after` is the place of what comes when all are."""
        self._stream, self._total, self._clock, self._columns = stream, total_steps, clock, columns
        self._terminal = stream.isatty()
        self._spacing = TERMINAL_SECONDS if self._terminal else LOG_SECONDS
        self._step, self._is_first, self._after = start, True, after
        self._step_at = self._line_at = clock()
        self._durations: deque[float] = deque(maxlen=RECENT_STEPS)
        self._live = 0  # Characters of the live line on the screen.
        self._pending = ""  # The last step's line where it was not printed.
        self._score = ""

    def status(self, text: str) -> None:
        """Say where the step in work is: `rollout 312/512`, `verify`, `update 3/4`."""
        now = self._clock()
        if not self._terminal and now - self._line_at < LOG_STATUS_SECONDS:
            return
        place = f"step {self._step + 1}/{self._total}" if self._step < self._total else self._after
        line = plain(f"{place}  {text}{self._score}{self._time_left()}")
        if not self._terminal:
            self._lasting(line)
            self._line_at = now
            return
        line = line[: max(self._columns() - 1, 0)]
        self._write("\r" + line.ljust(self._live))
        self._live = len(line)

    def step(self, step: int, metrics: Mapping[str, Number]) -> None:
        """Count a finished step; it gets a line if it is the first, the last, validated, or the line before is old."""
        now = self._clock()
        num_steps = max(step - self._step, 1)
        self._durations.append((now - self._step_at) / num_steps)
        self._step, self._step_at = step, now
        self._score = f"  score {metrics['score/mean']:.3f}" if "score/mean" in metrics else ""
        self._pending = self._step_line(metrics)
        due = now - self._line_at >= self._spacing
        if self._is_first or due or step >= self._total or "validation/mean" in metrics:
            self._flush_step()
        self._is_first = False

    def note(self, text: str) -> None:
        """Say what happened: a reset, a new phase, an alarm, where a checkpoint is."""
        self._flush_step()
        self._lasting(plain(text))

    def close(self) -> None:
        """Leave the cursor on a fresh line, with the last step's line above it."""
        self._flush_step()
        self._clear()

    def _flush_step(self) -> None:
        if self._pending:
            self._lasting(self._pending)
            self._pending, self._line_at = "", self._clock()

    def _lasting(self, line: str) -> None:
        self._clear()
        self._write(line + "\n")

    def _clear(self) -> None:
        if self._live:
            self._write("\r" + " " * self._live + "\r")
            self._live = 0

    def _write(self, text: str) -> None:
        """A run goes on without its terminal: closed, its pipe's reader gone, or a signal's note within a write."""
        with suppress(OSError, RuntimeError):
            self._stream.write(text)
            self._stream.flush()

    def _time_left(self) -> str:
        left = self._total - self._step
        return f"  eta {duration(left * fmean(self._durations))}" if self._durations and left > 0 else ""

    def _step_line(self, metrics: Mapping[str, Number]) -> str:
        """The fields that fit, in reading order."""
        fields = [*_fields(self._step, self._total, metrics), (1, self._time_left().strip())]
        fields = [(weight, plain(text)) for weight, text in fields if text]
        width = max(self._columns() - 1, 0) if self._terminal else 10_000
        while len(fields) > 1 and len("  ".join(text for _, text in fields)) > width:
            fields.remove(max(fields, key=lambda field: field[0]))
        return "  ".join(text for _, text in fields)[:width]


def _fields(step: int, total: int, metrics: Mapping[str, Number]) -> list[tuple[int, str]]:
    """The parts of a step's line, empty where a metric is absent; a narrow terminal drops the greatest number first."""

    def one(form: str, name: str) -> str:
        return form.format(metrics[name]) if name in metrics else ""

    def ratio(form: Callable[[float], str], name: str, by: str) -> str:
        return form(metrics[name] / metrics[by]) if name in metrics and metrics.get(by, 0) > 0 else ""

    domains = " ".join(
        f"{name.removeprefix('score/')[:4]} {value:.2f}"
        for name, value in sorted(metrics.items())
        if name.startswith("score/") and name != "score/mean"
    )
    return [
        (0, f"step {step:>{len(str(total))}}/{total}"),
        (0, one("score {:.3f}", "score/mean")),
        (8, f"({domains})" if domains else ""),
        (0, one("validation {:.3f}", "validation/mean")),
        (4, ratio("kept {:.0%}".format, "groups/kept", "groups/drawn")),
        (2, one("entropy {:.2f}", "entropy")),
        (3, one("kl {:.3f}", "kl/reference")),
        (5, one("len {:.0f}", "response_length/mean")),
        (6, ratio(lambda rate: f"{compact(rate)} tok/s", "tokens/generated", "seconds/step")),
        (7, one("{:.2f} s/step", "seconds/step")),
    ]


def compact(number: float) -> str:
    """Three figures: 950, 12.3k, 4.56M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            value = number / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}{unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """The two greatest units: 45s, 2m46s, 3h02m, 2d04h."""
    whole = round(seconds)
    for first, second, size, part in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size}{first}{whole % size // part:02d}{second}"
    return f"{whole}s"


def summary(
    run_folder: Path,
    records: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    *,
    total_steps: int,
    boundary: str = "",
    commands: Sequence[str] = (),
) -> str:
    """The end of a run, from the records of its `metrics.jsonl` and `events.jsonl`."""
    steps = records[-1]["step"] if records else 0
    seconds = sum(record.get("seconds/step", 0) for record in records)
    tokens = sum(record.get("tokens/generated", 0) for record in records)
    speed = f" ({compact(tokens / seconds)}/s)" if seconds > 0 else ""
    lines = ["", f"{'steps':<12}{steps} of {total_steps} in {duration(seconds)}, {compact(tokens)} tokens{speed}"]
    lines += _validation_lines([record for record in records if "validation/mean" in record])
    for kind in ("reset", "phase", "alarm", "timeout"):
        lines += _event_lines(kind, [event for event in events if event["event"] == kind])
    if boundary:
        lines.append(f"{'boundary':<12}{boundary}")
    files = "report.html metrics.jsonl events.jsonl boundary.html boundary.json samples checkpoints tensorboard"
    names = files.split()
    there = [name for name in names if (run_folder / name).exists()]
    lines.append(f"{'files':<12}{run_folder}{': ' if there else ''}{', '.join(there)}")
    lines += [f"{'next' if number == 0 else '':<12}{command}" for number, command in enumerate(commands)]
    return "\n".join(plain(line) for line in lines) + "\n"


def _validation_lines(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """First, best and last validation by domain; the best is that of the blend, its domains those of the same step."""
    if not records:
        return []
    best = max(records, key=lambda record: record["validation/mean"])
    columns = {"first": records[0], "best": best, "last": records[-1]}
    names = [name for name in records[-1] if name.startswith("validation/") and name.count("/") == 1]
    heads = [f"{head} ({record['step']})" for head, record in columns.items()]
    lines = [f"{'validation':<14}" + "".join(f"{head:>14}" for head in heads)]
    for name in sorted(names, key=lambda name: (name != "validation/mean", name)):
        cells = "".join(f"{record[name]:>14.3f}" if name in record else " " * 14 for record in columns.values())
        lines.append(f"  {name.removeprefix('validation/'):<12}{cells}")
    return lines


def _event_lines(kind: str, events: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line an event, the last five; time-outs only as a count."""
    if not events or kind == "timeout":
        return [f"{'timeouts':<12}{len(events)}"] if events else []
    shown = events[-5:]
    more = f" (the last {len(shown)} of {len(events)})" if len(shown) < len(events) else ""
    return [f"{kind + 's' + more}", *(f"  step {event['step']}: {described(event)}" for event in shown)]


def described(event: Mapping[str, Any]) -> str:
    """The fields of an event, of a reset those that count: `stagnation, score 0.498, best_score 0.512`."""
    parts = []
    shown = (
        RESET_FIELDS if event["event"] == "reset" else tuple(name for name in event if name not in ("step", "event"))
    )
    for name, value in event.items():
        if name in shown:
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            parts.append(text if name in ("trigger", "reason") else f"{name} {text}")
    return ", ".join(parts)


def plain(text: str) -> str:
    """Printable ASCII: a name from the data can neither break a locale nor steer the terminal."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)
