"""Stage 2, the seam: what a rollout engine is. `torch_engine.py` and `generate_engine.py` implement it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from prorl.records import Request, Rollout


@runtime_checkable
class Engine(Protocol):
    """Samples from a causal language model whose weights it is given."""

    @property
    def version(self) -> int:
        """Version of the weights that it holds."""
        ...

    def generate(self, requests: Iterable[Request]) -> Iterator[Rollout]:
        """Rollouts as they finish, in any order; requests are pulled lazily as room comes free."""
        ...

    def score(self, sequences: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], temperature: float) -> list[Tensor]:
        """Log-probabilities (nats, float32 `[T]`) of the response of each (prompt tokens, response tokens)."""
        ...

    def load_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Take over weights under their Hugging Face names."""
        ...

    def close(self) -> None:
        """Give back memory."""
        ...
