"""`report.html`: one self-contained page of a run, from the files in its folder. Measures nothing and needs no network.

What models wrote is on the page, and it is hostile: every text from a file is escaped, there is no script, and the
page's own policy forbids any.
"""

import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from prorl.durable import replace_file
from prorl.errors import UserError
from prorl.metrics import read_jsonl
from prorl.report.charts import MAX_POINTS, Mark, Series, line_chart, stacked_chart
from prorl.report.escaping import safe
from prorl.report.style import STYLE
from prorl.report.tables import boundary_tables, event_table, level_table, sample, text_block
from prorl.terminal import compact, duration

Record = Mapping[str, Any]

FIRST_SAMPLES, LAST_SAMPLES = 4, 16
RECENT = 10
"""Steps of the mean score at the top."""
PARTS = ("rollout", "reward", "update", "sync", "validate")
CHARTS: tuple[tuple[str, str, tuple[str, ...], float | None], ...] = (
    ("Score by domain", "Verifier score of the rollouts, before the filter.", ("score/",), 1.0),
    ("Validation by domain", "Held-out problems; mean is the blend that resets look at.", ("validation/",), 1.0),
    ("Entropy", "Nats a token, at the sampling temperature.", ("entropy",), None),
    ("KL from the reference", "Nats a token; a reset brings it back to 0.", ("kl/reference",), None),
    ("Engine mismatch", "KL between engine and learner, nats a token.", ("kl/engine",), None),
    ("Response length", "Tokens, mean of the step.", ("response_length/mean",), None),
    ("Groups", "Drawn, kept for training, surplus, and flat after shaping.", ("groups/",), None),
    ("Truncated", "Share of the responses cut at the token limit.", ("truncated_fraction",), None),
    ("Verdicts", "Share of the rollouts by outcome.", ("outcomes/",), 1.0),
    ("Gradient norm", "Before clipping.", ("grad_norm",), None),
    ("Clipped", "Share of the tokens at a clip of the importance ratio.", ("clip_fraction/",), None),
)
"""Title, caption, the metrics by name or, with a slash at the end, by first part, and the least top of the axis."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a run's folder; optional files of the folder that are missing are left out."""
    records = _finite(read_jsonl(run_folder / "metrics.jsonl"))
    if not records:
        raise UserError(
            f"run folder {str(run_folder)!r}: metrics.jsonl is missing or has no complete step; "
            "name the folder of a run that has finished a step (`prorl train RECIPE --out DIR`)"
        )
    events = read_jsonl(run_folder / "events.jsonl")
    boundary = _boundary(run_folder / "boundary.json")
    marks = [_mark(event) for event in events if event["event"] in ("reset", "phase")]
    sections = [
        _head(run_folder, records, events, boundary),
        _section("Reasoning boundary", _boundary_section(boundary)) if boundary else "",
        _section("Over the steps", _chart_section(records, marks)),
        _section("Validation by level", _level_section(records)),
        _section("Events", event_table(events)),
        _section("Sample rollouts", "".join(sample(record) for record in _samples(run_folder / "samples.jsonl"))),
        _section("Configuration", _config_section(run_folder / "config.toml")),
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{safe(run_folder.resolve().name)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(sections)}</body></html>\n"
    )
    path = run_folder / "report.html"
    replace_file(path, [page.encode()])
    return path


