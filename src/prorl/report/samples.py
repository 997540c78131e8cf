"""Sample rollouts of a run: chosen over its steps from `samples.jsonl`, and shown. Judges nothing.

What models wrote is hostile: it is escaped, cut to a bound, and shown as text only.
"""

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prorl.errors import UserError
from prorl.report.escaping import safe
from prorl.report.tables import badge, shown
from prorl.report.timeline import Timeline

Record = Mapping[str, Any]

MAX_RESETS, MAX_PHASES, MAX_ROLLOUTS = 8, 6, 4
"""Resets and phases whose steps are shown, and rollouts of a step."""
PARTS = 4
"""The run is looked into after every such part of it."""
MAX_STEPS = 60
"""Steps that are shown: those above, and others evenly between."""
PROMPT_TEXT, RESPONSE_TEXT = (1500, 500), (2500, 1500)
"""Characters that are shown of the beginning and of the end."""
MAX_CHARACTERS = 1_500_000
"""Of the whole section: where it would be larger, its texts are cut to half, and again, until it is not."""
MAX_CHOICES = 60
"""Tasks that can be chosen by name; the rarest ones are together."""
OUTCOMES = ("correct", "partial", "wrong", "unparsable", "timeout", "error")

_STEP_FIRST = re.compile(rb'\{"step": (\d{1,15}), ')
"""The beginning of a line as the trainer writes it: no need to parse what is not shown."""


def sample_section(path: Path, timeline: Timeline) -> str:
    """The chosen steps, each folded away but the first and the last; nothing without a file."""
    offsets = _offsets(path) if path.exists() else {}
    if not offsets:
        return ""
    chosen = choose(sorted(offsets), timeline)
    rollouts = {step: _read(path, offsets[step]) for step in chosen}
    division = 1
    while len(body := _steps(chosen, rollouts, division)) > MAX_CHARACTERS and division < max(RESPONSE_TEXT):
        division *= 2
    count = sum(map(len, rollouts.values()))
    note = (
        f"<p>What the model was asked and what it answered, with the verifier's verdict: {count} rollouts from start "
        "to end, around resets and new phases, and evenly between. Long texts are cut in the middle.</p>"
    )
    return note + _pager(chosen, rollouts) + body


