"""Stage 3, rewards: the program inside a sandbox. It confines itself, then forks a process for each test.

Run by a bare interpreter on Python 3.9 and later, possibly another than the trainer's, so it imports nothing of this
package. It is told what to do over a socket: each order is one message with descriptors. It answers with short lines of
text. Nothing that it holds is worth stealing: the tests' inputs go past it in descriptors, expected outputs never come.
What a fork does is `stage.py`'s affair.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import gc
import marshal
import os
import resource
import select
import struct
import sys
from types import CodeType

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SYS_LANDLOCK_CREATE, SYS_LANDLOCK_ADD, SYS_LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_SCOPES = 3
"""Abstract sockets and signals."""
SIG_SETMASK, SIGKILL, SECCOMP_FILTER = 2, 9, 2
CAPABILITY_VERSION = 0x20080522
MAX_MESSAGE = 1 << 16
MAX_DESCRIPTORS = 6
MAX_ANSWER = 1000
FIRST_PARKED, LAST_DESCRIPTOR = 64, 128
WATCH_MILLISECONDS = 50
MAX_SCRATCH_FILES = 1000
BLOCK_BYTES = 512
STACK_BYTES = 100 * 2**20
"""Of a program's main thread. Less than the room that the kernel leaves below other mappings."""
MAIN_NAME = "program.py"

libc = ctypes.CDLL(None, use_errno=True)


class Setup:
    """What the host says first; `confinement.py` writes it."""

    path: list[str]
    stage: bytes
    values: bytes
    max_frame: int
    scratch: str
    user: int
    parent: int
    memory: int
    scratch_bytes: int
    cpu_seconds: int
    processes: int
    threads: int
    landlock: bool
    rules: list[tuple[str, int]]
    handled_files: int
    handled_net: int
    keeper_filter: bytes
    program_filter: bytes
    own_pid: bytes

    def __init__(self, fields: dict[str, object]) -> None:
        self.__dict__.update(fields)


def check(result: int, what: str) -> int:
    """The result of a C call, which is an error where it is negative."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def prctl(option: int, value: int) -> None:
    check(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def landlock(rules: list[tuple[str, int]], handled_files: int, handled_net: int) -> int:
    """A ruleset's descriptor. Rules name folders by path, so this comes while they can still be reached."""
    attributes = struct.pack("=QQQ", handled_files, handled_net, LANDLOCK_SCOPES)
    ruleset = check(libc.syscall(SYS_LANDLOCK_CREATE, attributes, len(attributes), 0), "landlock_create_ruleset")
    for path, access in rules:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", access, target)
        check(libc.syscall(SYS_LANDLOCK_ADD, ruleset, 1, rule, 0), f"landlock_add_rule {path}")
        os.close(target)
    return ruleset


def restrict(ruleset: int) -> None:
    check(libc.syscall(SYS_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def filter_calls(code: bytes) -> None:
    """Install a seccomp filter, for good."""
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(buffer))
    check(libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_FILTER), program, 0, 0), "seccomp filter")


def drop_identity(user: int) -> None:
    """Become a user without any rights, for good."""
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    check(libc.capset(struct.pack("=Ii", CAPABILITY_VERSION, 0), bytes(24)), "capset")
    if 0 in os.getresuid() + os.getresgid():
        raise OSError(errno.EPERM, "still root")


def confine(setup: Setup) -> None:
    """Leave nothing but what `setup` grants."""
    libc.sigprocmask(SIG_SETMASK, bytes(128), None)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # where memory ends, this process goes, not the trainer
    except OSError:
        pass
    ruleset = landlock(setup.rules, setup.handled_files, setup.handled_net) if setup.landlock else -1
    os.chdir(setup.scratch)
    drop_identity(setup.user)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_PDEATHSIG, SIGKILL)  # after the drop, which clears it
    if setup.parent and os.getppid() != setup.parent:
        os._exit(1)
    limit(setup)
    if setup.landlock:
        restrict(ruleset)
    if setup.keeper_filter:
        filter_calls(setup.keeper_filter)


def limit(setup: Setup) -> None:
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, setup.memory),
        (resource.RLIMIT_FSIZE, setup.scratch_bytes),
        (resource.RLIMIT_NOFILE, LAST_DESCRIPTOR),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 128),
    ]
    if setup.processes:
        limits.append((resource.RLIMIT_NPROC, setup.processes))
    for name, value in limits:
        lower(name, value, value)
    lower(resource.RLIMIT_CPU, setup.cpu_seconds, setup.cpu_seconds + 1)
    lower(resource.RLIMIT_STACK, STACK_BYTES, resource.RLIM_INFINITY)  # programs may ask for more: memory bounds it


def lower(name: int, soft: int, hard: int) -> None:
    """Never above what the machine's owner allows."""
    ceiling = resource.getrlimit(name)[1]
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), ceiling if hard == resource.RLIM_INFINITY else min(hard, ceiling)
    resource.setrlimit(name, (soft, hard))


def receive(channel: _socket.socket) -> tuple[tuple[str, ...] | None, tuple[int, ...]]:
    """The next order and its descriptors; None where the host closed the channel."""
    data, ancillary, _, _ = channel.recvmsg(MAX_MESSAGE, _socket.CMSG_SPACE(4 * MAX_DESCRIPTORS))
    descriptors: tuple[int, ...] = ()
    for _, _, payload in ancillary:
        descriptors = struct.unpack(f"={len(payload) // 4}i", payload)
    return marshal.loads(data) if data else None, descriptors


