"""Random models small enough for a test, and rows of tokens for them."""

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from prorl.models import LoadedModel
from prorl.records import Row

VOCABULARY, EOS = 31, 1
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
GPT2_SIZES = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}


def tiny_model(kind: str = "llama", seed: int = 0) -> PreTrainedModel:
    """Weights far from the initial ones, whose distributions would be nearly uniform."""
    sizes = GPT2_SIZES if kind == "gpt2" else SIZES
    config = AutoConfig.for_model(
        kind, vocab_size=VOCABULARY, **sizes, bos_token_id=None, eos_token_id=EOS, pad_token_id=0
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return model


def loaded(model: PreTrainedModel) -> LoadedModel:
    return LoadedModel(model, None, torch.device("cpu"), torch.float32, (EOS,))


def random_prompts(count: int, seed: int = 0, longest: int = 12) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    return [tuple(map(int, rng.integers(2, VOCABULARY, rng.integers(1, longest + 1)))) for _ in range(count)]


def random_rows(count: int, seed: int = 0) -> tuple[Row, ...]:
    """Each with a prompt of its own; the engine's log-probs are made up."""
    rng = np.random.default_rng(seed)
    rows = []
    for prompt in random_prompts(count, seed):
        size = int(rng.integers(2, 12))
        logprobs = rng.normal(-3.0, 0.1, size).astype(np.float32)
        rows.append(Row(prompt, rng.integers(2, VOCABULARY, size), logprobs, float(rng.normal())))
    return tuple(rows)
