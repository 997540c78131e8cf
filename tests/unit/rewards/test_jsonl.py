"""`prorl verify`: every line is answered, in order, while the input is still open, in bounded memory."""

import io
import json
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prorl.errors import UserError
from prorl.rewards import jsonl
from prorl.rewards.jsonl import verify_stream
from prorl.rewards.verifier import VerifierPool

SAMPLES = Path(__file__).with_name("sample_functions.py")
RIGHT = {"score": 1.0, "outcome": "correct", "detail": ""}
WRONG = {"score": 0.0, "outcome": "wrong", "detail": ""}
GOOD = b'{"answer": "7", "response": "7"}'


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    functions = {
        "sample": f"{SAMPLES}:misbehave",
        "logic": f"{SAMPLES}:misbehave",
        "slow": f"{SAMPLES}:slow",
        "rows": f"{SAMPLES}:row",
    }
    with VerifierPool(workers=2, timeout_seconds=1.0, memory_mb=256, functions=functions) as pool:
        yield pool


def verdicts(pool: VerifierPool, text: bytes, domain: str = "sample") -> list[dict[str, Any]]:
    out = io.BytesIO()
    verify_stream(domain, io.BytesIO(text), out, pool)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_lines_are_answered_in_order_although_workers_overtake(pool: VerifierPool) -> None:
    # The first worker is held up by the first line; the second one answers the others meanwhile.
    lines = [json.dumps({"answer": "", "response": seconds}) for seconds in ("0.3", "0", "x", "0.01", "0")]
    answers = verdicts(pool, "\n".join(lines).encode(), "slow")
    assert [answer["outcome"] for answer in answers] == ["correct", "correct", "error", "correct", "correct"]
    assert answers[2] == {
        "score": 0.0,
        "outcome": "error",
        "detail": "ValueError: could not convert string to float: 'x'",
    }


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"", "Expecting value"),
        (b"   ", "Expecting value"),
        (b"{", "Expecting property name"),
        (b'{"answer": "7", "response": "7"} x', "Extra data"),
        (b'{"answer": "7", "response": "\x00"}', "Invalid control character"),
        (b"\x00", "Expecting value"),
        (b'{"answer": "7", "response": "\xff"}', "'utf-8' codec can't decode byte 0xff"),
        (b'{"answer": "7", "response": "\xed\xa0\x80"}', "'utf-8' codec can't decode byte 0xed"),
        ('{"answer": "7", "response": "7"}'.encode("utf-16"), "'utf-8' codec can't decode"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"answer": "7"}', "`response` must be a string"),
        (b'{"answer": "7", "response": 7}', "`response` must be a string"),
        (b'{"response": "7"}', "`answer` is missing"),
        (b'{"answer": null, "response": "7"}', "`answer` is missing"),
        (b'{"answer": "7", "response": "7", "metadata": []}', "`metadata` must be an object"),
        (b"[" * 100_000, "recursion"),
        (b'{"answer": ' + b"9" * 5000 + b', "response": "7"}', "limit"),
    ],
)
def test_a_malformed_line_is_an_error_and_nothing_else_changes(pool: VerifierPool, line: bytes, detail: str) -> None:
    first, bad, last = verdicts(pool, GOOD + b"\n" + line + b"\n" + GOOD)
    assert first == last == RIGHT
    assert (bad["score"], bad["outcome"]) == (0.0, "error")
    assert bad["detail"].startswith("malformed line: ")
    assert detail in bad["detail"]


def test_a_line_that_kills_or_hangs_its_verifier_is_answered_too(pool: VerifierPool) -> None:
    lines = [json.dumps({"answer": "7", "response": response}) for response in ("7", "exit", "busy", "segfault", "8")]
    answers = verdicts(pool, "\n".join(lines).encode())
    assert [answer["outcome"] for answer in answers] == ["correct", "error", "timeout", "error", "wrong"]
    assert answers[0] == RIGHT
    assert answers[4] == WRONG


def test_line_ends(pool: VerifierPool) -> None:
    assert verdicts(pool, b"") == []
    assert verdicts(pool, GOOD) == [RIGHT]
    assert verdicts(pool, GOOD + b"\n") == [RIGHT]
    assert verdicts(pool, GOOD + b"\r\n" + GOOD + b"\r\n") == [RIGHT, RIGHT]
    assert [answer["outcome"] for answer in verdicts(pool, b"\n\n" + GOOD)] == ["error", "error", "correct"]


