"""Advantages, against hand-worked numbers and their invariants."""

import math

import pytest
import torch
from torch import Tensor

from prorl.algorithm.advantages import (
    ADVANTAGES,
    batch_advantages,
    dr_advantages,
    group_advantages,
    loo_advantages,
)

NAN = math.nan


def test_group_by_hand() -> None:
    # [1 0 0 0]: mean 1/4, squares 9/16 + 3/16 = 3/4, over n - 1 = 3 gives variance 1/4, deviation 1/2.
    # [1 1 0 0]: mean 1/2, squares 1, over 3, deviation 0.5773503 (the population deviation would be 1/2).
    advantages = group_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]))
    high, low = 0.75 / 0.500001, -0.25 / 0.500001
    even = 0.5 / (0.57735026919 + 1e-6)
    torch.testing.assert_close(advantages, torch.tensor([[high, low, low, low], [even, even, -even, -even]]))


def test_group_over_valid_rollouts_only() -> None:
    # Valid are 1, 0, 0: mean 1/3, squares 4/9 + 1/9 + 1/9 = 2/3, over 2, deviation 0.5773503.
    rewards = torch.tensor([[1.0, NAN, 0.0, 0.0]])
    advantages = group_advantages(rewards, torch.tensor([[True, False, True, True]]))
    deviation = 0.57735026919 + 1e-6
    expected = torch.tensor([[2 / 3 / deviation, 0.0, -1 / 3 / deviation, -1 / 3 / deviation]])
    torch.testing.assert_close(advantages, expected)


def test_group_size_of_the_deviation_floor() -> None:
    # Rewards 0 and 2e-6: mean 1e-6, deviation sqrt(2) * 1e-6, so A = 1 / (sqrt(2) + 1) = 0.41421.
    advantages = group_advantages(torch.tensor([[0.0, 2e-6]]))
    torch.testing.assert_close(advantages, torch.tensor([[-0.41421356, 0.41421356]]))


def test_loo_by_hand() -> None:
    # 1 against mean(0, 0, 0) = 0; 0 against mean(1, 0, 0) = 1/3.  With the last one out: 0 against mean(1, 0) = 1/2.
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(loo_advantages(rewards), torch.tensor([[1.0, -1 / 3, -1 / 3, -1 / 3]]))
    valid = torch.tensor([[True, True, True, False]])
    torch.testing.assert_close(loo_advantages(rewards, valid), torch.tensor([[1.0, -0.5, -0.5, 0.0]]))


def test_dr_by_hand() -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(dr_advantages(rewards), torch.tensor([[0.75, -0.25, -0.25, -0.25]]))
    valid = torch.tensor([[True, True, False, False]])
    torch.testing.assert_close(dr_advantages(rewards, valid), torch.tensor([[0.5, -0.5, 0.0, 0.0]]))


def test_batch_by_hand() -> None:
    # D = +-1/2. 8 tokens, of which +1/2 has 1 + 2 and -1/2 has 3 + 2: m = (3 - 5) / 2 / 8 = -1/8.
    # D - m = 5/8 or -3/8; v = (3 * 25/64 + 5 * 9/64) / 8 = 15/64. Without the token weights A would be +-1.
    rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    advantages = batch_advantages(rewards, torch.tensor([[1, 3], [2, 2]]))
    plus, minus = 5 / math.sqrt(15), -3 / math.sqrt(15)
    torch.testing.assert_close(advantages, torch.tensor([[plus, minus], [minus, plus]]))


