"""A full disk ends the run with one line, the last good checkpoint intact, and room made it goes on exactly."""

import os
import shutil
import subprocess

import pytest

from runs import prorl, reproducible, write_recipe


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and os.getuid() == 0
    if not mounted or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", place]).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", place], check=True)


def test_full_disk(tmp_path, small_disk):
    recipe = write_recipe(tmp_path)
    keep = ["--set", "train.keep_checkpoints=9"]
    assert prorl("train", recipe, "--out", tmp_path / "whole", *keep).returncode == 0
    done = prorl("train", recipe, "--out", small_disk / "run", *keep)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line
    last = max((small_disk / "run/checkpoints").glob("step_*"), key=lambda path: int(path.name[5:]))
    assert str(last) in line
    shutil.copytree(small_disk / "run", tmp_path / "copy")
    resumed = prorl("train", recipe, "--out", tmp_path / "copy", "--resume", *keep)
    assert resumed.returncode == 0, resumed.stderr
    assert reproducible(tmp_path / "copy") == reproducible(tmp_path / "whole")
