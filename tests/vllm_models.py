"""Models, requests and engines of the tests that run vLLM."""

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from prorl.config import Config, Data, Loss, Model, Optimizer, Rollouts
from prorl.models import LoadedModel
from prorl.records import Request, Rollout, Row, Sampling
from prorl.rollouts import vllm_support

VOCABULARY, LONGEST_PROMPT, LONGEST_RESPONSE, TEMPERATURE = 61, 150, 24, 1.3
EOS = (1, 5)
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "head_dim": 32,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
KINDS = [("llama", True), ("llama", False), ("qwen2", True), ("qwen2", False), ("qwen3", True)]


def tiny_model(kind: str, tied: bool, seed: int = 0) -> PreTrainedModel:
    """Weights far from the initial ones, with biases and norms that matter."""
    config = AutoConfig.for_model(kind, **SIZES, tie_word_embeddings=tied, pad_token_id=0, eos_token_id=1)
    config.architectures = [{"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}[kind] + "ForCausalLM"]
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(torch.randn_like(parameter) * (0.3 if "norm" in name or "bias" in name else 0.06))
    return model


def loaded_model(model: PreTrainedModel, eos_ids: tuple[int, ...] = EOS) -> LoadedModel:
    return LoadedModel(model, None, torch.device("cpu"), torch.float32, eos_ids)


def recipe(budget: int = 8192, **options: object) -> Config:
    return Config(
        model=Model(device="cpu", dtype="float32"),
        data=Data(max_prompt_tokens=LONGEST_PROMPT),
        rollouts=Rollouts(
            engine="vllm",
            temperature=TEMPERATURE,
            max_response_tokens=LONGEST_RESPONSE,
            token_budget=budget,
            **options,
        ),
        loss=Loss(kl_coefficient=0.0),
        optimizer=Optimizer(learning_rate=3e-3, max_grad_norm=0.0),
    )


def open_engine(model: PreTrainedModel, version: int = 0, eos_ids: tuple[int, ...] = EOS, budget: int = 8192):
    engine = vllm_support.open_engine(loaded_model(model, eos_ids), recipe(budget))
    engine.load_weights(dict(model.named_parameters()), version)
    return engine


def make_requests(count: int = 6, group: int = 4, shortest: int = 70, seed: int = 0, **sampling: float):
    """Prompts of several blocks of the cache each."""
    rng = np.random.default_rng(seed)
    settings = Sampling(**{"temperature": TEMPERATURE, "top_p": 1.0, "max_tokens": LONGEST_RESPONSE, **sampling})
    return [
        Request(
            key,
            tuple(int(t) for t in rng.integers(6, VOCABULARY, rng.integers(shortest, LONGEST_PROMPT + 1))),
            group,
            settings,
            tuple(int(s) for s in rng.integers(-(2**62), 2**62, group)),
        )
        for key in range(count)
    ]


def definition(model: PreTrainedModel, prompt, response, temperature: float = TEMPERATURE) -> Tensor:
    """Log-probs of a response: one row, no batch, no cache."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits / (temperature or 1.0), -1).gather(-1, torch.tensor(list(response))[:, None])[:, 0]


def gap(model: PreTrainedModel, requests: list[Request], rollouts: list[Rollout]) -> float:
    """Largest difference of the engine's log-probs from the definition's."""
    by_key = {request.key: request for request in requests}
    return max(
        float(
            (
                definition(model, by_key[r.key].tokens, r.tokens.tolist(), by_key[r.key].sampling.temperature)
                - torch.from_numpy(r.logprobs)
            )
            .abs()
            .max()
        )
        for r in rollouts
    )


def spoken(rollouts) -> dict[tuple[int, int], list[int]]:
    return {(r.key, r.index): r.tokens.tolist() for r in rollouts}


def make_rows(requests: list[Request], rollouts: list[Rollout], seed: int = 0) -> tuple[Row, ...]:
    rng = np.random.default_rng(seed)
    return tuple(Row(requests[r.key].tokens, r.tokens, r.logprobs, float(rng.normal())) for r in rollouts)
