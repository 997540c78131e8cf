"""`report.html`: one self-contained page of a run, from the files in its folder. Measures nothing and needs no network.

What models wrote is on the page, and it is hostile: every text from a file is escaped, and the page's own policy
forbids every script but the one that turns over its sample rollouts.
"""

from pathlib import Path

from prorl.report.boundary import boundary_section
from prorl.report.curves import curve_section
from prorl.report.document import cards, document, write_page
from prorl.report.environment import environment_section
from prorl.report.escaping import safe
from prorl.report.folder import RunFolder, planned_steps, read_run
from prorl.report.levels import level_section
from prorl.report.samples import sample_section
from prorl.report.tables import event_table, phase_table
from prorl.report.timeline import Timeline, make_timeline
from prorl.terminal import compact, duration

RECENT = 10
"""Steps of the mean score at the top."""


def write_report(run_folder: Path, *, refresh: int = 0) -> Path:
    """Write `report.html` into a run's folder; optional files of the folder that are missing are left out.

    With a `refresh` above 0 a browser that shows the page reads it again every so many seconds.
    """
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
        ("environment", "Environment", environment_section(run.starts, run.recipe)),
    ]
    page = document(
        run.name, _head(run, timeline, refresh), sections, kind="prorl report", has_script=True, refresh=refresh
    )
    path = run_folder / "report.html"
    write_page(path, page)
    return path


def _head(run: RunFolder, timeline: Timeline, refresh: int) -> str:
    """The name of the run and its numbers at a glance."""
    scores = [record["score/mean"] for record in run.records if "score/mean" in record][-RECENT:]
    validations = [(record["validation/mean"], record["step"]) for record in run.records if "validation/mean" in record]
    values = [(_planned(run), f"{timeline.last:,}")]
    if scores:
        values.append((f"training score, last {len(scores)} steps", f"{sum(scores) / len(scores):.3f}"))
    if validations:
        best = max(validations, key=lambda pair: pair[0])
        values.append((f"validation, first (step {validations[0][1]})", f"{validations[0][0]:.3f}"))
        values.append((f"validation, best (step {best[1]})", f"{best[0]:.3f}"))
        values.append((f"validation, last (step {validations[-1][1]})", f"{validations[-1][0]:.3f}"))
    if run.boundary:
        expanded = sum(level.get("verdict") == "expanded" for level in run.boundary["levels"])
        values.append((f"of {len(run.boundary['levels'])} levels expanded", str(expanded)))
    values.append(("resets", str(sum(event["event"] == "reset" for event in run.events))))
    values.append(("tokens generated", compact(sum(record.get("tokens/generated", 0) for record in run.records))))
    values.append(("time in steps", duration(sum(record.get("seconds/step", 0) for record in run.records))))
    live = f"<p>The run goes on: this page reads itself again every {refresh} s.</p>" if refresh else ""
    return f"<h1>{safe(run.name)}</h1>{live}{cards(values)}"


def _planned(run: RunFolder) -> str:
    steps = planned_steps(run)
    return "steps" if steps is None else f"of {steps:,} steps"


def _recipe(config: str) -> str:
    return f"<details><summary>config.toml, every option</summary><pre>{safe(config)}</pre></details>" if config else ""
