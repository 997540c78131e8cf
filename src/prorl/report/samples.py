"""Sample rollouts of a run: chosen over its steps from `samples.jsonl`, and shown. Judges nothing.

What models wrote is hostile: it is escaped, cut to a bound, and shown as text only.
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prorl.errors import UserError
from prorl.report.escaping import safe
from prorl.report.tables import badge, shown
from prorl.report.timeline import Mark, Timeline

MAX_RESETS, MAX_PHASES, MAX_ROLLOUTS = 4, 3, 4
"""Resets and phases whose steps are shown, and rollouts of a step."""
PARTS = 4
"""The run is looked into after every such part of it."""
PROMPT_TEXT, RESPONSE_TEXT = (1500, 500), (2500, 1500)
"""Characters that are shown of the beginning and of the end."""


def sample_section(path: Path, timeline: Timeline) -> str:
    """The chosen steps, each folded away but the first and the last; nothing without a file."""
    offsets = _offsets(path) if path.exists() else {}
    if not offsets:
        return ""
    chosen = choose(sorted(offsets), timeline)
    steps = []
    with path.open("rb") as file:
        for number, (step, reasons) in enumerate(chosen.items()):
            records = []
            for offset in offsets[step]:
                file.seek(offset)
                records.append(json.loads(file.readline()))
            steps.append(_step(step, reasons, records, is_open=number in (0, len(chosen) - 1)))
    note = (
        "<p>What the model was asked and what it answered, with the verifier's verdict: from the start, the middle and "
        "the end of the run, and around resets and new phases. Long texts are cut in the middle.</p>"
    )
    return note + "".join(steps)


def choose(steps: Sequence[int], timeline: Timeline) -> dict[int, list[str]]:
    """Of the rising steps that have samples, those to show, each with why."""
    wanted = [(steps[0], "start"), (steps[-1], "end")]
    for mark in _spread([mark for mark in timeline.marks_inside if mark.kind == "reset"], MAX_RESETS):
        wanted += [(int(mark.step), "before a reset"), (int(mark.step) + 1, "after a reset")]
    for mark in _spread([mark for mark in timeline.marks_inside if mark.kind == "phase"], MAX_PHASES):
        wanted.append((int(mark.step) + 1, "new phase"))
    found: dict[int, list[str]] = {}
    for step, reason in wanted:
        reasons = found.setdefault(_nearest(steps, step), [])
        if reason not in reasons:
            reasons.append(reason)
    for part in range(1, PARTS):
        found.setdefault(
            _nearest(steps, timeline.first + timeline.span * part // PARTS), [f"{part}/{PARTS} of the run"]
        )
    return dict(sorted(found.items()))


def _nearest(steps: Sequence[int], step: int) -> int:
    """The first of the rising steps that is not before a step, or the last."""
    return steps[min(bisect_left(steps, step), len(steps) - 1)]


def text_block(text: object, most: tuple[int, int]) -> str:
    """Text as the model or a file has it: its beginning and its end where it is longer than both."""
    whole, (head, tail) = str(text), most
    if len(whole) > head + tail:
        whole = f"{whole[:head]}\n[{len(whole) - head - tail} characters left out]\n{whole[-tail:]}"
    return f"<pre>{safe(whole)}</pre>"


def _offsets(path: Path) -> dict[int, list[int]]:
    """Where in the file, which may be larger than memory, the first rollouts of each step begin."""
    found: dict[int, list[int]] = {}
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            # A line without its end is one that is being written, or that a crash cut short.
            if line.endswith(b"\n"):
                step = _step_of(f"{path}, line {number}", line)
                if step is not None and len(found.setdefault(step, [])) < MAX_ROLLOUTS:
                    found[step].append(offset)
            offset += len(line)
    return found


def _step_of(place: str, line: bytes) -> int | None:
    try:
        record = json.loads(line)
        if isinstance(record, dict):
            step = record.get("step")
            return step if isinstance(step, int) else None
    except ValueError:
        pass
    raise UserError(f"{place}: not a JSON object; remove that line or the file")


def _spread(marks: Sequence[Mark], most: int) -> list[Mark]:
    """At most so many, evenly, with the first and the last."""
    if len(marks) <= most:
        return list(marks)
    return [marks[number * (len(marks) - 1) // (most - 1)] for number in range(most)]


def _step(step: int, reasons: Sequence[str], records: Sequence[Mapping[str, Any]], *, is_open: bool) -> str:
    outcomes = Counter(str(record.get("outcome", "no verdict"))[:40] for record in records)
    verdicts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    head = f"<b>step {step}</b> {safe(', '.join(reasons))}: {safe(verdicts)}"
    body = "".join(_rollout(record) for record in records)
    return f'<details class="step"{" open" if is_open else ""}><summary>{head}</summary>{body}</details>'


def _rollout(record: Mapping[str, Any]) -> str:
    place = " ".join(str(record[name]) for name in ("domain", "task") if record.get(name))
    facts = [place + (f" level {record['level']}" if record.get("level") else "")]
    facts += [f"{name} {shown(record[name])}" for name in ("score", "advantage", "position") if name in record]
    facts.append(str(record.get("detail", "")))
    head = badge(str(record.get("outcome", ""))) + "".join(f"<span>{safe(fact[:200])}</span>" for fact in facts if fact)
    return (
        f'<article><header>{head}</header><div class="said"><span>prompt</span>'
        f"{text_block(record.get('prompt', ''), PROMPT_TEXT)}<span>response</span>"
        f"{text_block(record.get('response', ''), RESPONSE_TEXT)}</div></article>"
    )
