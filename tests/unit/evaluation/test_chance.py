"""The stated chance of a guess: where it comes from, and numbers counted by hand."""

import json

import pytest

from prorl.errors import UserError
from prorl.evaluation.chance import ANSWERS, TASK_CHANCE, chance_of
from prorl.prompts import mini, procedural
from prorl.prompts.sources import prompt_row
from prorl.prompts.suites import GENERATORS
from prorl.records import Prompt
from prorl.rewards.puzzles.tasks import ALL_TASKS, CHANCE


def prompt(task="t", name="p", domain="logic", **metadata):
    return Prompt(id=name, domain=domain, task=task, content="?", metadata=metadata)


def puzzle(task, **facts):
    return prompt(task, entry={"question": "", "answer": "", "metadata": facts})


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (mini.make_prompt("sort", 1, 5), 0.55),  # pairs of digits with the first not above the second: 55 of 100
        (mini.make_prompt("sort", 2, 5), 0.22),  # C(12, 3) = 220 non-decreasing rows of three digits, of 1000
        (mini.make_prompt("chain", 3, 5), 1 / 6),  # three ends in any order
        (mini.make_prompt("merge", 2, 5), 1 / 3),  # splits 1 + 2 and 2 + 1 of three places: C(3, 1) = C(3, 2) = 3
        (mini.make_prompt("add", 2, 5), 0.01),  # both sums 9
        (mini.make_prompt("run", 2, 5), 1 / 81),  # one of nine other values, twice
        (mini.make_prompt("rpn", 2, 5), 7 / 9),  # all but +* and -*
        (mini.make_prompt("sheet", 1, 5), 4 / 81),  # 12 = 2 * 6 = 3 * 4 = 4 * 3 = 6 * 2
        (mini.make_prompt("gene", 2, 5), 1 / 256),
        (mini.make_prompt("acro", 2, 5), 1 / 380),  # 20 * 19 pairs of initials
        (mini.make_prompt("slots", 2, 5), 1 / 25),
        (mini.make_prompt("color", 1, 5), 1.0),  # three nodes, three colours
        (procedural.make_prompt("code_list", 3, 5), 0.0),
        (procedural.make_prompt("science_choice", 3, 5), 30 / 56),
    ],
)
def test_families_state_the_chance_of_their_level(made, expected):
    assert chance_of(made) == pytest.approx(expected)


def test_every_level_of_every_family_has_a_chance():
    for generator in GENERATORS.values():
        for family in generator.families.values():
            chances = [
                chance_of(generator.make_prompt(family.name, level, 0)) for level in range(1, family.max_level + 1)
            ]
            assert all(0 <= chance <= 1 for chance in chances), family.name
            assert chances == [family.chance(level) for level in range(1, family.max_level + 1)]


def test_a_row_that_was_exported_keeps_its_familys_chance():
    made = mini.make_prompt("run", 1, 3)
    row = json.loads(json.dumps(prompt_row(made)))
    again = Prompt(row["id"], row["domain"], row["task"], row["prompt"], row["answer"], row["metadata"])
    assert chance_of(again) == chance_of(made) == pytest.approx(1 / 9)


def test_what_no_generator_made_states_no_familys_chance():
    assert chance_of(prompt("run", "rows.jsonl:1", level=1)) == 0.0
    assert chance_of(prompt("nosuch", "mini/nosuch/1/1", level=1)) == 0.0
    assert chance_of(prompt("run", "mini/run/99/1", level=99)) == 0.0
    # A family that states 0 has stated it.
    assert chance_of(prompt("code_list", "procedural/code_list/1/1", level=1, choices=["a", "b"])) == 0.0


@pytest.mark.parametrize("value", [0, 1, 0.25, 1.0])
def test_the_rows_own_chance_decides(value):
    assert chance_of(prompt(chance=value, choices=["a", "b"])) == value
    made = mini.make_prompt("run", 1, 3)
    own = Prompt(made.id, made.domain, made.task, made.content, made.answer, {**made.metadata, "chance": value})
    assert chance_of(own) == value


@pytest.mark.parametrize("value", [-0.1, 1.5, "0.5", None, True, float("nan"), [0.5]])
def test_no_probability_is_refused_in_one_line(value):
    with pytest.raises(UserError, match=r"^p: metadata\.chance = .*from 0 to 1") as caught:
        chance_of(prompt(chance=value))
    assert "\n" not in str(caught.value)


def test_multiple_choice():
    assert chance_of(prompt(choices=["a", "b", "c", "d"])) == 0.25
    assert chance_of(prompt(choices={"A": "x", "B": "y", "C": "z"})) == pytest.approx(1 / 3)
    assert [chance_of(prompt(choices=value)) for value in ([], ["a"], "abcd", None, 4)] == [0.0] * 5
    assert chance_of(prompt("gpqa_diamond", domain="stem")) == 0.25
    assert chance_of(prompt("aime24", domain="math")) == 1 / 1000


def test_puzzles_state_what_their_commonest_answer_earns():
    assert {task: chance_of(puzzle(task)) for task in ALL_TASKS} == {task: CHANCE.get(task, 0.0) for task in ALL_TASKS}
    # True or False, and one of three: the commonest is no rarer than the mean.
    assert chance_of(puzzle("game_of_life_halting")) >= 1 / 2
    assert chance_of(puzzle("acre")) >= 1 / 3
    assert chance_of(prompt("acre")) == 0.0  # no entry, so no puzzle


def test_puzzles_whose_entry_tells_how_many_answers_there_are():
    assert chance_of(puzzle("knights_knaves", names=["A", "B", "C"])) == 1 / 8
    assert chance_of(puzzle("needle_haystack", num_statements=57)) == 1 / 57
    assert chance_of(puzzle("path_star", difficulty={"degree": 3})) == 1 / 3
    assert chance_of(puzzle("tsumego", board=[[".", "X"], [".", "."]])) == 1 / 3
    # Two people: one in two is more than the commonest name of larger puzzles.
    assert chance_of(puzzle("zebra_puzzles", difficulty={"num_people": 2})) == 1 / 2
    assert chance_of(puzzle("zebra_puzzles", difficulty={"num_people": 9})) == CHANCE["zebra_puzzles"]
    assert not set(ANSWERS) - set(ALL_TASKS)
    assert not set(TASK_CHANCE) & set(ALL_TASKS)


@pytest.mark.parametrize("task", ANSWERS)
@pytest.mark.parametrize("junk", [None, -3, True, "x", [], {}, ["a", 3], {"degree": "x"}])
def test_broken_entries_state_nothing(task, junk):
    """Never an error: whether a row can be judged is its verifier's question."""
    names = ("names", "num_statements", "difficulty", "board")
    found = chance_of(puzzle(task, **dict.fromkeys(names, junk)))
    assert found in (CHANCE.get(task, 0.0), 1 / 4)  # two names
    assert chance_of(prompt(task, entry={"metadata": junk})) == CHANCE.get(task, 0.0)
    assert chance_of(prompt(task, entry=junk)) in (0.0, CHANCE.get(task, 0.0))
