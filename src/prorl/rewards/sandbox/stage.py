"""Stage 3, rewards: what a test's process does with the program: run it, call it, or examine another one.

It runs inside a sandbox, next to the program, on Python 3.9 and later: nothing here is out of the program's reach and
nothing here is trusted. It imports nothing of this package; the harness puts `VALUES` and `MAX_FRAME` in.
"""

from __future__ import annotations

import builtins
import io
import marshal
import os
import sys
from collections.abc import Callable
from types import CodeType, ModuleType

MAIN_NAME = "program.py"
RESULT, INCOMING, OUTGOING = 3, 4, 5
"""Descriptors: a call's returned value; texts from the other sandbox; texts to it."""
SIZE_BYTES = 4
MAX_MESSAGE_LENGTH = 200
VALUES: dict[str, Callable] = {}
MAX_FRAME = 0


def perform(mode: str, code: CodeType, data: bytes) -> int:
    """Run it as the interpreter runs a script: the exit status, tracebacks on standard error, threads waited for."""
    open_streams()
    status = 0
    try:
        MODES[mode](code, data)
    except SystemExit as error:
        status = exit_status(error.code)
    except BaseException:  # noqa: BLE001 - process boundary: whatever the program raises ends here
        sys.excepthook(*sys.exc_info())
        status = 1
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        if "atexit" in sys.modules:
            sys.modules["atexit"]._run_exitfuncs()
        for stream in {id(stream): stream for stream in (sys.stdout, sys.__stdout__)}.values():
            if stream is not None and not stream.closed:
                stream.flush()
    except BaseException:  # noqa: BLE001 - process boundary
        sys.excepthook(*sys.exc_info())
        status = status or 1
    return status


def open_streams() -> None:
    stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "surrogateescape")
    stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", "surrogateescape")
    stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace", line_buffering=True
    )
    for stream, mode in ((stdin, "r"), (stdout, "w"), (stderr, "w")):
        vars(stream)["mode"] = mode  # as the interpreter's own streams have it
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # a bare interpreter lacks them
    sys.stdin = sys.__stdin__ = stdin  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = stdout  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = stderr  # type: ignore[misc]


def exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def load(code: CodeType, name: str) -> ModuleType:
    """The program's module, run under this name."""
    module = ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__=MAIN_NAME)
    sys.modules[name] = module
    exec(code, module.__dict__)
    return module


def find(module: ModuleType, name: str) -> Callable[..., object]:
    """`Solution().name`, or `name`."""
    names = vars(module)
    solution = names.get("Solution")
    if isinstance(solution, type) and name in dir(solution):
        found = getattr(solution(), name)
    elif name in names:
        found = names[name]
    else:
        raise NameError(f"the program defines no {name}")
    return found


def run_script(code: CodeType, data: bytes) -> None:
    sys.argv = [MAIN_NAME]
    load(code, "__main__")


def run_call(code: CodeType, data: bytes) -> None:
    name, arguments = marshal.loads(data)
    result = find(load(code, "program"), name)(*arguments)
    write_all(RESULT, VALUES["encode"](result).encode())


def run_service(code: CodeType, data: bytes) -> None:
    """Answer the examiner's calls until it has no more."""
    function = find(load(code, "program"), marshal.loads(data))
    while (request := read_frame()) is not None:
        arguments, named = VALUES["decode"](request)
        try:
            answer = VALUES["encode"](("returned", function(*arguments, **named)))
        except BaseException as error:  # noqa: BLE001 - whatever the program raises is its answer
            answer = VALUES["encode"](("raised", type(error).__name__, str(error)[:MAX_MESSAGE_LENGTH]))
        write_frame(answer)


def run_examiner(code: CodeType, data: bytes) -> None:
    """Check the function of the other sandbox, under the name that the program gives it, too."""
    module = load(code, "examiner")
    vars(module).setdefault(marshal.loads(data), call_program)
    find(module, "check")(call_program)


def call_program(*arguments: object, **named: object) -> object:
    """Stands in for the function under test."""
    write_frame(VALUES["encode"]((arguments, named)))
    text = read_frame()
    if text is None:
        raise RuntimeError("the program ended")
    answer = VALUES["decode"](text)
    if not isinstance(answer, tuple) or len(answer) not in (2, 3):
        raise ValueError("the program sent no answer")
    if answer[0] == "returned":
        return answer[1]
    kind = vars(builtins).get(str(answer[1]))
    # An iteration's end would end the examiner's loop around the call, and nothing would be checked.
    ends_loops = (StopIteration, StopAsyncIteration)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(kind, ends_loops):
        kind = RuntimeError
    raise kind(str(answer[-1]))


def read_frame() -> str | None:
    """A text that the other side wrote; None where it has ended."""
    header = read_exactly(SIZE_BYTES)
    if header is None:
        return None
    size = int.from_bytes(header, "little")
    if size > MAX_FRAME:
        raise ValueError(f"an answer of over {MAX_FRAME} bytes")
    data = read_exactly(size)
    return None if data is None else data.decode("utf-8", "replace")


def read_exactly(size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        chunk = os.read(INCOMING, size - len(data))
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def write_frame(text: str) -> None:
    data = text.encode()
    write_all(OUTGOING, len(data).to_bytes(SIZE_BYTES, "little") + data)


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


MODES = {"script": run_script, "call": run_call, "serve": run_service, "examine": run_examiner}
