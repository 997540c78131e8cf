"""Stage 2: rollouts through vLLM, in this process, one engine a rank.

The only module that imports `vllm`; `vllm_support.py` loads it where a recipe asks for it. Written against the calls of
the versions named there: `LLMEngine.add_request` and `step`, and the layerwise reload of weights.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PretrainedConfig
from vllm import EngineArgs, LLMEngine, RequestOutput, SamplingParams
from vllm.config import set_current_vllm_config
from vllm.distributed import parallel_state
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.model_executor.model_loader.reload.layerwise import finalize_layerwise_reload, initialize_layerwise_reload
from vllm.sampling_params import RequestOutputKind

from prorl.distributed import world
from prorl.errors import RunFailed, UserError
from prorl.records import FinishReason, Request, Rollout, Sampling
from prorl.rollouts.engine import check_length
from prorl.rollouts.foreign_library import Watched, buckets, log_file, output_to, process_kept

START_SECONDS, STEP_SECONDS, UPDATE_SECONDS = 3600.0, 600.0, 3600.0
"""A call that takes longer ends the process: compilation at the start, a token of every row, a transfer of weights."""
BUCKET_BYTES = 1 << 29
"""Weights that are handed over at a time; one larger tensor goes alone."""
_MOST_ROWS = 1024
"""Rollouts in the batch at most: each has a row of the vocabulary when its token is drawn."""
_BATCHED_TOKENS = {"cpu": 2048, "cuda": 8192}
_BLOCK = 32
"""Tokens of a cache block on a CPU; vLLM's own 128 would share no prompt that is shorter."""
_STARTING_SHARE = 0.01
"""vLLM asks for a free share of the GPU at its start even where the cache has a size of its own."""
_POSITIVE = (1 << 63) - 1
"""A seed of -1 would mean none."""

_current: list["VLLMEngine"] = []
"""The engine of the process: vLLM's groups and pools are global, so a new engine closes the one before."""


class _Worker(Protocol):
    """What a function that vLLM runs beside the model uses."""

    model_runner: Any
    vllm_config: Any
    model_config: Any


