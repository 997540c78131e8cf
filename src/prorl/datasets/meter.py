"""Stage 1, data sets: what a person sees of a preparation: a live line on a terminal, else a line now and then."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

TERMINAL_SECONDS, LOG_SECONDS = 0.2, 30.0


class Meter:
    """`progress` as often as you like, `note` for what shall stay, `close` at the end."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._is_terminal = stream.isatty()
        self._spacing = TERMINAL_SECONDS if self._is_terminal else LOG_SECONDS
        self._last = clock()
        self._live = 0

    def progress(self, text: str) -> None:
        """Say where the work is, unless that was said a moment ago."""
        now = self._clock()
        if now - self._last < self._spacing:
            return
        self._last = now
        if not self._is_terminal:
            self._write(text + "\n")
            return
        line = text[: max(shutil.get_terminal_size().columns - 1, 0)]
        self._write("\r" + line.ljust(self._live))
        self._live = len(line)

    def note(self, text: str) -> None:
        """Say what happened."""
        self.close()
        self._write(text + "\n")

    def close(self) -> None:
        """Leave the cursor on an empty line."""
        if self._live:
            self._write("\r" + " " * self._live + "\r")
            self._live = 0

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the work goes on without its terminal
            self._stream.write(text)
            self._stream.flush()
