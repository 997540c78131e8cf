"""A measurement that is killed goes on where it was: every sample and every number equals the uninterrupted one's."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest

from measurement_runs import SMALL, Bench, assert_same_rows, driven, num_rows, rows
from prorl import laboratory
from runs import ENVIRONMENT, usual_signals

KILLS = int(os.environ.get("PRORL_KILLS", "2"))
SAMPLES = 384 * max(KILLS, 2)
WHOLE = 2 * 2 * SAMPLES
"""Two models, two problems."""
COMMAND = ("boundary", "mini-base", "mini-base", *SMALL, "--max-level", 7, "--samples", SAMPLES, "--no-audit")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    done = subprocess.run(
        driven(1, *COMMAND, "--out", "out"), cwd=folder, capture_output=True, text=True, env=ENVIRONMENT, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert num_rows(folder / "out") == WHOLE
    return folder / "out"


@pytest.fixture
def bench(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    return Bench(monkeypatch, capfd)


def begin(cores, folder, *more):
    return subprocess.Popen(
        driven(cores, *COMMAND, *more, "--out", "out"),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=usual_signals,
    )


def wait_for_rows(process, folder, number):
    while num_rows(folder) < number:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)


@pytest.mark.parametrize("cores", [pytest.param(1, marks=pytest.mark.thorough), 2])
def test_killed_at_random_moments(bench, reference, tmp_path, cores):
    """PRORL_KILLS=10 for the long version. With two cores the base is sampled by a process of its own.

    That process must end with the first one, or the next would find its store in use.
    """
    rng, kept = random.Random(cores), {}
    for kill in range(KILLS):
        process = begin(cores, tmp_path)
        # On an idle machine the last part may hold all that is left.
        wait_for_rows(process, tmp_path / "out", max(num_rows(tmp_path / "out"), WHOLE * kill // (KILLS + 1)) + 1)
        time.sleep(rng.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        now = rows(tmp_path / "out")
        for name, of_stream in now.items():
            assert kept.get(name, {}).items() <= of_stream.items()
        kept = now
    before = num_rows(tmp_path / "out")
    assert bench(*COMMAND, "--out", "out") == 0, bench.err
    assert bench.drawn == WHOLE - before
    assert_same_rows(rows(tmp_path / "out"), rows(reference))
    assert (tmp_path / "out/boundary.json").read_bytes() == (reference / "boundary.json").read_bytes()


def test_the_second_process_is_killed(bench, reference, tmp_path, monkeypatch):
    """The first one says so at once and keeps what it drew."""
    started = []

    class Beside(laboratory._Beside):
        def __init__(self, order):
            super().__init__(order)
            started.append(self._process)
            self._process.send_signal(signal.SIGKILL)

    monkeypatch.setattr(laboratory, "_Beside", Beside)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert bench(*COMMAND, "--out", "out") == 1
    assert bench.err.count("\n") == 1
    assert "the process that sampled the base ended with -9" in bench.err
    assert "no sample is lost" in bench.err
    (killed,) = started
    assert killed.returncode == -9
    monkeypatch.undo()


def test_ctrl_c(bench, reference, tmp_path):
    """One line, exit code 130, what was drawn is kept, and the same command goes on."""
    process = begin(2, tmp_path)
    wait_for_rows(process, tmp_path / "out", 100)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert output.splitlines()[-1] == "given up; the same command goes on, the samples so far are in out/samples"
    assert not (tmp_path / "out/boundary.json").exists()
    before = num_rows(tmp_path / "out")
    assert before >= 100
    assert bench(*COMMAND, "--out", "out") == 0
    assert bench.drawn == WHOLE - before
    assert_same_rows(rows(tmp_path / "out"), rows(reference))


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and os.getuid() == 0
    if not mounted or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", place]).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", place], check=True)


def test_full_disk(bench, reference, tmp_path, small_disk):
    """One line, exit code 1; with room made the rest is drawn."""
    assert bench(*COMMAND, "--out", small_disk / "out") == 1
    (line,) = bench.err.splitlines()
    assert "disk is full" in line
    assert "make room and start again to go on" in line
    shutil.copytree(small_disk / "out", tmp_path / "out")
    assert bench(*COMMAND, "--out", "out") == 0
    assert_same_rows(rows(tmp_path / "out"), rows(reference))


def test_a_store_that_another_program_holds(bench, tmp_path):
    """Somebody looks into it for longer than a command waits."""
    assert bench(*COMMAND, "--samples", 4, "--out", "out") == 0
    (path,) = (tmp_path / "out/samples").glob("base-*.sqlite")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sample").fetchone()
        assert bench(*COMMAND, "--samples", 8, "--out", "out") == 2
    assert "another program is reading or writing it" in bench.err
    assert bench(*COMMAND, "--samples", 8, "--out", "out") == 0
    assert bench.drawn == 2 * 2 * 4
