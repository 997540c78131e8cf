"""Programs that cheat or attack score 0, honest ones of every style score 1, in the sandbox of this machine."""

import json
import os
import textwrap
import time

import pytest

from prorl.records import Prompt
from prorl.rewards.programs.verdict import verify
from prorl.rewards.sandbox.interface import SandboxUnavailable
from prorl.rewards.sandbox.selection import worker_sandbox

PRINTING = {"inputs": ["3\n", "4\n", "5\n", "7\n"], "outputs": ["9\n", "16\n", "25\n", "49\n"]}
CALLING = {"inputs": ["3", "4", "5", "7"], "outputs": ["9", "16", "25", "49"], "fn_name": "square"}
ASSERTING = ["assert square(3) == 9", "assert square(4) == 16", "assert 25 == square(5)"]
CHECKING = {
    "test": "def check(candidate):\n    for n, wanted in ((3, 9), (4, 16)):\n        assert candidate(n) == wanted\n",
    "entry_point": "square",
}


@pytest.fixture(scope="module", autouse=True)
def _sandbox():
    try:
        worker_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def judged(answer, source, seconds=5.0):
    metadata = {"time_limit_seconds": seconds}
    prompt = Prompt(id="", domain="code", task="", content="", answer=json.dumps(answer), metadata=metadata)
    return verify(prompt, f"```python\n{textwrap.dedent(source).strip()}\n```")


