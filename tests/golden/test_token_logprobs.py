"""Chunked log-probabilities against hand-worked numbers and against the slow way with the whole [N, V] matrix."""

import math

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from prorl.algorithm import logprobs as logprobs_module
from prorl.algorithm.logprobs import token_logprobs


def _slow(hidden: Tensor, head: Tensor, tokens: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    distribution = torch.log_softmax(hidden @ head.T / temperature, -1)
    entropy = -(distribution.exp() * distribution).sum(-1)
    return distribution.gather(-1, tokens[..., None]).squeeze(-1), entropy


def test_by_hand() -> None:
    # Logits 0 and ln 9 at temperature 2 are 0 and ln 3: probabilities 1/4 and 3/4.
    # Entropy: ln(4) / 4 + 3 ln(4/3) / 4 = 0.5623351.  At temperature 1: 1/10 and 9/10, entropy 0.3250830.
    hidden = torch.tensor([[0.0, math.log(9.0)], [0.0, math.log(9.0)]])
    tokens = torch.tensor([0, 1])
    logprobs, entropy = token_logprobs(hidden, torch.eye(2), tokens, temperature=2.0, chunk_size=8)
    torch.testing.assert_close(logprobs, torch.tensor([0.25, 0.75]).log())
    torch.testing.assert_close(entropy, torch.tensor([0.5623351, 0.5623351]))
    logprobs, entropy = token_logprobs(hidden, torch.eye(2), tokens, temperature=1, chunk_size=1)
    torch.testing.assert_close(logprobs, torch.tensor([0.1, 0.9]).log())
    torch.testing.assert_close(entropy, torch.tensor([0.3250830, 0.3250830]))


def test_gradient_by_hand() -> None:
    # d logprob_0 / d z = onehot - p = (3/4, -3/4), over temperature 2; times W = identity for the hidden state,
    # times the hidden state (0, ln 9) for each row of the weight.
    hidden = torch.tensor([[0.0, math.log(9.0)]], requires_grad=True)
    head = torch.eye(2, requires_grad=True)
    token_logprobs(hidden, head, torch.tensor([0]), temperature=2.0, chunk_size=8)[0].sum().backward()
    assert hidden.grad is not None
    assert head.grad is not None
    torch.testing.assert_close(hidden.grad, torch.tensor([[0.375, -0.375]]))
    slope = 0.375 * math.log(9.0)
    torch.testing.assert_close(head.grad, torch.tensor([[0.0, slope], [0.0, -slope]]))


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 4, 6, 23, 24, 25, 48, 1000])
@pytest.mark.parametrize("temperature", [1.0, 1.2, 0.6])
def test_equal_to_the_slow_way(chunk_size: int, temperature: float) -> None:
    draw = torch.Generator().manual_seed(0)
    hidden, head = 2 * torch.randn(4, 6, 16, generator=draw), torch.randn(50, 16, generator=draw)
    tokens, weights = torch.randint(50, (4, 6), generator=draw), torch.randn(4, 6, generator=draw)
    results = []
    for slow in (True, False):
        leaves = [hidden.clone().requires_grad_(), head.clone().requires_grad_()]
        if slow:
            logprobs, entropy = _slow(*leaves, tokens, temperature)
        else:
            logprobs, entropy = token_logprobs(*leaves, tokens, temperature=temperature, chunk_size=chunk_size)
            assert not entropy.requires_grad
        (weights * logprobs).sum().backward()
        results.append([logprobs.detach(), entropy.detach(), *(leaf.grad for leaf in leaves)])
    for fast, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(fast, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("chunk_size", [1, 4, 100])
def test_gradcheck(chunk_size: int) -> None:
    draw = torch.Generator().manual_seed(1)
    hidden = torch.randn(5, 3, dtype=torch.float64, generator=draw).requires_grad_()
    head = torch.randn(7, 3, dtype=torch.float64, generator=draw).requires_grad_()
    tokens = torch.tensor([0, 6, 6, 2, 3])

    def logprobs(*leaves: Tensor) -> Tensor:
        return token_logprobs(*leaves, tokens, temperature=1.3, chunk_size=chunk_size)[0]

    assert torch.autograd.gradcheck(logprobs, (hidden, head), atol=1e-7)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0), (2, 3), (2, 1, 3)])