class VLLMEngine:
    """`Engine` over vLLM's scheduler and kernels, for the architectures it knows.

    Requests of a `generate` call may differ in temperature and top-p. The cache holds `token_budget` tokens, or fills
    the share `gpu_memory_utilization` of the GPU's memory; then it is given back while no rollout is under way.
    """

    def __init__(
        self,
        config: PretrainedConfig,
        *,
        eos_ids: Sequence[int],
        max_length: int,
        token_budget: int,
        dtype: torch.dtype,
        device: torch.device,
        tensor_parallel_size: int = 1,
        gpu_memory_utilization: float = 0.0,
    ) -> None:
        while _current:
            _current[-1].close()
        self._eos_ids, self._max_length, self._dtype = sorted(eos_ids), max_length, dtype
        self._rows = max(1, min(token_budget // max_length, _MOST_ROWS))
        self._over_processes = tensor_parallel_size > 1
        self._sleeps, self._asleep = gpu_memory_utilization > 0, False
        self._names = _parameter_names(config)
        self._version, self._count, self._steps_without_end = -1, 0, 0
        self._live: dict[str, tuple[Request, int]] = {}
        log = log_file("vllm")
        self._watched = Watched("vLLM", log)
        on_cpu = device.type == "cpu"
        self._compilation: Callable[[], AbstractContextManager[Any]] = _not_compiled if on_cpu else nullcontext
        with process_kept("VLLM_"), self._watched.call("start", START_SECONDS), output_to(log), _written(config) as at:
            self._engine = LLMEngine.from_engine_args(
                EngineArgs(
                    model=at,
                    skip_tokenizer_init=True,
                    load_format="dummy",
                    generation_config="vllm",
                    dtype=str(dtype).removeprefix("torch."),
                    max_model_len=max_length + 1,
                    max_num_seqs=self._rows,
                    max_num_batched_tokens=max(_BATCHED_TOKENS[device.type], self._rows, max_length + 1),
                    # A prompt cut in two makes vLLM turn the request's generator back, which a CPU's cannot.
                    enable_chunked_prefill=not on_cpu,
                    block_size=_BLOCK if on_cpu else None,
                    kv_cache_memory_bytes=None
                    if self._sleeps
                    else _cache_bytes(config, max(token_budget, max_length + 1), dtype, tensor_parallel_size),
                    gpu_memory_utilization=gpu_memory_utilization or _STARTING_SHARE,
                    enable_sleep_mode=self._sleeps,
                    enable_prefix_caching=True,
                    logprobs_mode="processed_logprobs",
                    tensor_parallel_size=tensor_parallel_size,
                    distributed_executor_backend=_executor(tensor_parallel_size),
                    enforce_eager=on_cpu,
                    disable_log_stats=True,
                )
            )
        _current.append(self)

    @property
    def version(self) -> int:
        return self._version

    def load_weights(self, weights: Mapping[str, Tensor], version: int) -> None:
        """In place, a bucket at a time: `weights` is gone through once, in its order.

        Rollouts under way go on from their next token: their cache is computed anew under the new weights.
        UserError: a tensor is missing or unknown; the engine then holds nothing that could be sampled from.
        """
        self._version = -1
        with self._watched.call("take over weights", UPDATE_SECONDS):
            self._on_workers(_begin_update)
            given = set[str]()
            for bucket in buckets(weights.items(), BUCKET_BYTES):
                given.update(name for name, _ in bucket)
                self._refuse_unknown(given - self._names, "have")
                self._on_workers(_update, [(name, self._sent(value)) for name, value in bucket])
                bucket.clear()
            self._refuse_unknown(self._names - given, "lack")
            self._on_workers(_end_update)
            if not self._engine.reset_prefix_cache(reset_running_requests=True):
                raise RunFailed("vLLM kept prompts that were read with the weights of before")
            self._engine.set_weight_version(str(version))
        self._version = version

    def _refuse_unknown(self, names: set[str], verb: str) -> None:
        if names:
            raise UserError(f"engine weights {verb} {min(names)}, which the model does not share")

    def _sent(self, value: Tensor) -> Tensor:
        """As the engine computes; to other processes from host memory."""
        value = value.detach().to(self._dtype)
        return value.cpu() if self._over_processes else value

    def _on_workers(self, function: Callable[..., None], *arguments: object) -> None:
        self._engine.collective_rpc(function, args=arguments)

    def close(self) -> None:
        if self not in _current:
            return
        _current.remove(self)
        with process_kept("VLLM_"), self._watched.call("stop", STEP_SECONDS):
            if world() > 1:
                _stop_beside_other_ranks(self._engine)
            else:
                self._engine.engine_core.shutdown()
        del self._engine
        self._watched.close()

    def generate(self, requests: Iterable[Request]) -> Iterator[Rollout]:
        assert self in _current, "closed, by itself or by the next engine"
        assert not self._live, "one generate at a time"
        assert self._version >= 0, "weights come first"
        self._wake()
        source = iter(requests)
        exhausted = self._feed(source)
        try:
            while self._live:
                for output in self._step():
                    request, index = self._live.pop(output.request_id)
                    yield self._rollout(output, request, index)
                exhausted = exhausted or self._feed(source)
        finally:
            if self._live:
                self._engine.abort_request(list(self._live))
                self._live.clear()
            self._sleep()

    def _feed(self, source: Iterator[Request]) -> bool:
        """Hand requests over while there is room; True when there are no more."""
        while len(self._live) < self._rows:
            request = next(source, None)
            if request is None:
                return True
            check_length(request, self._max_length)
            for index, seed in enumerate(request.seeds):
                name = self._add(request.tokens, self._parameters(request.sampling, seed))
                self._live[name] = (request, index)
        return False

    def _add(self, tokens: tuple[int, ...], parameters: SamplingParams) -> str:
        self._count += 1
        name = str(self._count)
        with self._watched.call("take a request", STEP_SECONDS):
            self._engine.add_request(name, {"prompt_token_ids": list(tokens)}, parameters)
        return name

    def _parameters(self, sampling: Sampling, seed: int) -> SamplingParams:
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=seed & _POSITIVE,
            logprobs=0,
            stop_token_ids=self._eos_ids,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _step(self) -> list[RequestOutput]:
        """One token more for the batch; the requests that ended."""
        generator = torch.get_rng_state()
        with self._watched.call("finish a step", STEP_SECONDS), self._compilation():
            ended = [output for output in self._engine.step() if output.finished]
        torch.set_rng_state(generator)  # drawn from in vain: every request has its own
        self._steps_without_end = 0 if ended else self._steps_without_end + 1
        # The oldest request in the batch gains a token a step, so it has ended long before.
        if self._steps_without_end > 1000 + 4 * self._max_length:
            raise RunFailed(f"vLLM has ended none of {len(self._live)} rollouts in {self._steps_without_end} steps")
        return ended

    def _rollout(self, output: RequestOutput, request: Request, index: int) -> Rollout:
        (answer,) = output.outputs
        reasons: dict[str | None, FinishReason] = {"stop": "stop", "length": "length"}
        if answer.finish_reason not in reasons or answer.logprobs is None or not answer.weight_versions:
            raise RunFailed(f"vLLM ended a rollout with {answer.finish_reason!r} and without all that was asked for")
        logprobs = [of[token].logprob for token, of in zip(answer.token_ids, answer.logprobs, strict=True)]
        return Rollout(
            request.key,
            index,
            np.array(answer.token_ids, dtype=np.int64),
            np.array(logprobs, dtype=np.float32),
            reasons[answer.finish_reason],
            tuple((int(span.version), span.end - span.start) for span in answer.weight_versions),
        )

    def score(self, sequences: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], temperature: float) -> list[Tensor]:
        """From vLLM's log-probs of a prompt, which know no temperature: its logits are scaled meanwhile."""
        assert not self._live, "not while rollouts are under way"
        for prompt, response in sequences:
            check_length(Request(0, prompt, 1, Sampling(1.0, 1.0, len(response)), (0,)), self._max_length)
        self._wake()
        parameters = SamplingParams(
            temperature=0.0,
            max_tokens=1,
            prompt_logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._on_workers(_scale_logits, 1.0 / temperature)
        try:
            names = [self._add((*prompt, *response), parameters) for prompt, response in sequences]
            ended: dict[str, RequestOutput] = {}
            while len(ended) < len(names):
                ended.update((output.request_id, output) for output in self._step())
        finally:
            self._on_workers(_scale_logits, temperature)
            self._sleep()
        return [
            _of_response(ended[name], prompt, response)
            for name, (prompt, response) in zip(names, sequences, strict=True)
        ]

    def _sleep(self) -> None:
        """Give the cache's memory back; it stands empty at the next call."""
        if self._sleeps and not self._asleep:
            with self._watched.call("sleep", STEP_SECONDS):
                self._engine.sleep(level=0)
                self._engine.release_kv_cache_memory()
            self._asleep = True

    def _wake(self) -> None:
        if self._asleep:
            with self._watched.call("wake", STEP_SECONDS):
                self._engine.wake_up()
            self._asleep = False


def _of_response(output: RequestOutput, prompt: tuple[int, ...], response: tuple[int, ...]) -> Tensor:
    assert output.prompt_logprobs is not None
    found = output.prompt_logprobs[len(prompt) :]
    values = [of[token].logprob for token, of in zip(response, found, strict=True) if of is not None]
    return torch.tensor(values, dtype=torch.float32)


def _parameter_names(config: PretrainedConfig) -> set[str]:
    """Of the model in transformers, a shared parameter once."""
    with torch.device("meta"):
        return {name for name, _ in AutoModelForCausalLM.from_config(config).named_parameters()}


@contextmanager
def _written(config: PretrainedConfig) -> Iterator[str]:
    """A folder with the model's configuration, which is all that vLLM reads of it."""
    with tempfile.TemporaryDirectory(prefix="prorl-vllm-") as folder:
        config.save_pretrained(folder)
        yield folder


def _cache_bytes(config: PretrainedConfig, tokens: int, dtype: torch.dtype, parts: int) -> int:
    """Keys and values of so many tokens on one of `parts` devices, and two blocks that vLLM keeps for itself."""
    plain = config.to_dict()
    # By attribute, not by key: some architectures keep these under names of their own.
    heads = config.num_attention_heads
    head_size = plain.get("head_dim") or config.hidden_size // heads
    keys = -(-(plain.get("num_key_value_heads") or heads) // parts)
    blocks = -(-tokens // _BLOCK) + 2
    return 2 * config.num_hidden_layers * keys * head_size * dtype.itemsize * blocks * _BLOCK


def _not_compiled() -> AbstractContextManager[Any]:
    """The sampler's few small functions as they are: compiling them takes a C++ compiler and half a minute."""
    return torch.compiler.set_stance("force_eager")


def _executor(tensor_parallel_size: int) -> str:
    """How vLLM reaches the model: in this process, in the process group that is already there, or in others."""
    if world() > 1:
        return "external_launcher"
    return "mp" if tensor_parallel_size > 1 else "uni"


def _stop_beside_other_ranks(engine: LLMEngine) -> None:
    """As vLLM's own shutdown, which would leave the learner without its process group too."""
    engine.engine_core._finalizer.detach()
    core = engine.engine_core.engine_core
    core.model_executor.shutdown()
    core.scheduler.shutdown()
    parallel_state.destroy_model_parallel()
    if parallel_state._WORLD is not None:
        parallel_state._WORLD.destroy()
        parallel_state._WORLD = None


def _begin_update(worker: _Worker) -> None:
    with set_current_vllm_config(worker.vllm_config):
        initialize_layerwise_reload(worker.model_runner.get_model())


def _update(worker: _Worker, bucket: list[tuple[str, Tensor]]) -> None:
    with set_current_vllm_config(worker.vllm_config):
        worker.model_runner.get_model().load_weights(bucket)


def _end_update(worker: _Worker) -> None:
    """A tied head gets no tensor of its own, and on a CPU it holds a packed copy of the embedding: packed anew."""
    model, config = worker.model_runner.get_model(), worker.vllm_config.model_config
    with set_current_vllm_config(worker.vllm_config):
        finalize_layerwise_reload(model, config)
        if config.hf_text_config.tie_word_embeddings:
            for module in model.modules():
                if isinstance(module, ParallelLMHead):
                    module.quant_method.process_weights_after_loading(module)


def _scale_logits(worker: _Worker, factor: float) -> None:
    worker.model_runner.get_model().logits_processor.scale *= factor
