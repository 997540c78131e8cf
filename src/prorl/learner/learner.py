"""Stage 6, the seam: what a learner is. `torch_learner.py` implements it."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from prorl.config import Config
from prorl.records import Batch


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
        """Hard reset: None takes the weights of the policy as it is. The optimizer follows `config.reset.optimizer`.

        With `model.lora_rank` both are adapters.
        """
        ...

    def weights(self) -> Mapping[str, Tensor]:
        """The policy's weights under their Hugging Face names."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """`{"weights", "adapter", "reference", "optimizer"}`; `adapter` is empty where all weights train."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; refuses missing or unknown names."""
        ...
