"""Which devices a recipe's learner and its rollouts have: the same ones in turn, or some for each."""

from dataclasses import dataclass

from prorl.config import Config


@dataclass(frozen=True, slots=True)
class Split:
    """Devices of both sides."""

    learners: int
    """Ranks, a device each."""
    samplers: int
    apart: bool
    """Whether a rollout process has devices of its own."""


def split(config: Config, devices: int) -> Split:
    """As `asynchronous.rollout_process.gpus` deals them out; too few for both sides and they share."""
    size = config.rollouts.tensor_parallel_size
    if not config.rollouts.process or devices < 1 + size:
        return Split(devices, devices, apart=False)
    learners = devices // (1 + size)
    return Split(learners, learners * size, apart=True)
