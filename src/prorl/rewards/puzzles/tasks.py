"""Stage 3, rewards: the Reasoning Gym tasks by name: which are trained on, what a stored entry of each must hold.

Names and facts only; judging is `verdict.py`, and the functions behind it. Nothing here imports Reasoning Gym.
"""

import functools
from collections.abc import Mapping
from typing import Any

VERSION = "0.1.25"
"""Of reasoning-gym, whose entries these verifiers read."""

_TRAINING = """
ab advanced_geometry aiw arc_1d arc_agi base_conversion basic_arithmetic bf binary_alternation binary_matrix
bitwise_arithmetic caesar_cipher calendar_arithmetic chain_sum circuit_logic codeio color_cube_rotation
complex_arithmetic count_bits count_primes countdown course_schedule cryptarithm decimal_arithmetic
decimal_chain_sum dice emoji_mystery family_relationships figlet_font fraction_simplification futoshiki
game_of_life gcd graph_color group_anagrams gsm_symbolic intermediate_integration isomorphic_strings jugs
knight_swap knights_knaves largest_island lcm leg_counting letter_counting letter_jumble list_functions
mahjong_puzzle manipulate_matrix maze mini_sudoku n_queens needle_haystack number_filtering number_format
number_sequence number_sorting palindrome_generation palindrome_partitioning polynomial_equations
polynomial_multiplication pool_matrix power_function prime_factorization products propositional_logic quantum_lock
ransom_note rearc rectangle_count rotate_matrix rotten_oranges rubiks_cube rush_hour self_reference
sentence_reordering shortest_path simple_equations simple_geometry simple_integration sokoban spell_backward
spiral_matrix string_insertion string_manipulation string_splitting string_synthesis sudoku syllogism
time_intervals tower_of_hanoi tsumego word_ladder word_sequence_reversal word_sorting zebra_puzzles
"""
TRAINING_TASKS: tuple[str, ...] = tuple(_TRAINING.split())
"""The 96 of the paper: the names of version 0.1.13 without `composite` and `puzzle24`."""

HELD_OUT_TASKS: tuple[str, ...] = (
    "acre",
    "boxnet",
    "coin_flip",
    "game_of_life_halting",
    "kakurasu",
    "modulo_grid",
    "path_star",
    "puzzle24",
    "survo",
)
ALL_TASKS = (*TRAINING_TASKS, *HELD_OUT_TASKS)
ALIASES = {"palindrome": "palindrome_generation"}
"""The name in the paper, and the one in `VERSION`."""

PATCHES: dict[str, str] = {
    "advanced_geometry": "0.01-0.05 for any text: now 0",
    "arc_agi": "0.05 for any board, the empty one included: now 0",
    "binary_matrix": "evaluated the answer as Python: a list of rows is read by an own parser",
    "boxnet": "raised on junk, 0.05 for any JSON: the fraction of boxes delivered, and nothing else",
    "calendar_arithmetic": "paid 0.05-0.1 for any weekday and for a number in the neighbourhood: right or wrong",
    "codeio": "0.01 for any JSON object, and similarity: the same JSON value or 0",
    "coin_flip": "paid for a common prefix, so that 0 averaged 0.97: within 0.1 % of the probability and of its rest",
    "color_cube_rotation": "0.01 for any text: now 0",
    "complex_arithmetic": "nan scored 1.0, a neighbour was paid: the number itself",
    "countdown": "evaluated the answer as Python, 0.05 for any number: + - * / of exactly the given numbers",
    "cryptarithm": "0.01 for any mapping: now 0",
    "decimal_arithmetic": "an absolute tolerance made 0 right for small results: the tolerance shrinks with them",
    "emoji_mystery": "a share of equal characters: only what exceeds half is paid",
    "figlet_font": "0.1 a letter: only what exceeds half is paid",
    "fraction_simplification": "0.01-0.1 for any text and for the given fraction: now 0",
    "futoshiki": "paid for copied cells: only blank ones count, and only what exceeds half",
    "game_of_life": "the share of equal cells, so that an empty board averaged 0.96: the board or 0",
    "game_of_life_halting": "any text scored 1.0: True or False",
    "graph_color": "0.01 for any JSON: now 0",
    "group_anagrams": "0.01 for any JSON: now 0",
    "gsm_symbolic": "read the first number of any text, 0.01 for a wrong one: the answer is one number",
    "intermediate_integration": "evaluated the answer as Python, took 13 s on wrong ones, Integral(...) was right: own "
    "parser, derivatives compared at points",
    "jugs": "right when the target stood in a jug at any time, 0.01 for any JSON: it stands there at the end",
    "knight_swap": "0.05 for no moves: now 0",
    "knights_knaves": "0.65 for calling everybody a knight: right or wrong",
    "letter_jumble": "paid for words that were never scrambled: only scrambled ones count, and what exceeds half",
    "mini_sudoku": "as futoshiki",
    "n_queens": "evaluated the answer as Python: the rules are checked; a list of rows gets half, as it did",
    "number_sorting": "numbers could be off by 1: equal numbers",
    "palindrome_generation": "0.02-0.05 for any text: now 0",
    "polynomial_equations": "paid for closeness, so that 0 averaged 0.36: the same roots to 0.001",
    "polynomial_multiplication": "evaluated the answer as Python: own parser, exact, must be multiplied out",
    "pool_matrix": "0.1 for any matrix of the right shape: now 0",
    "power_function": "0.01 for any text: now 0",
    "prime_factorization": "raised on junk, 0.5 for the number itself: 0.5 for two or more factors that are not prime",
    "propositional_logic": "0.25 for any tautology and most words, raised on nesting, 1.0 for (P or Q) on most items: "
    "an entailed statement, neither a tautology nor a premise, that says something; contradictory premises are refused",
    "puzzle24": "evaluated the answer as Python, any four small numbers were right: as countdown",
    "quantum_lock": "read letters out of any prose: a sequence of buttons",
    "rearc": "as arc_agi",
    "rectangle_count": "paid for closeness: right or wrong",
    "rubiks_cube": "hung on digits, paid for stickers that were in place: solved or not",
    "rush_hour": "skipped blocked moves, so that spam solved puzzles: a blocked move is wrong; 0.01 for any text: 0",
    "sentence_reordering": "0.05 for any text: only what exceeds half is paid, for the same words",
    "spell_backward": "paid a letter in place: right or wrong",
    "spiral_matrix": "evaluated the answer as Python: a list is read by an own parser",
    "string_insertion": "evaluated the answer as Python: a list is read by an own parser; strings of the library's own "
    "settings that stay as they are, 19 of 20, are not drawn",
    "sudoku": "as futoshiki",
    "time_intervals": "paid for closeness: right or wrong",
    "tower_of_hanoi": "0.05 for legal moves that do not solve it: now 0",
    "tsumego": "0.01-0.05 for any text: now 0",
    "word_ladder": "halved for each unknown word, so that nonsense ladders were paid: known words or 0",
    "word_sorting": "a share of the positions: only what exceeds half is paid, for the same words",
}
"""Where the verdict differs from the library's, beyond two rules for all: the text around an answer never earns a part
of the score (it did in 53 tasks: oracle length over answer length), and blanks around it cost nothing."""

