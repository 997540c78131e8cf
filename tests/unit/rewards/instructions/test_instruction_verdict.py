"""The verifier of instructions: shares, outcomes, no answer, hostile answers, malformed rows, gold responses."""

import re
import time

import pytest

from prorl.records import Prompt, Score
from prorl.rewards.instructions.arguments import ARGUMENTS, read_instructions
from prorl.rewards.instructions.fillers import SENTENCES
from prorl.rewards.instructions.rows import check_row, from_ifeval, from_nemotron, gold_response
from prorl.rewards.instructions.rules import follows
from prorl.rewards.instructions.verdict import MAX_CHARACTERS, verify, verify_tolerant

SAMPLE = {
    "keywords": ["a+b", "river(", "cat"],
    "keyword": "c++",
    "frequency": 3,
    "relation": "at least",
    "forbidden_words": ["the", "water"],
    "letter": "e",
    "let_frequency": 4,
    "let_relation": "less than",
    "language": "es",
    "num_sentences": 5,
    "num_paragraphs": 4,
    "num_words": 60,
    "nth_paragraph": 2,
    "first_word": "weekend",
    "num_placeholders": 3,
    "postscript_marker": "P.P.S",
    "num_bullets": 4,
    "num_highlights": 3,
    "section_spliter": "Section",
    "num_sections": 3,
    "prompt_to_repeat": "Write it, please.",
    "end_phrase": "Any questions?",
    "capital_frequency": 4,
    "capital_relation": "at least",
}
SAMPLES = {name: {key: SAMPLE[key] for key in arguments} for name, arguments in ARGUMENTS.items()}


def row(*rules, text="", **metadata):
    """A prompt with the named rules and their sample arguments, or `(name, arguments)` pairs."""
    pairs = [(rule, SAMPLES[rule]) if isinstance(rule, str) else rule for rule in rules]
    names, kwargs = [name for name, _ in pairs], [arguments for _, arguments in pairs]
    data = {"instruction_id_list": names, "kwargs": kwargs, **metadata}
    return Prompt(id="", domain="instruction", task="", content=text, metadata=data)


TWO = ("punctuation:no_comma", "detectable_format:title")


@pytest.mark.parametrize(
    ("response", "score"),
    [
        ("<<a>>", Score(1.0, "correct")),
        ("a", Score(0.5, "partial", "1 of 2 followed; not detectable_format:title")),
        ("a, b", Score(0.0, "wrong", "0 of 2 followed; not punctuation:no_comma, detectable_format:title")),
        ("<think>, <<a>></think>b", Score(0.5, "partial", "1 of 2 followed; not detectable_format:title")),
        ("a, b</think><<a>>", Score(1.0, "correct")),
        ("<think><<a>>", Score(0.0, "unparsable", "the thinking never ended")),
        ("", Score(0.0, "unparsable", "no word in the answer")),
        ("<think>a</think> \n\x00", Score(0.0, "unparsable", "no word in the answer")),
        ("!!! \ud800", Score(0.0, "unparsable", "no word in the answer")),
    ],
)
def test_score_is_the_share_of_rules_followed(response, score):
    assert verify(row(*TWO), response) == score


def test_all_or_nothing():
    assert verify(row(*TWO, all_or_nothing=True), "a").value == 0.0
    assert verify(row(*TWO, all_or_nothing=True), "a").outcome == "wrong"
    assert verify(row(*TWO, all_or_nothing=True), "<<a>>") == Score(1.0, "correct")


def test_tolerant_reading_is_ifeval_loose():
    response = "Sure, here it is:\n<<a>>"
    assert verify(row(*TWO), response).value == 0.5
    assert verify_tolerant(row(*TWO), response) == Score(1.0, "correct")


def test_length_limit():
    assert verify(row(*TWO), "<<a>>" + "b" * (MAX_CHARACTERS - 5)).value == 1.0
    assert verify(row(*TWO), "<<a>>" + "b" * (MAX_CHARACTERS - 4)).outcome == "unparsable"


def test_an_echo_of_the_prompt_scores_nothing():
    text = "Write about the sea. Add a title such as <<a title>> and use no bullets."
    prompt = row(*TWO, text=text)
    for echo in (text, f" {text.upper()}\n{text}", text[1:], text[:-9], f"{text}\n...", f"<think>x</think>{text}"):
        for judge in (verify, verify_tolerant):
            assert judge(prompt, echo) == Score(0.0, "wrong", "only repeats the prompt"), echo
    assert verify(prompt, f"{text} <<The sea>> is blue.").value == 1.0
    assert verify(prompt, "<<a title>>").value == 1.0
    assert verify(row(*TWO, text="Say <<hi>> now"), "<<hi>>").value == 1.0


ASKED = "Write a short story about a long road. Use the following words: window, ocean. Do not write any commas."
WORDS = ("keywords:existence", {"keywords": ["window", "ocean"]})


