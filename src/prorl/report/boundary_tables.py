"""Tables of the boundary: levels with their verdicts, solved sets, generalisation, settings. Decides no verdict."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from prorl.report.boundary_values import (
    MODELS,
    VERDICTS,
    Entry,
    Span,
    by_family,
    checkpoints_of,
    groups_of,
    interval,
    items,
    name_of,
    number,
    part,
    top_k,
    value,
    whole,
)
from prorl.report.differences import flatten
from prorl.report.escaping import safe
from prorl.report.tables import badge, heat_cell, table

OUTCOMES = (
    ("both", "both"),
    ("trained_only", "trained only"),
    ("expected_trained_only", "expected"),
    ("base_only", "base only"),
    ("expected_base_only", "expected"),
    ("neither", "neither"),
)
MAX_SETTINGS = 200


def ends(found: Span | None) -> str:
    """An interval in words; empty where there is none."""
    return f"{found[0]:.2f} to {found[1]:.2f}" if found else ""


def shares_between(found: Span | None) -> str:
    """An interval of shares, short."""
    return f"{found[0]:.2f}-{found[1]:.2f}" if found else ""


def level_table(result: Entry) -> str:
    """One row a level by family and level; radio buttons, which need no script, choose the verdict that is shown."""
    levels = [level for found in by_family(items(result, "levels")).values() for level in found]
    if not levels:
        return ""
    found = [verdict for verdict in VERDICTS if any(level.get("verdict") == verdict for level in levels)]
    counts = {verdict: sum(level.get("verdict") == verdict for level in levels) for verdict in found}
    radios = '<input type="radio" name="verdict" id="show-all" checked>'
    radios += "".join(f'<input type="radio" name="verdict" id="show-{verdict}">' for verdict in found)
    labels = f'<label for="show-all">all {len(levels)}</label>'
    labels += "".join(f'<label for="show-{verdict}">{verdict} {counts[verdict]}</label>' for verdict in found)
    rows = "".join(_level_row(result, level) for level in levels)
    return f'<div class="filtered">{radios}<div class="choices">{labels}</div>{table(_level_head(), rows)}</div>'


def plain_level_table(result: Entry) -> str:
    """The same rows without the choice."""
    levels = [level for found in by_family(items(result, "levels")).values() for level in found]
    return table(_level_head(), "".join(_level_row(result, level) for level in levels))


def _level_head() -> str:
    over = "".join(f'<th class="over" colspan="2">{name}</th>' for name in ("pass@1", "pass@k", "tolerant pass@k"))
    names = ("base", "trained") * 3
    return (
        f'<th></th><th></th>{over}<th colspan="6"></th></tr><tr><th>level</th><th class="text">verdict</th>'
        + "".join(f"<th>{name}</th>" for name in names)
        + "<th>k</th><th>chance</th><th>problems</th><th>samples</th><th>q</th><th>trained on</th>"
    )


def _level_row(result: Entry, level: Entry) -> str:
    k = top_k(result, level)
    cells = "".join(
        _share_cell(level, role, name) for name in ("pass@1", f"pass@{k}", f"tolerant/pass@{k}") for role in MODELS
    )
    verdict = str(level.get("verdict", ""))
    opened = ' <b class="opened">opened</b>' if level.get("opened") is True else ""
    kind = f"is-{verdict}" if verdict in VERDICTS else "is-other"
    judged = part(level, "test", f"pass@{k}") or part(level, "test", f"pass@{top_k(result)}")
    q = value(judged, "q")
    numbers = [
        str(k),
        _text(value(level, "chance"), "{:.2g}"),
        _count(level, "num_problems"),
        _count(level, "num_samples"),
    ]
    numbers += [_small(q), _yes_or_no(level.get("trained_on"))]
    shown = "".join(f"<td>{text}</td>" for text in numbers)
    reason = f"<small>{safe(str(level['reason']))}</small>" if level.get("reason") else ""
    told = f'<td class="text verdict">{badge(verdict)}{opened}{reason}</td>'
    return f'<tr class="{kind}"><th>{safe(name_of(level))}</th>{told}{cells}{shown}</tr>'


def _share_cell(entry: Entry, role: str, name: str) -> str:
    return heat_cell(number(entry, role, name), small=shares_between(interval(entry, role, name)))


def _yes_or_no(found: object) -> str:
    return ("yes" if found else "no") if isinstance(found, bool) else ""


def _count(entry: Entry, name: str) -> str:
    return _text(value(entry, name), "{:,.0f}")


def _text(found: float | None, form: str) -> str:
    return "" if found is None else form.format(found)


def _small(p: float | None) -> str:
    """A probability; a small one as a bound."""
    return "" if p is None else "&lt;0.001" if p < 0.001 else f"{p:.3f}"


def solved_table(result: Entry) -> str:
    """Problems solved at least once by both, one, or neither model, beside what equal models would show by chance."""
    groups = [entry for scope in ("all", "domain", "family") for entry in groups_of(result, scope)]
    rows = []
    for entry in groups:
        solved = part(entry, "solved")
        if not solved:
            continue
        cells = "".join(
            f"<td>{_text(value(solved, name), '{:,.1f}' if name.startswith('expected') else '{:,.0f}')}</td>"
            for name, _ in OUTCOMES
        )
        cells += f"<td>{_small(value(solved, 'p'))}</td>"
        cells += "".join(heat_cell(value(solved, name)) for name in ("retention", "discovery"))
        rows.append(f"<tr><th>{safe(name_of(entry))}</th>{cells}</tr>")
    head = "<th></th>" + "".join(f"<th>{title}</th>" for _, title in OUTCOMES) + "<th>p</th>"
    return table(f"{head}<th>retention</th><th>discovery</th>", "".join(rows)) if rows else ""


def regime_table(result: Entry) -> str:
    """The regime of each family, with pass@1 and pass@k at every checkpoint."""
    families = [entry for entry in groups_of(result, "family") if part(entry, "regime")]
    roles = ["base", *checkpoints_of(result), "trained"]
    names = ("pass@1", f"pass@{top_k(result)}")
    rows = []
    for entry in families:
        regime = part(entry, "regime")
        cells = "".join(heat_cell(number(entry, role, name)) for name in names for role in roles)
        rows.append(
            f'<tr><th>{safe(name_of(entry))}</th><td class="text">{badge(str(regime.get("verdict", "")))}</td>{cells}'
            f'<td class="text long faint">{safe(str(regime.get("reason", "")))}</td></tr>'
        )
    over = "".join(f'<th class="over" colspan="{len(roles)}">{name}</th>' for name in names)
    heads = "".join(f"<th>{role}</th>" for _ in names for role in roles)
    head = f'<th></th><th></th>{over}<th></th></tr><tr><th></th><th class="text">regime</th>{heads}'
    head += '<th class="text">why</th>'
    return f'<h3 class="group">Regimes</h3>{table(head, "".join(rows))}' if rows else ""


def trained_on_table(result: Entry) -> str:
    """Mean shares of levels that were trained on, and of the others."""
    found = part(result, "summary", "generalisation")
    names = ("pass@1", f"pass@{top_k(result)}")
    rows = []
    for name, title in (("trained_on", "trained on"), ("not_trained_on", "not trained on")):
        entry = part(found, name)
        if whole(entry, "num_levels"):
            cells = "".join(_share_cell(entry, role, share) for share in names for role in MODELS)
            rows.append(f"<tr><th>{title}</th><td>{_count(entry, 'num_levels')}</td>{cells}</tr>")
    over = "".join(f'<th class="over" colspan="2">{name}</th>' for name in names)
    head = f"<th></th><th></th>{over}</tr><tr><th></th><th>levels</th>" + "<th>base</th><th>trained</th>" * 2
    return table(head, "".join(rows)) if rows else ""


def rule_list(result: Entry, names: Sequence[str] | None = None) -> str:
    """The rules in words."""
    rules = part(result, "summary", "rules")
    shown = [(name, rules[name]) for name in (rules if names is None else names) if name in rules]
    body = "".join(f"<li><b>{safe(str(name))}</b>: {safe(str(rule))}</li>" for name, rule in shown)
    return f"<ul>{body}</ul>" if body else ""


def setting_table(found: Mapping[str, Any]) -> str:
    """Names and values, those of inner objects with dots."""
    rows = [
        f'<tr><th>{safe(name)}</th><td class="text long">{safe(shown)}</td></tr>'
        for name, shown in islice(flatten(found), MAX_SETTINGS)
    ]
    return table('<th>setting</th><th class="text">value</th>', "".join(rows)) if rows else ""
