"""Stage 3, rewards: the program that a remote service is sent. It runs one test there and frames what comes of it.

What follows this text calls `main` with the job, as JSON. It is run by the service's Python, so it imports nothing of
this package; isolation is the service's. Only in an examination does it hold expected outputs: there the program gets
a process of its own, which cannot look into this one.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
CAPABILITY_VERSION = 0x20080522
START = "import sys; exec(sys.stdin.read())"

libc = ctypes.CDLL(None, use_errno=True)


def load_stage(job: dict[str, str]) -> dict[str, object]:
    """What a local test's process runs, from its sources."""
    values: dict[str, object] = {"__name__": "values"}
    exec(job["values"], values)
    stage: dict[str, object] = {"__name__": "stage"}
    exec(job["stage"], stage)
    stage.update(VALUES=values, MAX_FRAME=int(job["max_frame"]))
    return stage


def say(job: dict[str, str], output: int, text: bytes) -> None:
    frame = job["nonce"].encode()
    data = memoryview(frame + text + frame)
    while data:
        data = data[os.write(output, data) :]


def perform(job: dict[str, str], mode: str, source: str, output: int, **changes: int) -> int:
    """Run the program in this process, as a local sandbox's fork would; the exit status."""
    try:
        code = compile(source.encode("utf-8", "surrogatepass"), "program.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        say(job, output, f"refused-{mode} {type(error).__name__}: {error}".encode("utf-8", "replace"))
        return 0
    stage = load_stage(job)
    stage.update(changes)
    ceiling = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = int(job["memory"]) if ceiling == resource.RLIM_INFINITY else min(int(job["memory"]), ceiling)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))
    data = base64.b64decode(job["payload"])
    return stage["perform"](mode, code, data)  # type: ignore[operator]


def run_script(job: dict[str, str]) -> int:
    return perform(job, "script", job["source"], 1)


def run_call(job: dict[str, str]) -> int:
    """The returned value goes to a file and then into the frame; what is printed goes nowhere."""
    output = os.dup(1)
    silence(1)
    with tempfile.TemporaryFile() as result:
        status = perform(job, "call", job["source"], output, RESULT=result.fileno())
        if status == 0:
            result.seek(0)
            say(job, output, b"value " + result.read())
    return status


def run_service(job: dict[str, str]) -> int:
    """The program under examination: without root's powers, for it must not read the examiner's memory."""
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.capset(struct.pack("=Ii", CAPABILITY_VERSION, 0), bytes(24)):
        sys.exit("the service does not let a program give its rights up")
    output = os.dup(1)
    silence(1)
    return perform(job, "serve", job["source"], output, INCOMING=int(job["incoming"]), OUTGOING=int(job["outgoing"]))


def run_examiner(job: dict[str, str]) -> int:
    """Start the program in a process that never sees the examiner, then examine it."""
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # its memory is not for a process of the same user
    if os.path.exists(sys.argv[0]):
        os.unlink(sys.argv[0])  # nor is this text
    calls, answers = os.pipe(), os.pipe()
    service = {key: value for key, value in job.items() if key != "examiner"}
    service.update(mode="serve", incoming=str(calls[0]), outgoing=str(answers[1]))
    program = subprocess.Popen(
        [sys.executable, "-c", START],
        stdin=subprocess.PIPE,
        stdout=1,
        stderr=2,
        pass_fds=[calls[0], answers[1]],
    )
    os.close(calls[0])
    os.close(answers[1])
    assert program.stdin is not None
    with program.stdin as stdin:
        stdin.write(f"{job['driver']}\nmain({json.dumps(service)!r})".encode())
    status = perform(job, "examine", job["examiner"], 1, INCOMING=answers[0], OUTGOING=calls[1])
    program.kill()
    return status


def silence(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


MODES = {"script": run_script, "call": run_call, "serve": run_service, "examine": run_examiner}


def main(text: str) -> None:
    job = json.loads(text)
    status = MODES[job["mode"]](job)
    os._exit(status)
