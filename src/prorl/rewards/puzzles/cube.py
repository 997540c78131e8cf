"""Stage 3, rewards: a Rubik's cube of any size, as stickers that moves permute. Knows the moves, finds no solution."""

import functools
import re

from prorl.rewards.puzzles.texts import Entry

_MOVE = re.compile(r"([1-9]?)([UDLRFB])(w?)('?)([1-3]?)|([MESXYZ])('?)([1-3]?)", re.ASCII)
_MAX_MOVES = 2000
_FACES = {"R": (0, 1), "L": (0, -1), "U": (1, 1), "D": (1, -1), "F": (2, 1), "B": (2, -1)}
"""Axis (0 to the right, 1 up, 2 to the front) and side of each face, which turns clockwise as seen from there."""
_INNER = {"M": "L", "E": "D", "S": "F"}
_WHOLE = {"X": "R", "Y": "U", "Z": "F"}

Vector = tuple[int, int, int]
Sticker = tuple[Vector, Vector]
"""The place of a piece, each coordinate from -(size - 1) to size - 1 in steps of 2, and where the sticker looks to."""


def rubiks_cube(entry: Entry, answer: str) -> float:
    """Solved after the scramble and the answer, however the cube is held."""
    facts, moves = entry["metadata"], answer.split()
    size = facts["cube_size"]
    colors = [looks for _, looks in _stickers(size)]
    if len(moves) > _MAX_MOVES:
        return 0.0
    for move in (*facts["scramble_moves"].split(), *moves):
        source = _turn(size, move)
        if source is None:
            return 0.0
        colors = [colors[place] for place in source]
    seen = {(looks, color) for (_, looks), color in zip(_stickers(size), colors, strict=True)}
    return float(len(seen) == len(_FACES))


@functools.cache
def _stickers(size: int) -> tuple[Sticker, ...]:
    span = range(1 - size, size, 2)
    stickers = []
    for axis, side in _FACES.values():
        for first in span:
            for second in span:
                place, looks = [first, second], [0, 0]
                place.insert(axis, side * (size - 1))
                looks.insert(axis, side)
                stickers.append(((place[0], place[1], place[2]), (looks[0], looks[1], looks[2])))
    return tuple(stickers)


@functools.lru_cache(maxsize=512)
def _turn(size: int, move: str) -> tuple[int, ...] | None:
    """From which place each place takes its sticker; None for what is no move of this cube."""
    match = _MOVE.fullmatch(move)
    if match is None:
        return None
    layer, face, wide, reverse, count, special, special_reverse, special_count = match.groups("")
    if special:
        face, reverse, count = {**_INNER, **_WHOLE}[special], special_reverse, special_count
        depths = range(size) if special in _WHOLE else range(1, size - 1)
    else:
        last = int(layer) if layer else 1 + bool(wide)
        depths = range(0 if wide else last - 1, last)
    if depths.stop > size:
        return None
    axis, side = _FACES[face]
    planes = {side * (size - 1 - 2 * depth) for depth in depths}
    quarters = int(count or 1) * (-side if reverse else side) % 4
    places = {sticker: number for number, sticker in enumerate(_stickers(size))}
    source = list(range(len(places)))
    for (place, looks), number in places.items():
        if place[axis] in planes:
            target = (_rotated(place, axis, quarters), _rotated(looks, axis, quarters))
            source[places[target]] = number
    return tuple(source)


def _rotated(vector: Vector, axis: int, quarters: int) -> Vector:
    """Quarter turns, clockwise as seen from the positive end of the axis."""
    turned = list(vector)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    for _ in range(quarters):
        turned[first], turned[second] = turned[second], -turned[first]
    return turned[0], turned[1], turned[2]
