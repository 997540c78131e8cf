"""A batch that older weights sampled: the old policy is the learner's own, and each token is weighed by who wrote it.

The expected weights come from a plain loop: one row at a time, log-softmax over the whole vocabulary, AdamW by hand.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from prorl.config import Config, Learner, Loss, Optimizer, Rollouts
from prorl.learner.torch_learner import TorchLearner
from prorl.records import Batch
from tiny_models import loaded, random_rows, tiny_model

RATE, TEMPERATURE, LOW, HIGH, CAP = 1e-2, 1.2, 0.2, 0.4, 2.0


def logprobs(model, row):
    """Of the row's response, at the sampling temperature."""
    tokens = torch.tensor([*row.prompt_tokens, *map(int, row.response_tokens)])
    logits = model(input_ids=tokens[None]).logits[0, len(row.prompt_tokens) - 1 : -1] / TEMPERATURE
    return torch.log_softmax(logits, -1).gather(-1, tokens[len(row.prompt_tokens) :, None])[:, 0]


def plain_update(model, minibatches):
    """Mean over tokens of -weight * min(r * A, clip(r) * A), one AdamW step a mini-batch; the weights used."""
    with torch.no_grad():
        old = [[logprobs(model, row) for row in rows] for rows in minibatches]
    moments = {name: [torch.zeros_like(p), torch.zeros_like(p)] for name, p in model.named_parameters()}
    used = []
    for number, rows in enumerate(minibatches, 1):
        losses = []
        for row, before in zip(rows, old[number - 1], strict=True):
            ratio = torch.exp(logprobs(model, row) - before)
            surrogate = torch.minimum(ratio * row.advantage, ratio.clamp(1 - LOW, 1 + HIGH) * row.advantage)
            weight = torch.exp(before - torch.from_numpy(row.behaviour_logprobs)).clamp(max=CAP)
            losses.append(-weight * surrogate)
            used.append(weight)
        model.zero_grad()
        (torch.cat(losses).sum() / sum(map(len, losses))).backward()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                first, second = moments[name]
                first.lerp_(parameter.grad, 0.1)
                second.lerp_(parameter.grad**2, 0.001)
                unbiased = (second / (1 - 0.999**number)).sqrt() + 1e-8
                parameter.sub_(RATE * first / (1 - 0.9**number) / unbiased)
    return torch.cat(used)


@pytest.mark.parametrize("below", [0.0, 1e9])
def test_old_policy_and_weight_of_a_stale_batch(below):
    config = Config(
        rollouts=Rollouts(temperature=TEMPERATURE, process=True, max_staleness=1),
        loss=Loss(kl_coefficient=0.0, behaviour_correction="truncated", engine_logprobs_below=below),
        optimizer=Optimizer(max_grad_norm=0.0, weight_decay=0.0),
        learner=Learner(token_budget=4000, logprob_chunk=16),
    )
    writer, model = tiny_model(seed=0), tiny_model(seed=0)
    with torch.no_grad():
        for parameter in model.parameters():  # what an update made of the weights that wrote the rows
            parameter.add_(torch.randn_like(parameter) * 0.05)
        rows = [replace(row, behaviour_logprobs=logprobs(writer, row).numpy()) for row in random_rows(12, seed=4)]
    minibatches = (tuple(rows[:4]), tuple(rows[4:8]), tuple(rows[8:]))
    expected = copy.deepcopy(model)
    weights = plain_update(expected, minibatches)
    assert float(weights.detach().min()) < 0.9, "the weights do not differ from 1"
    assert float(weights.detach().max()) == CAP, "no weight is cut"

    learner = TorchLearner(loaded(model), config)
    metrics = learner.update(Batch(minibatches, {}), config, RATE)
    assert metrics["importance_weight/mean"] == pytest.approx(float(weights.mean()), rel=1e-5)
    for name, parameter in expected.named_parameters():
        found = learner.weights()[name].detach()
        # AdamW divides a gradient by its own size: one near 0 may come out anywhere within a step.
        close = torch.isclose(found, parameter.detach(), atol=1e-5, rtol=1e-4)
        assert float(close.float().mean()) > 0.99, name
    assert np.isfinite(metrics["kl/engine"])