def _finite(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The records without what is not a finite number, so that a damaged value costs its point and not the page."""
    return [
        {name: value for name, value in record.items() if isinstance(value, int | float) and math.isfinite(value)}
        for record in records
    ]


def _boundary(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        raise UserError(f"{path}: not JSON; remove it or measure the boundary again") from None


def _samples(path: Path) -> list[dict[str, Any]]:
    """The first and the last rollouts of the file, which may be larger than memory."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        lines = [*islice(file, FIRST_SAMPLES), *deque(file, maxlen=LAST_SAMPLES)]
    try:
        # A line without its end is one that is being written, or that a crash cut short.
        return [json.loads(line) for line in lines if line.endswith(b"\n")]
    except ValueError:
        raise UserError(f"{path}: a line is not JSON; remove that line or the file") from None


def _mark(event: Record) -> Mark:
    if event["event"] == "reset":
        return Mark(event["step"], "reset", f"step {event['step']}: reset, {event.get('trigger', '')}")
    return Mark(event["step"], "phase", f"step {event['step']}: phase {event.get('to', '')}")


def _head(run_folder: Path, records: Sequence[Record], events: Sequence[Record], boundary: Record | None) -> str:
    """The name of the run and its numbers at a glance."""
    scores = [record["score/mean"] for record in records if "score/mean" in record][-RECENT:]
    validations = [record for record in records if "validation/mean" in record]
    cards = [("steps", str(records[-1]["step"]))]
    if scores:
        cards.append((f"score, last {len(scores)} steps", f"{sum(scores) / len(scores):.3f}"))
    if validations:
        best = max(validations, key=lambda record: record["validation/mean"])
        cards.append(("validation, last", f"{validations[-1]['validation/mean']:.3f}"))
        cards.append((f"validation, best (step {best['step']})", f"{best['validation/mean']:.3f}"))
    if boundary is not None:
        summary = boundary["summary"]
        cards.append(("levels expanded", f"{len(summary['expanded_levels'])} of {len(boundary['levels'])}"))
    cards.append(("resets", str(sum(event["event"] == "reset" for event in events))))
    cards.append(("tokens generated", compact(sum(record.get("tokens/generated", 0) for record in records))))
    cards.append(("time in steps", duration(sum(record.get("seconds/step", 0) for record in records))))
    body = "".join(f"<div><b>{safe(value)}</b><span>{safe(name)}</span></div>" for name, value in cards)
    return f'<h1>{safe(run_folder.resolve().name)}</h1><div class="cards">{body}</div>'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _chart_section(records: Sequence[Record], marks: Sequence[Mark]) -> str:
    run = math.ceil(len(records) / MAX_POINTS)
    note = (
        '<p><span class="key reset">reset of the reference</span><span class="key">new phase</span>'
        f"{f'Each point is the mean of {run} steps. ' if run > 1 else ''}"
        "The legends give the value of the last point; of the time, the mean.</p>"
    )
    charts = []
    for title, caption, names, high in CHARTS:
        series = [Series(_label(name), _points(records, name)) for name in _names(records, names)]
        charts.append(line_chart(title, caption, series, marks, high=high))
    timed = [record for record in records if any(f"seconds/{part}" in record for part in PARTS)]
    parts = [(part, [record.get(f"seconds/{part}", 0) for record in timed]) for part in PARTS]
    charts.append(
        stacked_chart(
            "Time",
            "Seconds a step, by what they went into.",
            [record["step"] for record in timed],
            [(part, values) for part, values in parts if any(values)],
            marks,
        )
    )
    return f'{note}<div class="charts">{"".join(charts)}</div>'


def _names(records: Sequence[Record], wanted: Sequence[str]) -> list[str]:
    """The metrics of a chart in the order of their first parts, means first; levels are not for charts."""
    present = {name for record in records for name in record if name.count("/") < 2}
    found = [name for name in present if name in wanted or f"{name.partition('/')[0]}/" in wanted]
    return sorted(found, key=lambda name: (not name.endswith("/mean"), name))


def _label(name: str) -> str:
    return "mean" if name.endswith("/mean") else name.rpartition("/")[2]


def _points(records: Sequence[Record], name: str) -> list[tuple[float, float]]:
    return [(record["step"], record[name]) for record in records if name in record]


def _level_section(records: Sequence[Record]) -> str:
    table = level_table(records)
    note = "<p>Task family by level: the score at the last validation, below it the first and the best.</p>"
    return note + table if table else ""


def _boundary_section(result: Record) -> str:
    summary = result["summary"]
    rules = "".join(f"<li><b>{safe(name)}</b>: {safe(rule)}</li>" for name, rule in summary["rules"].items())
    names = ", ".join(summary["expanded_levels"]) or "none"
    note = f"<p>Base against trained, on problems other than those the levels were chosen on. Expanded: {safe(names)}."
    problems, samples = (min(level[name] for level in result["levels"]) for name in ("num_problems", "num_samples"))
    after = f" Measured after step {result['asked']['step']}." if "asked" in result else ""
    drawn = f" Problems a level: {problems}; samples a problem: {samples}.{after}</p>"
    return f"{note}{drawn}{boundary_tables(result)}<details><summary>Rules</summary><ul>{rules}</ul></details>"


def _config_section(path: Path) -> str:
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    return f"<details><summary>config.toml</summary>{text_block(text)}</details>"
