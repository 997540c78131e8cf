"""Load a causal language model and its tokenizer, from the package, a local folder or the Hugging Face hub."""

import copy
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from prorl import config
from prorl.distributed import world
from prorl.errors import UserError
from prorl.shipped import MINI_BASE, mini_base_path

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A policy to start from: float32 master weights, its tokenizer, and how it is computed."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    dtype: torch.dtype
    eos_ids: tuple[int, ...]
    """Every end token of the generation configuration and the tokenizer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """What a plan needs to know of a model."""

    parameters: int
    trained: int
    """All, or an adapter's."""
    multiplied: int
    """Parameters that each token is multiplied by: all but an input embedding that is not the head as well."""
    vocabulary: int
    layers: int
    hidden: int
    queries: int
    """Heads times head size."""
    keys: int
    """Heads of keys times head size."""
    mlp: int
    itemsize: int
    """Bytes of a number where it is computed."""
    published: bool
    """Known by its name alone; no file of it was read."""

    @property
    def cache_bytes(self) -> int:
        """Keys and values, a token."""
        return 2 * self.layers * self.keys * self.itemsize


def resolve_device(options: config.Model) -> torch.device:
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("model.device = cuda: this machine has no CUDA device; use auto or cpu")
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(options.device)


def resolve_dtype(options: config.Model, device: torch.device) -> torch.dtype:
    if options.dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return _DTYPES[options.dtype]


def _source(options: config.Model) -> str:
    """Where `from_pretrained` finds the model."""
    source = str(mini_base_path()) if options.path == MINI_BASE else options.path
    if source.startswith((".", "/", "~")):
        source = str(Path(source).expanduser())
        if not (Path(source) / "config.json").is_file():
            raise UserError(f"model.path = {options.path}: no config.json there{_hint(Path(source))}")
    elif Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise UserError(f"model.path = {options.path}: no config.json there{_hint(Path(source))}")
    elif "/" in source and Path(source.partition("/")[0]).is_dir() and not Path(source).exists():
        raise UserError(f"model.path = {options.path}: no such folder; give a model's folder or a hub name")
    return source


def _hint(folder: Path) -> str:
    """What to name in place of a run or a checkpoint."""
    policies = [path.parent for path in sorted(folder.glob("checkpoints/step_*/policy/config.json"))]
    if (folder / "policy" / "config.json").is_file():
        policies = [folder / "policy"]
    return f"; name {policies[-1]}" if policies else "; give a model's folder or a hub name"


@contextmanager
def _loading(options: config.Model) -> Iterator[dict[str, str]]:
    """What goes wrong in here is the user's model; gives the arguments that name the revision."""
    try:
        yield {"revision": options.revision} if options.revision else {}
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"model.path = {options.path}: cannot load it; give a folder, a hub name that this machine can reach, "
            f"or {MINI_BASE} ({reason})"
        ) from None


def measure(options: config.Model) -> Size:
    """A model's size from its configuration alone; of a model whose shape is shipped no file is looked for."""
    settings = _published(options.path)
    published = settings is not None
    if settings is None:
        source = _source(options)
        with _loading(options) as revision:
            settings = AutoConfig.from_pretrained(source, **revision)
    with _loading(options), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(settings)
    plain = settings.to_dict()
    # By attribute, not by key: some architectures keep these under names of their own.
    heads, hidden = settings.num_attention_heads, settings.hidden_size
    head_size = plain.get("head_dim") or hidden // heads
    parameters = sum(parameter.numel() for parameter in model.parameters())
    embedding = model.get_input_embeddings().weight
    multiplied = parameters - (0 if head_weight(model) is embedding else embedding.numel())
    return Size(
        parameters=parameters,
        trained=_num_adapted(model, options) if options.lora_rank else parameters,
        multiplied=multiplied,
        vocabulary=settings.vocab_size,
        layers=settings.num_hidden_layers,
        hidden=hidden,
        queries=heads * head_size,
        keys=(plain.get("num_key_value_heads") or heads) * head_size,
        mlp=plain.get("intermediate_size") or 4 * hidden,
        itemsize=resolve_dtype(options, resolve_device(options)).itemsize,
        published=published,
    )


