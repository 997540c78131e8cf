"""Stage 2: one token from logits, with a random stream of its own for each rollout.

The uniform number of a rollout's t-th token is a hash of (its seed, t), so it depends on nothing else: not on the
batch, the order of requests, or a generator's state, and a resumed run needs none restored.
"""

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def uniforms(seeds: Tensor, steps: Tensor) -> Tensor:
    """Numbers in [0, 1) with 24 random bits, by splitmix64 (Steele et al. 2014); int64 `[B]` and `[B]` give `[B]`."""
    z = seeds + (steps + 1) * _GOLDEN
    z = (z ^ _shift(z, 30)) * _MIX_1
    z = (z ^ _shift(z, 27)) * _MIX_2
    z = z ^ _shift(z, 31)
    return _shift(z, 40).to(torch.float32) * 2.0**-24


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift of a signed integer."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def sample(logits: Tensor, uniform: Tensor, temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    """Inverse-CDF draw from softmax(logits / temperature), cut to the nucleus `top_p`.

    `logits [B V]`, `uniform [B]` give tokens `[B]` and their log-probabilities `[B]` under the distribution that was
    sampled from. Temperature 0 takes the largest logit, with the log-probability at temperature 1.
    """
    if temperature == 0.0:
        logprobs = torch.log_softmax(logits.float(), -1)
        best = logprobs.max(-1)
        return best.indices, best.values
    probs = torch.softmax(logits.float() / temperature, -1)
    if top_p < 1.0:
        probs = nucleus(probs, top_p)
    cdf = probs.cumsum(-1)
    total = cdf[:, -1:]
    tokens = torch.searchsorted(cdf, uniform.unsqueeze(-1) * total, right=True).clamp_(max=probs.shape[-1] - 1)
    chosen = probs.gather(-1, tokens)
    return tokens.squeeze(-1), chosen.log().squeeze(-1)


def nucleus(probs: Tensor, top_p: float) -> Tensor:
    """The smallest set of tokens that holds `top_p` of the mass (Holtzman et al., 1904.09751), renormalised `[B V]`."""
    ordered, order = probs.sort(dim=-1, descending=True, stable=True)
    outside = ordered.cumsum(-1) - ordered >= top_p
    ordered = ordered.masked_fill(outside, 0.0)
    kept = torch.zeros_like(probs).scatter_(-1, order, ordered)
    return kept / kept.sum(-1, keepdim=True)
