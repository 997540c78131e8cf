"""Where a verdict differs from the library's: the cases that the library pays for, worked out by hand."""

import pytest

from prorl.records import Prompt
from prorl.rewards.puzzles.tasks import PATCHES
from prorl.rewards.puzzles.verdict import judge


def _value(task: str, oracle: str | None, answer: str, **metadata: object) -> float:
    entry = {"question": "", "answer": oracle, "metadata": metadata}
    return judge(Prompt("", "logic", task, "", "", {"task": task, "entry": entry}), answer).value


LATIN = {"puzzle": [[1, 0, 0, 4], [0] * 4, [0] * 4, [0] * 4]}
LATIN["solution"] = [[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
GRID = "1 2 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 1"
# Fourteen blank cells; the first is wrong here: 2 * 13 / 14 - 1 = 6 / 7, and 0.9 of it.
NEARLY = "1 9 3 4\n3 4 1 2\n2 1 4 3\n4 3 2 1"
COPIED = "1 1 1 4\n1 1 1 1\n1 1 1 1\n1 1 1 1"
BOARD = [["_", "Q", "_", "_"], ["_"] * 4, ["_"] * 4, ["_"] * 4]
QUEENS = "_ Q _ _\n_ _ _ Q\nQ _ _ _\n_ _ Q _"
OTHER_QUEENS = "_ _ Q _\nQ _ _ _\n_ _ _ Q\n_ Q _ _"
BOXES = {"0.5_0.5": ["box_red", "box_blue"], "0.5_1.5": ["target_red"], "1.5_0.5": ["target_blue"]}
RED = '{"Agent[0.5, 0.5]": "move(box_red, square[0.5, 1.5])"}, {"Agent[0.5, 1.5]": "move(box_red, target_red)"}'
# A (2 cells in row 2) must pass the column of B, which stands in rows 2 and 3 of column 2 and is free to go down.
CARS = "ooooooooooooAABoooooBooooooooooooooo"
BUTTONS = [
    {"name": "A", "type": "add", "value": 2, "active_state": "any"},
    {"name": "B", "type": "subtract", "value": 1, "active_state": "green"},
]
LOCK = {"buttons": BUTTONS, "initial_state": "red", "initial_value": 0, "target_value": 4, "solution_path": ["A", "A"]}
KNIGHTS = {
    "names": ["Ann", "Bob"],
    "knight_knave_terms": {"knight": "saint", "knave": "sinner"},
    "solution": [True, False],
}
JUGS = {"puzzle": {"jug_capacities": [3, 5], "target": 2}}
SWAP = {
    "board": {"A1": ["B1"], "B1": ["A1", "C1"], "C1": ["B1"]},
    "pieces": {"A1": "w", "B1": None, "C1": "B"},
    "start_turn": "w",
    "solution": [],
    "is_possible": True,
}
HANOI = {"num_disks": 1, "num_pegs": 3, "start_peg": 1, "target_peg": 3, "solution_length": 1}
COLORS = {
    "puzzle": {"vertices": [0, 1], "edges": [[0, 1]], "color_options": [1, 2]},
    "possible_answer": {"0": 1, "1": 2},
}
SUM = {"words_letters": ["A", "A"], "result_letters": "B"}
LOGIC = {"premises": ["(P ∧ Q)", "R"], "variables": ["P", "Q", "R"], "example_answer": "(P ↔ R)"}
INTEGRAL = {"integrand": "2*exp(-x - 20)", "variable": "x"}
CUBE = {"cube_size": 3, "scramble_moves": "R U"}
RADIUS = {"task_type": "incircle_radius"}
NUMBERS = {"numbers": [7, 4, 4, 1]}
WORDS = {"start_word": "COLD", "end_word": "CORN"}

CASES = [
    ("advanced_geometry", "1.186", RADIUS, {"1.186": 1, "1.1861": 1, "1.190": 0.5, "1.2": 0, "x": 0, "nan": 0}),
    ("advanced_geometry", "126.87°", {"task_type": "angle_measure"}, {"126.87": 1, "126.869897": 1, "126.9": 0}),
    ("advanced_geometry", "(7.234, -4.131)", {"task_type": "orthocenter"}, {"(7.2336, -4.1308)": 1, "7.2,-4.1": 0}),
    ("arc_agi", "1 2\n3 4", {}, {"1 2 \n3  4": 1, "1 2": 0, "": 0, "1 2 3 4": 0}),
    ("rearc", "1 2", {}, {"1 2": 1, "0": 0}),
    ("binary_matrix", "0 1\n1 0", {},
     {"0 1\n1 0": 1, "[[0, 1], [1, 0]]": 0.1, "[[0, 1], [1, int('0')]]": 0, "0 1 1 0": 0}),
    ("spiral_matrix", "1 2 3", {}, {"1 2 3": 1, "[1, 2, 3]": 0.1, "[1, 2] + [3]": 0, "1 2": 0}),
    ("string_insertion", "ABC", {}, {"ABC": 1, "['A', 'B', 'C']": 0.1, "list('ABC')": 0}),
    ("boxnet", None, {"initial_state": BOXES}, {f"[{RED}]": 0.5, "[]": 0, "{}": 0, "7": 0, '[{"a": 1}]': 0}),
    ("calendar_arithmetic", "Friday", {}, {"friday": 1, "Monday": 0}),
    ("calendar_arithmetic", "20", {}, {"20": 1, "19": 0}),
    ("codeio", '{"a": 1, "b": 2}', {}, {'{"b": 2, "a": 1}': 1, '{"a": 1}': 0, "{}": 0}),
    ("coin_flip", "0.0009765625", {}, {"1/1024": 1, "0.000977": 1, "0.001": 0, "0": 0, "1e999": 0, "1/0": 0}),
    ("coin_flip", "0.9995117188", {}, {"2047/2048": 1, "1": 0}),
    ("color_cube_rotation", "pink", {}, {"Pink": 1, "red": 0}),
    ("complex_arithmetic", "4.0 - 7.0i", {}, {"4 - 7i": 1, "(4-7j)": 1, "4 - 6i": 0, "nan": 0, "4": 0, "-7i": 0}),
    ("complex_arithmetic", "1.00i", {}, {"i": 1, "0+1i": 1, "1": 0, "-i": 0, "": 0}),
    ("countdown", "", {"numbers": [2, 3], "target": 6},
     {"3*2": 1, "(2)*3": 1, "6": 0, "2+3": 0, "2*3*1": 0, "2**3": 0}),
    ("puzzle24", "", NUMBERS, {"(7*4 - 4)*1": 1, "8*3*1*1": 0, "24": 0, "4/0+7+1-4": 0}),
    ("cryptarithm", "", SUM, {"A=1,B=2": 1, "A=4, B=8": 1, "A=1,B=3": 0, "A=0,B=0": 0, "A=1": 0, "A=1,B=2,C=3": 0}),
    ("cryptarithm", "", {"words_letters": ["A", "B"], "result_letters": "C"}, {"A=1,B=3,C=4": 1, "A=2,B=2,C=4": 0}),
    ("decimal_arithmetic", "0.00001", {"decimal_places": 3}, {"0.00001": 1, "0": 0}),
    ("decimal_arithmetic", "25.413", {"decimal_places": 3}, {"25.4131": 1, "25.415": 0}),
    # Ten characters: nine right are 2 * 9 / 10 - 1.
    ("emoji_mystery", "abcdefghij", {}, {"abcdefghix": 0.8, "abcdexxxxx": 0, "abcdefghi": 0}),
    ("figlet_font", "HELLO", {}, {"hello": 1, "hellx": 0.6, "hexxx": 0, "hello world": 0}),
    ("fraction_simplification", "$\\frac{1}{2}$", {"simplified_numerator": 1, "simplified_denominator": 2},
     {"1/2": 1, "\\dfrac{1}{2}": 1, "2/4": 0, "one half": 0}),
    ("futoshiki", GRID, LATIN, {GRID: 1, NEARLY: 0.9 * 6 / 7, COPIED: 0}),
    ("sudoku", GRID, LATIN, {GRID: 1, GRID.replace(" ", ""): 0.9, NEARLY: 0.9 * 6 / 7, COPIED: 0}),
    ("mini_sudoku", GRID, LATIN, {GRID: 1, COPIED: 0, f"{GRID}\n{GRID}": 0}),
    ("game_of_life", "[[0, 1], [0, 0]]", {}, {"[[0,1],[0,0]]": 1, "[[0,0],[0,0]]": 0, "{}": 0}),
    ("game_of_life_halting", "False", {}, {"False": 1, "True": 0, "x": 0, "0": 0}),
    ("graph_color", None, COLORS, {'{"0": 2, "1": 1}': 1, '{"0": 1, "1": 1}': 0, "{}": 0, '{"0": true, "1": 2}': 0}),
    ("group_anagrams", '[["ab", "ba"], ["c"]]', {}, {'[["c"], ["ba", "ab"]]': 1, "[]": 0, '[["ab", "ba", "c"]]': 0}),
    ("gsm_symbolic", "1687.5", {}, {"$1,687.50": 1, "1687.5 or 3": 0, "12": 0}),
    ("intermediate_integration", "-2*exp(-x - 20) + C", INTEGRAL,
     {"-2*exp(-x - 20)": 1, "7 - 2*exp(-(x + 20)) + C": 1, "C": 0, "0": 0, "Integral(2*exp(-x - 20), x)": 0,
      "x": 0, "2*exp(-x - 20)": 0, "1e30*x - 1e30*x": 0, "-2*exp(-x - 20) + 99999999*x - 99999999*x": 0}),
    ("simple_integration", "x**2 + C", {"integrand": "2*x", "variable": "x"},
     {"x**2": 1, "x*x + 3 + C": 1, "x**2 + C*x": 0, "y**2": 0, "9**9**9**9": 0, "x**2 + 0.001*x": 0}),
    # Multiplied out, rounding leaves nothing of the derivative next to the root: that point must not count.
    ("simple_integration", "", {"integrand": "(x - 1.743)**4", "variable": "x"},
     {"x**5/5 - 1.743*x**4 + 2*1.743**2*x**3 - 2*1.743**3*x**2 + 1.743**4*x": 1, "(x - 1.743)**5/5": 1,
      "x**5/5 - 1.743*x**4 + 2*1.743**2*x**3 - 2*1.743**3*x**2 + 1.743**3*x": 0}),
    ("jugs", "", JUGS,
     {'["fill B", "pour B->A"]': 1, '["fill B", "pour B->A", "empty B"]': 0, "[]": 0, '["fill C"]': 0}),
    ("knight_swap", "", SWAP, {"[]": 0, '["w,A1,B1"]': 0, "No": 0}),
    ("knights_knaves", "", KNIGHTS,
     {"Ann is a saint, and Bob is a sinner.": 1, "Bob is a sinner and Ann is a saint": 1,
      "Ann is a saint, and Bob is a saint": 0, "Ann is a saint. Ann is a sinner. Bob is a sinner": 0}),
    ("letter_jumble", "the cat sat on", {"scrambled_words": ["the", "tac", "ast", "on"]},
     {"the cat sat on": 1, "the tac ast on": 0, "the cat ast on": 0, "a cat sat on": 0}),
    ("n_queens", "", {"puzzle": BOARD}, {QUEENS: 1, OTHER_QUEENS: 0, QUEENS.replace("Q", "_"): 0,
     str([line.split() for line in QUEENS.split("\n")]): 0.5, QUEENS + "\n" + QUEENS: 0}),
    ("number_sorting", "['1.0', '2.5']", {}, {"['1.0', '2.5']": 1, '["1", "2.50"]': 1, "['1.9', '2.6']": 0, "[]": 0}),
    ("palindrome_generation", "", {"letters": ["a", "b", "a"]}, {"aba": 1, "aca": 0, "aab": 0, "a": 0}),
    ("polynomial_equations", "-1.5, 0.3333", {}, {"0.33333, -1.5": 1, "0": 0, "-1.5": 0, "-1.5, 0.35": 0, "-1.5,x": 0}),
    ("polynomial_equations", "", {}, {"": 1, '""': 1, "none": 0, "0": 0}),
    ("polynomial_multiplication", "x**2 - 1", {},
     {"x*x + 2*x - 2*x - 1": 1, "(x - 1)*(x + 1)": 0, "x**2": 0, "2*(x**2 - 1)/2": 1}),
    ("polynomial_multiplication", "x**2 + x", {}, {"x + x**2": 1, "x*(x + 1)": 0, "(x + 1)*x": 0}),
    ("pool_matrix", "1.5 2.0", {}, {"1.50 2": 1, "1.4 2.0": 0, "nan nan": 0, "1.5\n2.0": 0}),
    ("power_function", "8.05544726e-06", {}, {"8.06e-6": 1, "8.05e-6": 0, "x": 0, "0": 0, "nan": 0}),
    ("prime_factorization", "2 × 2 × 3", {},
     {"3 × 2 × 2": 1, "4 × 3": 0.5, "12": 0, "1 × 12": 0, "abc": 0, "5 × 7": 0}),
    ("propositional_logic", None, LOGIC,
     {"(P ↔ R)": 1, "(P ∧ R)": 1, "P": 0, "P ∨ ¬P": 0, "(P ∧ Q)": 0, "¬P": 0, "word": 0, "S": 0, "P ∧": 0, "P Q": 0,
      "(P ∧ (Q ∧ R": 0, "¬" * 500 + "P": 0}),
    ("quantum_lock", "A → A", LOCK, {"A → A": 1, "a, a": 1, "A A B A": 0, "B → A → A": 0.5, "Anagram": 0, "CAB": 0}),
    ("rectangle_count", "6", {}, {"6": 1, "7": 0, "5": 0}),
    ("rubiks_cube", None, CUBE, {"U' R'": 1, "U U U R R R": 1, "U": 0, "": 0, "123456789": 0, "U' R' x9": 0}),
    ("rush_hour", None, {"board_config": CARS},
     {"B+2 A+4": 1, "B+1 A+9": 1, "A+4": 0, "A+1 B+2 A+4": 0, "B-3 B+5 A+4": 0, "x": 0}),
    # Five words: three in place are 2 * 3 / 5 - 1.
    ("sentence_reordering", "We all go there now", {},
     {"we all go there now": 1, "We all go now there": 0.2, "We all go there, now": 0, "now We go all there": 0}),
    ("spell_backward", "tac", {}, {"TAC": 1, "tab": 0}),
    ("time_intervals", "67 days, 01:04:00", {}, {"67 days, 01:04": 1, "67 days, 01:03:00": 0, "67 days": 0}),
    ("time_intervals", "01:45:29.840", {}, {"01:45:29.84": 1, "01:45:30": 0, "99": 0, "": 0}),
    ("tower_of_hanoi", "", HANOI, {"Move disk 1 from Peg 1 to Peg 3": 1, "Move disk 1 from Peg 1 to Peg 2": 0,
     "Move disk 1 from Peg 1 to Peg 2\nMove disk 1 from Peg 2 to Peg 3": 0.5}),
    ("tsumego", "D5", {}, {"d5": 1, "D4": 0}),
    ("word_ladder", "", WORDS, {"COLD,CORD,CORN": 1, "COLD,COLN,CORN": 0, "COLD,CORN": 0, "cold, cord, corn": 1}),
    ("word_sorting", "a, b, c, d, e", {},
     {"a,b,c,d,e": 1, "a, b, c, e, d": 0.2, "a, b, c, d, f": 0, "e, d, c, b, a": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("task", "oracle", "metadata", "answers"), CASES, ids=[case[0] for case in CASES])
def test_what_an_answer_is_worth(task, oracle, metadata, answers):
    assert {answer: _value(task, oracle, answer, **metadata) for answer in answers} == pytest.approx(answers)


def test_each_patch_has_a_case():
    assert PATCHES.keys() <= {case[0] for case in CASES}
