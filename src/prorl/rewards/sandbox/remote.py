"""Stage 3, rewards: programs run by a service that speaks Sandbox Fusion's HTTP, one request for a test.

The isolation is the service's; this side owns the account of the time and never trusts a word of the output. What the
service runs is `remote_driver.py`.
"""

import base64
import dataclasses
import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from prorl.rewards.sandbox.interface import (
    Input,
    JobReport,
    Limits,
    SandboxUnavailable,
    Test,
    TestResult,
    as_is,
)
from prorl.rewards.sandbox.process import marshalled
from prorl.rewards.sandbox.trial import MAX_DETAIL

RETRY_DELAYS = (0.5, 2.0)
"""Seconds between attempts: a pool that waits for the answer allows a few more than the program's own time."""
BUSY = 429
REQUEST_SLACK_SECONDS = 8.0
"""For the service to queue and start what it is sent."""
ESCAPED_BYTES = 6
"""Of JSON for a byte of output, at most."""
ENVELOPE_BYTES = 1 << 20
NONCE_BYTES = 16
GREETING = "print(6 * 7)"


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """What the service says of one request."""

    status: str
    """Sandbox Fusion's word: Finished, Error or TimeLimitExceeded."""
    code: int
    output: str
    errors: str
    seconds: float


class RemoteSandbox:
    """A service at `address`. Raises SandboxUnavailable where it does not answer as it should."""

    name = "remote"

    def __init__(self, address: str) -> None:
        self.description = f"programs run by the service at {address}"
        self._address = f"{address.rstrip('/')}/run_code"
        folder = Path(__file__).parent
        self._sources = {name: (folder / f"{name}.py").read_text() for name in ("values", "stage")}
        self._driver = (folder / "remote_driver.py").read_text()
        (result,) = self.run(GREETING, [Input("")], Limits(total_seconds=10.0)).results
        if (result.status, result.output.strip()) != ("ok", "42"):
            raise SandboxUnavailable(f"{address} does not run Python: {result.status} {result.detail}")

    def run(
        self, source: str, tests: Sequence[Test], limits: Limits, keep: Callable[[int, TestResult], TestResult] = as_is
    ) -> JobReport:
        results: list[TestResult] = []
        used = 0.0
        for test in tests:
            if used >= limits.total_seconds:
                results.append(TestResult("skipped"))
                continue
            job = self._job(source, test)
            ending = self._request(job, test.text if isinstance(test, Input) else "", limits, used)
            refusal = _framed(ending.output, job["nonce"]).partition("refused-")[2]
            if refusal:
                return JobReport((), refusal.partition(" ")[2] or "refused", used + ending.seconds)
            result = _result(ending, limits)
            if result.status == "ok" and not isinstance(test, Input):
                result = _with_value(result, job["nonce"])
            results.append(keep(len(results), result))
            used += limits.total_seconds if result.status == "timeout" else ending.seconds
        return JobReport(tuple(results), seconds=used, out_of_time=used >= limits.total_seconds)

    def examine(self, source: str, examiner: str, entry_point: str, limits: Limits) -> JobReport:
        """In one request: the program in a process of its own, by the operating system of the service."""
        try:
            compile(examiner, "examiner.py", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            raise ValueError(f"the examiner does not compile: {error}") from None
        job = self._job(source, None) | {"mode": "examine", "examiner": examiner, "driver": self._driver}
        job["payload"] = _payload(entry_point)
        ending = self._request(job, "", limits, 0.0)
        frame = _framed(ending.output, job["nonce"])
        if frame.startswith("refused-"):  # by the program, or said by it
            return JobReport((), frame.partition(" ")[2] or "refused", ending.seconds)
        result = dataclasses.replace(_result(ending, limits), output="")
        return JobReport((result,), seconds=ending.seconds, out_of_time=result.status == "timeout")

    def _job(self, source: str, test: Test | None) -> dict[str, str]:
        """What the driver is told."""
        called = None if test is None or isinstance(test, Input) else (test.name, test.arguments)
        return {
            **self._sources,
            "nonce": secrets.token_hex(NONCE_BYTES),
            "source": source,
            "mode": "script" if called is None else "call",
            "payload": _payload(called),
        }

    def _request(self, job: dict[str, str], text: str, limits: Limits, used: float) -> Ending:
        seconds = limits.total_seconds - used
        job = {**job, "memory": str(limits.memory_mb * 2**20), "max_frame": str(limits.output_bytes)}
        body = {
            "code": f"{self._driver}\nmain({json.dumps(job)!r})\n",
            "language": "python",
            "stdin": text,
            "compile_timeout": seconds,
            "run_timeout": seconds,
            "memory_limit_MB": limits.memory_mb,
            "files": {},
            "fetch_files": [],
        }
        limit = ESCAPED_BYTES * 2 * limits.output_bytes + ENVELOPE_BYTES
        answer = self._post(json.dumps(body).encode(), seconds + REQUEST_SLACK_SECONDS, limit)
        if len(answer) > limit:
            return Ending("Finished", 0, "x" * (limits.output_bytes + 1), "", 0.0)
        return _ending(answer)

    def _post(self, body: bytes, seconds: float, limit: int) -> bytes:
        """The answer, with a byte more than `limit` where it is longer; tried again where the service is busy."""
        for delay in (*RETRY_DELAYS, None):
            request = urllib.request.Request(self._address, body, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=seconds) as response:
                    return bytes(response.read(limit + 1))
            except urllib.error.HTTPError as error:
                with error:
                    trouble = f"status {error.code}"
                if error.code != BUSY and error.code < 500:
                    break
            except (OSError, ValueError) as error:
                trouble = str(error) or type(error).__name__
            if delay is not None:
                time.sleep(delay)
        raise SandboxUnavailable(f"{self._address} does not answer: {trouble}")


def _payload(value: object) -> str:
    return base64.b64encode(marshalled(value)).decode()


def _ending(answer: bytes) -> Ending:
    """Raises SandboxUnavailable where the service, not the program, failed."""
    try:
        report = json.loads(answer)
        run = report["run_result"]
        if report["status"] == "SandboxError" or run is None:
            raise SandboxUnavailable(f"the service failed: {str(report.get('message'))[:MAX_DETAIL]}")
        code = run["return_code"]
        return Ending(
            status=str(run["status"]),
            code=1 if code is None else int(code),
            output=str(run["stdout"] or ""),
            errors=str(run["stderr"] or ""),
            seconds=max(0.0, float(run["execution_time"] or 0.0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SandboxUnavailable(f"the service speaks another language: {type(error).__name__} {error}") from None


def _result(ending: Ending, limits: Limits) -> TestResult:
    output = ending.output
    last_line = (ending.errors.strip().splitlines() or [""])[-1][:MAX_DETAIL]
    if ending.status == "TimeLimitExceeded":
        return TestResult("timeout", output, ending.seconds)
    if len(output.encode("utf-8", "replace")) > limits.output_bytes:
        return TestResult("output", output[: limits.output_bytes], ending.seconds, "wrote more than allowed")
    if ending.code == 0:
        return TestResult("ok", output, ending.seconds)
    if last_line.partition(":")[0].endswith("MemoryError"):
        return TestResult("memory", output, ending.seconds, last_line)
    return TestResult("crashed", output, ending.seconds, last_line or f"exit code {ending.code}")


def _framed(output: str, nonce: str) -> str:
    """What the driver said; empty where it did not."""
    _, found, rest = output.partition(nonce)
    return rest.partition(nonce)[0] if found and nonce in rest else ""


def _with_value(result: TestResult, nonce: str) -> TestResult:
    tag, _, value = _framed(result.output, nonce).partition(" ")
    if tag != "value":
        return dataclasses.replace(result, status="crashed", output="", detail="no value came back")
    return dataclasses.replace(result, output=value)
