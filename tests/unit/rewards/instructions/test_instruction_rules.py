"""Each of the 25 IFEval rules: texts that follow it and texts that do not, counts exactly at and one off the bound."""

import pytest

from prorl.rewards.instructions import language
from prorl.rewards.instructions.arguments import ARGUMENTS, LANGUAGES, Instruction
from prorl.rewards.instructions.rules import RULES, follows, follows_loosely, loose_texts
from prorl.rewards.instructions.segments import num_capital_words, num_sentences, num_words

ENGLISH = "The small river runs past the old stone house and people walk along the bank."
SPANISH = "El pequeño río pasa junto a la vieja casa de piedra y los niños juegan en el jardín."
AT_LEAST, LESS_THAN = "at least", "less than"


def relation(name, key, count, name_of_relation="relation", **others):
    """The arguments of a rule with a bound: at least `count`, and less than `count`."""
    return [(name, {**others, key: count, name_of_relation: which}) for which in (AT_LEAST, LESS_THAN)]


NTH = {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Weekend"}
DONT = {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "don't"}
CASES = [
    # rule, arguments, texts that follow, texts that do not
    (
        "keywords:existence",
        {"keywords": ["cat", "a+b"]},
        ["Concatenate A+B", "a+b CAT"],
        ["cat", "aab cat", "a b cat", "c at a+b"],
    ),
    ("keywords:existence", {"keywords": [".*", "("]}, ["(.*"], ["anything (", "(* ."]),
    (
        "keywords:forbidden_words",
        {"forbidden_words": ["cat", "c++"]},
        ["concatenate cats", "c+ +", "cat_", "xc++"],
        ["A CAT.", "the cat", "I like C++.", "cat's"],
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        ["a***b", "***\na\n***\nb\n***"],
        ["a", "a***b***c"],
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 1}, ["a", "a\n\nb"], ["a***b", "a******", "***a***b"]),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 3},
        ["a***b***c"],
        ["a***\n***b***c", "a***b", "a***\n***b"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        NTH,
        ["a\n\nweekend b", 'a\n\n"WEEKEND, b', "a\n \nWeekend", "a\n\n\n\nweekend's b"],
        ["weekend\n\na", "a\nweekend b", "a\n\nweekends", "a\n\nweekend\n\nc", "a\n\nweekend-trip", "a\n\nmy weekend"],
    ),
    ("length_constraints:nth_paragraph_first_word", DONT, ["Don't go", "don't"], ["don", "don't2"]),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        ["[a] [b]", "[a] [b] [c]"],
        ["[a]", "[a] []", "[a\n] [b]"],
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 0}, ["none"], []),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.S."},
        ["Hi\nP.S. bye", "p. s. bye"],
        ["PS bye", "P.S bye"],
    ),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P.P.S bye", "p. p.s"], ["P.S. bye", "P.PS"]),
    ("detectable_content:postscript", {"postscript_marker": "Note:"}, ["NOTE: x"], ["note"]),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        ["* a\n* b", "- a\n  - b", "*a\n-b", "text\n* a *b*\n- c\n---\n*emphasis* first"],
        ["* a", "* a\n* b\n* c", "* a\n**b**", "* a\n*", "* a\n---", "a * b\nc - d", "* a\n-"],
    ),
    ("detectable_format:number_bullet_lists", {"num_bullets": 0}, ["a", "---"], ["- a"]),
    (
        "detectable_format:constrained_response",
        {},
        ["My answer is yes.", "Well. My answer is maybe. Good."],
        ["my answer is yes.", "My answer is yes", "yes", "My answer is yes. My answer is no.", "My answer is perhaps."],
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        ["*a* and *b*", "**a** *b*", "***a*** **b**", "*a* *b* *c*"],
        ["*a*", "***a***", "*a* ** **", "*a\nb* *c*", "* * *a*", "a b"],
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Day", "num_sections": 2},
        ["Day 1\na\nDay 2\nb", "Day1 Day2", "Day 1 Day 2 Day 3"],
        ["Day 1", "day 1 day 2", "Day one Day two", "Day 1 Day  2"],
    ),
    ("detectable_format:multiple_sections", {"section_spliter": "(a", "num_sections": 1}, ["(a 1"], ["(b 1"]),
    (
        "detectable_format:json_format",
        {},
        ['{"a": [1, 2.5e400]}', "```json\n[]\n```", "```\n{}```", "[" + "1" * 5000 + "]", ' {"a": null} '],
        ['{"a": 1,}', "5", '"text"', "null", '{"a": NaN}', "[1] [2]", "Here: {}", "[" * 100_000, "{'a': 1}"],
    ),
    (
        "detectable_format:title",
        {},
        ["<<A day>>\ntext", "text <<x>> y", "<<<a>>>"],
        ["<<>>", "<a>", "<<a\n>>", "<< >>", ">>a<<"],
    ),
    (
        "combination:two_responses",
        {},
        ["a\n******\nb", "******a******b"],
        ["a", "a******a", "a******b******c", "a***b"],
    ),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "Say it, now."},
        ["say IT, now. it", "\nSay it, now.\n\nWell."],
        ["Say it, now.", "Say it, now. !", "Well. Say it, now. it", "Say it now. it"],
    ),
    (
        "startend:end_checker",
        {"end_phrase": " The end. "},
        ["So. THE END.\n", '"So. The end."', "the end."],
        ["The end", "The end. Bye", "the  end."],
    ),
    ("startend:quotation", {}, ['"a"', '\n"a "b" c" '], ['"a', 'a"', '""', '" "', '"', "'a'", '"a".']),
    ("punctuation:no_comma", {}, ["a; b"], ["a, b", "a\uff0cb", "a\u060cb", ","]),
    ("change_case:english_capital", {}, [ENGLISH.upper()], [ENGLISH, SPANISH.upper(), "123", ENGLISH.upper() + "x"]),
    ("change_case:english_lowercase", {}, [ENGLISH.lower()], [ENGLISH, SPANISH.lower(), "123", ENGLISH.lower() + "X"]),
    ("language:response_language", {"language": "es"}, [SPANISH, SPANISH.upper()], [ENGLISH, "12 !", "日本語です"]),
    (
        "language:response_language",
        {"language": "ja"},
        ["毎朝となりの人は戸を開けて空を見ます。"],
        [ENGLISH, "小河流过老石屋"],
    ),
    (
        "language:response_language",
        {"language": "zh"},
        ["我们的小河流过一座古老的石头房子，孩子们在花园里玩耍。"],
        [ENGLISH],
    ),
    ("language:response_language", {"language": "ko"}, ["작은 강이 흐릅니다 (river)"], [ENGLISH + " 강"]),
    ("language:response_language", {"language": "th"}, ["แม่น้ำสายเล็ก"], ["river house แม่"]),
]


