"""Stage 5: informative groups become a batch: scores are shaped into rewards, rewards into advantages."""

from collections.abc import Sequence

import torch
from torch import Tensor

from prorl.algorithm.advantages import ADVANTAGES
from prorl.algorithm.shaping import TRUNCATION, cosine_length, length_term_active
from prorl.config import Config
from prorl.records import Batch, Group, Row

_FLAT = 1e-6


def make_batch(groups: Sequence[Group], config: Config, step: int) -> Batch:
    """The batch of one step; groups that shaping made flat are dropped and counted.

    Groups may differ in size (a rollout whose verifier failed is left out), so `[P G]` is padded with invalid places.
    """
    if not groups:
        return Batch((), {})
    scores, num_tokens, truncated, present = _tables(groups)
    rewards, valid = _shaped(scores, num_tokens, truncated, present, config, step)
    alive = _alive(rewards, valid) if config.filter.enabled else torch.ones(len(groups), dtype=torch.bool)
    dropped = len(groups) - int(alive.sum())
    metrics: dict[str, float] = {"groups/dead_after_shaping": dropped}
    if not alive.any():
        return Batch((), metrics)
    rewards, valid, num_tokens = rewards[alive], valid[alive], num_tokens[alive]
    advantages = ADVANTAGES[config.loss.advantage](rewards, num_tokens, valid)
    if valid.any():
        metrics["reward/mean"] = float(rewards[valid].mean())
    kept = [group for group, keep in zip(groups, alive.tolist(), strict=True) if keep]
    size = config.optimizer.minibatch_prompts
    minibatches = [
        _rows(kept[start : start + size], advantages[start : start + size], valid[start : start + size])
        for start in range(0, len(kept), size)
    ]
    return Batch(tuple(rows for rows in minibatches if rows), metrics)


def _tables(groups: Sequence[Group]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Scores, response lengths, truncation and presence, each `[P G]`."""
    shape = (len(groups), max(len(group.rollouts) for group in groups))
    scores, num_tokens = torch.zeros(shape), torch.zeros(shape, dtype=torch.long)
    truncated, present = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    for p, group in enumerate(groups):
        for g, (rollout, score) in enumerate(zip(group.rollouts, group.scores, strict=True)):
            scores[p, g], num_tokens[p, g] = score.value, len(rollout.tokens)
            truncated[p, g], present[p, g] = rollout.finish_reason == "length", True
    return scores, num_tokens, truncated, present


def _shaped(
    scores: Tensor, num_tokens: Tensor, truncated: Tensor, present: Tensor, config: Config, step: int
) -> tuple[Tensor, Tensor]:
    options, max_tokens = config.reward, config.rollouts.max_response_tokens
    rewards, valid = TRUNCATION[options.truncation](
        scores,
        num_tokens,
        truncated,
        max_tokens=max_tokens,
        buffer=options.soft_buffer_tokens,
        penalty=options.soft_penalty,
    )
    cycle = {"on": options.length_penalty_on, "off": options.length_penalty_off}
    if options.length_penalty > 0 and length_term_active(step, **cycle):
        rewards = rewards + cosine_length(num_tokens, max_tokens=max_tokens, weight=options.length_penalty)
    return rewards, valid & present


def _alive(rewards: Tensor, valid: Tensor) -> Tensor:
    """Groups `[P]` whose valid rewards differ by more than the rounding of what was added to them."""
    high = rewards.masked_fill(~valid, -torch.inf).amax(-1)
    low = rewards.masked_fill(~valid, torch.inf).amin(-1)
    return (valid.sum(-1) >= 2) & (high - low > _FLAT)


def _rows(groups: Sequence[Group], advantages: Tensor, valid: Tensor) -> tuple[Row, ...]:
    return tuple(
        Row(group.prompt_tokens, rollout.tokens, rollout.logprobs, float(advantages[p, g]))
        for p, group in enumerate(groups)
        for g, rollout in enumerate(group.rollouts)
        if valid[p, g]
    )
