"""`report.html`: one self-contained page of a run, from the files in its folder. Measures nothing and needs no network.

What models wrote is on the page, and it is hostile: every text from a file is escaped, there is no script, and the
page's own policy forbids any.
"""

from pathlib import Path

from prorl.durable import replace_file
from prorl.report.boundary import boundary_section
from prorl.report.curves import curve_section
from prorl.report.escaping import safe
from prorl.report.folder import RunFolder, read_run
from prorl.report.levels import level_section
from prorl.report.samples import sample_section
from prorl.report.style import STYLE
from prorl.report.tables import event_table, phase_table
from prorl.report.timeline import Timeline, make_timeline
from prorl.terminal import compact, duration

RECENT = 10
"""Steps of the mean score at the top."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into a run's folder; optional files of the folder that are missing are left out."""
    run = read_run(run_folder)
    timeline = make_timeline(run.records, run.events, run.recipe)
    sections = [
        ("levels", "Validation by level", level_section(run.records, timeline)),
        ("boundary", "Reasoning boundary", boundary_section(run.boundary, timeline) if run.boundary else ""),
        ("steps", "Over the steps", curve_section(run.records, timeline, run.recipe)),
        ("phases", "Phases", phase_table(timeline)),
        ("events", "Events", event_table(run.events)),
        ("samples", "Sample rollouts", sample_section(run_folder / "samples.jsonl", timeline)),
        ("recipe", "Recipe", _recipe(run.config)),
    ]
    present = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in present)
    body = "".join(f'<section id="{name}"><h2>{title}</h2>{content}</section>' for name, title, content in present)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{safe(run.name)}</title><style>{STYLE}</style></head>"
        f"<body>{_head(run, timeline)}<nav>{links}</nav>{body}</body></html>\n"
    )
    path = run_folder / "report.html"
    replace_file(path, [page.encode()])
    return path


def _head(run: RunFolder, timeline: Timeline) -> str:
    """The name of the run and its numbers at a glance."""
    scores = [record["score/mean"] for record in run.records if "score/mean" in record][-RECENT:]
    validations = [(record["validation/mean"], record["step"]) for record in run.records if "validation/mean" in record]
    cards = [(_planned(run), f"{timeline.last:,}")]
    if scores:
        cards.append((f"training score, last {len(scores)} steps", f"{sum(scores) / len(scores):.3f}"))
    if validations:
        best = max(validations, key=lambda pair: pair[0])
        cards.append((f"validation, first (step {validations[0][1]})", f"{validations[0][0]:.3f}"))
        cards.append((f"validation, best (step {best[1]})", f"{best[0]:.3f}"))
        cards.append((f"validation, last (step {validations[-1][1]})", f"{validations[-1][0]:.3f}"))
    if run.boundary:
        expanded = sum(level.get("verdict") == "expanded" for level in run.boundary["levels"])
        cards.append((f"of {len(run.boundary['levels'])} levels expanded", str(expanded)))
    cards.append(("resets", str(sum(event["event"] == "reset" for event in run.events))))
    cards.append(("tokens generated", compact(sum(record.get("tokens/generated", 0) for record in run.records))))
    cards.append(("time in steps", duration(sum(record.get("seconds/step", 0) for record in run.records))))
    body = "".join(f"<div><b>{safe(value)}</b><span>{safe(name)}</span></div>" for name, value in cards)
    return f'<h1>{safe(run.name)}</h1><div class="cards">{body}</div>'


def _planned(run: RunFolder) -> str:
    train = run.recipe.get("train")
    steps = train.get("steps") if isinstance(train, dict) else None
    return f"of {steps:,} steps" if isinstance(steps, int) else "steps"


def _recipe(config: str) -> str:
    return f"<details><summary>config.toml, every option</summary><pre>{safe(config)}</pre></details>" if config else ""
