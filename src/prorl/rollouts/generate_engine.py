"""Stage 2: rollouts through transformers' own `generate`, for architectures that the embedded engine does not know.

Slow and general. `generate` runs greedily over logits that a processor has replaced: the token drawn by this project's
own sampler has all the mass, so random streams and log-probabilities are those of the embedded engine.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from prorl.errors import UserError
from prorl.records import Request, Rollout
from prorl.rollouts.engine import check_length
from prorl.rollouts.sampler import sample, uniforms


class _Draw(LogitsProcessor):
    """Draws the next token of each row and leaves it as the only possible one."""

    def __init__(self, seeds: Tensor, temperature: float, top_p: float) -> None:
        self._seeds, self._temperature, self._top_p = seeds, temperature, top_p
        self.logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        steps = torch.full_like(self._seeds, len(self.logprobs))
        tokens, logprobs = sample(scores, uniforms(self._seeds, steps), self._temperature, self._top_p)
        self.logprobs.append(logprobs)
        return torch.full_like(scores, -torch.inf).scatter(-1, tokens[:, None], 0.0)


class GenerateEngine:
    """`Engine` over any causal language model of transformers."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        eos_ids: Sequence[int],
        max_length: int,
        token_budget: int,
        dtype: torch.dtype,
    ) -> None:
        """`model` becomes the engine's own."""
        self._model = model.to(dtype).eval().requires_grad_(False)
        self._model.set_attn_implementation("sdpa" if self._model._supports_sdpa else "eager")
        # `generate` fills what a call leaves open from here: the model's own penalties would change what is drawn from.
        self._model.generation_config = GenerationConfig()
        self._eos_ids = list(eos_ids)
        self._max_length, self._num_rows = max_length, max(token_budget // max_length, 1)
        self._version = -1

    @property
    def version(self) -> int:
        return self._version

    def load_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        own = dict(self._model.named_parameters())
        missing = sorted(own.keys() - weights.keys())
        if missing:
            raise UserError(f"engine weights lack {missing[0]}")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(weights[name])
        self._version = version

    def close(self) -> None:
        """Nothing outlives a call."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Rollout]:
        rows = ((request, index) for request in requests for index in self._indices(request))
        while batch := list(islice(rows, self._num_rows)):
            yield from self._batch(batch)

    def _indices(self, request: Request) -> range:
        check_length(request, self._max_length)
        return range(request.num_rollouts)

    @torch.inference_mode()
    def _batch(self, batch: list[tuple[Request, int]]) -> list[Rollout]:
        device = self._model.device
        width = max(len(request.tokens) for request, _ in batch)
        pad = self._eos_ids[0]
        tokens = torch.tensor([[pad] * (width - len(r.tokens)) + list(r.tokens) for r, _ in batch], device=device)
        mask = torch.tensor([[0] * (width - len(r.tokens)) + [1] * len(r.tokens) for r, _ in batch], device=device)
        sampling = batch[0][0].sampling
        draw = _Draw(
            torch.tensor([request.seeds[index] for request, index in batch], device=device),
            sampling.temperature,
            sampling.top_p,
        )
        output = self._model.generate(
            tokens,
            attention_mask=mask,
            generation_config=GenerationConfig(
                do_sample=False, max_new_tokens=sampling.max_tokens, eos_token_id=self._eos_ids, pad_token_id=pad
            ),
            logits_processor=LogitsProcessorList([draw]),
        )[:, width:]
        logprobs = torch.stack(draw.logprobs, -1).float().cpu().numpy()
        rollouts = []
        for line, (request, index) in enumerate(batch):
            row = output[line].cpu().numpy()
            ends = [place for place, token in enumerate(row) if token in self._eos_ids]
            size = ends[0] + 1 if ends else len(row)
            rollouts.append(
                Rollout(
                    request.key,
                    index,
                    row[:size],
                    logprobs[line, :size],
                    "stop" if ends else "length",
                    ((self._version, size),),
                )
            )
        return rollouts

    @torch.inference_mode()
    def score(self, sequences: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], temperature: float) -> list[Tensor]:
        results = []
        for prompt, response in sequences:
            tokens = torch.tensor([[*prompt, *response]], device=self._model.device)
            logits = self._model(tokens).logits[0, len(prompt) - 1 : -1].float() / temperature
            results.append(torch.log_softmax(logits, -1).gather(-1, tokens[0, len(prompt) :, None])[:, 0])
        return results
