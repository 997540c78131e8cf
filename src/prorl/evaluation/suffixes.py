"""Stage 7: a suffix array over a corpus: how far does a text, from each of its places, occur there word for word?

Built once, saved in one file, and mapped into memory when it is loaded. It knows units (tokens or characters, whole
numbers both) and documents; it does not read text files, and it does not know what a match means.
"""

import json
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from prorl.durable import explained, replace_file
from prorl.errors import UserError

UNITS = ("token", "character")
DEPTH = 16
"""Units of a suffix that the order looks at: the longest match that can be asked for."""
MAX_UNITS = 2**31 - 1
"""Places are 32-bit numbers."""
SEPARATOR, UNKNOWN = 0, -1
"""Closes every document of the corpus; stands for a unit of a query that the corpus does not have. They differ from
each other and from every number of a unit, so no match holds either."""
ROWS = 1 << 14
"""Places of a query searched at a time: their windows stay in the processor's cache."""
_MAGIC = b"prorl suffixes 1\n"
_ALIGNMENT = 64
_CHUNK = 1 << 24
_MAX_HEAD = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class SuffixIndex:
    """The places of a corpus in the order of the `depth` units that start there."""

    unit: str
    """`token` or `character`: what a number stands for."""
    digest: str
    """Name of the corpus and of how it was encoded, as the caller gives it."""
    depth: int
    units: np.ndarray
    """Different units of the corpus, ascending, int32 `[U]`; a unit's number is its place plus 1."""
    text: np.ndarray
    """Numbers of the corpus, a separator after each document, then `depth` of them; int32 `[N + depth]`."""
    suffixes: np.ndarray
    """Places of the text without its padding, int32 `[N]`."""

    @classmethod
    def build(
        cls, documents: Iterable[Sequence[int]], *, unit: str = "token", digest: str = "", depth: int = DEPTH
    ) -> "SuffixIndex":
        """Index documents of int32 units >= 0; UserError for a corpus without any, or larger than `MAX_UNITS`.

        Time O(N log N log depth); memory about 45 bytes a unit at the peak, 8 bytes a unit afterwards.
        """
        assert unit in UNITS, unit
        assert depth >= 1, depth
        raw = _joined(documents)
        units = np.unique(raw)
        units = units[units != UNKNOWN]
        if not len(units):
            raise UserError("the reference corpus has no text; name a file or folder that has some")
        text = np.zeros(len(raw) + depth, dtype=np.int32)
        text[: len(raw)] = np.where(raw == UNKNOWN, SEPARATOR, np.searchsorted(units, raw) + 1)
        return cls(unit, digest, depth, units, text, _sorted_places(text, len(raw), len(units) + 1, depth))

    @property
    def num_units(self) -> int:
        """Units of the corpus, separators not counted."""
        return int(np.count_nonzero(self.text))

    def match_lengths(self, texts: Sequence[Sequence[int]], max_length: int) -> list[np.ndarray]:
        """For each place of each text: units of the longest match that starts there, at most `max_length`; int32.

        A match lies within one document of the corpus and within one text. Time O(T max_length log N) at worst,
        whatever the texts hold.
        """
        assert 1 <= max_length <= self.depth, f"{max_length} is beyond the {self.depth} units that are in order"
        query = _joined(texts)
        numbers = np.full(len(query) + max_length, UNKNOWN, dtype=np.int32)
        places = np.minimum(np.searchsorted(self.units, query), len(self.units) - 1)
        numbers[: len(query)] = np.where(self.units[places] == query, places + 1, UNKNOWN)
        windows = np.lib.stride_tricks.sliding_window_view(numbers, max_length)[: len(query)]
        found = np.zeros(len(query), dtype=np.int32)
        for start in range(0, len(query), ROWS):
            found[start : start + ROWS] = self._longest(windows[start : start + ROWS])
        ends = np.cumsum([len(text) + 1 for text in texts], dtype=np.int64)
        return [found[end - len(text) - 1 : end - 1] for text, end in zip(texts, ends, strict=True)]

    def _longest(self, wanted: np.ndarray) -> np.ndarray:
        """Longest match at the start of each window `[R, max_length]`: with one of its two neighbours in the order."""
        size = wanted.shape[1]
        # A window as one item of raw bytes: NumPy gathers such items faster than rows of numbers.
        windows = np.ndarray(len(self.suffixes), np.dtype((np.void, 4 * size)), self.text, strides=(4,))
        result = np.zeros(len(wanted), dtype=np.int32)
        rows = np.flatnonzero(wanted[:, 0] != UNKNOWN)
        low, high = np.zeros(len(rows), dtype=np.int64), np.full(len(rows), len(self.suffixes), dtype=np.int64)
        while len(rows):
            # A binary search looks at both neighbours of the place where it ends, so the best of all looks is theirs.
            middle = (low + high) // 2
            found = windows[self.suffixes[middle]].view(np.int32).reshape(-1, size)
            shared, is_before = _compare(found, wanted[rows])
            result[rows] = np.maximum(result[rows], shared)
            low, high = np.where(is_before, middle + 1, low), np.where(is_before, high, middle)
            is_open = (low < high) & (shared < size)
            rows, low, high = rows[is_open], low[is_open], high[is_open]
        return result

    def save(self, path: Path) -> None:
        """Write the index as one file, atomically; UserError or RunFailed where that is impossible."""
        arrays = [_bytes(x) for x in (self.units, self.text, self.suffixes)]
        fields = {
            "unit": self.unit,
            "digest": self.digest,
            "depth": self.depth,
            "num_bytes": [len(x) for x in arrays],
            "checksums": [_checksum(x) for x in arrays],
        }
        head = json.dumps(fields).encode()
        opening = _MAGIC + b"%08x %s\n" % (zlib.crc32(head), head)
        opening += b" " * (-len(opening) % _ALIGNMENT)
        try:
            replace_file(path, chain([opening], *map(_chunks, arrays)))
        except OSError as error:
            raise explained(error, str(path), lambda: "an index that was there is unchanged") from error

    @classmethod
    def load(cls, path: Path, *, unit: str, digest: str) -> "SuffixIndex":
        """An index that `save` wrote, mapped into memory; UserError unless it is whole and of this unit and digest."""
        try:
            fields, arrays = _read(path)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}; build the index again") from error
        if (fields["unit"], fields["digest"]) != (unit, digest):
            raise UserError(
                f"{path} is the index of another corpus (unit {fields['unit']}, digest {fields['digest']!r}; asked "
                f"for: unit {unit}, digest {digest!r}); remove it or name another file"
            )
        return cls(unit, digest, fields["depth"], *arrays)


