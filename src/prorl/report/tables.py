"""Tables and small parts of the report: numbers and words -> HTML. Everything that comes from a file is escaped."""

from collections.abc import Mapping, Sequence
from typing import Any

from prorl.report.escaping import safe
from prorl.report.timeline import Timeline

MAX_EVENTS = 200


def event_table(events: Sequence[Mapping[str, Any]]) -> str:
    """Resets, phases and the rest with their numbers; time-outs, of which there may be many, as a count."""
    rows = [event for event in events if event["event"] != "timeout"]
    lines = []
    for event in rows[-MAX_EVENTS:]:
        numbers = ", ".join(f"{name} {shown(value)}" for name, value in event.items() if name not in ("step", "event"))
        lines.append(
            f'<tr><td>{event["step"]}</td><td class="text">{badge(str(event["event"]))}</td>'
            f'<td class="text long">{safe(numbers)}</td></tr>'
        )
    notes = []
    if len(rows) > MAX_EVENTS:
        notes.append(f"<p>The last {MAX_EVENTS} of {len(rows)}.</p>")
    if len(rows) < len(events):
        notes.append(f"<p>Verifier time-outs: {len(events) - len(rows)}.</p>")
    head = '<th>step</th><th class="text">event</th><th class="text">numbers</th>'
    return "".join([*notes, table(head, "".join(lines)) if lines else ""])


def phase_table(timeline: Timeline) -> str:
    """The phases of a run that has several: steps, resets in them, and what their recipes change."""
    if len(timeline.phases) < 2:
        return ""
    lines = []
    for phase in timeline.phases:
        inside = [mark for mark in timeline.marks if mark.kind == "reset" and phase.first <= mark.step <= phase.last]
        lines.append(
            f'<tr><td>{phase.number}</td><td class="text">{safe(phase.name)}</td>'
            f"<td>{phase.first} to {phase.last}</td><td>{len(inside)}</td>"
            f'<td class="text long">{safe(", ".join(phase.changes))}</td></tr>'
        )
    head = (
        '<th>phase</th><th class="text">name</th><th>steps</th><th>resets</th>'
        '<th class="text">options it changes against the phase before</th>'
    )
    return table(head, "".join(lines))


def badge(kind: str) -> str:
    """A word in its colour."""
    name = kind if kind.isalpha() and kind.isascii() else "unknown"
    return f'<span class="badge {name}">{safe(kind)}</span>' if kind else ""


def heat_cell(value: float | None, text: str = "", small: str = "") -> str:
    """A cell whose background is the value, from 0 to 1; an empty one where there is none."""
    if value is None:
        return "<td></td>"
    below = f"<small>{safe(small)}</small>" if small else ""
    return f'<td class="heat" style="--v:{min(max(value, 0.0), 1.0):.3f}">{safe(text or f"{value:.2f}")}{below}</td>'


def shown(value: object) -> str:
    """A number with four figures, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(head: str, body: str) -> str:
    """A table that scrolls sideways where it is too wide."""
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
