"""Stage 6: estimators of KL(policy || reference) at a sampled token, in nats, and what their gradients are.

Each takes `logprobs` (with gradient) and `ref_logprobs` (without) of the sampled tokens. With d = logprob -
ref_logprob, the values of k1 and k3 (and of k2 near d = 0) average to KL(policy || reference) over tokens that the
policy sampled. As losses they differ (arXiv 2506.09477, 2510.01555; Schulman 2020, "Approximating KL divergence"):

    estimator    value                gradient / grad logprob   expected gradient under the policy
    k1           d                    1                         0
    k2           d^2 / 2              d                         grad KL(policy || reference)
    k3           exp(-d) - 1 + d      1 - exp(-d)               grad KL(reference || policy)
    k3_unbiased  exp(-d) - 1 + d      d                         grad KL(policy || reference)

These hold on-policy; after the first update of a batch the term needs the importance ratio. The sums over tokens that
the loss takes are of per-token KL at the visited prefixes; no estimator sees how a token changes later prefixes.

d is clipped to +-20 and the value to +-10, as in verl and NeMo-RL (ProRL, arXiv 2505.24864 eq. 4, gives no estimator).
Where either cut binds the token has no gradient: k1 at |d| > 10, k2 at |d| > 4.47, k3 at d < -2.61 or d > 11.
`kl_clamped` finds those tokens.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MAX_LOG_RATIO = 20.0
MAX_VALUE = 10.0
IN_LOSS = ("k2", "k3", "k3_unbiased")
"""Estimators that have a gradient in expectation; k1 is a metric only."""


def k1(logprobs: Float[Tensor, "*tokens"], ref_logprobs: Float[Tensor, "*tokens"]) -> Float[Tensor, "*tokens"]:
    """The log-ratio itself: d. Unbiased value, may be negative; its expected gradient is 0."""
    return _log_ratio(logprobs, ref_logprobs).clamp(-MAX_VALUE, MAX_VALUE)


def k2(logprobs: Float[Tensor, "*tokens"], ref_logprobs: Float[Tensor, "*tokens"]) -> Float[Tensor, "*tokens"]:
    """Half the squared log-ratio: d^2 / 2. Biased value, the gradient of KL(policy || reference). ProRL v2's."""
    return (0.5 * _log_ratio(logprobs, ref_logprobs).square()).clamp(max=MAX_VALUE)


def k3(logprobs: Float[Tensor, "*tokens"], ref_logprobs: Float[Tensor, "*tokens"]) -> Float[Tensor, "*tokens"]:
    """exp(-d) - 1 + d: unbiased and never negative; the gradient of KL(reference || policy). verl's `low_var_kl`."""
    log_ratio = _log_ratio(logprobs, ref_logprobs)
    # expm1: near the reference exp(-d) - 1 would lose all digits of a value of d^2 / 2.
    return (torch.expm1(-log_ratio) + log_ratio).clamp(max=MAX_VALUE)


def k3_unbiased(logprobs: Float[Tensor, "*tokens"], ref_logprobs: Float[Tensor, "*tokens"]) -> Float[Tensor, "*tokens"]:
    """k3's value with k2's gradient: unbiased in both."""
    gradient_part = k2(logprobs, ref_logprobs)
    return k3(logprobs, ref_logprobs).detach() + (gradient_part - gradient_part.detach())


KL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3, "k3_unbiased": k3_unbiased}
"""`loss.kl_estimator`: `(logprobs, ref_logprobs) -> KL` of each token."""


def kl_clamped(
    logprobs: Float[Tensor, "*tokens"], ref_logprobs: Float[Tensor, "*tokens"], *, estimator: str = "k3"
) -> Bool[Tensor, "*tokens"]:
    """Tokens whose value or gradient a cut of `estimator` changes: |value| at 10.

    |d| > 20 puts every estimator's value at 10, so one test finds both cuts; k3_unbiased has k3's and k2's.
    """
    parts = (k2, k3) if estimator == "k3_unbiased" else (KL[estimator],)
    masks = [part(logprobs, ref_logprobs).abs() >= MAX_VALUE for part in parts]
    return torch.stack(masks).any(0)


def _log_ratio(logprobs: Float[Tensor, "*tokens"], ref_logprobs: Float[Tensor, "*tokens"]) -> Float[Tensor, "*tokens"]:
    return (logprobs - ref_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
