"""Chromium through the DevTools protocol over a pipe, by the standard library only: opens a page and listens to it."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-pipe", "--force-device-scale-factor=1", "--hide-scrollbars"),
]
PATIENCE = 60.0
"""Seconds that the browser has for an answer on a busy machine."""
WRAPPER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
"""Chromium reads its commands from descriptor 3 and writes to 4."""
TROUBLE = ("error", "warning", "assert")


def find_browser() -> str:
    """The path of a Chromium or Chrome; empty where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), "")


class Browser:
    """One browser with one page. `trouble` and `requests` are those since the last `open`."""

    def __init__(self, path: str) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._buffer, self._number, self._session = b"", 0, ""
        self.trouble: list[str] = []
        self.requests: list[str] = []
        self._loaded = 0
        child_reads, self._writer = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in os.pipe())
        self._reader, child_writes = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in os.pipe())
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRAPPER, str(child_reads), str(child_writes), path, *FLAGS,
             f"--user-data-dir={self._folder.name}", "about:blank"],
            pass_fds=(child_reads, child_writes), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(child_reads)
        os.close(child_writes)
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._reader)
        os.close(self._writer)
        self._folder.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and give its result; what happens meanwhile is noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._writer, data) :]
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._message(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def open(self, page: Path, width: int = 1280, *, dark: bool = False, script: bool = True) -> None:
        """Show a file at a width, from a fresh start, until it is loaded."""
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.trouble.clear()
        self.requests.clear()
        loaded = self._loaded
        self.call("Page.navigate", url=page.resolve().as_uri())
        self.wait_for_load(loaded)
        self.listen(0.1)  # what is logged after the load

    def listen(self, seconds: float) -> None:
        """Note what happens in the page for so long."""
        deadline = time.monotonic() + seconds
        while b"\0" in self._buffer or select.select([self._reader], [], [], max(deadline - time.monotonic(), 0))[0]:
            self._message(deadline + PATIENCE)

    @property
    def num_loads(self) -> int:
        return self._loaded

    def wait_for_load(self, after: int) -> None:
        """Until more pages have been loaded than so many."""
        deadline = time.monotonic() + PATIENCE
        while self._loaded <= after:
            self._message(deadline)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; of a promise, what it gives."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, (expression, result["exceptionDetails"])
        return result["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            code = {"ArrowLeft": 37, "ArrowRight": 39}[key]
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reader], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"the browser has not answered for {PATIENCE} s"
            data = os.read(self._reader, 1 << 16)
            assert data, f"the browser has ended: {self._process.wait(10)}"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded += 1
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in TROUBLE:
            self.trouble.append(f"console {parameters['type']}: {[part.get('value') for part in parameters['args']]}")
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.trouble.append(f"exception: {details['text']} {details.get('exception', {}).get('description', '')}")
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in TROUBLE:
            self.trouble.append(f"log {parameters['entry']['level']}: {parameters['entry']['text']}")
        elif method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith("file:"):
            self.requests.append(parameters["request"]["url"])
