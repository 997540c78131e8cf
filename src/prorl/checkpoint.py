"""Stage 9: everything with state, as one atomic directory a step, and its way back.

A checkpoint is written aside in the same folder, flushed to the disk, and renamed; whatever kills the process, a
`step_N` that can be seen is complete. Its manifest names every file with size and SHA-256, so a torn, damaged or
foreign one is refused by name. Nothing is pickled: tensors are safetensors, the rest is JSON.

    step_N/policy/             Hugging Face format: model.safetensors, and what the caller adds
    step_N/adapter/            where only an adapter trains, that in peft's format; `policy/` then has it merged
    step_N/reference.safetensors, optimizer.safetensors, optimizer.json, state.json, config.toml, manifest.json
    latest                     the name of the newest, for people and scripts; `Checkpoints.latest` looks for itself

This module does not decide when to save, what the state means, or whether a recipe may continue it. One run
writes a folder at a time; any number may read it meanwhile. Several ranks write one checkpoint together, each a part of
the tensors in whole tensors (`tensor_files.py`), so that any number of ranks goes on from it.
"""

import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file

from prorl.checkpoint_format import (
    MANIFEST,
    Kind,
    Manifest,
    decode,
    encode,
    is_ours,
    read_manifest,
    refused,
    render,
    verify,
)
from prorl.distributed import from_first, is_first, on_first, rank, together, world
from prorl.durable import explained, sha256, sync, system_error
from prorl.errors import UserError
from prorl.learner.computed import shapes
from prorl.learner.fsdp import whole
from prorl.tensor_files import INDEX, load_tensors, save_tensors, tensor_files

POLICY = "policy/model.safetensors"
ADAPTER, ADAPTER_SETTINGS = "adapter/adapter_model.safetensors", "adapter/adapter_config.json"
REFERENCE = "reference.safetensors"

_STEP = re.compile(r"step_(0|[1-9]\d*)")
_STEP_OR_OLD = re.compile(r"(\.old-)?step_(0|[1-9]\d*)(?(1)-\d+)")
_ASIDE = re.compile(r"\.(tmp|old)-(.+)-([1-9]\d{0,8})")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run between two steps: enough to continue as if it had never stopped."""

    step: int
    state: Mapping[str, Any]
    """Schedule, pool, counters, random positions: numbers, strings, None, lists, tuples and dicts of them."""
    weights: Mapping[str, torch.Tensor]
    """The policy under its Hugging Face names, at master precision, tied tensors once."""
    reference: Mapping[str, torch.Tensor]
    """Empty where the run needs none (KL coefficient 0)."""
    reference_id: str
    """Another one whenever the reference changes: under an equal id its file may be shared between checkpoints."""
    optimizer: Mapping[str, Any]
    """As torch's `state_dict`: nested containers of tensors and numbers."""
    config_toml: str
    versions: Mapping[str, str]
    adapter: Mapping[str, Any] = field(default_factory=dict)
    """`{"tensors", "settings"}` in peft's terms; empty where all weights train."""


