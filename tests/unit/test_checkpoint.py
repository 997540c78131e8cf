"""Checkpoints come back to the bit, and nothing that happens to process or disk loses the last good one."""

import errno
import json
import math
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from prorl.checkpoint import Checkpoints, Kind, Snapshot
from prorl.checkpoint_format import read_manifest, render
from prorl.durable import sha256
from prorl.errors import RunFailed, UserError

FILES = (
    "config.toml",
    "manifest.json",
    "optimizer.json",
    "optimizer.safetensors",
    "policy/config.json",
    "policy/model.safetensors",
    "reference.safetensors",
    "state.json",
)


def snapshot(step: int, **changes: Any) -> Snapshot:
    fields = {
        "step": step,
        "state": {"step": step},
        "weights": {"w": torch.full((64,), float(step))},
        "reference": {"w": torch.zeros(64)},
        "reference_id": "base",
        "optimizer": {"state": {0: {"exp_avg": torch.full((64,), step / 3)}}, "param_groups": [{"lr": 2e-6}]},
        "config_toml": 'name = "test"\n',
        "versions": {"torch": "2"},
    }
    return Snapshot(**{**fields, **changes})


def model_files(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def save(
    checkpoints: Checkpoints, step: int, pinned: Mapping[str, int] | None = None, kind: Kind = "regular", **changes: Any
) -> Path:
    return checkpoints.save(snapshot(step, **changes), write_model_files=model_files, pinned=pinned or {}, kind=kind)


def steps(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "run" / "checkpoints", keep=3)


@pytest.fixture(autouse=True)
def disk_events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was flushed and renamed, by inode and in order; flushing itself is left out, as it is slow."""
    events = []
    rename = os.rename

    def renamed(source: Path, target: Path) -> None:
        events.append(("rename", os.stat(source).st_ino))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", lambda number: events.append(("flush", os.fstat(number).st_ino)))
    monkeypatch.setattr(os, "rename", renamed)
    return events


# --- round trip


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_round_trip_keeps_every_bit_type_and_key(checkpoints: Checkpoints) -> None:
    nans = torch.frombuffer(bytearray(struct.pack("<4I", 0x7FC12345, 0xFF800001, 0x80000000, 1)), dtype=torch.float32)
    base = torch.arange(12, dtype=torch.int64)
    weights = {
        "nan payloads": nans,
        "bf16": torch.tensor([1.0, -0.0, math.inf, 3.14159], dtype=torch.bfloat16),
        "int64": torch.tensor([2**63 - 1, -(2**63)]),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(7, dtype=torch.uint8),
        "bool": torch.tensor([[True], [False]]),
        "transposed": base.reshape(3, 4).T,
        "half of one storage": base[:6],
        "other half": base[6:],
    }
    state = {
        "float": 0.1 + 0.2,
        "small": 5e-324,
        "minus zero": -0.0,
        "infinite": -math.inf,
        "big": 2**200,
        "none": None,
        "bools": [True, False, 1, 0],
        "tuple": (3, (1, 2, (None,)), "x"),
        "text": 'quote " newline \n snowman \u2603 half a pair \ud800',
        "empty": [{}, [], (), ""],
        "keys": {1: "a", "1": "b", (1, 2): "c", None: "d"},
        "marks": {"__tuple__": [1], "__dict__": 2, "__tensor__": "x"},
    }
    config = 'name = "\u00e4"\r\n[train]\n'
    path = save(checkpoints, 12, weights=weights, state=state, config_toml=config)
    found = checkpoints.load(path)
    assert path == checkpoints.folder / "step_12"
    assert (found.step, found.reference_id, found.versions) == (12, "base", {"torch": "2"})
    assert found.config_toml == config
    assert repr(found.state) == repr(state)  # repr tells -0.0 from 0.0, True from 1 and (1,) from [1]
    assert found.weights.keys() == weights.keys()
    for name, tensor in weights.items():
        assert (found.weights[name].dtype, found.weights[name].shape) == (tensor.dtype, tensor.shape), name
        assert bits(found.weights[name]) == bits(tensor), name
    assert bits(found.weights["nan payloads"]) == struct.pack("<4I", 0x7FC12345, 0xFF800001, 0x80000000, 1)
    assert checkpoints.latest() == path
    assert checkpoints.load_weights(path, "policy").keys() == weights.keys()
    assert torch.equal(checkpoints.load_weights(path, "reference")["w"], torch.zeros(64))


def adamw(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = torch.nn.Linear(5, 3)
    groups = [{"params": [model.weight], "lr": 1e-2}, {"params": [model.bias], "weight_decay": 0.0}]
    return model, torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95))


def train_step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(inputs).square().mean().backward()
    optimizer.step()


def test_optimizer_continues_bit_equal(checkpoints: Checkpoints) -> None:
    model, optimizer = adamw(0)
    for step in range(2):
        train_step(model, optimizer, step)
    path = save(checkpoints, 2, weights=model.state_dict(), optimizer=optimizer.state_dict())
    train_step(model, optimizer, 2)

    resumed, fresh = adamw(1)
    found = checkpoints.load(path)
    resumed.load_state_dict(found.weights)
    fresh.load_state_dict(dict(found.optimizer))
    train_step(resumed, fresh, 2)
    for name, tensor in model.state_dict().items():
        assert bits(resumed.state_dict()[name]) == bits(tensor)
    groups, expected = fresh.state_dict()["param_groups"], optimizer.state_dict()["param_groups"]
    assert repr(groups) == repr(expected)
    assert isinstance(found.optimizer["param_groups"][0]["betas"], tuple)


def test_loaded_tensors_do_not_depend_on_the_file(checkpoints: Checkpoints) -> None:
    path = save(checkpoints, 1)
    found = checkpoints.load(path)
    os.truncate(path / "policy" / "model.safetensors", 0)
    found.weights["w"] += 1
    assert torch.equal(found.weights["w"], torch.full((64,), 2.0))


def test_policy_folder_is_readable_by_others(checkpoints: Checkpoints) -> None:
    path = save(checkpoints, 1)
    with safe_open(path / "policy" / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}  # transformers refuses a file without it
    assert {str(found.relative_to(path)) for found in path.rglob("*") if found.is_file()} == set(FILES)
    assert (checkpoints.folder / "latest").read_text() == "step_1\n"


@pytest.mark.parametrize("value", [{1, 2}, object(), b"raw", 1j])
def test_what_json_cannot_hold_is_not_saved(checkpoints: Checkpoints, value: object) -> None:
    save(checkpoints, 1)
    with pytest.raises(AssertionError, match=r"state\.pool\.1 is a"):
        save(checkpoints, 2, state={"pool": [0, value]})
    assert steps(checkpoints.folder) == ["latest", "step_1"]


def test_tensor_in_the_state_is_not_saved(checkpoints: Checkpoints) -> None:
    with pytest.raises(AssertionError, match="random"):
        save(checkpoints, 2, state={"random": torch.zeros(3)})


def test_tensor_keys_cannot_collide(checkpoints: Checkpoints) -> None:
    optimizer = {"a.b": torch.tensor(1), "a": {"b": torch.tensor(2)}, 0: torch.tensor(3), "0": torch.tensor(4)}
    found = checkpoints.load(save(checkpoints, 1, optimizer=optimizer)).optimizer
    assert repr(found) == repr(optimizer)


def test_all_is_flushed_before_it_gets_its_name(checkpoints: Checkpoints, disk_events: list[tuple[str, int]]) -> None:
    path = save(checkpoints, 1)
    commit = disk_events.index(("rename", path.stat().st_ino))
    before = {inode for event, inode in disk_events[:commit] if event == "flush"}
    assert {(path / name).stat().st_ino for name in (*FILES, "policy", "")} <= before
    assert disk_events[commit + 1] == ("flush", checkpoints.folder.stat().st_ino)


# --- torn, damaged, foreign


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def missing(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [truncated, emptied, lengthened, flipped, missing, a_folder])
@pytest.mark.parametrize("name", FILES)
def test_harmed_checkpoint_is_refused_by_name_and_the_one_before_is_used(
    checkpoints: Checkpoints, name: str, harm: Any
) -> None:
    # In place: hard-linked neighbours would be harmed with it.
    for step in (1, 2, 3, 4):
        save(checkpoints, step)
    harm(checkpoints.folder / "step_4" / name)
    assert checkpoints.latest() == checkpoints.folder / "step_3"
    assert len(checkpoints.problems) == 1
    assert str(checkpoints.folder / "step_4") in checkpoints.problems[0]
    assert name in checkpoints.problems[0]
    with pytest.raises(UserError, match=f"step_4 is refused: .*{name}"):
        checkpoints.load(checkpoints.folder / "step_4")
    if harm in (truncated, emptied, lengthened) and name != "manifest.json":
        assert checkpoints.problems[0].endswith(": torn")
    assert checkpoints.load(checkpoints.folder / "step_3").step == 3
    if name in ("policy/model.safetensors", "manifest.json"):
        with pytest.raises(UserError, match=name):
            checkpoints.load_weights(checkpoints.folder / "step_4", "policy")


def test_the_manifest_guards_itself(checkpoints: Checkpoints) -> None:
    path = save(checkpoints, 1)
    original = (path / "manifest.json").read_bytes()
    for index in range(0, len(original), 2):
        changed = bytearray(original)
        changed[index] ^= 4
        (path / "manifest.json").write_bytes(changed)
        assert checkpoints.latest() is None, f"byte {index}: {bytes(changed[index - 5 : index + 5])!r}"
    (path / "manifest.json").write_bytes(original)
    assert checkpoints.latest() == path


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ({"program": "other", "format": 1}, "another program wrote it"),
        ([1, 2], "another program wrote it"),
        ({"program": "prorl", "format": 2}, "it has format 2, this version of prorl reads 1"),
        ({"program": "prorl", "format": 1, "step": 5}, "manifest.json is damaged"),
    ],
)
def test_foreign_checkpoint_is_refused_and_never_deleted(
    checkpoints: Checkpoints, manifest: object, reason: str
) -> None:
    foreign = checkpoints.folder / "step_5"
    foreign.mkdir(parents=True)
    (foreign / "manifest.json").write_text(json.dumps(manifest))
    assert checkpoints.latest() is None
    assert checkpoints.problems == [f"checkpoint {foreign} is refused: {reason}"]
    for step in (6, 7, 8, 9):
        save(checkpoints, step)
    assert steps(checkpoints.folder) == ["latest", "step_5", "step_7", "step_8", "step_9"]
    assert (foreign / "manifest.json").read_text() == json.dumps(manifest)


def test_folder_in_the_way_is_set_aside(checkpoints: Checkpoints) -> None:
    (checkpoints.folder / "step_5").mkdir(parents=True)
    (checkpoints.folder / "step_5" / "notes").write_text("mine")
    path = save(checkpoints, 5)
    assert checkpoints.latest() == path
    assert (checkpoints.folder / "unused-step_5-1" / "notes").read_text() == "mine"


def test_renamed_checkpoint_is_refused(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1).rename(checkpoints.folder / "step_9")
    assert checkpoints.latest() is None
    assert checkpoints.problems[0].endswith("step_9 is refused: its manifest is that of step 1")


def test_nothing_to_find(checkpoints: Checkpoints) -> None:
    assert checkpoints.latest() is None
    assert checkpoints.problems == []
    assert not checkpoints.folder.exists()
    with pytest.raises(UserError, match=r"step_3 is refused: it has no manifest\.json"):
        checkpoints.load(checkpoints.at(3))


def test_other_names_are_no_checkpoints(checkpoints: Checkpoints) -> None:
    path = save(checkpoints, 1)
    for name in ("step_", "step_02", "step_2.bak", "xstep_3", "step_-4"):
        shutil.copytree(path, checkpoints.folder / name)
    assert checkpoints.latest() == path
    assert checkpoints.problems == []


# --- retention, replacement, leftovers


@pytest.mark.parametrize(
    ("keep", "saves", "kept"),
    [
        (1, [(1, "regular", None), (2, "regular", None)], [2]),
        (2, [(1, "regular", None), (2, "regular", None), (3, "regular", None)], [2, 3]),
        (1, [(1, "reset", None), (2, "regular", None), (3, "regular", None)], [1, 3]),
        (1, [(1, "regular", None), (2, "regular", 1), (3, "regular", 1)], [1, 3]),
        (1, [(1, "regular", None), (2, "regular", 1), (3, "regular", 3)], [3]),
        (2, [(9, "regular", None), (10, "regular", None), (100, "regular", None)], [10, 100]),
        (1, [(1, "regular", 7), (2, "regular", 7)], [2]),
    ],
)
def test_retention(tmp_path: Path, keep: int, saves: list[tuple[int, Kind, int | None]], kept: list[int]) -> None:
    checkpoints = Checkpoints(tmp_path, keep=keep)
    for step, kind, best in saves:
        save(checkpoints, step, kind=kind, pinned={} if best is None else {"best": best})
    assert steps(tmp_path) == sorted(["latest", *(f"step_{step}" for step in kept)])
    assert (tmp_path / "latest").read_text() == f"step_{saves[-1][0]}\n"


def test_unchanged_reference_is_shared_by_every_other_checkpoint(checkpoints: Checkpoints) -> None:
    for step in (1, 2, 3, 4):
        save(checkpoints, step, kind="reset")
    save(checkpoints, 5, kind="reset", reference_id="reset", reference={"w": torch.ones(64)})
    inodes = [(checkpoints.at(step) / "reference.safetensors").stat() for step in (1, 2, 3, 4, 5)]
    assert [inode.st_nlink for inode in inodes] == [2, 2, 2, 2, 1]
    assert inodes[0].st_ino == inodes[2].st_ino != inodes[1].st_ino == inodes[3].st_ino
    assert checkpoints.load(checkpoints.at(4)).reference["w"].sum() == 0
    assert checkpoints.load(checkpoints.at(5)).reference["w"].sum() == 64


def test_damaged_reference_is_not_shared_further(checkpoints: Checkpoints) -> None:
    for step in (1, 2):
        save(checkpoints, step)
    flipped(checkpoints.at(1) / "reference.safetensors")
    save(checkpoints, 3)
    assert checkpoints.latest() == checkpoints.at(3)
    assert (checkpoints.at(3) / "reference.safetensors").stat().st_nlink == 1


def test_without_hard_links_the_reference_is_written(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    for step in (1, 2, 3):
        save(checkpoints, step)
    assert checkpoints.latest() == checkpoints.at(3)
    assert (checkpoints.at(3) / "reference.safetensors").stat().st_nlink == 1


def test_where_one_of_several_files_cannot_be_linked_none_is(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As several ranks write it: what is written afterwards must not go through a link into another checkpoint."""
    real = os.link
    for step in (1, 2):
        save(checkpoints, step, reference={"a": torch.zeros(8), "b": torch.ones(8)})
        split_reference(checkpoints.at(step))
    linked = []

    def second_fails(source: Path, target: Path) -> None:
        linked.append(target)
        if len(linked) == 2:
            raise OSError(errno.EMLINK, "Too many links")
        real(source, target)

    monkeypatch.setattr(os, "link", second_fails)
    save(checkpoints, 3, reference={"a": torch.zeros(8), "b": torch.ones(8)})
    assert len(linked) == 2
    assert {path.name for path in checkpoints.at(3).glob("reference*")} == {"reference.safetensors"}
    assert [path.stat().st_nlink for path in checkpoints.at(1).glob("reference-*")] == [1, 1]


def split_reference(checkpoint: Path) -> None:
    """Its reference in two files and an index, as two ranks write it."""
    whole = checkpoint / "reference.safetensors"
    tensors = load_file(whole)
    names = {name: f"reference-0000{at}-of-00002.safetensors" for at, name in enumerate(tensors, 1)}
    for name, file in names.items():
        save_file({name: tensors[name]}, checkpoint / file)
    (checkpoint / "reference.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    whole.unlink()
    manifest = read_manifest(checkpoint)
    files = {name: entry for name, entry in manifest.files.items() if name != whole.name}
    for path in checkpoint.glob("reference*"):
        files[path.name] = [path.stat().st_size, sha256(path)]
    (checkpoint / "manifest.json").write_text(render(replace(manifest, files=files)))


def test_same_step_is_replaced(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1, versions={"run": "old"})
    save(checkpoints, 1, versions={"run": "new"})
    assert checkpoints.load(checkpoints.at(1)).versions == {"run": "new"}
    assert steps(checkpoints.folder) == ["latest", "step_1"]


def test_later_steps_of_a_given_up_continuation_are_set_aside(checkpoints: Checkpoints) -> None:
    for step in (10, 20, 30):
        save(checkpoints, step)
    truncated(checkpoints.at(30) / "state.json")
    assert checkpoints.latest() == checkpoints.at(20)
    save(checkpoints, 25)
    assert checkpoints.latest() == checkpoints.at(25)
    assert steps(checkpoints.folder) == ["latest", "step_10", "step_20", "step_25", "unused-step_30-1"]


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_leftovers_of_dead_writers_go_and_those_of_live_ones_stay(checkpoints: Checkpoints) -> None:
    dead, mine, alive = dead_pid(), os.getpid(), os.getppid()
    for pid in (dead, mine, alive):
        (checkpoints.folder / f".tmp-step_3-{pid}" / "policy").mkdir(parents=True)
    save(checkpoints, 1)
    assert steps(checkpoints.folder) == [f".tmp-step_3-{alive}", "latest", "step_1"]


def test_checkpoint_whose_writer_died_replacing_it_is_found_and_put_back(checkpoints: Checkpoints) -> None:
    path = save(checkpoints, 1)
    save(checkpoints, 2)
    aside = checkpoints.folder / f".old-step_2-{dead_pid()}"
    checkpoints.at(2).rename(aside)
    assert checkpoints.latest() == checkpoints.at(2) == aside
    assert checkpoints.load(aside).step == 2
    assert path.exists()
    save(checkpoints, 3)
    assert steps(checkpoints.folder) == ["latest", "step_1", "step_2", "step_3"]


def test_reading_changes_nothing(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    (checkpoints.folder / f".tmp-step_3-{dead_pid()}").mkdir()
    before = steps(checkpoints.folder)
    reader = Checkpoints(checkpoints.folder, keep=1)
    reader.load(reader.latest() or Path())
    assert steps(checkpoints.folder) == before


# --- kills and full disks


def crash(mode: str, folder: Path) -> Any:
    program = Path(__file__).with_name("checkpoint_crashes.py")
    done = subprocess.run([sys.executable, program, mode, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_killed_at_every_operation(tmp_path: Path) -> None:
    operations = crash("points", tmp_path)
    assert min(operations.values()) >= 12, operations  # the kills did hit the save, not only its end


def test_killed_at_random_moments(tmp_path: Path) -> None:
    result = crash("random", tmp_path)
    assert result["last"] >= 5
    assert result["killed_while_writing"] >= 3, result


def test_file_size_limit_is_one_clear_line(tmp_path: Path) -> None:
    said = crash("limits", tmp_path)
    assert said.pop("10000000") == "saved"
    assert len(said) == 5
    for text in said.values():
        assert text.startswith(f"RunFailed: checkpoint {tmp_path}/step_2 could not be written: File too large; ")
        # 50,000 + 1,000 + 1,000 float32 elements
        assert "it needs 0.2 MB, " in text
        assert text.endswith(f"the last good checkpoint is {tmp_path}/step_1")
        assert "\n" not in text


def mounted(folder: Path, options: str) -> bool:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    return shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    if not mounted(folder, "size=1m"):
        pytest.skip("no right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_keeps_the_last_good_checkpoint(small_disk: Path) -> None:
    checkpoints = Checkpoints(small_disk / "checkpoints", keep=2)
    weights = {"w": torch.zeros(10_000)}
    save(checkpoints, 1, weights=weights)
    said = []
    for free in range(30):  # pages of memory left: each file of the checkpoint is the one that fails in turn
        room = shutil.disk_usage(small_disk).free - free * os.sysconf("SC_PAGE_SIZE")
        (small_disk / "ballast").write_bytes(bytes(room))
        try:
            save(checkpoints, 2, weights=weights)
        except RunFailed as error:
            said.append(str(error))
            assert steps(checkpoints.folder) == ["latest", "step_1"]
        (small_disk / "ballast").unlink()
        assert checkpoints.latest() == checkpoints.folder / ("step_1" if len(said) == free + 1 else "step_2")
        assert checkpoints.problems == []
    assert 10 <= len(said) < 30
    start = f"checkpoint {checkpoints.folder}/step_2 could not be written: No space left on device; it needs 0.0 MB, "
    assert all(text.startswith(start) for text in said)
    assert all(text.endswith(f"the last good checkpoint is {checkpoints.folder}/step_1") for text in said)


def test_rust_libraries_and_full_disks(checkpoints: Checkpoints) -> None:
    def full(folder: Path) -> None:  # tokenizers raises a plain Exception
        raise Exception("No space left on device (os error 28)")

    save(checkpoints, 1)
    with pytest.raises(RunFailed, match=r"step_2 could not be written: No space left on device; .* is .*step_1"):
        checkpoints.save(snapshot(2), write_model_files=full, pinned={})
    assert steps(checkpoints.folder) == ["latest", "step_1"]


def test_interrupt_leaves_nothing_behind(checkpoints: Checkpoints) -> None:
    def interrupted(folder: Path) -> None:
        raise KeyboardInterrupt

    save(checkpoints, 1)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(snapshot(2), write_model_files=interrupted, pinned={})
    assert steps(checkpoints.folder) == ["latest", "step_1"]


def test_folder_that_cannot_be_made_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"checkpoint .*step_1 cannot be written: Not a directory; make its folder"):
        save(Checkpoints(tmp_path / "file" / "checkpoints", keep=1), 1)
    with pytest.raises(UserError, match="File exists"):
        save(Checkpoints(tmp_path / "file", keep=1), 1)


def test_read_only_disk_is_the_users_error(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(UserError, match="cannot be written: Read-only file system; make its folder writable"):
        save(Checkpoints(small_disk / "checkpoints", keep=1), 1)
