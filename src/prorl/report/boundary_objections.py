"""What may speak against a boundary, as tables: verifiers, form, repetition, settings, novelty. Measures nothing."""

from collections.abc import Sequence

from prorl.report.boundary_tables import ends, shares_between
from prorl.report.boundary_values import (
    MODELS,
    Entry,
    counts_of_verdicts,
    groups_of,
    interval,
    items,
    name_of,
    number,
    part,
    span,
    top_k,
    value,
)
from prorl.report.escaping import safe
from prorl.report.tables import heat_cell, table

MAX_KINDS = 6
MAX_LENGTHS = 12


def objection_section(result: Entry) -> str:
    """Every objection that the file has numbers for."""
    parts = (
        ("Does the verifier accept what is wrong?", _audit(result)),
        ("Is it only the form of the answer?", _form(result)),
        ("Are the samples different ones?", _repetition(result)),
        ("Do the sampling settings decide it?", _settings(result)),
        ("What do the intervals assume?", _assumptions(result)),
    )
    return "".join(f'<h3 class="group">{title}</h3>{content}' for title, content in parts if content)


def _audit(result: Entry) -> str:
    families = part(result, "audit", "by_family")
    if not families:
        return ""
    rows = "".join(_audit_row(str(name), part(families, name)) for name in sorted(families))
    head = (
        '<th></th><th>gold</th><th>junk</th><th class="text">kinds of junk accepted</th>'
        '<th class="over" colspan="2">answers to another problem</th>'
        '<th class="over" colspan="2">tolerant only, of all samples</th></tr><tr><th>family</th><th>accepted</th>'
        "<th>accepted</th><th></th>" + "<th>base</th><th>trained</th>" * 2
    )
    return (
        "<p>Gold: the reference answer must be accepted. Junk: empty, nonsensical and echoed answers must not be. "
        "Answers to another problem: answers of the models judged against a problem they were not given for; the share "
        "accepted is what guessing gives. Tolerant only: right in the tolerant reading and wrong in the strict one.</p>"
        + table(head, rows)
    )


def _audit_row(name: str, audit: Entry) -> str:
    gold, junk = part(audit, "gold"), part(audit, "junk")
    kinds = [(str(kind), value(junk, "kinds", kind)) for kind in part(junk, "kinds")]
    accepted = [f"{kind} {count:.0f}" for kind, count in kinds if count][:MAX_KINDS]
    cells = f"<td{_bad(gold, wanted=True)}>{_of(gold)}</td><td{_bad(junk, wanted=False)}>{_of(junk)}</td>"
    cells += f'<td class="text long">{safe(", ".join(accepted))}</td>'
    cells += "".join(heat_cell(value(audit, "shuffled", role, "rate")) for role in MODELS)
    cells += "".join(f"<td>{_tolerant_only(part(audit, 'agreement', role))}</td>" for role in MODELS)
    return f"<tr><th>{safe(name)}</th>{cells}</tr>"


def _of(counts: Entry) -> str:
    accepted, total = value(counts, "accepted"), value(counts, "of")
    return "" if accepted is None or total is None else f"{accepted:,.0f} of {total:,.0f}"


def _bad(counts: Entry, *, wanted: bool) -> str:
    """Marks a cell whose count is not what it has to be."""
    accepted, total = value(counts, "accepted"), value(counts, "of")
    is_bad = accepted is not None and accepted != (total if wanted else 0)
    return ' class="alarm strong"' if is_bad else ""


def _tolerant_only(agreement: Entry) -> str:
    counts = [value(agreement, name) for name in ("both", "strict_only", "tolerant_only", "neither")]
    known = [count for count in counts if count is not None]
    only = value(agreement, "tolerant_only")
    return f"{only / sum(known):.3f}" if only is not None and len(known) == 4 and sum(known) > 0 else ""


def _role_table(result: Entry, columns: Sequence[tuple[str, str, str]], text: str) -> str:
    """Base and trained by group; columns are the name of a share, its title, and how it is written (`{}` or heat)."""
    groups = [entry for scope in ("all", "domain", "family") for entry in groups_of(result, scope)]
    present = [
        column
        for column in columns
        if any(number(entry, role, column[0]) is not None for entry in groups for role in MODELS)
    ]
    if not present:
        return ""
    rows = []
    for entry in groups:
        cells = ""
        for name, _, form in present:
            for role in MODELS:
                found = number(entry, role, name)
                cells += f"<td>{'' if found is None else form.format(found)}</td>" if form else heat_cell(found)
        rows.append(f"<tr><th>{safe(name_of(entry))}</th>{cells}</tr>")
    head = "<th></th>" + "".join(f'<th class="over" colspan="2">{title}</th>' for _, title, _ in present)
    head += "</tr><tr><th></th>" + "<th>base</th><th>trained</th>" * len(present)
    return f"<p>{text}</p>{table(head, ''.join(rows))}"


def _form(result: Entry) -> str:
    k = top_k(result)
    columns = [("well_formed", "well-formed", ""), ("truncated", "cut off", "")]
    columns += [(f"pass@{k}", f"pass@{k}, strict", ""), (f"tolerant/pass@{k}", f"pass@{k}, tolerant", "")]
    text = (
        "What the base would gain if the form of its answers did not matter is the tolerant column less the strict one."
    )
    return _role_table(result, columns, text)


def _repetition(result: Entry) -> str:
    columns = (
        ("distinct_texts", "different texts, share", ""),
        ("answer_entropy", "entropy of the answers", "{:.2f}"),
        ("mean_tokens", "tokens a sample", "{:.1f}"),
    )
    return _role_table(result, columns, "A model that repeats itself gains little from more samples.")