@pytest.mark.parametrize("response", ["\x00", "\ud800", "é\u2028", "x" * 2**20])
def test_hostile_text_arrives_as_it_is(pool: VerifierPool, response: str) -> None:
    lines = [json.dumps({"answer": answer, "response": response}) for answer in (response, response + "x")]
    assert verdicts(pool, "\n".join(lines).encode()) == [RIGHT, WRONG]


def test_a_row_becomes_the_verifiers_prompt(pool: VerifierPool) -> None:
    def seen(row: dict[str, Any]) -> list[Any]:
        (verdict,) = verdicts(pool, json.dumps({"answer": "", "response": "r", **row}).encode(), "rows")
        return json.loads(verdict["detail"])

    assert seen({}) == ["rows", "", "", "", {}, "r"]
    assert seen({"metadata": None}) == ["rows", "", "", "", {}, "r"]
    assert seen({"answer": 0.5})[3] == "0.5"
    assert seen({"answer": 42})[3] == "42"
    assert json.loads(seen({"answer": {"inputs": ["1\n"]}})[3]) == {"inputs": ["1\n"]}
    metadata = {"task": "add", "prompt": "2+2", "list": [1]}
    assert seen({"metadata": metadata}) == ["rows", "add", "2+2", "", metadata, "r"]


def test_the_domains_whose_problem_is_in_the_metadata_need_no_answer(pool: VerifierPool) -> None:
    assert verdicts(pool, b'{"response": ""}', "logic") == [RIGHT]


def test_long_lines(pool: VerifierPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(jsonl, "READ_BYTES", 64)
    longest = GOOD + b" " * (1000 - len(GOOD))
    too_long = {"score": 0.0, "outcome": "error", "detail": "malformed line: longer than 1000 bytes"}
    text = b"\n".join([longest, longest + b" ", GOOD, b"x" * 10_000, GOOD, b"x" * 5000])
    assert verdicts(pool, text) == [RIGHT, too_long, RIGHT, too_long, RIGHT, too_long]


def test_a_client_gets_each_answer_before_it_sends_the_next_line(pool: VerifierPool) -> None:
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    with os.fdopen(in_read, "rb") as lines_in, os.fdopen(out_write, "wb") as out, os.fdopen(out_read, "rb") as replies:
        service = threading.Thread(target=verify_stream, args=("sample", lines_in, out, pool))
        service.start()
        try:
            for _ in range(3):
                # With the beginning of the next line, which must not hold up the answer.
                os.write(in_write, GOOD + b"\n" + GOOD[:5])
                assert select.select([replies], [], [], 10.0)[0], "no answer while the input is open"
                assert json.loads(replies.readline()) == RIGHT
                os.write(in_write, GOOD[5:] + b"\n")
                assert json.loads(replies.readline()) == RIGHT
        finally:
            os.close(in_write)
            service.join(10.0)
        assert not service.is_alive()


class CountedInput(io.BytesIO):
    """Gives one line a read and counts them."""

    num_lines = 0

    def read(self, size: int | None = -1) -> bytes:
        self.num_lines += 1
        return self.readline()


class CountedOutput(io.BytesIO):
    """Remembers the most lines that had been read and not answered."""

    def __init__(self, lines_in: CountedInput) -> None:
        super().__init__()
        self.lines_in = lines_in
        self.num_lines = 0
        self.most_pending = 0

    def write(self, data: Any) -> int:
        self.most_pending = max(self.most_pending, self.lines_in.num_lines - self.num_lines)
        self.num_lines += 1
        return super().write(data)


@pytest.mark.parametrize(("limit", "value"), [("MAX_PENDING_LINES", 8), ("MAX_PENDING_BYTES", 8 * len(GOOD))])
def test_it_does_not_read_ahead_without_bound(
    pool: VerifierPool, limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, limit, value)
    lines_in = CountedInput((GOOD + b"\n") * 200)
    out = CountedOutput(lines_in)
    verify_stream("sample", lines_in, out, pool)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [RIGHT] * 200
    # Before the 200 lines were read.
    assert 1 <= out.most_pending <= 8


def test_an_unknown_domain_is_refused(pool: VerifierPool) -> None:
    with pytest.raises(
        UserError,
        match="no verifier 'chess': must be one of code, instruction, logic, math, mini, rows, sample, slow, stem",
    ):
        verify_stream("chess", io.BytesIO(GOOD), io.BytesIO(), pool)
