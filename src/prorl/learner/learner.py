"""Stage 6, the seams: what a learner is, and what it knows of processes that share its work.

`torch_learner.py` implements the first on one device, `replicas.py` the second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from prorl.config import Config
from prorl.records import Batch, Row


@runtime_checkable
class Learner(Protocol):
    """Holds policy, reference policy and optimizer."""

    version: int
    """Counts the changes of the policy; an engine of another version is out of date."""

    def update(self, batch: Batch, config: Config, learning_rate: float) -> dict[str, float]:
        """One optimizer step a mini-batch; the metrics of the whole update."""
        ...

    def reset(
        self, reference: Mapping[str, Tensor] | None, policy: Mapping[str, Tensor] | None, config: Config
    ) -> None:
        """Hard reset: None takes the weights of the policy as it is. The optimizer follows `config.reset.optimizer`."""
        ...

    def weights(self) -> Mapping[str, Tensor]:
        """The policy's weights under their Hugging Face names."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """`{"weights", "reference", "optimizer"}`."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; refuses missing or unknown names."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """The part of a mini-batch that one process computes."""

    rows: Sequence[Row]
    num_tokens: int
    """Loss tokens of the whole mini-batch."""
    is_first: bool
    """Of the first mini-batch, whose own log-probs are the old policy's."""
    old: Sequence[Tensor] = ()
    """The old policy's log-probs in the order of the share's packs; empty where they were not measured."""


class Others(Protocol):
    """Processes beside this one that hold the same weights."""

    @property
    def count(self) -> int: ...

    @property
    def gradients(self) -> Sequence[Sequence[Tensor]]:
        """Each process's, in the order of the policy's parameters, after it has accumulated a share."""
        ...

    def share(self, parameters: Sequence[nn.Parameter]) -> None:
        """Be told of the parameters to hold in memory of all: the policy's, then the reference's."""
        ...

    def start(self, task: str, work: Sequence[tuple[Any, ...]]) -> None:
        """Give the i-th process a task, a method of the learner, with the i-th arguments."""
        ...

    def finish(self) -> Sequence[Any]:
        """Wait for the tasks; their results in order."""
        ...


class Nobody:
    """No process beside this one."""

    gradients: Sequence[Sequence[Tensor]] = ()
    count = 0

    def share(self, parameters: Sequence[nn.Parameter]) -> None:
        """Nothing to do."""

    def start(self, task: str, work: Sequence[tuple[Any, ...]]) -> None:
        assert not work

    def finish(self) -> Sequence[Any]:
        return ()
