"""What a run ran on: recorded when it starts, shown on its report. Looks at the machine and at nothing that is private:
no host, no user, no path, no variable but the number of threads.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from prorl.report.escaping import safe
from prorl.report.tables import shown, table

Record = Mapping[str, Any]

FILE = "environment.jsonl"
"""One line a start of the run: the first one and every resume."""
PACKAGES = ("prorl", "torch", "transformers", "tokenizers", "safetensors", "numpy")
MAX_STARTS = 20
"""The last starts of a run that are shown."""
_OWN = ("step", "time")
"""What no two starts have alike."""


def record_environment(folder: Path, step: int, device: torch.device, dtype: torch.dtype) -> None:
    """Add a line to the run's `environment.jsonl`: what it goes on with after `step` complete steps."""
    line = json.dumps({"step": step, **describe(device, dtype)})
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def describe(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Versions, machine, threads and device, by name; what the system does not say is left out."""
    found: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_bytes": _memory(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "dtype": str(dtype).removeprefix("torch."),
    }
    if device.type == "cuda":
        found["device_name"] = torch.cuda.get_device_name(device)
        found["device_memory_bytes"] = torch.cuda.get_device_properties(device).total_memory
        found["cuda"] = torch.version.cuda
    found["versions"] = {name: number for name in PACKAGES if (number := _version(name))}
    return {name: value for name, value in found.items() if value not in (None, "")}


def read_environment(folder: Path) -> list[dict[str, Any]]:
    """Every start of a run, by time; of a run without the file what its newest checkpoint says; damage is passed over.

    Each start is flat: the versions are `version of <package>`.
    """
    path = folder / FILE
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    starts = [start for start in map(_flat, lines) if start]
    if starts:
        return starts
    for manifest in sorted(folder.glob("checkpoints/step_*/manifest.json"), key=_step_of, reverse=True):
        start = _flat(manifest.read_text(encoding="utf-8", errors="replace"))
        versions = {name: value for name, value in start.items() if name.startswith("version of ")}
        if versions:
            return [versions]
    return []


def environment_section(starts: Sequence[Record], recipe: Record) -> str:
    """The last start in full with the recipe's seed, and what earlier starts had otherwise; nothing without either."""
    asked = {f"asked for: {name}": value for name, value in _asked(recipe).items()}
    last = {**starts[-1], **asked} if starts else asked
    rows = "".join(_row(name, value) for name, value in last.items() if name != "step")
    if not rows:
        return ""
    several = len(starts) > 1
    changes = "".join(_start(number, starts) for number in range(max(len(starts) - MAX_STARTS, 0), len(starts)))
    head = '<th class="text">start</th><th>after step</th><th class="text">other than the start before</th>'
    started = f"{table(head, changes)}<p>The last start:</p>" if several else ""
    return f'<div class="facts">{started}{table("<th></th><th></th>", rows)}</div>'


def facts(starts: Sequence[Record], recipe: Record) -> dict[str, str]:
    """The last start and the seed as texts by name: what two runs are compared by."""
    last = starts[-1] if starts else {}
    found = {**last, **_asked(recipe)}
    return {name: readable(name, value) for name, value in found.items() if name not in _OWN}


def readable(name: str, value: object) -> str:
    """A value as text, bytes as GiB."""
    if name == "time":
        return f"{str(value)[:16].replace('T', ' ')} UTC"
    if name.endswith("_bytes") and isinstance(value, int | float):
        return f"{value / 2**30:.1f} GiB"
    return shown(value)[:200]


def _row(name: str, value: object) -> str:
    label = safe(name.removesuffix("_bytes").replace("_", " ")[:80])
    return f'<tr><th>{label}</th><td class="text long">{safe(readable(name, value))}</td></tr>'


def _start(number: int, starts: Sequence[Record]) -> str:
    start = starts[number]
    before = starts[number - 1] if number else start
    names = [name for name in {**before, **start} if name not in _OWN and before.get(name) != start.get(name)]
    other = ", ".join(f"{name} {readable(name, start.get(name, 'not recorded'))}" for name in names)
    time, step = readable("time", start.get("time", "")), str(start.get("step", ""))[:20]
    return f'<tr><td class="text">{safe(time)}</td><td>{safe(step)}</td><td class="text long">{safe(other)}</td></tr>'


def _asked(recipe: Record) -> dict[str, Any]:
    """The options of a recipe that say what it runs on."""
    found = {}
    for key in ("train.seed", "model.device", "model.dtype", "model.threads", "rollouts.engine"):
        section, _, option = key.partition(".")
        options = recipe.get(section)
        if isinstance(options, dict) and option in options:
            found[key] = options[option]
    return found


def _flat(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    if not isinstance(record, dict):
        return {}
    versions = record.pop("versions", {})
    found = {str(name): value for name, value in record.items() if isinstance(value, str | int | float)}
    if isinstance(versions, dict):
        found |= {f"version of {name}": str(number) for name, number in versions.items()}
    return found


def _step_of(manifest: Path) -> int:
    number = manifest.parent.name.removeprefix("step_")
    return int(number) if number.isascii() and number.isdigit() else -1


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """The model of the processor, where the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _memory() -> int | None:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if sys.platform == "linux" else None
