"""The line protocol between a measuring program and its workers, and what CPU time of a process tree is."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import workers
from workers import Worker, WorkerFailed, tree_cpu_seconds

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"
"""Uses so many CPU seconds."""


def worker(code: str, folder: Path) -> Worker:
    script = folder / "worker.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(Path(workers.__file__).parent)!r})\n{code}")
    return Worker([sys.executable, str(script)], {}, folder / "log.txt")


@linux_only
def test_a_worker_does_one_step_at_a_time(tmp_path: Path) -> None:
    code = """
from workers import Channel
channel = Channel()
print("for standard error", flush=True)
for number in range(3):
    channel.report({"number": number})
open("after", "w")
"""
    running = worker(code.replace("after", str(tmp_path / "after")), tmp_path)
    assert running.ready == {"number": 0}
    assert [running.step()["number"] for _ in range(2)] == [1, 2]
    running.close()
    assert not (tmp_path / "after").exists(), "it went on after the last step"
    assert (tmp_path / "log.txt").read_text() == "for standard error\n"


@linux_only
def test_a_step_is_charged_with_what_its_children_used(tmp_path: Path) -> None:
    code = f"""
import os
import subprocess
from workers import Channel
channel = Channel()
channel.report({{}})
{BURN.format(seconds=0.1)}
subprocess.run([sys.executable, "-c", {BURN.format(seconds=0.3)!r}])
channel.report({{}})
"""
    running = worker(code, tmp_path)
    report = running.step()
    running.close()
    assert report["cpu"] >= 0.4 - 0.02  # an ended child is counted in ticks of 10 ms
    assert running.idle_cpu < 0.1


@linux_only
def test_a_failing_worker_says_why(tmp_path: Path) -> None:
    with pytest.raises(WorkerFailed, match=r"ended with 1\n(.*\n)*ValueError: out of cheese"):
        worker("raise ValueError('out of cheese')", tmp_path)


@linux_only
def test_a_live_child_counts_too() -> None:
    code = BURN.format(seconds=0.2) + "print(flush=True)\ninput()\n"
    before = tree_cpu_seconds(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        own = time.process_time()
        assert tree_cpu_seconds(child.pid) >= 0.2
        assert tree_cpu_seconds(os.getpid()) - before >= 0.2
        assert time.process_time() >= own
        child.communicate("\n")
