"""Stage 3, rewards: the system calls that a sandboxed interpreter needs, by machine, and who may make them.

A list of what is allowed: a call that is missing here, or that a later kernel adds, is refused. Numbers are the
kernel's and never change. It does not build the filter: that is `filters.py`.
"""

from collections.abc import Mapping
from typing import Literal

Machine = Literal["x86_64", "aarch64"]
Role = Literal["program", "keeper", "launcher"]
"""`program`: a test's process; `keeper`: the harness that forks it; `launcher`: what starts its interpreter."""

MACHINES: tuple[Machine, ...] = ("x86_64", "aarch64")
FIRST_MODERN = 424
"""From here on numbers are equal on all machines; C libraries probe for these calls and expect ENOSYS."""

# name, number on x86_64, number on aarch64 (- where the machine has none)
_PROGRAM = """
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70,
lseek 8 62, close 3 57, close_range 436 436, dup 32 23, dup2 33 -, dup3 292 24, pipe 22 -, pipe2 293 59,
poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21,
epoll_wait 232 -, epoll_pwait 281 22, eventfd2 290 19,
open 2 -, openat 257 56, stat 4 -, fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291, access 21 -,
faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78, getdents 78 -, getdents64 217 61, getcwd 79 17,
chdir 80 49, fchdir 81 50, statfs 137 43, fstatfs 138 44, truncate 76 45, ftruncate 77 46,
fsync 74 82, fdatasync 75 83, flock 73 32, fadvise64 221 223, sendfile 40 71, copy_file_range 326 285, umask 95 166,
fcntl 72 25, ioctl 16 29,
mmap 9 222, munmap 11 215, mremap 25 216, mprotect 10 226, brk 12 214, madvise 28 233, msync 26 227,
membarrier 324 283,
rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigtimedwait 128 137,
rt_sigsuspend 130 133, sigaltstack 131 132, pause 34 -, kill 62 129, tgkill 234 131, rt_sigqueueinfo 129 138,
rt_tgsigqueueinfo 297 240, alarm 37 -, setitimer 38 103, getitimer 36 102, restart_syscall 219 128,
futex 202 98, set_robust_list 273 99, rseq 334 293, arch_prctl 158 -, set_tid_address 218 96, gettid 186 178,
getpid 39 172, getppid 110 173, getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getresuid 118 148,
getresgid 120 150, getgroups 115 158, getpgid 121 155, getpgrp 111 -, getsid 124 156, getrandom 318 278, uname 63 160,
sysinfo 99 179, times 100 153, getrusage 98 165, getrlimit 97 163, setrlimit 160 164, prlimit64 302 261, prctl 157 167,
getcpu 309 168, clone 56 220,
sched_yield 24 124, sched_getaffinity 204 123, sched_getparam 143 121, sched_getscheduler 145 120,
sched_get_priority_max 146 125, sched_get_priority_min 147 126, getpriority 140 141,
nanosleep 35 101, clock_nanosleep 230 115, clock_gettime 228 113, clock_getres 229 114, gettimeofday 96 169, time 201 -,
exit 60 93, exit_group 231 94, wait4 61 260, waitid 247 95
"""
_KEEPER = """
fork 57 -, vfork 58 -, recvmsg 47 212, unlink 87 -, unlinkat 263 35, pidfd_open 434 434,
seccomp 317 277, landlock_create_ruleset 444 444, landlock_add_rule 445 445, landlock_restrict_self 446 446
"""
_LAUNCHER = """
execve 59 221, capset 126 91, getsockname 51 204
"""


def _numbers(table: str, column: int) -> dict[str, int]:
    rows = [row.split() for row in table.replace("\n", " ").split(",")]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def allowed(machine: Machine, role: Role) -> Mapping[str, int]:
    """Name and number of every call that this role may make on this machine; some only with certain arguments."""
    column = 1 + MACHINES.index(machine)
    tables = {"program": [_PROGRAM], "keeper": [_PROGRAM, _KEEPER], "launcher": [_PROGRAM, _KEEPER, _LAUNCHER]}
    return {name: number for table in tables[role] for name, number in _numbers(table, column).items()}
