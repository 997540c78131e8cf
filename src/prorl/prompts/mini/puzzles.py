"""Logic families: sorting, following a chain, colouring a graph."""

import itertools
import math
import random

from prorl.prompts.mini.problem import Family, Problem, labels

COLORS = "123"


def generate_sort(rng: random.Random, level: int) -> Problem:
    """Sort `level + 1` digits: `o5291:` -> `1259`."""
    digits = [rng.choice("0123456789") for _ in range(level + 1)]
    return Problem(f"o{''.join(digits)}:", "".join(sorted(digits)), {})


def generate_chain(rng: random.Random, level: int) -> Problem:
    """Follow `level` shuffled edges from the start: `ha;dc,ab,bd:` -> `abdc`."""
    path = labels(rng, level + 1)
    edges = [first + second for first, second in itertools.pairwise(path)]
    rng.shuffle(edges)
    return Problem(f"h{path[0]};{','.join(edges)}:", "".join(path), {})


def generate_color(rng: random.Random, level: int) -> Problem:
    """Colour `level + 2` nodes unlike their earlier neighbours: `gk,dk,pkd:` -> `k1d2p3`.

    Three neighbours can hold all three colours, so that going node by node without looking ahead can fail.
    """
    nodes = labels(rng, level + 2)
    colors = [COLORS[position % 3] for position in range(len(nodes))]
    rng.shuffle(colors)
    planted = dict(zip(nodes, colors, strict=True))
    groups, edges = [], []
    for position, node in enumerate(nodes):
        candidates = [earlier for earlier in nodes[:position] if planted[earlier] != planted[node]]
        neighbours = rng.sample(candidates, min(len(candidates), rng.choice((1, 2, 2, 3))))
        edges += [node + neighbour for neighbour in neighbours]
        groups.append(node + "".join(neighbours))
    solution = "".join(node + planted[node] for node in nodes)
    return Problem(f"g{','.join(groups)}:", solution, {"nodes": "".join(nodes), "edges": edges})


def _sort_chance(level: int) -> float:
    """Chance that a random order of the digits is sorted, C(n + 9, 9) / 10**n for n uniformly random digits."""
    return math.comb(level + 10, 9) / 10.0 ** (level + 1)


_COLOR_CHANCE = (1.0, 0.39, 0.21, 0.15, 0.066, 0.035, 0.022, 0.011)
"""Share of graphs that the best row of colours fits, the same for all graphs; 123 at level 1, 1232 or 1231 at level 2.

The best of all rows, counted over 12,000 (levels 2 to 6) and 6,000 generated graphs. Uniformly random colours are right
in 0.28, 0.15, 0.077, 0.034, 0.018, 0.009, 0.004 and 0.002 of the cases.
"""


SORT = Family(
    name="sort",
    domain="logic",
    max_level=22,
    train_levels=20,
    generate=generate_sort,
    chance=_sort_chance,
    description="Sort digits.",
)
CHAIN = Family(
    name="chain",
    domain="logic",
    max_level=22,
    train_levels=20,
    generate=generate_chain,
    chance=lambda level: 1 / math.factorial(level),
    description="Order the nodes of a chain given as shuffled edges.",
)
COLOR = Family(
    name="color",
    domain="logic",
    max_level=8,
    train_levels=6,
    generate=generate_color,
    chance=lambda level: _COLOR_CHANCE[level - 1],
    description="Colour a graph with three colours; any proper colouring is right.",
)
