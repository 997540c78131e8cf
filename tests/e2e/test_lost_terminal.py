"""A run does not depend on who watches it: closed pipes and terminals, full pipes, narrow encodings, a full disk."""

import errno
import io
import os
import signal
import subprocess
import sys
import time

import pytest

from prorl import metrics
from prorl.errors import RunFailed
from prorl.recipe import load_run
from prorl.terminal import LOG_SECONDS
from prorl.train import train
from runs import ENVIRONMENT, prorl, records, usual_signals, write_recipe

ENDLESS = [f"--set={option}" for option in ("train.steps=100000", "train.checkpoint_every=0", "reset.patience=0")]
ENDLESS += ["--set=evaluation.every=0"]


def launch(*arguments, stdout=subprocess.PIPE, preexec_fn=usual_signals):
    command = [sys.executable, "-m", "prorl.cli", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, preexec_fn=preexec_fn
    )


def wait_for_a_step(process, out):
    while not (out / "metrics.jsonl").exists() or not records(out):
        time.sleep(0.05)
        assert process.poll() is None, process.stderr.read()


def end(process):
    """What it wrote as errors, and its exit code."""
    with process.stderr:
        errors = process.stderr.read()
    return process.wait(), errors


def checkpoints(out):
    return sorted(path.name for path in (out / "checkpoints").glob("step_*"))


def test_the_reader_of_a_pipe_leaves(tmp_path):
    out = tmp_path / "run"
    process = launch("train", write_recipe(tmp_path), "--out", out, "--set", "evaluation.every=1")
    process.stdout.readline()
    process.stdout.close()
    assert end(process) == (0, "")
    assert records(out)[-1]["step"] == 12
    assert "step_12" in checkpoints(out)


def test_a_terminal_is_closed(tmp_path):
    """Its shell says so too, which is no second Ctrl-C."""
    out = tmp_path / "run"
    process = launch("train", write_recipe(tmp_path), "--out", out, *ENDLESS)
    wait_for_a_step(process, out)
    process.stdout.close()
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    assert end(process) == (130, "")
    assert checkpoints(out) == [f"step_{records(out)[-1]['step']}"]


def test_a_run_under_nohup_goes_on(tmp_path):
    out = tmp_path / "run"
    ignored = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = launch("train", write_recipe(tmp_path), "--out", out, **ignored)
    wait_for_a_step(process, out)
    process.send_signal(signal.SIGHUP)
    process.communicate()
    assert process.returncode == 0
    assert records(out)[-1]["step"] == 12


def test_ctrl_c_while_the_output_is_held_up(tmp_path):
    """The note of the interruption comes in the middle of a write that waits."""
    out = tmp_path / "run"
    reader, writer = os.pipe()
    process = launch("train", write_recipe(tmp_path), "--out", out, *ENDLESS, stdout=writer)
    wait_for_a_step(process, out)
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x")
    except BlockingIOError:
        os.set_blocking(writer, True)
    os.close(writer)
    time.sleep(LOG_SECONDS + 1.0)  # the next line is due, and waits
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    with os.fdopen(reader) as pipe:
        pipe.read()
    assert end(process) == (130, "")
    assert checkpoints(out) == [f"step_{records(out)[-1]['step']}"]


def test_a_folder_that_the_locale_has_no_letters_for(tmp_path, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "PYTHONIOENCODING", "ascii")
    out = tmp_path / "запуск"
    recipe = write_recipe(tmp_path)
    done = prorl("train", recipe, "--out", out, "--set", "train.steps=1")
    assert done.returncode == 0, done.stderr
    done = prorl("report", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(r"\u0437\u0430\u043f\u0443\u0441\u043a/report.html" + "\n")


def test_tensorboard_on_a_full_disk_does_not_hide_the_reason(tmp_path, monkeypatch):
    class Full:
        def __init__(self, folder, purge_step):
            pass

        def add_scalar(self, *arguments):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        close = add_scalar

    monkeypatch.setattr(metrics, "SummaryWriter", Full)
    run = load_run(str(write_recipe(tmp_path)), ["train.tensorboard=true"])
    with pytest.raises(RunFailed, match=r"No space left on device; the last good checkpoint is none"):
        train(run, tmp_path / "run", terminal=io.StringIO())
