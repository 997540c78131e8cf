"""Who trains which rows: nearly equal tokens, every row once, equally many packs on every rank."""

import numpy as np
import pytest
import torch

from prorl.learner.packing import num_pack_tokens, pack
from prorl.learner.shares import balanced, rank_micro_batches
from prorl.records import Row


def row(prompt: int, length: int, prompt_length: int = 4) -> Row:
    prompt_tokens = (prompt,) * prompt_length
    return Row(prompt_tokens, np.arange(length, dtype=np.int64), np.zeros(length, dtype=np.float32), 1.0)


def tokens(shares):
    return [num_pack_tokens(share) for share in shares]


def test_one_rank_takes_the_rows_as_they_are():
    rows = [row(2, 5), row(1, 9), row(2, 3)]
    assert balanced(rows, 1) == [rows]


def test_groups_go_whole_to_who_has_least_by_hand():
    # Tokens of the groups: prompt 4 + sum of (length - 1): 4+9+9=22, 4+5=9, 4+7=11, 4+2=6.
    rows = [row(1, 10), row(1, 10), row(2, 6), row(3, 8), row(4, 3)]
    shares = balanced(rows, 2)
    assert [[r.prompt_tokens[0] for r in share] for share in shares] == [[1, 1], [3, 2, 4]]
    assert tokens(shares) == [22, 26]


def test_fewer_prompts_than_ranks_are_split_by_rows():
    rows = [row(1, 10) for _ in range(4)]
    assert [len(share) for share in balanced(rows, 2)] == [2, 2]
    assert [len(share) for share in balanced(rows, 3)] == [2, 1, 1]


@pytest.mark.parametrize("world", [2, 3, 5, 8])
def test_every_row_once_and_shares_alike(world):
    random = np.random.default_rng(0)
    rows = [row(int(prompt), int(random.integers(1, 60))) for prompt in np.repeat(np.arange(40), 4)]
    shares = balanced(rows, world)
    assert sorted(map(id, (r for share in shares for r in share))) == sorted(map(id, rows))
    assert max(tokens(shares)) - min(tokens(shares)) <= max(num_pack_tokens(rows[i : i + 4]) for i in range(0, 160, 4))


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_ranks_have_equally_many_packs(world):
    rows = [row(1, 30), row(2, 3), row(3, 4)]
    parts = [rank_micro_batches(rows, 16, rank, world) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    real = [r for part in parts for rows_ in part for r in rows_ if len(r.response_tokens)]
    assert sorted(map(id, real)) == sorted(map(id, rows))


def test_an_idle_pack_has_a_token_and_no_target():
    parts = rank_micro_batches([row(1, 5), row(1, 3)], 64, 2, 3)
    idle = pack(parts[-1], torch.device("cpu"))
    assert (idle.tokens.shape[1], idle.num_targets, len(idle.predictors)) == (1, 0, 0)
