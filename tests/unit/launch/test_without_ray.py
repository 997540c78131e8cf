"""What of the launcher needs no Ray: the line where it is missing, a run less its placement, the folder, the stop."""

import fcntl
import importlib
import io
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from prorl.cli import main
from prorl.config import Cluster, Config, Run
from prorl.errors import UserError
from prorl.interrupt import Interrupts, stop_all
from prorl.launch import train_on_cluster
from prorl.recipe import difference, to_toml, without_placement
from prorl.run_folder import wait_until_free


def test_ray_missing_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'ray'", name="ray")

    monkeypatch.setattr(importlib, "import_module", missing)
    run = Run(name="r", phases=(Config(name="r"),))
    with pytest.raises(UserError) as caught:
        train_on_cluster(run, tmp_path / "a", "ray", resume=False, changes=(), terminal=io.StringIO())
    assert str(caught.value) == "--cluster ray: ray is not installed; pip install 'prorl[ray]'"
    assert not (tmp_path / "a").exists()


def test_a_wrong_cluster_is_refused_before_ray_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "quickstart", "--cluster", "slurm"]) == 2
    assert capsys.readouterr().err.startswith('prorl: --cluster "slurm": must be ray ')


def test_where_a_run_runs_is_no_part_of_it() -> None:
    one = Run(name="r", phases=(Config(name="a"), Config(name="b")))
    other = replace(one, phases=tuple(replace(config, cluster=Cluster(ranks=8)) for config in one.phases))
    assert difference(one, other) == ["cluster.ranks: 0 -> 8"]
    assert difference(without_placement(one), without_placement(other)) == []
    assert to_toml(without_placement(one)) == to_toml(without_placement(other))


def test_a_restart_waits_for_the_process_before_it(tmp_path: Path) -> None:
    wait_until_free(tmp_path, 60.0)  # nobody was there
    holder = (tmp_path / ".lock").open("w")
    fcntl.flock(holder, fcntl.LOCK_EX)
    start = time.monotonic()
    wait_until_free(tmp_path, 0.3)
    assert time.monotonic() - start >= 0.3
    threading.Timer(0.3, holder.close).start()
    wait_until_free(tmp_path, 60.0)
    assert holder.closed


def test_a_stop_from_another_thread_is_a_first_interrupt() -> None:
    said: list[str] = []
    with Interrupts(said.append, "stopping") as outer:
        found: list[bool] = []

        def inside() -> None:
            with Interrupts(said.append, "stopping too") as inner:
                stop_all()
                stop_all()
                found.append(inner.requested)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        assert found == [True]
        assert outer.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert sorted(said) == ["stopping", "stopping too"]
    stop_all()  # none is open
    assert len(said) == 2