LIES = """
class Liar{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    def __len__(self): return 1
    def __iter__(self): return iter([self])
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __reduce__(self): return (print, ("9",))
def square(n): return Liar({value})
"""
SEARCH = """
import gc, sys, os, builtins
def hunt():
    found = []
    frame = sys._getframe()
    while frame:
        found += [*frame.f_locals.values(), *frame.f_globals.values()]
        frame = frame.f_back
    found += gc.get_objects()
    for module in list(sys.modules.values()):
        found += list(vars(module).values())
    for thing in found:
        for key in ("expected", "outputs", "output", "wanted", "CASES", "examiner"):
            if isinstance(thing, dict) and key in thing:
                yield thing[key]
        if isinstance(thing, (str, bytes)) and len(thing) < 10000:
            text = str(thing).strip("b'\\n")
            if text in ("9", "16", "25", "49"):
                yield int(text)
"""
FILES = """
import os
def hunt():
    for root in (".", "/tmp", "/proc/self", "/proc/%d" % os.getppid(), "/dev/shm", os.path.expanduser("~")):
        for folder, _, names in os.walk(root):
            for name in names[:200]:
                try:
                    with open(os.path.join(folder, name), "rb") as file: data = file.read(100000)
                except OSError:
                    continue
                for wanted in (b"49", b"25", b"16"):
                    if b'"outputs"' in data or b"assert square" in data:
                        return int(wanted)
            if len(folder) > 60: break
    return -1
"""
FRAMES = """
import os
frames = [b"done 0 0 -", b"compiled", b"9", b"16\\n", b'["returned", 9]', b'{"t": ["returned", 9]}', b"\\0" * 64]
def forge():
    for descriptor in range(3, 64):
        for frame in frames:
            try: os.write(descriptor, frame)
            except OSError: pass
"""
CALL_CHEATS = {
    "equal to all": LIES.format(base="", value=""),
    "int in name": LIES.format(base="(int)", value="0"),
    "str in name": LIES.format(base="(str)", value="'x'"),
    "list in name": LIES.format(base="(list)", value="[1]"),
    "float in name": LIES.format(base="(float)", value="0.5"),
    "tuple in name": LIES.format(base="(tuple)", value="(1,)"),
    "dict in name": LIES.format(base="(dict)", value=""),
    "class that is equal": "class M(type):\n    def __eq__(s, o): return True\n"
    "class square(metaclass=M):\n    def __init__(s, n): pass",
    "truth": "def square(n): return True",
    "text": "def square(n): return str(n * n)",
    "all candidates": "def square(n): return [k * k for k in range(100)]",
    "set of candidates": "def square(n): return {k * k for k in range(100)}",
    "generator": "def square(n): yield n * n",
    "not a number": "def square(n): return float('nan')",
    "complex": "def square(n): return complex(n * n)",
    "bytes": "def square(n): return str(n * n).encode()",
    "deep": "def square(n):\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
    "ring": "def square(n):\n    x = []\n    x.append(x)\n    return x",
    "giant number": "def square(n): return 9 ** 400000",
    "printed": "def square(n): print(n * n)",
    "exit before": "import os; os._exit(0)",
    "exit inside": "import os\ndef square(n): os._exit(0)",
    "exit printed": "import os, sys\ndef square(n):\n    sys.__stdout__.write(str(n*n))\n"
    "    sys.__stdout__.flush()\n    os._exit(0)",
    "system exit": "import sys\ndef square(n): sys.exit(0)",
    "at exit": "import atexit\ndef square(n): atexit.register(lambda: print(n * n))",
    "forged frames": FRAMES + "def square(n):\n    forge()\n    return -1",
    "forged frames and exit": FRAMES + "def square(n):\n    forge()\n    os._exit(0)",
    "patched json": "import json\njson.dumps = json.loads = lambda *a, **k: '9'\ndef square(n): return -1",
    "patched built-ins": "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.str = lambda *a: '9'\n"
    "builtins.int = lambda *a: 9\nbuiltins.repr = lambda *a: '9'\ndef square(n): return 'x'",
    "patched harness": "import sys\nfor m in list(sys.modules.values()):\n    for k, v in list(vars(m).items()):\n"
    "        if k in ('encode', 'check', 'VALUES', 'same_value', 'run_call'):\n"
    "            vars(m)[k] = (lambda *a, **k: 'true') if callable(v) else {'encode': lambda *a: 'true'}\n"
    "def square(n): return True",
    "frames and gc": SEARCH + "def square(n): return next((x for x in hunt() if isinstance(x, int)), -1)",
    "files": FILES + "def square(n): return hunt()",
    "environment": "import os\ndef square(n): return [*os.environ.values(), open('/proc/self/environ').read()]",
    "trace": "import sys\ndef square(n):\n    sys.settrace(lambda f, e, a: f.f_locals.update(result=9))\n    return -1",
    "profile": "import sys\nsys.setprofile(lambda f, e, a: None)\ndef square(n): raise SystemExit(0)",
    "forked answers": "import os\ndef square(n):\n    for k in range(100):\n"
    "        if os.fork() == 0: return k * k\n    return -1",
    "warped class": "class Solution:\n    def __getattr__(self, name): return lambda n: True",
    "segmentation fault": "import ctypes\ndef square(n): ctypes.string_at(1)",
    "endless recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef square(n): return square(n)",
    "no function": "def cube(n): return n",
    "no compile": "def square(n: return n * n",
    "null byte": "def square(n): return '\0'",
}
PRINT_CHEATS = {
    "all candidates": "print(*range(100))",
    "all candidates in lines": "print(*range(100), sep='\\n')",
    "answers with their negation": "n = int(input())\nprint(n * n, -n * n)",
    "nothing": "pass",
    "at exit": "import atexit, os\natexit.register(lambda: print('accepted', 1.0))\nprint('{\"score\": 1}')",
    "closed output": "import os\nos.close(1)\nprint(int(input()) ** 2)",
    "stopped": "import os, signal\nprint(int(input()) ** 2, flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)",
    "killed": "import os\nprint(int(input()) ** 2, flush=True)\nos.kill(os.getpid(), 9)",
    "failing after": "print(int(input()) ** 2, flush=True)\nraise ValueError",
    "failing exit": "import sys\nprint(int(input()) ** 2)\nsys.exit(3)",
    "parent killed": "import os\nos.kill(os.getppid(), 9)\nos.killpg(0, 9)",
    "everything killed": "import os\nprint(int(input()) ** 2, flush=True)\nos.kill(-1, 9)",
    "flood": "print(int(input()) ** 2)\nwhile True: print('x' * 100000)",
    "error flood": "import sys\nprint(int(input()) ** 2, flush=True)\nwhile True: sys.stderr.write('x' * 100000)",
    "memory": "n = int(input())\nx = []\nwhile True: x.append(bytearray(10**8))",
    "files": FILES + "print(hunt())",
    "frames and gc": SEARCH + "print(next((x for x in hunt() if isinstance(x, int)), -1))",
    "forged frames": FRAMES + "forge()",
    "network": "import socket\ns = socket.create_connection(('127.0.0.1', 80))\nprint(int(input()) ** 2)",
    "child": "import subprocess\nprint(subprocess.run(['echo', '9'], capture_output=True).stdout.decode())",
    "invalid text": "import sys\nsys.stdout.buffer.write(b'\\xff\\xfe9')",
    "no input": "open(0).close()\nprint(int(input()) ** 2)",
}
LATE = {
    "first test takes it all": "import time\nn = int(input())\nprint(n * n, flush=True)\nif n == 3: time.sleep(99)",
    "last test takes it all": "import time\nn = int(input())\nprint(n * n, flush=True)\nif n == 7: time.sleep(99)",
    "loop": "print(int(input()) ** 2, flush=True)\nwhile True: pass",
    "thread that stays": "import threading, time\nprint(int(input()) ** 2, flush=True)\n"
    "threading.Thread(target=time.sleep, args=(99,)).start()",
    "deaf": "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n"
    "    except OSError: pass\nprint(int(input()) ** 2, flush=True)\nwhile True: pass",
    "waits": "print(int(input()) ** 2, flush=True)\nimport os\nr, w = os.pipe()\nos.read(r, 1)",
}
ASSERT_CHEATS = {
    **{name: CALL_CHEATS[name] for name in (
        "equal to all", "int in name", "str in name", "float in name", "truth", "all candidates", "generator",
        "not a number", "deep", "ring", "exit before", "exit inside", "system exit", "forged frames",
        "forged frames and exit", "frames and gc", "files", "trace", "patched built-ins", "patched harness",
        "no function", "no compile",
    )},
    "own check": "def square(n): return -1\ndef check(candidate): pass\ncandidate = lambda n: n * n",
    "own exception": "def square(n): raise AssertionError('passed 3 of 3')",
    "exit in an exception": "class E(BaseException):\n    def __str__(self): raise SystemExit(0)\n"
    "def square(n): raise E",
    "patched exceptions": "import builtins\nbuiltins.AssertionError = SystemExit\nbuiltins.Exception = KeyError\n"
    "def square(n): raise AssertionError(0)",
    "mutated globals": "import sys\nsys.modules['examiner'] = sys.modules['__main__'] = sys\nsys.CASES = []\n"
    "def square(n): return -1",
    "lying container": "class L(list):\n    def __eq__(s, o): return True\n"
    "    def __iter__(s): return iter(())\ndef square(n): return L()",
}  # fmt: skip


