"""Stage 6: log-probabilities of tokens from hidden states, in chunks, so that no [N, V] matrix ever exists.

It runs no model: hidden states and the head's weight come from the caller.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

_MIXED_PRODUCTS = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 8)
"""Before torch 2.8 a 16-bit product has a 16-bit result."""


def token_logprobs(
    hidden: Float[Tensor, "*tokens H"],
    head_weight: Float[Tensor, "V H"],
    tokens: Int[Tensor, "*tokens"],
    *,
    temperature: float | int,
    chunk_size: int,
) -> tuple[Float[Tensor, "*tokens"], Float[Tensor, "*tokens"]]:
    """Log-probability of each token and entropy of the distribution it is drawn from, both in nats.

    z_i = W h_i / temperature,  logprob_i = z_i[token_i] - logsumexp(z_i),  entropy_i = -sum_v p_iv log p_iv

    ProRL samples at temperature 1.2 (arXiv 2505.24864); policy, old policy, reference and engine are all
    taken at the sampling temperature. `hidden[i]` predicts `tokens[i]`; the caller shifts. The log-probs are
    differentiable in `hidden` and `head_weight` (once), the entropy is not.

    At most `chunk_size` rows of V numbers exist at a time, temporaries counted, in forward and backward; the backward
    pass computes the logits again. Results are float32 (float64 for float64 input). 16-bit input: on CUDA products are
    16-bit with float32 sums (and results, from torch 2.8 on), elsewhere everything is float32 at the price of one
    float32 copy of the weight. The weight may be of another type than `hidden`, whose type decides.
    """
    assert temperature > 0, f"temperature = {temperature}"
    assert chunk_size >= 1, f"chunk_size = {chunk_size}"
    flat = hidden.reshape(-1, hidden.shape[-1])
    arguments = (flat, head_weight, tokens.reshape(-1).long(), float(temperature), chunk_size)
    logprobs, entropy = _TokenLogprobs.apply(*arguments)
    return logprobs.view(tokens.shape), entropy.view(tokens.shape)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Float[Tensor, "N H"],
        head_weight: Float[Tensor, "V H"],
        tokens: Int[Tensor, " N"],
        temperature: float,
        chunk_size: int,
    ) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        ctx.save_for_backward(hidden, head_weight, tokens)
        ctx.temperature, ctx.chunk_size = temperature, chunk_size
        kind = _factor_dtype(hidden)
        weight = head_weight.to(kind)
        logprobs = torch.empty(len(tokens), dtype=_sum_dtype(hidden), device=hidden.device)
        entropy = torch.empty_like(logprobs)
        for rows in _row_slices(len(tokens), chunk_size):
            distribution = _log_distribution(hidden[rows].to(kind), weight, temperature)
            logprobs[rows] = distribution.gather(-1, tokens[rows, None]).squeeze(-1)
            entropy[rows] = distribution.exp().mul_(distribution).sum(-1).neg_()
            # Before the next chunk's logits are made, or two chunks would live at once.
            del distribution
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Float[Tensor, " N"], _: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        """With p = softmax(z): d logprob / d z = onehot - p, so  grad h = g/T (onehot - p) W,  grad W likewise.

        The weight's gradient is summed in float32 over the chunks; autograd gives it the weight's type.
        """
        hidden, head_weight, tokens = ctx.saved_tensors
        kind = _factor_dtype(hidden)
        weight = head_weight.to(kind)
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_weight = torch.zeros_like(head_weight, dtype=_sum_dtype(hidden)) if needs_weight else None
        scale = -grad.unsqueeze(-1) / ctx.temperature
        for rows in _row_slices(len(tokens), ctx.chunk_size):
            chunk = hidden[rows].to(kind)
            # The chunk becomes p - onehot in place; its factor -g/T goes onto the [rows, H] side, which is smaller.
            residual = _log_distribution(chunk, weight, ctx.temperature).exp_()
            residual.scatter_(-1, tokens[rows, None], -1.0, reduce="add")
            residual = residual.to(kind)
            if grad_hidden is not None:
                grad_hidden[rows] = _product(residual, weight) * scale[rows]
            if grad_weight is not None:
                _add_product(grad_weight, residual.t(), (chunk * scale[rows]).to(kind))
            del residual
        return grad_hidden, grad_weight, None, None, None


def _log_distribution(
    hidden: Float[Tensor, "rows H"], weight: Float[Tensor, "V H"], temperature: float
) -> Float[Tensor, "rows V"]:
    """Logits are freed on return, so at most two [rows, V] tensors live here and in the callers."""
    logits = _product(hidden, weight.t())
    if temperature != 1.0:
        logits.div_(temperature)
    return torch.log_softmax(logits, -1)


def _row_slices(num_rows: int, chunk_size: int) -> list[slice]:
    """Half a chunk at a time, because softmax needs its input and its output."""
    step = max(chunk_size // 2, 1)
    return [slice(start, start + step) for start in range(0, num_rows, step)]


def _sum_dtype(hidden: Tensor) -> torch.dtype:
    return torch.float64 if hidden.dtype == torch.float64 else torch.float32


def _factor_dtype(hidden: Tensor) -> torch.dtype:
    return hidden.dtype if hidden.is_cuda else _sum_dtype(hidden)


def _product(left: Float[Tensor, "A B"], right: Float[Tensor, "B C"]) -> Float[Tensor, "A C"]:
    """Matrix product with a float32 result for 16-bit factors."""
    if left.dtype.itemsize >= 4:
        return torch.mm(left, right)
    if not _MIXED_PRODUCTS:
        return torch.mm(left, right).float()
    return torch.mm(left, right, out_dtype=torch.float32)


def _add_product(total: Float[Tensor, "A C"], left: Float[Tensor, "A B"], right: Float[Tensor, "B C"]) -> None:
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total.add_(_product(left, right))
