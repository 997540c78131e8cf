"""The command's side of Ray: connect, look before anything starts, let Ray Train run the ranks, and wait for them."""

import importlib.metadata
import logging
import os
import platform
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any, TextIO, TypeVar

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from prorl.config import Run
from prorl.distributed import PATIENCE
from prorl.environment import SETTINGS
from prorl.errors import RunFailed, UserError
from prorl.interrupt import Interrupts
from prorl.launch.placement import Node, Placement, described, holding, node, placement, refuse_other
from prorl.launch.ray_mailbox import LOGS, Ending, Job, Losses, Mailbox, reason, who_is_lost
from prorl.launch.ray_worker import run_rank

T = TypeVar("T")

OLDEST = (2, 51)
"""The first Ray whose Train starts all ranks anew by default when one dies ("V2")."""
REACH_SECONDS, CONNECT_SECONDS, PROBE_SECONDS = 10.0, 60.0, 120.0
"""For an answer from an address, for a connection to the cluster, for the first task on its nodes."""
WAIT_SECONDS = 60.0
"""Time without ranks after which the command says what it waits for."""
POLL_SECONDS = 0.5
OBJECT_STORE_BYTES = 128 * 2**20
"""Of a cluster of one's own: nothing large goes through Ray."""
STOPPING = "interrupted: the ranks save at the next safe point (again: stop at once, back to the last checkpoint)"
RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_raylet_start_wait_time_s": "240",
    "RAY_worker_niceness": "0",
}
"""No word to Ray's makers, Ray's future behaviour without its warning, time for a start on a busy machine, and ranks of
the command's own priority: Ray gives its workers the nice value 15, with which they starve beside other programs."""
SAME_ON_ALL = ("prorl", "torch", "transformers")


def train_on_ray(
    run: Run, folder: Path, address: str, *, resume: bool, changes: tuple[str, ...], terminal: TextIO
) -> str:
    """Train on the cluster at `address`, empty for that of this machine; gives `done` or `interrupted`.

    UserError where the cluster cannot be reached or lacks something, with nothing started.
    """
    _refuse_old()
    with _connected(address) as is_own, tempfile.TemporaryDirectory(prefix="prorl-ray-") as aside:
        alive = [found for found in ray.nodes() if found["Alive"]]
        nodes = [node(found["NodeManagerAddress"], found["Resources"]) for found in alive]
        placed = placement(run, nodes)
        if not is_own:
            _refuse_unlike([found["NodeID"] for found in alive], nodes)
        mailbox = ray.remote(Mailbox).options(num_cpus=0).remote()
        job = Job(run, folder, resume, changes, os.getcwd())
        trainer = _trainer(job, placed, mailbox, aside)
        _say(terminal, f"ray: {described(placed)}; the cluster has {holding(nodes)}; logs in {folder / LOGS}\n")
        failure = _wait(trainer, mailbox, placed, terminal)
        ending: Ending | None = ray.get(mailbox.ending.remote())
    return _outcome(ending, failure, folder, run)


def _outcome(ending: Ending | None, failure: BaseException | None, folder: Path, run: Run) -> str:
    """What the run's ending means for the command."""
    if ending is None:
        limit = f"cluster.max_failures = {run.cluster.max_failures}"
        why = _last_reason(failure) if failure is not None else "the ranks ended without a word"
        raise RunFailed(f"{why}; {limit}; see {folder / LOGS}, and go on with --resume")
    if ending.outcome == "refused":
        raise UserError(ending.line)
    if ending.outcome == "failed":
        raise RunFailed(ending.line)
    return ending.outcome


def _last_reason(failure: BaseException) -> str:
    if isinstance(failure, ray.train.WorkerGroupError):
        return who_is_lost(failure.worker_failures)
    return f"Ray: {reason(failure)}"


def _refuse_old() -> None:
    numbers = tuple(int(number) for number in ray.__version__.split(".")[:2])
    if numbers < OLDEST:
        raise UserError(f"ray {ray.__version__} is too old: 2.51 or later; pip install --upgrade 'prorl[ray]'")


@contextmanager
def _connected(address: str) -> Iterator[bool]:
    """A connection to the cluster; gives whether it is one of this command's own, which ends with it."""
    for name, value in RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    named = address or os.environ.get("RAY_ADDRESS", "")
    _refuse_unreachable(named)
    is_own = False
    try:
        try:
            _within(CONNECT_SECONDS, named, lambda: ray.init(address=address or "auto", **quiet))
        except ConnectionError:
            if named:
                raise
            is_own = True
            own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
            ray.init(address="local", **own, **quiet)  # its processes end with the thread that starts them
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001  (Ray raises plain ones)
        where = named or "this machine"
        raise UserError(f"--cluster: cannot connect to Ray at {where}: {_short(error)}{_token_advice()}") from None
    try:
        # Ray prints a page about each dead worker; the mailbox has a line.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            yield is_own
    finally:
        ray.shutdown()


