"""Stage 3, rewards: seccomp filters, assembled here. What a sandboxed process may ask of the kernel.

A filter is a list of 8-byte instructions of the classic packet filter that the kernel runs before every system call.
It sees the call's number and its arguments as numbers, never what a pointer points to; files are Landlock's affair.
"""

import errno
import platform
import struct
from dataclasses import dataclass

from prorl.rewards.sandbox.syscalls import FIRST_MODERN, MACHINES, Machine, Role, allowed

OWN_PID = 0x6F776E21
"""Stands for the process number of the program, which the harness puts in after the fork."""

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
ERRNO = 0x00050000

_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_OFFSET_NUMBER, _OFFSET_MACHINE, _OFFSET_ARGUMENTS = 0, 4, 16
_AUDIT_MACHINE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

CLONE_THREAD = 0x10000
CLONE_NAMESPACES = 0x7E020000
O_TMPFILE_BIT = 0x400000
"""A file without a name would escape the count of what lies in the scratch folder."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The call is allowed where the low half of an argument, after the mask, is one of `values`; else `error`.

    Every argument tested is an `int` of the kernel or holds its flags in the low half, so the high half says nothing.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF
    error: int = errno.EPERM


_NAMED_FILE = {"open": 1, "openat": 2}
_HARMLESS_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""isatty, window size, bytes waiting, non-blocking, and close on exec: nothing that reaches a device."""
_HARMLESS_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)
"""Copies, flags, locks. Not who gets signals, leases, notifications, pipe sizes, seals."""
_HARMLESS_PRCTLS = (3, 15, 16, 23, 0x53564D41)
"""Read dumpable, own thread's name, read the bounding set, names of mappings. Not the death signal, not seccomp."""

_OPEN = {name: Condition(argument, (0,), O_TMPFILE_BIT, errno.EOPNOTSUPP) for name, argument in _NAMED_FILE.items()}
_ALWAYS = {
    **_OPEN,
    "ioctl": Condition(1, _HARMLESS_IOCTLS, error=errno.ENOTTY),
    "fcntl": Condition(1, _HARMLESS_FCNTLS, error=errno.EINVAL),
}
_PROGRAM = {
    **_ALWAYS,
    "clone": Condition(0, (CLONE_THREAD,), CLONE_THREAD | CLONE_NAMESPACES),
    "kill": Condition(0, (OWN_PID,)),
    "tgkill": Condition(0, (OWN_PID,)),
    "rt_sigqueueinfo": Condition(0, (OWN_PID,)),
    "rt_tgsigqueueinfo": Condition(0, (OWN_PID,)),
    "prlimit64": Condition(0, (0, OWN_PID)),
    "prctl": Condition(0, _HARMLESS_PRCTLS),
}
_KEEPER = {**_ALWAYS, "clone": Condition(0, (0,), CLONE_NAMESPACES)}
_CONDITIONS: dict[Role, dict[str, Condition]] = {"program": _PROGRAM, "keeper": _KEEPER, "launcher": _KEEPER}


def this_machine() -> Machine | None:
    """None where no filter can be built for it."""
    return next((machine for machine in MACHINES if machine == platform.machine()), None)


def assemble(machine: Machine, role: Role) -> bytes:
    """The filter, ready for the kernel; the one of `program` holds OWN_PID where the process number belongs."""
    code = [
        (_LOAD, 0, 0, _OFFSET_MACHINE),
        (_JUMP_EQUAL, 1, 0, _AUDIT_MACHINE[machine]),
        (_RETURN, 0, 0, KILL_PROCESS),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
    ]
    if machine == "x86_64":
        code += [(_JUMP_ABOVE, 0, 1, _X32_BIT), (_RETURN, 0, 0, KILL_PROCESS)]
    conditions = _CONDITIONS[role]
    for name, number in sorted(allowed(machine, role).items(), key=lambda item: item[1]):
        body = _test(conditions[name]) if name in conditions else [(_RETURN, 0, 0, ALLOW)]
        code += [(_JUMP_EQUAL, 0, len(body), number), *body]
    code += [
        (_JUMP_ABOVE, 0, 1, FIRST_MODERN),
        (_RETURN, 0, 0, ERRNO | errno.ENOSYS),
        (_RETURN, 0, 0, ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _test(condition: Condition) -> list[tuple[int, int, int, int]]:
    """Instructions that end in a verdict. Both machines are little-endian: the low half of an argument comes first."""
    code = [(_LOAD, 0, 0, _OFFSET_ARGUMENTS + 8 * condition.argument)]
    if condition.mask != 0xFFFFFFFF:
        code.append((_AND, 0, 0, condition.mask))
    for value in condition.values:
        code += [(_JUMP_EQUAL, 0, 1, value), (_RETURN, 0, 0, ALLOW)]
    return [*code, (_RETURN, 0, 0, ERRNO | condition.error)]
