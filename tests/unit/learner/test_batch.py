"""Groups become a batch: rewards, advantages and mini-batches by hand."""

import math

import numpy as np
import pytest

from prorl.config import Config, Filter, Loss, Optimizer, Reward, Rollouts
from prorl.learner.batch import make_batch
from prorl.records import Group, Prompt, Rollout, Score


def make_config(*, minibatch=2, advantage="dr", filtered=True, max_tokens=10, **reward):
    return Config(
        rollouts=Rollouts(max_response_tokens=max_tokens),
        filter=Filter(enabled=filtered),
        reward=Reward(**reward),
        loss=Loss(advantage=advantage),
        optimizer=Optimizer(minibatch_prompts=minibatch),
    )


def make_group(position, *answers):
    """Each answer is `(score, tokens)`, or `(score, tokens, "cut")`."""
    rollouts = tuple(
        Rollout(
            key=position,
            index=index,
            tokens=np.arange(size) + 100 * position + 10 * index,
            logprobs=np.full(size, -0.1 * (index + 1), np.float32),
            finish_reason="length" if cut else "stop",
            versions=((0, size),),
        )
        for index, (_, size, *cut) in enumerate(answers)
    )
    scores = tuple(Score(answer[0], "partial") for answer in answers)
    prompt = Prompt(id=f"p{position}", domain="d", task="t", content="x")
    return Group(position, prompt, (position, 7), rollouts, ("",) * len(answers), scores)


def advantages(batch):
    return [[row.advantage for row in rows] for rows in batch.minibatches]


def close(*values):
    return [pytest.approx(list(rows), abs=1e-5) for rows in values]


def test_rows_carry_their_rollout_and_its_advantage():
    """Scores 1, 0, 0.5: the mean is 0.5."""
    group = make_group(3, (1.0, 2), (0.0, 4), (0.5, 3))
    batch = make_batch([group], make_config(), 0)
    (rows,) = batch.minibatches
    assert [row.prompt_tokens for row in rows] == [(3, 7)] * 3
    assert [row.response_tokens.tolist() for row in rows] == [[300, 301], [310, 311, 312, 313], [320, 321, 322]]
    assert [row.behaviour_logprobs.tolist() for row in rows] == [r.logprobs.tolist() for r in group.rollouts]
    assert [row.advantage for row in rows] == [0.5, -0.5, 0.0]
    assert batch.num_tokens == 9
    assert batch.metrics == {"groups/dead_after_shaping": 0, "reward/mean": 0.5}


RAGGED = [make_group(0, (1.0, 1), (0.0, 1), (0.0, 2)), make_group(1, (1.0, 3), (0.0, 1))]


def test_ragged_groups_are_normalised_by_their_own_rollouts():
    """Group 0: mean 1/3, deviation sqrt(1/3); group 1: mean 1/2, deviation sqrt(1/2)."""
    batch = make_batch(RAGGED, make_config(advantage="group"), 0)
    s0, s1 = math.sqrt(1 / 3) + 1e-6, math.sqrt(1 / 2) + 1e-6
    assert advantages(batch) == close([2 / 3 / s0, -1 / 3 / s0, -1 / 3 / s0, 0.5 / s1, -0.5 / s1])
    assert batch.metrics["reward/mean"] == pytest.approx(2 / 5)


def test_every_kind_of_advantage_leaves_padding_out():
    """Leave-one-out is the mean-free reward times n / (n - 1)."""
    assert advantages(make_batch(RAGGED, make_config(advantage="loo"), 0)) == close([1.0, -0.5, -0.5, 1.0, -1.0])
    # Batch: mean-free rewards 2/3, -1/3, -1/3, 1/2, -1/2 at 1, 1, 2, 3, 1 tokens.
    mean = (2 / 3 - 1 / 3 - 2 / 3 + 3 / 2 - 1 / 2) / 8
    deviations = [value - mean for value in (2 / 3, -1 / 3, -1 / 3, 0.5, -0.5)]
    std = math.sqrt(sum(n * d * d for n, d in zip((1, 1, 2, 3, 1), deviations, strict=True)) / 8)
    assert advantages(make_batch(RAGGED, make_config(advantage="batch"), 0)) == close([d / std for d in deviations])


CUT = [make_group(0, (1.0, 10, "cut"), (0.0, 2), (1.0, 2)), make_group(1, (1.0, 10, "cut"), (1.0, 10, "cut"), (0.0, 1))]
"""Group 0 has a cut answer with score 1; group 1 two, and one that is wrong."""


def test_zero_a_truncated_answer_earns_nothing():
    """Rewards 0, 0, 1 with mean 1/3; group 1 is flat at 0 and dropped."""
    batch = make_batch(CUT, make_config(truncation="zero"), 0)
    assert advantages(batch) == close([-1 / 3, -1 / 3, 2 / 3])
    assert batch.metrics == {"groups/dead_after_shaping": 1, "reward/mean": pytest.approx(1 / 3)}


