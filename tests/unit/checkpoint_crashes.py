"""Kills and starves the writer of checkpoints, in forked children; `test_checkpoint.py` runs it as a program.

python checkpoint_crashes.py points|random|limits FOLDER      prints one line of JSON
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from prorl.checkpoint import Checkpoints, Snapshot
from prorl.errors import RunFailed

EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"}
SIZE = 50_000
"""Elements of the one policy tensor: 200 kB."""


def snapshot(step: int, version: str, reference_id: str = "base") -> Snapshot:
    """A snapshot whose every file tells its step and version."""
    return Snapshot(
        step=step,
        state={"step": step, "version": version},
        weights={"w": torch.full((SIZE,), float(step))},
        reference={"w": torch.full((1000,), float(len(reference_id)))},
        reference_id=reference_id,
        optimizer={"state": {0: {"exp_avg": torch.full((1000,), float(step))}}},
        config_toml=f'name = "{version}"\n',
        versions={"run": version},
    )


def assert_consistent(found: Snapshot) -> None:
    step, version = found.step, str(found.versions["run"])
    assert found.state == {"step": step, "version": version}
    assert torch.equal(found.weights["w"], torch.full((SIZE,), float(step)))
    assert torch.equal(found.reference["w"], torch.full((1000,), float(len(found.reference_id))))
    assert torch.equal(found.optimizer["state"][0]["exp_avg"], torch.full((1000,), float(step)))
    assert found.config_toml == f'name = "{version}"\n'


def model_files(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "test"}')


def save(folder: Path, step: int, version: str, reference_id: str = "base") -> None:
    Checkpoints(folder, keep=2).save(
        snapshot(step, version, reference_id), write_model_files=model_files, pinned={"best": 1}
    )


def in_child(work: Callable[[], None]) -> int:
    """The process id of a fork that does `work` and exits with 0, or with 1 when it raises."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def die_at(point: int) -> None:
    """Kill this process before its `point`-th change of the file system."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in EVENTS or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            count += 1
            if count == point:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def kill_at_every_point(folder: Path, before: list[int], step: int) -> int:
    """Save `step` on top of the steps `before`, killed at each operation in turn; the number of operations."""
    good = folder / "good"
    for index, earlier in enumerate(before):
        save(good, earlier, "old", reference_id="base" if index % 2 else "other")

    for point in range(1, 1000):
        work = folder / "work"
        shutil.copytree(good, work)

        def dying(work: Path = work, point: int = point) -> None:
            die_at(point)
            save(work, step, "new")

        status = os.waitpid(in_child(dying), 0)[1]
        assert status in (0, signal.SIGKILL), status
        checkpoints = Checkpoints(work, keep=2)
        latest = checkpoints.latest()
        assert latest is not None, point
        assert checkpoints.problems == [], (point, checkpoints.problems)
        found = checkpoints.load(latest)
        assert_consistent(found)
        for path in work.glob("step_*"):
            assert_consistent(checkpoints.load(path))
        # What there was before counts until the new one is complete. A given-up later step is set aside first.
        kept = [earlier for earlier in before if earlier <= step]
        assert (found.step, found.versions["run"]) in {(before[-1], "old"), (kept[-1], "old"), (step, "new")}, point
        assert status != 0 or found.versions["run"] == "new"
        save(work, step + 1, "after")
        names = sorted(path.name for path in work.iterdir() if not path.name.startswith("unused-"))
        assert not [name for name in names if name.startswith(".") or name.endswith(".tmp")], (point, names)
        assert Checkpoints(work, keep=2).latest() == work / f"step_{step + 1}"
        assert_consistent(checkpoints.load(checkpoints.at(1)))
        shutil.rmtree(work)
        if status == 0:
            return point - 1
    raise AssertionError("the save does not end")


def points(folder: Path) -> object:
    return {
        "next step": kill_at_every_point(folder / "a", [1, 2, 3], 4),
        "same step": kill_at_every_point(folder / "b", [1, 2, 3], 3),
        "earlier step": kill_at_every_point(folder / "c", [1, 2, 9], 3),
    }


def random_moments(folder: Path) -> object:
    moments = random.Random(0)
    killed_while_writing, step = 0, 0
    for kill in range(400):
        if kill >= 20 and step >= 5 and killed_while_writing >= 3:  # a slow machine needs more of them
            break
        start = step + 1

        def saving(start: int = start) -> None:
            for number in range(start, start + 10_000):
                save(folder, number, f"v{number}", reference_id="base" * (number // 7))

        pid = in_child(saving)
        time.sleep(moments.uniform(0.02, 0.15))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        killed_while_writing += any(path.name.startswith(".tmp-") for path in folder.iterdir())
        checkpoints = Checkpoints(folder, keep=2)
        latest = checkpoints.latest()
        if latest is not None:
            found = checkpoints.load(latest)
            assert_consistent(found)
            assert found.step >= step, (found.step, step)
            step = found.step
        assert checkpoints.problems == []
    return {"last": step, "killed_while_writing": killed_while_writing}


def limits(folder: Path) -> object:
    """What a save says under each limit of the file size, from one that stops the first file to none."""
    save(folder, 1, "old")
    said = {}
    for limit in (10, 150, 1000, 5000, 150_000, 10_000_000):
        answer = folder / f"answer_{limit}"

        def starved(limit: int = limit, answer: Path = answer) -> None:
            with answer.open("w") as file:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                try:
                    save(folder, 2, "new")
                    text = "saved"
                except RunFailed as error:
                    text = f"RunFailed: {error}"
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                file.write(text)

        assert os.waitpid(in_child(starved), 0)[1] == 0
        said[limit] = answer.read_text()
        answer.unlink()
        checkpoints = Checkpoints(folder, keep=2)
        latest = checkpoints.latest()
        assert latest is not None
        assert checkpoints.problems == []
        assert_consistent(checkpoints.load(latest))
        assert latest.name == ("step_2" if said[limit] == "saved" else "step_1")
        assert (folder / "latest").read_text() == f"{latest.name}\n"
        assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []
    return said


if __name__ == "__main__":
    torch.set_num_threads(1)
    modes = {"points": points, "random": random_moments, "limits": limits}
    if sys.argv[1] == "points":  # a kill loses nothing that only waits to be flushed, and flushing is slow
        os.fsync = lambda _: None
    sys.stdout.write(json.dumps(modes[sys.argv[1]](Path(sys.argv[2]))))
