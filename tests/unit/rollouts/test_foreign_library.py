"""What a library changes of the process is put back; a call that fails is one line, one that hangs ends the process."""

import gc
import logging
import os
import random
import subprocess
import sys
import warnings
import weakref

import numpy as np
import pytest
import torch

from prorl.errors import RunFailed, UserError
from prorl.rollouts.foreign_library import Watched, buckets, log_file, output_to, process_kept


def test_what_a_library_changes_is_put_back(monkeypatch):
    monkeypatch.setenv("PRORL_A", "before")
    monkeypatch.setenv("PRORL_B", "gone")
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    wanted = float(torch.rand(())), float(np.random.rand()), random.random()
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    function, threads, level = torch.set_num_threads, torch.get_num_threads(), logging.getLogger().level
    with process_kept("OTHER_"):
        os.environ.update(PRORL_A="after", PRORL_C="new", OTHER_D="kept")
        del os.environ["PRORL_B"]
        torch.manual_seed(0), np.random.seed(0), random.seed(0)
        torch.set_num_threads(threads + 1)
        torch.set_num_threads = lambda number: None
        torch.set_default_dtype(torch.bfloat16)
        torch.set_float32_matmul_precision("medium")
        torch.set_grad_enabled(False)
        logging.getLogger().setLevel(1)
        warnings.simplefilter("error")
        gc.freeze()
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    assert os.environ["PRORL_A"] == "before"
    assert os.environ["PRORL_B"] == "gone"
    assert "PRORL_C" not in os.environ
    assert os.environ.pop("OTHER_D") == "kept"
    assert (float(torch.rand(())), float(np.random.rand()), random.random()) == wanted
    assert torch.set_num_threads is function
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() is torch.float32
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.is_grad_enabled()
    assert logging.getLogger().level == level
    assert gc.get_freeze_count() == 0
    assert len(os.sched_getaffinity(0)) == (os.cpu_count() or 1)


def test_output_goes_to_the_file_also_that_of_child_processes(tmp_path, capfd):
    path = tmp_path / "log"
    os.write(1, b"first\n")
    with output_to(path):
        os.write(1, b"from below\n")
        print("from python", file=sys.__stdout__)
        subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('from a child\\n')"], check=True)
    os.write(1, b"last\n")
    assert capfd.readouterr().out == "first\nlast\n"
    assert sorted(path.read_text().splitlines()) == ["from a child", "from below", "from python"]


def test_the_log_is_one_file_a_process():
    assert log_file("some") == log_file("some")
    assert log_file("some").is_file()


def test_a_failing_call_is_one_line_and_the_log_has_the_rest(tmp_path):
    watched = Watched("Some", tmp_path / "log")
    with pytest.raises(RunFailed, match=r"^Some could not count \(KeyError: 'a b'\); its log: .*log$"):  # noqa: SIM117
        with watched.call("count", 60.0):
            raise KeyError("a b")
    assert "Traceback" in (tmp_path / "log").read_text()
    for error in (UserError("mine"), RunFailed("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)), watched.call("count", 60.0):
            raise error
    with watched.call("count", 60.0):
        pass
    watched.close()
    watched.close()


HANGS = """
import sys, time
from pathlib import Path
from prorl.rollouts import foreign_library
foreign_library._POLL_SECONDS = 0.05
foreign_library._GRACE_SECONDS = 0.3
watched = foreign_library.Watched("Some", Path(sys.argv[1]))
with watched.call("begin", 60.0):
    pass
with foreign_library.output_to(Path(sys.argv[1])), watched.call("end", 0.2):
    {hang}
"""


@pytest.mark.parametrize(
    ("hang", "said"),
    [
        ("time.sleep(60)", "prorl: Some did not end in time; its log, with the stack: {log}\n"),
        # Holds the interpreter's lock, so that no thread can say anything.
        ("import ctypes; ctypes.PyDLL(None).sleep(60)", ""),
    ],
)
def test_a_call_that_hangs_ends_the_process_with_code_1_and_its_stack_in_the_log(tmp_path, hang, said):
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", HANGS.format(hang=hang), log], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr == said.format(log=log)
    assert '"<string>", line 10' in log.read_text() or 'File "<string>"' in log.read_text()


def test_buckets_hold_every_item_in_order_and_no_more_than_the_limit():
    sizes = [3, 1, 4, 1, 5, 9, 2, 6]
    items = [(str(i), torch.zeros(size)) for i, size in enumerate(sizes)]
    found = list(buckets(items, 24))  # six numbers of four bytes
    assert [[int(name) for name, _ in bucket] for bucket in found] == [[0, 1], [2, 3], [4], [5], [6], [7]]
    assert list(buckets([], 24)) == []


def test_a_bucket_that_is_cleared_is_not_held():
    alive = weakref.WeakSet()

    def values():
        for number in range(8):
            value = torch.zeros(4)
            alive.add(value)
            yield str(number), value
            del value

    most = 0
    for bucket in buckets(values(), 32):
        most = max(most, len(alive))
        bucket.clear()
    assert most <= 3  # two of a bucket, and the one that did not fit
