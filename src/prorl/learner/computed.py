"""Named tensors that are computed when they are asked for, and what is known of them before."""

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor


class Computed(Mapping[str, Tensor]):
    """Tensors by name, each computed anew at every look; only one of them exists at a time."""

    def __init__(self, shapes: Mapping[str, Tensor], compute: Callable[[str], Tensor]) -> None:
        self.shapes, self._compute = shapes, compute

    def __getitem__(self, name: str) -> Tensor:
        return self._compute(name)

    def __contains__(self, name: object) -> bool:
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def shapes(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Tensors of the same names, shapes and types that cost nothing to look at; their values mean nothing."""
    return tensors.shapes if isinstance(tensors, Computed) else tensors