def read_all(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


class Keeper:
    """Compiles the program once, then runs a test in a fork for each order."""

    def __init__(self, channel: _socket.socket, setup: Setup, stage: dict[str, object]) -> None:
        self.channel = channel
        self.setup = setup
        self.stage = stage
        self.pid = os.getpid()
        self.code: CodeType | None = None

    def serve(self) -> None:
        while True:
            order, descriptors = receive(self.channel)
            if order is None:
                return
            if order[0] == "compile":
                self.answer(self.compile(descriptors[0]))
            elif order[0] == "test":
                self.answer(self.test(order[1], descriptors))
            # Else it is an order to end a test that has ended by itself.

    def answer(self, line: str) -> None:
        try:
            os.write(self.channel.fileno(), line[:MAX_ANSWER].encode("utf-8", "replace"))
        except BrokenPipeError:
            os._exit(0)  # the host has gone

    def compile(self, source: int) -> str:
        try:
            self.code = compile(read_all(source), MAIN_NAME, "exec", dont_inherit=True)
        except SyntaxError as error:
            return f"refused {type(error).__name__}: {error.msg} (line {error.lineno})"
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            return f"refused {type(error).__name__}: {error}"
        finally:
            os.close(source)
        gc.collect()
        gc.freeze()
        return "compiled"

    def test(self, mode: str, descriptors: tuple[int, ...]) -> str:
        try:
            child = os.fork()
        except OSError as error:
            return f"failed to fork: {error}"
        if child == 0:
            self.perform(mode, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        watch = os.pidfd_open(child)
        reason = self.wait(child, watch)
        if reason:
            os.kill(child, SIGKILL)
        os.close(watch)
        status = os.waitpid(child, 0)[1]
        for entry in os.scandir("."):
            if not entry.is_dir(follow_symlinks=False):  # a filter lets nobody make folders, but there may be none
                os.unlink(entry.name)
        return f"done {status} {reason or '-'}"

    def wait(self, child: int, watch: int) -> str:
        """Until the test ends. Why it must be ended, or nothing."""
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.register(self.channel, select.POLLIN)
        while True:
            ready = dict(poll.poll(WATCH_MILLISECONDS))
            if watch in ready:
                return ""
            if ready:
                order, _ = receive(self.channel)
                if order is None or order[0] == "end":
                    return "ended"
            if self.scratch_is_full():
                return "scratch"
            if num_threads(child) > self.setup.threads:
                return "threads"

    def scratch_is_full(self) -> bool:
        sizes = [BLOCK_BYTES * entry.stat(follow_symlinks=False).st_blocks for entry in os.scandir(".")]
        return len(sizes) > MAX_SCRATCH_FILES or sum(sizes) > self.setup.scratch_bytes

    def perform(self, mode: str, descriptors: tuple[int, ...]) -> None:
        """In the fork: give the last rights up, run the program, leave. Never returns."""
        status = 1
        try:
            prctl(PR_SET_PDEATHSIG, SIGKILL)
            if os.getppid() != self.pid:
                os._exit(1)
            data = place_descriptors(mode, descriptors)
            if self.setup.landlock:
                restrict(landlock([], 0, 0))  # a scope of its own: it can no longer signal the harness
            if self.setup.program_filter:
                own_pid = struct.pack("=I", os.getpid())
                filter_calls(self.setup.program_filter.replace(self.setup.own_pid, own_pid))
            status = self.stage["perform"](mode, self.code, data)  # type: ignore[operator]
        finally:
            os._exit(status)


def num_threads(process: int) -> int:
    """0 where it cannot be told: in a room without /proc, or after the end."""
    try:
        return os.stat(f"/proc/{process}/task").st_nlink - 2
    except OSError:
        return 0


def place_descriptors(mode: str, descriptors: tuple[int, ...]) -> bytes:
    """Put standard streams at 0, 1, 2, a result at 3, other pipes above, and close all else. What a call is given."""
    payload, out, err, *pipes = descriptors
    data = b""
    order = [payload, out, err]
    if mode != "script":
        data = read_all(payload)
        null = os.open("/dev/null", os.O_RDWR)
        order = [null, null, err, out, *pipes]
    for index, source in enumerate(order):
        os.dup2(source, FIRST_PARKED + index)
    for index in range(len(order)):
        os.dup2(FIRST_PARKED + index, index)
    os.closerange(len(order), LAST_DESCRIPTOR)
    return data


def main() -> None:
    # A low number: forks close what lies below `LAST_DESCRIPTOR`.
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, os.dup(int(sys.argv[1])))
    os.close(int(sys.argv[1]))
    fields, _ = receive(channel)
    assert isinstance(fields, dict)
    setup = Setup(fields)
    sys.path[:] = setup.path
    values: dict[str, object] = {"__name__": "values"}
    if setup.values:
        exec(marshal.loads(setup.values), values)
    stage: dict[str, object] = {"__name__": "stage"}
    exec(marshal.loads(setup.stage), stage)
    stage.update(VALUES=values, MAX_FRAME=setup.max_frame)
    confine(setup)
    os.write(channel.fileno(), b"ready")
    Keeper(channel, setup, stage).serve()
    os._exit(0)


if __name__ == "__main__":
    main()
