"""Stage 3, rewards: the program inside a sandbox. It confines itself, then forks a process for each test.

Run by a bare interpreter on Python 3.9 and later, possibly another than the trainer's, so it imports nothing of this
package. It is told what to do over a socket: each order is one message with descriptors. It answers with short lines of
text. Nothing that it holds is worth stealing: the tests' inputs go past it in descriptors, expected outputs never come.
"""

import _socket
import ctypes
import errno
import gc
import io
import marshal
import os
import resource
import select
import struct
import sys
import types

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SYS_LANDLOCK_CREATE, SYS_LANDLOCK_ADD, SYS_LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_SCOPES = 3
SIG_SETMASK, SIGKILL, SIGXCPU = 2, 9, 24
MAX_MESSAGE = 1 << 16
MAX_DESCRIPTORS = 4
WATCH_MILLISECONDS = 50
MAX_SCRATCH_FILES = 1000
STACK_BYTES = 100 * 2**20
"""Of a program's main thread. Less than the room that the kernel leaves below other mappings."""
MAIN_NAME = "program.py"

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    """The result of a C call, which is an error where it is negative."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, what + ": " + os.strerror(code))
    return result


def prctl(option, value):
    check(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl %d" % option)


def landlock(rules, handled_files, handled_net):
    """A ruleset's descriptor. Rules name folders by path, so this comes while they can still be reached."""
    attributes = struct.pack("=QQQ", handled_files, handled_net, LANDLOCK_SCOPES)
    ruleset = check(libc.syscall(SYS_LANDLOCK_CREATE, attributes, len(attributes), 0), "landlock_create_ruleset")
    for path, access in rules:
        try:
            target = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # a folder that this machine has not
        rule = struct.pack("=Qi", access, target)
        check(libc.syscall(SYS_LANDLOCK_ADD, ruleset, 1, rule, 0), "landlock_add_rule " + path)
        os.close(target)
    return ruleset


def restrict(ruleset):
    check(libc.syscall(SYS_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def filter_calls(code):
    """Install a seccomp filter, for good."""
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("=H6xQ", len(code) // 8, ctypes.addressof(buffer))
    check(libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), program, 0, 0), "seccomp filter")


def drop_identity(uid):
    """Become a user without any rights, for good."""
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = struct.pack("=Ii", 0x20080522, 0)
    check(libc.capset(header, bytes(24)), "capset")
    if 0 in os.getresuid() + os.getresgid():
        raise OSError(errno.EPERM, "still root")


def confine(setup):
    """Leave nothing but what `setup` grants."""
    libc.sigprocmask(SIG_SETMASK, bytes(128), None)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # where memory ends, this process goes, not the trainer
    except OSError:
        pass
    ruleset = landlock(setup["rules"], setup["handled_files"], setup["handled_net"]) if setup["landlock"] else -1
    os.chdir(setup["scratch"])
    drop_identity(setup["user"])
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_PDEATHSIG, SIGKILL)  # after the drop, which clears it
    if setup["parent"] and os.getppid() != setup["parent"]:
        os._exit(1)
    limit(setup)
    if setup["landlock"]:
        restrict(ruleset)
    if setup["keeper_filter"]:
        filter_calls(setup["keeper_filter"])


def limit(setup):
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, setup["memory"]),
        (resource.RLIMIT_FSIZE, setup["scratch_bytes"]),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 128),
        (resource.RLIMIT_CPU, setup["cpu_seconds"]),
    ]
    if setup["processes"]:
        limits.append((resource.RLIMIT_NPROC, setup["processes"]))
    for name, value in limits:
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))


