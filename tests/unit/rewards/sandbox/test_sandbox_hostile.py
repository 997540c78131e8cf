"""Hostile programs: none gets out, leaves anything behind, or outlives its clock; run through every local backend."""

import json
import os
import platform
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prorl.rewards.sandbox.confinement import BOOT
from prorl.rewards.sandbox.identity import is_root, private_user
from prorl.rewards.sandbox.interface import Input, Limits, Sandbox
from prorl.rewards.sandbox.scratch import PREFIX

PRELUDE = "import json, os, sys\nF = json.loads(sys.stdin.readline())\n"
LIMITS = Limits(total_seconds=0.5, memory_mb=400, output_bytes=2**20, scratch_bytes=8 * 2**20)
SLACK_SECONDS = 4.0
"""For a loaded machine; a program that is never ended would take for ever."""
BAD = {"crashed", "timeout", "memory", "output"}
RAW = "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"

NETWORK = {
    "tcp": "import socket; socket.create_connection(('127.0.0.1', F['tcp']))",
    "udp": "import socket; socket.socket(2, 2).sendto(b'x', ('127.0.0.1', F['udp']))",
    "unix path": "import socket; socket.socket(1).connect(F['unix'])",
    "unix abstract": "import socket; socket.socket(1).connect('\\0' + F['abstract'])",
    "unix pair": "import socket; a, b = socket.socketpair(); b.sendto(b'x', F['unix'])",
    "netlink": "import socket; socket.socket(16, 3, 0).bind((0, 0))",
    "packet": "import socket; socket.socket(17, 3, 0)",
    "listen": "import socket; s = socket.socket(); s.bind(('', 0)); s.listen()",
    "urllib": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:%d' % F['tcp'])",
}
FILES = {
    "read secret": "print('ESCAPED', open(F['secret']).read())",
    "read passwd": "print('ESCAPED', open('/etc/passwd').read())",
    "list tmp": "print('ESCAPED', os.listdir(F['folder']))",
    "list root": "print('ESCAPED', os.listdir('/root' if os.path.exists('/root') else '/home'))",
    "read up": "print('ESCAPED', os.listdir('..'), open('../' + os.path.basename(F['secret'])).read())",
    "write tmp": "open(F['target'], 'w')",
    "write var tmp": "open('/var/tmp/' + F['name'], 'w')",
    "write shm": "open('/dev/shm/' + F['name'], 'w')",
    "write home": "open(os.path.expanduser('~') + '/' + F['name'], 'w')",
    "append sentinel": "open(F['sentinel'], 'a').write('x')",
    "truncate sentinel": "os.truncate(F['sentinel'], 0)",
    "unlink sentinel": "os.unlink(F['sentinel'])",
    "rename sentinel": "os.rename(F['sentinel'], 'mine')",
    "chmod sentinel": "os.chmod(F['sentinel'], 0o777)",
    "utime sentinel": "os.utime(F['sentinel'], (1, 1))",
    "xattr sentinel": "os.setxattr(F['sentinel'], 'user.x', b'y')",
    "hard link": "os.link(F['sentinel'], 'mine'); open('mine', 'a').write('x')",
    "symlink": "os.symlink(F['secret'], 'mine'); print('ESCAPED', open('mine').read())",
    "setuid file": "open('s', 'w').close(); os.chmod('s', 0o4777)",
    "fifo": "os.mkfifo('pipe')",
    "device": "os.mknod('d', 0o60666, os.makedev(254, 0))",
    "deep folders": "while True: os.mkdir('d'); os.chdir('d')",
    "site-packages": "import json; open(os.path.dirname(json.__file__) + '/' + F['name'], 'w')",
    "huge file": "f = open('big', 'wb')\nwhile True: f.write(bytes(2**20)); f.flush()",
    "many big files": "for i in range(99): open('f%d' % i, 'wb').write(bytes(4 * 2**20))\nimport time; time.sleep(9)",
    "many files": "i = 0\nwhile True: open('f%d' % i, 'w').close(); i += 1",
    "allocate": "os.posix_fallocate(os.open('f', os.O_CREAT | os.O_WRONLY), 0, 4096)",
    "nameless file": "os.open('.', os.O_TMPFILE | os.O_RDWR)",
    "core pattern": "open('/proc/sys/kernel/core_pattern', 'r+')",
    "sysfs": "print('ESCAPED', os.listdir('/sys'))",
    "cgroup": "open('/sys/fs/cgroup/' + F['name'], 'w')",
}
PROCESSES = {
    "fork": "os.fork()\nimport time; time.sleep(30)",
    "fork bomb": "while True:\n    try: os.fork()\n    except BlockingIOError: pass",
    "vfork": RAW + "print('ESCAPED' if libc.vfork() >= 0 else 1 / 0)",
    "clone": RAW + "print('ESCAPED') if libc.syscall(56, 17, 0, 0, 0, 0) >= 0 else 1 / 0",
    "clone3": RAW + "print('ESCAPED') if libc.syscall(435, bytes([0] * 32 + [17] + [0] * 31), 64) >= 0 else 1 / 0",
    "daemon": "if os.fork() == 0:\n    os.setsid()\n    os.fork()\n    import time; time.sleep(30)",
    "setsid": "os.setsid()",
    "setpgid": "os.setpgid(0, 0)",
    "exec": "os.execv('/bin/sh', ['sh', '-c', 'echo ESCAPED'])",
    "exec own": "os.execv(sys.executable, ['python', '-c', 'print(\"ESCAPED\")'])",
    "subprocess": "import subprocess; print('ESCAPED', subprocess.check_output(['/bin/echo', 'hi']))",
    "system": "sys.exit('no shell') if os.system('echo ESCAPED') else None",
    "multiprocessing": "import multiprocessing; multiprocessing.Process(target=print, args=('ESCAPED',)).start()",
    "posix_spawn": "os.posix_spawn('/bin/sh', ['sh', '-c', 'echo ESCAPED'], {})",
    "exec memory file": "f = os.memfd_create('x'); os.write(f, b'#!/bin/sh'); os.execve(f, ['x'], {})",
    "forge the channel": "for n in range(3, 300):\n"
    "    try: os.write(n, b'done 0 -')\n    except OSError: pass\nimport time; time.sleep(0.1); 1 / 0",
    "kill parent": "os.kill(os.getppid(), 9)",
    "kill group": "os.killpg(0, 9)",
    "kill all": "os.kill(-1, 9)",
    "kill trainer": "os.kill(F['pid'], 9)",
    "kill sibling": "os.kill(F['process'], 9)",
    "pidfd": "import signal; signal.pidfd_send_signal(os.pidfd_open(F['process']), 9)",
    "tkill": RAW + "sys.exit(0 if libc.syscall(200, F['process'], 9) == 0 else 3)",
    "ptrace": RAW + "sys.exit(0 if libc.ptrace(16, os.getppid(), 0, 0) == 0 else 3)",
    "process_vm_readv": RAW
    + "b = bytes(64); sys.exit(0 if libc.process_vm_readv(os.getppid(), b, 1, b, 1, 0) > 0 else 3)",
    "memory of parent": "print('ESCAPED', len(open('/proc/%d/mem' % os.getppid(), 'rb').read(1)))",
    "environment of parent": "print('ESCAPED', open('/proc/%d/environ' % F['pid']).read())",
    "command lines": "for p in os.listdir('/proc'): print('ESCAPED', open(f'/proc/{p}/cmdline').read())",
    "descriptors of parent": "print('ESCAPED', os.listdir('/proc/%d/fd' % os.getppid()))",
    "affinity of parent": "os.sched_setaffinity(os.getppid(), {0})",
    "priority": "os.setpriority(os.PRIO_PROCESS, 0, -5)",
    "limits of parent": "import resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0))",
    "raise limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "unshare": RAW + "sys.exit(0 if libc.unshare(0x10000000) == 0 else 3)",
    "mount": RAW + "sys.exit(0 if libc.mount(b'none', b'.', b'tmpfs', 0, b'') == 0 else 3)",
    "death signal": RAW + "sys.exit(0 if libc.prctl(1, 0, 0, 0, 0) == 0 else 3)",
    "dumpable": RAW + "sys.exit(0 if libc.prctl(4, 1, 0, 0, 0) == 0 else 3)",
    "setuid": "os.setuid(0)",
    "tracing": RAW + "sys.exit(0 if libc.syscall(298, bytes(128), 0, -1, -1, 0) >= 0 else 3)",
}
KERNEL = {
    "io_uring": RAW + "sys.exit(0 if libc.syscall(425, 8, bytes(120)) >= 0 else 3)",
    "bpf": RAW + "sys.exit(0 if libc.syscall(321, 0, bytes(72), 72) >= 0 else 3)",
    "userfaultfd": RAW + "sys.exit(0 if libc.syscall(323, 1) >= 0 else 3)",
    "keyring": RAW + "sys.exit(0 if libc.syscall(248, b'user', b'x', b'y', 1, -3) >= 0 else 3)",
    "shared memory": RAW + "sys.exit(0 if libc.shmget(0, 4096, 0o1600) >= 0 else 3)",
    "message queue": RAW + "sys.exit(0 if libc.msgget(0, 0o1600) >= 0 else 3)",
    "memory file": "os.memfd_create('x')",
    "inotify": RAW + "sys.exit(0 if libc.inotify_init() >= 0 else 3)",
    "x32 getpid": RAW + "libc.syscall(0x40000000 + 39); sys.exit(0)",
    "int 0x80": "import ctypes, mmap\n"
    "page = mmap.mmap(-1, 4096, prot=7)\n"
    "page.write(bytes.fromhex('b814000000cd80c3'))\n"
    "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()",
    "seccomp again": RAW + "sys.exit(0 if libc.prctl(22, 2, bytes(16), 0, 0) == 0 else 3)",
    "timers": RAW + "sys.exit(0 if libc.syscall(222, 0, None, bytes(8)) == 0 else 3)",
    "terminal": "import fcntl; fcntl.ioctl(0, 0x5412, b'x')",
}
RESOURCES = {
    "sleep": "import time; time.sleep(60)",
    "busy": "while True: pass",
    "busy threads": "import threading\nfor _ in range(8):\n"
    "    threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()",
    "stop": "import signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "ignore signals": "import signal\nfor n in (2, 15, 24, 25): signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
    "signal storm": "import signal\nsignal.signal(10, lambda *a: os.kill(os.getpid(), 10))\n"
    "os.kill(os.getpid(), 10)\nwhile True: pass",
    "interval timer": "import signal\nsignal.signal(14, lambda *a: None); signal.setitimer(0, 1e-5, 1e-5)\nwhile 1: 0",
    "threads": "import threading, time\nfor _ in range(10000): threading.Thread(target=time.sleep, args=(60,)).start()",
    "endless exit": "import atexit\natexit.register(lambda: [0 for _ in iter(int, 1)])",
    "stuck thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()",
    "memory": "x = [0] * 10**9",
    "memory slowly": "x = []\nwhile True: x.append(bytes(10**6))",
    "big number": "x = 9 ** 9 ** 9",
    "text": "x = 'a' * 10**12",
    "output": "while True: sys.stdout.write('x' * 10**5)",
    "errors": "while True: sys.stderr.write('x' * 10**5)",
    "raw output": "while True: os.write(1, b'x' * 10**5)",
    "recursion": "sys.setrecursionlimit(10**9)\nf = lambda: f()\nf()",
    "stack of C": "sys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)",
    "segfault": "import ctypes; ctypes.string_at(1)",
    "abort": "os.abort()",
    "illegal": "import ctypes, mmap\npage = mmap.mmap(-1, 4096, prot=7); page.write(bytes.fromhex('0f0b'))\n"
    "ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()",
    "kill self": "os.kill(os.getpid(), 9)",
    "descriptors": "fs = []\nwhile True: fs.append(os.dup(1))",
    "pipes": "fs = []\nwhile True:\n"
    "    fs.append(os.pipe()); os.set_blocking(fs[-1][1], False); os.write(fs[-1][1], bytes(65536))",
    "lock memory": RAW + "sys.exit(0 if libc.mlockall(3) == 0 else 3)",
    "exit code": "os._exit(7)",
    "deep source": "eval('(' * 10**5 + ')' * 10**5)",
}
PROGRAMS = {
    name: text
    for name, text in {**NETWORK, **FILES, **PROCESSES, **KERNEL, **RESOURCES}.items()
    if platform.machine() == "x86_64" or not ("syscall(" in text or "fromhex" in text)
}