@pytest.mark.parametrize(
    "copy",
    [
        f"Sure. {ASKED}",
        f"{ASKED.upper()} OK BYE",
        ASKED[: len(ASKED) * 3 // 4],
        ASKED[len(ASKED) // 5 :],
        f"Sure! {ASKED.replace(' ', ' ** ')}",
        f"*{ASKED.replace(',', '').replace('.', '')}* {ASKED} ok",
    ],
)
def test_a_near_copy_of_the_prompt_scores_nothing(copy):
    for judge in (verify, verify_tolerant):
        assert judge(row(WORDS, "punctuation:no_comma", text=ASKED), copy).value == 0.0


def test_copied_words_bring_nothing_and_break_what_they_break():
    own = "The road was long and nobody knew where it would end."
    prompt = row(WORDS, "punctuation:no_comma", text=ASKED)
    assert verify(row(WORDS, text=ASKED), f"{ASKED} {own}").value == 0.0
    assert verify(prompt, f"{ASKED.replace(',', '')} {own}") == Score(
        0.5, "partial", "1 of 2 followed; not keywords:existence"
    )
    assert verify(prompt, f"{ASKED} {own} An ocean behind a window.").value == 0.5  # the copy holds a comma
    # Seven words in a row are a quotation, and `a window` is its own.
    assert verify(prompt, f"A short story about a long road and the ocean: {own} It had a window.").value == 1.0


def test_what_an_argument_says_word_by_word_is_no_copy():
    phrase = "Is there anything else I can help you with?"
    prompt = row(("startend:end_checker", {"end_phrase": phrase}), text=f"Write a poem and end it with: {phrase}")
    assert verify(prompt, f"Blue sea. {phrase}").value == 1.0
    request = "Describe an old lighthouse by the sea in one paragraph."
    repeat = ("combination:repeat_prompt", {"prompt_to_repeat": request})
    prompt = row(repeat, WORDS, text=f"{request} First repeat the request. Use these keywords: window and ocean.")
    assert verify(prompt, f"{request} Its window shows the ocean.").value == 1.0
    assert verify(prompt, prompt.text).value == 0.0
    assert verify(prompt, f"{prompt.text} The light is on every single night.").value == 0.5
    assert verify(prompt, request).value == 0.0


@pytest.mark.parametrize("rule", ARGUMENTS)
def test_gold_of_each_rule(rule):
    prompt = row(rule)
    gold = gold_response(prompt)
    assert gold is not None
    assert verify(prompt, gold) == Score(1.0, "correct")
    assert verify_tolerant(prompt, gold) == Score(1.0, "correct")


@pytest.mark.parametrize("language", SENTENCES)
def test_gold_of_each_language(language):
    prompt = row(("language:response_language", {"language": language}))
    assert verify(prompt, gold_response(prompt)) == Score(1.0, "correct")
    others = [other for other in SENTENCES if other != language]
    for other in others:
        assert verify(row(("language:response_language", {"language": other})), gold_response(prompt)).value == 0.0


@pytest.mark.parametrize(
    "rules",
    [
        ("change_case:english_capital", "change_case:english_lowercase"),
        ("change_case:english_capital", "language:response_language"),
        ("detectable_format:json_format", "startend:quotation"),
        (("keywords:existence", {"keywords": ["the"]}), "keywords:forbidden_words"),
        (("length_constraints:number_words", {"num_words": 5000, "relation": "at least"}),),
        (("language:response_language", {"language": "sw"}),),
    ],
)
def test_no_gold_where_rules_exclude_one_another_or_none_is_known(rules):
    assert gold_response(row(*rules)) is None


def test_gold_of_many_rules_at_once():
    rules = [
        "keywords:existence",
        "keywords:frequency",
        "length_constraints:nth_paragraph_first_word",
        "detectable_format:number_bullet_lists",
        "detectable_format:number_highlighted_sections",
        "detectable_format:multiple_sections",
        "detectable_content:number_placeholders",
        "startend:end_checker",
        "startend:quotation",
        "detectable_format:title",
        "change_case:capital_word_frequency",
        "length_constraints:number_words",
        "punctuation:no_comma",
    ]
    prompt = row(*rules)
    assert verify(prompt, gold_response(prompt)) == Score(1.0, "correct")


@pytest.mark.parametrize(
    ("rule", "change", "reason"),
    [
        ("keywords:frequency", {"relation": "more than"}, "keywords:frequency: relation = 'more than' must be one of"),
        ("keywords:frequency", {"keyword": None}, "argument 'keyword' is missing"),
        ("keywords:frequency", {"frequency": 0, "relation": "less than"}, "less than 0 can never hold"),
        ("keywords:frequency", {"frequency": -1}, "frequency = '-1' must be a whole number of 0 to 100000"),
        ("keywords:frequency", {"frequency": 2.5}, "frequency = '2.5' must be a whole number"),
        ("keywords:frequency", {"frequency": True}, "frequency = 'True' must be a whole number"),
        ("keywords:frequency", {"frequency": "3"}, "must be a whole number"),
        ("keywords:frequency", {"frequency": 10**6}, "must be a whole number"),
        ("keywords:frequency", {"frequency": float("inf")}, "must be a whole number"),
        ("keywords:frequency", {"keyword": ""}, "keyword = '' must be a text"),
        ("keywords:existence", {"keywords": []}, "must be a list"),
        ("keywords:existence", {"keywords": "cat"}, "must be a list"),
        ("keywords:existence", {"keywords": [""]}, "must be a text"),
        ("keywords:existence", {"keyword": "cat"}, "keywords:existence: unknown argument 'keyword'; it takes keywords"),
        ("keywords:letter_frequency", {"letter": "ab"}, "must be one character"),
        ("language:response_language", {"language": "xx"}, "must be one of"),
        ("length_constraints:nth_paragraph_first_word", {"nth_paragraph": 5}, "nth_paragraph must be at most"),
        ("length_constraints:nth_paragraph_first_word", {"nth_paragraph": 0}, "whole number of 1"),
        ("length_constraints:nth_paragraph_first_word", {"first_word": "two words"}, "must be one word"),
        ("punctuation:no_comma", {"relation": "at least"}, "unknown argument 'relation'; it takes none"),
    ],
)
def test_wrong_arguments_are_refused_by_name(rule, change, reason):
    prompt = row((rule, SAMPLES[rule] | change))
    with pytest.raises(ValueError, match=re.escape(reason)) as refused:
        check_row(prompt)
    assert rule in str(refused.value)
    assert "\n" not in str(refused.value)
    assert verify(prompt, "text").outcome == "error"


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"instruction_id_list": [], "kwargs": []},
        {"instruction_id_list": ["punctuation:no_comma"], "kwargs": []},
        {"instruction_id_list": ["punctuation:no_comma"]},
        {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [None]},
        {"instruction_id_list": "punctuation:no_comma", "kwargs": [{}]},
        {"instruction_id_list": ["no_comma"], "kwargs": [{}]},
        {"instruction_id_list": [[]], "kwargs": [{}]},
        {"instruction_id_list": ["punctuation:no_comma"] * 33, "kwargs": [{}] * 33},
        {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}], "all_or_nothing": 1},
    ],
)
def test_malformed_rows_are_refused(metadata):
    prompt = Prompt(id="", domain="instruction", task="", content="", metadata=metadata)
    with pytest.raises(ValueError, match=r"instruction|kwargs|arguments|all_or_nothing"):
        check_row(prompt)
    assert verify(prompt, "text").outcome == "error"


