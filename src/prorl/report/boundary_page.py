"""`boundary.html`: one self-contained page of a measured boundary. Measures nothing, decides no verdict.

There is no script and no network; the page's own policy forbids both, and every text from the file is escaped.
"""

from pathlib import Path

from prorl.durable import replace_file
from prorl.report.boundary_curves import along_section, crossing_text, curve_section, generalisation_section
from prorl.report.boundary_distribution import distribution_section, gain_section
from prorl.report.boundary_objections import novelty_section, objection_section
from prorl.report.boundary_tables import (
    ends,
    level_table,
    regime_table,
    rule_list,
    setting_table,
    solved_table,
    trained_on_table,
)
from prorl.report.boundary_values import (
    MODELS,
    VERDICTS,
    Entry,
    Span,
    counts_of_verdicts,
    groups_of,
    interval,
    items,
    number,
    opened,
    part,
    span,
    top_k,
    value,
)
from prorl.report.escaping import safe
from prorl.report.style import FILTER, STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
TITLE = "Reasoning boundary"
TEXTS = {
    "curves": "pass@k is the share of problems that at least one of k samples solves: at k = 1 how reliable a model "
    "is, at a large k what it can reach at all. Where the base's curve lies above the trained model's at large k, "
    "training lost problems that the base could solve.",
    "levels": "One row a level. Small numbers are 95 % intervals over problems. pass@k is read at the k of its row: "
    "it is smaller where guessing would solve every problem at the largest one. q: the p-value of the change of pass@k "
    "after correction for the number of levels.",
    "solved": "Which problems each model solved at least once. Expected: how many two equal models would differ by, "
    "with so many samples; only what is above it is a difference. Retention: share of what the base solved that the "
    "trained model solves. Discovery: share of what the base did not solve that the trained model solves.",
    "distribution": "How many problems have which pass@1.",
    "gain": "Where the base is weak there is most to gain.",
    "along": "The same measurement at checkpoints on the way; step 0 is the base.",
    "generalisation": "Levels that training never saw show whether what was learnt carries over.",
    "settings": "How the samples were drawn and judged, and every rule in words.",
}


def write_boundary_page(result: Entry, folder: Path) -> Path:
    """Write `boundary.html` into a folder that exists, from the object of `boundary.json`, versions 1 and 2.

    Sections whose numbers are absent are left out.
    """
    path = folder / "boundary.html"
    replace_file(path, [boundary_page(result).encode()])
    return path


def boundary_page(result: Entry) -> str:
    """The page as text."""
    k = top_k(result)
    sections = (
        ("curves", "pass@k", curve_section(result)),
        ("levels", "Levels and verdicts", level_table(result)),
        ("solved", "Solved problems", solved_table(result)),
        ("distribution", "Distribution of pass@1", distribution_section(result)),
        ("gain", f"Gain against the base's pass@{k}", gain_section(result)),
        ("along", "Along the run", along_section(result) + regime_table(result)),
        ("generalisation", "Generalisation", trained_on_table(result) + generalisation_section(result)),
        ("objections", "Objections", objection_section(result)),
        ("novelty", "Novelty", novelty_section(result)),
        ("settings", "Settings and rules", _settings(result)),
    )
    present = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in present)
    body = "".join(
        f'<section id="{name}"><h2>{title}</h2>{_told(name)}{content}</section>' for name, title, content in present
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{TITLE}</title><style>{STYLE}{FILTER}</style></head>"
        f"<body>{_answer(result)}<nav>{links}</nav>{body}</body></html>\n"
    )


def headline(result: Entry) -> str:
    """The answer in one or two sentences, from what the file has."""
    counts = counts_of_verdicts(result)
    total = len(items(result, "levels"))
    from_nothing = opened(result)
    words = f"{counts.get('expanded', 0)} of {total} levels expanded"
    words += f", {from_nothing} of them from nothing" if from_nothing is not None else ""
    words += f"; {counts.get('diminished', 0) + counts.get('lost', 0)} diminished. "
    every = groups_of(result, "all")
    if every:
        name = f"pass@{top_k(result)}"
        parts = [text for text in (_moved(every[0], "pass@1"), _moved(every[0], name)) if text]
        words += f"Over all problems {' and '.join(parts)}. " if parts else ""
        crossing = crossing_text(every[0])
        words += f"The curves cross: {crossing}. " if crossing else ""
    return words.strip()