def test_any_leading_shape(shape: tuple[int, ...]) -> None:
    draw = torch.Generator().manual_seed(2)
    hidden = torch.randn(*shape, 4, generator=draw).requires_grad_()
    head = torch.randn(9, 4, generator=draw).requires_grad_()
    tokens = torch.randint(9, shape, generator=draw, dtype=torch.int32)
    logprobs, entropy = token_logprobs(hidden, head, tokens, temperature=1.0, chunk_size=2)
    expected = _slow(hidden.detach(), head.detach(), tokens.long(), 1.0)
    torch.testing.assert_close(logprobs.detach(), expected[0])
    torch.testing.assert_close(entropy, expected[1])
    logprobs.sum().backward()
    assert hidden.grad is not None
    assert head.grad is not None
    assert hidden.grad.shape == (*shape, 4)
    assert (head.grad == 0).all() == (0 in shape)


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_side_gets_no_gradient(frozen: int) -> None:
    draw = torch.Generator().manual_seed(3)
    leaves = [torch.randn(6, 4, generator=draw), torch.randn(9, 4, generator=draw)]
    tokens = torch.randint(9, (6,), generator=draw)
    leaves[1 - frozen].requires_grad_()
    token_logprobs(*leaves, tokens, temperature=1.1, chunk_size=4)[0].sum().backward()
    slow = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    _slow(*slow, tokens, 1.1)[0].sum().backward()
    assert leaves[frozen].grad is None
    torch.testing.assert_close(leaves[1 - frozen].grad, slow[1 - frozen].grad)


def test_far_logits_stay_finite() -> None:
    # Logits 0, 1000 and 2000: the last has all the mass, the others their exact distance; the entropy is 0.
    hidden = torch.tensor([[1000.0]]).expand(3, 1).clone().requires_grad_()
    head = torch.tensor([[0.0], [1.0], [2.0]])
    logprobs, entropy = token_logprobs(hidden, head, torch.tensor([0, 1, 2]), temperature=1.0, chunk_size=3)
    torch.testing.assert_close(logprobs.detach(), torch.tensor([-2000.0, -1000.0, 0.0]))
    torch.testing.assert_close(entropy, torch.zeros(3))
    logprobs.sum().backward()
    assert hidden.grad is not None
    torch.testing.assert_close(hidden.grad, torch.tensor([[-2.0], [-1.0], [0.0]]))


def test_entropy_of_the_uniform_distribution() -> None:
    _, entropy = token_logprobs(
        torch.zeros(2, 3), torch.randn(64, 3), torch.tensor([1, 2]), temperature=1.2, chunk_size=4
    )
    torch.testing.assert_close(entropy, torch.full((2,), math.log(64.0)))


