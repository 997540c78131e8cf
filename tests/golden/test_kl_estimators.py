"""KL estimators: values by hand, and what their gradients are, by exact sums over a small vocabulary."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from prorl.algorithm.kl import IN_LOSS, KL, kl_clamped

LN2 = math.log(2.0)


@pytest.mark.parametrize(
    ("name", "twice_as_likely", "half_as_likely"),
    [
        # d = ln 2 and d = -ln 2: k2 is ln(2)^2 / 2; k3 is 1/2 - 1 + ln 2 and 2 - 1 - ln 2.
        ("k1", LN2, -LN2),
        ("k2", 0.2402265070, 0.2402265070),
        ("k3", 0.1931471806, 0.3068528194),
        ("k3_unbiased", 0.1931471806, 0.3068528194),
    ],
)
def test_values_by_hand(name: str, twice_as_likely: float, half_as_likely: float) -> None:
    logprobs = torch.tensor([0.5, 0.25, 0.125], dtype=torch.float64).log()
    reference = torch.tensor([0.25, 0.5, 0.125], dtype=torch.float64).log()
    expected = torch.tensor([twice_as_likely, half_as_likely, 0.0], dtype=torch.float64)
    torch.testing.assert_close(KL[name](logprobs, reference), expected, rtol=1e-9, atol=1e-12)


# A policy and a reference over five tokens, and the two divergences' gradients in the policy's logits:
#   d KL(p || q) / d logit_j = p_j (ln p_j/q_j - KL(p || q)),   d KL(q || p) / d logit_j = p_j - q_j
POLICY = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05], dtype=torch.float64)
REFERENCE = torch.tensor([0.1, 0.35, 0.3, 0.05, 0.2], dtype=torch.float64)
DIVERGENCE = (POLICY * (POLICY / REFERENCE).log()).sum()
TOWARDS_REFERENCE = POLICY * ((POLICY / REFERENCE).log() - DIVERGENCE)
OTHER_DIRECTION = POLICY - REFERENCE


def _expected(estimator: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Mean value and mean gradient in the logits under tokens from the policy, by summing over all tokens."""
    logits = POLICY.log().requires_grad_()
    values = estimator(torch.log_softmax(logits, -1), REFERENCE.log())
    mean = (POLICY * values).sum()  # POLICY is a constant here: the sampling has no gradient
    (gradient,) = torch.autograd.grad(mean, logits)
    return mean.detach(), gradient


@pytest.mark.parametrize(
    ("name", "gradient"),
    [
        ("k1", torch.zeros(5, dtype=torch.float64)),
        ("k2", TOWARDS_REFERENCE),
        ("k3", OTHER_DIRECTION),
        ("k3_unbiased", TOWARDS_REFERENCE),
    ],
)
def test_expected_gradient(name: str, gradient: Tensor) -> None:
    torch.testing.assert_close(_expected(KL[name])[1], gradient, rtol=1e-12, atol=1e-14)


def test_the_two_directions_differ() -> None:
    assert (TOWARDS_REFERENCE - OTHER_DIRECTION).abs().max() > 0.1
    logits = POLICY.log().requires_grad_()
    logprobs = torch.log_softmax(logits, -1)
    (gradient,) = torch.autograd.grad((logprobs.exp() * (logprobs - REFERENCE.log())).sum(), logits)
    torch.testing.assert_close(gradient, TOWARDS_REFERENCE)
    (gradient,) = torch.autograd.grad(-(REFERENCE * torch.log_softmax(logits, -1)).sum(), logits)
    torch.testing.assert_close(gradient, OTHER_DIRECTION)


@pytest.mark.parametrize("name", ["k1", "k3", "k3_unbiased"])
def test_expected_value_is_the_divergence(name: str) -> None:
    torch.testing.assert_close(_expected(KL[name])[0], DIVERGENCE, rtol=1e-12, atol=0.0)


