"""Stage 3, rewards: puzzles whose answer is a sequence of moves. Plays them by the rules, each in constant time."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from prorl.rewards.puzzles.texts import Entry, json_value

LONGER_WAY = 0.5
"""For a way that arrives, but is not a shortest one."""
_MAX_MOVES = 2000
_HANOI = re.compile(r"Move disk (\d{1,4}) from Peg (\d{1,4}) to Peg (\d{1,4})", re.ASCII)
_CAR = re.compile(r"([A-Z])([+-])(\d{1,2})", re.ASCII)
_BUTTON_BREAK = re.compile(r"\s*(?:→|->|,)\s*|\s+")
_POUR = re.compile(r"(?:(fill|empty) ([A-Z])|pour ([A-Z]) ?-> ?([A-Z]))")
_SQUARE = re.compile(r"\D{0,20}(\d{1,3}\.5), ?(\d{1,3}\.5)\D{0,5}", re.ASCII)
_BOX_MOVE = re.compile(r"move\((box_\w{1,30}), ?(target_\w{1,30}|square\[[\d., ]{1,20}\])\)", re.ASCII)
_STEPS = {"right": (0, 1), "down": (1, 0), "left": (0, -1), "up": (-1, 0)}
_PUSHES = {"R": (0, 1), "D": (1, 0), "L": (0, -1), "U": (-1, 0)}
_RUSH_SIZE, _RUSH_EXIT = 6, 16
"""The primary car's first cell when it stands before the exit."""


def tower_of_hanoi(entry: Entry, answer: str) -> float:
    """The share of the shortest length where it is solved."""
    facts = entry["metadata"]
    pegs: dict[int, list[int]] = {peg: [] for peg in range(1, facts["num_pegs"] + 1)}
    pegs[facts["start_peg"]] = list(range(facts["num_disks"], 0, -1))
    lines = [line.strip() for line in answer.split("\n") if line.strip()]
    for line in lines:
        match = _HANOI.fullmatch(line)
        if match is None:
            return 0.0
        disk, start, end = map(int, match.groups())
        if start not in pegs or end not in pegs or pegs[start][-1:] != [disk]:
            return 0.0
        if pegs[end] and pegs[end][-1] < disk:
            return 0.0
        pegs[end].append(pegs[start].pop())
    solved = len(pegs[facts["target_peg"]]) == facts["num_disks"]
    return min(1.0, facts["solution_length"] / len(lines)) if solved else 0.0


def shortest_path(entry: Entry, answer: str) -> float:
    right = entry["answer"].strip()
    if answer == right:
        return 1.0
    matrix, words = entry["metadata"]["matrix"], answer.split()
    row, column = next((r, c) for r, cells in enumerate(matrix) for c, cell in enumerate(cells) if cell == "*")
    for word in words:
        if word not in _STEPS:
            return 0.0
        row, column = row + _STEPS[word][0], column + _STEPS[word][1]
        if not (0 <= row < len(matrix) and 0 <= column < len(matrix[0])) or matrix[row][column] == "X":
            return 0.0
    if matrix[row][column] != "#":
        return 0.0
    return 1.0 if len(words) == len(right.split()) else LONGER_WAY


def quantum_lock(entry: Entry, answer: str) -> float:
    """Button names; one that the light disables does nothing."""
    facts, names = entry["metadata"], _BUTTON_BREAK.split(answer.upper())
    buttons = {button["name"]: button for button in facts["buttons"]}
    if len(names) > _MAX_MOVES or not set(names) <= buttons.keys():
        return 0.0
    value, light = facts["initial_value"], facts["initial_state"]
    for name in names:
        button = buttons[name]
        if button["active_state"] in (light, "any"):
            value = _pressed(value, button)
            light = "green" if light == "red" else "red"
            if abs(value) > 10**100:
                return 0.0
    if value != facts["target_value"]:
        return 0.0
    return 1.0 if len(names) <= len(facts["solution_path"]) else LONGER_WAY


def _pressed(value: int, button: Mapping[str, Any]) -> int:
    operations = {"add": value + button["value"], "subtract": value - button["value"]}
    return operations.get(button["type"], value * button["value"])


def knight_swap(entry: Entry, answer: str) -> float:
    """The share of the shortest length; `No` where it is impossible."""
    facts = entry["metadata"]
    if not facts["is_possible"] or answer.lower() == "no":
        return float(not facts["is_possible"] and answer.lower() == "no")
    moves = json_value(answer)
    if not isinstance(moves, list) or not all(isinstance(move, str) for move in moves):
        return 0.0
    pieces, turn = dict(facts["pieces"]), facts["start_turn"]
    for move in moves:
        color, _, squares = move.partition(",")
        start, _, end = squares.partition(",")
        if color != turn or pieces.get(start) != color or end not in facts["board"][start] or pieces.get(end):
            return 0.0
        pieces[start], pieces[end] = None, color
        turn = "B" if turn == "w" else "w"
    swapped = {square: {"w": "B", "B": "w"}.get(piece) for square, piece in facts["pieces"].items()}
    return min(1.0, len(facts["solution"]) / len(moves)) if moves and pieces == swapped else 0.0


