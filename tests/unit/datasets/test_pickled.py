"""Pickles are read as data: plain values come out as the real unpickler has them, anything else is refused."""

import base64
import os
import pickle
import zlib

import pytest

from prorl.datasets.pickled import packed_values, plain_values
from raw_rows import packed


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        "text",
        "\N{GRINNING FACE}" * 300,
        [],
        {},
        ["a", "a", {"b": [1, 70000, -3, None, True, False]}, []],
        [{"input": "1\n", "output": "2\n"}] * 3,
    ],
)
def test_plain_values_are_read_as_by_the_unpickler(value, protocol):
    assert packed_values(packed(value, protocol)) == value


class Evil:
    def __reduce__(self):
        return (os.system, ("touch /tmp/must-not-exist",))


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_what_would_call_something_is_refused(protocol):
    with pytest.raises(ValueError, match="a pickle with"):
        plain_values(pickle.dumps(Evil(), protocol=protocol))
    assert not os.path.exists("/tmp/must-not-exist")


@pytest.mark.parametrize("value", [("a",), {"a"}, b"bytes", 1.5, 2**70, {1: "a"}, os.getcwd, [complex(1)]])
def test_other_values_are_refused(value):
    with pytest.raises(ValueError, match="pickle"):
        plain_values(pickle.dumps(value))


def test_damaged_pickles_are_refused():
    whole = pickle.dumps(["a", {"b": "c"}])
    for cut in range(len(whole)):
        with pytest.raises(ValueError, match=r".+"):
            plain_values(whole[:cut])
    for position in range(len(whole)):
        for byte in (0, 40, 82, 97, 101, 255):
            changed = whole[:position] + bytes([byte]) + whole[position + 1 :]
            try:
                plain_values(changed)
            except ValueError:
                continue


@pytest.mark.parametrize(
    "data",
    [b"\x80\x04.", b"\x80\x04]]e.", b"\x80\x04}(]]u.", b"\x80\x04h\x07.", b"\x80\x04r\xff\xff\xff\x7f.", b"]]."],
)
def test_machine_errors_are_value_errors(data):
    with pytest.raises(ValueError, match=r".+"):
        plain_values(data)


def test_a_bomb_is_not_unpacked():
    bomb = base64.b64encode(zlib.compress(b"\0" * 50_000_000)).decode()
    assert len(bomb) < 100_000
    with pytest.raises(ValueError, match="unpacks to more than 1000000 bytes"):
        packed_values(bomb, max_bytes=1_000_000)


def test_a_place_in_memory_beyond_all_others_costs_nothing():
    # LONG_BINPUT 2**31 - 1 makes the real unpickler ask for 32 GiB.
    assert plain_values(b"\x80\x02X\x01\x00\x00\x00ar\xff\xff\xff\x7f.") == "a"


@pytest.mark.parametrize("text", ["%%%", "AAAA", base64.b64encode(zlib.compress(b"x" * 999)[:-5]).decode()])
def test_what_is_not_packed_is_refused(text):
    with pytest.raises(ValueError, match=r"not base64 of zlib|end too early"):
        packed_values(text)
