"""Stage 3, rewards: one test under way in a sandboxed interpreter: its pipes, its clock, and what its end means."""

import os
import select
import signal
import time
from collections.abc import Sequence

from prorl.rewards.sandbox.interface import Limits, SandboxUnavailable, Status, TestResult
from prorl.rewards.sandbox.payload import Capture, sealed
from prorl.rewards.sandbox.process import SandboxProcess

ERROR_TAIL_BYTES = 4096
MAX_DETAIL = 200
ANSWER_SECONDS = 1.0
"""For an answer that has been announced."""
SANDBOX_ENDED = "the sandbox ended"


class Trial:
    """A started test. Leaving it frees its pipes; the process stays."""

    def __init__(
        self, process: SandboxProcess, mode: str, payload: bytes, limits: Limits, descriptors: Sequence[int] = ()
    ) -> None:
        self.process = process
        self.output = Capture(limit=limits.output_bytes, keep=limits.output_bytes)
        self.errors = Capture(limit=limits.output_bytes, keep=ERROR_TAIL_BYTES, tail=True)
        self.ending: TestResult | None = None
        self._told = False
        self._started = time.monotonic()
        with sealed(payload) as descriptor:
            process.order(("test", mode), [descriptor, self.output.far_end, self.errors.far_end, *descriptors])
        self.output.close_far_end()
        self.errors.close_far_end()

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, *exception: object) -> None:
        self.output.close()
        self.errors.close()

    @property
    def is_over(self) -> bool:
        """Whether it wrote more than it may."""
        return self.output.is_over or self.errors.is_over

    def wait(self, deadline: float, *others: "Trial") -> TestResult:
        """Until the test ends or has to; meanwhile `others` are kept going."""
        trials = {descriptor: trial for trial in (self, *others) for descriptor in trial.descriptors()}
        poll = select.poll()
        for descriptor in trials:
            poll.register(descriptor, select.POLLIN)
        while self.ending is None and (remaining := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(1000 * remaining + 1):
                if not trials[descriptor].handle(descriptor):
                    poll.unregister(descriptor)
        return self.ending or TestResult("timeout", self.output.text, time.monotonic() - self._started)

    def descriptors(self) -> list[int]:
        """Where something can happen."""
        return [self.process.channel.fileno(), self.output.descriptor, self.errors.descriptor]

    def handle(self, descriptor: int) -> bool:
        """Take what came there. Whether more can come."""
        if descriptor == self.process.channel.fileno():
            self.ending = self._result(self.process.answer(ANSWER_SECONDS))
            return False
        capture = self.output if descriptor == self.output.descriptor else self.errors
        capture.read()
        if self.is_over and not self._told:
            self.process.order(("end",))
            self._told = True
        return capture.is_open and not capture.is_over

    def _result(self, line: str | None) -> TestResult:
        """What the harness's last word about the test means."""
        seconds = time.monotonic() - self._started
        self.output.drain()
        self.errors.drain()
        word, _, rest = (line or "").partition(" ")
        if word == "failed":
            raise SandboxUnavailable(f"the sandbox cannot go on: {line}")
        if word != "done":
            return TestResult("crashed", self.output.text, seconds, SANDBOX_ENDED)
        status_text, _, reason = rest.partition(" ")
        code = os.waitstatus_to_exitcode(int(status_text))
        last_line = (self.errors.text.strip().splitlines() or [""])[-1]
        status, detail = _meaning("output" if self.is_over else reason, code, last_line)
        return TestResult(status, self.output.text, seconds, detail[:MAX_DETAIL])


def _meaning(reason: str, code: int, last_line: str) -> tuple[Status, str]:
    if reason == "output":
        return "output", "wrote more than allowed"
    if reason == "scratch":
        return "output", "more files than allowed"
    if reason == "threads":
        return "crashed", "more threads than allowed"
    if code == 0:
        return "ok", ""
    if code == -signal.SIGXCPU:
        return "timeout", "processor time"
    if code == -signal.SIGKILL:
        return "memory", "killed, where memory ended"
    if code < 0:
        return "crashed", f"signal {_signal_name(-code)}"
    if last_line.partition(":")[0].endswith("MemoryError"):
        return "memory", last_line
    return "crashed", last_line or f"exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
