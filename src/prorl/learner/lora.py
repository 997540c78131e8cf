"""Stage 6: only a low-rank adapter trains; the reference is a second adapter in the same layers, not a second model.

The base weights never change. Whoever wants the policy as one model gets W + (alpha / rank) B A, computed weight by
weight when it is asked for.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from prorl.adapters import POLICY, REFERENCE, activate, attach, delta, factors, tensors
from prorl.config import Config
from prorl.distributed import gather
from prorl.errors import UserError
from prorl.learner.computed import Computed
from prorl.learner.fsdp import held, own_part, shard, sharded, whole
from prorl.learner.trained import Scorer, named, refuse_misfit
from prorl.models import LoadedModel

_BASE, _ADAPTERS = ".base_layer.", (".lora_A.", ".lora_B.")
_CLOSE = 1e-4
"""How far a merged weight may be from the file's, relative to the largest of its matrix: devices round differently."""


class LoraWeights:
    """`Trained` where an adapter does."""

    def __init__(self, loaded: LoadedModel, config: Config) -> None:
        self._layers, self._settings = attach(loaded.model, config.model, config.train.seed)
        self._adapted = {f"{name}.weight": layer for name, layer in self._layers.items()}
        self.scorer = Scorer(loaded.model, loaded.device, loaded.dtype)
        shard(self.scorer, device=loaded.device, dtype=loaded.dtype)

    def parameters(self) -> dict[str, nn.Parameter]:
        return tensors(self._layers, POLICY)

    def reference(self) -> dict[str, nn.Parameter]:
        return tensors(self._layers, REFERENCE)

    @contextmanager
    def as_reference(self) -> Iterator[Scorer]:
        activate(self._layers, REFERENCE)
        try:
            yield self.scorer
        finally:
            activate(self._layers, POLICY)

    @contextmanager
    def reference_at_hand(self, needed: bool) -> Iterator[None]:
        """It always is."""
        yield

    def policy(self) -> Computed:
        """The base's weights, and where a layer is adapted W + (alpha / rank) B A, sharded as W is."""
        return self._merged(self.parameters())

    def _merged(self, adapter: Mapping[str, Tensor]) -> Computed:
        base = {name.replace(_BASE, "."): value for name, value in named(self.scorer.model).items() if _is_base(name)}

        @torch.no_grad()
        def compute(name: str) -> Tensor:
            weight, layer = base[name].detach(), self._adapted.get(name)
            if layer is None:
                return weight
            a, b = (whole(adapter[factor].detach()).to(weight.device) for factor in factors(name))
            return weight + sharded(delta(a, b, layer), weight)

        return Computed(base, compute)

    def adapter(self) -> Mapping[str, Any]:
        return {"tensors": self.parameters(), "settings": self._settings}

    def from_checkpoint(self, weights: Mapping[str, Tensor], adapter: Mapping[str, Any]) -> Mapping[str, Tensor]:
        if not adapter:
            raise UserError(
                f"model.lora_rank = {self._settings['r']}: the checkpoint is of a run that trained all weights; set 0, "
                "or start a run of its own from the checkpoint's policy/"
            )
        for option, key in (("lora_rank", "r"), ("lora_alpha", "lora_alpha")):
            mine, theirs = self._settings[key], adapter["settings"].get(key)
            if mine != theirs:
                raise UserError(f"model.{option}: the adapter has {mine}, the checkpoint's {theirs}; go on with that")
        found: Mapping[str, Tensor] = adapter["tensors"]
        refuse_misfit(self.parameters(), found, "adapter")
        self._refuse_other_base(weights, self._merged(found))
        return found

    @torch.no_grad()
    def _refuse_other_base(self, weights: Mapping[str, Tensor], own: Computed) -> None:
        """The adapter on this base must be the checkpoint's policy, or it was trained on another one."""
        wrong = []
        refuse_misfit(own.shapes, weights, "policy")
        for name, found in weights.items():
            mine = own[name]
            theirs = own_part(found, mine).to(held(mine))
            bound = _CLOSE * float(theirs.abs().max()) if name in self._adapted and theirs.numel() else 0.0
            if (held(mine) - theirs).abs().gt(bound).any():
                wrong.append(name)
        if names := [name for part in gather(wrong) for name in part]:
            raise UserError(f"model.path: {names[0]} differs from the checkpoint's, whose adapter is for another base")


def _is_base(name: str) -> bool:
    return not any(part in name for part in _ADAPTERS)
