"""Stage 6 on several ranks: who trains which rows of a mini-batch. Every rank knows all rows and computes the same.

Sharded layers gather their weights in forward and in backward, so all ranks run equally many packs.
"""

from collections.abc import Sequence

import numpy as np

from prorl.learner.packing import micro_batches, num_pack_tokens
from prorl.records import Row


def rank_micro_batches(rows: Sequence[Row], token_budget: int, rank: int, world: int) -> list[tuple[Row, ...]]:
    """This rank's packs of a mini-batch, idle ones at the end until it has as many as the rank with most."""
    parts = [micro_batches(share, token_budget) for share in balanced(rows, world)]
    return parts[rank] + [_idle(rows)] * (max(map(len, parts)) - len(parts[rank]))


def balanced(rows: Sequence[Row], world: int) -> list[list[Row]]:
    """A share of the rows for each rank, of nearly equal numbers of tokens: the longest first, to who has least.

    The rollouts of a prompt stay together, for they share its computation, unless there are fewer prompts than ranks.
    """
    if world == 1:
        return [list(rows)]
    groups: dict[tuple[int, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.prompt_tokens, []).append(row)
    units = list(groups.values()) if len(groups) >= world else [[row] for row in rows]
    shares: list[list[Row]] = [[] for _ in range(world)]
    loads = [0] * world
    for unit in sorted(units, key=num_pack_tokens, reverse=True):
        least = loads.index(min(loads))
        shares[least] += unit
        loads[least] += num_pack_tokens(unit)
    return shares


def _idle(rows: Sequence[Row]) -> tuple[Row, ...]:
    """A prompt of one token without a response: it takes part in everything and counts for nothing."""
    nothing = np.zeros(0)
    return (Row(rows[0].prompt_tokens[:1], nothing.astype(np.int64), nothing.astype(np.float32), 0.0),)
