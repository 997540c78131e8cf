"""Runs on a cluster of this machine: equal to torchrun's, also when a rank is killed; refusals; Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from runs import ENVIRONMENT, RECIPE, records, reproducible, usual_signals, write_recipe

BIN = Path(sys.executable).parent
TWO_RANKS = "[cluster]\nranks = 2\n"
CLOCK = 1500


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A cluster of one node with three CPUs; gives the environment of commands that are to use it."""
    folder = tmp_path_factory.mktemp("ray", numbered=True)
    address = f"127.0.0.1:{free_port()}"
    settings = {**ENVIRONMENT, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "RAY_TMPDIR": str(folder)}
    settings["RAY_AUTH_MODE"] = "disabled"  # unset, it depends on whether the user ever had a token
    start = [str(BIN / "ray"), "start", "--head", "--block", "--num-cpus=3", "--object-store-memory=100000000"]
    start += [f"--port={address.rpartition(':')[2]}", "--include-dashboard=false", "--node-ip-address=127.0.0.1"]
    start += [f"--ray-client-server-port={free_port()}", f"--temp-dir={folder}"]
    with (folder / "ray.log").open("w") as log:
        head = subprocess.Popen(start, stdout=log, stderr=log, env=settings, start_new_session=True)
        deadline = time.monotonic() + 300
        while "Ray runtime started" not in (folder / "ray.log").read_text():
            assert head.poll() is None, (folder / "ray.log").read_text()
            assert time.monotonic() < deadline, (folder / "ray.log").read_text()
            time.sleep(0.5)
        yield {**ENVIRONMENT, "RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}
        head.send_signal(signal.SIGTERM)
        try:
            head.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)


def launched(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen:
    command = [str(BIN / "prorl"), "train", *arguments]
    with (folder / "output").open("w") as output:
        return subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=environment, preexec_fn=usual_signals
        )


