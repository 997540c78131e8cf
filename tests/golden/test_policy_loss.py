"""The clipped loss, the weights against the engine and the token mean, against hand-worked numbers."""

import math

import pytest
import torch
from torch import Tensor

from prorl.algorithm.kl import k3
from prorl.algorithm.logprobs import token_logprobs
from prorl.algorithm.loss import (
    BEHAVIOUR_WEIGHTS,
    clip_masks,
    clipped_policy_loss,
    icepop_weight,
    importance_ratio,
    token_mean,
    truncated_weight,
)

PAPER = {"clip_low": 0.2, "clip_high": 0.4}

# ratio, advantage, loss, d loss / d logprob (= -r A where no clip binds), clipped low, clipped high
CASES = [
    (1.0, 2.0, -2.0, -2.0, False, False),
    (1.3, 1.0, -1.3, -1.3, False, False),  # inside 1 + 0.4, outside the symmetric 1 + 0.2
    (1.5, 1.0, -1.4, 0.0, False, True),
    (0.5, 1.0, -0.5, -0.5, False, False),  # the worse side is never clipped
    (0.9, -1.0, 0.9, 0.9, False, False),
    (0.7, -1.0, 0.8, 0.0, True, False),  # outside 1 - 0.2, inside 1 - 0.4
    (1.5, -1.0, 1.5, 1.5, False, False),
    (5.0, -2.0, 10.0, 10.0, False, False),
    (1.5, 0.0, 0.0, 0.0, False, False),
]


def _columns() -> tuple[Tensor, ...]:
    return tuple(torch.tensor(column, dtype=torch.float64) for column in zip(*CASES, strict=True))


def test_clipped_policy_loss_by_hand() -> None:
    ratio, advantages, loss, gradient, _, _ = _columns()
    old = torch.full_like(ratio, -1.5)
    logprobs = (old + ratio.log()).requires_grad_()
    losses = clipped_policy_loss(logprobs, old, advantages, **PAPER)
    losses.sum().backward()
    torch.testing.assert_close(losses.detach(), loss)
    assert logprobs.grad is not None
    torch.testing.assert_close(logprobs.grad, gradient)


def test_clip_masks_by_hand() -> None:
    ratio, advantages, _, _, low, high = _columns()
    old = torch.full_like(ratio, -1.5)
    masks = clip_masks(old + ratio.log(), old, advantages, **PAPER)
    assert torch.equal(masks[0], low.bool())
    assert torch.equal(masks[1], high.bool())


def test_dual_clip_bounds_the_loss_of_negative_advantages() -> None:
    ratio, advantages, loss, gradient, _, _ = _columns()
    logprobs = ratio.log().requires_grad_()
    losses = clipped_policy_loss(logprobs, torch.zeros_like(ratio), advantages, **PAPER, dual_clip=3.0)
    losses.sum().backward()
    # Only r = 5 with A = -2 exceeds 3 * 2: its loss is 6 and it has no gradient.
    expected, slope = loss.clone(), gradient.clone()
    expected[7], slope[7] = 6.0, 0.0
    torch.testing.assert_close(losses.detach(), expected)
    assert logprobs.grad is not None
    torch.testing.assert_close(logprobs.grad, slope)


@pytest.mark.parametrize("off", [None, 0.0])
def test_dual_clip_off(off: float | None) -> None:
    loss = clipped_policy_loss(
        torch.tensor([math.log(5.0)]), torch.zeros(1), torch.tensor([-2.0]), **PAPER, dual_clip=off
    )
    torch.testing.assert_close(loss, torch.tensor([10.0]))


def test_advantages_are_broadcast_over_tokens() -> None:
    logprobs = torch.log(torch.tensor([[1.0, 1.1, 1.2], [0.9, 1.0, 1.3]]))
    losses = clipped_policy_loss(logprobs, torch.zeros(2, 3), torch.tensor([[1.0], [-2.0]]), **PAPER)
    torch.testing.assert_close(losses, torch.tensor([[-1.0, -1.1, -1.2], [1.8, 2.0, 2.6]]))


def test_log_ratio_is_cut_at_20() -> None:
    ratio = importance_ratio(torch.tensor([30.0, -30.0, 19.0]), torch.zeros(3))
    torch.testing.assert_close(ratio, torch.tensor([20.0, -20.0, 19.0]).exp())
    logprobs = torch.tensor([25.0, 1.0], requires_grad=True)
    importance_ratio(logprobs, torch.zeros(2)).sum().backward()
    assert logprobs.grad is not None
    torch.testing.assert_close(logprobs.grad, torch.tensor([0.0, math.e]))