class Checkpoints:
    """The checkpoints of one run in one folder. Opening and reading change nothing on the disk."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        assert keep >= 1, f"keep = {keep}: the newest checkpoint always stays"
        self.folder = folder
        self.keep = keep
        self.problems: list[str] = []
        """One line for each checkpoint that the last `latest` or `save` passed over, with the reason."""

    def at(self, step: int) -> Path:
        """Where the checkpoint of a step lies, or would."""
        return next((path for found, path in self._candidates() if found == step), self.folder / f"step_{step}")

    def save(
        self,
        snapshot: Snapshot,
        *,
        write_model_files: Callable[[Path], None],
        pinned: Mapping[str, int],
        kind: Kind = "regular",
    ) -> Path:
        """Write `step_N`, point `latest` to it, and delete what retention no longer keeps.

        `write_model_files` puts configuration and tokenizer into the policy's folder. Kept are the newest `keep`, the
        `pinned` steps (`{"best": 120}`) and every one of kind "reset". An earlier checkpoint of the same step is
        replaced; those of later steps belong to a continuation that was given up and are set aside. Raises RunFailed
        on a full disk and UserError on a folder that cannot be written; the checkpoints there are then untouched.
        """
        target = self.folder / f"step_{snapshot.step}"
        aside, pointer = from_first((self._aside("tmp", target.name), self._aside("tmp", "latest")))
        self.problems = []

        def prepare() -> None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._clean()

        def begin() -> None:
            (aside / "policy").mkdir(parents=True)
            write_model_files(aside / "policy")

        def commit() -> None:
            pointer.write_text(f"{target.name}\n")
            sync(pointer)  # before the commit: after it nothing needs room on the disk
            self._commit(aside, target)
            pointer.replace(self.folder / "latest")

        try:
            on_first(prepare)
            try:
                on_first(begin)
                self._write(aside, snapshot, kind)
                on_first(commit)
            finally:
                if is_first():
                    shutil.rmtree(aside, ignore_errors=True)
                    pointer.unlink(missing_ok=True)
            on_first(lambda: self._retain(set(pinned.values())))
        except Exception as error:  # Rust libraries report a full disk as a plain Exception
            if system_error(error) is None:
                raise
            raise explained(error, f"checkpoint {target}", lambda: self._room(snapshot)) from error
        return target

    def latest(self) -> Path | None:
        """The newest complete checkpoint, every byte of it verified; what is passed over goes to `problems`."""
        self.problems = []
        for step, path in self._candidates():
            try:
                manifest = read_manifest(path)
                if manifest.step != step:
                    raise refused(path, f"its manifest is that of step {manifest.step}")
                verify(path, manifest, manifest.files)
                return path
            except UserError as error:
                self.problems.append(str(error))
        return None

    def load(self, path: Path) -> Snapshot:
        """Read a checkpoint back, to the bit, after the first rank verified all of it; tensors come to the CPU."""
        manifest = read_manifest(path)
        on_first(lambda: verify(path, manifest, manifest.files))
        tensors = load_tensors(path / "optimizer.safetensors")
        return Snapshot(
            step=manifest.step,
            state=decode(json.loads((path / "state.json").read_bytes()), {}),
            weights=load_tensors(path / POLICY),
            reference=load_tensors(path / REFERENCE),
            reference_id=manifest.reference_id,
            optimizer=decode(json.loads((path / "optimizer.json").read_bytes()), tensors),
            config_toml=(path / "config.toml").read_bytes().decode(),
            versions=manifest.versions,
            adapter=_load_adapter(path),
        )

    def load_weights(self, path: Path, which: Literal["policy", "reference", "adapter"]) -> dict[str, torch.Tensor]:
        """The policy, the reference or the adapter of a checkpoint, verified."""
        name = {"policy": POLICY, "reference": REFERENCE, "adapter": ADAPTER}[which]
        verify(path, read_manifest(path), _files_of(path / name, path))
        return load_tensors(path / name)

    def _aside(self, purpose: Literal["tmp", "old"], name: str) -> Path:
        return self.folder / f".{purpose}-{name}-{os.getpid()}"

    def _candidates(self) -> list[tuple[int, Path]]:
        """Steps and folders, newest first. One that a writer died replacing counts, after the one in its place."""
        found = []
        try:
            for path in self.folder.iterdir() if self.folder.exists() else ():
                step = _STEP_OR_OLD.fullmatch(path.name)
                if step is not None:
                    found.append((int(step[2]), not step[1], path))
        except OSError as error:
            raise UserError(f"checkpoints in {self.folder} cannot be read: {error.strerror}") from error
        return [(step, path) for step, _, path in sorted(found, reverse=True)]

    def _clean(self) -> None:
        """Finish or undo what dead writers left behind; the work of another live process is left alone."""
        for path in list(self.folder.iterdir()):
            match = _ASIDE.fullmatch(path.name)
            if match is None or _is_alive(int(match[3])):
                continue
            if match[1] == "old" and not (self.folder / match[2]).exists():
                path.rename(self.folder / match[2])
            elif match[1] == "old":
                self._discard(path, match[2])
            elif path.is_file():
                path.unlink()
            else:
                shutil.rmtree(path, ignore_errors=True)

    def _write(self, folder: Path, snapshot: Snapshot, kind: Kind) -> None:
        """All files of a checkpoint, the manifest last, each flushed to the disk; its folders are there."""
        save_tensors(snapshot.weights, folder / POLICY)
        _save_adapter(snapshot.adapter, folder)
        if not on_first(lambda: self._share_reference(snapshot.reference_id, folder)):
            save_tensors(snapshot.reference, folder / REFERENCE)
        tensors: dict[str, torch.Tensor] = {}
        optimizer = json.dumps(encode(snapshot.optimizer, tensors, "optimizer"))
        save_tensors(tensors, folder / "optimizer.safetensors")

        def write_rest() -> list[str]:
            (folder / "optimizer.json").write_text(optimizer)
            tensors: dict[str, torch.Tensor] = {}
            (folder / "state.json").write_text(json.dumps(encode(snapshot.state, tensors, "state")))
            assert not tensors, f"tensors belong into the weights or the optimizer, not into {sorted(tensors)}"
            (folder / "config.toml").write_bytes(snapshot.config_toml.encode())
            return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

        names = on_first(write_rest)
        parts = together(lambda: _flushed(folder, names[rank() :: world()]))
        files = {name: entry for part in parts for name, entry in part.items()}

        def write_manifest() -> None:
            ordered = {name: files[name] for name in names}
            manifest = Manifest(snapshot.step, kind, snapshot.reference_id, dict(snapshot.versions), ordered)
            (folder / MANIFEST).write_text(render(manifest))
            for path in (folder / MANIFEST, *(path for path in folder.rglob("*") if path.is_dir()), folder):
                sync(path)

        on_first(write_manifest)

    def _share_reference(self, reference_id: str, folder: Path) -> bool:
        """Link the files of an equal reference into `folder`; False where there are none or they cannot be linked."""
        source = self._reference_to_share(reference_id)
        if source is None:
            return False
        names = _reference_names(source)
        if all(_link(source / name, folder / name) for name in names):
            return True
        for name in names:  # what is written there next would go through a link into the other checkpoint
            (folder / name).unlink(missing_ok=True)
        return False

    def _reference_to_share(self, reference_id: str) -> Path | None:
        """A checkpoint with intact files of the same reference that the newest one does not use.

        Two neighbours never share one file: damage to it in place would take both, and all before them, at once.
        """
        in_newest = None
        for _, path in self._candidates():
            with suppress(UserError, OSError, ValueError, KeyError):  # what is not intact is not shared
                manifest = read_manifest(path)
                inode = tensor_files(path / REFERENCE)[0].stat().st_ino
                in_newest = in_newest or inode
                if manifest.reference_id == reference_id and inode != in_newest:
                    verify(path, manifest, _reference_names(path))
                    return path
        return None

    def _commit(self, aside: Path, target: Path) -> None:
        """Bring a complete folder to its name; at no moment is neither it nor the one it replaces to be found."""
        for path in list(self.folder.iterdir()):
            step = _STEP.fullmatch(path.name)
            if step is not None and int(step[1]) > int(target.name.removeprefix("step_")):
                self._set_aside(path, path.name, "the run went on from an earlier step")
        replaced = self._aside("old", target.name)
        if target.exists():
            target.rename(replaced)
        aside.rename(target)
        sync(self.folder)
        if replaced.exists():
            self._discard(replaced, target.name)

    def _retain(self, pinned: set[int]) -> None:
        """Delete what is neither new, pinned nor a reset's. What is not ours to read is not ours to delete."""
        ours = [(step, path) for step, path in self._candidates() if _STEP.fullmatch(path.name) and is_ours(path)]
        for step, path in ours[self.keep :]:
            if step not in pinned and read_manifest(path).kind != "reset":
                self._discard(path, path.name)

    def _discard(self, path: Path, name: str) -> None:
        """Delete a checkpoint of ours, out of sight first so that a kill leaves none torn; set aside anything else."""
        if not is_ours(path):
            self._set_aside(path, name, "it is not a readable checkpoint and stood in the way of one")
            return
        doomed = self._aside("tmp", name)
        path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _set_aside(self, path: Path, name: str, reason: str) -> None:
        places = (self.folder / f"unused-{name}-{number}" for number in itertools.count(1))
        place = next(place for place in places if not place.exists())
        path.rename(place)
        self.problems.append(f"{self.folder / name} is now {place.name}: {reason}; delete it if you do not need it")

    def _room(self, snapshot: Snapshot) -> str:
        """What a full disk leaves the user with."""
        tensors: dict[str, torch.Tensor] = {}
        encode([shapes(snapshot.weights), snapshot.reference, snapshot.optimizer], tensors, "")
        needed = sum(tensor.nbytes for tensor in tensors.values())
        place = next(path for path in (self.folder, *self.folder.absolute().parents) if os.path.exists(path))
        last = self.latest()
        return (
            f"it needs {needed / 1e6:.1f} MB, {shutil.disk_usage(place).free / 1e6:.1f} MB are free; "
            f"the last good checkpoint is {'none' if last is None else last}"
        )


