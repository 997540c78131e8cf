"""Stage 2: the embedded rollout engine: continuous batching over `decoder.Decoder`, on a CPU or one GPU.

A prompt is prefilled once and its rollouts read its keys and values where they lie. A finished row leaves, the last
live rows move into the holes, and the next prompts take the free rows. Memory is bounded by `token_budget` tokens of
cache. Requests of one `generate` call share temperature and top-p.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PretrainedConfig

from prorl.algorithm.logprobs import token_logprobs
from prorl.errors import UserError
from prorl.records import FinishReason, Request, Rollout
from prorl.rollouts.cache import Cache, Context, Prefix, Sharing
from prorl.rollouts.decoder import Decoder, supports
from prorl.rollouts.engine import check_length
from prorl.rollouts.sampler import sample, uniforms

_REFILL_SHARE = 4  # refill when a quarter of the rows is free
_ALIKE = 0.6
"""Prompts are prefilled together when none is shorter than this share of the longest."""
_SCORE_CHUNK = 2048


class _Rows:
    """The live rows of a batch: rows 0..count of every tensor, in the order of the cache, and their prompts."""

    def __init__(self, rows: int, length: int, device: torch.device) -> None:
        self.count = 0
        self.line = np.zeros(rows, dtype=np.int64)
        """The row's prompt in `prefix`."""
        self.prefix: Prefix | None = None
        self.sharing: Sharing | None = None
        """None where rows have come or gone since it was made."""
        self.last = torch.zeros(rows, dtype=torch.long, device=device)
        self.position = torch.zeros(rows, dtype=torch.long, device=device)
        self.seed = torch.zeros(rows, dtype=torch.long, device=device)
        self.written = torch.zeros(rows, dtype=torch.long, device=device)
        self.limit = torch.zeros(rows, dtype=torch.long, device=device)
        self.tokens = torch.zeros(rows, length, dtype=torch.long, device=device)
        self.logprobs = torch.zeros(rows, length, dtype=torch.float32, device=device)
        self.owner: list[tuple[int, int]] = [(0, 0)] * rows

    def tensors(self) -> tuple[Tensor, ...]:
        return self.last, self.position, self.seed, self.written, self.limit, self.tokens, self.logprobs


