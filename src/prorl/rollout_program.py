"""The program of a rollout process: engine, verifiers and pool of one phase, which do as the learner's process says.

One command after the other, each with a reply under its number: `("done", result)`, or `("failed", error)` and
`("crashed", text)` for an error that is a message for people and for one that is none. Besides it sends `progress`,
warnings and a heartbeat under the number 0. After a step without groups it does nothing until its pool is put back.
"""

import logging
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from prorl import distributed
from prorl.assembly import PhaseParts, engine_name, open_phase
from prorl.asynchronous import shared_weights
from prorl.asynchronous.rollout_process import HEARTBEAT_SECONDS, Order
from prorl.asynchronous.shared_weights import Place
from prorl.errors import NoGroups, RunFailed, UserError
from prorl.interrupt import Interrupted
from prorl.models import LoadedModel
from prorl.pool import Filled
from prorl.records import Report

MAX_TEXT = 300
MESSAGES = (UserError, RunFailed, Interrupted)


def main(*, channel: int, given_up: int, slots: Sequence[int]) -> None:
    """Serve the learner's process until it says `close` or is gone."""
    for descriptor in (channel, given_up, *slots):
        os.set_inheritable(descriptor, False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The learner decides. A handler and not SIG_IGN, which the verifiers would inherit.
        signal.signal(number, lambda *_: None)
    link = Link(Connection(channel))
    logging.getLogger().addHandler(Forwarding(link))
    threading.Thread(target=link.beat, daemon=True).start()
    with ExitStack() as opened, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        Program(link, given_up, slots, opened).serve()


class Link:
    """The way to the learner's process, for several threads."""

    def __init__(self, channel: Connection) -> None:
        self._channel, self._lock = channel, threading.Lock()

    def receive(self) -> tuple[Any, ...]:
        message: tuple[Any, ...] = self._channel.recv()
        return message

    def say(self, number: int, kind: str, payload: object) -> None:
        with self._lock:
            self._channel.send((number, kind, payload))

    def beat(self) -> None:
        """Say again and again that this process lives."""
        pause = threading.Event()
        with suppress(OSError):
            while not pause.wait(HEARTBEAT_SECONDS):
                self.say(0, "alive", None)


class Forwarding(logging.Handler):
    """Has warnings appear where the learner's do."""

    def __init__(self, link: Link) -> None:
        super().__init__(logging.WARNING)
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._link.say(0, "log", (record.name, record.levelno, record.getMessage()))


class Program:
    """The commands. What they open is closed with `opened`."""

    def __init__(self, link: Link, given_up: int, slots: Sequence[int], opened: ExitStack) -> None:
        """`given_up` is a pipe with the numbers of commands that nobody wants any more."""
        self._link, self._given_up, self._slots, self._opened = link, given_up, slots, opened
        self._number = self._last_given_up = 0
        self._order: Order
        self._parts: PhaseParts
        self._without_groups = False
        self._commands: dict[str, Callable[..., object]] = {
            "prepare": self._prepare,
            "open": self._open,
            "weights": self._weights,
            "fill": self._fill,
            "validate": self._validate,
            "restore": self._restore,
            "carry_over": self._carry_over,
        }

    def serve(self) -> None:
        going = True
        while going:
            number, name, *arguments = self._link.receive()
            going = name != "close" and self._carry_out(number, name, arguments)

    def _carry_out(self, number: int, name: str, arguments: Sequence[Any]) -> bool:
        """Do it and reply; whether the process is still of use."""
        if self._without_groups and name in ("fill", "validate"):
            self._link.say(number, "done", None)
            return True
        self._number = number
        try:
            self._link.say(number, "done", self._commands[name](*arguments))
        except NoGroups as error:
            self._without_groups = True
            self._link.say(number, "failed", error)
            return True
        except MESSAGES as error:
            self._link.say(number, "failed", error)
            return False
        except Exception as error:  # noqa: BLE001  (process boundary: the log has all of it, the learner a line)
            traceback.print_exc(file=sys.stderr)
            text = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_TEXT]
            self._link.say(number, "crashed", text)
            return False
        return True

    def _prepare(self, order: Order) -> None:
        self._order = order

    def _open(self) -> dict[str, Any]:
        """Join the other ranks' rollout processes and build the phase; the state of its pool."""
        self._opened.enter_context(distributed.ranks())
        order, config = self._order, self._order.run.phases[self._order.phase]
        if order.run.model.threads:
            torch.set_num_threads(order.run.model.threads)
        seed = order.run.train.seed
        self._parts = open_phase(_without_weights(order), config, seed, order.held_out, self._sampling)
        self._opened.callback(self._parts.close)
        return self._parts.pool.state_dict()

    def _sampling(self, text: str) -> None:
        """Told of rollouts; gives them up where the learner's process wants that, or is gone."""
        while select.select([self._given_up], [], [], 0)[0]:
            numbers = os.read(self._given_up, 1 << 12).split()
            if not numbers:
                raise Interrupted
            self._last_given_up = int(numbers[-1])
        if self._number <= self._last_given_up:
            raise Interrupted
        self._progress(text)

    def _progress(self, text: str) -> None:
        self._link.say(0, "progress", text)

    def _weights(self, slot: int, places: Mapping[str, Place], version: int) -> None:
        self._parts.engine.load_weights(shared_weights.read(self._slots[slot], places), version)

    def _fill(self, step: int) -> tuple[Filled, dict[str, Any]]:
        """The batch of a step, and the state of the pool after it."""
        pool = self._parts.pool
        return pool.fill(step, self._parts.config), pool.state_dict()

    def _validate(self) -> Report:
        return self._parts.validate(self._progress)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._parts.pool.load_state_dict(state)
        self._without_groups = False

    def _carry_over(self, state: Mapping[str, Any]) -> dict[str, Any]:
        self._parts.pool.carry_over(state)
        return self._parts.pool.state_dict()


def _without_weights(order: Order) -> LoadedModel:
    """The model's architecture; with memory for weights only where the engine samples with the model itself."""
    config = order.run.phases[order.phase]
    device = torch.device(order.device if engine_name(order.architecture, config) == "generate" else "meta")
    with device:
        model = AutoModelForCausalLM.from_config(order.architecture)
    return LoadedModel(model.eval(), order.tokenizer, torch.device(order.device), order.dtype, order.eos_ids)
