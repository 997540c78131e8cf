"""Stage 1, data sets: the manifest beside prepared files: where they come from, how they were made, their hashes."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prorl import __version__
from prorl.durable import replace_file, sha256
from prorl.errors import UserError

MIXTURE_MANIFEST = "manifest.json"
ENDING = ".manifest.json"
VALIDATION = "validation"
Entry = dict[str, Any]
_PACKAGES = ("huggingface_hub", "pyarrow", "reasoning-gym", "math-verify", "pint", "langdetect")


def versions() -> dict[str, str]:
    """What the bytes of a prepared file may depend on, as installed."""
    found = {"prorl": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def read_manifest(path: Path) -> dict[str, Entry]:
    """The entries by file name; none where there is no manifest."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a manifest of prepared data ({error}); remove it") from None
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise UserError(f"{path}: not a manifest of prepared data; remove it")
    return entries


def write_manifest(path: Path, entries: Mapping[str, Entry]) -> None:
    text = json.dumps({"files": dict(entries)}, indent=2, ensure_ascii=False)
    replace_file(path, [text.encode("utf-8", "backslashreplace"), b"\n"])


def is_current(entry: Entry, request: Entry, file: Path) -> bool:
    """Whether the file is what the same request made before, and unchanged."""
    wanted = json.loads(json.dumps(request))
    same = all(entry.get("request", {}).get(name) == wanted[name] for name in wanted if name != "versions")
    return same and file.is_file() and sha256(file) == entry.get("output", {}).get("sha256")


def prepared_suites(folder: Path) -> list[Path]:
    """The evaluation suites that manifests in the folder and in its `validation` name."""
    found = set()
    for place in (folder, folder / VALIDATION):
        for manifest in [*place.glob(f"*{ENDING}"), place / MIXTURE_MANIFEST]:
            for name, entry in read_manifest(manifest).items():
                if entry.get("kind") == "suite" and (manifest.parent / name).is_file():
                    found.add((manifest.parent / name).resolve())
    return sorted(found)