def finished(folder: Path, environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    code = launched(folder, environment, *arguments).wait(CLOCK)
    return code, (folder / "output").read_text()


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def workers(folder: Path) -> list[int]:
    """The processes of ranks: they work in the folder where the command was started."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            name = (process / "cmdline").read_bytes()
            if name.startswith(b"ray::") and (process / "cwd").resolve() == folder.resolve():
                found.append(int(process.name))
        except OSError:
            continue
    return sorted(found)


def when_step(run: subprocess.Popen, folder: Path, step: int) -> None:
    """Wait until the run has written a step."""
    deadline = time.monotonic() + CLOCK
    while not ((folder / "metrics.jsonl").exists() and len(records(folder)) >= step):
        assert run.poll() is None, (folder.parent / "output").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def weights(folder: Path) -> dict:
    return {
        name: tensor
        for part in sorted((folder / "checkpoints" / "step_12" / "policy").glob("*.safetensors"))
        for name, tensor in load_file(part).items()
    }


def test_a_killed_rank_changes_nothing(cluster: dict[str, str], tmp_path: Path) -> None:
    write_recipe(tmp_path, RECIPE + TWO_RANKS)
    torchrun = [str(BIN / "torchrun"), "--nproc-per-node", "2", "--master-port", str(free_port()), "--no-python"]
    plain = [*torchrun, str(BIN / "prorl"), "train", "tiny.toml", "--out", "plain"]
    subprocess.run(plain, cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True, timeout=CLOCK)

    run = launched(tmp_path, cluster, "tiny.toml", "--out", "cluster", "--cluster", "ray")
    when_step(run, tmp_path / "cluster", 5)
    os.kill(workers(tmp_path)[-1], signal.SIGKILL)
    assert run.wait(CLOCK) == 0, (tmp_path / "output").read_text()

    assert reproducible(tmp_path / "cluster") == reproducible(tmp_path / "plain")
    mine, theirs = weights(tmp_path / "cluster"), weights(tmp_path / "plain")
    assert mine.keys() == theirs.keys()
    assert all(mine[name].equal(theirs[name]) for name in mine)
    resumed = [event for event in records(tmp_path / "cluster", "events") if event["event"] == "resume"]
    assert [event["step"] % 2 for event in resumed] == [0]  # the checkpoint before, one every two steps
    text = (tmp_path / "output").read_text()
    # Whichever is heard first: that the process died, or that the other's connection broke.
    assert "rank 1 is lost (its process died)" in text or "a rank is lost (rank 0 says: " in text
    assert f"resumed at step {resumed[0]['step']}" in text
    assert {path.name for path in (tmp_path / "cluster" / "ray").iterdir()} == {"rank_0.log", "rank_1.log"}

    # The folder is taken now, and one rank may go on where two stood.
    code, text = finished(tmp_path, cluster, "tiny.toml", "--out", "cluster", "--cluster", "ray")
    assert code == 2
    assert last_line(text).startswith("prorl: cluster: holds a run already; go on with --resume")


def test_ctrl_c_saves_and_any_launcher_goes_on(cluster: dict[str, str], tmp_path: Path) -> None:
    write_recipe(tmp_path, RECIPE)
    run = launched(tmp_path, cluster, "tiny.toml", "--out", "a", "--cluster", "ray", "--set", "train.steps=2000")
    when_step(run, tmp_path / "a", 3)
    run.send_signal(signal.SIGINT)
    assert run.wait(CLOCK) == 130, (tmp_path / "output").read_text()
    text = (tmp_path / "output").read_text()
    assert "the ranks save at the next safe point" in text
    saved = int((tmp_path / "a" / "checkpoints" / "latest").read_text().removeprefix("step_"))
    assert f"saved step {saved} in " in text
    again = ["tiny.toml", "--out", "a", "--resume", "--set", f"train.steps={saved + 1}", "--set", "cluster.ranks=7"]
    assert finished(tmp_path, ENVIRONMENT, *again)[0] == 0
    assert [record["step"] for record in records(tmp_path / "a")] == list(range(1, saved + 2))


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "cluster.ranks=9",
            "prorl: cluster.ranks = 9: the cluster has 3 CPUs and 0 GPUs on 1 node and holds 3 ranks of 1 CPU each; "
            "set cluster.ranks = 3, or start more nodes",
        ),
        ('data.sources=[{source = "missing.jsonl"}]', "prorl: data.sources: source = missing.jsonl: no such file"),
    ],
)
def test_refusals_are_one_line(cluster: dict[str, str], tmp_path: Path, override: str, line: str) -> None:
    write_recipe(tmp_path, RECIPE)
    code, text = finished(tmp_path, cluster, "tiny.toml", "--out", "a", "--cluster", "ray", "--set", override)
    assert code == 2
    assert last_line(text).startswith(line)
    assert not (tmp_path / "a" / "config.toml").exists()


def test_an_address_where_nobody_is(tmp_path: Path) -> None:
    write_recipe(tmp_path, RECIPE)
    address = f"ray://127.0.0.1:{free_port()}"
    code, text = finished(tmp_path, ENVIRONMENT, "tiny.toml", "--out", "a", "--cluster", address)
    assert code == 2
    assert text == (
        f"prorl: --cluster: nothing answers at {address} (Connection refused); is Ray's head node up, and the port "
        "open?\n"
    )
    assert not (tmp_path / "a").exists()


def test_a_cluster_that_asks_for_a_token_is_named(tmp_path: Path) -> None:
    """Ray sends the token to no address that is given; what it says then does not tell."""
    home = {**ENVIRONMENT, "HOME": str(tmp_path)}
    ask = "from prorl.launch import ray_cluster; print(ray_cluster._token_advice())"
    command = [sys.executable, "-c", ask]
    assert subprocess.run(command, env=home, capture_output=True, text=True, check=True).stdout == "\n"
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("t")
    advised = subprocess.run(command, env=home, capture_output=True, text=True, check=True).stdout
    assert advised == "; if the cluster asks for a token, set RAY_AUTH_MODE=token\n"
    home["RAY_AUTH_MODE"] = "disabled"
    assert subprocess.run(command, env=home, capture_output=True, text=True, check=True).stdout == "\n"
