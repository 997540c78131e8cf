"""Stage 3, rewards: what goes into a sandbox, in sealed files, and what comes out of it, through capped pipes."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

F_ADD_SEALS = 1033
ALL_SEALS = 0xF
READ_BYTES = 1 << 18


@contextlib.contextmanager
def sealed(data: bytes) -> Iterator[int]:
    """A file without a name that holds this and that nobody can change."""
    descriptor = os.memfd_create("payload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        fcntl.fcntl(descriptor, F_ADD_SEALS, ALL_SEALS)
        yield descriptor
    finally:
        os.close(descriptor)


class Capture:
    """The reading end of a pipe that a program writes to; keeps the first `keep` bytes, or the last ones (`tail`)."""

    def __init__(self, *, limit: int, keep: int, tail: bool = False) -> None:
        self.descriptor, self.far_end = os.pipe()
        os.set_blocking(self.descriptor, False)
        self._limit, self._keep, self._tail = limit, keep, tail
        self._size = 0
        self._data = bytearray()
        self.is_open = True

    @property
    def is_over(self) -> bool:
        """Whether more than `limit` bytes came."""
        return self._size > self._limit

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "replace")

    def read(self) -> None:
        """Take what has come."""
        try:
            chunk = os.read(self.descriptor, READ_BYTES)
        except BlockingIOError:
            return
        self.is_open = bool(chunk)
        self._size += len(chunk)
        if self._tail:
            self._data = (self._data + chunk)[-self._keep :]
        else:
            self._data += chunk[: self._keep - len(self._data)]

    def drain(self) -> None:
        """Take what is left once all writers are dead."""
        before = -1
        while self.is_open and not self.is_over and before != self._size:
            before = self._size
            self.read()

    def close_far_end(self) -> None:
        """Ours; the program has its own."""
        if self.far_end >= 0:
            os.close(self.far_end)
            self.far_end = -1

    def close(self) -> None:
        self.close_far_end()
        os.close(self.descriptor)
