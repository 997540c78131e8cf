"""What befalls one of two ranks: each ends in one line, in bounded time, on all of them."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ranked_runs import PATHS
from runs import ENVIRONMENT, RECIPE, records, usual_signals, write_recipe

QUIET = ("--set", "evaluation.every=0", "--set", "reset.patience=0")


@pytest.fixture
def folder(tmp_path):
    write_recipe(tmp_path)
    return tmp_path


def start_two(*arguments: object, folders: tuple[Path, Path], unlike: str = "") -> list[subprocess.Popen]:
    """Two ranks without a launcher, that would end the one as soon as the other has; `unlike` is code for rank 1."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    ranks = []
    for rank, folder in enumerate(folders):
        placed = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "PYTHONPATH": PATHS}
        code = f"import sys; {unlike if rank else ''}\nfrom prorl.cli import main; sys.exit(main(sys.argv[1:]))"
        ranks.append(
            subprocess.Popen(
                [sys.executable, "-c", code, *map(str, arguments)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                cwd=folder,
                env={**ENVIRONMENT, **address, **placed},
                preexec_fn=usual_signals,
            )
        )
    return ranks


def ends(ranks: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Exit code and standard error of each."""
    try:
        return [(rank.wait(240), said) for rank in ranks for said in [rank.communicate(timeout=240)[1]]]
    finally:
        for rank in ranks:
            rank.kill()


def test_a_killed_rank_ends_the_other_in_one_line(folder):
    arguments = ("train", folder / "tiny.toml", "--out", folder / "out", *QUIET, "--set", "train.steps=1000")
    ranks = start_two(*arguments, folders=(folder, folder))
    while not (folder / "out" / "metrics.jsonl").is_file() or not records(folder / "out"):
        assert all(rank.poll() is None for rank in ranks)
        time.sleep(0.05)
    ranks[1].send_signal(signal.SIGKILL)
    (code, said), (killed, _) = ends(ranks)
    assert (code, killed) == (1, -signal.SIGKILL)
    assert said.startswith("prorl: rank 0 has lost another rank (")
    assert said.endswith("; go on with --resume\n")
    assert said.count("\n") == 1


def test_a_recipe_that_one_rank_lacks_is_said_by_the_first(folder):
    other = folder / "other"
    other.mkdir()
    first, second = ends(start_two("train", "tiny.toml", "--out", folder / "out", folders=(folder, other)))
    assert first[0] == second[0] == 2
    assert first[1].startswith('prorl: on rank 1: recipe "tiny.toml": no such recipe; ')
    assert first[1].count("\n") == 1
    assert second[1] == ""


def test_a_data_file_that_differs_is_refused(folder):
    """The rows of rank 1 have other answers: it would judge what rank 0 samples by them."""
    source, others = 'sources = [{source = "rows.jsonl"}]', folder / "other"
    text = RECIPE.replace(RECIPE[RECIPE.index("sources") : RECIPE.index("max_prompt_tokens")], source + "\n")
    (folder / "tiny.toml").write_text(text + "[reward]\nfunctions = {math = 'digit_reward:score'}\n")
    others.mkdir()
    for place, answer in ((folder, "1"), (others, "2")):
        rows = ({"prompt": f"{number}=", "domain": "math", "answer": answer} for number in range(20))
        (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ranks = start_two("train", folder / "tiny.toml", "--out", folder / "out", *QUIET, folders=(folder, others))
    first, second = ends(ranks)
    assert first[0] == second[0] == 2
    assert first[1].startswith("prorl: rank 1 has another data file than rank 0: 'rows.jsonl: SHA-256 ")
    assert second[1] == ""
    assert not (folder / "out").exists()


@pytest.mark.thorough
def test_another_version_on_one_rank_is_refused(folder):
    arguments = ("train", folder / "tiny.toml", "--out", folder / "out")
    ranks = start_two(*arguments, folders=(folder, folder), unlike="import prorl; prorl.__version__ = '0.0'")
    first, second = ends(ranks)
    assert first[0] == second[0] == 2
    assert first[1].startswith("prorl: rank 1 has another software than rank 0: 'prorl 0.0', not 'prorl ")
    assert second[1] == ""


@pytest.mark.parametrize("name", ["WORLD_SIZE", "MASTER_PORT"])
def test_a_launcher_variable_that_is_no_number_is_refused(folder, name):
    placed = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", name: "two"}
    command = [sys.executable, "-m", "prorl.cli", "train", str(folder / "tiny.toml"), "--out", str(folder / "out")]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**ENVIRONMENT, "PYTHONPATH": PATHS, **placed}, timeout=240
    )
    line = f"prorl: {name} = 'two': must be a number; start with torchrun, or unset WORLD_SIZE\n"
    assert (done.returncode, done.stderr) == (2, line)
