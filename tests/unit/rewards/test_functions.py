"""Reward functions: loading by name, the three signatures, and what counts as a score."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from prorl.errors import UserError
from prorl.records import Message, Prompt, Score
from prorl.rewards.functions import Verifier, as_score, clean, describe, load_verifier

PROMPT = Prompt(
    id="p", domain="math", task="t", content="2+2=", answer="4", metadata={"level": 3, "data_source": "gsm8k"}
)
CHAT: tuple[Message, ...] = ({"role": "user", "content": "2+2="},)

Load = Callable[[str], Verifier]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load the function `f` of a source text."""

    def load_source(source: str) -> Verifier:
        path = tmp_path / "rewards.py"
        path.write_text(source)
        return load_verifier(f"{path}:f")

    return load_source


def test_own_signature_takes_a_float_or_a_score(load: Load) -> None:
    verifier = load("def f(prompt, response): return len(response) / 10 + (prompt.answer == '4') / 2")
    assert verifier(PROMPT, "12345") == Score(1.0, "correct")
    assert verifier(PROMPT, "1") == Score(0.6, "partial")
    verifier = load("from prorl.records import Score\ndef f(prompt, response): return Score(0.5, 'wrong', 'as said')")
    assert verifier(PROMPT, "x") == Score(0.5, "wrong", "as said")
    assert isinstance(verifier, Verifier)


def test_trl_signature_gets_lists_of_one_with_the_columns(load: Load) -> None:
    verifier = load(
        "def f(prompts, completions, **columns):\n"
        "    expected = (['2+2='], ['four'], {'answer': ['4'], 'level': [3], 'data_source': ['gsm8k']})\n"
        "    return [1.0 if (prompts, completions, columns) == expected else 0.25]\n"
    )
    assert verifier(PROMPT, "four") == Score(1.0, "correct")
    assert verifier(PROMPT, "five") == Score(0.25, "partial")


def test_trl_signature_gets_only_the_columns_it_names(load: Load) -> None:
    verifier = load("def f(completions, answer): return [float(c == a) for c, a in zip(completions, answer)]")
    assert verifier(PROMPT, "4") == Score(1.0, "correct")
    assert verifier(PROMPT, "5") == Score(0.0, "wrong")


def test_trl_signature_gets_messages_for_a_chat_prompt(load: Load) -> None:
    verifier = load(
        "def f(prompts, completions, **kwargs):\n"
        "    good = prompts == [[{'role': 'user', 'content': '2+2='}]]\n"
        "    return [float(good and completions == [[{'role': 'assistant', 'content': '4'}]])]\n"
    )
    chat = Prompt(id="p", domain="math", task="t", content=CHAT)
    assert verifier(chat, "4").value == 1.0
    assert verifier(chat, "5").value == 0.0


@pytest.mark.parametrize(
    ("result", "detail"),
    [
        ("[None]", "no score"),
        ("[]", "returned 0 scores for 1 completion"),
        ("[1.0, 1.0]", "returned 2 scores for 1 completion"),
        ("1.0", "returned float, not a list with one score a completion"),
        ("'1'", "returned str, not a list with one score a completion"),
    ],
)
def test_trl_signature_with_no_score(load: Load, result: str, detail: str) -> None:
    assert load(f"def f(completions, **kwargs): return {result}")(PROMPT, "4") == Score(0.0, "error", detail)


def test_verl_signature(load: Load) -> None:
    verifier = load(
        "def f(data_source, solution_str, ground_truth, extra_info=None):\n"
        "    known = data_source == 'gsm8k' and extra_info['level'] == 3\n"
        "    return {'score': 0.5 * known + 0.5 * (solution_str == ground_truth), 'acc': 1}\n"
    )
    assert verifier(PROMPT, "4") == Score(1.0, "correct")
    assert verifier(PROMPT, "5") == Score(0.5, "partial")
    assert load("def f(solution_str, ground_truth): return solution_str == ground_truth")(PROMPT, "4").value == 1.0
    no_score = load("def f(data_source, solution_str, ground_truth, extra_info=None): return {'acc': 1}")
    assert no_score(PROMPT, "4") == Score(0.0, "error", "the returned dict has no 'score'")


def test_verl_data_source_is_the_domain_where_the_row_names_none(load: Load) -> None:
    verifier = load("def f(data_source, solution_str, ground_truth): return float(data_source == 'math')")
    assert verifier(Prompt(id="p", domain="math", task="t", content="x"), "4").value == 1.0


@pytest.mark.parametrize(
    "source", ["def f(question, reply): return 1.0", "async def f(prompt, response): return 1.0", "f = 3"]
)
def test_an_unknown_signature_is_refused_with_the_known_ones(load: Load, source: str) -> None:
    with pytest.raises(UserError, match=r"f\(prompt, response\).*TRL.*verl"):
        load(source)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_colon", "must be module:function"),
        (":f", "must be module:function"),
        ("no_such_file.py:f", "no file 'no_such_file.py'"),
        ("json:no_such_function", "json has no 'no_such_function'"),
    ],
)
def test_a_wrong_name_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_verifier(spec)


def test_a_module_is_found_on_the_import_path() -> None:
    with pytest.raises(UserError, match=r"'json:dumps' takes \(obj, skipkeys"):
        load_verifier("json:dumps")


def test_a_file_sees_its_neighbours_and_replaces_no_module(tmp_path: Path) -> None:
    (tmp_path / "reward_neighbour.py").write_text("VALUE = 0.25")
    (tmp_path / "json.py").write_text("import reward_neighbour\ndef f(prompt, response): return reward_neighbour.VALUE")
    assert load_verifier(f"{tmp_path}/json.py:f")(PROMPT, "x") == Score(0.25, "partial")
    assert json.loads("[1]") == [1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, Score(1.0, "correct")),
        (0, Score(0.0, "wrong")),
        (Fraction(1, 4), Score(0.25, "partial")),
        (float("nan"), Score(0.0, "error", "score nan is outside [0, 1]")),
        (float("inf"), Score(0.0, "error", "score inf is outside [0, 1]")),
        (1.0000001, Score(0.0, "error", "score 1.0000001 is outside [0, 1]")),
        (-1, Score(0.0, "error", "score -1.0 is outside [0, 1]")),
        (None, Score(0.0, "error", "no score")),
        ("1", Score(0.0, "error", "the score is of type str, not a number")),
        ([1.0], Score(0.0, "error", "the score is of type list, not a number")),
        (Score(float("nan"), "correct"), Score(0.0, "error", "score nan is outside [0, 1]")),
        (Score(0.0, "unparsable", "a\nb\x00"), Score(0.0, "unparsable", "a b ")),
    ],
)
def test_what_counts_as_a_score(value: object, expected: Score) -> None:
    assert as_score(value) == expected


def test_details_are_one_short_line_that_can_be_written() -> None:
    assert clean("a\r\n\t\x00b\ud800") == "a    b\\ud800"
    assert clean("\ud800" * 300) == ("\\ud800" * 200)[:200]
    assert describe(KeyError("k")) == "KeyError: 'k'"
