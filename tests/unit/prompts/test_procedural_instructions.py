"""The instruction families: gold scores 1, junk stays low, rules agree, difficulty grows, a seed is a prompt."""

import json
import random

import pytest

from prorl.prompts.procedural import instruction_wordings as wordings
from prorl.prompts.procedural import make_prompt
from prorl.prompts.procedural.instructions import ALONE_WITH, APART, FAMILIES, MAKERS
from prorl.rewards.instructions.arguments import ARGUMENTS
from prorl.rewards.instructions.rows import check_row, gold_response
from prorl.rewards.instructions.verdict import verify, verify_tolerant

NAMES = [family.name for family in FAMILIES]
CONSTANTS = [
    "a",
    "ok",
    "yes",
    "My answer is yes.",
    "the end.",
    "a ***\nb",
    "- a\n- b",
    '{"a": 1}',
    "a\n******\nb",
    '"a"',
]
CONSTANTS += ["I cannot help with that.", "THE RIVER IS COLD.", "1 2 3", "[a] *b* <<c>> Section 1", "word " * 300]


def prompts(name, seeds):
    return [make_prompt(name, level, seed) for level in range(1, 13) for seed in range(seeds)]


@pytest.mark.parametrize("name", NAMES)
def test_gold_scores_one_in_both_readings(name):
    for prompt in prompts(name, 20):
        check_row(prompt)
        gold = gold_response(prompt)
        assert gold is not None, prompt.metadata
        assert verify(prompt, gold).value == 1.0, (prompt.metadata, gold)
        assert verify_tolerant(prompt, gold).value == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_junk_scores_nothing_and_no_constant_text_is_right(name):
    right = dict.fromkeys(CONSTANTS, 0)
    values = []
    drawn = prompts(name, 10)
    for prompt in drawn:
        for junk in ("", " \n", "\x00" * 9, "!?", prompt.text, prompt.text * 2, prompt.text[:-1], "z" * 10**6):
            assert verify(prompt, junk).value == 0.0
            assert verify_tolerant(prompt, junk).value == 0.0
        for constant in CONSTANTS:
            score = verify(prompt, constant)
            right[constant] += score.value == 1.0
            values.append(score.value)
    assert max(right.values()) <= 0.01 * len(drawn), right
    # Rules that forbid something are met by saying nothing of it: the documented chance level.
    assert sum(values) / len(values) < 0.3


def test_every_rule_is_asked_for_and_every_wording_names_its_arguments():
    asked = {rule for name in NAMES for prompt in prompts(name, 40) for rule in prompt.metadata["instruction_id_list"]}
    assert asked == ARGUMENTS.keys() == MAKERS.keys() == wordings.WORDINGS.keys()
    for rule, texts in wordings.WORDINGS.items():
        assert len(set(texts)) >= 3
        for text in texts:
            assert all(f"{{{argument}}}" in text for argument in ARGUMENTS[rule]), text


@pytest.mark.parametrize("name", NAMES)
def test_rules_of_a_problem_agree_and_grow_with_the_level(name):
    counts = []
    for level in range(1, 13):
        names = [make_prompt(name, level, seed).metadata["instruction_id_list"] for seed in range(30)]
        for rules in names:
            assert len(set(rules)) == len(rules)
            for rule in rules:
                others = set(rules) - {rule}
                assert not others & APART.get(rule, set())
                assert rule not in ALONE_WITH or others <= ALONE_WITH[rule]
        counts.append(sum(map(len, names)))
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_mixed_problems_have_as_many_rules_as_their_level():
    for level in range(1, 13):
        for seed in range(30):
            assert len(make_prompt("instruct_mixed", level, seed).metadata["kwargs"]) == level


def test_prompts_are_reproducible_and_plain():
    for name in NAMES:
        for prompt in prompts(name, 5):
            assert prompt == make_prompt(name, prompt.level, int(prompt.id.rsplit("/", 1)[1]))
            assert json.loads(json.dumps(prompt.metadata)) == prompt.metadata
            assert prompt.metadata["prompt"] == prompt.text
            assert "{" not in prompt.text
        assert len({prompt.text for prompt in prompts(name, 20)}) > 230


def test_a_known_prompt():
    family = next(family for family in FAMILIES if family.name == "instruct_keywords")
    problem = family.generate(random.Random(1), 1)
    assert (
        problem.prompt
        == "Describe why the sky is blue in your own words. Use the following keywords: window and ocean."
    )
    assert problem.metadata["kwargs"] == [{"keywords": ["window", "ocean"]}]


def test_words_agree():
    texts = [request.format(topic=topic) for request in wordings.REQUESTS for topic in wordings.TOPICS]
    texts += wordings.QUESTIONS
    phrases = [phrase.format(topic=topic) for phrase in wordings.END_PHRASES for topic in wordings.TOPICS]
    for text in texts:
        assert "," not in text
        assert not set(text.lower().rstrip(".?").split()) & {*wordings.KEYWORDS, *wordings.FORBIDDEN}, text
    for text in (*phrases, *wordings.KEYWORDS):
        assert not set(text.lower()) & set(wordings.RARE_LETTERS + ","), text
        assert not set(text.lower().rstrip(".?").split()) & set(wordings.FORBIDDEN), text
    for word in wordings.KEYWORDS:
        assert not [other for other in wordings.KEYWORDS if other != word and word in other], word
