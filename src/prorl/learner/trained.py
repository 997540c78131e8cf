"""Stage 6: which weights train, and the reference policy that they are compared with.

Here all weights of the model train and the reference is a second model; `lora.py` has the other form.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prorl.algorithm.logprobs import token_logprobs
from prorl.config import Config
from prorl.distributed import world
from prorl.errors import UserError
from prorl.learner.fsdp import held, own_part, shard
from prorl.learner.packing import Pack
from prorl.models import LoadedModel, head_weight


class Scorer(nn.Module):
    """A model that gives the log-probabilities of a pack: head included, so that one forward uses every weight."""

    def __init__(self, model: PreTrainedModel, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self._device, self._dtype = model, device, dtype

    def forward(self, pack: Pack, temperature: float, chunk_size: int) -> tuple[Tensor, Tensor]:
        """Log-probs and entropy `[T]` of the pack's response tokens at the sampling temperature."""
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            hidden = self.model.get_decoder()(
                input_ids=pack.tokens, position_ids=pack.positions, use_cache=False, layout=pack.layout
            ).last_hidden_state
        logprobs, entropy = token_logprobs(
            hidden[0, pack.predictors].to(self._dtype),  # autocast leaves the residual stream in float32
            head_weight(self.model),
            pack.targets,
            temperature=temperature,
            chunk_size=chunk_size,
        )
        return logprobs.clone(), entropy  # FSDP's hook on the output must not be on a view


class Trained(Protocol):
    """The weights that train, by name, and the reference's of the same names and shapes."""

    scorer: Scorer
    """The policy."""

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """What trains."""
        ...

    def reference(self) -> Mapping[str, Tensor]: ...

    @contextmanager
    def as_reference(self) -> Iterator[Scorer]:
        """A scorer that is the reference as long as the block runs."""
        ...

    @contextmanager
    def reference_at_hand(self, needed: bool) -> Iterator[None]:
        """The reference lies where it is computed as long as the block runs."""
        ...

    def policy(self) -> Mapping[str, Tensor]:
        """All weights of the policy under their Hugging Face names, sharded as they are."""
        ...

    def adapter(self) -> Mapping[str, Any]:
        """`{"tensors", "settings"}` of an adapter in peft's format; empty where there is none."""
        ...

    def from_checkpoint(self, weights: Mapping[str, Tensor], adapter: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """The values of `parameters` in what `policy` and `adapter` gave. UserError: they are another model's."""
        ...


class AllWeights:
    """`Trained` where every weight trains."""

    def __init__(self, loaded: LoadedModel, config: Config) -> None:
        self._model, self._device = loaded.model, loaded.device
        self._reference = copy.deepcopy(self._model).requires_grad_(False)
        self.scorer = Scorer(self._model, loaded.device, loaded.dtype)
        self._reference_scorer = Scorer(self._reference, loaded.device, loaded.dtype)
        on_host = config.learner.reference_on_host
        shard(self.scorer, device=loaded.device, dtype=loaded.dtype)
        shard(self._reference_scorer, device=loaded.device, dtype=loaded.dtype, on_host=on_host)
        self._moves = on_host and world() == 1  # shards in host memory move by themselves
        if self._moves:
            self._reference.to("cpu")

    def parameters(self) -> dict[str, nn.Parameter]:
        return named(self._model)

    def reference(self) -> dict[str, nn.Parameter]:
        return named(self._reference)

    @contextmanager
    def as_reference(self) -> Iterator[Scorer]:
        yield self._reference_scorer

    @contextmanager
    def reference_at_hand(self, needed: bool) -> Iterator[None]:
        moves = self._moves and needed
        if moves:
            self._reference.to(self._device)
        yield
        if moves:
            self._reference.to("cpu")

    def policy(self) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in named(self._model).items()}

    def adapter(self) -> Mapping[str, Any]:
        return {}

    def from_checkpoint(self, weights: Mapping[str, Tensor], adapter: Mapping[str, Any]) -> Mapping[str, Tensor]:
        if adapter:
            raise UserError(
                "model.lora_rank = 0: the checkpoint is of a run that trained an adapter; go on with its rank, or "
                "start a run of its own from the checkpoint's policy/"
            )
        refuse_misfit(self.parameters(), weights, "policy")
        return weights


def named(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters by name, a shared one once."""
    return dict(model.named_parameters())


def refuse_misfit(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], what: str) -> None:
    """UserError unless the weights have the names and shapes of `own`."""
    wrong = sorted(own.keys() ^ weights.keys())
    if wrong:
        raise UserError(f"{what} weights do not fit the model: {wrong[0]} is in only one of them ({len(wrong)} in all)")
    for name, parameter in own.items():
        if parameter.shape != weights[name].shape:
            raise UserError(f"{what} weights do not fit the model: {name} has shape {tuple(weights[name].shape)}")


@torch.no_grad()
def copy_into(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Overwrite parameters; the weights are whole, or sharded as the parameters are."""
    for name, parameter in own.items():
        held(parameter).copy_(own_part(weights[name], parameter))
