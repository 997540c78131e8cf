"""Stage 3, rewards: what each local backend grants to a program, and how its interpreter is started.

Each function describes a launch; `process.py` starts it, `harness.py` carries the setup out.
"""

import ctypes
import functools
import math
import os
import platform
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass

from prorl.rewards.sandbox.filters import OWN_PID, assemble, this_machine
from prorl.rewards.sandbox.interface import Limits, SandboxUnavailable
from prorl.rewards.sandbox.interpreter import ENVIRONMENT, FLAGS, Interpreter
from prorl.rewards.sandbox.process import Launch
from prorl.rewards.sandbox.syscalls import MACHINES, Role

BOOT = (
    "import marshal, os, sys; code = int(sys.argv.pop(1)); "
    "exec(marshal.loads(os.pread(code, os.fstat(code).st_size, 0)))"
)
LANDLOCK_VERSION = 6
"""The first that keeps signals and abstract sockets in."""
SYS_LANDLOCK_CREATE = 444
READ_FILE, READ_FOLDER, SCRATCH = 0x4, 0x4 | 0x8, 0x2 | 0x4 | 0x8 | 0x20 | 0x100 | 0x4000
"""Rights: read; read and list; write, read, list, remove and make files, truncate. To run a file: none."""
ALL_FILE_RIGHTS, ALL_NET_RIGHTS = 0xFFFF, 0x3
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache")
DEVICES = {"/dev/null": 0x6, "/dev/zero": 0x4, "/dev/urandom": 0x4}
INNER_SCRATCH = "/scratch"
SPARE_PROCESSES = 2
"""The harness and the main thread of a test. Where the user is shared threads are bounded by their stacks alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is particular to one run: its limits, its folder, its user (0: ourselves)."""

    limits: Limits
    scratch: str
    user: int
    code: int
    """Descriptor of the harness's code."""
    launcher_filter: int
    """Descriptor of the system call filter for whoever starts the interpreter."""
    with_values: bool
    """Whether values go in or out, not only text."""


Confinement = Callable[[Interpreter, Room], Launch]


def landlock_launch(interpreter: Interpreter, room: Room) -> Launch:
    """The interpreter gives its own rights up: no installation, no root, nothing mounted."""
    rules = [(path, READ_FOLDER if os.path.isdir(path) else READ_FILE) for path in _libraries(interpreter)]
    rules += [*DEVICES.items(), (room.scratch, SCRATCH)]
    setup = {**_setup(interpreter, room), **_filters(), "landlock": True, "rules": rules}
    return Launch(command=_python(interpreter, room), descriptors=(room.code,), setup=setup)


def bubblewrap_launch(interpreter: Interpreter, room: Room) -> Launch:
    """A mount, process, network and user namespace of its own, made by a user who is not root."""
    binary = shutil.which("bwrap")
    if binary is None:
        raise SandboxUnavailable("bwrap is not found")
    size = str(room.limits.scratch_bytes)
    command = [
        binary,
        "--unshare-all",
        "--as-pid-1",
        "--die-with-parent",
        "--clearenv",
        "--new-session",
        "--cap-drop",
        "ALL",
    ]
    for path in _libraries(interpreter):
        command += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind-try", path, path]
    command += ["--ro-bind-try", interpreter.executable, interpreter.executable]
    for path in DEVICES:
        command += ["--dev-bind", path, path]
    command += ["--size", size, "--tmpfs", INNER_SCRATCH, "--remount-ro", "/", "--chdir", "/"]
    command += [part for name, value in ENVIRONMENT.items() for part in ("--setenv", name, value)]
    command += ["--seccomp", str(room.launcher_filter)]
    setup = {**_setup(interpreter, room), **_filters(), "scratch": INNER_SCRATCH, "user": 0, "parent": 0}
    return Launch(
        command=(*command, *_python(interpreter, room)),
        descriptors=(room.code, room.launcher_filter),
        setup=setup,
        user=room.user or None,
    )


def unsafe_launch(interpreter: Interpreter, room: Room) -> Launch:
    """Limits and another user only. What it keeps out depends on the machine."""
    return Launch(command=_python(interpreter, room), descriptors=(room.code,), setup=_setup(interpreter, room))


def landlock_version() -> int:
    """What this kernel offers; 0 where nothing."""
    library = ctypes.CDLL(None, use_errno=True)
    return max(0, int(library.syscall(SYS_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def _python(interpreter: Interpreter, room: Room) -> tuple[str, ...]:
    return (interpreter.executable, *FLAGS, "-c", BOOT, str(room.code))


def _libraries(interpreter: Interpreter) -> list[str]:
    own = os.path.join(interpreter.prefix, "lib")
    return [path for path in dict.fromkeys((*LIBRARIES, own, *interpreter.path)) if os.path.exists(path)]


def _setup(interpreter: Interpreter, room: Room) -> dict[str, object]:
    limits = room.limits
    return {
        "path": list(interpreter.path),
        "stage": interpreter.codes["stage.py"],
        "values": interpreter.codes["values.py"] if room.with_values else b"",
        "max_frame": limits.output_bytes,
        "scratch": room.scratch,
        "user": room.user,
        "parent": os.getpid(),
        "memory": limits.memory_mb * 2**20,
        "scratch_bytes": limits.scratch_bytes,
        "cpu_seconds": math.ceil(limits.total_seconds) + 1,
        # Of a shared user all other processes would count.
        "processes": limits.threads + SPARE_PROCESSES if room.user else 0,
        "threads": limits.threads + SPARE_PROCESSES,
        "landlock": False,
        "rules": [],
        "handled_files": ALL_FILE_RIGHTS,
        "handled_net": ALL_NET_RIGHTS,
        "keeper_filter": b"",
        "program_filter": b"",
        "own_pid": struct.pack("=I", OWN_PID),
    }


def _filters() -> dict[str, object]:
    return {"keeper_filter": system_call_filter("keeper"), "program_filter": system_call_filter("program")}


@functools.cache
def system_call_filter(role: Role) -> bytes:
    """Of this machine. SandboxUnavailable: none can be built for it."""
    machine = this_machine()
    if machine is None:
        raise SandboxUnavailable(f"no system call filter for {platform.machine()}: {' and '.join(MACHINES)} have one")
    return assemble(machine, role)
