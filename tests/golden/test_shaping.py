"""Shaping of scores into rewards, against hand-worked numbers."""

import pytest
import torch

from prorl.algorithm.shaping import TRUNCATION, cosine_length, length_term_active
from prorl.errors import UserError

SCORES = torch.tensor([[1.0, 0.5, 1.0, 0.0]])
NUM_TOKENS = torch.tensor([[10, 80, 100, 100]])
TRUNCATED = torch.tensor([[False, False, True, True]])
ALL = [[True, True, True, True]]


@pytest.mark.parametrize(
    ("name", "rewards", "valid"),
    [
        ("zero", [[1.0, 0.5, 0.0, 0.0]], ALL),
        ("mask", [[1.0, 0.5, 1.0, 0.0]], [[True, True, False, False]]),
        # L = 100, buffer 40: free up to 60; at 80 half the penalty of 0.5; at 100 all of it.
        ("soft", [[1.0, 0.25, 0.5, -0.5]], ALL),
        ("none", [[1.0, 0.5, 1.0, 0.0]], ALL),
    ],
)
def test_truncation(name: str, rewards: list[list[float]], valid: list[list[bool]]) -> None:
    given = SCORES.clone()
    shaped, counted = TRUNCATION[name](given, NUM_TOKENS, TRUNCATED, max_tokens=100, buffer=40, penalty=0.5)
    torch.testing.assert_close(shaped, torch.tensor(rewards))
    assert counted.tolist() == valid
    assert torch.equal(given, SCORES)  # the scores are still the verifier's


def test_soft_penalty_along_the_length() -> None:
    # DAPO's own numbers: L = 20480, buffer 4096, penalty 1. 16384 is free, 17408 is a quarter in, 20480 the end.
    num_tokens = torch.tensor([[1, 16384, 17408, 18432, 20480, 30000]])
    zeros = torch.zeros(1, 6)
    rewards, _ = TRUNCATION["soft"](zeros, num_tokens, zeros.bool(), max_tokens=20480, buffer=4096, penalty=1.0)
    torch.testing.assert_close(rewards, torch.tensor([[0.0, 0.0, -0.25, -0.5, -1.0, -1.0]]))


@pytest.mark.parametrize("buffer", [0, -1, 101])
def test_soft_needs_a_buffer_inside_the_length(buffer: int) -> None:
    with pytest.raises(UserError, match=r"reward.soft_buffer_tokens = -?\d+: .* 1 to 100") as error:
        TRUNCATION["soft"](SCORES, NUM_TOKENS, TRUNCATED, max_tokens=100, buffer=buffer, penalty=1.0)
    assert "\n" not in str(error.value)


def test_cosine_length_by_hand() -> None:
    # cos(0) = 1, cos(pi/3) = 1/2, cos(pi/2) = 0, cos(2 pi/3) = -1/2, cos(pi) = -1; and nothing beyond the limit.
    term = cosine_length(torch.tensor([[0, 20, 30, 40, 60, 90]]), max_tokens=60, weight=0.2)
    torch.testing.assert_close(term, torch.tensor([[0.2, 0.15, 0.1, 0.05, 0.0, 0.0]]))


def test_length_term_cycle() -> None:
    assert [length_term_active(step, on=2, off=3) for step in range(7)] == [True, True, *[False] * 3, True, True]
    assert all(length_term_active(step, on=1, off=0) for step in range(3))
    assert sum(length_term_active(step, on=100, off=500) for step in range(1200)) == 200
