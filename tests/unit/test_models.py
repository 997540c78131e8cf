"""Loading a model: from a folder, its end tokens, its size, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from prorl.config import Model
from prorl.errors import UserError
from prorl.models import head_weight, load, measure
from prorl.shipped import mini_base_path
from tiny_models import GPT2_SIZES, SIZES

WORDS = ["<eos>", "<end>", "<unk>", *"abcdefghij"]


def make_model(kind="qwen2", **options):
    sizes = GPT2_SIZES if kind == "gpt2" else SIZES
    config = AutoConfig.for_model(
        kind, vocab_size=len(WORDS), **sizes, bos_token_id=None, eos_token_id=0, pad_token_id=0, **options
    )
    torch.manual_seed(3)
    return AutoModelForCausalLM.from_config(config)


def save_model(folder: Path, model, *, eos_ids=(0, 1), tokenizer=True):
    model.generation_config = GenerationConfig(eos_token_id=list(eos_ids) or None)
    model.save_pretrained(folder)
    if tokenizer:
        words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>", unk_token="<unk>").save_pretrained(folder)
    return folder


def test_a_local_folder_gives_its_weights_in_float32_and_its_tokenizer(tmp_path):
    model = make_model().bfloat16()
    loaded = load(Model(path=str(save_model(tmp_path / "m", model)), device="cpu"))
    assert type(loaded.model).__name__ == "Qwen2ForCausalLM"
    assert not loaded.model.training
    own = dict(model.named_parameters())
    assert {name for name, _ in loaded.model.named_parameters()} == own.keys()
    for name, value in loaded.model.named_parameters():
        assert value.dtype == torch.float32
        assert torch.equal(value, own[name].float())
    assert loaded.tokenizer("b a j")["input_ids"] == [4, 3, 12]
    assert loaded.device.type == "cpu"
    assert loaded.dtype == torch.float32


def test_a_relative_folder_and_one_in_the_home_folder(tmp_path, monkeypatch):
    save_model(tmp_path / "m", make_model())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("./m", "m", "~/m"):
        assert load(Model(path=path)).eos_ids == (0, 1)


@pytest.mark.parametrize(
    ("configured", "expected"), [((0, 1), (0, 1)), ((1,), (0, 1)), ((5, 3), (0, 3, 5)), ((), (0,))]
)
def test_end_tokens_are_those_of_the_generation_config_and_the_tokenizer(tmp_path, configured, expected):
    """The tokenizer's is 0."""
    assert load(Model(path=str(save_model(tmp_path / "m", make_model(), eos_ids=configured)))).eos_ids == expected


def test_a_model_that_names_no_end_token_is_refused(tmp_path):
    model = make_model()
    model.config.eos_token_id = None
    folder = save_model(tmp_path / "m", model, eos_ids=())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match="neither its generation_config nor its tokenizer names an end token"):
        load(Model(path=str(folder)))


def test_dtype_and_device_are_the_options(tmp_path):
    folder = str(save_model(tmp_path / "m", make_model()))
    assert load(Model(path=folder, dtype="bfloat16", device="cpu")).dtype == torch.bfloat16
    # Master weights are float32 either way.
    assert head_weight(load(Model(path=folder, dtype="bfloat16", device="cpu")).model).dtype == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"model\.device = cuda: this machine has no CUDA device; use auto or cpu"):
        load(Model(path=str(save_model(tmp_path / "m", make_model())), device="cuda"))


def refused(folder, reason):
    with pytest.raises(UserError, match=reason) as error:
        load(Model(path=str(folder)))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"model.path = {folder}: ")


def test_a_folder_without_a_model(tmp_path):
    refused(tmp_path, r"no config\.json there; give a model's folder or a hub name")
    refused(tmp_path / "nowhere", r"no config\.json there")


def test_a_missing_tokenizer_is_not_made_up(tmp_path):
    """transformers makes a Qwen2 tokenizer without a vocabulary, which turns every text into nothing."""
    refused(save_model(tmp_path / "m", make_model(), tokenizer=False), r"no tokenizer there; put .*tokenizer\.json")