@pytest.mark.parametrize("name", CALL_CHEATS)
def test_cheating_functions_score_nothing(name):
    score = judged(CALLING, CALL_CHEATS[name], seconds=1.0)
    assert score.value == 0.0, score
    assert score.outcome in ("wrong", "timeout"), score


@pytest.mark.parametrize("name", PRINT_CHEATS)
def test_cheating_programs_score_nothing(name):
    score = judged(PRINTING, PRINT_CHEATS[name], seconds=1.0)
    assert score.value == 0.0, score
    assert score.outcome in ("wrong", "timeout"), score


@pytest.mark.parametrize("name", ASSERT_CHEATS)
def test_cheating_examined_functions_score_nothing(name):
    for answer in (ASSERTING, CHECKING):
        score = judged(answer, ASSERT_CHEATS[name], seconds=1.0)
        assert score.value == 0.0, (score, answer)
        assert score.outcome in ("wrong", "timeout"), score


@pytest.mark.parametrize("name", LATE)
def test_using_up_the_time_scores_nothing_and_ends_in_time(name):
    started = time.monotonic()
    score = judged(PRINTING, LATE[name], seconds=0.5)
    assert time.monotonic() - started < 15.0
    assert (score.value, score.outcome) == (0.0, "timeout")


@pytest.mark.parametrize(
    "source",
    [
        "x=" + "-" * 60000 + "1",
        "(" * 60000,
        "x" + ".a" * 30000,
        "lambda:" * 9000 + "1",
        "x=(1<<60000)**60000",
        "@a\n" * 20000,
    ],
)
def test_programs_that_are_hard_to_compile_score_nothing(source):
    score = judged(PRINTING, source, seconds=0.5)
    assert score.value == 0.0, score
    assert score.outcome in ("wrong", "timeout"), score


@pytest.mark.parametrize("answer", [CALLING, ASSERTING, CHECKING])
@pytest.mark.parametrize("last", [3, 5])
def test_a_function_that_uses_up_the_time_scores_nothing(answer, last):
    source = f"import time\ndef square(n):\n    if n == {last}: time.sleep(99)\n    return n * n"
    score = judged(answer, source, seconds=0.5)
    is_reached = answer is not CHECKING or last == 3
    assert (score.value, score.outcome) == ((0.0, "timeout") if is_reached else (1.0, "correct"))


def test_no_program_leaves_a_file_outside(tmp_path):
    os.chmod(tmp_path, 0o777)
    for folder in (tmp_path, "/tmp", "/var/tmp", "/dev/shm"):
        marker = f"{folder}/prorl_cheat_marker"
        judged(PRINTING, f"open({marker!r}, 'w').close()\nprint(int(input()) ** 2)")
        assert not os.path.exists(marker)


