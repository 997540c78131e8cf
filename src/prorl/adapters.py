"""Low-rank adapters (LoRA, arXiv 2106.09685) in the linear layers of a model, by peft.

An adapted layer computes W x + (alpha / rank) B A x; at the start A `[rank in]` is random and B `[out rank]` zero. Each
has two adapters, the policy's and the reference's. The only module that imports `peft`; `models.load_adapters` loads it
where it is asked for.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear as AdaptedLinear
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from prorl.config import ALL_LINEAR, Model
from prorl.errors import UserError

POLICY, REFERENCE = "policy", "reference"
Layers = Mapping[str, AdaptedLinear]
"""The adapted layers by their names in the model."""


def attach(model: PreTrainedModel, options: Model, seed: int) -> tuple[Layers, dict[str, Any]]:
    """Put both adapters into `model`, equal; nothing but the policy's trains. Gives what peft's file says of them too.

    UserError where `model.lora_targets` names what is no linear layer of it.
    """
    expected = _targets(model, options)
    settings = _settings(options)
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tied weights, transposed layers and a second adapter
            torch.manual_seed(seed)
            for adapter in (POLICY, REFERENCE):
                inject_adapter_in_model(settings, model, adapter)
    except ValueError as error:
        raise UserError(f"{_named(options)}: peft refuses it ({' '.join(str(error).split())[:200]})") from None
    layers = {name: module for name, module in model.named_modules() if isinstance(module, AdaptedLinear)}
    if layers.keys() != expected:
        odd = min(layers.keys() ^ expected)
        raise UserError(f"{_named(options)}: {odd} of {type(model).__name__} cannot be adapted; name other layers")
    model.requires_grad_(False)
    for name, parameter in tensors(layers, POLICY).items():
        parameter.requires_grad_(True)
        tensors(layers, REFERENCE)[name].data.copy_(parameter.data)
    activate(layers, POLICY)
    return layers, _plain(settings)


def tensors(layers: Layers, adapter: str) -> dict[str, nn.Parameter]:
    """An adapter's A and B by their names in peft's file."""
    found: dict[str, nn.Parameter] = {}
    for name, layer in layers.items():
        a, b = factors(f"{name}.weight")
        found |= {a: layer.lora_A[adapter].weight, b: layer.lora_B[adapter].weight}
    return found


def factors(weight: str) -> tuple[str, str]:
    """The names of A and B in peft's file for an adapted weight of the model."""
    layer = weight.removesuffix(".weight")
    return f"base_model.model.{layer}.lora_A.weight", f"base_model.model.{layer}.lora_B.weight"


def activate(layers: Layers, adapter: str) -> None:
    """Let the layers compute with one of the adapters.

    peft's own `set_adapter` also turns gradients on and off, which must not happen between a forward and its backward
    pass.
    """
    for layer in layers.values():
        layer._active_adapter = [adapter]


def delta(a: Tensor, b: Tensor, layer: AdaptedLinear) -> Tensor:
    """(alpha / rank) B A in the shape of the layer's weight; A `[rank in]`, B `[out rank]`."""
    product = (b @ a) * layer.scaling[POLICY]
    return product.T if layer.fan_in_fan_out else product


def _targets(model: PreTrainedModel, options: Model) -> set[str]:
    """The layers that `model.lora_targets` names: linear ones, never the head, whose weight the loss takes itself."""
    head, names = model.get_output_embeddings(), options.lora_targets
    linear = [
        name for name, module in model.named_modules() if isinstance(module, (nn.Linear, Conv1D)) and module is not head
    ]
    if names == (ALL_LINEAR,):
        if not linear:
            raise UserError(f"{_named(options)}: {type(model).__name__} has no linear layer besides its head")
        names = tuple(linear)
    found: set[str] = set()
    for target in names:
        matching = {name for name in linear if name == target or name.endswith(f".{target}")}
        if not matching:
            known = ", ".join(sorted({name.rpartition(".")[2] for name in linear})) or "none"
            raise UserError(
                f'{_named(options)}: "{target}" is no linear layer of {type(model).__name__} besides '
                f"its head; there are {known}"
            )
        found |= matching
    return found


def _settings(options: Model) -> LoraConfig:
    targets = list(options.lora_targets)
    return LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha or 2 * options.lora_rank,
        target_modules=ALL_LINEAR if targets == [ALL_LINEAR] else targets,
        task_type="CAUSAL_LM",
        base_model_name_or_path=options.path,
        revision=options.revision or None,
    )


def _plain(settings: LoraConfig) -> dict[str, Any]:
    """What `adapter_config.json` holds."""
    values = {**settings.to_dict(), "inference_mode": True}
    return {name: sorted(value) if isinstance(value, set) else value for name, value in values.items()}


def _named(options: Model) -> str:
    return f"model.lora_targets = {list(options.lora_targets)}"
