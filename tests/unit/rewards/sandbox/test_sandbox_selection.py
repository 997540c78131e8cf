"""Which sandbox is chosen, what is said where none can be, and a self-test that fails closed."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import pytest

from prorl.rewards.sandbox import confinement, selection
from prorl.rewards.sandbox.harness import Setup
from prorl.rewards.sandbox.identity import is_root, private_user
from prorl.rewards.sandbox.interface import Input, JobReport, Limits, Sandbox, SandboxUnavailable
from prorl.rewards.sandbox.interpreter import find_interpreter
from prorl.rewards.sandbox.local import LocalSandbox
from prorl.rewards.sandbox.selection import open_sandbox, survey, worker_sandbox
from prorl.rewards.sandbox.selftest import require_containment


def refuse(reason: str) -> Callable[[], LocalSandbox]:
    def open_backend() -> LocalSandbox:
        raise SandboxUnavailable(reason)

    return open_backend


def test_backends_are_tried_in_order_and_all_reasons_given(monkeypatch: pytest.MonkeyPatch) -> None:
    unsafe = selection.BACKENDS["unsafe"]
    monkeypatch.setitem(selection.BACKENDS, "landlock", refuse("old kernel"))
    monkeypatch.setitem(selection.BACKENDS, "bubblewrap", unsafe)
    assert open_sandbox("auto").name == "unsafe"
    monkeypatch.setitem(selection.BACKENDS, "bubblewrap", refuse("not found"))
    with pytest.raises(SandboxUnavailable, match=r"landlock: old kernel; bubblewrap: not found\): use Linux 6.12"):
        open_sandbox("auto")
    assert survey() == [("landlock", False, "old kernel"), ("bubblewrap", False, "not found")]


def test_unknown_choice_names_the_known_ones() -> None:
    with pytest.raises(SandboxUnavailable, match="there are auto, landlock, bubblewrap, unsafe"):
        open_sandbox("docker")


@pytest.mark.parametrize("version", [0, 5])
def test_old_landlock_is_refused(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    monkeypatch.setattr(selection, "landlock_version", lambda: version)
    with pytest.raises(SandboxUnavailable, match=f"Landlock version {version}, not 6"):
        open_sandbox("landlock")


def test_other_processors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    confinement.system_call_filter.cache_clear()
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(SandboxUnavailable, match="no system call filter for riscv64: x86_64 and aarch64 have one"):
        confinement.system_call_filter("program")


def test_missing_bubblewrap_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    with pytest.raises(SandboxUnavailable, match="bwrap is not found"):
        open_sandbox("bubblewrap")


def test_worker_opens_its_sandbox_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRORL_SANDBOX", "unsafe")
    assert worker_sandbox().name == "unsafe"
    assert worker_sandbox() is worker_sandbox()


def test_unsafe_runs_programs_but_fails_the_self_test() -> None:
    sandbox = open_sandbox("unsafe")
    assert sandbox.run("print(2)", [Input("")], Limits()).results[0].output == "2\n"
    with pytest.raises(SandboxUnavailable, match="self-test failed: internet sockets, local sockets, reading a file"):
        require_containment(sandbox)


def without(field: str, value: object) -> confinement.Confinement:
    """Landlock's confinement with one of its measures left out."""

    def launch(interpreter: confinement.Interpreter, room: confinement.Room) -> confinement.Launch:
        whole = confinement.landlock_launch(interpreter, room)
        return dataclasses.replace(whole, setup={**whole.setup, field: value})

    return launch


@pytest.mark.skipif(confinement.landlock_version() < confinement.LANDLOCK_VERSION, reason="no Landlock")
@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("landlock", False, "reading a file outside"),
        ("program_filter", b"", "processes"),
        ("rules", [("/", 0xFFFF)], "writing a file outside"),
    ],
)
def test_self_test_finds_a_missing_measure(field: str, value: object, named: str) -> None:
    sandbox = LocalSandbox("weak", without(field, value), find_interpreter(for_others=is_root()))
    with pytest.raises(SandboxUnavailable, match=named):
        require_containment(sandbox)


@pytest.mark.parametrize("name", selection.AUTOMATIC)
def test_self_test_is_cheap(name: str) -> None:
    found = {backend: usable for backend, usable, _ in survey()}
    if not found[name]:
        pytest.skip("not usable here")
    started = time.process_time()
    open_sandbox(name)
    assert time.process_time() - started < 5.0


def test_self_test_refuses_a_sandbox_that_answers_nothing() -> None:
    class Silent:
        name = "silent"

        def run(self, source: str, tests: Sequence[object], limits: Limits) -> JobReport:
            return JobReport(())

    silent: Sandbox = Silent()  # type: ignore[assignment]
    with pytest.raises(SandboxUnavailable, match="honest programs"):
        require_containment(silent)


def test_host_and_harness_agree_on_the_setup() -> None:
    interpreter = find_interpreter(for_others=is_root())
    room = confinement.Room(
        limits=Limits(), scratch="/", user=private_user(0), code=0, launcher_filter=0, with_values=False
    )
    for launch in (confinement.landlock_launch, confinement.unsafe_launch):
        assert set(launch(interpreter, room).setup) == set(Setup.__annotations__)


def test_root_gives_each_slot_a_user_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getresuid", lambda: (0, 0, 0))
    first, second = private_user(0), private_user(1)
    assert first != second
    assert min(first, second) >= 2**30
    monkeypatch.setattr("pathlib.Path.read_text", lambda path: "0 100000 65536\n")
    assert 61184 <= private_user(0) < 65520
    monkeypatch.setattr("pathlib.Path.read_text", lambda path: "0 1000 1\n")
    with pytest.raises(SandboxUnavailable, match="not root"):
        private_user(0)
    monkeypatch.setattr("os.getresuid", lambda: (5, 5, 5))
    monkeypatch.setattr("os.getresgid", lambda: (5, 5, 5))
    assert private_user(0) == 0