NO_ORACLE = frozenset({"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"})
"""Tasks whose `entry["answer"]` is null; `solutions.py` finds an answer."""

_METADATA: dict[str, tuple[str, ...]] = {
    "advanced_geometry": ("task_type",),
    "boxnet": ("initial_state",),
    "countdown": ("numbers", "target"),
    "cryptarithm": ("words_letters", "result_letters"),
    "decimal_arithmetic": ("decimal_places",),
    "fraction_simplification": ("simplified_numerator", "simplified_denominator"),
    "futoshiki": ("puzzle", "solution"),
    "graph_color": ("puzzle", "possible_answer"),
    "intermediate_integration": ("integrand", "variable"),
    "jugs": ("puzzle",),
    "kakurasu": ("row_sums", "col_sums"),
    "knight_swap": ("board", "pieces", "start_turn", "solution", "is_possible"),
    "knights_knaves": ("names", "knight_knave_terms", "solution"),
    "letter_jumble": ("scrambled_words",),
    "mini_sudoku": ("puzzle", "solution"),
    "n_queens": ("puzzle",),
    "palindrome_generation": ("letters",),
    "palindrome_partitioning": ("solution",),
    "propositional_logic": ("premises", "variables", "example_answer"),
    "puzzle24": ("numbers",),
    "quantum_lock": ("buttons", "initial_state", "initial_value", "target_value", "solution_path"),
    "rubiks_cube": ("cube_size", "scramble_moves"),
    "rush_hour": ("board_config",),
    "shortest_path": ("matrix",),
    "simple_integration": ("integrand", "variable"),
    "sokoban": ("gamestr",),
    "sudoku": ("puzzle", "solution"),
    "tower_of_hanoi": ("num_disks", "num_pegs", "start_peg", "target_peg", "solution_length"),
    "word_ladder": ("start_word", "end_word"),
}
"""What a verdict reads of `entry["metadata"]`."""

FAIR_CONSTANT = 0.12
"""Mean score that no constant answer and no copy exceeds, where `CHANCE` does not say more."""

_CHANCE = {
    0.15: "boxnet calendar_arithmetic color_cube_rotation list_functions n_queens power_function",
    0.2: "game_of_life largest_island rectangle_count",
    0.25: "aiw binary_alternation count_bits family_relationships graph_color",
    0.35: "gcd knight_swap number_sequence polynomial_equations rotate_matrix string_manipulation",
    0.4: "propositional_logic shortest_path zebra_puzzles",
    0.45: "letter_counting mahjong_puzzle maze number_format pool_matrix self_reference",
    0.5: "acre rotten_oranges",
    0.6: "course_schedule game_of_life_halting isomorphic_strings ransom_note",
    0.7: "circuit_logic",
    0.75: "syllogism",
}
CHANCE: dict[str, float] = {task: level for level, tasks in _CHANCE.items() for task in tasks.split()}
"""What the best constant answer earns on average, or a part of the question that is copied (the last number of a
sequence, the matrix as it was): few answers are possible, or one is common. No less than any of several draws of 100 to
300 puzzles of the library's own settings showed; the share itself is often 0.1 lower."""


def canonical(task: str) -> str:
    """The task's name in `VERSION`."""
    return ALIASES.get(task, task)


@functools.cache
def _known() -> frozenset[str]:
    return frozenset(ALL_TASKS)


def problem_with(task: str, entry: object) -> str:
    """Why no answer to the entry can be judged; empty where nothing is wrong with it."""
    if task not in _known():
        return f"metadata.task = {task[:40]!r}: not a task of reasoning-gym {VERSION}"
    if not isinstance(entry, Mapping):
        return "metadata.entry: must be an object with question, answer and metadata"
    metadata = entry.get("metadata")
    if not isinstance(metadata, Mapping):
        return "metadata.entry.metadata: must be an object"
    if task not in NO_ORACLE and not isinstance(entry.get("answer"), str):
        return "metadata.entry.answer: must be a text"
    missing = [key for key in _METADATA.get(task, ()) if key not in metadata]
    return f"metadata.entry.metadata.{missing[0]} is missing" if missing else ""


def task_of(metadata: Mapping[str, Any], default: str = "") -> str:
    """The name of a row's task."""
    name = metadata.get("task", default)
    return canonical(name) if isinstance(name, str) else ""
