"""Stage 3, rewards: a right answer to a stored puzzle: the library's own, or one found where it has none."""

import collections
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from prorl.rewards.puzzles.moves import rush_hour_cars, slid
from prorl.rewards.puzzles.texts import Entry

_MAX_POSITIONS = 400_000
_RUSH_EXIT = 16

Cars = tuple[tuple[int, ...], ...]


def example_answer(task: str, entry: Entry) -> str | None:
    """The text of a right answer; None where none was found."""
    if task in _FOUND:
        return _FOUND[task](entry)
    answer = entry["answer"]
    return answer if isinstance(answer, str) else None


def _solve_boxnet(entry: Entry) -> str | None:
    """Each box by itself: rows first, then columns, then into a target of its own; None where there are too few."""
    state: dict[str, list[str]] = entry["metadata"]["initial_state"]
    targets = [(thing.removeprefix("target_"), place) for place in state for thing in state[place]]
    plans: list[dict[str, str]] = []
    for place, things in state.items():
        for box in (thing for thing in things if thing.startswith("box_")):
            color = box.removeprefix("box_")
            goal = next((square for name, square in targets if name == color), None)
            if goal is None:
                return None
            targets.remove((color, goal))
            for here, there in itertools.pairwise(_way(place, goal)):
                plans.append({_agent(here): f"move({box}, square[{', '.join(there.split('_'))}])"})
            plans.append({_agent(goal): f"move({box}, target_{color})"})
    return json.dumps(plans)


def _agent(place: str) -> str:
    return f"Agent[{', '.join(place.split('_'))}]"


def _way(place: str, goal: str) -> Iterator[str]:
    """Squares from one to the other, both included."""
    (row, column), (goal_row, goal_column) = (map(float, name.split("_")) for name in (place, goal))
    yield place
    while (row, column) != (goal_row, goal_column):
        if row != goal_row:
            row += 1.0 if goal_row > row else -1.0
        else:
            column += 1.0 if goal_column > column else -1.0
        yield f"{row}_{column}"


def _solve_rush_hour(entry: Entry) -> str | None:
    """Breadth first; None where the search grows too large."""
    board: str = entry["metadata"]["board_config"]
    cars = rush_hour_cars(board)
    walls = frozenset(place for place, mark in enumerate(board) if mark == "x")
    start: Cars = tuple(cars.values())
    came_from: dict[Cars, tuple[Cars, str]] = {}
    queue = collections.deque([start])
    seen = {start}
    while queue and len(seen) < _MAX_POSITIONS:
        position = queue.popleft()
        if position[0][0] == _RUSH_EXIT:
            return _moves_to(position, start, came_from)
        for number, sign, moved in _next_positions(position, walls):
            if moved not in seen:
                seen.add(moved)
                came_from[moved] = (position, f"{chr(ord('A') + number)}{sign}")
                queue.append(moved)
    return None


def _next_positions(position: Cars, walls: frozenset[int]) -> Iterator[tuple[int, str, Cars]]:
    taken = walls.union(*position)
    for number, cells in enumerate(position):
        for sign in "+-":
            moved = slid(cells, sign == "+")
            entered = set(moved) - set(cells)
            if -1 not in entered and not entered & taken:
                yield number, sign, (*position[:number], moved, *position[number + 1 :])


def _moves_to(position: Cars, start: Cars, came_from: dict[Cars, tuple[Cars, str]]) -> str:
    steps: list[str] = []
    while position != start:
        position, move = came_from[position]
        steps.append(move)
    return " ".join(f"{move}{sum(1 for _ in same)}" for move, same in itertools.groupby(reversed(steps)))


def _undo_scramble(entry: Entry) -> str:
    """The library solves cubes of three layers only."""
    moves = reversed(entry["metadata"]["scramble_moves"].split())
    return " ".join(move.removesuffix("'") if move.endswith("'") else f"{move}'" for move in moves)


def _stored(key: str) -> Callable[[Entry], Any]:
    return lambda entry: entry["metadata"][key]


_FOUND: dict[str, Callable[[Entry], str | None]] = {
    "boxnet": _solve_boxnet,
    "graph_color": lambda entry: json.dumps(entry["metadata"]["possible_answer"]),
    "propositional_logic": _stored("example_answer"),
    "rubiks_cube": _undo_scramble,
    "rush_hour": _solve_rush_hour,
}
