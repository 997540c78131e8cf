"""Stage 3, rewards: whether a sandbox contains what it must, tried out with a few hostile snippets. Fails closed.

It finds a machine on which a backend does not work. That the backends are sound is what the tests are for.
"""

import os
import tempfile
from pathlib import Path

from prorl.rewards.sandbox.interface import Input, Limits, Sandbox, SandboxUnavailable
from prorl.rewards.sandbox.interpreter import ENVIRONMENT

LIMITS = Limits(total_seconds=10.0, memory_mb=512)
CONTAINED = "contained"
PROGRAM = "import sys\nexec(sys.stdin.read())\n"
ATTEMPT = """
import os
def attempt():
    {attempt}
try:
    attempt()
except OSError:
    print("contained")
else:
    print("escaped")
"""
ATTEMPTS = {
    "internet sockets": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "local sockets": "import socket; socket.socket(socket.AF_UNIX)",
    "reading a file outside": "open({secret!r}).read()",
    "writing a file outside": "open({target!r}, 'w').close()",
    "writing to shared memory": "open('/dev/shm/' + {name!r}, 'w').close()",
    "another process's environment": "open('/proc/{pid}/environ').read()",
    "processes": "os.fork() or os._exit(0)",
    "running files": "os.execv('/bin/true', ['true'])",
    "a signal to the harness": "os.kill(os.getppid(), 0)",
    "a signal to the trainer": "os.kill({pid}, 0)",
    "being root": "assert 0 not in os.getresuid() + os.getresgid(); raise OSError",
    "the environment": "assert set(os.environ) <= {names!r}; raise OSError",
}
BENIGN = """
import json, sys, threading
with open("notes.txt", "w") as file:
    file.write("con")
threading.stack_size(64 * 2**20)
thread = threading.Thread(target=lambda: print(open("notes.txt").read(), end=""))
thread.start()
thread.join()
print(json.loads('"tained"'))
sys.exit(0)
"""


def require_containment(sandbox: Sandbox) -> None:
    """Raise SandboxUnavailable with what got through, or with what honest programs cannot do."""
    with tempfile.NamedTemporaryFile(prefix="prorl-outside-") as secret:
        os.fchmod(secret.fileno(), 0o644)
        target = Path(f"{secret.name}-written")
        facts = {
            "secret": secret.name,
            "target": str(target),
            "name": target.name,
            "pid": os.getpid(),
            "names": {*ENVIRONMENT, "PWD", "LC_CTYPE"},
        }
        snippets = {name: ATTEMPT.format(attempt=text.format(**facts)) for name, text in ATTEMPTS.items()}
        snippets["honest programs"] = BENIGN
        report = sandbox.run(PROGRAM, [Input(snippet) for snippet in snippets.values()], LIMITS)
        results = dict(zip(snippets, report.results, strict=False))
        bad = [name for name in snippets if name not in results or results[name].output.strip() != CONTAINED]
        for path in (target, Path("/dev/shm") / target.name):
            if path.exists():
                path.unlink()
                bad.append(f"left {path}")
    if bad:
        raise SandboxUnavailable(f"the self-test failed: {', '.join(bad)}")
