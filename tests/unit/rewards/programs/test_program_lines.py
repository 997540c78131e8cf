"""`prorl verify --domain code`: every line is answered in order, whatever it holds, through verifier processes."""

import io
import json

import pytest

from prorl.prompts.procedural import make_prompt
from prorl.prompts.procedural.programs import FAMILIES
from prorl.records import Prompt
from prorl.rewards.jsonl import verify_stream
from prorl.rewards.programs.rows import gold_response
from prorl.rewards.sandbox.interface import SandboxUnavailable
from prorl.rewards.sandbox.selection import worker_sandbox
from prorl.rewards.verifier import VerifierPool

DOUBLE = {"inputs": ["1\n", "2\n"], "outputs": ["2\n", "4\n"]}
RIGHT = "```python\nprint(2 * int(input()))\n```"


@pytest.fixture(scope="module")
def pool():
    try:
        worker_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with VerifierPool(workers=1, timeout_seconds=10.0, memory_mb=2048, preload=["code"]) as pool:
        yield pool


def line(answer=DOUBLE, response=RIGHT, **metadata):
    return json.dumps({"answer": answer, "response": response, "metadata": metadata}).encode()


LINES = [
    (line(), 1.0, "correct"),
    (line(answer=json.dumps(DOUBLE)), 1.0, "correct"),
    (line(response="```python\nprint(2)\n```"), 0.5, "partial"),
    (line(response="```python\nprint(3)\n```"), 0.0, "wrong"),
    (line(response="```python\nprint(\n```"), 0.0, "wrong"),
    (line(response=""), 0.0, "unparsable"),
    (line(response="   \n"), 0.0, "unparsable"),
    (line(response="print(2 * int(input()))"), 0.0, "unparsable"),
    (line(response="<think>" + RIGHT), 0.0, "unparsable"),
    (line(response="x" * 2**20), 0.0, "unparsable"),
    (line(response=f"```python\n{'#' * 2**20}\n```"), 0.0, "unparsable"),
    (line(response="```python\n\0\n```"), 0.0, "wrong"),
    (line(response="```python\n'\ud800'\n```"), 0.0, "wrong"),
    (line(response="```python\nwhile True: pass\n```", time_limit_seconds=0.3), 0.0, "timeout"),
    (line(response="```python\nimport os\nos.kill(os.getppid(), 9)\n```"), 0.0, "wrong"),
    (line(time_limit_seconds=0), 0.0, "error"),
    (line(answer={"inputs": ["1"], "outputs": []}), 0.0, "error"),
    (line(answer={}), 0.0, "error"),
    (line(answer="\0"), 0.0, "error"),
    (b'{"response": "x"}', 0.0, "error"),
    (b'{"answer": "\xff", "response": ""}', 0.0, "error"),
    (b"", 0.0, "error"),
    (b"[" * 100_000, 0.0, "error"),
    (line(answer=["assert f(1) == 2", "assert f(2) == 4"], response="```py\ndef f(x): return 2\n```"), 0.5, "partial"),
    (
        line(answer={"inputs": [[1]], "outputs": [[2]], "fn_name": "f"}, response="```\nf = lambda x: 2 * x\n```"),
        1,
        "correct",
    ),
    (line(), 1.0, "correct"),
]


def test_every_line_is_answered_in_order(pool):
    out = io.BytesIO()
    verify_stream("code", io.BytesIO(b"\n".join(text for text, _, _ in LINES) + b"\n"), out, pool)
    verdicts = [json.loads(verdict) for verdict in out.getvalue().splitlines()]
    assert [(verdict["score"], verdict["outcome"]) for verdict in verdicts] == [(s, o) for _, s, o in LINES]
    assert all(verdict["detail"].isprintable() and len(verdict["detail"]) <= 200 for verdict in verdicts)


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_gold_responses_are_accepted_and_junk_is_not(pool, family):
    prompt = make_prompt(family, 5, 0)
    junk = [
        "",
        " ",
        prompt.text,
        "```python\npass\n```",
        "```python\nprint('junk')\n```",
        f"```\n{prompt.text[:80]}\n```",
    ]
    (scores,) = pool.verify([(prompt, [gold_response(prompt), *junk])])
    assert [score.value for score in scores] == [1.0, *[0.0] * len(junk)]
    assert not any(score.outcome == "error" for score in scores)


def test_the_pool_waits_as_long_as_the_row_allows(pool):
    answer = json.dumps({"inputs": ["", " "], "outputs": ["1", "1"]})
    prompt = Prompt(id="", domain="code", task="", content="", answer=answer, metadata={"time_limit_seconds": 30})
    with VerifierPool(workers=1, timeout_seconds=0.5, memory_mb=2048, preload=["code"]) as hasty:
        (scores,) = hasty.verify([(prompt, ["```python\nimport time\ntime.sleep(0.6)\nprint(1)\n```"])])
    assert scores[0].value == 1.0
