"""The object of `boundary.json` for a terminal: what was gained, what was lost, and how sure that is."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from prorl.terminal import plain

BOLD, GREEN, RED = "1", "32", "31"

Level = Mapping[str, Any]


def headline(result: Mapping[str, Any]) -> str:
    """One line: how many levels were opened, grew and shrank."""
    summary = result["summary"]
    k, verdicts = summary["k"], summary["verdicts"]
    opened, families = len(summary["expanded_levels"]), len(summary["expanded_families"])
    where = f" in {families} famil{'y' if families == 1 else 'ies'}" if opened else ""
    return (
        f"{len(verdicts['expanded'])} of {len(result['levels'])} levels expanded, {opened} of them opened from nothing"
        f"{where}; {len(verdicts['diminished'])} diminished (pass@{k})"
    )


def table(result: Mapping[str, Any], *, colour: bool = False) -> str:
    """The whole: expanded and diminished levels a line each, the rest a line a domain."""
    summary, k = result["summary"], result["summary"]["k"]
    levels = [{**level, "name": plain(level["name"]), "domain": plain(level["domain"])} for level in result["levels"]]
    width = max(len(level["name"]) for level in levels)
    by_verdict: dict[str, list[Level]] = defaultdict(list)
    for level in levels:
        by_verdict[level["verdict"]].append(level)
    opened = [level for level in by_verdict["expanded"] if level["opened"]]
    grown = [level for level in by_verdict["expanded"] if not level["opened"]]
    lines = [_paint("Reasoning boundary", BOLD, colour), headline(result), _overall(result["groups"][0], k), ""]
    sections = {
        f"OPENED  the base solves at most {MAX_TEXT} of it in {k} samples": (opened, GREEN),
        "EXPANDED  pass@k rose, at the largest k at which guessing is seldom right": (grown, GREEN),
        "DIMINISHED  pass@k fell": (by_verdict["diminished"], RED),
    }
    for title, (chosen, code) in sections.items():
        if chosen:
            lines += [_paint(title, code, colour), _head(width), *(_row(level, width) for level in chosen), ""]
    others = [level for level in levels if level["verdict"] not in ("expanded", "diminished")]
    if others:
        lines += [_paint("OTHER LEVELS" if len(others) < len(levels) else "LEVELS", BOLD, colour)]
        lines += [_domain_line(domain, others, k) for domain in sorted({level["domain"] for level in others})]
        reasons = Counter(level["reason"] for level in others if level["verdict"] == "unclear")
        lines += (
            [f"unclear: {', '.join(f'{count} {reason}' for reason, count in reasons.most_common())}"] if reasons else []
        )
    if summary["settings"].get("verifier_errors"):
        lines += [f"verifier errors: {summary['settings']['verifier_errors']} verdicts, counted as not solved"]
    return "\n".join(lines).rstrip() + "\n"


MAX_TEXT = "5 %"


def one_model_table(result: Mapping[str, Any], role: str) -> str:
    """One model's numbers: all, each domain, each family."""
    groups, k = [{**group, "name": plain(group["name"])} for group in result["groups"]], result["summary"]["k"]
    width = max(len(group["name"]) + 2 * (group["scope"] == "family") for group in groups)
    lines = [f"{'':<{width}}  problems  pass@1 (95 %)         {f'pass@{k}':>9}  {'score':>6}  {'cut':>5}"]
    for group in groups:
        numbers, (low, high) = group[role], group["interval"][role]["pass@1"]
        name = ("  " if group["scope"] == "family" else "") + group["name"]
        lines.append(
            f"{name:<{width}}  {group['num_problems']:>8}  {numbers['pass@1']:.3f} ({low:.3f} to {high:.3f})"
            f"{numbers[f'pass@{k}']:>10.3f}  {numbers['mean_score']:>6.3f}  {numbers['truncated']:>5.2f}"
        )
    return "\n".join(lines) + "\n"


def _overall(everything: Level, k: int) -> str:
    parts = []
    for name in dict.fromkeys(("pass@1", f"pass@{k}")):
        low, high = everything["interval"]["change"][name]
        before, after = everything["base"][name], everything["trained"][name]
        parts.append(f"{name} {before:.3f} -> {after:.3f} ({low:+.3f} to {high:+.3f})")
    solved = everything["solved"]
    expected = ""
    if "expected_trained_only" in solved:
        expected = f" ({solved['expected_trained_only']:.0f} by chance)"
    parts.append(
        f"problems only the trained model solves {solved['trained_only']}, only the base {solved['base_only']}"
    )
    return "mean over levels: " + "; ".join(parts) + expected


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _head(width: int) -> str:
    return f"{'':<{width}}  pass@1            {'pass@k':<18} (95 %)              tolerant          k   trained on"


def _row(level: Level, width: int) -> str:
    """pass@k at the k at which the level is judged."""
    base, trained, k = level["base"], level["trained"], level["k"]
    low, high = level["interval"]["change"][f"pass@{k}"]
    cells = [f"{base[name]:.3f} -> {trained[name]:.3f}" for name in ("pass@1", f"pass@{k}", f"tolerant/pass@{k}")]
    return (
        f"{level['name']:<{width}}  {cells[0]:<16}  {cells[1]:<18} {f'({low:+.2f} to {high:+.2f})':<18}  {cells[2]:<16}"
        f"  {k:<3} {'yes' if level['trained_on'] else 'no'}"
    )


def _domain_line(domain: str, others: Sequence[Level], k: int) -> str:
    levels = [level for level in others if level["domain"] == domain]
    verdicts = Counter(level["verdict"] for level in levels)
    kinds = ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items()))
    means = [
        f"pass@{j} {fmean(x['base'][f'pass@{j}'] for x in levels):.2f} -> "
        f"{fmean(x['trained'][f'pass@{j}'] for x in levels):.2f}"
        for j in sorted({1, k})
    ]
    return f"{domain:<12} {kinds}; {', '.join(means)}"