def receive(channel):
    """The next order and its descriptors; None where the host closed the channel."""
    data, ancillary, _, _ = channel.recvmsg(MAX_MESSAGE, _socket.CMSG_SPACE(4 * MAX_DESCRIPTORS))
    if not data:
        return None, ()
    descriptors = ()
    for _, _, payload in ancillary:
        descriptors = struct.unpack("=%di" % (len(payload) // 4), payload)
    return marshal.loads(data), descriptors


def read_all(descriptor):
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


class Keeper:
    """Compiles the program once, then runs a test in a fork for each order."""

    def __init__(self, channel, setup):
        self.channel = channel
        self.setup = setup
        self.code = None

    def serve(self):
        while True:
            order, descriptors = receive(self.channel)
            if order is None:
                return
            if order[0] == "compile":
                self.answer(self.compile(*descriptors))
            elif order[0] == "test":
                self.answer(self.test(order[1], descriptors))
            # Else it is an order to end a test that has ended by itself.

    def answer(self, line):
        os.write(self.channel.fileno(), line.encode("utf-8", "replace"))

    def compile(self, source):
        try:
            text = read_all(source)
            os.close(source)
            self.code = compile(text, MAIN_NAME, "exec", dont_inherit=True)
        except SyntaxError as error:
            return "refused %s: %s (line %s)" % (type(error).__name__, error.msg, error.lineno)
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            return "refused %s: %s" % (type(error).__name__, error)
        gc.collect()
        gc.freeze()
        return "compiled"

    def test(self, mode, descriptors):
        started = os.times()
        child = os.fork()
        if child == 0:
            run_test(self.channel.fileno(), self.setup, self.code, mode, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        watch = os.pidfd_open(child)
        reason = self.wait(watch)
        if reason:
            os.kill(child, SIGKILL)
        os.close(watch)
        status = os.waitpid(child, 0)[1]
        self.clear_scratch()
        cpu = os.times()
        used = cpu.children_user + cpu.children_system - started.children_user - started.children_system
        return "done %d %d %s" % (status, 1000 * used, reason or "-")

    def wait(self, watch):
        """Until the test ends. Why it must be ended, or nothing."""
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.register(self.channel, select.POLLIN)
        while True:
            ready = dict(poll.poll(WATCH_MILLISECONDS))
            if watch in ready:
                return ""
            if ready:
                order, _ = receive(self.channel)
                if order is None or order[0] == "end":
                    return "ended"
            if self.scratch_is_full():
                return "scratch"

    def scratch_is_full(self):
        total = number = 0
        for entry in os.scandir("."):
            number += 1
            total += entry.stat(follow_symlinks=False).st_blocks * 512
        return number > MAX_SCRATCH_FILES or total > self.setup["scratch_bytes"]

    def clear_scratch(self):
        for entry in os.scandir("."):
            os.unlink(entry.name)


def run_test(channel, setup, code, mode, descriptors):
    """In the fork: take the last rights away, run the program, leave. Never returns."""
    status = 1
    try:
        prctl(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != setup["keeper"]:
            os._exit(1)
        kept = place_descriptors(channel, mode, descriptors)
        if setup["landlock"]:
            restrict(landlock([], 0, 0))  # its own scope: the harness can no longer be signalled
        if setup["program_filter"]:
            own = struct.pack("=I", os.getpid())
            filter_calls(setup["program_filter"].replace(setup["own_pid"], own))
        open_streams(mode)
        status = guarded(MODES[mode], code, kept)
    finally:
        os._exit(status)


def place_descriptors(channel, mode, descriptors):
    """Standard streams at 0, 1, 2, then the rest; all else is closed."""
    payload, out, err = descriptors[:3]
    data = b""
    if mode == "script":
        order = [payload, out, err]
    else:
        data = read_all(payload)
        null = os.open("/dev/null", os.O_RDWR)
        order = [null, null, err, out, *descriptors[3:]]
    high = [os.dup2(source, 64 + index, inheritable=False) for index, source in enumerate(order)]
    for index, source in enumerate(high):
        os.dup2(source, index)
    os.closerange(len(order), 256)
    return data


def open_streams(mode):
    stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8", "surrogateescape")
    stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", "surrogateescape")
    stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace", line_buffering=True
    )
    sys.stdin = sys.__stdin__ = stdin
    sys.stdout = sys.__stdout__ = stdout
    sys.stderr = sys.__stderr__ = stderr


def guarded(run, code, data):
    """Run it as the interpreter runs a script: the exit status, the traceback on standard error, threads joined."""
    status = 0
    try:
        run(code, data)
    except SystemExit as error:
        status = exit_status(error.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        if "atexit" in sys.modules:
            sys.modules["atexit"]._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = status or 1
    return status


def exit_status(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(str(code) + "\n")
    return 1


def load(code, name):
    """The program's module, run under this name."""
    module = types.ModuleType(name)
    module.__dict__.update(__builtins__=__builtins__, __file__=MAIN_NAME)
    sys.modules[name] = module
    exec(code, module.__dict__)
    return module


def find(module, name):
    """`Solution().name`, or `name`."""
    names = module.__dict__
    if "Solution" in names and isinstance(getattr(names["Solution"], name, None), types.FunctionType):
        return getattr(names["Solution"](), name)
    if name not in names:
        raise NameError("the program defines no %s" % name)
    return names[name]


def run_script(code, data):
    sys.argv = [MAIN_NAME]
    load(code, "__main__")


def run_call(code, data):
    name, arguments = marshal.loads(data)
    result = find(load(code, "program"), name)(*arguments)
    write_all(3, VALUES["encode"](result).encode())


def run_service(code, data):
    """Answer calls until the examiner has no more."""
    function = find(load(code, "program"), marshal.loads(data))
    while True:
        request = read_frame(4)
        if request is None:
            return
        try:
            arguments, named = VALUES["decode"](request)
            answer = VALUES["encode"](("returned", function(*arguments, **named)))
        except BaseException as error:
            answer = VALUES["encode"](("raised", type(error).__name__, str(error)[:200]))
        write_frame(3, answer)


def run_examiner(code, data):
    check_function = find(load(code, "examiner"), "check")
    check_function(call_program)


def call_program(*arguments, **named):
    """Stands in for the function under test, which runs in another sandbox."""
    write_frame(3, VALUES["encode"]((arguments, named)))
    text = read_frame(4)
    if text is None:
        raise RuntimeError("the program ended")
    answer = VALUES["decode"](text)
    if not isinstance(answer, tuple) or len(answer) not in (2, 3):
        raise ValueError("the program sent no answer")
    if answer[0] == "returned":
        return answer[1]
    kind = vars(__builtins__).get(answer[1]) if isinstance(answer[1], str) else None
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = RuntimeError
    raise kind(str(answer[2]))


def read_exactly(descriptor, size):
    data = b""
    while len(data) < size:
        chunk = os.read(descriptor, size - len(data))
        if not chunk:
            return None
        data += chunk
    return data


def read_frame(descriptor):
    """A text that the other side wrote; None where it has ended."""
    header = read_exactly(descriptor, 4)
    if header is None:
        return None
    size = int.from_bytes(header, "little")
    if size > VALUES["max_frame"]:
        raise ValueError("an answer of over %d bytes" % VALUES["max_frame"])
    data = read_exactly(descriptor, size)
    return None if data is None else data.decode("utf-8", "replace")


def write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_frame(descriptor, text):
    data = text.encode()
    write_all(descriptor, len(data).to_bytes(4, "little") + data)


MODES = {"script": run_script, "call": run_call, "serve": run_service, "examine": run_examiner}
VALUES = {}


def main():
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, int(sys.argv[1]))
    setup, _ = receive(channel)
    sys.path[:] = setup["path"]
    if setup["values"]:
        exec(marshal.loads(setup["values"]), VALUES)
        VALUES["max_frame"] = setup["max_frame"]
    setup["keeper"] = os.getpid()
    confine(setup)
    os.write(channel.fileno(), b"ready")
    try:
        Keeper(channel, setup).serve()
    except OSError:
        pass  # the host has gone
    os._exit(0)


if __name__ == "__main__":
    main()
