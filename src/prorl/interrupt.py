"""Ctrl-C, SIGTERM and a closed terminal: the run stops at the next safe point, saved. A second Ctrl-C stops at once."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

OF_A_RUN = "interrupted: saving at the next safe point (again: stop at once, back to the last checkpoint)"


class Interrupted(Exception):
    """The step is abandoned before it changed anything."""


def stop_all() -> None:
    """What Ctrl-C does, for a process that no terminal reaches; any thread may call it, again and again."""
    for interrupts in tuple(_OPEN):
        interrupts.request()


class Interrupts:
    """Catches the signals while it is open; not outside the main thread, where Python delivers none."""

    def __init__(self, note: Callable[[str], None], text: str = OF_A_RUN) -> None:
        self._note, self._text = note, text
        self.requested = False
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Self:
        _OPEN.append(self)
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A run under nohup has been told that it outlives its terminal.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _OPEN.remove(self)
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGHUP:
            return  # a shell that ends says it once more
        if self.requested:
            raise KeyboardInterrupt
        self.request()

    def request(self) -> None:
        """Stop at the next safe point."""
        if not self.requested:
            self.requested = True
            self._note(self._text)

    def check(self) -> None:
        """Called where a step may be abandoned."""
        if self.requested:
            raise Interrupted


_OPEN: list[Interrupts] = []
