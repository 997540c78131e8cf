"""The mirror at Weights & Biases when there is no login, no answer, an answer no more, or no process."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from prorl.errors import UserError
from prorl.metrics import MetricsWriter, load_wandb
from wandb_files import logged_out, recorded

MIRROR = """
import os, signal, sys, time
from pathlib import Path
from prorl import weights_and_biases
weights_and_biases.INIT_SECONDS, weights_and_biases.FINISH_SECONDS = 1.0, 2.0
folder = Path(sys.argv[1])
folder.mkdir()
mirror = weights_and_biases.WandbMirror("p", folder, {"a": {"b": 1}}, [], resumed=False, note=print)
for step in (1, 2, 3):
    mirror.write(step, {"score/mean": step / 4})
    IN_STEP
mirror.event({"step": 3, "event": "reset", "trigger": "kl"})
mirror.close(failed=True)
print("closed")
"""
DIES = """
    for name in Path("/proc").glob("[0-9]*/stat") if step == 1 else ():
        pid, command, _, parent = name.read_text().split()[:4]
        if command == "(wandb-core)" and int(parent) == os.getpid():
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)
"""
SERVER = """
# Says yes to everything until the file of its first argument is there; then it never answers again.
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROJECT = {"id": "2", "name": "p", "entity": {"id": "3", "name": "me"}}
RUN = {"id": "1", "displayName": "r", "sweepName": None, "historyLineCount": 0, "project": PROJECT}
VIEWER = {"id": "3", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
DATA = {"viewer": VIEWER, "model": None, "project": None, "serverInfo": {}, "entity": None}

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_POST(self):
        asked = self.rfile.read(int(self.headers.get("content-length", 0)))
        while Path(sys.argv[1]).exists():
            time.sleep(1)
        name = json.loads(asked).get("variables", {}).get("name", "") if self.path == "/graphql" else ""
        upsert = {"bucket": {"name": name, **RUN}, "inserted": True}
        body = json.dumps({"data": {**DATA, "upsertBucket": upsert}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def mirror(tmp_path: Path, in_step: str = "pass", **more: str) -> subprocess.CompletedProcess:
    """Three steps and a reset in a process of its own."""
    environment = {**logged_out(tmp_path / "home"), "WANDB_API_KEY": "0123456789" * 4, **more}
    command = [sys.executable, "-c", MIRROR.replace("    IN_STEP", f"    {in_step.strip()}"), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("closed\n")
    return done


def test_what_is_recorded(tmp_path: Path) -> None:
    mirror(tmp_path, WANDB_MODE="offline")
    (part,) = (tmp_path / "run").glob("wandb/offline-run-*")
    written = recorded(part)
    assert written["config"]["a"] == {"b": 1}
    assert written["history"] == {
        1: {"score/mean": 0.25},
        2: {"score/mean": 0.5},
        3: {"score/mean": 0.75, "events/reset": 1},
    }
    assert written["summary"]["last_reset"] == {"step": 3, "trigger": "kl"}
    assert written["exit"] == 1


def test_disabled_records_nothing(tmp_path: Path) -> None:
    assert mirror(tmp_path, WANDB_MODE="disabled").stdout == "closed\n"
    assert not (tmp_path / "run" / "wandb").exists()


def test_a_server_that_does_not_answer_makes_the_run_an_offline_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = mirror(tmp_path, WANDB_BASE_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert done.stdout.count("; going on as with WANDB_MODE=offline\n") == 1
    (part,) = (tmp_path / "run").glob("wandb/offline-run-*")
    assert recorded(part)["history"][2] == {"score/mean": 0.5}


def test_a_server_that_falls_silent_does_not_hold_up_the_end(tmp_path: Path) -> None:
    silence = tmp_path / "silence"
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(silence)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        done = mirror(tmp_path, f"Path({str(silence)!r}).touch()", WANDB_BASE_URL=url)
    finally:
        server.kill()
        server.communicate()
    first, second, _ = done.stdout.splitlines()
    assert first == f"wandb: {url}/me/p/runs/{(tmp_path / 'run' / 'wandb_id').read_text().strip()}"
    assert second.startswith("wandb: Timed out finishing run.; what is missing there stays on the disk; `wandb sync ")
    (part,) = (tmp_path / "run").glob("wandb/run-*")
    assert str(part) in second
    assert sorted(recorded(part)["history"]) == [1, 2, 3]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the process under /proc")
def test_the_process_of_wandb_may_die(tmp_path: Path) -> None:
    done = mirror(tmp_path, DIES, WANDB_MODE="offline")
    assert done.stderr == ""
    first, second, _ = done.stdout.splitlines()
    assert first.startswith("wandb: offline; ")
    assert second.startswith("wandb: Connection lost; nothing more is logged there; `wandb sync ")


def test_no_login_is_one_line(tmp_path: Path) -> None:
    script = "from prorl.weights_and_biases import refuse_unready; refuse_unready('p')"
    environment = logged_out(tmp_path)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=120)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("prorl.errors.UserError")]
    assert "train.wandb = 'p': not logged in to Weights & Biases; run `wandb login`, set WANDB_API_KEY, or" in line
    environment["WANDB_MODE"] = "offline"
    assert subprocess.run([sys.executable, "-c", script], env=environment, timeout=120).returncode == 0


def test_a_project_name_that_is_refused() -> None:
    with pytest.raises(UserError, match=r"^train\.wandb = 'a/b': Invalid project name 'a/b'"):
        load_wandb("a/b")
    assert load_wandb("") is None


def test_the_writer_tells_its_mirrors(tmp_path: Path) -> None:
    class Told:
        def __init__(self) -> None:
            self.calls: list[tuple] = []

        def write(self, step, metrics) -> None:
            self.calls.append((step, dict(metrics)))

        def event(self, event) -> None:
            self.calls.append((event["event"],))

        def close(self, *, failed) -> None:
            self.calls.append(("failed", failed))

    told = Told()
    writer = MetricsWriter(tmp_path, tensorboard=False)
    writer._mirrors.append(told)
    writer.write(1, {"entropy": 0.5})
    writer.event({"step": 1, "event": "alarm"})
    with pytest.raises(KeyboardInterrupt), writer:
        raise KeyboardInterrupt
    with writer:
        pass
    assert told.calls == [(1, {"entropy": 0.5}), ("alarm",), ("failed", True), ("failed", False)]
