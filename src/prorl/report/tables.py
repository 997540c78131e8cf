"""Tables of the report: records of a run -> HTML. Everything that comes from a file is escaped; nothing is computed."""

from collections.abc import Mapping, Sequence
from typing import Any

from prorl.report.escaping import safe

MAX_TEXT = 6000
"""Characters of a prompt or response that are shown."""
MAX_EVENTS = 200


def level_table(records: Sequence[Mapping[str, Any]]) -> str:
    """Validation by family and level: first, best and last value, the last as heat."""
    history: dict[str, dict[int, list[tuple[int, float]]]] = {}
    for record in records:
        for name, value in record.items():
            family, _, level = name.removeprefix("validation/").rpartition("/")
            if name.startswith("validation/") and family and level.isdigit():
                history.setdefault(family, {}).setdefault(int(level), []).append((record["step"], value))
    if not history:
        return ""
    levels = sorted({level for of_family in history.values() for level in of_family})
    rows = [["family", *(str(level) for level in levels)]]
    for family, of_family in sorted(history.items()):
        rows.append([family, *(_history_cell(of_family.get(level, [])) for level in levels)])
    head = "".join(f"<th>{safe(cell)}</th>" for cell in rows[0])
    body = "".join(f"<tr><th>{safe(row[0])}</th>{''.join(row[1:])}</tr>" for row in rows[1:])
    return _table(head, body)


def event_table(events: Sequence[Mapping[str, Any]]) -> str:
    """Resets, phases and the rest with their numbers; time-outs, of which there may be many, as a count."""
    rows = [event for event in events if event["event"] != "timeout"]
    lines = []
    for event in rows[-MAX_EVENTS:]:
        numbers = ", ".join(f"{name} {_value(value)}" for name, value in event.items() if name not in ("step", "event"))
        kind = safe(str(event["event"]))
        lines.append(
            f'<tr><td>{safe(str(event["step"]))}</td><td class="text">{kind}</td>'
            f'<td class="text long">{safe(numbers)}</td></tr>'
        )
    notes = []
    if len(rows) > MAX_EVENTS:
        notes.append(f"<p>The last {MAX_EVENTS} of {len(rows)}.</p>")
    if len(rows) < len(events):
        notes.append(f"<p>Verifier time-outs: {len(events) - len(rows)}.</p>")
    head = '<th>step</th><th>event</th><th class="text">numbers</th>'
    return "".join([*notes, _table(head, "".join(lines)) if lines else ""])


def boundary_tables(result: Mapping[str, Any]) -> str:
    """The levels of `boundary.json`: those that expanded, lost or gained, and the others folded away."""
    k = result["summary"]["k"]
    base, trained = ["pass@1", f"pass@{k}", f"tolerant/pass@{k}"], ["pass@1", f"pass@{k}"]
    columns = [("base", name) for name in base] + [("trained", name) for name in trained]
    columns += [("base", "well_formed"), ("trained", "well_formed")]
    names = ["pass@1", f"pass@{k}", "tolerant", "pass@1", f"pass@{k}", "base", "trained", "trained on"]
    head = (
        '<th></th><th></th><th class="over" colspan="3">base</th><th class="over" colspan="2">trained</th>'
        '<th class="over" colspan="2">right form</th><th></th></tr><tr><th>level</th><th class="text">verdict</th>'
    ) + "".join(f"<th>{safe(name)}</th>" for name in names)
    rows: dict[bool, list[str]] = {True: [], False: []}
    for verdict in ("expanded", "lost", "gained", "sharpened", "unchanged", "unsolved"):
        for level in (level for level in result["levels"] if level["verdict"] == verdict):
            cells = "".join(heat_cell(level[role][name], f"{level[role][name]:.2f}") for role, name in columns)
            rows[verdict in ("expanded", "lost", "gained")].append(
                f"<tr><th>{safe(level['family'])}/{int(level['level'])}</th>"
                f'<td class="text">{badge(verdict)}</td>{cells}<td>{"yes" if level["trained_on"] else "no"}</td></tr>'
            )
    shown = _table(head, "".join(rows[True])) if rows[True] else ""
    if not rows[False]:
        return shown
    others = _table(head, "".join(rows[False]))
    return f"{shown}<details><summary>{len(rows[False])} other levels</summary>{others}</details>"


def sample(record: Mapping[str, Any]) -> str:
    """One rollout with its verdict."""
    facts = [f"step {record['step']}"]
    facts += [f"{name} {_value(record[name])}" for name in ("position", "score", "advantage") if name in record]
    if record.get("detail"):
        facts.append(str(record["detail"]))
    head = badge(str(record.get("outcome", ""))) + "".join(f"<span>{safe(fact)}</span>" for fact in facts)
    return f"<article><header>{head}</header>{text_block(record['prompt'])}{text_block(record['response'])}</article>"


def text_block(text: object) -> str:
    """Text as the model or a file has it, cut at `MAX_TEXT`."""
    shown = str(text)
    cut = f"\n[{len(shown) - MAX_TEXT} more characters]" if len(shown) > MAX_TEXT else ""
    return f"<pre>{safe(shown[:MAX_TEXT] + cut)}</pre>"


def badge(kind: str) -> str:
    """A word in its colour."""
    name = kind if kind.isalpha() and kind.isascii() else "unknown"
    return f'<span class="badge {name}">{safe(kind)}</span>' if kind else ""


def heat_cell(value: float, text: str, small: str = "") -> str:
    """A cell whose background is the value, from 0 to 1."""
    below = f"<small>{safe(small)}</small>" if small else ""
    return f'<td class="heat" style="--v:{min(max(float(value), 0.0), 1.0):.3f}">{safe(text)}{below}</td>'


def _history_cell(history: Sequence[tuple[int, float]]) -> str:
    if not history:
        return "<td></td>"
    first, last, best = history[0][1], history[-1][1], max(value for _, value in history)
    return heat_cell(last, f"{last:.2f}", f"{first:.2f}, best {best:.2f}")


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(head: str, body: str) -> str:
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
