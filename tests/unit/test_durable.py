"""Logs are cut back to a step, and files are replaced whole or not at all."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from prorl.durable import explained, replace_file, system_error, truncate_jsonl
from prorl.errors import RunFailed, UserError


@pytest.mark.parametrize(
    ("content", "last_step", "kept"),
    [
        (b'{"step": 1}\n{"step": 2}\n{"step": 3}\n', 2, b'{"step": 1}\n{"step": 2}\n'),
        (b'{"step": 1}\n{"step": 2}\n', 5, b'{"step": 1}\n{"step": 2}\n'),
        (b'{"step": 1}\n{"step": 2}\n', 0, b""),
        (b'{"step": 1}\n{"step": 2, "x": 0.', 5, b'{"step": 1}\n'),
        (b'{"step": 1}\n{"st', 1, b'{"step": 1}\n'),
        (b'{"step": 1}\n{"step": 2}', 2, b'{"step": 1}\n{"step": 2}\n'),
        (b'{"step": 1}\n\x00\x00\x00', 2, b'{"step": 1}\n'),
        (b'{"step": 3, "e": 1}\n{"step": 2}\n{"step": 3, "e": 2}\n', 2, b'{"step": 2}\n'),
        (b'{"x":1e-7 ,"step":1}\r\n', 1, b'{"x":1e-7 ,"step":1}\n'),
        (b"", 3, b""),
    ],
)
def test_log_is_cut_back(tmp_path: Path, content: bytes, last_step: int, kept: bytes) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(content)
    truncate_jsonl(log, last_step)
    assert log.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.parametrize("bad", [b"{torn\n", b'{"x": 1}\n', b"[1]\n", b'{"step": "1"}\n', b"\n"])
def test_bad_line_inside_a_log_is_named_and_nothing_lost(tmp_path: Path, bad: bytes) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_bytes(b'{"step": 1}\n' + bad + b'{"step": 2}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2 is not a JSON object"):
        truncate_jsonl(log, 1)
    assert log.read_bytes() == b'{"step": 1}\n' + bad + b'{"step": 2}\n'
    assert list(tmp_path.iterdir()) == [log]


def test_missing_log_stays_missing(tmp_path: Path) -> None:
    truncate_jsonl(tmp_path / "metrics.jsonl", 1)
    assert list(tmp_path.iterdir()) == []


def test_failed_replacement_leaves_the_file(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"new"
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "latest"
    file.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        replace_file(file, chunks())
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_errors_are_told_apart() -> None:
    assert system_error(OSError(errno.ENOSPC, "")) == errno.ENOSPC
    assert system_error(RuntimeError("I/O error: File too large (os error 27)")) == errno.EFBIG
    assert system_error(RuntimeError("other")) is None
    assert isinstance(explained(OSError(errno.EACCES, ""), "x", str), UserError)
    failed = explained(OSError(errno.EDQUOT, ""), "x", lambda: "more")
    assert isinstance(failed, RunFailed)
    assert str(failed) == "x could not be written: Disk quota exceeded; more"
