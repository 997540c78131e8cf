"""The mini verifiers: gold accepted by both readings, junk and shortcuts refused, hostile input survived."""

import itertools
import random
import time
from dataclasses import replace

import pytest

from prorl.prompts.mini import FAMILIES, make_prompt
from prorl.records import Prompt
from prorl.rewards.mini import STRICT, TOLERANT, verify, verify_tolerant

ALL_LEVELS = [(name, level) for name, family in FAMILIES.items() for level in range(1, family.max_level + 1)]


def test_every_family_has_both_readings():
    assert STRICT.keys() == TOLERANT.keys() == FAMILIES.keys()


@pytest.mark.parametrize(("family", "level"), ALL_LEVELS)
def test_gold_is_accepted_by_both_readings(family, level):
    for seed in range(100):
        prompt = make_prompt(family, level, seed)
        assert verify(prompt, prompt.answer).value == 1.0
        assert verify_tolerant(prompt, prompt.answer).value == 1.0


@pytest.mark.parametrize(("family", "level"), ALL_LEVELS)
def test_junk_scores_nothing(family, level):
    for seed in range(5):
        prompt = make_prompt(family, level, seed)
        text = prompt.text
        junk = ["", " ", "\n\t ", text, text[1:], text[:-1], text * 2, "a" * 30, "1" * 30, "a1" * 20, ":", "\x00"]
        junk += ["0123456789", "abcdefghijklmnopqrstuvwxyz", "x" * 2**20, "١٢٣", "9" * 5000, "(" * 4000]
        junk += [prompt.answer + prompt.answer[-1], prompt.answer * 2, prompt.answer[:-2]]
        for response in junk:
            if response == prompt.answer:
                continue
            assert verify(prompt, response).value == 0.0, (text, response)
        for response in [*junk[:4], *junk[6:-3]]:
            if response != prompt.answer:
                assert verify_tolerant(prompt, response).value == 0.0, (text, response)


@pytest.mark.parametrize("family", ["add", "run", "prog", "merge", "sheet", "gene", "sort", "chain"])
def test_one_changed_character_is_wrong(family):
    # These families have a single right answer, so every changed character must be refused by the strict reading.
    for level in range(1, FAMILIES[family].max_level + 1):
        prompt = make_prompt(family, level, level)
        for position, character in enumerate(prompt.answer):
            other = "z" if character == "q" else "q"
            changed = prompt.answer[:position] + other + prompt.answer[position + 1 :]
            assert verify(prompt, changed) == verify(prompt, "wrong")


@pytest.mark.parametrize(("family", "level"), [(name, level) for name in FAMILIES for level in (1, 2, 3)])
def test_a_constant_answer_stays_within_chance(family, level):
    prompts = [make_prompt(family, level, seed) for seed in range(500)]
    chance = FAMILIES[family].chance(level)
    for constant in ("0", "1", "a1", prompts[0].answer, prompts[1].answer):
        # The tolerant reading forgives case, which doubles the chance of each word of `acro`.
        for judge, expected in ((verify, chance), (verify_tolerant, chance * 2**level if family == "acro" else chance)):
            hits = sum(judge(prompt, constant).value for prompt in prompts)
            # Five standard errors, and one for the problem that the constant was taken from.
            assert hits <= 1 + 500 * expected + 5 * (500 * expected) ** 0.5


def test_all_options_listed_is_wrong():
    prompt = make_prompt("run", 1, 0)
    label = prompt.answer[0]
    listed = " ".join(f"{label}{digit}" for digit in range(10))
    assert verify(prompt, listed).value == 0.0
    if prompt.answer not in (f"{label}0", f"{label}9"):
        assert verify_tolerant(prompt, listed).value == 0.0


@pytest.mark.parametrize(
    ("reply", "right"), [("wu+", True), ("uw+", True), ("wu-", False), ("wu", False), ("w", False)]
)
def test_rpn_equivalent_programs(reply, right):
    prompt = Prompt("p", "code", "rpn", "xw+u:", "wu+", {"task": "rpn", "variables": "wu", "operators": "+"})
    assert (verify(prompt, reply).value == 1.0) == right


def _evaluate_postfix(code, values):
    """Recursive evaluation from the right, unlike the verifier's stack; None if malformed."""
    tokens = [*code]

    def parse():
        if not tokens:
            raise IndexError
        symbol = tokens.pop()
        if symbol.isalpha():
            return values[symbol]
        right, left = parse(), parse()
        return left + right if symbol == "+" else left - right if symbol == "-" else left * right

    try:
        value = parse()
    except IndexError:
        return None
    return None if tokens else value


def test_rpn_against_another_evaluator():
    # All 5! orders of a + b * c as stack code: right exactly where the value is right on integers far apart.
    prompt = Prompt("p", "code", "rpn", "xa+b*c:", "abc*+", {"task": "rpn", "variables": "abc", "operators": "+*"})
    values = {"a": 10_007, "b": 503, "c": 70_001}
    expected = 10_007 + 503 * 70_001
    right = 0
    for order in itertools.permutations("abc*+"):
        code = "".join(order)
        is_right = _evaluate_postfix(code, values) == expected
        assert verify(prompt, code).value == is_right, code
        right += is_right
    assert right == 4  # abc*+ acb*+ bc*a+ cb*a+


