"""Prompt rows of a file, each mistake named with file and line; levels of the mini suite."""

import json

import pytest

from prorl.config import Source
from prorl.errors import UserError
from prorl.prompts.sources import open_source, read_rows
from prorl.prompts.suites import levels

GOOD = {"domain": "math", "prompt": "1 + 1"}


def write(path, *lines):
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    return Source(source=str(path))


def test_a_row_becomes_a_prompt(tmp_path):
    row = {
        "id": "p7",
        "domain": "math",
        "task": "sums",
        "prompt": "2 + 3",
        "answer": "5",
        "metadata": {"level": 4, "x": [1]},
        "verifier": "mini",
    }
    (prompt,) = read_rows(write(tmp_path / "rows.jsonl", row))
    assert (prompt.id, prompt.domain, prompt.task, prompt.text) == ("p7", "math", "sums", "2 + 3")
    assert (prompt.answer, prompt.metadata, prompt.level) == ("5", {"level": 4, "x": [1]}, 4)
    assert prompt.verifier == "mini"


def test_what_a_row_leaves_out(tmp_path):
    """The id is file and line, blank lines counted; the task is the domain; an answer that is no text is JSON."""
    source = write(tmp_path / "rows.jsonl", GOOD, b"", b"  ", {**GOOD, "answer": [1, "a"]})
    first, second = read_rows(source)
    assert (first.id, second.id) == (f"{source.source}:1", f"{source.source}:4")
    assert (first.task, first.answer, first.metadata, first.level, first.verifier) == ("math", "", {}, 0, "")
    assert second.answer == '[1, "a"]'


def test_messages_and_the_sources_domain(tmp_path):
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    path = write(tmp_path / "rows.jsonl", {"prompt": messages}, {"domain": "b", "prompt": "x"}).source
    first, second = read_rows(Source(source=path, domain="chat"))
    assert first.content == tuple(messages)
    assert first.text == "hi"
    assert (first.domain, second.domain) == ("chat", "chat")


def test_a_file_is_split_by_domain(tmp_path):
    rows = [{"domain": domain, "prompt": f"{i}"} for i, domain in enumerate("abaab")]
    sets = open_source(write(tmp_path / "rows.jsonl", *rows))
    assert [(prompts.domain, prompts.size) for prompts in sets] == [("a", 3), ("b", 2)]


def test_tasks_and_levels_are_kept_by_the_source(tmp_path):
    rows = [
        {"domain": "m", "task": task, "prompt": f"{task}{level}", "metadata": {"level": level}}
        for task in ("s", "t")
        for level in (1, 2, 3, 4)
    ]
    path = write(tmp_path / "rows.jsonl", *rows).source

    def texts(**bounds):
        return [row.text for row in read_rows(Source(source=path, **bounds))]

    assert texts(tasks=("t",), min_level=2, max_level=3) == ["t2", "t3"]
    assert texts(min_level=4) == ["s4", "t4"]
    assert texts(max_level=1) == ["s1", "t1"]
    with pytest.raises(UserError, match=r"rows\.jsonl: no row is left of 8; check tasks, min_level and max_level"):
        texts(tasks=("u",))


WRONG = {
    "not JSON": (b'{"domain": "m", "prompt"', "not a JSON object in UTF-8"),
    "not UTF-8": (b'{"domain": "m", "prompt": "\xff"}', "not a JSON object in UTF-8"),
    "nested too deep": (b"[" * 100_000, "not a JSON object in UTF-8"),
    "a list": ([GOOD], "a row must be a JSON object, not list"),
    "unknown field": ({**GOOD, "promt": "x"}, "unknown field promt; a row has answer, domain, id"),
    "no domain": ({"prompt": "x"}, "domain is missing; name it in the row or in data.sources"),
    "domain of another type": ({**GOOD, "domain": 3}, "domain is missing"),
    "no prompt": ({"domain": "m"}, "prompt must be a text or a list of"),
    "empty prompt": ({**GOOD, "prompt": ""}, "prompt must be a text or a list of"),
    "no messages": ({**GOOD, "prompt": []}, "prompt must be a text or a list of"),
    "a message without content": ({**GOOD, "prompt": [{"role": "user"}]}, "prompt must be a text or a list of"),
    "a message that is text": ({**GOOD, "prompt": ["hi"]}, "prompt must be a text or a list of"),
    "metadata": ({**GOOD, "metadata": [1]}, "metadata must be an object, not list"),
    "level as text": ({**GOOD, "metadata": {"level": "3"}}, "metadata.level = '3': must be an integer"),
    "level as truth": ({**GOOD, "metadata": {"level": True}}, "metadata.level = True: must be an integer"),
    "half a surrogate": (b'{"domain": "m", "prompt": "a\\ud800b"}', "half of a surrogate pair"),
    "half a surrogate in an id": (b'{"domain": "m", "id": "\\udc00", "prompt": "a"}', "half of a surrogate pair"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_row_is_named_with_file_and_line(tmp_path, name):
    row, reason = WRONG[name]
    source = write(tmp_path / "rows.jsonl", GOOD, b"", row, GOOD)
    with pytest.raises(UserError) as error:
        read_rows(source)
    assert str(error.value).startswith(f"{source.source}:3: {reason}")
    assert "\n" not in str(error.value)


def test_a_whole_surrogate_pair_is_text(tmp_path):
    (prompt,) = read_rows(write(tmp_path / "rows.jsonl", b'{"domain": "m", "prompt": "\\ud83d\\ude00"}'))
    assert prompt.text == "\N{GRINNING FACE}"


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(
        UserError, match=r"no such file; use mini, mini_hard, procedural, procedural_hard or a \.jsonl or"
    ):
        read_rows(Source(source=str(tmp_path / name)))


def test_levels_of_the_mini_suites():
    assert levels(Source(source="mini", tasks=("sort",), min_level=2, max_level=3)) == [("sort", 2), ("sort", 3)]
    easy, hard = (levels(Source(source=name, tasks=("sort",))) for name in ("mini", "mini_hard"))
    # The held-out levels follow the trained ones.
    assert [level for _, level in easy + hard] == list(range(1, len(easy) + len(hard) + 1))
    assert easy
    assert hard


def test_wrong_levels_and_tasks_of_the_mini_suite():
    with pytest.raises(UserError, match=r"data\.sources: tasks = sorting: not in mini; it has add, run,"):
        levels(Source(source="mini", tasks=("sorting",)))
    with pytest.raises(UserError, match="no level of mini lies between 90 and 99; widen the bounds"):
        levels(Source(source="mini", min_level=90, max_level=99))
    with pytest.raises(UserError, match="no level of mini_hard lies between 0 and 1;"):
        levels(Source(source="mini_hard", max_level=1))


def test_kinds_name_every_verifier_of_a_file(tmp_path):
    rows = [{**GOOD, "id": f"{i}", "verifier": name} for i, name in enumerate(("mini", "", "other", "mini"))]
    (prompts,) = open_source(write(tmp_path / "rows.jsonl", *rows))
    assert [prompt.verifier for prompt in prompts.kinds()] == ["mini", "", "other"]
