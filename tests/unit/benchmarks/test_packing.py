"""What the packing benchmark counts, on lengths whose places are known."""

import pytest
import torch
from batches import make_rows
from flops import Shape
from packing import count, needed_flop_share, num_pairs, num_queries

from prorl.config import Config, Learner
from prorl.learner.packing import Bucket

GROUPS = [(3, (2, 4)), (1, (1,))]


def test_places_and_pairs_of_buckets_by_hand() -> None:
    """A product of 2 pieces, 3 queries and 5 keys each, makes all 30 pairs; fused rows of 4 the half with diagonal."""
    none = torch.zeros(0)
    buckets = [Bucket((2, 3, 5), none, none), Bucket((3, 4, 4), none, None)]
    assert num_queries(buckets) == 2 * 3 + 3 * 4
    assert num_pairs(buckets) == 2 * 3 * 5 + 3 * (1 + 2 + 3 + 4)


def test_one_pack_by_hand() -> None:
    """Prompts of 3 and 1, responses of 2 and 4 and 1 less their last token; a prompt stands once."""
    figures = count(make_rows(GROUPS, vocabulary=20), Config(learner=Learner(token_budget=64)))
    assert (figures["rows"], figures["loss_tokens"]) == (3, 7)
    assert figures["needed"] == figures["trunk"] == figures["trunk_real"] == 3 + 1 + 3 + 1
    assert figures["needed_pairs"] == 6 + 4 + 15 + 1
    assert figures["attention_queries"] >= figures["needed"]
    assert figures["attention_pairs"] >= figures["needed_pairs"]
    # Rows of 4, 6 and 1 places: all padded to 3 + 4 - 1, or each group to its own.
    assert (figures["padded_minibatch"], figures["padded_group"]) == (18, 12 + 1)


def test_a_split_group_repeats_its_prompt() -> None:
    """60 + 29 + 29 = 118 places fit 130, a third row does not: two packs, the prompt in both."""
    config = Config(learner=Learner(token_budget=130))
    figures = count(make_rows([(60, (30, 30, 30, 30))], vocabulary=20), config)
    assert (figures["needed"], figures["trunk"]) == (60 + 4 * 29, 2 * 118)


def test_needed_share_of_flop_by_hand() -> None:
    """One layer, every size 1, so queries, keys and values cost 2 + 4 a place, attention 4 a pair, the rest 2 + 4 + 2.

    Needed: 10 places, 8 of them predicting, 20 and 15 pairs: 8 * 2 + 10 * 4 + 15 * 4 + 8 * 8 + head 8 * 2 = 196.
    Computed: 12 places, 30 pairs, head at 9 tokens: 12 * 6 + 30 * 4 + 12 * 8 + 9 * 2 = 306.
    """
    shape = Shape(hidden=1, layers=1, heads=1, kv_heads=1, head_size=1, mlp=1, vocabulary=1)
    total = {"needed": 10, "needed_predicting": 8, "needed_pairs": 20, "needed_predicting_pairs": 15}
    total |= {"trunk": 12, "attention_pairs": 30, "loss_tokens": 9}
    assert needed_flop_share(shape, total) == pytest.approx(196 / 306)