def _num_adapted(model: PreTrainedModel, options: config.Model) -> int:
    """Parameters of the adapter; the model gets it."""
    with torch.device("meta"):
        load_adapters(options).attach(model, options, seed=0)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _published(path: str) -> PretrainedConfig | None:
    """The configuration of a model whose shape is shipped with the package; None for others and where it lies here."""
    if (Path(path) / "config.json").is_file():
        return None
    for shape in json.loads((files("prorl") / "assets" / "published_shapes.json").read_text()):
        if path in shape["names"]:
            return AutoConfig.for_model(**shape["config"])
    return None


def load(options: config.Model) -> LoadedModel:
    """Load what `model.path` names; a model that is not there is a `UserError`."""
    logging.disable_progress_bar()
    source, device = _source(options), resolve_device(options)
    with _loading(options) as revision:
        tokenizer = AutoTokenizer.from_pretrained(source, **revision)
        model, found = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, output_loading_info=True, **revision
        )
    _refuse_incomplete(source, tokenizer, sorted(found["missing_keys"]), options.path)
    model = model.eval()
    if world() == 1:  # what is sharded goes to its devices in shards
        model = model.to(device)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        device=device,
        dtype=resolve_dtype(options, device),
        eos_ids=_eos_ids(model, tokenizer, options.path),
    )


def load_adapters(options: config.Model) -> ModuleType:
    """The module that knows peft; UserError where that is not installed."""
    try:
        return importlib.import_module("prorl.adapters")
    except ImportError as error:
        raise UserError(
            f"model.lora_rank = {options.lora_rank}: peft is not installed ({error}); pip install 'prorl[lora]', "
            "or set 0"
        ) from None


def same_architecture(loaded: LoadedModel, options: config.Model) -> PreTrainedModel:
    """A model that an engine may fill with weights: a copy, or a new one where the model may be sharded or adapted."""
    if world() == 1 and not options.lora_rank:
        return copy.deepcopy(loaded.model)
    return AutoModelForCausalLM.from_config(copy.deepcopy(loaded.model.config)).to(loaded.device)


def _refuse_incomplete(source: str, tokenizer: PreTrainedTokenizerBase, missing: list[str], path: str) -> None:
    """What transformers makes up where files are missing: random weights, a tokenizer without a vocabulary."""
    if missing:
        raise UserError(f"model.path = {path}: its weights lack {missing[0]} ({len(missing)} tensors in all)")
    names = sorted(set(tokenizer.vocab_files_names.values()))
    if names and Path(source).is_dir() and not any((Path(source) / name).is_file() for name in names):
        raise UserError(f"model.path = {path}: no tokenizer there; put {' or '.join(names)} beside the weights")


def _eos_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: str) -> tuple[int, ...]:
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    ids = {configured} if isinstance(configured, int) else set(configured or ())
    if tokenizer.eos_token_id is not None:
        ids.add(tokenizer.eos_token_id)
    if not ids:
        raise UserError(f"model.path = {path}: neither its generation_config nor its tokenizer names an end token")
    return tuple(sorted(ids))


def head_weight(model: PreTrainedModel) -> nn.Parameter:
    """The output embedding `[V H]`."""
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.bias is not None:
        raise UserError(f"{type(model).__name__}: an output head with a bias is not supported")
    return head.weight


def max_positions(options: config.Model) -> int | None:
    """The longest text that a model is made for, in tokens; None where its configuration does not say."""
    source = _source(options)
    with _loading(options) as revision:
        settings = AutoConfig.from_pretrained(source, **revision).to_dict()
    limit = settings.get("max_position_embeddings")
    return limit if isinstance(limit, int) else None