HARMLESS = {
    "forge answer": "os.write(1, b'done 0 -\\n')",
    "close all": "os.closerange(0, 300)\nos._exit(0)",
    "frames": "f = sys._getframe()\nwhile f: print(sorted(f.f_locals)); f = f.f_back",
    "environment": "print(dict(os.environ))",
    "unshared exec": "import ctypes; print(ctypes.CDLL(None).getpid() == os.getpid())",
}


@dataclass(frozen=True)
class World:
    """What a program would like to reach, and traps that tell whether it did."""

    folder: Path
    facts: dict[str, object]
    sockets: tuple[socket.socket, ...]
    process: subprocess.Popen[bytes]
    sentinel: Path

    def state(self) -> tuple[object, ...]:
        """Changes where a program got through."""
        touched = [one.getsockname() for one in self.sockets if _is_ready(one)]
        status = self.sentinel.stat()
        name = str(self.facts["name"])
        folders = [Path(folder) for folder in ("/tmp", "/var/tmp", "/dev/shm", Path.home(), Path(json.__file__).parent)]
        outside = [folder for folder in folders if (folder / name).exists()]
        return (
            touched,
            outside,
            Path(str(self.facts["target"])).exists(),
            self.sentinel.read_text(),
            (status.st_mode, status.st_mtime_ns, status.st_nlink),
            self.process.poll(),
            sorted(path.name for path in self.folder.iterdir()),
        )