@pytest.mark.parametrize(("rule", "arguments", "right", "wrong"), CASES)
def test_rule(rule, arguments, right, wrong):
    for text in right:
        assert follows(text, Instruction(rule, arguments)), text
    for text in wrong:
        assert not follows(text, Instruction(rule, arguments)), text


BOUNDED = [
    # rules with a bound of 3: a text with exactly 3 of them, and one with 2
    (relation("keywords:frequency", "frequency", 3, keyword="c++"), "C++c++ c++", "c++ c+ c++"),
    (relation("keywords:frequency", "frequency", 3, keyword="aa"), "aaaaaaa", "aaaaa"),
    (relation("keywords:letter_frequency", "let_frequency", 3, "let_relation", letter="E"), "eEe", "e e a"),
    (relation("keywords:letter_frequency", "let_frequency", 3, "let_relation", letter="#"), "#a ##", "##"),
    (relation("length_constraints:number_sentences", "num_sentences", 3), "One. Two! Three", "One. Two!"),
    (relation("length_constraints:number_words", "num_words", 3), "don't go", "do go!"),
    (
        relation("change_case:capital_word_frequency", "capital_frequency", 3, "capital_relation"),
        "I SAW X-Rays 3D",
        "I SAW X-rays",
    ),
]


@pytest.mark.parametrize(("rules", "exact", "one_less"), BOUNDED)
def test_bound(rules, exact, one_less):
    (name, at_least), (_, less_than) = rules
    assert follows(exact, Instruction(name, at_least))
    assert not follows(one_less, Instruction(name, at_least))
    assert not follows(exact, Instruction(name, less_than))
    assert follows(one_less, Instruction(name, less_than))


