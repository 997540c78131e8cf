"""Stage 3, rewards: which Python runs the programs, where it lies, and the harness compiled for it.

The trainer's own interpreter often lies in a home folder that an unprivileged user cannot enter; then the system's is
taken. It does not start sandboxes.
"""

import base64
import functools
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from prorl.rewards.sandbox.interface import SandboxUnavailable

FLAGS = ("-s", "-S", "-B")
"""No user's and no site's packages, no byte code written. Not -I: it would ignore the fixed hash seed."""
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONSAFEPATH": "1",
    "PYTHONUTF8": "1",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""All that a program sees of an environment. One arena, because each further one takes 64 MiB of address space."""
SYSTEM_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
PROBE_SECONDS = 20.0
PROBE = """
import base64, json, marshal, sys
import _socket, ctypes, resource, select, os
os.pidfd_open
sources = json.load(sys.stdin)
codes = {name: base64.b64encode(marshal.dumps(compile(text, name, "exec"))).decode() for name, text in sources.items()}
path = [folder for folder in sys.path if folder]
print(json.dumps({"version": sys.version_info[:2], "path": path, "prefix": sys.base_prefix, "codes": codes}))
"""
SOURCES = ("harness.py", "stage.py", "values.py")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`path` is the module search path of programs; `codes` are marshalled for this very version."""

    executable: str
    version: tuple[int, int]
    path: tuple[str, ...]
    prefix: str
    codes: dict[str, bytes]


def find_interpreter(*, for_others: bool) -> Interpreter:
    """The trainer's own Python, or the system's where a user without rights (`for_others`) could not run the first.

    Raises:
        SandboxUnavailable: none can be used; says why.
    """
    reasons = []
    for executable in _candidates():
        if for_others and not readable_by_others(Path(executable)):
            reasons.append(f"{executable} cannot be read by an unprivileged user")
            continue
        try:
            return _probe(executable, for_others=for_others)
        except SandboxUnavailable as error:
            reasons.append(str(error))
    raise SandboxUnavailable(
        f"no Python >= 3.9 that a user without rights can run ({'; '.join(reasons)}): install python3 of the system, "
        "put this Python where everybody may read it, or run as a user who is not root"
    )


def readable_by_others(path: Path) -> bool:
    """Whether mode bits let everybody enter all folders on the way and read the end of it."""
    path = path.resolve()
    try:
        folders_open = all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
        return folders_open and bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _candidates() -> list[str]:
    own = os.path.realpath(sys.executable)
    found = shutil.which("python3", path=os.defpath)
    candidates = [own, *SYSTEM_PYTHONS, *([found] if found else [])]
    existing = [os.path.realpath(path) for path in candidates if os.path.exists(path)]
    return list(dict.fromkeys(existing))


@functools.cache
def _probe(executable: str, *, for_others: bool) -> Interpreter:
    folder = Path(__file__).parent
    sources = {name: (folder / name).read_text() for name in SOURCES}
    try:
        answer = subprocess.run(
            [executable, *FLAGS, "-c", PROBE],
            input=json.dumps(sources),
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            cwd="/",
            timeout=PROBE_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        tail = error.stderr.strip().splitlines()[-1:]
        raise SandboxUnavailable(f"{executable} cannot run the harness: {' '.join(tail)}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(f"{executable} does not run: {error}") from None
    found = json.loads(answer.stdout)
    version = (int(found["version"][0]), int(found["version"][1]))
    if version < (3, 9):
        raise SandboxUnavailable(f"{executable} is Python {version[0]}.{version[1]}, not 3.9 or later")
    path = found["path"]
    if version == sys.version_info[:2]:
        packages = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        path += [folder for folder in packages if not for_others or readable_by_others(Path(folder))]
    codes = {name: base64.b64decode(text) for name, text in found["codes"].items()}
    return Interpreter(executable=executable, version=version, path=tuple(path), prefix=found["prefix"], codes=codes)
