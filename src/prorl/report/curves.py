"""Which charts the report has over the steps: metrics by name -> series, captions and limits. Draws by `charts.py`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import mode
from typing import Any

from prorl.report.charts import (
    NUM_COLOURS,
    Caption,
    Point,
    Series,
    line_chart,
    run_length,
    stacked_chart,
)
from prorl.report.timeline import Timeline, limits

Record = Mapping[str, Any]

GIB = 2**30
KEPT, MEMORY = "share/kept", "host/GiB"
RATE, SAMPLING_RATE = "generated/over the whole step", "generated/while sampling"
TRAINED_RATE, UPDATE_RATE = "trained/over the whole step", "trained/while updating"
"""What is computed from the records for a chart; no metric has these names."""

OUTCOMES = {"correct": "2", "partial": "5", "wrong": "1", "unparsable": "4", "timeout": "3", "error": "7"}
TIMES = {"rollout": "0", "reward": "4", "update": "2", "sync": "3", "validate": "1", "other": "7"}
"""Parts of a whole and their colours, the same in every report."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Metrics by name or, with a slash at the end, by first part; the least top of the axis; limits of the recipe."""

    caption: Caption
    metrics: tuple[str, ...]
    high: float | None = None
    limits: tuple[tuple[str, float], ...] = ()
    """Options that bound the metric, each with the value that switches it off."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Where the metrics are parts of a whole: their names and colours, in order."""
    is_evened: bool = False
    """Whether a validation counts, so that points are means of whole intervals between validations."""
    is_rare: bool = False
    """Whether it is worth a chart only where some value is not 0."""


SCORE = Caption(
    "Score while training",
    "Mean verifier score of everything that was sampled, by domain, before any filter. 1 is all right.",
    "score",
)
VALIDATION = Caption(
    "Validation",
    "Score on held-out problems, which are never trained on. The thick line is the blend that decides about resets.",
    "score",
)
VERDICTS = Caption(
    "Verdicts",
    "What the verifier said of the sampled answers; the legend has the means over the run.",
    "share of answers",
)
KEPT_GROUPS = Caption(
    "Groups kept",
    "Several answers are sampled to each prompt. Only groups with right and wrong ones teach and are kept; this is "
    "their share. Near 0 most of the sampling is for nothing.",
    "share of groups",
)
REWARD = Caption(
    "Reward of what is trained", "Mean over the kept groups: the score after truncation and length terms.", "reward"
)
OTHER_READING = Caption(
    "Score by the other reading", "Of the same answers, by the reading that nothing is trained on.", "score"
)
ROUNDS = Caption(
    "Sampling rounds", "Rounds until the batch was full or a bound was hit: more where fewer groups teach.", "rounds"
)
TOO_LONG = Caption("Prompts too long", "Dropped because they exceed data.max_prompt_tokens.", "prompts a step")
COUNTS = Caption(
    "Groups",
    "Drawn: sampled. Kept: trained on. Surplus: more than were asked for. Dead after shaping: made flat by a length "
    "or truncation term.",
    "groups a step",
)
LENGTH = Caption("Response length", "Mean length of the answers.", "tokens")
TRUNCATED = Caption("Cut off", "Answers that hit the token limit.", "share of answers")
ENTROPY = Caption(
    "Entropy",
    "How undecided the model is about the next token, at the sampling temperature. At 0 it always says the same and "
    "finds nothing new.",
    "nats a token",
)
KL = Caption(
    "KL from the reference",
    "How far the model has moved from its reference. A reset makes the model its own new reference, which is 0 again.",
    "nats a token",
)
MISMATCH = Caption(
    "Engine mismatch",
    "Sampling and training compute the same probabilities in different programs; KL between the two, best near 0.",
    "nats a token",
)
CLIPPED = Caption(
    "Clipped", "Tokens whose update was held back because the model had moved too far.", "share of tokens"
)
CUT_TERMS = Caption("KL terms cut", "Tokens whose KL term was cut at its bound.", "share of tokens")
WEIGHT = Caption(
    "Importance weight",
    "What corrects for the engine's probabilities, mean over the tokens; 1 where they agree.",
    "weight",
)
SKIPPED = Caption("Updates left out", "Loss or gradient was not finite.", "updates a step")
GRADIENT = Caption("Gradient norm", "Before clipping, mean over the updates of a step.", "norm")
RATE_OF_LEARNING = Caption("Learning rate", "Of the last update of the step.", "rate")
TIME = Caption("Time", "What the seconds of a step went into; the legend has the means over the run.", "seconds a step")
THROUGHPUT = Caption("Tokens sampled", "Response tokens, per second.", "tokens a second")
TRAINED_THROUGHPUT = Caption(
    "Tokens trained", "Response tokens in the loss, per second. The others were dropped.", "tokens a second"
)
MEMORY_USE = Caption("Memory", "Of the main process. A steady climb would be a leak.", "GiB")

