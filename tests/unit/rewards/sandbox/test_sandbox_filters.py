"""System call filters, run by a small machine of its own: verdicts by number and argument, on both processors."""

import errno
import struct

import pytest

from prorl.rewards.sandbox.filters import OWN_PID, assemble
from prorl.rewards.sandbox.syscalls import MACHINES, Machine, allowed

ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
DENIED, MISSING = ERROR | errno.EPERM, ERROR | errno.ENOSYS
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386 = 0x40000003


def verdict(code: bytes, machine: int, number: int, *arguments: int) -> int:
    """What the kernel does with the filter (Documentation/networking/filter.rst), for the instructions used here."""
    data = struct.pack("=IIQ6Q", number, machine, 0, *(*arguments, *[0] * (6 - len(arguments))))
    accumulator = position = 0
    while True:
        operation, jump_true, jump_false, value = struct.unpack_from("=HBBI", code, 8 * position)
        position += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif operation == 0x54:
            accumulator &= value
        elif operation == 0x15:
            position += jump_true if accumulator == value else jump_false
        elif operation == 0x35:
            position += jump_true if accumulator >= value else jump_false
        else:
            assert operation == 0x06
            return int(value)


# Numbers from the kernel's tables, written down here a second time.
X86_64 = {
    "read": (0, (), ALLOW),
    "mmap": (9, (), ALLOW),
    "futex": (202, (), ALLOW),
    "socket": (41, (2,), DENIED),
    "socketpair": (53, (1,), DENIED),
    "connect": (42, (), DENIED),
    "fork": (57, (), DENIED),
    "vfork": (58, (), DENIED),
    "fork by clone": (56, (0x01200011,), DENIED),
    "thread by clone": (56, (0x003D0F00,), ALLOW),
    "thread with namespace": (56, (0x003D0F00 | 0x10000000,), DENIED),
    "clone3": (435, (), MISSING),
    "execve": (59, (), DENIED),
    "execveat": (322, (), DENIED),
    "kill self": (62, (OWN_PID, 9), ALLOW),
    "kill parent": (62, (77, 9), DENIED),
    "kill group": (62, (0, 9), DENIED),
    "kill all": (62, (0xFFFFFFFF, 9), DENIED),
    "tgkill other": (234, (77, 77, 9), DENIED),
    "tkill": (200, (OWN_PID, 9), DENIED),
    "queue": (129, (77, 9), DENIED),
    "ptrace": (101, (), DENIED),
    "process_vm_readv": (310, (), DENIED),
    "bpf": (321, (), DENIED),
    "userfaultfd": (323, (), DENIED),
    "keyctl": (250, (), DENIED),
    "mount": (165, (), DENIED),
    "unshare": (272, (), DENIED),
    "setns": (308, (), DENIED),
    "memfd_create": (319, (), DENIED),
    "shmget": (29, (), DENIED),
    "msgget": (68, (), DENIED),
    "semget": (64, (), DENIED),
    "mq_open": (240, (), DENIED),
    "chmod": (90, (), DENIED),
    "fchmodat": (268, (), DENIED),
    "chown": (92, (), DENIED),
    "utimensat": (280, (), DENIED),
    "setxattr": (188, (), DENIED),
    "unlink": (87, (), DENIED),
    "fallocate": (285, (), DENIED),
    "symlink": (88, (), DENIED),
    "perf_event_open": (298, (), DENIED),
    "sched_setaffinity": (203, (), DENIED),
    "setpriority": (141, (), DENIED),
    "prlimit own": (302, (0,), ALLOW),
    "prlimit other": (302, (77,), DENIED),
    "prctl name": (157, (15,), ALLOW),
    "prctl death signal": (157, (1,), DENIED),
    "prctl dumpable": (157, (4,), DENIED),
    "prctl seccomp": (157, (22,), DENIED),
    "prctl high half": (157, (1 << 32 | 1,), DENIED),
    "seccomp": (317, (), DENIED),
    "io_uring_setup": (425, (), MISSING),
    "pidfd_open": (434, (), MISSING),
    "openat2": (437, (), MISSING),
    "future": (900, (), MISSING),
    "open": (257, (0, 0, 0), ALLOW),
    "open nameless": (257, (0, 0, 0x410002), ERROR | errno.EOPNOTSUPP),
    "isatty": (16, (0, 0x5401), ALLOW),
    "push to terminal": (16, (0, 0x5412), ERROR | errno.ENOTTY),
    "set owner": (72, (0, 8, 77), ERROR | errno.EINVAL),
    "x32": (0x40000000, (), KILL),
    "x32 fork": (0x40000000 | 57, (), KILL),
}
AARCH64 = {
    "read": (63, (), ALLOW),
    "socket": (198, (), DENIED),
    "fork by clone": (220, (0x01200011,), DENIED),
    "thread by clone": (220, (0x003D0F00,), ALLOW),
    "execve": (221, (), DENIED),
    "kill self": (129, (OWN_PID,), ALLOW),
    "kill parent": (129, (77,), DENIED),
    "ptrace": (117, (), DENIED),
    "fchmodat": (53, (), DENIED),
    "unlinkat": (35, (), DENIED),
    "prctl death signal": (167, (1,), DENIED),
    "clone3": (435, (), MISSING),
    "memfd_create": (279, (), DENIED),
}


@pytest.mark.parametrize("name", X86_64)
def test_verdict_on_x86_64(name: str) -> None:
    number, arguments, expected = X86_64[name]
    assert verdict(assemble("x86_64", "program"), AUDIT["x86_64"], number, *arguments) == expected


@pytest.mark.parametrize("name", AARCH64)
def test_verdict_on_aarch64(name: str) -> None:
    number, arguments, expected = AARCH64[name]
    assert verdict(assemble("aarch64", "program"), AUDIT["aarch64"], number, *arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_kill(machine: Machine) -> None:
    code = assemble(machine, "program")
    other = AUDIT["aarch64" if machine == "x86_64" else "x86_64"]
    assert all(verdict(code, architecture, number) == KILL for architecture in (I386, other) for number in (0, 20, 63))


@pytest.mark.parametrize("machine", MACHINES)
def test_keeper_may_fork_and_reap_but_not_run_or_connect(machine: Machine) -> None:
    code = assemble(machine, "keeper")
    numbers = allowed(machine, "launcher")
    forked = verdict(code, AUDIT[machine], numbers["clone"], 0x01200011)
    namespace = verdict(code, AUDIT[machine], numbers["clone"], 0x10000011)
    assert (forked, namespace) == (ALLOW, DENIED)
    assert verdict(code, AUDIT[machine], numbers["execve"]) == DENIED
    assert verdict(code, AUDIT[machine], 41 if machine == "x86_64" else 198) == DENIED


@pytest.mark.parametrize("machine", MACHINES)
def test_own_process_number_stands_only_where_it_is_tested(machine: Machine) -> None:
    # kill, tgkill, two kinds of queued signals, limits.
    assert assemble(machine, "program").count(struct.pack("=I", OWN_PID)) == 5
    assert struct.pack("=I", OWN_PID) not in assemble(machine, "keeper")
