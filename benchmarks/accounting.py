"""What an allocator would count: the bytes of live tensors, and the most there were, of real and of fake tensors.

Every operation's results are seen by a dispatch mode, a storage once; its bytes count until Python and autograd have
let it go. As in torch's CUDA allocator a storage takes a multiple of 512 bytes. What a kernel takes inside and what
lies between blocks is not seen.

With `fake` nothing is computed: tensors have shapes and types only, so a model of any size fits. Numbers that Python
asks for are then 1.
"""

import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import ReferenceType

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SMALLEST = 512


class Accounting(TorchDispatchMode):
    """`live` and `peak` bytes of the storages that operations under this mode made."""

    def __init__(self, *, fake: bool) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._fake = fake
        self._known: dict[int, tuple[ReferenceType[Any], int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._fake and func is torch.ops.aten._local_scalar_dense.default:
            return True if args[0].dtype == torch.bool else 1
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return result

    def add(self, tensor: Tensor) -> None:
        """Count the tensor's storage if it is new."""
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._known and self._known[key][0]() is storage:
            return
        size = -(-storage.nbytes() // SMALLEST) * SMALLEST
        self._known[key] = (weakref.ref(storage, lambda gone: self._forget(key, gone)), size)
        self.live += size
        self.peak = max(self.peak, self.live)

    def _forget(self, key: int, gone: "ReferenceType[Any]") -> None:
        if key in self._known and self._known[key][0] is gone:
            self.live -= self._known.pop(key)[1]


@contextmanager
def accounting(*, fake: bool) -> Iterator[Accounting]:
    """Count what the block allocates."""
    counted = Accounting(fake=fake)
    with ExitStack() as modes:
        if fake:
            modes.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        modes.enter_context(counted)
        yield counted
