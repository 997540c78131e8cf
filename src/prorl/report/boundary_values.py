"""Numbers out of `boundary.json`, versions 1 and 2: what is absent or no finite number is None. Draws nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]
"""A level or a group of levels, with a part for each role."""
Span = tuple[float, float]

MODELS = ("base", "trained")
VERDICTS = ("expanded", "gained", "diminished", "lost", "sharpened", "unchanged", "unsolved", "unclear")
"""Those of both versions, in the order they are shown; `gained` and `lost` are of version 1."""
MAX_CHECKPOINTS = 4
"""More checkpoints than this are too many for one drawing."""


def part(entry: object, *names: str) -> Mapping[str, Any]:
    """The object at a path of names; an empty one where there is none."""
    for name in names:
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry if isinstance(entry, dict) else {}


def items(entry: object, name: str) -> list[Mapping[str, Any]]:
    """The objects of a list by its name; none where there is no list."""
    found = entry.get(name) if isinstance(entry, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def finite(value: object) -> float | None:
    """A finite number as it is; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def value(entry: object, *path: str) -> float | None:
    """The number at a path of names."""
    return finite(part(entry, *path[:-1]).get(path[-1]))


def whole(entry: object, *path: str) -> int | None:
    """The whole number at a path of names."""
    found = value(entry, *path)
    return int(found) if found is not None and found == int(found) else None


def span(entry: object, *path: str) -> Span | None:
    """The interval at a path of names: two finite numbers."""
    found = part(entry, *path[:-1]).get(path[-1])
    if not isinstance(found, list | tuple) or len(found) != 2:
        return None
    low, high = finite(found[0]), finite(found[1])
    return None if low is None or high is None else (low, high)


def number(entry: Entry, role: str, name: str) -> float | None:
    """What was measured of a role, which is `base`, `trained`, `model`, or the step of a checkpoint."""
    return value(entry, "checkpoints", role, name) if role.isdigit() else value(entry, role, name)


def interval(entry: Entry, role: str, name: str) -> Span | None:
    """95 % over problems, of a role or of the `change`."""
    return span(entry, "interval", role, name)


def top_k(result: Entry, entry: Entry | None = None) -> int:
    """The greatest k of the measurement, or that at which a level is judged."""
    own = whole(entry, "k") if entry is not None else None
    return own or whole(result, "summary", "k") or 1


def ks_of(result: Entry) -> list[int]:
    """Every k of the measurement, rising; of version 1 those that its levels have."""
    found = part(result, "summary").get("ks")
    if isinstance(found, list):
        return sorted({k for k in found if isinstance(k, int) and k > 0})
    names = {name for level in items(result, "levels") for name in part(level, "base")}
    return sorted({int(name[5:]) for name in names if name.startswith("pass@") and name[5:].isdecimal()})


def checkpoints_of(result: Entry) -> list[str]:
    """The checkpoints on the way by rising step, as the names of their roles."""
    found = part(result, "summary").get("checkpoints")
    steps = {step for step in found if isinstance(step, int)} if isinstance(found, list) else set()
    return [str(step) for step in sorted(steps)]


def some_of(names: Sequence[str], most: int = MAX_CHECKPOINTS) -> list[str]:
    """At most so many of a list, evenly spread, with its last one."""
    if len(names) <= most:
        return list(names)
    return [names[round((place + 1) * len(names) / most) - 1] for place in range(most)]


def groups_of(result: Entry, scope: str) -> list[Entry]:
    """The entries of a scope, `all`, `domain` or `family`, by name."""
    found = [entry for entry in items(result, "groups") if entry.get("scope") == scope]
    return sorted(found, key=name_of)


def name_of(entry: Entry) -> str:
    """`sort/7` for a level, else the name of the group."""
    if "name" in entry:
        return str(entry["name"])
    return f"{entry['family']}/{entry['level']}" if "level" in entry else str(entry.get("family", ""))


def by_family(levels: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Levels of each family by rising level, families by name."""
    families: dict[str, list[Entry]] = {}
    for level in sorted(levels, key=lambda level: (str(level.get("family", "")), level_of(level))):
        families.setdefault(str(level.get("family", "")), []).append(level)
    return families


def level_of(entry: Entry) -> int:
    """The level's number; 0 where it has none."""
    return whole(entry, "level") or 0


def counts_of_verdicts(result: Entry) -> dict[str, int]:
    """How many levels have each verdict that occurs, in the order they are shown."""
    found = [str(level.get("verdict", "")) for level in items(result, "levels")]
    known = {verdict: found.count(verdict) for verdict in VERDICTS}
    return {verdict: count for verdict, count in known.items() if count}


def opened(result: Entry) -> int | None:
    """Expanded levels that the base did not solve at all; None where the file does not say."""
    levels = [level for level in items(result, "levels") if isinstance(level.get("opened"), bool)]
    return sum(level["opened"] for level in levels) if levels else None