LEARNING = (
    Chart(SCORE, ("score/",), 1.0),
    Chart(VALIDATION, ("validation/",), 1.0),
    Chart(OTHER_READING, ("score_other/",), 1.0),
    Chart(VERDICTS, ("outcomes/",), 1.0, parts=OUTCOMES),
    Chart(KEPT_GROUPS, (KEPT,), 1.0),
    Chart(REWARD, ("reward/mean",), 1.0),
    Chart(LENGTH, ("response_length/mean",)),
    Chart(TRUNCATED, ("truncated_fraction",), limits=(("health.max_truncated", 1.0),)),
)
HEALTH = (
    Chart(ENTROPY, ("entropy",), limits=(("health.min_entropy", 0.0),)),
    Chart(KL, ("kl/reference",), limits=(("health.max_kl", 0.0), ("reset.max_kl", 0.0))),
    Chart(MISMATCH, ("kl/engine",), limits=(("health.max_engine_kl", 0.0),)),
    Chart(WEIGHT, ("importance_weight/mean",)),
    Chart(CUT_TERMS, ("kl/clamped_fraction",), is_rare=True),
    Chart(CLIPPED, ("clip_fraction/",)),
    Chart(GRADIENT, ("grad_norm",)),
    Chart(RATE_OF_LEARNING, ("learning_rate",)),
    Chart(SKIPPED, ("updates_skipped",), is_rare=True),
)
COST = (
    Chart(TIME, ("seconds/",), parts=TIMES, is_evened=True),
    Chart(THROUGHPUT, (RATE, SAMPLING_RATE), is_evened=True),
    Chart(TRAINED_THROUGHPUT, (TRAINED_RATE, UPDATE_RATE), is_evened=True),
    Chart(MEMORY_USE, (MEMORY,)),
    Chart(COUNTS, ("groups/",)),
    Chart(ROUNDS, ("rounds",)),
    Chart(TOO_LONG, ("prompts/too_long",), is_rare=True),
)


def curve_section(records: Sequence[Record], timeline: Timeline, recipe: Record) -> str:
    """All charts that have something to show, under what holds for all of them."""
    run = run_length(len(records))
    smoothing = (
        f" Each point is the mean of {run} steps; around a line that is alone, the band is from the lowest to the "
        "highest of them."
        if run > 1
        else ""
    )
    key = "".join(
        f'<span><i class="sign {kind}"></i>{text}</span>'
        for kind, text in (
            ("reset", "reset: the model becomes its own reference"),
            ("phase", "new phase of the recipe"),
            ("resume", "resumed"),
            ("bound", "bound of the recipe"),
        )
    )
    note = f'<p class="keys">{key}</p><p>The legends give the value of the last point.{smoothing}</p>'
    extended = extended_records(records)
    present = chart_names(extended)
    colours = _domain_colours(present)
    groups = []
    for title, charts in (("Learning", LEARNING), ("Health", HEALTH), ("Cost", COST)):
        drawn = "".join(_drawn(chart, extended, present, timeline, recipe, colours) for chart in charts)
        if drawn:
            groups.append(f'<h3 class="group">{title}</h3><div class="charts">{drawn}</div>')
    return note + "".join(groups) if groups else ""