def test_missing_weights_are_not_made_up(tmp_path):
    """transformers fills what is missing with random numbers."""
    folder = save_model(tmp_path / "m", make_model())
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, r"its weights lack model\.layers\.1\.mlp\.up_proj\.weight \(1 tensors in all\)")


def test_tied_heads_are_not_missing(tmp_path):
    folder = save_model(tmp_path / "m", make_model(tie_word_embeddings=True))
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    loaded = load(Model(path=str(folder)))
    assert head_weight(loaded.model) is loaded.model.get_input_embeddings().weight


def test_damaged_files_are_refused(tmp_path):
    folder = save_model(tmp_path / "torn", make_model())
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    refused(folder, "cannot load it")
    folder = save_model(tmp_path / "config", make_model())
    (folder / "config.json").write_text("{")
    refused(folder, "cannot load it")
    folder = save_model(tmp_path / "unknown", make_model())
    (folder / "config.json").write_text(json.dumps({"model_type": "abacus"}))
    refused(folder, "cannot load it")
    folder = save_model(tmp_path / "shape", make_model())
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(7)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "cannot load it")


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gpt2"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_measured_size_is_the_models(tmp_path, kind, tied):
    """Keys and values a token: 2 of 2 layers, of 1 head of 16 numbers; GPT-2 has no shared ones, so 2 heads."""
    model = make_model(kind, tie_word_embeddings=tied)
    folder = str(save_model(tmp_path / "m", model))
    size = measure(Model(path=folder, device="cpu"))
    assert size.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert size.vocabulary == len(WORDS)
    heads = 2 if kind == "gpt2" else 1
    assert size.cache_bytes == 2 * 2 * heads * 16 * 4
    assert (size.layers, size.hidden, size.queries, size.keys) == (2, 32, 32, heads * 16)
    assert size.mlp == (128 if kind == "gpt2" else 48)  # GPT-2: four times the hidden size
    assert size.multiplied == size.parameters - (0 if tied else 32 * len(WORDS))
    assert (size.itemsize, size.published) == (4, False)
    assert measure(Model(path=folder, device="cpu", dtype="bfloat16")).cache_bytes == size.cache_bytes // 2


@pytest.mark.parametrize(
    ("name", "parameters", "cache"),
    [
        # Cards: 1,777,088,000 (Qwen2.5-1.5B's 1,543,714,304 and a head of 151,936 x 1,536) and 494,032,768.
        # Keys and values in bfloat16: 2 x 28 layers x 2 heads of 128 x 2 bytes, and 2 x 24 x 2 heads of 64 x 2.
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 1_777_088_000, 28_672),
        ("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768, 12_288),
    ],
)
def test_shapes_that_are_shipped_need_no_file(name, parameters, cache):
    size = measure(Model(path=name, dtype="bfloat16", device="cpu"))
    assert (size.parameters, size.cache_bytes, size.published) == (parameters, cache, True)
    tied = name.startswith("Qwen/")
    assert size.multiplied == (parameters if tied else parameters - 151_936 * 1_536)


def test_a_shape_that_is_shipped_gives_way_to_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = "./runs/prorl_1.5b/checkpoints/step_2450/policy"
    assert measure(Model(path=path, device="cpu")).published
    model = make_model()
    save_model(tmp_path / path, model)
    assert measure(Model(path=path, device="cpu")).parameters == sum(p.numel() for p in model.parameters())


def test_the_shipped_model_by_both_ways():
    loaded = load(Model())
    assert loaded.eos_ids == (1,)
    assert measure(Model()).parameters == loaded.model.num_parameters()
    assert load(Model(path=str(mini_base_path()))).model.config.to_dict() == loaded.model.config.to_dict()


def test_an_output_head_with_a_bias_is_refused():
    model = make_model()
    assert head_weight(model).shape == (len(WORDS), 32)
    model.lm_head = torch.nn.Linear(32, len(WORDS))
    with pytest.raises(UserError, match="Qwen2ForCausalLM: an output head with a bias is not supported"):
        head_weight(model)
