"""Stage 2, the seam: what a rollout engine is. `torch_engine.py` and `generate_engine.py` implement it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from prorl.errors import UserError
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


def check_length(request: Request, max_length: int) -> None:
    """Refuse what does not fit the engine; UserError."""
    size = len(request.tokens) + request.sampling.max_tokens
    if size > max_length or not request.tokens:
        raise UserError(
            f"a prompt of {len(request.tokens)} tokens with {request.sampling.max_tokens} to generate: the engine "
            f"holds 1 to {max_length} in all; raise data.max_prompt_tokens or rollouts.max_response_tokens"
        )
