"""Stage 9: everything with state, as one atomic directory a step, and its way back.

A checkpoint is written aside in the same folder, flushed to the disk, and renamed; whatever kills the process, a
`step_N` that can be seen is complete. Its manifest names every file with size and SHA-256, so a torn, damaged or
foreign one is refused by name. Nothing is pickled: tensors are safetensors, the rest is JSON.

    step_N/policy/             Hugging Face format: model.safetensors, and what the caller adds
    step_N/reference.safetensors, optimizer.safetensors, optimizer.json, state.json, config.toml, manifest.json
    latest                     the name of the newest, for people and scripts; `Checkpoints.latest` looks for itself

This module does not decide when to save, what the state means, or whether a recipe may continue it. One process
writes a folder at a time; any number may read it meanwhile.
"""

import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file

from prorl.durable import explained, sha256, sync, system_error
from prorl.errors import UserError

FORMAT = 1
MANIFEST = "manifest.json"
POLICY = "policy/model.safetensors"
REFERENCE = "reference.safetensors"
Kind = Literal["regular", "reset"]

_STEP = re.compile(r"step_(0|[1-9]\d*)")
_STEP_OR_OLD = re.compile(r"(\.old-)?step_(0|[1-9]\d*)(?(1)-\d+)")
_ASIDE = re.compile(r"\.(tmp|old)-(.+)-([1-9]\d{0,8})")
_MARKS = {"__tensor__", "__tuple__", "__dict__"}


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


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint consists of. `files` maps a relative name to `[bytes, sha256]`."""

    step: int
    kind: Kind
    reference_id: str
    versions: Mapping[str, str]
    files: Mapping[str, list[Any]]


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
        aside, pointer = self._aside("tmp", target.name), self._aside("tmp", "latest")
        self.problems = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._clean()
            try:
                self._write(aside, snapshot, write_model_files, kind)
                pointer.write_text(f"{target.name}\n")
                sync(pointer)  # before the commit: after it nothing needs room on the disk
                self._commit(aside, target)
                pointer.replace(self.folder / "latest")
            finally:
                shutil.rmtree(aside, ignore_errors=True)
                pointer.unlink(missing_ok=True)
            self._retain(set(pinned.values()))
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
                    raise _refused(path, f"its manifest is that of step {manifest.step}")
                _verify(path, manifest, manifest.files)
                return path
            except UserError as error:
                self.problems.append(str(error))
        return None

    def load(self, path: Path) -> Snapshot:
        """Read a checkpoint back, to the bit, after verifying all of it; tensors come to the CPU."""
        manifest = read_manifest(path)
        _verify(path, manifest, manifest.files)
        tensors = _load_tensors(path / "optimizer.safetensors")
        return Snapshot(
            step=manifest.step,
            state=_decode(json.loads((path / "state.json").read_bytes()), {}),
            weights=_load_tensors(path / POLICY),
            reference=_load_tensors(path / REFERENCE),
            reference_id=manifest.reference_id,
            optimizer=_decode(json.loads((path / "optimizer.json").read_bytes()), tensors),
            config_toml=(path / "config.toml").read_bytes().decode(),
            versions=manifest.versions,
        )

    def load_weights(self, path: Path, which: Literal["policy", "reference"]) -> dict[str, torch.Tensor]:
        """One of the two models of a checkpoint, verified."""
        name = {"policy": POLICY, "reference": REFERENCE}[which]
        _verify(path, read_manifest(path), [name])
        return _load_tensors(path / name)

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

    def _write(self, folder: Path, snapshot: Snapshot, write_model_files: Callable[[Path], None], kind: Kind) -> None:
        """All files of a checkpoint, the manifest last, each flushed to the disk."""
        (folder / "policy").mkdir(parents=True)
        write_model_files(folder / "policy")
        _save_tensors(snapshot.weights, folder / POLICY)
        source = self._reference_to_share(snapshot.reference_id)
        if source is None or not _link(source, folder / REFERENCE):
            _save_tensors(snapshot.reference, folder / REFERENCE)
        tensors: dict[str, torch.Tensor] = {}
        (folder / "optimizer.json").write_text(json.dumps(_encode(snapshot.optimizer, tensors, "optimizer")))
        _save_tensors(tensors, folder / "optimizer.safetensors")
        tensors = {}
        (folder / "state.json").write_text(json.dumps(_encode(snapshot.state, tensors, "state")))
        assert not tensors, f"tensors belong into the weights or the optimizer, not into {sorted(tensors)}"
        (folder / "config.toml").write_bytes(snapshot.config_toml.encode())
        files = {}
        for path in sorted(folder.rglob("*")):
            sync(path)
            if path.is_file():
                files[path.relative_to(folder).as_posix()] = [path.stat().st_size, sha256(path)]
        manifest = Manifest(snapshot.step, kind, snapshot.reference_id, dict(snapshot.versions), files)
        (folder / MANIFEST).write_text(_render(manifest))
        sync(folder / MANIFEST)
        sync(folder)

    def _reference_to_share(self, reference_id: str) -> Path | None:
        """An intact file with the same reference that the newest checkpoint does not use.

        Two neighbours never share one file: damage to it in place would take both, and all before them, at once.
        """
        in_newest = None
        for _, path in self._candidates():
            try:
                manifest = read_manifest(path)
                inode = (path / REFERENCE).stat().st_ino
                in_newest = in_newest or inode
                if manifest.reference_id == reference_id and inode != in_newest:
                    _verify(path, manifest, [REFERENCE])
                    return path / REFERENCE
            except (UserError, OSError):  # not intact, so not shared; `latest` is the one to complain
                continue
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
        ours = [(step, path) for step, path in self._candidates() if _STEP.fullmatch(path.name) and _is_ours(path)]
        for step, path in ours[self.keep :]:
            if step not in pinned and read_manifest(path).kind != "reset":
                self._discard(path, path.name)

    def _discard(self, path: Path, name: str) -> None:
        """Delete a checkpoint of ours, out of sight first so that a kill leaves none torn; set aside anything else."""
        if not _is_ours(path):
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
        _encode([snapshot.weights, snapshot.reference, snapshot.optimizer], tensors, "")
        needed = sum(tensor.nbytes for tensor in tensors.values())
        place = next(path for path in (self.folder, *self.folder.absolute().parents) if os.path.exists(path))
        last = self.latest()
        return (
            f"it needs {needed / 1e6:.1f} MB, {shutil.disk_usage(place).free / 1e6:.1f} MB are free; "
            f"the last good checkpoint is {'none' if last is None else last}"
        )


def read_manifest(path: Path) -> Manifest:
    """The manifest of a checkpoint; UserError where there is none, or not one of this program and format."""
    try:
        text = (path / MANIFEST).read_bytes().decode()
        fields = json.loads(text)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _refused(path, f"it has no {MANIFEST}: torn, or not a checkpoint") from error
    except OSError as error:
        raise _refused(path, f"{MANIFEST} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _refused(path, f"{MANIFEST} is damaged") from error
    if not isinstance(fields, dict) or fields.get("program") != "prorl":
        raise _refused(path, "another program wrote it")
    if fields.get("format") != FORMAT:
        raise _refused(path, f"it has format {fields.get('format')!r}, this version of prorl reads {FORMAT}")
    names = ("step", "kind", "reference_id", "versions", "files")
    if not all(name in fields for name in names):
        raise _refused(path, f"{MANIFEST} is damaged")
    manifest = Manifest(**{name: fields[name] for name in names})
    if _render(manifest) != text:
        raise _refused(path, f"{MANIFEST} is damaged")
    return manifest


def _encode(value: Any, tensors: dict[str, torch.Tensor], path: str) -> Any:
    """A tree as JSON that reads back equal: tuples and keys other than strings are marked, tensors moved out."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        name = f"{len(tensors)}:{path}"
        tensors[name] = value
        return {"__tensor__": name}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, tensors, f"{path}.{index}") for index, item in enumerate(value)]
        return {"__tuple__": items} if isinstance(value, tuple) else items
    assert isinstance(value, Mapping), f"{path} is a {type(value).__name__}, which a checkpoint does not hold"
    if all(isinstance(key, str) and key not in _MARKS for key in value):
        return {key: _encode(item, tensors, f"{path}.{key}") for key, item in value.items()}
    return {"__dict__": [[_encode(key, {}, path), _encode(value[key], tensors, f"{path}.{key}")] for key in value]}


