"""Floating-point operations by hand, and against a count of every product that a model makes."""

import torch
from batches import Lengths, groups_of, make_rows, num_padded_tokens, num_row_tokens
from flops import Shape, count_places, forward_flop, update_flop, without_sharing
from models import random_model
from torch.utils.flop_counter import FlopCounterMode

GROUPS = [(3, (2, 4)), (1, (1,))]
"""Two rollouts of 2 and 4 tokens after a prompt of 3, one of 1 token after a prompt of 1."""
SHAPE = Shape(hidden=8, layers=2, heads=2, kv_heads=1, head_size=4, mlp=16, vocabulary=10)


def test_places_by_hand() -> None:
    """First group: prompt at 0 1 2, then places 3 and 3 4 5 (the last token is no input). Second: its prompt alone.

    Keys seen: 1 + 2 + 3, then 4, then 4 + 5 + 6; second group 1. Predicting are the last of each prompt (3 keys, 1 key)
    and all places of responses.
    """
    places = count_places(GROUPS)
    assert (places.all, places.predicting) == (3 + 1 + 3 + 1, 1 + 1 + 3 + 1)
    assert (places.all_pairs, places.predicting_pairs) == (6 + 4 + 15 + 1, 3 + 4 + 15 + 1)


def test_forward_by_hand() -> None:
    """8 places through the first layer, 6 of them through the rest of the second, whose keys and values 8 give."""
    flop = forward_flop(SHAPE, count_places(GROUPS))
    assert flop == {
        "qkv": 2 * 8 * 8 * (8 + 6) + 2 * 8 * 8 * (8 + 8),
        "attention": 2 * 2 * 2 * 4 * (26 + 23),
        "output": 2 * 8 * 8 * (8 + 6),
        "gate_up": 2 * 8 * 32 * (8 + 6),
        "down": 2 * 16 * 8 * (8 + 6),
        "head": 2 * 8 * 10 * 6,
    }
    assert update_flop(SHAPE, GROUPS) == {kind: 4 * value for kind, value in flop.items()}


def test_rows_without_sharing_count_each_prompt() -> None:
    apart = without_sharing(GROUPS)
    assert apart == [(3, (2,)), (3, (4,)), (1, (1,))]
    assert count_places(apart).all == count_places(GROUPS).all + 3


def test_a_dense_model_makes_the_products_that_are_counted() -> None:
    """torch counts what runs: nothing is shared by one row, every query and key meet, all places reach the head."""
    model = random_model("tiny3m")
    shape, length = Shape.of(model.config), 7
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, length, dtype=torch.long), use_cache=False)
    products = counter.get_flop_counts()["Global"]
    row = [(1, (length,))]  # the first token is the prompt: every place predicts
    flop = forward_flop(shape, count_places(row))
    causal = flop.pop("attention")
    full = 4 * shape.layers * shape.query * length**2
    assert causal * 2 * length == full * (length + 1)
    assert sum(products.values()) == sum(flop.values()) + full


def test_lengths_of_rows_and_of_a_padded_batch_by_hand() -> None:
    """Rows of 4, 6 and 1 places; padded all three have 3 + 4 - 1 = 6."""
    assert num_row_tokens(GROUPS) == 4 + 6 + 1
    assert num_padded_tokens(GROUPS) == 18


def test_rows_have_the_lengths_that_were_drawn() -> None:
    lengths = Lengths(5, 4, (2, 6), 30)
    groups = lengths.draw(seed=1)
    assert groups_of(make_rows(groups, vocabulary=50)) == groups
    assert all(1 <= size <= 30 for _, sizes in groups for size in sizes)
    assert {len(sizes) for _, sizes in groups} == {4}
