"""Stage 6 on a GPU: attention of a pack's pieces by a kernel that takes sequences of unequal length, without padding.

Each piece has the queries of its own tokens and the keys of its prompt and itself; causal, with the last query at the
last key. Kernels: flash-attention's where it is installed, or that of newer PyTorch; both take 16-bit numbers only.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

Kernel = Callable[..., Tensor]
"""`(query [N heads D], key [K kv_heads D], value, query_starts, key_starts, most_queries, most_keys, scale, window)` to
`[N heads D]`; starts are int32 `[R + 1]`, `window` the number of keys up to its own that a query sees, None for all."""


@dataclass(frozen=True, slots=True, eq=False)
class VarlenLayout:
    """R pieces one after the other: queries in the order of the pack, keys gathered."""

    keys: Tensor
    """`[K]`: places in the pack of all pieces' keys."""
    query_starts: Tensor
    key_starts: Tensor
    most: tuple[int, int]
    """Queries and keys of the longest pieces."""
    kernel: Kernel

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None) -> Tensor:
        """`[N heads D]` from query `[N heads D]`, key and value `[N kv_heads D]`."""
        key, value = key.index_select(0, self.keys), value.index_select(0, self.keys)
        # Rotation leaves queries and keys in the type of the residual stream.
        query, key = query.to(value.dtype).contiguous(), key.to(value.dtype)
        return self.kernel(query, key, value, self.query_starts, self.key_starts, *self.most, scale, window)


def _flash(*arguments: Any) -> Tensor:
    *tensors, most_queries, most_keys, scale, window = arguments
    attend = importlib.import_module("flash_attn").flash_attn_varlen_func
    left = -1 if window is None else window - 1
    mixed: Tensor = attend(
        *tensors, most_queries, most_keys, softmax_scale=scale, causal=True, window_size=(left, 0 if window else -1)
    )
    return mixed


def _torch(*arguments: Any) -> Tensor:
    *tensors, most_queries, most_keys, scale, window = arguments
    attend = importlib.import_module("torch.nn.attention.varlen").varlen_attn
    left = -1 if window is None else window - 1
    mixed: Tensor = attend(*tensors, most_queries, most_keys, scale=scale, window_size=(left, 0), enable_gqa=True)
    return mixed


KERNELS: dict[str, Kernel] = {"flash_attn": _flash, "torch.nn.attention.varlen": _torch}
"""By the module that they need, the preferred one first."""


def usable_kernel(device: torch.device, dtype: torch.dtype) -> Kernel | None:
    """The kernel for this device and type; None where the layout of buckets has to do."""
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return None
    return next((kernel for name, kernel in KERNELS.items() if _is_there(name)), None)


def _is_there(name: str) -> bool:
    if find_spec(name.partition(".")[0]) is None or find_spec(name) is None:
        return False
    if name.startswith("torch."):  # an earlier form had neither groups of heads nor a scale
        return "enable_gqa" in inspect.signature(importlib.import_module(name).varlen_attn).parameters
    return True
