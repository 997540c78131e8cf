"""Named tensors in safetensors files: one file, or one a rank with an index, as Hugging Face splits a large model.

Whatever number of ranks wrote them, any number reads them. A sharded tensor is written whole, by one of the ranks.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from prorl.distributed import each, on_first, rank, world
from prorl.learner.computed import shapes
from prorl.learner.fsdp import whole

INDEX = ".index.json"


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors to `path`, a `.safetensors` file; every rank calls it with the same names in the same order.

    On several ranks each writes about as many bytes as the others, to `NAME-0000R-of-0000W.safetensors`.
    """
    writer = _writers(shapes(tensors))
    mine = {}
    for name, tensor in tensors.items():
        value = whole(tensor.detach())
        if writer[name] == rank():
            mine[name] = value.cpu().contiguous()
    each(lambda: save_file(mine, _parts(path)[rank()], metadata={"format": "pt"}))
    if world() > 1:
        index = {name: _parts(path)[at].name for name, at in writer.items()}
        size = sum(tensor.numel() * tensor.element_size() for tensor in shapes(tensors).values())
        text = json.dumps({"metadata": {"total_size": size}, "weight_map": index}, indent=1)
        on_first(lambda: path.with_name(path.name + INDEX).write_text(text))


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of `path`, on the CPU. On several ranks they are the files' memory map, which the ranks share."""
    found = {name: tensor for part in tensor_files(path) for name, tensor in load_file(part).items()}
    # Copied out of the map: a run must not depend on the file after it is read.
    return {name: tensor.clone() for name, tensor in found.items()} if world() == 1 else found


def tensor_files(path: Path) -> list[Path]:
    """The files that hold the tensors of `path`."""
    index = path.with_name(path.name + INDEX)
    if not index.is_file():
        return [path]
    names = json.loads(index.read_bytes())["weight_map"].values()
    return [path.with_name(name) for name in sorted(set(names))]


def _parts(path: Path) -> list[Path]:
    if world() == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{r + 1:05d}-of-{world():05d}{path.suffix}") for r in range(world())]


def _writers(tensors: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """The rank that writes each tensor: the largest first, to who has least."""
    loads, writers = [0] * world(), dict.fromkeys(tensors, 0)
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].numel(), reverse=True):
        writers[name] = loads.index(min(loads))
        loads[writers[name]] += tensor.numel() * tensor.element_size()
    return writers
