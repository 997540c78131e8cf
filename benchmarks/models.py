"""The models that benchmarks run on: the shipped one, and random ones of stated sizes."""

import torch
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from prorl import config
from prorl.errors import UserError
from prorl.models import LoadedModel, load

END, PADDING = 1, 0
_SHAPES = {
    "tiny3m": (256, 4, 128),
    "tiny32k": (256, 4, 32_000),
    "tiny26m": (512, 8, 4096),
    "wide64": (64, 4, 128),
    "wide128": (128, 4, 128),
    "wide512": (512, 4, 128),
}
"""Hidden size, layers, vocabulary. Heads of 64, half as many for keys and values; the MLP is 2.75 times as wide."""
MODELS = ("mini", *_SHAPES)


def random_model(name: str, seed: int = 0) -> PreTrainedModel:
    """A Qwen2 of that size, float32, tied head, weights as transformers initialises them."""
    hidden, layers, vocabulary = _SHAPES[name]
    heads = hidden // 64
    settings = Qwen2Config(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(heads // 2, 1),
        intermediate_size=hidden * 11 // 4,
        vocab_size=vocabulary,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PADDING,
    )
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(settings).eval()


def load_model(name: str, seed: int = 0) -> LoadedModel:
    """`mini` as it is shipped, or a random model with the tokenizer of `mini`, on the CPU in float32."""
    if name not in MODELS:
        raise UserError(f"model {name}: use one of {', '.join(MODELS)}")
    mini = load(config.Model(device="cpu", dtype="float32"))
    if name == "mini":
        return mini
    return LoadedModel(random_model(name, seed), mini.tokenizer, mini.device, mini.dtype, (END,))