def choose(steps: Sequence[int], timeline: Timeline) -> dict[int, list[str]]:
    """Of the rising steps that have samples, those to show, each with why; evenly spaced ones have no reason."""
    wanted = [(steps[0], "start"), (steps[-1], "end")]
    for step in _spread(_steps_of("reset", timeline), MAX_RESETS):
        wanted += [(step, "before a reset"), (step + 1, "after a reset")]
    wanted += [(step + 1, "new phase") for step in _spread(_steps_of("phase", timeline), MAX_PHASES)]
    found: dict[int, list[str]] = {}
    for step, reason in wanted:
        reasons = found.setdefault(_nearest(steps, step), [])
        if reason not in reasons:
            reasons.append(reason)
    for part in range(1, PARTS):
        found.setdefault(
            _nearest(steps, timeline.first + timeline.span * part // PARTS), [f"{part}/{PARTS} of the run"]
        )
    others = [step for step in steps if step not in found]
    for step in _spread(others, MAX_STEPS - len(found)):
        found[step] = []
    return dict(sorted(found.items()))


def text_block(text: object, most: tuple[int, int]) -> str:
    """Text as the model or a file has it: its beginning and its end where it is longer than both."""
    whole, (head, tail) = str(text), most
    if len(whole) > head + tail:
        whole = f"{whole[:head]}\n[{len(whole) - head - tail} characters left out]\n{whole[len(whole) - tail :]}"
    return f"<pre>{safe(whole)}</pre>"


def _nearest(steps: Sequence[int], step: int) -> int:
    """The first of the rising steps that is not before a step, or the last."""
    return steps[min(bisect_left(steps, step), len(steps) - 1)]


def _spread(steps: Sequence[int], most: int) -> list[int]:
    """At most so many, at least two, evenly, with the first and the last."""
    if len(steps) <= most:
        return list(steps)
    return [steps[number * (len(steps) - 1) // (most - 1)] for number in range(most)]


def _steps_of(kind: str, timeline: Timeline) -> list[int]:
    return [int(mark.step) for mark in timeline.marks_inside if mark.kind == kind]


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
    if (match := _STEP_FIRST.match(line)) and line.endswith(b"}\n"):
        return int(match[1])
    step = _parsed(place, line).get("step")
    return step if isinstance(step, int) else None


def _parsed(place: str, line: bytes) -> Record:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise UserError(f"{place}: not a JSON object; remove that line or the file")
    return record


def _read(path: Path, offsets: Sequence[int]) -> list[Record]:
    records = []
    with path.open("rb") as file:
        for offset in offsets:
            file.seek(offset)
            records.append(_parsed(f"{path}, the line at byte {offset}", file.readline()))
    return records


def _steps(chosen: Mapping[int, Sequence[str]], rollouts: Mapping[int, Sequence[Record]], division: int) -> str:
    """All steps, with texts cut to their bounds divided by a number."""
    tasks = {task: str(number) for number, task in enumerate(_tasks(rollouts))}
    parts = []
    for number, (step, reasons) in enumerate(chosen.items()):
        records = rollouts[step]
        verdicts = Counter(_outcome(record)[:40] for record in records)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        why = f" {safe(', '.join(reasons))}" if reasons else ""
        body = "".join(_rollout(record, step, tasks.get(_task(record), ""), division) for record in records)
        is_open = " open" if number in (0, len(chosen) - 1) else ""
        head = f"<b>step {step}</b>{why}: {safe(counts)}"
        parts.append(f'<details class="step"{is_open}><summary>{head}</summary>{body}</details>')
    return "".join(parts)


def _rollout(record: Record, step: int, task: str, division: int) -> str:
    place = " ".join(str(record[name]) for name in ("domain", "task") if record.get(name))
    facts = [place + (f" level {record['level']}" if record.get("level") else "")]
    facts += [f"{name} {shown(record[name])}" for name in ("score", "advantage", "position") if name in record]
    facts.append(str(record.get("detail", "")))
    head = badge(str(record.get("outcome", ""))[:200])
    head += "".join(f"<span>{safe(fact[:200])}</span>" for fact in facts if fact)
    prompt, response = ((most[0] // division, most[1] // division) for most in (PROMPT_TEXT, RESPONSE_TEXT))
    return (
        f'<article data-verdict="{_verdict_number(record)}" data-task="{task}" data-step="{step}">'
        f'<header>{head}</header><div class="said"><span>prompt</span>'
        f"{text_block(record.get('prompt', ''), prompt)}<span>response</span>"
        f"{text_block(record.get('response', ''), response)}</div></article>"
    )


def _outcome(record: Record) -> str:
    return str(record.get("outcome", "no verdict"))


def _verdict_number(record: Record) -> int:
    """Place of the verdict among those that can be chosen; any other one comes after them."""
    outcome = _outcome(record)
    return OUTCOMES.index(outcome) if outcome in OUTCOMES else len(OUTCOMES)


def _task(record: Record) -> str:
    return str(record.get("task") or record.get("domain") or "")[:60]


def _tasks(rollouts: Mapping[int, Sequence[Record]]) -> list[str]:
    """The tasks that can be chosen, by name: the most frequent ones where there are many."""
    counts = Counter(_task(record) for records in rollouts.values() for record in records)
    return sorted(task for task, _ in counts.most_common(MAX_CHOICES) if task)


def _pager(chosen: Mapping[int, Sequence[str]], rollouts: Mapping[int, Sequence[Record]]) -> str:
    """The buttons and filters that the script brings to life; hidden without it."""
    records = [record for of_step in rollouts.values() for record in of_step]
    verdicts = Counter(map(_verdict_number, records))
    tasks = Counter(map(_task, records))
    choices = {
        "verdict": [(str(number), (*OUTCOMES, "other")[number], verdicts[number]) for number in sorted(verdicts)],
        "task": [(str(number), task, tasks[task]) for number, task in enumerate(_tasks(rollouts))],
        "step": [
            (str(step), f"{step} {', '.join(reasons)}".strip(), len(rollouts[step])) for step, reasons in chosen.items()
        ],
    }
    filters = "".join(
        f'<label>{name} <select data-by="{name}"><option value="">all</option>'
        + "".join(f'<option value="{value}">{safe(text)} ({count})</option>' for value, text, count in options)
        + "</select></label>"
        for name, options in choices.items()
    )
    return (
        '<div id="pager" hidden><button type="button" data-go="-1" title="left arrow key">previous</button>'
        '<output aria-live="polite"></output>'
        '<button type="button" data-go="1" title="right arrow key">next</button>'
        f'{filters}<button type="button" data-whole="">all at once</button></div>'
    )
