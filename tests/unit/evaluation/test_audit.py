"""The audit of the verifiers: known answers, junk, the chance level of a model, and the agreement of the readings."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from prorl.config import Source
from prorl.evaluation import audit as audit_module
from prorl.evaluation.audit import JUNK, Answered, audit, deal
from prorl.prompts import suites
from prorl.records import Prompt, Score
from prorl.rewards.rows import GOLD_RESPONSES
from prorl.rewards.verifier import VerifierPool

BROKEN = """
def everything(prompt, response):
    return 1.0


def nothing_said(prompt, response):
    return float(not response.strip() or response == prompt.answer)
"""
REFUSED = dict.fromkeys(JUNK, 0)


def open_pool(reading, **options):
    return VerifierPool(workers=1, timeout_seconds=20.0, memory_mb=1024, reading=reading, **options)


@pytest.fixture(scope="module")
def pools():
    with open_pool("strict", preload=["mini"]) as strict, open_pool("tolerant", preload=["mini"]) as tolerant:
        yield strict, tolerant


@pytest.fixture(scope="module")
def reward_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rewards") / "broken.py"
    path.write_text(BROKEN)
    return path


class Recorder:
    """Stands in for a pool: takes the answer itself for right and keeps what it was asked."""

    def __init__(self):
        self.functions = {}
        self.asked = []

    def verify(self, items):
        self.asked.append([(prompt, list(texts)) for prompt, texts in items])
        return [tuple(Score(float(text == prompt.answer), "wrong") for text in texts) for prompt, texts in items]


def problem(number, answer, *, level=1, task="add", **fields):
    fields = {"verifier": "mini", "metadata": {"task": task, "level": level}} | fields
    return Prompt(f"{task}/{level}/{number}", "math", task, f"+{number}:", answer, **fields)


def answered(prompt, texts, strict=None, tolerant=None, truncated=None):
    zeros = np.zeros(len(texts))
    strict = zeros if strict is None else np.array(strict)
    tolerant = strict if tolerant is None else np.array(tolerant)
    return Answered(prompt, texts, strict, tolerant, zeros > 0 if truncated is None else np.array(truncated))


SIX = [problem(number, answer) for number, answer in enumerate(["a1", "a1", "a1", "b2", "b2", "c3"])]
"""Half of them have the same answer."""


def test_the_shuffled_rate_of_a_constant_guesser_is_its_accuracy(pools):
    guesses = {"base": "a1", "9": "c3"}
    samples = {role: iter([answered(prompt, [text] * 3) for prompt in SIX]) for role, text in guesses.items()}
    found = audit(SIX, samples, *pools, seed=0)
    # a1 is right 3 times in 6, c3 once in 6; each of the six gets 8 answers.
    rates = {"base": {"rate": 3 / 6, "of": 48}, "9": {"rate": 1 / 6, "of": 48}}
    assert found.by_family["add"]["shuffled"] == rates
    assert found.levels == {("math", "add", 1): {"base": 3 / 6, "9": 1 / 6, "of": 48}}


def test_the_shuffled_rate_of_a_solver_is_how_often_two_problems_have_one_answer(pools):
    # Five answers to each: one from every other problem. 3 * 2 + 2 * 1 + 0 ordered pairs of 30 have the same answer.
    samples = {"base": [answered(prompt, [prompt.answer] * 5) for prompt in SIX]}
    assert audit(SIX, samples, *pools, seed=0, per_problem=5).levels[("math", "add", 1)] == {"base": 8 / 30, "of": 30}


def test_a_truncated_answer_takes_part_as_wrong_and_is_not_judged(pools):
    # All say a1, the first problem's are cut: it gives nothing to the other two that a1 is right for. 5 + 4 + 4.
    samples = [answered(prompt, ["a1"] * 5, truncated=[prompt.id == "add/1/0"] * 5) for prompt in SIX]
    found = audit(SIX, {"base": samples}, *pools, seed=0, per_problem=5)
    assert found.levels[("math", "add", 1)] == {"base": 13 / 30, "of": 30}
    # Truncation by sample: the third of each. With one answer from each other problem, the third is lost to each of
    # the three that a1 is right for: 3 * 4.
    cut = [False, False, True, False, False]
    samples = [answered(prompt, ["a1"] * 5, truncated=cut) for prompt in SIX]
    found = audit(SIX, {"base": samples}, *pools, seed=0, per_problem=5)
    assert found.levels[("math", "add", 1)] == {"base": 12 / 30, "of": 30}


def test_levels_stay_apart_and_a_family_is_all_its_answers(pools):
    second = [problem(number, answer, level=2) for number, answer in enumerate(["a1", "z9"])]
    alone = [problem(0, "a1", level=3)]
    other = [problem(0, "b2", task="sort"), problem(1, "a1", task="sort")]
    problems = [*SIX, *second, *alone, *other]
    # In whatever order the problems come.
    samples = {"base": [answered(prompt, ["a1"]) for prompt in reversed(problems)]}
    found = audit(problems, samples, *pools, seed=3, per_problem=4)
    assert found.levels == {
        ("math", "add", 1): {"base": 0.5, "of": 24},
        ("math", "add", 2): {"base": 0.5, "of": 8},
        ("math", "sort", 1): {"base": 0.5, "of": 8},
    }
    assert found.by_family["add"]["shuffled"] == {"base": {"rate": 0.5, "of": 32}}
    assert found.by_family["sort"]["shuffled"] == {"base": {"rate": 0.5, "of": 8}}


def test_a_family_of_single_problems_has_no_shuffled_rate(pools):
    alone = [problem(0, "a1", level=1), problem(0, "a1", level=2)]
    found = audit(alone, {"base": [answered(prompt, ["a1"]) for prompt in alone]}, *pools, seed=0)
    assert found.levels == {}
    assert "shuffled" not in found.by_family["add"]


@pytest.mark.parametrize(("size", "per_problem"), [(2, 3), (5, 3), (5, 4), (5, 9), (40, 8)])
def test_answers_are_dealt_to_others_in_equal_shares(size, per_problem):
    problems = [problem(number, "x") for number in range(size)]
    answers = {prompt.id: [f"{prompt.id} {turn}" for turn in range(per_problem)] for prompt in problems}
    items = deal(problems, answers, per_problem, seed=1)
    assert sorted(prompt.id for prompt, _ in items) == sorted(answers)
    given = Counter()
    for prompt, texts in items:
        givers = Counter(text.split()[0] for text in texts)
        assert len(texts) == per_problem
        assert prompt.id not in givers
        assert len(givers) == min(per_problem, size - 1)
        given += Counter(texts)
    # Every answer is given exactly once: nobody's answers count more than another's.
    assert given == Counter(text for texts in answers.values() for text in texts)
    assert deal(problems, answers, per_problem, seed=1) == items
    assert size == 2 or [prompt.id for prompt, _ in deal(problems, answers, per_problem, seed=2)] != [
        prompt.id for prompt, _ in items
    ]


def test_a_problem_with_few_samples_gives_them_again():
    problems = [problem(number, "x") for number in range(2)]
    items = deal(problems, {problems[0].id: ["p", None], problems[1].id: ["q"]}, 3, seed=0)
    assert {prompt.id: texts for prompt, texts in items} == {"add/1/0": ["q"] * 3, "add/1/1": ["p", None, "p"]}


def test_agreement_is_counted_by_role_over_all_samples(pools):
    several = [problem(0, "a1"), problem(1, "a1"), problem(0, "x", task="sort")]
    base = [
        answered(several[0], ["?"] * 4, strict=[1.0, 1.0, 0.0, 0.0], tolerant=[1.0, 0.0, 1.0, 0.0]),
        answered(several[1], ["?"] * 2, strict=[0.5, 0.0], tolerant=[1.0, 0.99]),
        answered(several[2], ["?"], strict=[1.0], tolerant=[1.0]),
    ]
    trained = [answered(prompt, ["?"], strict=[0.0], tolerant=[1.0]) for prompt in several]
    found = audit(several, {"base": base, "trained": trained}, *pools, seed=0).by_family
    assert found["add"]["agreement"] == {
        "base": {"both": 1, "strict_only": 1, "tolerant_only": 2, "neither": 2},
        "trained": {"both": 0, "strict_only": 0, "tolerant_only": 2, "neither": 0},
    }
    assert found["sort"]["agreement"]["base"] == {"both": 1, "strict_only": 0, "tolerant_only": 0, "neither": 0}
    # From one half on, the sample of 0.5 is right in both readings.
    half = audit(several, {"base": base}, *pools, seed=0, threshold=0.5).by_family["add"]["agreement"]["base"]
    assert half == {"both": 2, "strict_only": 1, "tolerant_only": 2, "neither": 1}


def test_the_mini_verifiers_accept_every_known_answer_and_no_junk(pools):
    levels = suites.levels(Source(source="mini"))
    problems = [suites.generate("mini", task, level, number) for task, level in levels for number in range(2)]
    found = audit(problems, {}, *pools, seed=0).by_family
    by_family = Counter(prompt.task for prompt in problems)
    assert len(found) == 12
    for family, result in found.items():
        assert result["gold"] == {"accepted": by_family[family], "of": by_family[family]}, family
        # No choice, and no form around an answer: six kinds. Every second problem where a family has over 20.
        assert result["junk"]["of"] % 6 == 0
        assert result["junk"] == {"accepted": 0, "of": result["junk"]["of"], "kinds": REFUSED}, family


def test_a_known_answer_counts_where_both_readings_accept_it(pools, monkeypatch):
    sorting = [problem(0, "abc", task="sort"), problem(1, "abd", task="sort"), problem(2, "1", task="sort")]
    # In upper case, the strict reading refuses two of the three, the tolerant one none.
    monkeypatch.setitem(GOLD_RESPONSES, "mini", lambda prompt: prompt.answer.upper())
    assert audit(sorting, {}, *pools, seed=0).by_family["sort"]["gold"] == {"accepted": 1, "of": 3}
    monkeypatch.setitem(GOLD_RESPONSES, "mini", lambda prompt: None if prompt.answer == "1" else "abc")
    assert audit(sorting, {}, *pools, seed=0).by_family["sort"]["gold"] == {"accepted": 1, "of": 2}
    monkeypatch.setitem(GOLD_RESPONSES, "mini", lambda prompt: None)
    assert "gold" not in audit(sorting, {}, *pools, seed=0).by_family["sort"]


def test_a_reward_function_that_accepts_too_much_shows_in_the_junk(pools, reward_file):
    with open_pool("strict", functions={"math": f"{reward_file}:everything"}) as everything:
        found = audit(SIX, {"base": [answered(p, ["?"]) for p in SIX]}, everything, everything, seed=0)
    # Six kinds on six problems; whatever is said to another problem is right too.
    kinds = REFUSED | dict.fromkeys(("empty", "blanks", "prompt", "digits", "noise", "payload"), 6)
    assert found.by_family["add"]["junk"] == {"accepted": 36, "of": 36, "kinds": kinds}
    assert found.levels[("math", "add", 1)]["base"] == 1.0
    # In what form the function wants an answer is not known.
    assert "gold" not in found.by_family["add"]
    with open_pool("strict", functions={"math": f"{reward_file}:nothing_said"}) as nothing_said:
        # One reading that accepts it is enough, whichever it is.
        for readings in ((nothing_said, pools[1]), (pools[0], nothing_said)):
            junk = audit(SIX, {}, *readings, seed=0).by_family["add"]["junk"]
            assert junk == {"accepted": 12, "of": 36, "kinds": REFUSED | {"empty": 6, "blanks": 6}}


def test_junk_takes_the_form_that_the_verifier_reads():
    plain = problem(0, "a", verifier="", metadata={"choices": {"A": "one", "B": "two"}})
    boxed = {name: make(plain) for name, make in JUNK.items()}
    assert boxed["prompt"] == "+0:"
    assert boxed["prompt_as_answer"] == "\\boxed{+0:}"
    assert boxed["all_options"] == "\\boxed{A, B}"
    assert boxed["digits"] == "\\boxed{" + "1234567890" * 100 + "}"
    tagged = replace(plain, verifier="logic", metadata={"choices": ["one", "two"]})
    assert JUNK["all_options"](tagged) == "<answer>one, two</answer>"
    fenced = JUNK["payload"](replace(plain, verifier="code"))
    assert fenced is not None
    assert fenced.splitlines() == ["```python", "__import__('sys').exit(0)", "```"]
    mini = problem(0, "a")
    assert JUNK["prompt_as_answer"](mini) is None  # it would be the prompt once more
    assert JUNK["all_options"](mini) is None


def test_known_answers_and_junk_of_a_verifier_that_reads_a_form():
    tasks = ("density", "science_choice")
    problems = [suites.generate("procedural", task, 1, number) for task in tasks for number in range(2)]
    with open_pool("strict", preload=["stem"]) as pool:
        found = audit(problems, {}, pool, pool, seed=0).by_family
    assert [found[task]["gold"] for task in tasks] == [{"accepted": 2, "of": 2}] * 2
    # Six kinds and the prompt in the form; a choice has its options too.
    assert found["density"]["junk"] == {"accepted": 0, "of": 14, "kinds": REFUSED}
    assert found["science_choice"]["junk"] == {"accepted": 0, "of": 16, "kinds": REFUSED}


def test_a_row_that_cannot_be_judged_has_no_known_answer():
    broken = problem(0, "", verifier="stem", metadata={"level": 1}, task="t")
    pool = Recorder()
    assert "gold" not in audit([broken], {}, pool, pool, seed=0).by_family["t"]


def test_the_audit_is_bounded_by_level_and_by_family():
    problems = [problem(number, "a", level=level) for level in (1, 2) for number in range(50)]
    programs = [problem(number, "", task="code", verifier="code", metadata={"level": 1}) for number in range(50)]
    strict, tolerant = Recorder(), Recorder()
    samples = [answered(prompt, [f"{prompt.id} {turn}" for turn in range(20)]) for prompt in [*problems, *programs]]
    found = audit([*problems, *programs], {"base": samples}, strict, tolerant, seed=0)
    assert found.levels == {
        ("math", "add", 1): {"base": 0.0, "of": 40 * 8},
        ("math", "add", 2): {"base": 0.0, "of": 40 * 8},
        ("math", "code", 1): {"base": 0.0, "of": 8 * 8},
    }
    assert found.by_family["add"]["gold"] == {"accepted": 80, "of": 80}
    # Every fourth of the 80: from both levels, 20 problems with six kinds of junk.
    assert found.by_family["add"]["junk"]["of"] == 20 * 6
    junk = next(items for items in tolerant.asked if "" in items[0][1])
    assert Counter(prompt.level for prompt, _ in junk) == {1: 10, 2: 10}
    assert all(b - a == 4 for a, b in pairwise(problems.index(prompt) for prompt, _ in junk) if b < 40)
    # Only the first samples are given to others, and the tolerant reading judges none of them.
    shuffled = [text for items in strict.asked for _, texts in items for text in texts if text.startswith("add/1/")]
    assert {int(text.split()[1]) for text in shuffled} == set(range(8))
    assert not any(text.startswith("add/") for items in tolerant.asked for _, texts in items for text in texts)


def test_equal_texts_are_judged_once_and_in_messages_of_bounded_size(monkeypatch):
    monkeypatch.setattr(audit_module, "PROBLEMS_AT_ONCE", 4)
    pool = Recorder()
    samples = [answered(prompt, ["a1"] * 5, truncated=[True, False, False, False, False]) for prompt in SIX]
    assert audit(SIX, {"base": samples}, pool, pool, seed=0).levels[("math", "add", 1)]["base"] == 0.5 * 6 / 8
    assert [len(items) for items in pool.asked[-2:]] == [4, 2]
    assert all(texts == ["a1"] for items in pool.asked[-2:] for _, texts in items)


def test_a_problem_without_samples_is_a_programmers_error(pools):
    with pytest.raises(AssertionError):
        audit(SIX, {"base": [answered(prompt, ["a1"]) for prompt in SIX[1:]]}, *pools, seed=0)
    with pytest.raises(AssertionError):
        audit(SIX, {"base": [answered(prompt, []) for prompt in SIX]}, *pools, seed=0)