def test_behaviour_weights_by_hand() -> None:
    ratio = torch.tensor([0.25, 0.5, 1.0, 1.9, 2.0, 5.0, 5.5])
    behaviour = torch.full((7,), -2.0)
    old = behaviour + ratio.log() + torch.tensor([0.0, 1e-6, 0.0, 0.0, 0.0, -1e-6, 0.0])  # off the band's edges
    truncated = torch.tensor([0.25, 0.5, 1.0, 1.9, 2.0, 2.0, 2.0])
    icepop = torch.tensor([0.0, 0.5, 1.0, 1.9, 2.0, 5.0, 0.0])
    close = {"rtol": 1e-5, "atol": 0.0}
    torch.testing.assert_close(truncated_weight(old, behaviour, high=2.0), truncated, **close)
    torch.testing.assert_close(icepop_weight(old, behaviour, low=0.5, high=5.0), icepop, **close)
    torch.testing.assert_close(BEHAVIOUR_WEIGHTS["truncated"](old, behaviour, 0.5, 2.0), truncated, **close)
    torch.testing.assert_close(BEHAVIOUR_WEIGHTS["icepop"](old, behaviour, 0.5, 5.0), icepop, **close)
    assert torch.equal(BEHAVIOUR_WEIGHTS["none"](old, behaviour, 0.5, 2.0), torch.ones(7))


@pytest.mark.parametrize("name", list(BEHAVIOUR_WEIGHTS))
def test_behaviour_weights_are_constants(name: str) -> None:
    old = torch.zeros(3, requires_grad=True)
    assert not BEHAVIOUR_WEIGHTS[name](old, torch.zeros(3), 0.5, 2.0).requires_grad


def test_token_mean_by_hand() -> None:
    values = torch.tensor([[1.0, 2.0, math.nan], [4.0, math.inf, 8.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    # 1 + 2 + 4 = 7 over the 10 tokens that the caller counted, not over the 3 of this mask.
    for num_tokens in (10, 10.0, torch.tensor(10)):
        torch.testing.assert_close(token_mean(values, mask, num_tokens), torch.tensor(0.7))
    torch.testing.assert_close(token_mean(values, mask.float(), 10), torch.tensor(0.7))
    torch.testing.assert_close(token_mean(values, torch.zeros_like(mask), 0), torch.tensor(0.0))


def _gradients(num_parts: int, *, own_denominator: bool = False) -> list[Tensor]:
    """Gradients of head and hidden states of one mini-batch of eight ragged rows, summed over `num_parts` parts."""
    draw = torch.Generator().manual_seed(3)
    options = {"dtype": torch.float64, "generator": draw}
    hidden = torch.randn(8, 6, 5, **options).requires_grad_()
    head = torch.randn(11, 5, **options).requires_grad_()
    tokens = torch.randint(11, (8, 6), generator=draw)
    old, reference = -2.4 + 0.3 * torch.randn(8, 6, **options), -2.4 + 0.3 * torch.randn(8, 6, **options)
    advantages = torch.randn(8, 1, **options)
    lengths = torch.tensor([6, 1, 3, 2, 6, 4, 5, 1])
    mask = torch.arange(6) < lengths[:, None]
    for rows in torch.arange(8).chunk(num_parts):
        logprobs, _ = token_logprobs(hidden[rows], head, tokens[rows], temperature=1.2, chunk_size=7)
        losses = clipped_policy_loss(logprobs, old[rows], advantages[rows], **PAPER) + 0.1 * k3(
            logprobs, reference[rows]
        )
        num_tokens = mask[rows].sum() * num_parts if own_denominator else lengths.sum()
        token_mean(losses, mask[rows], num_tokens).backward()
    assert hidden.grad is not None
    assert head.grad is not None
    return [hidden.grad, head.grad]


@pytest.mark.parametrize("num_parts", [2, 4, 8])
def test_splitting_a_minibatch_changes_no_gradient(num_parts: int) -> None:
    whole = _gradients(1)
    assert all(gradient.abs().max() > 1e-3 for gradient in whole)
    for part, expected in zip(_gradients(num_parts), whole, strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-12, atol=1e-14)
    # A mean per micro-batch, averaged, is another gradient: the test can tell.
    assert not torch.allclose(_gradients(num_parts, own_denominator=True)[1], whole[1], rtol=1e-3)


def test_padding_changes_no_gradient() -> None:
    draw = torch.Generator().manual_seed(4)
    old, advantages = torch.randn(3, 4, generator=draw), torch.randn(3, 1, generator=draw)
    start = old + 0.2 * torch.randn(3, 4, generator=draw)
    gradients = []
    for filler in (0.0, 1e4):
        logprobs = start.clone().requires_grad_()
        padded = torch.nn.functional.pad(logprobs, (0, 2), value=filler)
        losses = clipped_policy_loss(padded, torch.nn.functional.pad(old, (0, 2)), advantages, **PAPER)
        token_mean(losses, torch.arange(6).expand(3, 6) < 4, 12).backward()
        gradients.append(logprobs.grad)
    unpadded = start.clone().requires_grad_()
    clipped_policy_loss(unpadded, old, advantages, **PAPER).mean().backward()
    torch.testing.assert_close(gradients[0], unpadded.grad)
    assert torch.equal(gradients[0], gradients[1])