def test_rpn_refuses_unused_and_repeated_variables():
    prompt = Prompt("p", "code", "rpn", "xa-b+c:", "ab-c+", {"task": "rpn", "variables": "abc", "operators": "-+"})
    assert verify(prompt, "cab-+").value == 1.0
    for code in ("ab-c", "aa-c+", "ab-c+c-c+", "ab-c++", "+-abc", "ac+b-d"):
        assert verify(prompt, code).value == 0.0


def test_color_accepts_every_proper_colouring_and_no_other():
    metadata = {"task": "color", "nodes": "abc", "edges": ["ab", "bc"]}
    prompt = Prompt("p", "logic", "color", "gabc;ab,bc:", "a1b2c1", metadata)
    right = 0
    for a, b, c in itertools.product("123", repeat=3):
        proper = a != b and b != c
        assert verify(prompt, f"a{a}b{b}c{c}").value == proper
        right += proper
    assert right == 12  # 3 * 2 * 2
    assert verify(prompt, "a1b2").value == verify(prompt, "a1b2c4").value == verify(prompt, "c1b2a1").value == 0.0
    assert verify_tolerant(prompt, "C:1, b:2, a:1").value == 1.0


def test_words_must_be_distinct_listed_and_in_case():
    prompt = Prompt("p", "instruction", "acro", "acA:", "cap APE", {"task": "acro", "initials": "cA"})
    assert verify(prompt, "cub ACT").value == 1.0
    for reply in ("cub act", "CUB ACT", "cub  ACT", "cub ACT ", "cub", "ACT cub", "cub cub", "cxx ACT"):
        assert verify(prompt, reply).value == 0.0
    assert verify_tolerant(prompt, "Cub, act").value == 1.0
    twice = Prompt("p", "instruction", "acro", "acc:", "cap cub", {"task": "acro", "initials": "cc"})
    assert verify(twice, "cub cub").value == verify_tolerant(twice, "cub CUB").value == 0.0


def test_slots_must_be_distinct():
    metadata = {"task": "slots", "slots": [["k", "A"], ["d", "A"]]}
    prompt = Prompt("p", "instruction", "slots", "lkAdA:", "kANTdBAT", metadata)
    assert verify(prompt, "kCOWdHEN").value == 1.0
    for reply in ("kCOWdCOW", "kCOWdBUS", "kCOW", "dCOWkHEN", "kcowdhen", "kCOWdHENpFOX"):
        assert verify(prompt, reply).value == 0.0
    assert verify_tolerant(prompt, "k: cow\nd: hen").value == 1.0
    assert verify_tolerant(prompt, "cow hen").value == 1.0
    assert verify_tolerant(prompt, "cow cow").value == 0.0


@pytest.mark.parametrize(
    "reply", ["1259", "1 2 5 9", "1,2,5,9", "Sorted:\n1259", "1259\nthat is all", "5291 = 1259", "answer: 1259."]
)
def test_tolerant_reading_of_a_sorted_answer(reply):
    prompt = Prompt("p", "logic", "sort", "o5291:", "1259", {"task": "sort"})
    assert verify_tolerant(prompt, reply).value == 1.0
    assert verify(prompt, reply).value == (reply == "1259")


@pytest.mark.parametrize("reply", ["12599", "125", "5291", "01259"])
def test_tolerant_reading_does_not_forgive_wrong_digits(reply):
    prompt = Prompt("p", "logic", "sort", "o5291:", "1259", {"task": "sort"})
    assert verify_tolerant(prompt, reply).value == 0.0


def test_tolerant_reading_forgives_missing_labels():
    prompt = Prompt("p", "math", "run", "r7a+3c-5:", "a0c5", {"task": "run"})
    assert verify_tolerant(prompt, "05").value == 1.0
    assert verify_tolerant(prompt, "5").value == 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_malformed_metadata_is_an_error_not_an_exception(family):
    good = make_prompt(family, 3, 0)
    for metadata in ({}, {"task": None}, {"task": ["add"]}, {"task": "nonsense"}, None, [1]):
        assert verify(replace(good, metadata=metadata), good.answer).outcome == "error"
    assert verify(replace(good, answer=""), "x").outcome == "error"
    values = [None, 3, "", [], [1], [[1, 2]], ["abc"], {"a": 1}, "x" * 10**6, [["a", None]]]
    for key in good.metadata.keys() - {"task", "level", "operators"}:
        for value in values:
            score = verify(replace(good, metadata={**good.metadata, key: value}), good.answer)
            assert score.outcome == "error", (key, value)
            assert "\n" not in score.detail
        missing = {name: value for name, value in good.metadata.items() if name != key}
        assert verify_tolerant(replace(good, metadata=missing), good.answer).outcome == "error"


def test_noise_is_quick_and_scores_nothing():
    rng = random.Random(0)
    alphabet = "".join(chr(code) for code in range(32, 127)) + "\n٣é\U0001f600"
    prompts = [make_prompt(family, 3, 0) for family in FAMILIES]
    noise = ["".join(rng.choices(alphabet, k=rng.randint(1, 4096))) for _ in range(50)]
    noise += [" " * 4095 + "x", "\n" * 4096, ":=" * 2048, "abc*+" * 800]
    started = time.process_time()
    for prompt in prompts:
        for response in noise:
            assert verify(prompt, response).value == verify_tolerant(prompt, response).value == 0.0
    assert time.process_time() - started < 60