def test_every_rule_is_judged_and_tested():
    assert len(RULES) == 25
    assert RULES.keys() == ARGUMENTS.keys()
    assert {case[0] for case in CASES} | {rules[0][0] for rules, _, _ in BOUNDED} == RULES.keys()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("no end", 1),
        ("One. Two.", 2),
        ("one. two. three.", 3),
        ("Mr. Smith met Dr. Who at 3.5 p.m. on Monday.", 1),
        ("He came at 3 p.m. She left.", 2),
        ("We saw cats, e.g. Tom. Good.", 2),
        ("I like the U.S. a lot.", 1),
        ("It was me and I. Then he left.", 2),
        ("J. R. Smith wrote. We read.", 2),
        ("1. Buy milk.\n2. Buy eggs.", 2),
        ("See Fig. 5 and No. 7 here. I said no. Then left.", 3),
        ("Wait... what? Yes!", 2),
        ("Wait... What?", 2),
        ('"Stop!" he said. "Why?" She left.', 3),
        ("Heading\n\nFirst. Second.", 2),
        ("これは本です。はい！", 2),
        ("यह घर है। हाँ।", 2),
        ("Really?! No!!! Yes.", 3),
        ("... !!! ???", 0),
        ("Bye.\nP.S. Write soon.", 2),
    ],
)
def test_sentences(text, count):
    assert num_sentences(text) == count


@pytest.mark.parametrize(
    ("text", "words", "capitals"),
    [
        ("I AM a-B C3PO", 5, 3),
        ("DON'T U.S. AND/OR", 6, 3),
        ("snake_case MAX_SIZE", 2, 1),
        ("Ça VA été 12", 4, 1),
        ("हाँ है e\u0301te\u0301 ะ", 4, 0),
        ("", 0, 0),
    ],
)
def test_words(text, words, capitals):
    assert num_words(text) == words
    assert num_capital_words(text) == capitals


def test_loose_texts_are_the_eight_of_ifeval():
    assert loose_texts("a*\nb\nc") == ["a*\nb\nc", "b\nc", "a*\nb", "b", "a\nb\nc", "a\nb"]
    assert len(loose_texts("*a\n*b\n*c\n*d")) == 8
    assert loose_texts("plain") == ["plain", ""]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("startend:quotation", 'Sure!\n"text"'),
        ("startend:quotation", '"text"\nBye'),
        ("startend:quotation", 'Sure!\n"text"\nBye'),
        ("startend:quotation", '**"text"**'),
        ("startend:quotation", 'Sure!\n**"text"**\nBye'),
        ("punctuation:no_comma", "Sure, here:\ntext"),
    ],
)
def test_loose_reading_forgives_what_strict_does_not(rule, text):
    assert not follows(text, Instruction(rule, {}))
    assert follows_loosely(text, Instruction(rule, {}))


def test_loose_reading_tries_no_empty_text():
    assert not follows_loosely("a, b", Instruction("punctuation:no_comma", {}))
    assert not follows(" \n", Instruction("punctuation:no_comma", {}))


MIXED = "The small river runs past the old stone house. El pequeño río pasa junto a la vieja casa."


def test_a_long_text_is_in_one_language_and_always_the_same():
    guesses = []
    for _ in range(5):
        language._guesses.cache_clear()
        guesses.append(language._guesses(MIXED))
    assert set(guesses[0]) == {"en", "es"}
    assert all(guess == guesses[0] for guess in guesses)
    assert [language.is_in_language(MIXED, code) for code in ("es", "en")] == [True, False]


def test_a_short_text_is_in_any_language_that_it_may_be_in():
    assert list(language._guesses("Hola amigos")) == ["so", "es"]  # Somali is its first guess
    assert language.is_in_language("Hola amigos", "es")
    assert not language.is_in_language("Hola amigos", "en")


def test_languages_are_those_that_langdetect_knows():
    from_library = pytest.importorskip("langdetect.detector_factory")
    from_library.init_factory()
    assert set(LANGUAGES) == {*from_library._factory.get_lang_list(), "zh"}