def _drawn(
    chart: Chart,
    records: Sequence[Record],
    present: Collection[str],
    timeline: Timeline,
    recipe: Record,
    colours: Mapping[str, str],
) -> str:
    names = names_of(present, chart.metrics)
    counted = [record for record in records if any(name in record for name in names)]
    if chart.is_rare and not any(record.get(name) for record in counted for name in names):
        return ""
    caption, multiple = chart.caption, _validation_interval(records) if chart.is_evened else 1
    run = run_length(len(counted), multiple)
    if run != run_length(len(counted)):
        caption = replace(caption, text=f"{caption.text} Each point is the mean of {run} steps here.")
    if chart.parts:
        parts = _parts(chart, names, counted)
        steps = [record["step"] for record in counted]
        return stacked_chart(caption, steps, parts, timeline, high=chart.high, multiple=multiple)
    bounds = [limit for key, off in chart.limits for limit in limits(recipe, timeline, key, off=off)]
    series = [
        Series(label(name), points_of(records, name, is_rare=chart.is_rare), _colour(name, number, len(names), colours))
        for number, name in enumerate(names)
    ]
    return line_chart(caption, series, timeline, high=chart.high, limits=bounds, multiple=multiple)


def extended_records(records: Sequence[Record]) -> list[Record]:
    """The records with what is computed from each of them for the charts."""
    return [{**record, **_derived(record)} for record in records]


def _derived(record: Record) -> dict[str, float]:
    """What the charts show and no metric says, where it can be said."""
    found: dict[str, float] = {}
    for name, part, whole in (
        (KEPT, "groups/kept", "groups/drawn"),
        (RATE, "tokens/generated", "seconds/step"),
        (SAMPLING_RATE, "tokens/generated", "seconds/rollout"),
        (TRAINED_RATE, "tokens/trained", "seconds/step"),
        (UPDATE_RATE, "tokens/trained", "seconds/update"),
    ):
        if part in record and record.get(whole, 0) > 0:
            found[name] = record[part] / record[whole]
    if "memory/host_bytes" in record:
        found[MEMORY] = record["memory/host_bytes"] / GIB
    if "seconds/step" in record:
        parts = sum(record.get(f"seconds/{part}", 0.0) for part in TIMES)
        found["seconds/other"] = max(record["seconds/step"] - parts, 0.0)
    return found


def _validation_interval(records: Sequence[Record]) -> int:
    """Records from one validation to the next, as most of them are apart; 1 where there are none."""
    validated = [number for number, record in enumerate(records) if "seconds/validate" in record]
    gaps = [after - before for before, after in pairwise(validated)]
    return mode(gaps) if gaps else 1


def _parts(chart: Chart, names: Sequence[str], records: Sequence[Record]) -> list[tuple[str, str, list[float]]]:
    """Name, colour and values; a part that is nowhere is left out, and one that is not known comes last."""
    order = {part: number for number, part in enumerate(chart.parts)}
    found = [
        (label(name), chart.parts.get(label(name), "6"), [record.get(name, 0.0) for record in records])
        for name in names
        if name != "seconds/step"
    ]
    found.sort(key=lambda part: (order.get(part[0], len(order)), part[0]))
    return [part for part in found if any(part[2])]


def chart_names(records: Sequence[Record]) -> set[str]:
    """Every name in the records that a chart may show; levels are not for charts."""
    return {name for name in {name for record in records for name in record} if name.count("/") < 2}


def names_of(present: Collection[str], wanted: Sequence[str]) -> list[str]:
    """The metrics of a chart, means first."""
    found = [name for name in present if name in wanted or f"{name.partition('/')[0]}/" in wanted]
    return sorted(found, key=lambda name: (not name.endswith("/mean"), name))


def _domain_colours(present: Collection[str]) -> dict[str, str]:
    """A domain has one colour in all charts."""
    names = names_of(present, ("score/", "validation/"))
    domains = sorted({label(name) for name in names} - {"mean"})
    return {domain: str(number % NUM_COLOURS) for number, domain in enumerate(domains)}


def _colour(name: str, number: int, num_lines: int, colours: Mapping[str, str]) -> str:
    if name.endswith("/mean") and num_lines > 1:
        return "mean"
    if name.startswith(("score/", "score_other/", "validation/")):
        return colours.get(label(name), "0")
    return str(number % NUM_COLOURS)


def label(name: str) -> str:
    """What the legend says of a metric."""
    known = {KEPT: "kept", "response_length/mean": "mean length", "kl/reference": "KL", "kl/engine": "KL"}
    if name in known:
        return known[name]
    return "mean" if name.endswith("/mean") else name.rpartition("/")[2].replace("_", " ")


def points_of(records: Sequence[Record], name: str, *, is_rare: bool = False) -> list[Point]:
    """Where a metric was recorded; what is rare is 0 where it was not."""
    return [(record["step"], record.get(name, 0.0)) for record in records if is_rare or name in record]