def _is_ready(one: socket.socket) -> bool:
    one.settimeout(0)
    try:
        if one.type == socket.SOCK_STREAM:
            one.accept()
        else:
            one.recv(1)
    except BlockingIOError:
        return False
    return True


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="prorl-outside-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        secret, sentinel = folder / "secret", folder / "sentinel"
        secret.write_text("the expected output")
        sentinel.write_text("unchanged")
        user = private_user(0)
        for path in (secret, sentinel):
            path.chmod(0o666)
            if user:
                os.chown(path, user, user)
        tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        unix, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        unix.bind(str(folder / "unix"))
        (folder / "unix").chmod(0o777)
        abstract.bind(f"\0{folder.name}")
        for one in (unix, abstract):
            one.listen()
        process = subprocess.Popen(["sleep", "600"], user=user or None, group=user or None, cwd="/")
        facts = {
            "secret": str(secret),
            "sentinel": str(sentinel),
            "folder": str(folder),
            "target": str(folder / "target"),
            "name": f"{folder.name}-target",
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "unix": str(folder / "unix"),
            "abstract": folder.name,
            "pid": os.getpid(),
            "process": process.pid,
        }
        yield World(folder, facts, (tcp, udp, unix, abstract), process, sentinel)
        process.kill()
        process.wait()
        for one in (tcp, udp, unix, abstract):
            one.close()