def test_mask_a_truncated_answer_is_in_nothing():
    """Group 0 keeps 0 and 1; group 1 has one answer left, which teaches nothing."""
    batch = make_batch(CUT, make_config(truncation="mask"), 0)
    assert advantages(batch) == [[-0.5, 0.5]]
    assert [len(row.response_tokens) for row in batch.minibatches[0]] == [2, 2]
    assert batch.metrics == {"groups/dead_after_shaping": 1, "reward/mean": 0.5}


def test_none_a_truncated_answer_keeps_its_score():
    batch = make_batch(CUT, make_config(truncation="none"), 0)
    assert advantages(batch) == close([1 / 3, -2 / 3, 1 / 3, 1 / 3, 1 / 3, -2 / 3])


def test_soft_the_last_tokens_cost_linearly():
    """Buffer 4 of 10 at penalty 0.5: 10 tokens cost 0.5, 8 cost 0.25, 6 cost nothing, cut or not."""
    group = make_group(0, (1.0, 10, "cut"), (1.0, 8), (1.0, 6), (0.0, 10))
    batch = make_batch([group], make_config(truncation="soft", soft_buffer_tokens=4, soft_penalty=0.5), 0)
    # Rewards 0.5, 0.75, 1, -0.5 with mean 0.4375.
    assert advantages(batch) == close([0.0625, 0.3125, 0.5625, -0.9375])
    assert batch.metrics["reward/mean"] == pytest.approx(0.4375)


@pytest.mark.parametrize(("step", "active"), [(0, True), (1, True), (2, False), (4, False), (5, True), (7, False)])
def test_the_length_term_comes_and_goes_in_its_cycle(step, active):
    """Two steps on, three off. An answer of 5 of 10 tokens gets half the weight, one of 10 nothing."""
    group = make_group(0, (1.0, 5), (0.0, 10))
    config = make_config(length_penalty=0.4, length_penalty_on=2, length_penalty_off=3)
    assert advantages(make_batch([group], config, step)) == close([0.6, -0.6] if active else [0.5, -0.5])


def test_a_length_term_can_make_a_group_flat_and_it_is_dropped():
    """Rewards 0.5 + 0 and 0 + 0.5 at weight 1, equal up to the rounding of the cosine."""
    flat, other = make_group(0, (0.5, 10), (0.0, 5)), make_group(1, (1.0, 10), (0.0, 10))
    batch = make_batch([flat, other], make_config(length_penalty=1.0), 0)
    assert batch.metrics["groups/dead_after_shaping"] == 1
    assert [row.prompt_tokens for row in batch.minibatches[0]] == [(1, 7)] * 2


def test_minibatches_hold_whole_prompts_and_the_last_may_be_short():
    groups = [make_group(i, (1.0, 1), (0.0, 2)) for i in range(5)]
    sizes = {size: shape(make_batch(groups, make_config(minibatch=size), 0)) for size in (1, 2, 4, 8)}
    assert sizes == {1: [[i] for i in range(5)], 2: [[0, 1], [2, 3], [4]], 4: [[0, 1, 2, 3], [4]], 8: [[0, 1, 2, 3, 4]]}


def shape(batch):
    return [sorted({row.prompt_tokens[0] for row in rows}) for rows in batch.minibatches]


def test_dropped_groups_make_room_for_the_next():
    flat = make_group(1, (1.0, 1), (1.0, 1))
    groups = [
        make_group(0, (1.0, 1), (0.0, 1)),
        flat,
        make_group(2, (1.0, 1), (0.0, 1)),
        make_group(3, (0.0, 1), (1.0, 1)),
    ]
    batch = make_batch(groups, make_config(minibatch=2), 0)
    assert shape(batch) == [[0, 2], [3]]
    assert batch.metrics["groups/dead_after_shaping"] == 1


def test_without_the_filter_flat_groups_stay_with_advantage_zero():
    groups = [make_group(0, (1.0, 1), (1.0, 1)), make_group(1, (1.0, 1), (0.0, 1))]
    batch = make_batch(groups, make_config(filtered=False), 0)
    assert advantages(batch) == [[0.0, 0.0, 0.5, -0.5]]
    assert batch.metrics == {"groups/dead_after_shaping": 0, "reward/mean": 0.75}


def test_nothing_left_is_an_empty_batch():
    assert make_batch([], make_config(), 0).minibatches == ()
    flat = make_batch([make_group(0, (1.0, 1), (1.0, 1))], make_config(), 0)
    assert flat.minibatches == ()
    assert flat.metrics == {"groups/dead_after_shaping": 1}
    assert flat.num_tokens == 0


def test_a_batch_that_is_masked_as_a_whole_has_no_mean_reward():
    """Metrics are finite: what does not apply is absent."""
    cut = make_group(0, (1.0, 10, "cut"), (0.0, 10, "cut"))
    batch = make_batch([cut], make_config(filtered=False, truncation="mask"), 0)
    assert batch.minibatches == ()
    assert batch.metrics == {"groups/dead_after_shaping": 0}
