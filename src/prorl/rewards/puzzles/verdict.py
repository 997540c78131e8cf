"""Stage 3, rewards: the verifiers of Reasoning Gym's puzzles: finds the answer in a response and judges it.

`verify` reads the form that the prompt asks for, `<answer>...</answer>`; `verify_tolerant` other usual forms as well.
Every task has an own judge: none of the library's scoring runs, nothing of an answer is executed, and each judge
takes milliseconds on any text of 64 KiB. `tasks.py` says where a score differs from the library's.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any

from prorl.records import Prompt, Score
from prorl.rewards.answers import fenced_blocks, final_text, last_answer_tag, last_boxed
from prorl.rewards.functions import TwoStageVerifier, fault
from prorl.rewards.puzzles import boards, cube, formulas, moves, quantities, statements, texts
from prorl.rewards.puzzles.solutions import example_answer
from prorl.rewards.puzzles.tasks import problem_with, task_of
from prorl.rewards.puzzles.texts import Judge

MAX_ANSWER = 1 << 16
"""Characters; every oracle is far shorter."""
_ANSWER_LINE = re.compile(
    r"^[ \t>*#_-]{0,8}(?:(?:the )?(?:final|correct) )?answer(?: is)?[ *_]{0,4}:[*]{0,3}", re.I | re.M
)
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|mathbf|texttt)\{([^{}]*)\}")
_BROKEN = (ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError, StopIteration)
"""What reading an entry of the wrong shape raises."""

JUDGES: dict[str, Judge] = {
    "advanced_geometry": quantities.advanced_geometry,
    "arc_1d": texts.same_lines,
    "arc_agi": texts.same_lines,
    "binary_matrix": texts.same_rows,
    "bitwise_arithmetic": quantities.bitwise_arithmetic,
    "boxnet": moves.boxnet,
    "calendar_arithmetic": texts.same_letters,
    "chain_sum": quantities.equal_number,
    "codeio": texts.same_json,
    "coin_flip": quantities.coin_flip,
    "color_cube_rotation": texts.same_letters,
    "complex_arithmetic": quantities.complex_arithmetic,
    "countdown": formulas.countdown,
    "cryptarithm": statements.cryptarithm,
    "decimal_arithmetic": quantities.decimal_arithmetic,
    "decimal_chain_sum": quantities.equal_number,
    "dice": texts.same_joined,
    "emoji_mystery": texts.emoji_mystery,
    "family_relationships": texts.same_letters,
    "figlet_font": texts.figlet_font,
    "fraction_simplification": quantities.fraction_simplification,
    "futoshiki": boards.latin_square,
    "game_of_life": boards.game_of_life,
    "game_of_life_halting": texts.halting,
    "graph_color": statements.graph_color,
    "group_anagrams": texts.group_anagrams,
    "gsm_symbolic": quantities.gsm_symbolic,
    "intermediate_integration": formulas.integration,
    "jugs": moves.jugs,
    "kakurasu": boards.kakurasu,
    "knight_swap": moves.knight_swap,
    "knights_knaves": statements.knights_knaves,
    "letter_jumble": texts.letter_jumble,
    "list_functions": texts.same_list,
    "manipulate_matrix": texts.same_lines,
    "mini_sudoku": boards.latin_square,
    "modulo_grid": texts.same_lines,
    "n_queens": boards.n_queens,
    "needle_haystack": texts.same_joined,
    "number_format": quantities.number_format,
    "number_sorting": quantities.number_sorting,
    "palindrome_generation": texts.palindrome_generation,
    "palindrome_partitioning": texts.palindrome_partitioning,
    "path_star": texts.same_sequence,
    "polynomial_equations": quantities.polynomial_equations,
    "polynomial_multiplication": formulas.polynomial_multiplication,
    "pool_matrix": quantities.pool_matrix,
    "power_function": quantities.power_function,
    "prime_factorization": quantities.prime_factorization,
    "products": quantities.equal_number,
    "propositional_logic": statements.propositional_logic,
    "puzzle24": formulas.puzzle24,
    "quantum_lock": moves.quantum_lock,
    "rearc": texts.same_lines,
    "rectangle_count": quantities.whole_number,
    "rotate_matrix": texts.same_lines,
    "rubiks_cube": cube.rubiks_cube,
    "rush_hour": moves.rush_hour,
    "sentence_reordering": texts.sentence_reordering,
    "shortest_path": moves.shortest_path,
    "simple_integration": formulas.integration,
    "sokoban": moves.sokoban,
    "spell_backward": texts.same_letters,
    "spiral_matrix": texts.same_sequence,
    "string_insertion": texts.same_characters,
    "sudoku": boards.latin_square,
    "survo": texts.same_lines,
    "time_intervals": quantities.time_intervals,
    "tower_of_hanoi": moves.tower_of_hanoi,
    "tsumego": texts.same_letters,
    "word_ladder": statements.word_ladder,
    "word_sorting": texts.word_sorting,
    "zebra_puzzles": texts.same_joined,
}
"""Tasks whose answer is more than the oracle's very text."""


def judge(prompt: Prompt, answer: str) -> Score:
    """The score of an answer's text. `error` only for an entry that no answer could solve."""
    task, entry = task_of(prompt.metadata, prompt.task), prompt.metadata.get("entry")
    if problem := problem_with(task, entry):
        return fault(problem)
    assert isinstance(entry, Mapping)
    text = answer.strip()
    if len(text) > MAX_ANSWER:
        return Score(0.0, "wrong", f"an answer of over {MAX_ANSWER} characters")
    try:
        value = JUDGES.get(task, texts.same_text)(entry, text)
    except _BROKEN as error:
        if broken := _why_broken(task, entry):
            return fault(broken)
        return Score(0.0, "wrong", f"an answer that cannot be read: {type(error).__name__}")
    if value >= 1.0:
        return Score(1.0, "correct")
    return Score(value, "partial") if value > 0.0 else Score(0.0, "wrong")


def _why_broken(task: str, entry: Mapping[str, Any]) -> str:
    """What reading the entry's own answer raises; empty where the entry is sound."""
    try:
        JUDGES.get(task, texts.same_text)(entry, (example_answer(task, entry) or "").strip())
    except _BROKEN as error:
        return f"metadata.entry of {task}: {type(error).__name__}: {error}"
    return ""


def _extract(prompt: Prompt, response: str, *, tolerant: bool) -> str | Score:
    text = final_text(response)
    if text is None:
        return Score(0.0, "unparsable", "thinking never ended")
    answer = last_answer_tag(text)
    if answer is None and tolerant:
        answer = _other_form(text) or None
    if answer is None:
        return Score(0.0, "unparsable", "no answer" if tolerant else "no <answer>...</answer>")
    return answer.strip()


def _other_form(text: str) -> str:
    r"""The last `\boxed{}`; else the paragraph after the last `Answer:`; the last fenced block; the whole text."""
    boxed = last_boxed(text)
    if boxed is not None:
        return _TEXT_COMMAND.sub(r"\1", boxed).strip()
    *_, last = [None, *_ANSWER_LINE.finditer(text)]
    if last is not None:
        return text[last.end() :].strip().partition("\n\n")[0].removesuffix("**")
    blocks = fenced_blocks(text)
    return blocks[-1][1].strip() if blocks else text.strip()


verify = TwoStageVerifier(functools.partial(_extract, tolerant=False), judge)
verify_tolerant = TwoStageVerifier(functools.partial(_extract, tolerant=True), judge)