def processes_left(world: World) -> list[str]:
    """Of this test's sandboxes: by their user where we are root, else by their command line and parent."""
    found, user = [], private_user(0) or os.getuid()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == world.process.pid:
            continue
        try:
            ours = folder.stat().st_uid == user
            if is_root():
                ours |= f"\nUid:\t{user}\t" in (folder / "status").read_text()
            else:
                ours &= BOOT.encode() in (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if ours:
            found.append(folder.name)
    return found


def scratch_folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def run_contained(sandbox: Sandbox, world: World, program: str) -> tuple[str, str]:
    """Status and output of a program, once all traps are found as they were."""
    before = world.state()
    scratch_before, user = scratch_folders(), private_user(0)
    started = time.monotonic()
    report = sandbox.run(PRELUDE + program, [Input(json.dumps(world.facts))], LIMITS)
    assert time.monotonic() - started < LIMITS.total_seconds + SLACK_SECONDS
    result = report.results[0]
    assert processes_left(world) == []
    assert world.state() == before
    assert not {path for path in scratch_folders() - scratch_before if path.stat().st_uid == (user or os.getuid())}
    assert "ESCAPED" not in result.output
    assert "expected output" not in result.output
    return result.status, result.output


@pytest.mark.parametrize("name", PROGRAMS)
def test_hostile_program_is_contained(sandbox: Sandbox, world: World, name: str) -> None:
    status, _ = run_contained(sandbox, world, PROGRAMS[name])
    assert status in BAD


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_program_does_no_harm(sandbox: Sandbox, world: World, name: str) -> None:
    status, output = run_contained(sandbox, world, HARMLESS[name])
    assert status == "ok", output
