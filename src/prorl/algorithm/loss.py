"""Stage 6: the clipped policy loss of each token, its weights against the engine, and the one mean over tokens.

It adds no KL term (see kl.py) and knows no batches: every function takes any shape.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""Bound of a log-ratio before exp (verl's), so that a far token gives a large number and not infinity."""


def importance_ratio(
    logprobs: Float[Tensor, "*tokens"], old_logprobs: Float[Tensor, "*tokens"]
) -> Float[Tensor, "*tokens"]:
    """How much likelier the policy makes a token than the old one did.

    r = exp(clip(logprob - old_logprob, -20, 20))

    ProRL, arXiv 2505.24864 eq. 3, per token. No gradient where the log-ratio is cut.
    """
    return torch.exp((logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO))


def clipped_policy_loss(
    logprobs: Float[Tensor, "*tokens"],
    old_logprobs: Float[Tensor, "*tokens"],
    advantages: Float[Tensor, "*#tokens"],
    *,
    clip_low: float | int,
    clip_high: float | int,
    dual_clip: float | int | None = None,
) -> Float[Tensor, "*tokens"]:
    """Loss of each token, with the ratio clipped by different amounts on the two sides.

    loss = -min(r * A, clip(r, 1 - clip_low, 1 + clip_high) * A)
    dual clip c, where A < 0:  loss = min(loss, -c * A)

    PPO, arXiv 1707.06347 eq. 7; decoupled clip, DAPO, arXiv 2503.14476 eq. 10; ProRL, arXiv 2505.24864 eq. 1; dual
    clip, arXiv 1912.09729 eq. 5. `advantages` may be broadcast over tokens. No gradient where a clip binds, nor
    through `old_logprobs` when the caller detached them. `dual_clip` None or 0 is off; else it must exceed 1.
    """
    ratio = importance_ratio(logprobs, old_logprobs)
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    loss = -torch.minimum(ratio * advantages, clipped * advantages)
    if not dual_clip:
        return loss
    assert dual_clip > 1.0, f"dual_clip = {dual_clip}"
    return torch.where(advantages < 0, torch.minimum(loss, -dual_clip * advantages), loss)


def clip_masks(
    logprobs: Float[Tensor, "*tokens"],
    old_logprobs: Float[Tensor, "*tokens"],
    advantages: Float[Tensor, "*#tokens"],
    *,
    clip_low: float | int,
    clip_high: float | int,
) -> tuple[Bool[Tensor, "*tokens"], Bool[Tensor, "*tokens"]]:
    """Tokens whose gradient the lower and the upper clip cut off.

    low = A < 0 and r < 1 - clip_low,  high = A > 0 and r > 1 + clip_high

    A ratio outside the band on the other side of its advantage is not clipped and not counted.
    """
    ratio = importance_ratio(logprobs, old_logprobs)
    return (advantages < 0) & (ratio < 1.0 - clip_low), (advantages > 0) & (ratio > 1.0 + clip_high)


def token_mean(
    values: Float[Tensor, "*tokens"], mask: Shaped[Tensor, "*tokens"], num_tokens: Tensor | float | int
) -> Float[Tensor, ""]:
    """Sum over the masked-in tokens divided by a count that the caller gives.

    sum(values where mask) / num_tokens

    DAPO, arXiv 2503.14476 eq. 12. `num_tokens` is the loss tokens of the whole optimizer step, over all micro-batches
    and ranks, so that the sum of the parts' gradients is the gradient of the whole, however it is split. Values where
    the mask is false or 0 are ignored, NaN included. 0 for a step without a token.
    """
    return torch.where(mask.bool(), values, 0.0).sum() / max(num_tokens, 1)


def truncated_weight(
    old_logprobs: Float[Tensor, "*tokens"], behaviour_logprobs: Float[Tensor, "*tokens"], *, high: float | int
) -> Float[Tensor, "*tokens"]:
    """Truncated importance weight of the old policy against the engine that sampled.

    w = min(exp(old_logprob - behaviour_logprob), high)

    BroRL, arXiv 2510.01180 section 3.1, high = 2. A constant: no gradient.
    """
    return importance_ratio(old_logprobs, behaviour_logprobs).clamp(max=high).detach()


def icepop_weight(
    old_logprobs: Float[Tensor, "*tokens"],
    behaviour_logprobs: Float[Tensor, "*tokens"],
    *,
    low: float | int,
    high: float | int,
) -> Float[Tensor, "*tokens"]:
    """IcePop: the importance weight inside a band, 0 outside.

    w = exp(old_logprob - behaviour_logprob) if low <= it <= high, else 0

    arXiv 2510.18855; the public v2 recipes use 0.5 and 5. A token with weight 0 stays in the denominator of
    `token_mean`. A constant: no gradient.
    """
    ratio = importance_ratio(old_logprobs, behaviour_logprobs).detach()
    return torch.where((ratio >= low) & (ratio <= high), ratio, 0.0)


BEHAVIOUR_WEIGHTS: dict[str, Callable[[Tensor, Tensor, float, float], Tensor]] = {
    "none": lambda old, behaviour, low, high: torch.ones_like(old),
    "truncated": lambda old, behaviour, low, high: truncated_weight(old, behaviour, high=high),
    "icepop": lambda old, behaviour, low, high: icepop_weight(old, behaviour, low=low, high=high),
}
"""`loss.behaviour_correction`: `(old_logprobs, behaviour_logprobs, low, high) -> weight` of each token."""
