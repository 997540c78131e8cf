"""Pieces of unequal length: the layout that a GPU's kernel gets, with a plain kernel in its place, gives the same."""

import inspect

import pytest
import torch

from prorl.learner import varlen
from prorl.learner.packing import ATTENTION, pack
from prorl.learner.trained import Scorer
from tiny_models import random_rows, tiny_model


def plain(query, key, value, *rest):
    """Softmax attention piece by piece, the last query at the last key."""
    query_starts, key_starts, most_queries, most_keys, scale, window = rest
    mixed, sizes = [], []
    for piece in range(len(query_starts) - 1):
        q = query[query_starts[piece] : query_starts[piece + 1]].transpose(0, 1)
        k, v = (x[key_starts[piece] : key_starts[piece + 1]].transpose(0, 1) for x in (key, value))
        k, v = (x.repeat_interleave(q.shape[0] // x.shape[0], 0) for x in (k, v))
        at = torch.arange(q.shape[1])[:, None] + k.shape[1] - q.shape[1]
        distance = at - torch.arange(k.shape[1])
        hidden = (distance < 0) | (distance >= (window or 10**9))
        scores = (q @ k.transpose(1, 2) * scale).masked_fill(hidden, -torch.inf)
        mixed.append((scores.softmax(-1) @ v).transpose(0, 1))
        sizes.append((q.shape[1], k.shape[1]))
    assert (most_queries, most_keys) == tuple(map(max, zip(*sizes, strict=True)))
    return torch.cat(mixed)


def rows_that_share_prompts():
    rows = random_rows(9)
    shared = [type(row)(rows[0].prompt_tokens, row.response_tokens, row.behaviour_logprobs, 1.0) for row in rows[1:4]]
    return (*rows, *shared)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral"])
def test_log_probs_and_gradients_are_those_of_the_buckets(kind):
    model = tiny_model(kind)
    if kind == "mistral":
        model.config.sliding_window = 5
        for layer in model.model.layers:
            layer.self_attn.config.sliding_window = 5
    model.set_attn_implementation(ATTENTION)
    scorer, found = Scorer(model, torch.device("cpu"), torch.float32), []
    for kernel in (None, plain):
        model.zero_grad()
        logprobs, _ = scorer(pack(rows_that_share_prompts(), torch.device("cpu"), kernel), 1.2, 64)
        logprobs.square().sum().backward()
        found.append((logprobs.detach(), [parameter.grad.clone() for parameter in model.parameters()]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-5)
    for mine, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_no_kernel_for_a_cpu_or_for_32_bits():
    assert varlen.usable_kernel(torch.device("cpu"), torch.bfloat16) is None
    assert varlen.usable_kernel(torch.device("cuda"), torch.float32) is None


def test_torchs_kernel_takes_what_it_is_given():
    """Its arguments by name, where this torch has it; no kernel runs here."""
    module = pytest.importorskip("torch.nn.attention.varlen")
    if varlen._is_there("torch.nn.attention.varlen"):
        assert {"scale", "window_size", "enable_gqa"} <= inspect.signature(module.varlen_attn).parameters.keys()
        assert varlen.usable_kernel(torch.device("cuda"), torch.bfloat16) in varlen.KERNELS.values()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("window", [None, 7])
def test_the_kernels_of_this_machine_are_the_plain_one(window):
    kernel = varlen.usable_kernel(torch.device("cuda"), torch.bfloat16)
    if kernel is None:
        pytest.skip("no kernel installed")
    starts_q = torch.tensor([0, 5, 12], dtype=torch.int32, device="cuda")
    starts_k = torch.tensor([0, 5, 24], dtype=torch.int32, device="cuda")
    query, key, value = (torch.randn(n, h, 64, device="cuda").bfloat16() for n, h in ((12, 4), (24, 2), (24, 2)))
    arguments = (starts_q, starts_k, 7, 19, 0.125, window)
    mine = kernel(query, key, value, *arguments).float().cpu()
    theirs = plain(
        *(x.float().cpu() for x in (query, key, value)), starts_q.cpu(), starts_k.cpu(), 7, 19, 0.125, window
    )
    torch.testing.assert_close(mine, theirs, rtol=2e-2, atol=2e-2)