def _decode(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "__tensor__" in value:
        return tensors[value["__tensor__"]]
    if "__tuple__" in value:
        return tuple(_decode(value["__tuple__"], tensors))
    if "__dict__" in value:
        return {_decode(key, tensors): _decode(item, tensors) for key, item in value["__dict__"]}
    return {key: _decode(item, tensors) for key, item in value.items()}


def _save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(ready, path, metadata={"format": "pt"})


def _load_tensors(path: Path) -> dict[str, torch.Tensor]:
    # Copied out of the file's memory map: a run must not depend on the file after it is read.
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def _render(manifest: Manifest) -> str:
    """The manifest's only valid text: any changed byte differs from it."""
    fields = {"program": "prorl", "format": FORMAT, **asdict(manifest)}
    checksum = hashlib.sha256(json.dumps(fields).encode()).hexdigest()
    return json.dumps({**fields, "checksum": checksum}, indent=1) + "\n"


def _verify(path: Path, manifest: Manifest, names: Iterable[str]) -> None:
    try:
        for name in names:
            size, expected = manifest.files[name]
            found = (path / name).stat().st_size
            if found != size:
                raise _refused(path, f"{name} has {found} bytes, not {size}: torn")
            if sha256(path / name) != expected:
                raise _refused(path, f"{name} is damaged (its checksum differs)")
    except FileNotFoundError as error:
        raise _refused(path, f"{name} is missing") from error
    except OSError as error:
        raise _refused(path, f"{name} cannot be read: {error.strerror}") from error


def _refused(path: Path, reason: str) -> UserError:
    return UserError(f"checkpoint {path} is refused: {reason}")


def _is_ours(path: Path) -> bool:
    try:
        read_manifest(path)
    except UserError:
        return False
    return True


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
