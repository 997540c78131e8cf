"""Junk and hostile answers by domain: what a model under training may say to stall, crash or cheat a verifier.

Each is a function of the problem, the number of the answer and the path of a file that must never come into being.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

from prorl.records import Prompt

Answer = Callable[[Prompt, int, Path], str]
NOISE_CHARACTERS = 2**20


def wrap(domain: str, text: str) -> str:
    """The text where the domain's verifier looks for an answer."""
    if domain in ("math", "stem"):
        return f"\\boxed{{{text}}}"
    if domain == "logic":
        return f"<answer>{text}</answer>"
    return f"```python\n{text}\n```" if domain == "code" else text


def noise(prompt: Prompt, number: int, canary: Path) -> str:
    """A megabyte of printable characters."""
    generator = random.Random(number)
    return "".join(generator.choices("".join(map(chr, range(32, 127))) + "\n", k=NOISE_CHARACTERS))


def payload(prompt: Prompt, number: int, canary: Path) -> str:
    """Code that would create the file, in one of six shapes."""
    call = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    shapes = (call, f"[{call}]", f"str({call})", f"{{1: {call}}}", f"({call}) or 1", f"\\text{{{call}}}")
    return wrap(prompt.domain, shapes[number % len(shapes)])


def options(prompt: Prompt, number: int, canary: Path) -> str:
    """Every option of a choice, or many candidates at once."""
    choices = prompt.metadata.get("choices")
    listed = list(choices) if isinstance(choices, list | dict) else [str(value) for value in range(-20, 100)]
    return wrap(prompt.domain, ", ".join(map(str, listed)))


JUNK: dict[str, Answer] = {
    "empty": lambda prompt, number, canary: "",
    "blanks": lambda prompt, number, canary: " \n\t" * 50,
    "prompt echoed": lambda prompt, number, canary: prompt.text,
    "prompt as the answer": lambda prompt, number, canary: wrap(prompt.domain, prompt.text),
    "options listed": options,
    "noise": noise,
    "noise as the answer": lambda prompt, number, canary: wrap(prompt.domain, noise(prompt, number, canary)),
    "payload": payload,
}
"""Deserve nothing, or what chance gives."""

_TEXTS = (
    "9**9**9**9",
    "9^{9^{9^{9^{9}}}}",
    "10^{100000000}!",
    "((((" * 5000,
    "{" * 20000 + "}" * 20000,
    "[" * 50000,
    "a," * 500000,
    "1" * 100000,
    "\\frac{1}{" * 2000 + "1" + "}" * 2000,
    "\\sqrt{" * 5000,
    "\\sum_{n=1}^{10^{12}} \\frac{1}{n^{1.5}}",
    "\\int_0^1 \\sin(\\cos(\\tan(x^{x^{x}}))) dx",
    "nan",
    "1e99999999",
    "\x00" * 1000,
    "\ud800\udfff",
    "١٢٣",
    "\u200b5\u200b",
    "1e9**1e9 m**1e9",
    "(a+b+c+d+e)^{500}",
    "lambda: (yield)",
    "{'__class__': 1}",
)
_PROGRAMS = (
    "while True: pass",
    "import time\ntime.sleep(1000)",
    "import os\nwhile True: os.fork()",
    "x = [0] * 10**10",
    "while True: print('x' * 10**6)",
    "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "import os, signal\nos.kill(-1, signal.SIGKILL)",
    "import ctypes\nctypes.string_at(0)",
    "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return f(n + 1)\nf(0)",
    "import socket\nsocket.create_connection(('127.0.0.1', 22))",
    "open({canary!r}, 'w').write('x')",
    "import subprocess\nsubprocess.run(['touch', {canary!r}])",
    "import os\nos.execv('/bin/touch', ['touch', {canary!r}])",
    "import gc\nprint([o for o in gc.get_objects() if isinstance(o, dict) and 'outputs' in o])",
    "class E:\n    def __eq__(self, other): return True\nprint(E())",
    "import os\nprint(os.environ)\nos._exit(0)",
    "import threading\nwhile True: threading.Thread(target=lambda: __import__('time').sleep(99)).start()",
    "import os\nos.setsid()\nif os.fork() == 0:\n    import time\n    time.sleep(1000)",
)


def hostile(prompt: Prompt, number: int, canary: Path) -> str:
    """The `number`-th hostile answer to a problem of this domain; they repeat after some dozens."""
    texts = [wrap(prompt.domain, text) for text in _TEXTS]
    if prompt.domain == "code":
        texts = [wrap("code", text.replace("{canary!r}", json.dumps(str(canary)))) for text in _PROGRAMS] + texts
    junk = list(JUNK.values())
    if number % 4 == 0:
        return junk[number // 4 % len(junk)](prompt, number, canary)
    return texts[number % len(texts)]