def _flushed(folder: Path, names: Iterable[str]) -> dict[str, list[Any]]:
    """Files brought to the disk, with size and checksum."""
    for name in names:
        sync(folder / name)
    return {name: [(folder / name).stat().st_size, sha256(folder / name)] for name in names}


def _save_adapter(adapter: Mapping[str, Any], folder: Path) -> None:
    """In one file, as peft reads it, on any number of ranks."""
    if not adapter:
        return
    tensors = {name: whole(value.detach()).cpu().contiguous() for name, value in adapter["tensors"].items()}

    def write() -> None:
        (folder / ADAPTER).parent.mkdir()
        save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})
        (folder / ADAPTER_SETTINGS).write_text(json.dumps(adapter["settings"], indent=2, sort_keys=True))

    on_first(write)


def _load_adapter(path: Path) -> dict[str, Any]:
    if not (path / ADAPTER).is_file():
        return {}
    return {"tensors": load_tensors(path / ADAPTER), "settings": json.loads((path / ADAPTER_SETTINGS).read_bytes())}


def _files_of(tensors: Path, folder: Path) -> list[str]:
    """The names in a manifest of the files that hold some tensors."""
    index = tensors.with_name(tensors.name + INDEX)
    files = [*tensor_files(tensors), *([index] if index.is_file() else [])]
    return [file.relative_to(folder).as_posix() for file in files]


def _reference_names(folder: Path) -> list[str]:
    return _files_of(folder / REFERENCE, folder)


def _is_alive(pid: int) -> bool:
    """Whether another process of that number runs; this one is not writing when it asks."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # another user's
    return True


def _link(source: Path, target: Path) -> bool:
    """Share a file; False where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True
