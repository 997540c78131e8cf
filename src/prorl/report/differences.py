"""What differs between the recipes, or the surroundings, of several runs: plain tables -> HTML. Reads no file."""

from collections.abc import Iterator, Mapping
from typing import Any

from prorl.report.escaping import safe
from prorl.report.tables import table

MAX_ROWS = 300
MAX_TEXT = 120
"""Characters of a value that are shown."""


def difference_table(tables: Mapping[str, Mapping[str, Any]], note: str) -> str:
    """Keys with the values of each run, where they are not the same in all; runs without any table are left out."""
    flat = {name: dict(flatten(one)) for name, one in tables.items() if one}
    if len(flat) < 2:
        return ""
    rows = differences(flat)
    if not rows:
        return "<p>None.</p>"
    head = '<th class="text"></th>' + "".join(f'<th class="text">{safe(name)}</th>' for name in flat)
    body = "".join(
        f"<tr><th>{safe(key[:MAX_TEXT])}</th>"
        + "".join(f'<td class="text long">{safe(_shown(value))}</td>' for value in values)
        + "</tr>"
        for key, values in list(rows.items())[:MAX_ROWS]
    )
    more = f" The first {MAX_ROWS} of {len(rows)}." if len(rows) > MAX_ROWS else ""
    return f'<p>{safe(note)}{more} A dash: not named there.</p><div class="facts">{table(head, body)}</div>'


def differences(flat: Mapping[str, Mapping[str, str]]) -> dict[str, list[str | None]]:
    """By key, in the order of the first run that has it: the value of each run, None where it has none."""
    keys = dict.fromkeys(key for one in flat.values() for key in one)
    rows = {key: [one.get(key) for one in flat.values()] for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def flatten(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested tables and lists of tables by dotted key: `phases[1].rollouts.group_size`."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from flatten(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for number, item in enumerate(value):
            yield from flatten(item, f"{key}[{number}]")
    elif key:
        yield key, str(value)


def _shown(value: str | None) -> str:
    if value is None:
        return "-"
    return value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}..."
