"""What `prorl doctor` says of a machine, with machines made up."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from prorl.planning import surroundings
from prorl.planning.surroundings import cores, gpus, launcher, libraries, memory, open_files, shared_memory


def test_limits_of_a_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings.os, "sched_getaffinity", lambda pid: set(range(8)))
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert cores(tmp_path) == "8, of which its control group gives the time of 2.5: set model.threads = 2"
    assert memory(tmp_path).startswith("1.0 GiB for this process (its control group), of ")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert cores(tmp_path) == "8"
    assert "control group" not in memory(tmp_path)
    assert cores(tmp_path / "none") == "8"


def test_little_shared_memory_and_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings.shutil, "disk_usage", lambda path: (64 * 2**20, 0, 64 * 2**20))
    assert shared_memory(tmp_path).endswith(
        "too little for several ranks; in a container set --shm-size=8g or --ipc=host"
    )
    assert shared_memory(tmp_path / "none").startswith("no ")
    monkeypatch.setattr(surroundings.resource, "getrlimit", lambda what: (256, 4096))
    assert open_files() == "256 (at most 4096): low for several ranks; ulimit -n 4096"
    monkeypatch.setattr(surroundings.resource, "getrlimit", lambda what: (65536, -1))
    assert open_files() == "65536 (at most unlimited)"


def test_who_starts_ranks() -> None:
    assert launcher({}) == "one process: no variables of torchrun, Slurm or Ray"
    whole = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    assert launcher(whole) == "torchrun (RANK=1, WORLD_SIZE=2, LOCAL_RANK=1, MASTER_ADDR=a, MASTER_PORT=1)"
    assert "MASTER_ADDR, MASTER_PORT missing" in launcher({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"})
    assert "srun torchrun" in launcher({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "16"})
    assert "srun torchrun" in launcher({"SLURM_NTASKS": "4(x2)"})


def test_missing_libraries_are_named_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "peft":
            return "0.20"
        raise surroundings.PackageNotFoundError(name)

    monkeypatch.setattr(surroundings, "version", version)
    monkeypatch.setattr(surroundings.importlib.util, "find_spec", lambda name: None)
    text = libraries()
    assert text.startswith("peft 0.20; without vllm (for rollouts.engine = vllm: pip install 'prorl[vllm]')")
    assert "bitsandbytes (for optimizer.name = adamw_8bit: pip install 'prorl[eightbit]')" in text


def test_gpus_of_a_machine_that_has_two(monkeypatch: pytest.MonkeyPatch) -> None:
    gib = 2**30
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        get_device_properties=lambda index: SimpleNamespace(name="H100", major=9 - 2 * index, minor=0),
        mem_get_info=lambda index: ((80 - 40 * index) * gib, 80 * gib),
        can_device_access_peer=lambda a, b: False,
        nccl=SimpleNamespace(version=lambda: (2, 27, 3)),
    )
    monkeypatch.setattr(torch, "cuda", cuda)
    assert gpus() == [
        "0: H100, 80.0 of 80.0 GiB free, compute capability 9.0, bf16",
        "1: H100, 40.0 of 80.0 GiB free, compute capability 7.0, no bf16: set model.dtype = float32; another process "
        "holds memory: see nvidia-smi",
        "NCCL 2.27.3, no peer access between 0 and 1: weights are gathered through the host, slower",
    ]
    cuda.nccl = SimpleNamespace()
    assert gpus()[-1].startswith("no NCCL")
    cuda.is_available = lambda: False
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert gpus() == ["none seen by torch's CUDA 13.0: see nvidia-smi and CUDA_VISIBLE_DEVICES"]
    monkeypatch.setattr(torch.version, "cuda", None)
    assert gpus()[0].startswith("none: this torch is built without CUDA")
