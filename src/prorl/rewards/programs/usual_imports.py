"""Stage 3, rewards: what programs take for granted: `exit`, and the imports around a `class Solution`.

Solutions in the data sets rely on it. No import hides a built-in name, and only what the words of a program ask for is
imported, for each test pays for it anew.
"""

import re

MODULES: dict[str, tuple[str, ...]] = {
    "bisect": ("bisect_left", "bisect_right", "insort", "insort_left", "insort_right"),
    "collections": ("Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"),
    "copy": ("deepcopy",),
    "functools": ("cache", "cmp_to_key", "lru_cache", "partial", "reduce"),
    "heapq": ("heapify", "heappop", "heappush", "heappushpop", "heapreplace", "merge", "nlargest", "nsmallest"),
    "itertools": (
        "accumulate", "chain", "combinations", "cycle", "groupby", "islice", "pairwise", "permutations", "product",
        "takewhile", "zip_longest",
    ),
    "math": ("ceil", "comb", "factorial", "floor", "gcd", "inf", "isqrt", "lcm", "log2", "pi", "sqrt"),
    "operator": ("itemgetter", "xor"),
    "random": ("randint",),
    "re": (),
    "string": ("ascii_lowercase", "ascii_uppercase"),
    "sys": (),
}  # fmt: skip
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def with_usual_imports(source: str) -> str:
    """The program behind one line of what it takes for granted. Of a `Solution` no annotation is evaluated."""
    if "__future__" in source:  # must stay the first statement
        return source
    words = set(_WORD.findall(source))
    statements = _imports(words) if "class Solution" in source else []
    if words & {"exit", "quit"}:
        statements.append("from sys import exit; quit = exit")  # a bare interpreter lacks them
    return f"{'; '.join(statements)}\n{source}" if statements else source


def _imports(words: set[str]) -> list[str]:
    statements = ["from __future__ import annotations"]
    for module, names in MODULES.items():
        used = [name for name in names if name in words]
        if used:
            statements.append(f"from {module} import {', '.join(used)}")
        if module in words:
            statements.append(f"import {module}")
    return statements
