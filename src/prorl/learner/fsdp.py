"""Policy, reference and optimizer sharded over the ranks by PyTorch's FSDP2; on one process nothing is.

A sharded parameter is a `DTensor` split along its first dimension: rank r holds the r-th chunk. What is written here is
the way between such a parameter and a whole tensor.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor

from prorl.distributed import rank, world
from prorl.learner.computed import Computed, shapes


def shard(module: nn.Module, *, device: torch.device, dtype: torch.dtype, on_host: bool = False) -> None:
    """Shard each decoder layer of `module`, then the rest of it; what is not on `device` yet is moved there.

    What is multiplied is gathered layer by layer in `dtype`. Norms, embedding and head are gathered in float32 and no
    input is cast, so that autocast finds what it finds on one process: the residual stream in float32. Gradients are
    summed in float32. `on_host`: the shards wait in host memory. The module's own forward must be the one that is
    called.
    """
    if world() == 1:
        return
    mesh = init_device_mesh(device.type, (world(),))
    exact = MixedPrecisionPolicy(cast_forward_inputs=False)
    cast = MixedPrecisionPolicy(dtype, torch.float32, cast_forward_inputs=False)
    offload = CPUOffloadPolicy() if on_host and device.type != "cpu" else OffloadPolicy()
    for layers in [child for child in module.modules() if isinstance(child, nn.ModuleList)][:1]:
        for layer in layers:
            for norm in _norms(layer) if dtype != torch.float32 else ():
                fully_shard(norm, mesh=mesh, mp_policy=exact, offload_policy=offload)
            fully_shard(layer, mesh=mesh, mp_policy=cast, offload_policy=offload)
    fully_shard(module, mesh=mesh, mp_policy=exact, offload_policy=offload)
    for name, buffer in module.named_buffers():
        if buffer.device != device:
            owner, _, last = name.rpartition(".")
            module.get_submodule(owner)._buffers[last] = buffer.to(device)


def _norms(layer: nn.Module) -> list[nn.Module]:
    """The parts of a layer whose own parameters are vectors only: autocast casts none of them."""
    own = [(part, list(part.parameters(recurse=False))) for part in layer.modules()]
    return [part for part, values in own if values and all(value.dim() == 1 for value in values)]


def reshard(module: nn.Module) -> None:
    """Let go of the weights that a forward left gathered for its backward."""
    if isinstance(module, FSDPModule):
        module.reshard()


def whole(value: Tensor) -> Tensor:
    """All of a tensor; of a sharded one a new copy, which every rank must ask for."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def held(value: Tensor) -> Tensor:
    """What this rank holds of a tensor, sharing its memory."""
    return value.to_local() if isinstance(value, DTensor) else value


def own_part(value: Tensor, like: Tensor) -> Tensor:
    """This rank's part of a value, whole or sharded as `like` is."""
    if isinstance(value, DTensor) or not isinstance(like, DTensor):
        return held(value)
    chunks = value.chunk(world())
    return chunks[rank()] if rank() < len(chunks) else value[:0]


def sharded(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, sharded as `like` is, whose shape it has."""
    if not isinstance(like, DTensor):
        return value
    return from_part(own_part(value, like).to(held(like).device).contiguous(), like)


def from_part(mine: Tensor, like: Tensor) -> Tensor:
    """The tensor, sharded as `like` is, of which this rank holds `mine`."""
    if not isinstance(like, DTensor):
        return mine
    shape, stride = like.shape, like.stride()
    return DTensor.from_local(mine, like.device_mesh, like.placements, run_check=False, shape=shape, stride=stride)


def gathered(parameters: Mapping[str, Tensor]) -> Computed:
    """Parameters by name, each gathered when it is asked for: by every rank, in the same order."""
    return Computed(shapes(parameters), lambda name: whole(parameters[name].detach()))