def _settings(result: Entry) -> str:
    others = items(result, "other_settings")
    if not others:
        return ""
    rows = _setting_row("this measurement", part(result, "summary", "settings"), result, top_k(result))
    for other in others:
        rows += _setting_row(str(other.get("name", "")), part(other, "settings"), other, top_k(result))
    names = ("pass@1", f"pass@{top_k(result)}")
    over = "".join(f'<th class="over" colspan="2">{name}</th>' for name in names)
    head = f'<th></th><th></th>{over}<th></th></tr><tr><th>settings</th><th class="text">sampling</th>'
    head += "<th>base</th><th>trained</th>" * 2 + '<th class="text">verdicts of levels</th>'
    return table(head, rows)


def _setting_row(name: str, settings: Entry, measured: Entry, k: int) -> str:
    words = [
        f"{title} {found:g}"
        for key, title in (("samples", "samples"), ("temperature", "temperature"), ("top_p", "top-p"))
        if (found := value(settings, key)) is not None
    ]
    every = groups_of(measured, "all")
    cells = "".join(
        heat_cell(number(every[0], role, share), small=shares_between(interval(every[0], role, share)))
        if every
        else "<td></td>"
        for share in ("pass@1", f"pass@{k}")
        for role in MODELS
    )
    verdicts = ", ".join(f"{verdict} {count}" for verdict, count in counts_of_verdicts(measured).items())
    return (
        f'<tr><th>{safe(name)}</th><td class="text">{safe(", ".join(words))}</td>{cells}'
        f'<td class="text long">{safe(verdicts)}</td></tr>'
    )


def _assumptions(result: Entry) -> str:
    """The change of each share with both kinds of interval."""
    groups = [entry for scope in ("all", "domain", "family") for entry in groups_of(result, scope)]
    names = ("pass@1", f"pass@{top_k(result)}")
    rows = []
    for entry in groups:
        cells = "".join(_change_cells(entry, name) for name in names)
        if cells.replace("<td></td>", ""):
            rows.append(f"<tr><th>{safe(name_of(entry))}</th>{cells}</tr>")
    head = "<th></th>" + "".join(f'<th class="over" colspan="3">change of {name}</th>' for name in names)
    head += "</tr><tr><th></th>" + "<th>measured</th><th>other problems</th><th>other samples</th>" * len(names)
    text = (
        "<p>The verdicts rest on intervals over problems: they say what other problems drawn in the same way would "
        "show. Intervals over samples say what the same problems would show with other samples. Neither says anything "
        "about other prompts, other kinds of problems, or a second training.</p>"
    )
    return text + table(head, "".join(rows)) if rows else ""


def _change_cells(entry: Entry, name: str) -> str:
    before, after = (number(entry, role, name) for role in MODELS)
    measured = "" if before is None or after is None else f"{after - before:+.3f}"
    spans = [span(entry, kind, "change", name) for kind in ("interval", "sample_interval")]
    told = ["" if found is None else f"{found[0]:+.3f} to {found[1]:+.3f}" for found in spans]
    if not any(told):
        return "<td></td>" * 3
    return "".join(f"<td>{text}</td>" for text in (measured, *told))


def novelty_section(result: Entry) -> str:
    """How much of what the models write is not in a corpus, and how likely the base finds it."""
    novelty = part(result, "novelty")
    roles = sorted({*part(novelty, "roles"), *part(novelty, "base_logprob")}, key=_place)
    if not roles:
        return ""
    rows = []
    for role in roles:
        measured, likely = part(novelty, "roles", role), part(novelty, "base_logprob", role)
        cells = [
            _with_ends(measured, "index"),
            _with_ends(likely, "mean_per_token"),
            _plain(value(measured, "num_texts")),
        ]
        rows.append(f"<tr><th>{safe(_role_name(role))}</th>{''.join(cells)}</tr>")
    head = "<th></th><th>novelty index</th><th>log-probability of a token under the base, nats</th><th>texts</th>"
    corpus, unit = safe(str(novelty.get("corpus", "a corpus"))), safe(str(novelty.get("unit", "token")))
    shortest = value(novelty, "min_length")
    passages = f"passages of at least {shortest:g} {unit}s" if shortest is not None else "passages"
    return (
        f"<p>Against {corpus}: the index grows with the share of a text that no {passages} found there cover.</p>"
        f"{table(head, ''.join(rows))}{_coverage(novelty, unit)}"
    )


def _coverage(novelty: Entry, unit: str) -> str:
    coverage = part(novelty, "coverage")
    lengths = sorted({int(length) for role in coverage for length in part(coverage, role) if str(length).isdecimal()})
    if not lengths:
        return ""
    step = -(-len(lengths) // MAX_LENGTHS)
    shown = lengths[::step]
    rows = "".join(
        f"<tr><th>{safe(_role_name(role))}</th>"
        + "".join(heat_cell(value(coverage, role, str(length))) for length in shown)
        + "</tr>"
        for role in sorted(coverage, key=_place)
    )
    head = "<th></th>" + "".join(f"<th>{length}</th>" for length in shown)
    return f"<p>Share of a text covered by passages of at least so many {unit}s:</p>{table(head, rows)}"


def _with_ends(measured: Entry, name: str) -> str:
    found = value(measured, name)
    within = ends(span(measured, "interval"))
    return "<td></td>" if found is None else f"<td>{found:.2f}{f'<small> {within}</small>' if within else ''}</td>"


def _plain(found: float | None) -> str:
    return f"<td>{'' if found is None else f'{found:,.0f}'}</td>"


def _role_name(role: str) -> str:
    return role if role in MODELS else f"step {role}"


def _place(role: str) -> tuple[int, int, str]:
    """The base, checkpoints by step, the trained model, and what else there may be."""
    if role.isdecimal():
        return (1, int(role), role)
    return ({"base": 0, "trained": 2}.get(role, 3), 0, role)
