"""The models that benchmarks run on: the shipped one, and random ones of stated sizes."""

import torch
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from prorl import config
from prorl.errors import UserError
from prorl.models import LoadedModel, load

END, PADDING = 1, 0
_SHAPES = {
    "tiny3m": {"hidden": 256, "layers": 4, "heads": 4, "kv_heads": 2, "mlp": 704, "vocabulary": 128},
    "tiny32k": {"hidden": 256, "layers": 4, "heads": 4, "kv_heads": 2, "mlp": 704, "vocabulary": 32_000},
    "tiny26m": {"hidden": 512, "layers": 8, "heads": 8, "kv_heads": 4, "mlp": 1408, "vocabulary": 4096},
}
MODELS = ("mini", *_SHAPES)


def random_model(name: str, seed: int = 0) -> PreTrainedModel:
    """A Qwen2 of that size, float32, tied head, heads of 64, weights as transformers initialises them."""
    shape = _SHAPES[name]
    settings = Qwen2Config(
        hidden_size=shape["hidden"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"],
        intermediate_size=shape["mlp"],
        vocab_size=shape["vocabulary"],
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
