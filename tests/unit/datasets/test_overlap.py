"""Duplicates, and overlap of 13 words with evaluation suites; the counts are by hand."""

import pytest

from prorl.datasets.overlap import Duplicates, Overlaps, ngrams
from prorl.datasets.wording import CODE_FUNCTION, CODE_INPUT, MATH, STEM, asked, of_dapo, of_eurus, without_ending
from prorl.records import Prompt
from raw_rows import DAPO_ENDING, DAPO_OPENING, EURUS_ENDING

WORDS = [f"w{number}" for number in range(40)]


def prompt(text: str, domain: str = "math", name: str = "id") -> Prompt:
    return Prompt(name, domain, domain, text)


def text(first: int, last: int) -> str:
    return " ".join(WORDS[first:last])


@pytest.mark.parametrize(("count", "keys"), [(0, 0), (1, 1), (12, 1), (13, 1), (14, 2), (20, 8)])
def test_a_text_has_one_run_for_each_of_its_windows(count, keys):
    assert len(set(ngrams(WORDS[:count]))) == keys


def suites(*problems: Prompt) -> Overlaps:
    overlaps = Overlaps()
    overlaps.add_suite("aime", problems)
    return overlaps


def test_thirteen_words_overlap_and_twelve_do_not():
    overlaps = suites(prompt(text(0, 20)))
    assert overlaps.suite_of(prompt("before " + text(7, 20) + " behind", name="a")) == "aime"
    assert overlaps.suite_of(prompt("before " + text(8, 20) + " behind", name="b")) == ""
    assert overlaps.suite_of(prompt(text(3, 16).upper().replace(" ", ",\n $ "), name="c")) == "aime"
    assert overlaps.counts == {"aime": 2}
    assert overlaps.examples == {"aime": ["a", "c"]}


def test_a_short_problem_is_compared_as_a_whole():
    overlaps = suites(prompt("What is 2 + 2?"))
    assert overlaps.suite_of(prompt("what is  2+2")) == "aime"
    assert overlaps.suite_of(prompt("Tell me: what is 2 + 2?")) == ""


@pytest.mark.parametrize("ending", [MATH, STEM, CODE_INPUT, CODE_FUNCTION.replace("{name}", "f")])
def test_the_instruction_is_no_part_of_the_problem(ending):
    overlaps = suites(prompt(asked("What is one thing?", ending)))
    assert overlaps.suite_of(prompt(asked("What is another one?", ending))) == ""
    assert overlaps.suite_of(prompt("What is one thing?")) == "aime"
    assert without_ending(asked("P\nQ", ending)) == "P\nQ"


def test_what_several_problems_of_a_suite_say_is_boilerplate():
    head = text(0, 15)
    for problems, found in ((3, "aime"), (4, "")):
        overlaps = suites(*(prompt(f"{head} {' '.join(f'p{n}x{i}' for i in range(15))}") for n in range(problems)))
        assert overlaps.suite_of(prompt(f"{head} and something else")) == found
    assert overlaps.suite_of(prompt(" ".join(f"p1x{i}" for i in range(15)))) == "aime"


def test_puzzles_share_their_wording_and_count_as_a_whole():
    overlaps = suites(prompt(text(0, 20) + " 1 2", "logic"))
    assert overlaps.suite_of(prompt(text(0, 20) + " 3 4", "logic")) == ""
    assert overlaps.suite_of(prompt(text(0, 20) + " 1  2", "logic")) == "aime"
    assert overlaps.suite_of(prompt("pre " + text(0, 20), "math")) == ""


def test_duplicates():
    seen = Duplicates()
    assert [seen.kind_of(prompt(t)) for t in ("Find x.", "Find x.", "find  X.", "Find y.")] == [
        "",
        "exact duplicate",
        "near duplicate",
        "",
    ]
    puzzles = Duplicates()
    assert [puzzles.kind_of(prompt(t, "logic")) for t in ("aB c", "ab c", "aB  c", "aB c")] == [
        "",
        "",
        "",
        "exact duplicate",
    ]


def test_what_data_sets_say_of_the_form_is_taken_off():
    assert of_dapo(DAPO_OPENING + "What is 1 + 1?\n\nTell." + DAPO_ENDING) == "What is 1 + 1?\n\nTell."
    assert of_eurus("Sum it." + EURUS_ENDING) == "Sum it."
    assert of_eurus("Sum it." + EURUS_ENDING.replace("\nat the end", " at the end")) == "Sum it."
    assert of_eurus("Sum it.") == "Sum it."
