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


_COLOR_CHANCE = (0.280, 0.153, 0.077, 0.0336, 0.0182, 0.0093, 0.0036, 0.0021)
"""Mean share of proper colourings among all, counted over 3000 (levels 1 to 4) and 400 generated graphs."""


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