def test_k2_has_another_expected_value() -> None:
    # Sum of p d^2 / 2: 0.4 * 0.96091 + 0.3 * 0.01188 + 0.15 * 0.24023 + 0.1 * 0.24023 + 0.05 * 0.96091 = 0.49604.
    torch.testing.assert_close(_expected(KL["k2"])[0].item(), 0.49604, rtol=1e-4, atol=0.0)
    assert abs(DIVERGENCE.item() - 0.40431) < 1e-5


def test_gradient_per_token() -> None:
    d = torch.tensor([1.5, -1.5, 0.1, 3.0, -2.5], dtype=torch.float64)
    slopes = {"k1": torch.ones_like(d), "k2": d, "k3": 1 - torch.exp(-d), "k3_unbiased": d}
    for name, slope in slopes.items():
        logprobs = (d - 4.0).requires_grad_()
        (gradient,) = torch.autograd.grad(KL[name](logprobs, torch.full_like(d, -4.0)).sum(), logprobs)
        torch.testing.assert_close(gradient, slope)


def test_cuts_change_nothing_at_reasonable_ratios() -> None:
    d = torch.tensor([-2.5, 4.0, 8.0], dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    # exp(2.5) - 1 - 2.5 = 8.68249396; exp(-4) + 3 = 3.01831564; exp(-8) + 7 = 7.00033546
    expected = torch.tensor([8.682493961, 3.018315639, 7.000335463], dtype=torch.float64)
    torch.testing.assert_close(KL["k3"](d, zero), expected)
    torch.testing.assert_close(KL["k2"](d[:2], zero[:2]), torch.tensor([3.125, 8.0], dtype=torch.float64))


@pytest.mark.parametrize("name", list(KL))
def test_far_tokens_are_cut_to_10_without_gradient(name: str) -> None:
    logprobs = torch.tensor([0.0, -1000.0, -30.0], requires_grad=True)
    values = KL[name](logprobs, torch.tensor([-1000.0, 0.0, 0.0]))
    values.sum().backward()
    assert values.detach().tolist() == ([10.0, -10.0, -10.0] if name == "k1" else [10.0, 10.0, 10.0])
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [0.0, 0.0, 0.0]


def test_k3_keeps_its_digits_next_to_the_reference() -> None:
    logprobs = torch.tensor([-1.0])
    reference = torch.tensor([-1.0001])
    d = logprobs.double() - reference.double()
    torch.testing.assert_close(KL["k3"](logprobs, reference).double(), d.square() / 2, rtol=0.02, atol=0.0)


def test_clamped_tokens_are_those_without_their_own_value_or_gradient() -> None:
    d = torch.tensor([0.0, 2.0, -2.5, -2.7, 4.4, 4.5, 9.0, 10.5, 11.5, 25.0, -25.0], dtype=torch.float64)
    zero = torch.zeros_like(d)
    expected = {
        "k1": d.abs() > 10,
        "k2": d.abs() > math.sqrt(20),
        "k3": (d < -2.61) | (d > 10.9999),
        "k3_unbiased": (d < -2.61) | (d > math.sqrt(20)),
    }
    assert list(expected) == list(KL)
    for name, mask in expected.items():
        assert torch.equal(kl_clamped(d, zero, estimator=name), mask), name
        logprobs = d.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(KL[name](logprobs, zero).sum(), logprobs)
        # Every token with a gradient is counted as not clamped, d = 0 aside.
        assert not (mask & (gradient != 0) & (name != "k3_unbiased")).any()
        assert ((gradient != 0) | mask | (d == 0)).all()
    assert torch.equal(kl_clamped(d, zero), expected["k3"])


def test_only_estimators_with_a_gradient_go_into_the_loss() -> None:
    assert set(IN_LOSS) == set(KL) - {"k1"}
    for name in IN_LOSS:
        assert _expected(KL[name])[1].abs().max() > 0.01
