"""What a checkpoint's files look like: the manifest that names and sums them, and trees of values as JSON."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from prorl.durable import sha256
from prorl.errors import UserError

FORMAT = 1
MANIFEST = "manifest.json"
Kind = Literal["regular", "reset"]

_MARKS = {"__tensor__", "__tuple__", "__dict__"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint consists of. `files` maps a relative name to `[bytes, sha256]`."""

    step: int
    kind: Kind
    reference_id: str
    versions: Mapping[str, str]
    files: Mapping[str, list[Any]]


def read_manifest(path: Path) -> Manifest:
    """The manifest of a checkpoint; UserError where there is none, or not one of this program and format."""
    try:
        text = (path / MANIFEST).read_bytes().decode()
        fields = json.loads(text)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise refused(path, f"it has no {MANIFEST}: torn, or not a checkpoint") from error
    except OSError as error:
        raise refused(path, f"{MANIFEST} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise refused(path, f"{MANIFEST} is damaged") from error
    if not isinstance(fields, dict) or fields.get("program") != "prorl":
        raise refused(path, "another program wrote it")
    if fields.get("format") != FORMAT:
        raise refused(path, f"it has format {fields.get('format')!r}, this version of prorl reads {FORMAT}")
    names = ("step", "kind", "reference_id", "versions", "files")
    if not all(name in fields for name in names):
        raise refused(path, f"{MANIFEST} is damaged")
    manifest = Manifest(**{name: fields[name] for name in names})
    if render(manifest) != text:
        raise refused(path, f"{MANIFEST} is damaged")
    return manifest


def render(manifest: Manifest) -> str:
    """The manifest's only valid text: any changed byte differs from it."""
    fields = {"program": "prorl", "format": FORMAT, **asdict(manifest)}
    checksum = hashlib.sha256(json.dumps(fields).encode()).hexdigest()
    return json.dumps({**fields, "checksum": checksum}, indent=1) + "\n"


def verify(path: Path, manifest: Manifest, names: Iterable[str]) -> None:
    try:
        for name in names:
            size, expected = manifest.files[name]
            found = (path / name).stat().st_size
            if found != size:
                raise refused(path, f"{name} has {found} bytes, not {size}: torn")
            if sha256(path / name) != expected:
                raise refused(path, f"{name} is damaged (its checksum differs)")
    except FileNotFoundError as error:
        raise refused(path, f"{name} is missing") from error
    except OSError as error:
        raise refused(path, f"{name} cannot be read: {error.strerror}") from error


def refused(path: Path, reason: str) -> UserError:
    return UserError(f"checkpoint {path} is refused: {reason}")


def is_ours(path: Path) -> bool:
    try:
        read_manifest(path)
    except UserError:
        return False
    return True


def encode(value: Any, tensors: dict[str, torch.Tensor], path: str) -> Any:
    """A tree as JSON that reads back equal: tuples and keys other than strings are marked, tensors moved out."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.Tensor):
        name = f"{len(tensors)}:{path}"
        tensors[name] = value
        return {"__tensor__": name}
    if isinstance(value, (list, tuple)):
        items = [encode(item, tensors, f"{path}.{index}") for index, item in enumerate(value)]
        return {"__tuple__": items} if isinstance(value, tuple) else items
    assert isinstance(value, Mapping), f"{path} is a {type(value).__name__}, which a checkpoint does not hold"
    if all(isinstance(key, str) and key not in _MARKS for key in value):
        return {key: encode(item, tensors, f"{path}.{key}") for key, item in value.items()}
    return {"__dict__": [[encode(key, {}, path), encode(value[key], tensors, f"{path}.{key}")] for key in value]}


def decode(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "__tensor__" in value:
        return tensors[value["__tensor__"]]
    if "__tuple__" in value:
        return tuple(decode(value["__tuple__"], tensors))
    if "__dict__" in value:
        return {decode(key, tensors): decode(item, tensors) for key, item in value["__dict__"]}
    return {key: decode(item, tensors) for key, item in value.items()}