def _read(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The head and the arrays of a saved index; UserError for any other file."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise UserError(f"{path} is not an index of a reference corpus; name another file")
        checksum, _, head = file.readline(_MAX_HEAD).removesuffix(b"\n").partition(b" ")
        at = file.tell() + -file.tell() % _ALIGNMENT
    damaged = UserError(f"{path} is damaged; remove it, and the index is built again")
    if checksum != b"%08x" % zlib.crc32(head):
        raise damaged
    fields = json.loads(head)
    if path.stat().st_size != at + sum(fields["num_bytes"]):
        raise damaged
    arrays = []
    for size, expected in zip(fields["num_bytes"], fields["checksums"], strict=True):
        values = np.memmap(path, dtype="<i4", mode="r", offset=at, shape=(size // 4,))
        if _checksum(_bytes(values)) != expected:
            raise damaged
        arrays.append(values.view(np.ndarray))
        at += size
    return fields, arrays


def _bytes(values: np.ndarray) -> memoryview:
    """The bytes of int32 values, little-endian."""
    return np.ascontiguousarray(values, dtype="<i4").view(np.uint8).data


def _chunks(data: memoryview) -> Iterator[bytes]:
    return (bytes(data[start : start + _CHUNK]) for start in range(0, len(data), _CHUNK))


def _checksum(data: memoryview) -> int:
    total = 0
    for chunk in _chunks(data):
        total = zlib.crc32(chunk, total)
    return total


def _compare(found: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of two sets of windows `[R, L]`: units that they share from the start `[R]`, and whether the first is smaller."""
    differs = found != wanted
    rows, first = np.arange(len(found)), np.argmax(differs, axis=1)
    shared = np.where(differs[rows, first], first, found.shape[1])
    return shared, found[rows, first] < wanted[rows, first]


def _joined(documents: Iterable[Sequence[int]]) -> np.ndarray:
    """Documents one after the other, int32, `UNKNOWN` after each."""
    joined = array("i")
    for document in documents:
        joined.extend(document)
        joined.append(UNKNOWN)
        if len(joined) > MAX_UNITS - _ALIGNMENT:
            raise UserError(f"the text has more than {MAX_UNITS:,} units; name a smaller reference corpus")
    return np.frombuffer(joined, dtype=np.int32) if len(joined) else np.zeros(0, dtype=np.int32)


def _sorted_places(text: np.ndarray, size: int, num_numbers: int, depth: int) -> np.ndarray:
    """Places 0..size in the order of their first `depth` numbers; prefix doubling, text padded with separators.

    The first round sorts by as many numbers as 63 bits hold; every further one by two ranks of the round before.
    """
    bits = (num_numbers - 1).bit_length()
    length = min(63 // bits, depth)
    keys = np.zeros(size, dtype=np.int64)
    for offset in range(length):
        keys <<= bits
        keys |= text[offset : offset + size]
    while True:
        order = np.argsort(keys)
        keys = keys[order]
        steps = np.empty(size, dtype=bool)
        steps[0], steps[1:] = False, keys[1:] != keys[:-1]
        if length >= depth or steps[1:].all():
            return order.astype(np.int32)
        ranks = np.empty(size, dtype=np.int64)
        ranks[order] = np.cumsum(steps, dtype=np.int64)
        del order, steps
        # Past the end there are separators only, as from the last place on, whose rank is 0.
        keys = ranks * size
        keys[:-length] += ranks[length:]
        length *= 2