def test_batch_leaves_the_invalid_out_of_group_mean_and_whitening() -> None:
    # The third group has one valid rollout and the invalid ones are long: nothing of them may show.
    rewards = torch.tensor([[1.0, 0.0, NAN], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    num_tokens = torch.tensor([[1, 3, 1000], [2, 2, 1000], [1000, 7, 7]])
    valid = torch.tensor([[True, True, False], [True, True, False], [True, False, False]])
    advantages = batch_advantages(rewards, num_tokens, valid)
    plus, minus = 5 / math.sqrt(15), -3 / math.sqrt(15)
    torch.testing.assert_close(advantages, torch.tensor([[plus, minus, 0.0], [minus, plus, 0.0], [0.0, 0.0, 0.0]]))


def test_batch_variance_floor() -> None:
    # D = +-1e-5, v = 1e-10 below the floor of 1e-8, so A = D / 1e-4 = +-0.1.
    advantages = batch_advantages(torch.tensor([[0.0, 2e-5]]), torch.tensor([[4, 4]]))
    torch.testing.assert_close(advantages, torch.tensor([[-0.1, 0.1]]))


@pytest.mark.parametrize("name", list(ADVANTAGES))
def test_nothing_to_learn_is_zero(name: str) -> None:
    num_tokens = torch.full((2, 16), 5)
    flat = torch.tensor([[0.1], [0.7]]).expand(2, 16).contiguous()
    assert torch.equal(ADVANTAGES[name](flat, num_tokens, None), torch.zeros(2, 16))
    lonely = torch.zeros(2, 16, dtype=torch.bool)
    lonely[0, 3] = True
    assert torch.equal(ADVANTAGES[name](torch.rand(2, 16), num_tokens, lonely), torch.zeros(2, 16))


@pytest.mark.parametrize("name", list(ADVANTAGES))
def test_invariants(name: str) -> None:
    torch.manual_seed(1)
    rewards = torch.rand(6, 8, dtype=torch.float64)
    num_tokens = torch.randint(1, 50, (6, 8))
    valid = torch.rand(6, 8) < 0.7
    advantages = ADVANTAGES[name](rewards, num_tokens, valid)
    used = valid & (valid.sum(-1, keepdim=True) >= 2)
    assert used.any()
    assert (advantages[~used] == 0).all()
    assert (advantages[used] != 0).all()

    # A constant added to a group changes nothing; what stands in invalid places changes nothing.
    shifted = rewards + torch.randn(6, 1, dtype=torch.float64)
    torch.testing.assert_close(ADVANTAGES[name](shifted, num_tokens, valid), advantages, rtol=1e-9, atol=1e-9)
    junk = torch.where(valid, rewards, torch.inf)
    assert torch.equal(ADVANTAGES[name](junk, num_tokens, valid), advantages)

    # Padding a group with invalid rollouts changes nothing.
    padded = ADVANTAGES[name](*(_pad(tensor) for tensor in (rewards, num_tokens, valid)))
    torch.testing.assert_close(padded[:, :8], advantages, rtol=1e-12, atol=1e-12)
    assert (padded[:, 8:] == 0).all()

    if name == "batch":
        weights = num_tokens * used
        mean = (weights * advantages).sum() / weights.sum()
        variance = (weights * (advantages - mean).square()).sum() / weights.sum()
        torch.testing.assert_close(mean, torch.zeros((), dtype=torch.float64), rtol=0.0, atol=1e-12)
        torch.testing.assert_close(variance, torch.ones((), dtype=torch.float64), rtol=1e-12, atol=0.0)
    else:
        torch.testing.assert_close(advantages.sum(-1), torch.zeros(6, dtype=torch.float64), rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("name", list(ADVANTAGES))
def test_the_type_of_the_rewards_comes_back_and_the_rewards_stay(name: str) -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.5]])
    assert ADVANTAGES[name](rewards, torch.tensor([[1, 2, 3]]), None).dtype == torch.float32
    assert rewards.tolist() == [[1.0, 0.0, 0.5]]


def _pad(tensor: Tensor) -> Tensor:
    """Three more columns: of reward 9, 9 tokens, invalid."""
    filler = torch.full((len(tensor), 3), 0 if tensor.dtype == torch.bool else 9)
    return torch.cat([tensor, filler.to(tensor.dtype)], -1)
