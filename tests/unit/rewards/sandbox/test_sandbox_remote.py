"""The remote sandbox against a server that speaks Sandbox Fusion's HTTP and really runs what it is sent."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from prorl.rewards.sandbox import remote
from prorl.rewards.sandbox.interface import Call, Input, Limits, SandboxUnavailable
from prorl.rewards.sandbox.remote import RemoteSandbox
from prorl.rewards.sandbox.selection import open_sandbox
from prorl.rewards.sandbox.values import decode

LIMITS = Limits(total_seconds=20.0, output_bytes=100_000)


class Service(BaseHTTPRequestHandler):
    """`faults` are answers to give before real ones: a status code, or bytes to say with status 200."""

    faults: list[int | bytes] = []  # noqa: RUF012 - one server a test
    requests: list[dict[str, object]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/run_code"
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            self.send_error(fault)
            return
        self.requests.append(body)
        answer = json.dumps(run_code(body)).encode() if fault is None else fault
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def run_code(body: dict[str, object]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder) / "main.py"
        main.write_text(str(body["code"]))
        started = time.monotonic()
        run: dict[str, object]
        try:
            ended = subprocess.run(
                [sys.executable, str(main)],
                input=str(body["stdin"]).encode(),
                capture_output=True,
                timeout=float(str(body["run_timeout"])),
                cwd=folder,
            )
        except subprocess.TimeoutExpired:
            run = {"status": "TimeLimitExceeded", "return_code": None, "stdout": "", "stderr": ""}
        else:
            run = {
                "status": "Finished",
                "return_code": ended.returncode,
                "stdout": ended.stdout.decode(errors="replace"),
                "stderr": ended.stderr.decode(errors="replace"),
            }
        run["execution_time"] = time.monotonic() - started
    status = "Success" if run["return_code"] == 0 else "Failed"
    return {"status": status, "message": "", "compile_result": None, "run_result": run, "files": {}}


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(remote, "RETRY_DELAYS", (0.01, 0.01))
    monkeypatch.setattr(Service, "faults", [])
    monkeypatch.setattr(Service, "requests", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_scripts(address: str) -> None:
    sandbox = open_sandbox(f"{address}/")
    assert sandbox.name == "remote"
    source = "import sys\nprint(int(input()) + 1)\nif __name__ == '__main__':\n    sys.exit(0)"
    report = sandbox.run(source, [Input("4\n"), Input("x\n")], LIMITS)
    good, bad = report.results
    assert (good.status, good.output) == ("ok", "5\n")
    assert (bad.status, bad.detail) == ("crashed", "ValueError: invalid literal for int() with base 10: 'x'")
    assert report.seconds == pytest.approx(good.seconds + bad.seconds)


def test_request_is_what_the_service_documents(address: str) -> None:
    RemoteSandbox(address).run("print(1)", [Input("abc")], Limits(total_seconds=7.0, memory_mb=300))
    request = Service.requests[-1]
    assert {key: value for key, value in request.items() if key != "code"} == {
        "language": "python",
        "stdin": "abc",
        "compile_timeout": 7.0,
        "run_timeout": 7.0,
        "memory_limit_MB": 300,
        "files": {},
        "fetch_files": [],
    }


@pytest.mark.parametrize(
    ("source", "status", "detail"),
    [
        ("def f(a, b):\n    print('noise')\n    return (a, {b})", "ok", ""),
        ("class Solution:\n    def f(self, a, b): return (a, {b})", "ok", ""),
        ("def g(): pass", "crashed", "NameError: the program defines no f"),
        ("def f(a, b): return [0] * 10**10", "memory", "MemoryError"),
        ("import os\ndef f(a, b): os._exit(0)", "crashed", "no value came back"),
        ("def f(a, b): return 'x' * 200_000", "output", "wrote more than allowed"),
    ],
)
def test_calls(address: str, source: str, status: str, detail: str) -> None:
    (result,) = RemoteSandbox(address).run(source, [Call("f", (1, 2))], LIMITS).results
    assert (result.status, result.detail) == (status, detail)
    if status == "ok":
        assert decode(result.output) == (1, {2})


def test_program_that_does_not_compile(address: str) -> None:
    report = RemoteSandbox(address).run("x = (", [Input(""), Input("")], LIMITS)
    assert report.results == ()
    assert report.compile_error.startswith("SyntaxError")


def test_time_of_all_tests_together(address: str) -> None:
    source = "import time\ntime.sleep(float(input()))"
    report = RemoteSandbox(address).run(source, [Input("0"), Input("60"), Input("0")], Limits(total_seconds=1.5))
    assert [result.status for result in report.results] == ["ok", "timeout", "skipped"]
    assert report.out_of_time


CHECK = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == SECRET\nSECRET = 0\n"


@pytest.mark.parametrize(
    ("source", "status", "detail"),
    [
        ("def total(x):\n    print('noise')\n    return sum(x)", "ok", ""),
        ("def total(x): return 3", "crashed", "AssertionError"),
        ("def other(x): return 3", "crashed", "RuntimeError: the program ended"),
        ("import os\ndef total(x): os._exit(0)", "crashed", "RuntimeError: the program ended"),
        ("import os, sys\ndef total(x): return open(os.listdir('.')[0]).read()", "crashed", "IndexError"),
        (
            "import os\ndef total(x): return len(open(f'/proc/{os.getppid()}/mem', 'rb').read(1))",
            "crashed",
            "PermissionError",
        ),
        ("import inspect, sys\ndef total(x): return str(vars(sys.modules['__main__']))", "crashed", "AssertionError"),
    ],
)
def test_examination(address: str, source: str, status: str, detail: str) -> None:
    (result,) = RemoteSandbox(address).examine(source, CHECK, "total", LIMITS).results
    assert result.status == status
    assert result.detail.startswith(detail)


def test_examination_of_what_does_not_compile(address: str) -> None:
    sandbox = RemoteSandbox(address)
    assert "SyntaxError" in sandbox.examine("def (", CHECK, "total", LIMITS).compile_error
    with pytest.raises(ValueError, match="examiner does not compile"):
        sandbox.examine("def total(x): pass", "def (", "total", LIMITS)


@pytest.mark.parametrize("faults", [[503, 429], [500]])
def test_busy_service_is_asked_again(address: str, faults: list[int]) -> None:
    sandbox = RemoteSandbox(address)
    Service.faults += faults
    assert sandbox.run("print(1)", [Input("")], LIMITS).results[0].output == "1\n"


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([500, 500, 500], "does not answer: status 500"),
        ([404], "does not answer: status 404"),
        ([b"not json"], "speaks another language"),
        ([b"[]"], "speaks another language"),
        ([b'{"status": "Success", "run_result": {"status": "Finished"}}'], "speaks another language"),
        ([b'{"status": "SandboxError", "message": "no room", "run_result": null}'], "the service failed: no room"),
    ],
)
def test_service_that_fails_is_no_fault_of_the_program(address: str, faults: list[int | bytes], message: str) -> None:
    sandbox = RemoteSandbox(address)
    Service.faults += faults
    with pytest.raises(SandboxUnavailable, match=message):
        sandbox.run("print(1)", [Input("")], LIMITS)


def test_nobody_there(address: str) -> None:
    with pytest.raises(SandboxUnavailable, match=r"does not answer: .*refused"):
        open_sandbox("http://127.0.0.1:9")


def test_service_that_runs_nothing(address: str) -> None:
    Service.faults.append(
        json.dumps(
            {
                "status": "Success",
                "run_result": {"status": "Finished", "return_code": 0, "stdout": "", "stderr": "", "execution_time": 0},
            }
        ).encode()
    )
    with pytest.raises(SandboxUnavailable, match="does not run Python"):
        open_sandbox(address)
