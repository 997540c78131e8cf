"""The report while a run goes on: when it is written, when it ends, and what it says on the way."""

import fcntl
import json
import os
import signal
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prorl.commands.report import run
from prorl.errors import UserError
from prorl.report.watch import Life, life_of, watch


def add_step(folder: Path, step: int, steps: int = 0) -> None:
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "score/mean": 0.5}) + "\n")
    if steps:
        (folder / "config.toml").write_text(f"[train]\nsteps = {steps}\n")


class Script:
    """A run that does something at each look at it, with the page as each look finds it."""

    def __init__(self, folder: Path, *acts: Callable[[], None], last: Life = "ended") -> None:
        self._folder, self._acts, self._last = folder, list(acts), last
        self.pages: list[str] = []
        self.notes: list[str] = []

    def life(self, folder: Path) -> Life:
        page = folder / "report.html"
        self.pages.append(page.read_text() if page.exists() else "")
        if not self._acts:
            return self._last
        self._acts.pop(0)()
        return "running"

    def watch(self, seconds: float = 5.0) -> bool:
        return watch(self._folder, seconds, self.notes.append, sleep=lambda nap: None, life=self.life)


def last_step(page: str) -> str:
    return page.partition('<div class="cards"><div><b>')[2].partition("</b>")[0]


def test_written_when_something_changed_and_a_last_time_at_the_end(tmp_path: Path) -> None:
    script = Script(tmp_path, lambda: add_step(tmp_path, 1), lambda: None, lambda: add_step(tmp_path, 2))
    assert script.watch(seconds=7.4) is False
    # Before the first look, after step 1, after nothing, after step 2.
    assert [last_step(page) for page in script.pages] == ["", "1", "1", "2"]
    assert all('http-equiv="refresh" content="7"' in page for page in script.pages[1:])
    final = (tmp_path / "report.html").read_text()
    assert last_step(final) == "2"
    assert 'http-equiv="refresh"' not in final
    assert script.notes == [f"{tmp_path / 'report.html'}: the run has ended"]


def test_nothing_changed_is_not_written_again(tmp_path: Path) -> None:
    add_step(tmp_path, 1)
    mark = "not written again"

    def overwrite() -> None:
        (tmp_path / "report.html").write_text(mark)

    script = Script(tmp_path, lambda: None, overwrite, lambda: None, lambda: add_step(tmp_path, 2))
    script.watch()
    assert [last_step(page) or page for page in script.pages] == ["", "1", mark, mark, "2"]


def test_a_run_without_a_step_is_waited_for_and_that_is_said_once(tmp_path: Path) -> None:
    acts = [lambda: None, lambda: (tmp_path / "metrics.jsonl").touch(), lambda: add_step(tmp_path, 1)]
    script = Script(tmp_path, *acts)
    script.watch()
    assert len(script.notes) == 2
    assert script.notes[0].startswith("waiting: run folder ")
    assert script.pages[:3] == ["", "", ""]


def test_a_run_that_ended_without_a_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no complete step"):
        Script(tmp_path).watch()
    with pytest.raises(UserError, match="no such folder"):
        watch(tmp_path / "none", 5.0, print)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_a_last_page(tmp_path: Path, number: int) -> None:
    def act() -> None:
        add_step(tmp_path, 2)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    script = Script(tmp_path, lambda: add_step(tmp_path, 1), act, lambda: pytest.fail("it went on"))
    assert script.watch() is True
    assert 'http-equiv="refresh"' not in (tmp_path / "report.html").read_text()
    assert last_step((tmp_path / "report.html").read_text()) == "2"
    assert signal.getsignal(number) is before


def test_a_copy_without_a_lock_ends_with_the_last_step_of_its_recipe(tmp_path: Path) -> None:
    acts: Iterator[Callable[[], None]] = iter(
        [lambda: add_step(tmp_path, 1, steps=2), lambda: None, lambda: add_step(tmp_path, 2)]
    )

    def life(folder: Path) -> Life:
        next(acts)()
        return "unknown"

    assert watch(tmp_path, 5.0, lambda text: None, sleep=lambda nap: None, life=life) is False
    assert next(acts, None) is None


def test_the_lock_says_whether_a_run_goes_on(tmp_path: Path) -> None:
    assert life_of(tmp_path) == "unknown"
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert life_of(tmp_path) == "running"
    assert life_of(tmp_path) == "ended"
    # A look leaves nothing behind: the next run gets the folder.
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_step(tmp_path, 1)
    (tmp_path / ".lock").touch()
    assert run(Namespace(runs=[str(tmp_path)], watch=5.0, out="")) == 0
    assert capsys.readouterr().out.endswith(f"{tmp_path / 'report.html'}: the run has ended\n")
    for seconds in (0.5, 0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"--watch .*: must be between 1 and 3600 seconds"):
            run(Namespace(runs=[str(tmp_path)], watch=seconds, out=""))
    with pytest.raises(UserError, match="--watch with 2 runs"):
        run(Namespace(runs=[str(tmp_path), "other"], watch=5.0, out=""))