def _moved(entry: Entry, name: str) -> str:
    """`pass@1 rose from 0.20 to 0.50`: a change has a direction only where its interval leaves out 0."""
    before, after = (number(entry, role, name) for role in MODELS)
    if before is None or after is None:
        return ""
    change = interval(entry, "change", name)
    word = "went"
    if change is not None:
        word = "rose" if change[0] > 0 else "fell" if change[1] < 0 else "did not change clearly,"
    within = f" (95 % of the change: {change[0]:+.2f} to {change[1]:+.2f})" if change is not None else ""
    return f"{name} {word} from {before:.2f} to {after:.2f}{within}"


def _answer(result: Entry) -> str:
    """The name of the page, the headline, and the cards."""
    paths = [part(result, "summary", "settings", "models", role).get("path") for role in MODELS]
    models = f"{paths[0]} against {paths[1]}" if all(isinstance(path, str) for path in paths) else ""
    cards = [*_verdict_cards(result), *_share_cards(result), *_solved_cards(result)]
    body = "".join(
        f'<div class="{kind}"><b>{figure}</b><span>{safe(name)}</span><small>{safe(small)}</small></div>'
        for kind, figure, name, small in cards
    )
    about = f"<p>{safe(models)}</p>" if models else ""
    told = f'<p class="headline">{safe(headline(result))}</p>'
    return f'<h1>{TITLE}</h1>{about}{told}<div class="cards wide-cards">{body}</div>'


def _verdict_cards(result: Entry) -> list[tuple[str, str, str, str]]:
    """Class, figure, name and small print of each verdict that the version of the file has."""
    counts = counts_of_verdicts(result)
    named = part(result, "summary", "verdicts")
    total = len(items(result, "levels"))
    cards = []
    for verdict in VERDICTS:
        if verdict in counts or verdict in named:
            small = f"of {total} levels"
            from_nothing = opened(result)
            if verdict == "expanded" and from_nothing is not None:
                small = f"of {total} levels, {from_nothing} opened from nothing"
            cards.append((verdict, str(counts.get(verdict, 0)), f"levels {verdict}", small))
    return cards


def _share_cards(result: Entry) -> list[tuple[str, str, str, str]]:
    cards = []
    for entry in groups_of(result, "all")[:1]:
        for name in dict.fromkeys(("pass@1", f"pass@{top_k(result)}")):
            before, after = (number(entry, role, name) for role in MODELS)
            if before is not None and after is not None:
                small = _pair_of_ends([interval(entry, role, name) for role in MODELS])
                cards.append(("", f"{before:.2f} &#8594; {after:.2f}", f"{name} of all problems", small))
    return cards


def _pair_of_ends(spans: list[Span | None]) -> str:
    return f"{ends(spans[0])} and {ends(spans[1])}" if all(spans) else ""


def _solved_cards(result: Entry) -> list[tuple[str, str, str, str]]:
    cards = []
    for entry in groups_of(result, "all")[:1]:
        for role in ("trained", "base"):
            count, expected = (value(entry, "solved", f"{kind}{role}_only") for kind in ("", "expected_"))
            if count is not None:
                small = f"{expected:.1f} expected of equal models" if expected is not None else ""
                cards.append(("", f"{count:,.0f}", f"problems solved by {role} only", small))
    found = part(result, "summary", "correlation")
    pearson, within = value(found, "pearson"), span(found, "interval", "pearson")
    if pearson is not None:
        cards.append(("", f"{pearson:.2f}", f"correlation of gain with base pass@{top_k(result)}", ends(within)))
    return cards


def _settings(result: Entry) -> str:
    settings = part(result, "summary", "settings")
    return setting_table(settings) + rule_list(result)


def _told(name: str) -> str:
    return f"<p>{safe(TEXTS[name])}</p>" if name in TEXTS else ""
