"""Stage 5, first half: a verifier's scores become rewards. It runs after the group filter and never feeds it."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from prorl.errors import UserError

ShapedRewards = tuple[Float[Tensor, "P G"], Bool[Tensor, "P G"]]
"""Rewards, and which rollouts count in loss, KL, denominators and group statistics."""


def zero_truncated(
    scores: Float[Tensor, "P G"],
    num_tokens: Int[Tensor, "P G"],
    truncated: Bool[Tensor, "P G"],
    *,
    max_tokens: int,
    buffer: int,
    penalty: float | int,
) -> ShapedRewards:
    """A truncated response earns nothing.

    R = 0 if truncated else s

    ProRL v1 from run 4 (arXiv 2505.24864 appendix E; the size of the penalty is not published, 0 is what public
    code uses). It changes truncated answers with a score above 0 only. The keyword arguments are not used.
    """
    return scores.masked_fill(truncated, 0.0), torch.ones_like(truncated)


def mask_truncated(
    scores: Float[Tensor, "P G"],
    num_tokens: Int[Tensor, "P G"],
    truncated: Bool[Tensor, "P G"],
    *,
    max_tokens: int,
    buffer: int,
    penalty: float | int,
) -> ShapedRewards:
    """Overlong filtering: a truncated response is left out of everything.

    R = s,  valid = not truncated

    DAPO (arXiv 2503.14476) section 3.4. The keyword arguments are not used.
    """
    return scores, ~truncated


def soft_truncation(
    scores: Float[Tensor, "P G"],
    num_tokens: Int[Tensor, "P G"],
    truncated: Bool[Tensor, "P G"],
    *,
    max_tokens: int,
    buffer: int,
    penalty: float | int,
) -> ShapedRewards:
    """A response that runs into the last `buffer` tokens loses reward, linearly.

    R = s - penalty * clip((n - (L - buffer)) / buffer, 0, 1),  L = max_tokens

    DAPO (arXiv 2503.14476) eq. 13 with penalty 1. Lengths in tokens. It looks at the length only: a response that
    ends by itself inside the buffer pays too. The score is kept. Needs 1 <= buffer <= max_tokens.
    """
    if not 1 <= buffer <= max_tokens:
        raise UserError(
            f"reward.soft_buffer_tokens = {buffer}: reward.truncation = 'soft' needs 1 to {max_tokens} "
            "(rollouts.max_response_tokens); set it in that range or choose zero, mask or none"
        )
    overrun = (num_tokens - (max_tokens - buffer)) / buffer
    return scores - penalty * overrun.clamp(0.0, 1.0).to(scores.dtype), torch.ones_like(truncated)


def keep_truncated(
    scores: Float[Tensor, "P G"],
    num_tokens: Int[Tensor, "P G"],
    truncated: Bool[Tensor, "P G"],
    *,
    max_tokens: int,
    buffer: int,
    penalty: float | int,
) -> ShapedRewards:
    """A truncated response earns its score: R = s. The keyword arguments are not used."""
    return scores, torch.ones_like(truncated)


TRUNCATION: dict[str, Callable[..., ShapedRewards]] = {
    "zero": zero_truncated,
    "mask": mask_truncated,
    "soft": soft_truncation,
    "none": keep_truncated,
}
"""`reward.truncation`: `(scores, num_tokens, truncated, *, max_tokens, buffer, penalty) -> (rewards, valid)`."""


def cosine_length(num_tokens: Int[Tensor, "P G"], *, max_tokens: int, weight: float | int) -> Float[Tensor, "P G"]:
    """The length term of ProRL v2, to be added to the reward of every response.

    weight * (eta_min + (eta_max - eta_min) / 2 * (1 + cos(pi * n / L))),  L = max_tokens

    ProRL v2 (NVIDIA blog, 2025), after arXiv 2502.03373. eta_min, eta_max and the weight are not published; here
    eta_min = 0 and eta_max = 1, so an empty response gets `weight`, one of L tokens or more gets 0.
    """
    share = (num_tokens / max_tokens).clamp(0.0, 1.0)
    return weight * 0.5 * (1.0 + torch.cos(math.pi * share))


def length_term_active(step: int, *, on: int, off: int) -> bool:
    """Whether step `step` (from 0) is in the `on` part of a cycle of `on` steps with the length term and `off` without.

    step mod (on + off) < on

    ProRL v2 (NVIDIA blog, 2025): for example 100 on, 500 off. Which part comes first is not published.
    """
    return step % (on + off) < on