def _token_advice() -> str:
    """What to try where a cluster may ask for the token that this user has, which Ray sends nowhere by itself."""
    token = Path.home() / ".ray" / "auth_token"
    if "RAY_AUTH_MODE" in os.environ or not token.exists():
        return ""
    return "; if the cluster asks for a token, set RAY_AUTH_MODE=token"


def _refuse_unreachable(address: str) -> None:
    """UserError where nothing listens at `ray://HOST:PORT` or `HOST:PORT`; other forms are Ray's to judge."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except OSError as error:
        why = error.strerror or "no answer"
        ask = "is Ray's head node up, and the port open?"
        raise UserError(f"--cluster: nothing answers at {address} ({why}); {ask}") from None


def _within(seconds: float, where: str, work: Callable[[], T]) -> T:
    """The result of `work`. UserError where it takes longer: its thread then ends with the process."""
    found: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001  (raised again by the caller)
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise UserError(f"--cluster: {where or 'Ray'} did not answer as a Ray cluster within {seconds:.0f} s")
    if errors:
        raise errors[0]
    return found[0]


def _refuse_unlike(ids: Sequence[str], nodes: Sequence[Node]) -> None:
    """UserError where a node does not have the package, or another version of it or of what it computes with."""

    def look(names: tuple[str, ...], folder: str) -> dict[str, str]:  # sent by value: a node may lack the package
        found = {"python": platform.python_version()}
        for name in names:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = ""
        return found | {"folder": folder if os.path.isdir(folder) else ""}

    here = {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in SAME_ON_ALL}}
    task = ray.remote(look)
    answers = [
        task.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(each, soft=False)).remote(
            SAME_ON_ALL, os.getcwd()
        )
        for each in ids
    ]
    for answer, where in zip(answers, nodes, strict=True):
        try:
            found = ray.get(answer, timeout=PROBE_SECONDS)
        except ray.exceptions.RayError as error:
            raise UserError(f"--cluster: node {where.address} does not run a task: {_short(error)}") from None
        for name, mine in here.items():
            refuse_other(where.address, name, found[name], mine)
        if not found["folder"]:
            raise UserError(f"--cluster: node {where.address} has no {os.getcwd()}; start in a folder all nodes share")


def _trainer(job: Job, placed: Placement, mailbox: Any, aside: str) -> TorchTrainer:
    resources: dict[str, float] = {"CPU": placed.cpus, **({"GPU": placed.gpus} if placed.gpus else {})}
    settings = {name: os.environ[name] for name in SETTINGS}
    return TorchTrainer(
        run_rank,
        train_loop_config={"job": job, "mailbox": mailbox},
        torch_config=TorchConfig(
            backend="cpu:gloo,cuda:nccl" if placed.gpus else "gloo", timeout_s=int(PATIENCE.total_seconds())
        ),
        scaling_config=ScalingConfig(
            num_workers=placed.ranks, use_gpu=bool(placed.gpus), resources_per_worker=resources
        ),
        run_config=RunConfig(
            name="run",
            storage_path=aside,  # Ray's own notes; checkpoints are ours
            failure_config=FailureConfig(max_failures=job.run.cluster.max_failures),
            callbacks=[Losses(mailbox)],
            worker_runtime_env={"env_vars": settings},
        ),
    )


def _wait(trainer: TorchTrainer, mailbox: Any, placed: Placement, terminal: TextIO) -> BaseException | None:
    """Print what the ranks say until Ray Train is done with them; gives what it raised. Ctrl-C stops the run, saved."""
    failures: list[BaseException] = []

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:  # noqa: BLE001  (told by the caller, in one line)
            failures.append(error)

    fitting = threading.Thread(target=fit, daemon=True)  # in the main thread Ray's answer to Ctrl-C loses the step
    silence, told = 0.0, False
    with Interrupts(lambda text: _say(terminal, f"{text}\n"), STOPPING) as signals:
        fitting.start()
        while fitting.is_alive():
            fitting.join(POLL_SECONDS)
            lines, running = ray.get(mailbox.take.remote())
            _say(terminal, "".join(lines))
            if signals.requested and not told:
                told = True
                ray.get(mailbox.stop.remote())
            silence = 0.0 if running else silence + POLL_SECONDS
            if silence >= WAIT_SECONDS:
                silence = 0.0
                _say(terminal, f"ray: not there yet: {described(placed)}; free now: {_free()}\n")
        _say(terminal, "".join(ray.get(mailbox.take.remote())[0]))
    return failures[0] if failures else None


def _free() -> str:
    """What no job has taken, as Ray counts it."""
    free = ray.available_resources()
    return f"{free.get('CPU', 0):g} CPUs, {free.get('GPU', 0):g} GPUs"


def _say(terminal: TextIO, text: str) -> None:
    with suppress(OSError, ValueError):  # a run goes on without its terminal
        terminal.write(text)
        terminal.flush()


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