def test_null_arguments_are_dropped_and_zero_is_kept():
    given = {"num_bullets": 0, "keywords": None, "relation": None}
    (read,) = read_instructions({"instruction_id_list": ["detectable_format:number_bullet_lists"], "kwargs": [given]})
    assert read.arguments == {"num_bullets": 0}
    assert not follows("- a", read)
    (read,) = read_instructions(
        {"instruction_id_list": ["detectable_format:number_bullet_lists"], "kwargs": [{"num_bullets": 3.0}]}
    )
    assert read.arguments == {"num_bullets": 3}
    assert isinstance(read.arguments["num_bullets"], int)


def test_rows_of_the_public_data_sets():
    every_key = dict.fromkeys(SAMPLE)
    kwargs = [every_key, every_key | {"num_bullets": 0, "end_phrase": ""}]
    names = ["punctuation:no_comma", "detectable_format:number_bullet_lists"]
    converted = (names, [{}, {"num_bullets": 0, "end_phrase": ""}])
    assert from_nemotron({"instruction_id_list": names, "instruction_kwargs": kwargs}) == converted
    assert from_ifeval({"key": 1, "prompt": "p", "instruction_id_list": names, "kwargs": kwargs}) == converted
    for broken in ({}, {"instruction_id_list": names, "instruction_kwargs": kwargs[:1]}, {"instruction_kwargs": [1]}):
        with pytest.raises(ValueError, match="instruction"):
            from_nemotron(broken)
    with pytest.raises(ValueError, match="objects"):
        from_ifeval({"instruction_id_list": names, "kwargs": [None, {}]})


HOSTILE = [
    "*",
    "[",
    "]",
    "<<",
    ">>",
    "\n",
    "\n-",
    "\n*",
    " \t\n",
    '"',
    ".",
    "Mr. ",
    "\n1. ",
    "A.",
    "A-",
    "[[1,",
    '{"a":',
    "e",
]
HOSTILE += [
    "\x00",
    "\ud800",
    "あ",
    "\u0301",
    "p.s. ",
    "section 1 ",
    "***",
    "*a",
    "a@",
    "http://a",
    "c++",
    "İ",
    ".'",
    "My answer is no. ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_long_hostile_answers_are_judged_in_time(piece):
    prompt = row(*ARGUMENTS)
    longest = (piece * MAX_CHARACTERS)[: MAX_CHARACTERS - 1]
    for response in (longest + "x", "x" + longest, piece * (10**6 // len(piece))):
        for judge in (verify, verify_tolerant):
            start = time.process_time()
            score = judge(prompt, response)
            assert time.process_time() - start < 15.0  # all 25 rules; a pattern that backtracks takes minutes
            assert score.outcome in ("partial", "wrong", "unparsable")