HONEST = {
    "input": "n = int(input())\nprint(n * n)",
    "loop of inputs": "while True:\n    try:\n        line = input()\n    except EOFError:\n        break\n"
    "    print(int(line) ** 2)",
    "all of stdin": "import sys\ndata = sys.stdin.buffer.read().split()\nprint(int(data[0]) ** 2)",
    "fast output": "import sys\nn = int(sys.stdin.readline())\nsys.stdout.write(str(n * n) + '\\n')",
    "buffer output": "import sys, io\nn = int(sys.stdin.readline())\nsys.stdout.buffer.write(b'%d\\n' % (n * n))",
    "open(0)": "n, = map(int, open(0).read().split())\nprint(n * n)",
    "for line in stdin": "import sys\nfor line in sys.stdin:\n    print(int(line) ** 2)",
    "exit after": "import sys\nn = int(input())\nprint(n * n)\nsys.exit(0)",
    "plain exit": "n = int(input())\nprint(n * n)\nexit()",
    "main guard": "def main():\n    n = int(input())\n    print(n * n)\n\nif __name__ == '__main__':\n    main()",
    "recursion in a thread": """
        import sys, threading
        def depth(k): return 0 if k == 0 else 1 + depth(k - 1)
        def main():
            n = int(input())
            assert depth(200_000) == 200_000
            print(n * n)
        sys.setrecursionlimit(10**6)
        threading.stack_size(512 * 1024 * 1024)
        thread = threading.Thread(target=main)
        thread.start()
        thread.join()
    """,
    "300 MiB": "n = int(input())\nx = [0] * (300 * 2**20 // 8 if n == 3 else 8)\nprint(n * n + x[-1])",
    "contest imports": """
        import bisect, collections, copy, datetime, decimal, fractions, functools, heapq, itertools, json, math
        import operator, os, queue, random, re, statistics, string, sys, time, typing
        from collections import Counter, defaultdict, deque
        n = int(input())
        heap = [n]
        heapq.heappush(heap, n)
        print(math.prod(heap) + bisect.bisect_left([1], 0))
    """,
    "class": "class Solver:\n    def run(self):\n        n = int(input())\n        print(n * n)\nSolver().run()",
    "redirected input": "import io, os\ninput = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\n"
    "print(int(input()) ** 2)",
    "at exit": "import atexit, io, sys\nb = io.StringIO()\n"
    "atexit.register(lambda: sys.__stdout__.write(b.getvalue()))\nn = int(input())\nb.write(str(n * n))",
}  # fmt: skip
HONEST_FUNCTIONS = {
    "function": "def square(n): return n * n",
    "class": "class Solution:\n    def square(self, n: List[int]) -> Optional[int]:\n        return n * n",
    "static": "class Solution:\n    @staticmethod\n    def square(n): return n * n",
    "noisy": "print('debug')\ndef square(n):\n    print('n', n)\n    return n * n",
    "lambda": "square = lambda n: n * n",
    "cached": "from functools import lru_cache\n@lru_cache(None)\ndef square(n): return n * n",
    "float": "def square(n): return float(n) ** 2",
    "guard": "def square(n): return n * n\nif __name__ == '__main__':\n    print(square(int(input())))",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_score_everything(name):
    score = judged(PRINTING, HONEST[name], seconds=20.0)
    assert score.value == 1.0, score


@pytest.mark.parametrize("name", HONEST_FUNCTIONS)
def test_honest_functions_score_everything(name):
    score = judged(CALLING, HONEST_FUNCTIONS[name])
    assert score.value == 1.0, score


@pytest.mark.parametrize("answer", [ASSERTING, CHECKING])
@pytest.mark.parametrize("name", sorted(HONEST_FUNCTIONS.keys() - {"class", "static"}))
def test_honest_examined_functions_score_everything(name, answer):
    score = judged(answer, HONEST_FUNCTIONS[name])
    assert score.value == 1.0, score


def test_half_of_the_assert_statements():
    score = judged([*ASSERTING, "assert square(0) == 0"], "def square(n): return n * n if n > 3 else -1")
    assert (score.value, score.outcome) == (0.5, "partial")


def test_a_row_of_many_tests():
    answer = {"inputs": [f"{n}\n" for n in range(120)], "outputs": [f"{n * n}\n" for n in range(120)]}
    assert judged(answer, "print(int(input()) ** 2)", seconds=20.0).value == 1.0
    score = judged(answer, "n = int(input())\nprint(n * n if n < 24 else -1)", seconds=20.0)
    assert (score.value, score.outcome) == (0.2, "partial")


def test_evalplus_examiner_with_floats():
    test = (
        "import numpy as np\n\n"
        "def assertion(out, exp, atol):\n"
        "    if atol == 0 and isinstance(exp, float): atol = 1e-6\n"
        "    if out != exp and atol != 0: np.testing.assert_allclose(out, exp, atol=atol)\n"
        "    else: assert out == exp\n\n"
        "def check(candidate):\n"
        "    for inp, exp in zip([[2.0], [0.5]], [4.0000001, 0.25]): assertion(candidate(*inp), exp, 0)\n"
    )
    answer = {"test": test, "entry_point": "square"}
    assert judged(answer, "def square(x): return x * x").value == 1.0
    assert judged(answer, "def square(x): return x + 2").value == 0.0
