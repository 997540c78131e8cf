"""Stage 3, rewards: puzzles whose answer is a filled board. Judges it by the rules or by the one solution."""

import re
from collections.abc import Sequence

from prorl.rewards.puzzles.texts import Entry, beyond_half, json_value, quoted_list, words_by_line

SECOND_FORM = 0.5
"""For a right board as a Python list of rows."""
OTHER_LAYOUT = 0.9
"""For the right digits in another layout than the puzzle's."""
_DIGITS = re.compile(r"[1-9]")


def latin_square(entry: Entry, answer: str) -> float:
    """Sudoku and Futoshiki: the digits of the one solution. Cells that were given earn nothing."""
    puzzle, solution = entry["metadata"]["puzzle"], entry["metadata"]["solution"]
    rows = [row for row in (_DIGITS.findall(line) for line in answer.split("\n")) if row]
    if [len(row) for row in rows] != [len(row) for row in solution] or any(map(str.isalpha, answer)):
        return 0.0
    given = [int(cell) for row in rows for cell in row]
    right = [cell for row in solution for cell in row]
    if given == right:
        return 1.0 if _layout(answer) == _layout(entry["answer"]) else OTHER_LAYOUT
    blank = [place for place, cell in enumerate(cell for row in puzzle for cell in row) if cell == 0]
    return OTHER_LAYOUT * beyond_half([str(right[place]) for place in blank], [str(given[place]) for place in blank])


def _layout(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().split("\n")]


def n_queens(entry: Entry, answer: str) -> float:
    """As many queens as rows, those that were given among them, none under attack."""
    puzzle = entry["metadata"]["puzzle"]
    rows, credit = words_by_line(answer), 1.0
    listed = quoted_list(answer)
    if isinstance(listed, list) and all(isinstance(row, list) for row in listed):
        rows, credit = listed, SECOND_FORM
    size = len(puzzle)
    if len(rows) != size or any(len(row) != size or not all(cell in ("_", "Q") for cell in row) for row in rows):
        return 0.0
    queens = [(row, column) for row in range(size) for column in range(size) if rows[row][column] == "Q"]
    kept = all(rows[row][column] == "Q" for row in range(size) for column in range(size) if puzzle[row][column] == "Q")
    lines = [{line(row, column) for row, column in queens} for line in _LINES]
    return credit * (kept and len(queens) == size and all(len(line) == size for line in lines))


_LINES = (
    lambda row, column: row,
    lambda row, column: column,
    lambda row, column: row + column,
    lambda row, column: row - column,
)
"""What two queens must not have in common."""


def kakurasu(entry: Entry, answer: str) -> float:
    """0 and 1 with the weighted sums that were given."""
    row_sums, column_sums = entry["metadata"]["row_sums"], entry["metadata"]["col_sums"]
    rows = words_by_line(answer)
    if any(len(row) != len(column_sums) or not set(row) <= {"0", "1"} for row in rows):
        return 0.0
    return float(
        [_weighted(row) for row in rows] == list(row_sums)
        and [_weighted(column) for column in zip(*rows, strict=True)] == list(column_sums)
    )


def _weighted(cells: Sequence[str]) -> int:
    return sum(place for place, cell in enumerate(cells, 1) if cell == "1")


def game_of_life(entry: Entry, answer: str) -> float:
    """The whole board: most cells are dead in any case."""
    board = json_value(answer)
    return float(board is not None and board == json_value(entry["answer"]))
