"""What a run records of the machine: enough to repeat it, and nothing that is private."""

import getpass
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from prorl.report.environment import FILE, environment_section, facts, read_environment, record_environment


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    record_environment(tmp_path, 0, torch.device("cpu"), torch.float32)
    record_environment(tmp_path, 40, torch.device("cpu"), torch.bfloat16)
    first, second = read_environment(tmp_path)
    assert (first["step"], second["step"]) == (0, 40)
    assert (first["dtype"], second["dtype"]) == ("float32", "bfloat16")
    assert first["python"] == platform.python_version()
    assert first["threads"] == torch.get_num_threads() == 1
    assert first["version of torch"] == version("torch")
    assert first["version of prorl"] == version("prorl")
    assert first["cores"] == len(os.sched_getaffinity(0))
    # Kilobytes of the whole memory, as the kernel says them; it keeps a little for itself.
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert first["memory_bytes"] == total
    text = (tmp_path / FILE).read_text()
    assert platform.node() not in text
    assert getpass.getuser() not in text
    assert str(Path.home()) not in text


def test_damage_is_passed_over(tmp_path: Path) -> None:
    assert read_environment(tmp_path) == []
    lines = ["torn {", "3", json.dumps({"step": 1, "threads": [4], "versions": 7}), json.dumps({"threads": 2})]
    (tmp_path / FILE).write_text("\n".join(lines))
    assert read_environment(tmp_path) == [{"step": 1}, {"threads": 2}]
    (tmp_path / FILE).write_bytes(b"\xff\xfe\n")
    assert read_environment(tmp_path) == []


def test_section_without_a_record_says_what_was_asked_for() -> None:
    assert environment_section([], {}) == ""
    assert environment_section([], {"train": {"steps": 3}, "model": 7}) == ""
    text = environment_section([], {"train": {"seed": 5}})
    assert '<th>asked for: train.seed</th><td class="text long">5</td>' in text
    starts = [{"memory_bytes": 2**34, "time": "2026-01-02T03:04:05+00:00", "step": 3, "x": "<b>"}]
    assert facts(starts, {"train": {"seed": 5}}) == {"memory_bytes": "16.0 GiB", "x": "<b>", "train.seed": "5"}
    assert "&lt;b&gt;" in environment_section(starts, {})
