"""What a recipe amounts to before anything runs: prompts, rollouts, updates, tokens, time. Arithmetic only.

What no recipe says (how long responses are, how many groups teach, how fast a machine is) comes as `Assumptions`.
`commands/plan.py` prints the numbers.
"""

import math
from dataclasses import dataclass

from prorl.config import Config, Model, Run
from prorl.models import Size
from prorl.planning.devices import split
from prorl.pool import MAX_ROUND

BFLOAT16_BYTES = 2
LARGE_MODEL = 100_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """How fast a device is: its peak, and which shares of it a run gets, waiting included."""

    name: str
    flops: float
    """Peak of its matrix products, a second."""
    sampling: float
    updating: float


H100 = Machine(name="H100", flops=989e12, sampling=0.018, updating=0.08)
"""Peak in bfloat16, dense. The shares are what BroRL's table (arXiv 2510.01180) comes to if its responses are half of
their limit: 36.5 samples a second on 64 GPUs, and what is left of a step, 366 s at 16 rollouts and 1,852 s at 512, for
the update and all else: 0.063 and 0.100 of the peak."""

CPU_CORE = Machine(name="CPU core", flops=1e11, sampling=0.22, updating=0.46)
"""The shares are those of the quickstart on one core of 2025."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumptions:
    """What a plan takes for granted."""

    machine: Machine
    devices: int = 1
    acceptance: float = 0.5
    """Share of the sampled groups that teach (BroRL measured 0.41 at 16 rollouts and 0.62 at 512)."""
    response_tokens: float = 0.0
    """Mean length of a response; 0 for half of `rollouts.max_response_tokens`."""
    tokens_per_second: float = 0.0
    """Sampled by a device; 0 for what the machine's peak and share give."""
    trained_per_second: float = 0.0
    """Response tokens that a device's update takes in, with all its passes; 0 for the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPlan:
    """One step of a phase: prompts and rollouts, response tokens, seconds."""

    prompts: int
    rollouts: int
    """Trained on."""
    updates: int
    drawn: int
    """Prompts sampled, expected."""
    most_drawn: int
    generated: float
    most_generated: int
    trained: float
    most_trained: int
    sampling_seconds: float
    updating_seconds: float
    at_once: bool = False
    """Whether the next batch is sampled during an update."""

    @property
    def seconds(self) -> float:
        """Of both halves together."""
        halves = self.sampling_seconds, self.updating_seconds
        return max(halves) if self.at_once else sum(halves)


def is_for_gpu(options: Model, size: Size) -> bool:
    """Whether to plan for a GPU: the recipe asks for one, or leaves it open for a model that needs one."""
    return options.device == "cuda" or (options.device == "auto" and size.parameters >= LARGE_MODEL)


def phase_steps(run: Run) -> list[int]:
    """Steps of each phase at most, within `train.steps`."""
    left, steps = run.train.steps, []
    for config in run.phases:
        steps.append(min(config.phase.steps or left, left))
        left -= steps[-1]
    return steps


def plan_step(config: Config, size: Size, assumed: Assumptions) -> StepPlan:
    """A step's numbers: expected ones, and the most that its bounds allow."""
    rollouts, filters = config.rollouts, config.filter
    prompts, group, limit = rollouts.prompts_per_step, rollouts.group_size, rollouts.max_response_tokens
    mean = min(assumed.response_tokens or limit / 2, limit)
    most_drawn = prompts * MAX_ROUND * filters.max_rounds if filters.enabled else prompts
    wanted = math.ceil(prompts * filters.oversampling / assumed.acceptance) if filters.enabled else prompts
    drawn = min(wanted, most_drawn)
    most_generated = most_drawn * group * limit
    if filters.enabled and filters.max_tokens:  # looked at between rounds
        most_generated = min(most_generated, filters.max_tokens + prompts * MAX_ROUND * group * limit)
    generated, trained = drawn * group * mean, prompts * group * mean
    operations = forward_flops(size, mean)
    sides, machine = split(config, assumed.devices), assumed.machine
    sampled_per_second = assumed.tokens_per_second or machine.flops * machine.sampling / operations
    passes = num_passes(config)
    trained_per_second = assumed.trained_per_second or machine.flops * machine.updating / (operations * passes)
    return StepPlan(
        prompts=prompts,
        rollouts=prompts * group,
        updates=num_updates(config),
        drawn=drawn,
        most_drawn=most_drawn,
        generated=generated,
        most_generated=most_generated,
        trained=trained,
        most_trained=prompts * group * limit,
        sampling_seconds=generated / (sampled_per_second * sides.samplers),
        updating_seconds=trained / (trained_per_second * sides.learners),
        at_once=sides.apart and config.rollouts.max_staleness > 0,
    )


def num_updates(config: Config) -> int:
    """Optimizer steps of a full batch."""
    return math.ceil(config.rollouts.prompts_per_step / config.optimizer.minibatch_prompts)


def forward_flops(size: Size, response_tokens: float) -> float:
    """Operations for one token of a response, the mean over its places; the prompt's are left out.

    2 * (parameters that multiply it) + 4 * layers * (width of the queries) * (mean distance back, n / 2)
    """
    return 2 * size.multiplied + 4 * size.layers * size.queries * response_tokens / 2


def num_passes(config: Config) -> float:
    """What training a token costs, in forward passes.

    Forward and backward are 3, recomputed activations 1, the reference 1, and the old policy 1 for all mini-batches but
    the first.
    """
    updates = num_updates(config)
    return (
        3.0
        + (1.0 if config.learner.activation_checkpointing else 0.0)
        + (1.0 if config.loss.kl_coefficient > 0 else 0.0)
        + (updates - 1) / updates
    )
