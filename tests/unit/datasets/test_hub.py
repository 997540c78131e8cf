"""Files of the hub, from a server on this machine that answers as the hub does."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from prorl.datasets.catalogue import DATASETS
from prorl.datasets.hub import hub_files, local_files
from prorl.errors import UserError
from raw_rows import AIME24, EURUS, write_lines, write_parquet

COMMIT = "9776b1320123456789abcdef0123456789abcdef"
PROGRAM = """
import json, sys
from prorl.datasets.catalogue import DATASETS
from prorl.datasets.hub import hub_files
from prorl.errors import UserError
try:
    dataset = DATASETS[sys.argv[1]]
    located = hub_files(dataset, sys.argv[2] if len(sys.argv) > 2 else dataset.origin.revision, lambda text: None)
    print(json.dumps([located.revision, [[name, path.read_bytes().decode("latin-1")] for name, path in located.files]]))
except UserError as error:
    print(json.dumps(str(error)))
"""


class Hub:
    """Repositories as `{name: {file: bytes}}`; `cut` ends the first answer to a file half way."""

    def __init__(self, repositories):
        self.repositories, self.asked, self.cut = repositories, [], False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
                hub.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        path = request.path.partition("?")[0]
        name = next((name for name in self.repositories if f"/datasets/{name}/" in path), "")
        if not name:
            return self.send(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        files = self.repositories[name]
        if files == "gated":
            return self.send(request, 403, b"{}", {"X-Error-Code": "GatedRepo"})
        if path.endswith("/revision/nowhere"):
            return self.send(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if "/commits/" in path:
            commit = {"id": COMMIT, "title": "x", "message": "x", "authors": [], "date": "2025-01-01T00:00:00.000Z"}
            return self.send(request, 200, json.dumps([commit]).encode())
        if "/revision/" in path:
            siblings = [{"rfilename": file} for file in files]
            return self.send(request, 200, json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode())
        file = path.partition(f"/resolve/{COMMIT}/")[2]
        return self.send_file(request, files[file])

    def send_file(self, request, content):
        start = int(request.headers.get("Range", "bytes=0-")[len("bytes=") :].split("-")[0])
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
            "Content-Length": str(len(content) - start),
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.cut and request.command == "GET":
            self.cut = False
            content = content[: len(content) // 2]
        self.send(request, 206 if start else 200, content[start:], headers)
        request.close_connection = True

    @staticmethod
    def send(request, status, body, headers=None):
        request.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


@pytest.fixture
def hub(tmp_path):
    parquet = write_parquet(tmp_path / "made.parquet", AIME24).read_bytes()
    repositories = {
        "HuggingFaceH4/aime_2024": {"README.md": b"# x", "data/train-00000-of-00001.parquet": parquet},
        "PRIME-RL/Eurus-2-RL-Data": {"train.parquet": b"a" * 200_000, "validation.parquet": b"b"},
        "HuggingFaceH4/MATH-500": {"README.md": b"", "notes.txt": b""},
        "Idavidrein/gpqa": "gated",
    }
    hub = Hub(repositories)
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def fetched(hub, home, *arguments):
    environment = os.environ | {"HF_HUB_OFFLINE": "0", "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server.server_address[1]}", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_files_of_a_source_at_a_commit(hub, tmp_path):
    revision, files = fetched(hub, tmp_path / "home", "aime24")
    assert revision == COMMIT
    ((name, content),) = files
    assert name == "data/train-00000-of-00001.parquet"
    assert content.encode("latin-1") == hub.repositories["HuggingFaceH4/aime_2024"][name]
    assert not [path for method, path, _ in hub.asked if method == "GET" and path.endswith("README.md")]
    hub.asked.clear()
    assert fetched(hub, tmp_path / "home", "aime24") == [revision, files]
    assert not [path for method, path, _ in hub.asked if method == "GET" and "/resolve/" in path]


def test_an_abbreviated_commit_is_looked_up_and_a_cut_download_is_tried_again(hub, tmp_path):
    hub.cut = True
    revision, files = fetched(hub, tmp_path / "home", "eurus_code")
    assert revision == COMMIT
    assert files == [["train.parquet", "a" * 200_000]]
    assert any("/revision/" + COMMIT in path for _, path, _ in hub.asked)
    gets = [path for method, path, _ in hub.asked if method == "GET" and path.endswith("train.parquet")]
    assert len(gets) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gpqa_diamond"], "Idavidrein/gpqa: ask for access at https://huggingface.co/datasets/Idavidrein/gpqa"),
        (["ifeval"], "google/IFEval: not on the hub, or not for you; give the files with --from PATH"),
        (["aime24", "nowhere"], "no revision nowhere; give a commit, branch or tag with --revision"),
        (["math_500"], "no file of math_500 (*.parquet or *.jsonl or *.json or *.csv); it has README.md, notes.txt"),
    ],
)
def test_what_cannot_be_had_is_said_in_a_line(hub, tmp_path, arguments, words):
    message = fetched(hub, tmp_path / "home", *arguments)
    assert words in message
    assert "\n" not in message


def test_offline_another_way_is_named():
    with pytest.raises(UserError, match=r"google/IFEval: cannot be downloaded .*; give the files with --from PATH"):
        hub_files(DATASETS["ifeval"], "main", lambda text: None)


def test_files_of_a_folder(tmp_path):
    write_parquet(tmp_path / "data" / "train-00001-of-00002.parquet", EURUS)
    write_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", EURUS)
    write_parquet(tmp_path / "validation.parquet", EURUS)
    (tmp_path / "train.txt").write_text("")
    (tmp_path / ".train.jsonl").write_text("")
    names = [name for name, _ in local_files(DATASETS["eurus_code"], tmp_path).files]
    assert names == ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
    one = write_lines(tmp_path / "any.jsonl", EURUS)
    assert local_files(DATASETS["eurus_code"], one).files == (("any.jsonl", one),)
    with pytest.raises(UserError, match=r"--from .*nowhere: no such file or folder; put the files of eurus_code there"):
        local_files(DATASETS["eurus_code"], tmp_path / "nowhere")
    with pytest.raises(
        UserError, match=r"no file of gpqa_diamond \(\*gpqa_diamond\*\); it has .train.jsonl, any.jsonl"
    ):
        local_files(DATASETS["gpqa_diamond"], tmp_path)
