"""Stage 5, second half: rewards become one advantage a rollout. Every token of a rollout shares it."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor

STD_FLOOR = 1e-6
"""Added to a group's deviation (verl's GRPO)."""
VARIANCE_FLOOR = 1e-8
"""Smallest variance of the batch whitening (the public v2 recipes)."""


def group_advantages(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"] | None = None) -> Float[Tensor, "P G"]:
    """GRPO: the reward in standard deviations of its own group.

    A = (R - mean(R)) / (std(R) + 1e-6),  std with n - 1

    ProRL v1, arXiv 2505.24864 eq. 2; GRPO, arXiv 2402.03300. Mean and deviation are those of the group's valid
    rollouts. 0 for an invalid rollout, for a flat group and for a group with fewer than two valid rollouts.
    """
    centred, _, count = _centred(rewards, valid)
    std = (centred.square().sum(-1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    return (centred / (std + STD_FLOOR)).to(rewards.dtype)


def batch_advantages(
    rewards: Float[Tensor, "P G"], num_tokens: Real[Tensor, "P G"], valid: Bool[Tensor, "P G"] | None = None
) -> Float[Tensor, "P G"]:
    """REINFORCE++-baseline: group mean off, then whitened over all response tokens of the batch.

    D = R - mean_group(R),  m = sum(n * D) / sum(n),  v = sum(n * (D - m)^2) / sum(n)
    A = (D - m) / sqrt(max(v, 1e-8)),  n = response tokens of the rollout

    ProRL v2; REINFORCE++, arXiv 2501.03262. `rewards` must be the whole batch of the step over all ranks. Long
    responses weigh more, as in the public v2 recipes. 0 for an invalid rollout and for a group with fewer than two
    valid ones; neither counts in m and v.
    """
    centred, used, _ = _centred(rewards, valid)
    weights = torch.where(used, num_tokens, 0).double()
    total = weights.sum().clamp(min=1.0)
    deviation = centred - (weights * centred).sum() / total
    variance = (weights * deviation.square()).sum() / total
    whitened = deviation / variance.clamp(min=VARIANCE_FLOOR).sqrt()
    return torch.where(used, whitened, 0.0).to(rewards.dtype)


def loo_advantages(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"] | None = None) -> Float[Tensor, "P G"]:
    """RLOO: the reward against the mean of the other rollouts of its group.

    A_i = R_i - mean(R_j, j != i) = (R_i - mean(R)) * n / (n - 1)

    arXiv 2402.14740 section 3. 0 for an invalid rollout and for a group with fewer than two valid ones.
    """
    centred, _, count = _centred(rewards, valid)
    return (centred * count / (count - 1).clamp(min=1)).to(rewards.dtype)


def dr_advantages(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"] | None = None) -> Float[Tensor, "P G"]:
    """Dr. GRPO: the reward minus its group's mean, not divided by the deviation.

    A = R - mean(R)

    arXiv 2503.20783 section 3.2. 0 for an invalid rollout and for a group with fewer than two valid ones.
    """
    return _centred(rewards, valid)[0].to(rewards.dtype)


ADVANTAGES: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "group": lambda rewards, num_tokens, valid: group_advantages(rewards, valid),
    "batch": lambda rewards, num_tokens, valid: batch_advantages(rewards, num_tokens, valid),
    "loo": lambda rewards, num_tokens, valid: loo_advantages(rewards, valid),
    "dr": lambda rewards, num_tokens, valid: dr_advantages(rewards, valid),
}
"""`loss.advantage`: `(rewards, num_tokens, valid) -> advantages`, all `[P G]`."""


def _centred(
    rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"] | None
) -> tuple[Float[Tensor, "P G"], Bool[Tensor, "P G"], Real[Tensor, "P 1"]]:
    """Rewards minus their group's mean (0 where not used), the rollouts used, and how many a group has.

    In float64: the rounding of a float32 mean, over the floor of 1e-6, would give a flat group an advantage of 0.007.
    """
    used = torch.ones_like(rewards, dtype=torch.bool) if valid is None else valid
    used = used & (used.sum(-1, keepdim=True) >= 2)
    count = used.sum(-1, keepdim=True)
    # `where` and not a product: an unused reward may be NaN.
    kept = torch.where(used, rewards.double(), 0.0)
    mean = kept.sum(-1, keepdim=True) / count.clamp(min=1)
    return torch.where(used, kept - mean, 0.0), used, count