def test_16_bit_input_is_summed_in_32() -> None:
    # Rounded to bfloat16, logits of about 30 would be off by 0.1 and a weight gradient summed over 2,048 one-row
    # chunks would stall at 256 times its terms.
    draw = torch.Generator().manual_seed(4)
    hidden, head = 3 * torch.randn(2048, 32, generator=draw), torch.randn(40, 32, generator=draw)
    hidden[:, 0] = 1.0
    tokens = torch.zeros(2048, dtype=torch.long)
    leaves = [hidden.bfloat16().requires_grad_(), head.bfloat16().requires_grad_()]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    logprobs, entropy = token_logprobs(*leaves, tokens, temperature=1.2, chunk_size=2)
    expected = _slow(*exact, tokens, 1.2)
    assert logprobs.dtype == entropy.dtype == torch.float32
    torch.testing.assert_close(logprobs.double(), expected[0], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(entropy.double(), expected[1], rtol=1e-4, atol=1e-4)
    logprobs.sum().backward()
    expected[0].sum().backward()
    for leaf, reference in zip(leaves, exact, strict=True):
        assert leaf.grad is not None
        assert reference.grad is not None
        assert leaf.grad.dtype == torch.bfloat16
        torch.testing.assert_close(leaf.grad.double(), reference.grad, rtol=2**-8, atol=1e-3)


def test_16_bit_factors_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    # The CUDA path on a CPU: factors stay bfloat16, products are exact. Log-probs then lose nothing; gradients lose
    # the rounding of (p - onehot), a relative 2^-9 a term.
    monkeypatch.setattr(logprobs_module, "_factor_dtype", lambda hidden: hidden.dtype)
    draw = torch.Generator().manual_seed(6)
    values = torch.randn(12, 8, generator=draw).bfloat16(), torch.randn(20, 8, generator=draw).bfloat16()
    tokens = torch.randint(20, (12,), generator=draw)

    # The real call on the meta device takes these types, gives float32 results and gradients of the leaves' type.
    leaves = [value.to("meta").requires_grad_() for value in values]
    logprobs, entropy = token_logprobs(*leaves, tokens.to("meta"), temperature=1.2, chunk_size=8)
    assert logprobs.dtype == entropy.dtype == torch.float32
    logprobs.sum().backward()
    assert [leaf.grad.dtype for leaf in leaves if leaf.grad is not None] == [torch.bfloat16, torch.bfloat16]

    monkeypatch.setattr(logprobs_module, "_product", lambda left, right: left.float() @ right.float())
    leaves = [value.clone().requires_grad_() for value in values]
    exact = [value.double().requires_grad_() for value in values]
    logprobs, entropy = token_logprobs(*leaves, tokens, temperature=1.2, chunk_size=8)
    expected = _slow(*exact, tokens, 1.2)
    torch.testing.assert_close(logprobs.double(), expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(entropy.double(), expected[1], rtol=1e-5, atol=1e-5)
    logprobs.sum().backward()
    expected[0].sum().backward()
    for leaf, reference in zip(leaves, exact, strict=True):
        assert leaf.grad is not None
        assert reference.grad is not None
        torch.testing.assert_close(leaf.grad.double(), reference.grad, rtol=0.02, atol=0.02)


def test_32_bit_weight_under_16_bit_hidden_states() -> None:
    draw = torch.Generator().manual_seed(5)
    hidden = torch.randn(6, 8, generator=draw).bfloat16()
    head = torch.randn(10, 8, generator=draw).requires_grad_()
    tokens = torch.randint(10, (6,), generator=draw)
    logprobs, _ = token_logprobs(hidden, head, tokens, temperature=1.0, chunk_size=4)
    torch.testing.assert_close(logprobs.detach(), _slow(hidden.float(), head.detach(), tokens, 1.0)[0])
    logprobs.sum().backward()
    assert head.grad is not None
    assert head.grad.dtype == torch.float32


def _peak_bytes(run: torch.profiler.profile) -> int:
    """Highest sum of the allocations and releases that the profiler saw."""
    events = [event for event in run.profiler.kineto_results.events() if event.name() == "[memory]"]
    assert events
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def test_memory_is_hidden_states_and_one_chunk() -> None:
    num_tokens, size, vocabulary, chunk_size = 2048, 16, 4096, 256
    hidden = torch.randn(num_tokens, size, requires_grad=True)
    head = torch.randn(vocabulary, size, requires_grad=True)
    tokens = torch.randint(vocabulary, (num_tokens,))
    chunk_bytes, matrix_bytes = 4 * chunk_size * vocabulary, 4 * num_tokens * vocabulary
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as forward:
        logprobs, _ = token_logprobs(hidden, head, tokens, temperature=1.2, chunk_size=chunk_size)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as backward:
        logprobs.sum().backward()
    assert chunk_bytes * 0.9 < _peak_bytes(forward) < 1.2 * (4 * hidden.numel() + chunk_bytes)
    gradients = 4 * (hidden.numel() + head.numel())
    assert chunk_bytes * 0.9 < _peak_bytes(backward) - gradients < 1.2 * (4 * hidden.numel() + chunk_bytes)
    assert _peak_bytes(backward) < matrix_bytes / 4
