"""Sandboxes leave nothing behind, die with their worker, and work for users who are not root."""

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import prorl
from prorl.rewards.sandbox.identity import is_root, private_user
from prorl.rewards.sandbox.interface import Input, Limits
from prorl.rewards.sandbox.interpreter import find_interpreter
from prorl.rewards.sandbox.scratch import PREFIX, UNLOCKED_SECONDS, scratch_folder, sweep
from prorl.rewards.sandbox.selection import open_sandbox

SOURCE = str(Path(prorl.__file__).parents[1])
WORKER = """
import sys
from prorl.rewards.sandbox.interface import Input, Limits
from prorl.rewards.sandbox.selection import open_sandbox
sandbox = open_sandbox(sys.argv[1])
print("started", flush=True)
sandbox.run(sys.argv[2], [Input("")], Limits(total_seconds=60.0))
"""
MARK = "mark-of-test-life"
LINGER = f"# {MARK}\nimport signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass"
NOBODY = 65534


def descendants(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, level = set(), [pid]
    while level:
        level = [child for parent in level for child in children.get(parent, [])]
        found.update(level)
    return found


def is_running(pid: int) -> bool:
    """Not where only its entry is left for process 1 to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: object, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_killed_worker_takes_its_sandbox_along(backend: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, backend, LINGER],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": SOURCE},
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"started\n"
        # The interpreter and the program's fork; bubblewrap has a process before them.
        expected = 2 if backend == "landlock" else 3
        assert wait_for(lambda: len(descendants(worker.pid)) == expected, 5.0)
        time.sleep(0.2)
        family = descendants(worker.pid)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert wait_for(lambda: not any(map(is_running, family)), 1.0)


def test_many_runs_leave_nothing(backend: str) -> None:
    sandbox = open_sandbox(backend)
    tests = [Input("")]
    sandbox.run("print(1)", tests, Limits())
    folder = Path(tempfile.gettempdir())
    user = private_user(0) or os.getuid()
    gc.collect()  # what earlier tests left to it is not this test's
    before = len(os.listdir("/proc/self/fd")), descendants(os.getpid())
    for number in range(200 if backend == "landlock" else 60):
        source = "import time; time.sleep(9)" if number % 50 == 49 else "print(1)"
        sandbox.run(source, tests, Limits(total_seconds=0.1 if number % 50 == 49 else 20.0))
    assert len(os.listdir("/proc/self/fd")) <= before[0]
    assert descendants(os.getpid()) == before[1]
    assert not [path for path in folder.glob(f"{PREFIX}*") if path.stat().st_uid == user and is_root()]


def test_folder_of_a_killed_worker_is_swept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{PREFIX}left"
    fresh = tmp_path / f"{PREFIX}fresh"
    for path in (left, fresh):
        path.mkdir()
    (left / "file").write_text("x")
    with scratch_folder(0) as used:
        old = time.time() - UNLOCKED_SECONDS - 1
        for path in (left, Path(used)):
            os.utime(path, (old, old))
        sweep()
        assert sorted(tmp_path.iterdir()) == sorted([fresh, Path(used)])
    assert list(tmp_path.iterdir()) == [fresh]


AS_NOBODY = """
import json, os, sys
folder, backend = sys.argv[1:]
sys.path.insert(0, folder)
from prorl.rewards.sandbox.interface import Input, Limits, SandboxUnavailable
from prorl.rewards.sandbox.selection import open_sandbox, survey
sandbox = open_sandbox(backend)
programs = ["import os; print(os.getuid())", "import os; os.kill(os.getppid(), 9)", "import os; os.fork()",
            "open('/etc/passwd')", "import os; os.kill(%d, 9)" % os.getpid(), "open('/proc/%d/mem' % os.getppid())",
            "open('x', 'w').write('y'); print(open('x').read())", "import socket; socket.socket()"]
print(json.dumps([[r.status, r.output] for p in programs for r in sandbox.run(p, [Input("")], Limits()).results]))
"""


@pytest.mark.skipif(not is_root(), reason="the other tests already run as another user")
def test_user_without_rights_can_run_programs(backend: str, tmp_path: Path) -> None:
    interpreter = find_interpreter(for_others=True)
    if interpreter.version < (3, 11):
        pytest.skip("no Python of the package's version that others can run")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        subprocess.run(["cp", "-r", str(Path(prorl.__file__).parent), name], check=True)
        subprocess.run(["chmod", "-R", "a+rX", name], check=True)
        answer = subprocess.run(
            [interpreter.executable, "-c", AS_NOBODY, name, backend],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
    assert answer.returncode == 0, answer.stderr
    first, *bad, scratch, network = json.loads(answer.stdout)
    assert first == ["ok", f"{NOBODY}\n"]
    assert scratch == ["ok", "y\n"]
    assert [status for status, _ in [*bad, network]] == ["crashed"] * 6


def test_signals_blocked_by_the_worker_reach_the_program(backend: str) -> None:
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        source = "import signal, time\nsignal.alarm(1)\ntime.sleep(9)"
        (result,) = open_sandbox(backend).run(source, [Input("")], Limits()).results
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    assert (result.status, result.detail) == ("crashed", "signal SIGALRM")