def jugs(entry: Entry, answer: str) -> float:
    """The target amount stands in a jug after the last move."""
    puzzle, moves = entry["metadata"]["puzzle"], json_value(answer)
    sizes = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", puzzle["jug_capacities"], strict=False))
    if not isinstance(moves, list):
        return 0.0
    amounts = dict.fromkeys(sizes, 0)
    for move in moves:
        match = _POUR.fullmatch(move) if isinstance(move, str) else None
        if match is None:
            return 0.0
        kind, jug, start, end = match.groups()
        if not {name for name in (jug, start, end) if name} <= sizes.keys():
            return 0.0
        if kind:
            amounts[jug] = sizes[jug] if kind == "fill" else 0
        else:
            poured = min(amounts[start], sizes[end] - amounts[end])
            amounts[start] -= poured
            amounts[end] += poured
    return float(puzzle["target"] in amounts.values())


def sokoban(entry: Entry, answer: str) -> float:
    """Steps of the player; one into a wall, or against two boxes, does nothing."""
    rows = [line.split() for line in entry["metadata"]["gamestr"].strip().split("\n")]
    cells = {(r, c): cell for r, row in enumerate(rows) for c, cell in enumerate(row)}
    walls = {place for place, cell in cells.items() if cell == "+"}
    goals = {place for place, cell in cells.items() if cell in "X$%"}
    boxes = {place for place, cell in cells.items() if cell in "@$"}
    row, column = next(place for place, cell in cells.items() if cell in "*%")
    for letter in answer:
        if letter not in _PUSHES:
            return 0.0
        down, right = _PUSHES[letter]
        ahead, beyond = (row + down, column + right), (row + 2 * down, column + 2 * right)
        if ahead in walls or (ahead in boxes and (beyond in walls or beyond in boxes)):
            continue
        if ahead in boxes:
            boxes.remove(ahead)
            boxes.add(beyond)
        row, column = ahead
    return float(boxes == goals)


def rush_hour(entry: Entry, answer: str) -> float:
    """Moves until the primary car stands before the exit; a blocked one is wrong."""
    cars = rush_hour_cars(entry["metadata"]["board_config"])
    free = {place for place, label in enumerate(entry["metadata"]["board_config"]) if label == "o"}
    moves = [_CAR.fullmatch(word) for word in answer.replace(",", " ").split()]
    if any(move is None or move[1] not in cars for move in moves):
        return 0.0
    steps = [(move[1], move[2] == "+") for move in moves if move is not None for _ in range(int(move[3]))]
    for label, forward in steps[:_MAX_MOVES]:
        cells = cars[label]
        moved = slid(cells, forward)
        if not set(moved) - set(cells) <= free:
            return 0.0
        free = (free | set(cells)) - set(moved)
        cars[label] = moved
        if cars["A"][0] == _RUSH_EXIT:
            return 1.0
    return 0.0


def rush_hour_cars(board: str) -> dict[str, tuple[int, ...]]:
    """The cells of each car by the letter it has in the question: labels in order, without gaps."""
    labels = sorted(set(board) - {"o", "x"})
    return {
        chr(ord("A") + place): tuple(cell for cell, mark in enumerate(board) if mark == label)
        for place, label in enumerate(labels)
    }


def slid(cells: tuple[int, ...], forward: bool) -> tuple[int, ...]:
    """A car one step right or down, or left or up; -1 stands for a cell outside the board."""
    step = cells[1] - cells[0]
    row_bound = step == 1
    moved = tuple(cell + (step if forward else -step) for cell in cells)
    inside = [
        0 <= new < _RUSH_SIZE**2 and (not row_bound or new // _RUSH_SIZE == old // _RUSH_SIZE)
        for old, new in zip(cells, moved, strict=True)
    ]
    return tuple(cell if fits else -1 for cell, fits in zip(moved, inside, strict=True))


def boxnet(entry: Entry, answer: str) -> float:
    """The share of boxes that reached their targets; an impossible move is skipped."""
    plans = json_value(answer)
    state = {place: list(things) for place, things in entry["metadata"]["initial_state"].items()}
    total = sum(thing.startswith("box_") for things in state.values() for thing in things)
    if not isinstance(plans, list) or not all(isinstance(plan, dict) for plan in plans):
        return 0.0
    for plan in plans:
        for place, thing, goal in _box_moves(plan):
            things = state.get(place, [])
            if thing not in things:
                continue
            if goal in state:
                things.remove(thing)
                state[goal].append(thing)
            elif goal in things and goal.removeprefix("target_") == thing.removeprefix("box_"):
                things.remove(thing)
                things.remove(goal)
    left = sum(thing.startswith("box_") for things in state.values() for thing in things)
    return (total - left) / total


def _box_moves(plan: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Square, box, and a target or a neighbouring square."""
    for agent, action in plan.items():
        place, move = _square(agent), _BOX_MOVE.fullmatch(action) if isinstance(action, str) else None
        if not place or move is None:
            continue
        goal = _square(move[2]) if move[2].startswith("square") else move[2]
        if goal.startswith("target_") or _distance(place, goal) == 1:
            yield place, move[1], goal


def _square(text: str) -> str:
    """The square's name in the state; empty where the text names none."""
    match = _SQUARE.fullmatch(text)
    return f"{match[1]}_{match[2]}" if match else ""


def _distance(place: str, other: str) -> float:
    if not other:
        return 0.0
    (row, column), (other_row, other_column) = (map(float, name.split("_")) for name in (place, other))
    return abs(row - other_row) + abs(column - other_column)