class TorchEngine:
    """`Engine` for Llama, Qwen2 and Qwen3 models."""

    def __init__(
        self,
        config: PretrainedConfig,
        *,
        eos_ids: Sequence[int],
        max_length: int,
        token_budget: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        if token_budget < max_length:
            raise UserError(
                f"rollouts.token_budget = {token_budget}: must hold one rollout, that is "
                f"data.max_prompt_tokens + rollouts.max_response_tokens = {max_length} tokens"
            )
        self._decoder = Decoder(config, dtype, device)
        self._eos = torch.tensor(sorted(eos_ids), dtype=torch.long, device=device)
        self._max_length, self._num_rows = max_length, token_budget // max_length
        self._device, self._dtype = device, dtype
        self._cache: Cache | None = None
        self._version = -1

    @staticmethod
    def supports(config: PretrainedConfig) -> bool:
        """Whether the engine computes that architecture exactly."""
        return supports(config)

    @property
    def version(self) -> int:
        return self._version

    def load_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        self._decoder.load(weights)
        self._version = version

    def close(self) -> None:
        self._cache = None

    @torch.inference_mode()
    def generate(self, requests: Iterable[Request]) -> Iterator[Rollout]:
        source, waiting = iter(requests), deque[Request]()
        rows = _Rows(self._num_rows, self._max_length, self._device)
        exhausted, temperature, top_p = False, 1.0, 1.0
        while True:
            free = self._num_rows - rows.count
            if rows.count == 0 or free * _REFILL_SHARE >= self._num_rows:
                exhausted = exhausted or _pull(source, waiting, free)
                if waiting:
                    temperature, top_p = waiting[0].sampling.temperature, waiting[0].sampling.top_p
                    yield from self._admit(waiting, rows, free)
                    continue
            if rows.count == 0 and exhausted:
                return
            self._step(rows, temperature, top_p)
            yield from self._retire(rows)

    def _step(self, rows: _Rows, temperature: float, top_p: float) -> None:
        """One more token for each row."""
        live = slice(0, rows.count)
        rows.sharing = rows.sharing or _sharing(rows, self._device)
        context = Context(rows.sharing, self._own(1), rows.written[live] - 1)
        hidden = self._decoder.step(rows.last[live], rows.position[live], context)
        self._write(rows, live, self._decoder.head(hidden), temperature, top_p)

    def _own(self, length: int) -> Cache:
        """The rows' own cache, which holds responses of at least that length."""
        old = self._cache
        if old is None or old.length < length:
            like = torch.empty(0, dtype=self._dtype, device=self._device)
            self._cache = self._decoder.shape.cache(self._num_rows, length, like)
            if old is not None:
                self._cache.keys[:, :, :, : old.length] = old.keys
                self._cache.values[:, :, :, : old.length] = old.values
        assert self._cache is not None
        return self._cache

    def _admit(self, waiting: deque[Request], rows: _Rows, free: int) -> Iterator[Rollout]:
        """Prefill the waiting prompts that fit and draw the first tokens of their rows."""
        batch: list[tuple[Request, range]] = []
        while waiting and free > 0:
            request = waiting.popleft()
            check_length(request, self._max_length)
            assert not batch or _distribution(request) == _distribution(batch[0][0]), "one temperature and top-p a call"
            done = request.num_rollouts - len(request.seeds)
            take = min(free, len(request.seeds))
            batch.append((request, range(done, done + take)))
            free -= take
            if take < len(request.seeds):
                waiting.appendleft(_rest(request, take))
        self._own(max(request.sampling.max_tokens for request, _ in batch))
        rows.prefix, rows.sharing = self._joined(batch, rows), None
        yield from self._retire(rows)

    def _joined(self, batch: list[tuple[Request, range]], rows: _Rows) -> Prefix:
        """The prompts that rows continue, with those of the batch after them."""
        parts = _prompts_in_use(rows, self._device)
        for part in _chunks(batch, self._num_rows * self._max_length // 4):
            parts.append(self._prefill(part, rows, first=sum(len(lines) for _, lines in parts)))
        return Prefix.joined(parts)

    def _prefill(self, batch: list[tuple[Request, range]], rows: _Rows, first: int) -> tuple[Prefix, Tensor]:
        """The prompts, which will stand from line `first` on; draws the first token of their rows."""
        lengths = torch.tensor([len(request.tokens) for request, _ in batch], device=self._device)
        width = int(lengths.max())
        padded = np.zeros((len(batch), width), dtype=np.int64)
        for line, (request, _) in zip(padded, batch, strict=True):
            line[: len(request.tokens)] = request.tokens
        prompts = self._decoder.shape.cache(len(batch), width, self._own(1).keys)
        hidden = self._decoder.prefill(torch.from_numpy(padded).to(self._device), prompts)
        logits = self._decoder.head(hidden[torch.arange(len(batch), device=self._device), lengths - 1])
        copies = torch.tensor([len(indices) for _, indices in batch], device=self._device)
        owner = torch.repeat_interleave(torch.arange(len(batch), device=self._device), copies)
        start, stop = rows.count, rows.count + len(owner)
        rows.line[start:stop] = first + owner.cpu().numpy()
        seeds = [request.seeds[i] for request, indices in batch for i in range(len(indices))]
        limits = [request.sampling.max_tokens for request, indices in batch for _ in indices]
        rows.seed[start:stop] = torch.tensor(seeds, dtype=torch.long)
        rows.limit[start:stop] = torch.tensor(limits, dtype=torch.long)
        rows.position[start:stop] = lengths[owner] - 1
        rows.written[start:stop] = 0
        rows.owner[start:stop] = [(request.key, index) for request, indices in batch for index in indices]
        rows.count = stop
        sampling = batch[0][0].sampling
        self._write(rows, slice(start, stop), logits[owner], sampling.temperature, sampling.top_p)
        return Prefix(prompts, lengths), torch.arange(len(batch), device=self._device)

    def _write(self, rows: _Rows, where: slice, logits: Tensor, temperature: float, top_p: float) -> None:
        """Draw a token for each row and append it."""
        tokens, logprobs = sample(logits, uniforms(rows.seed[where], rows.written[where]), temperature, top_p)
        column = rows.written[where].unsqueeze(-1)
        rows.tokens[where].scatter_(1, column, tokens.unsqueeze(-1))
        rows.logprobs[where].scatter_(1, column, logprobs.unsqueeze(-1))
        rows.last[where] = tokens
        rows.written[where] += 1
        rows.position[where] += 1

    def _retire(self, rows: _Rows) -> Iterator[Rollout]:
        """Give out finished rows and move the last live rows into the holes."""
        live = rows.count
        stopped = torch.isin(rows.last[:live], self._eos)
        finished = (stopped | (rows.written[:live] >= rows.limit[:live])).nonzero().squeeze(-1)
        if len(finished) == 0:
            return
        done = finished.tolist()
        ended, written = stopped[finished].tolist(), rows.written[finished].tolist()
        tokens, logprobs = rows.tokens[finished].cpu().numpy(), rows.logprobs[finished].cpu().numpy()
        owners = [rows.owner[row] for row in done]
        self._compact(rows, done)
        for line, (key, index) in enumerate(owners):
            size = written[line]
            reason: FinishReason = "stop" if ended[line] else "length"
            yield Rollout(key, index, tokens[line, :size], logprobs[line, :size], reason, ((self._version, size),))

    def _compact(self, rows: _Rows, done: list[int]) -> None:
        keep = rows.count - len(done)
        gone = set(done)
        holes = [row for row in done if row < keep]
        movers = [row for row in range(keep, rows.count) if row not in gone]
        if holes:
            to = torch.tensor(holes, device=self._device)
            source = torch.tensor(movers, device=self._device)
            length = int(rows.written[source].max())
            for tensor in rows.tensors():
                tensor[to] = tensor[source]
            cache = self._own(1)
            cache.keys[:, to, :, :length] = cache.keys[:, source, :, :length]
            cache.values[:, to, :, :length] = cache.values[:, source, :, :length]
            rows.line[holes] = rows.line[movers]
            for hole, mover in zip(holes, movers, strict=True):
                rows.owner[hole] = rows.owner[mover]
        rows.count, rows.sharing = keep, None
        if keep == 0:
            rows.prefix = None

    @torch.inference_mode()
    def score(self, sequences: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], temperature: float) -> list[Tensor]:
        results = []
        for prompt, response in sequences:
            tokens = torch.tensor([*prompt, *response], device=self._device)
            hidden = self._decoder.prefill(tokens[None], None)[0, len(prompt) - 1 : -1]
            logprobs, _ = token_logprobs(
                hidden,
                self._decoder.head_weight,
                tokens[len(prompt) :],
                temperature=temperature,
                chunk_size=_SCORE_CHUNK,
            )
            results.append(logprobs.float())
        return results


def _prompts_in_use(rows: _Rows, device: torch.device) -> list[tuple[Prefix, Tensor]]:
    """The prefix with the lines that rows continue, numbered anew; so prompts never take more room than their rows."""
    if rows.prefix is None:
        return []
    lines, renumbered = np.unique(rows.line[: rows.count], return_inverse=True)
    rows.line[: rows.count] = renumbered
    return [(rows.prefix, torch.from_numpy(lines).to(device))]


def _sharing(rows: _Rows, device: torch.device) -> Sharing:
    """The table of the rows of each prompt."""
    assert rows.prefix is not None
    line = rows.line[: rows.count].copy()
    order = np.argsort(line, kind="stable")
    counts = np.bincount(line, minlength=len(rows.prefix))
    column = np.empty_like(line)
    column[order] = np.arange(len(line)) - (np.cumsum(counts) - counts)[line[order]]
    members = np.zeros((len(rows.prefix), counts.max()), dtype=np.int64)
    members[line, column] = np.arange(len(line))
    place = line * members.shape[1] + column
    return Sharing(rows.prefix, *(torch.from_numpy(x).to(device) for x in (members, place, line)))


def _distribution(request: Request) -> tuple[float, float]:
    return request.sampling.temperature, request.sampling.top_p


def _pull(source: Iterator[Request], waiting: deque[Request], free: int) -> bool:
    """Take requests until they fill `free` rows; True when there are no more."""
    wanted = free - sum(len(request.seeds) for request in waiting)
    while wanted > 0:
        request = next(source, None)
        if request is None:
            return True
        waiting.append(request)
        wanted -= len(request.seeds)
    return False


def _rest(request: Request, taken: int) -> Request:
    """What is left of a request after its first `taken` rollouts found room."""
    return Request(request.key, request.tokens, request.num_rollouts, request.sampling, request.seeds[taken:])


def _chunks(batch: list[tuple[Request, range]], max_tokens: int) -> Iterator[list[tuple[Request, range]]]:
    """Split a prefill into prompts of similar length, each part of a padded size within `max_tokens`."""
    part: list[tuple[Request, range]] = []
    width = 0
    for item in sorted(batch, key=lambda item: len(item[0].tokens), reverse=True):
        size = len(item[0].tokens)
        if part and (width * (len(part) + 1) > max_tokens or size < _ALIKE * width):
            yield part
            part = []
        if not part:
            width = size
        part.append(item)
    if part:
        yield part
