"""Bytes that an allocator would count, of tensors whose sizes are known."""

import pytest
import torch
from accounting import accounting
from gpu_step import NO_END, engine_of
from plan_memory import SMALL, Case, make_batch, predicted


@pytest.mark.parametrize("fake", [False, True], ids=["real", "fake"])
def test_live_and_peak_bytes(fake: bool) -> None:
    """1,000 float32 numbers take 4,096 bytes: multiples of 512. Views take none, and what is let go counts no more."""
    with accounting(fake=fake) as found:
        first = torch.empty(1000)
        assert found.live == 4096
        view = first.view(10, 100).t()
        assert found.live == 4096
        second = view + 1
        assert (found.live, found.peak) == (8192, 8192)
        del second
        third = torch.empty(10)
        assert (found.live, found.peak) == (4608, 8192)
        del first, view, third
        assert found.live == 0


def test_what_a_backward_pass_holds() -> None:
    """exp keeps its result: 4,096 bytes, then the sum, 512, its gradient 512, and the gradient of 4,096."""
    values = torch.zeros(1024, requires_grad=True)
    with accounting(fake=False) as found:
        values.exp().sum().backward()
        assert found.live == 4096  # the gradient
        assert found.peak == pytest.approx(2 * 4096, abs=1024)


def test_fake_tensors_give_numbers_and_no_memory() -> None:
    with accounting(fake=True) as found:
        large = torch.empty(1 << 40)
        assert found.live == 4 << 40
        assert float(large.sum()) == 1.0
        assert bool(torch.isfinite(large.sum()))


def test_batches_fill_the_budget_or_are_alone() -> None:
    """16,384 tokens: packs of two rows of 7,680 and a prompt of 1,024; one of 16,384 is alone."""
    eight, sixteen = make_batch(Case(context=8192)), make_batch(Case(context=16_384))
    assert [len(row.response_tokens) for row in eight.minibatches[1]] == [7680] * 4
    assert [len(row.response_tokens) for row in sixteen.minibatches[1]] == [16_384] * 2
    assert len(eight.minibatches) == len(sixteen.minibatches) == 2
    assert predicted(Case())["policy"] == pytest.approx(1.02 * 4 * 1_777_088_000)
    assert "engine" not in predicted(SMALL)
    assert NO_END < 0
    assert callable(engine_of)
