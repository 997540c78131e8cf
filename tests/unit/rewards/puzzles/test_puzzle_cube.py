"""The cube turns as the library's does, sticker by sticker, for every size and move that its puzzles use."""

import itertools
import random

import magiccube
import pytest

from prorl.rewards.puzzles.cube import _stickers, _turn, rubiks_cube

FACES = "LRDUBF"
MOVES = [*FACES, "M", "E", "S", "X", "Y", "Z", *(f"{face}w" for face in FACES), *(f"2{face}" for face in FACES)]


def _solved_there(size: int, moves: list[str]) -> bool:
    cube = magiccube.Cube(size)
    cube.rotate(" ".join(moves))
    return cube.is_done()


def _solved_here(size: int, moves: list[str]) -> bool:
    metadata = {"cube_size": size, "scramble_moves": moves[0]}
    return rubiks_cube({"metadata": metadata}, " ".join(moves[1:])) == 1.0


@pytest.mark.parametrize("size", [3, 4, 5])
def test_pairs_of_moves_cancel_as_they_do_in_the_library(size):
    """Every move against every other one three times: only the right direction and layer cancel."""
    for first, second in itertools.product(MOVES[:12] if size > 3 else MOVES, repeat=2):
        if {first[0], second[0]} & set("MES") and size != 3:
            continue
        for moves in ([first, second], [first, f"{second}'"]):
            assert _solved_here(size, moves) == _solved_there(size, moves), moves


def test_slices_and_turns_of_the_whole_cube_agree_with_the_faces():
    """M is R and L' after the cube is turned back, and so on; three-letter identities fix all directions."""
    words = [f"{move}{mark}" for move in (*FACES, *"MESXYZ") for mark in ("", "'")]
    rng = random.Random(1)
    cases = [rng.sample(words, 3) for _ in range(150)] + [
        ["M", "L'", "R"],
        ["R", "M'", "L'", "X'"],
        ["E", "U", "D'", "Y"],
    ]
    agreed = [(_solved_here(3, moves), _solved_there(3, moves)) for moves in cases]
    assert all(here == there for here, there in agreed)
    assert any(here for here, _ in agreed)


@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_scrambles_are_undone_by_their_inverses(size):
    rng = random.Random(size)
    scramble = [
        f"{rng.choice(FACES)}{rng.choice(['', 'w']) if size > 2 else ''}{rng.choice(['', chr(39)])}" for _ in range(30)
    ]
    inverse = [move[:-1] if move.endswith("'") else f"{move}'" for move in reversed(scramble)]
    entry = {"metadata": {"cube_size": size, "scramble_moves": " ".join(scramble)}}
    assert rubiks_cube(entry, " ".join(inverse)) == 1.0
    assert rubiks_cube(entry, " ".join(inverse[:-1])) == 0.0
    assert rubiks_cube(entry, " ".join(f"{move[0]}{move[1:].replace(chr(39), '3') or ''}" for move in inverse)) == 1.0


def test_a_face_turns_its_own_and_its_neighbours_stickers():
    """A quarter turn of a 3x3x3 face moves 8 stickers of its own and 12 of the four sides."""
    moved = [place for place, source in enumerate(_turn(3, "R")) if place != source]
    assert len(moved) == 20
    assert len(_stickers(3)) == 54


@pytest.mark.parametrize("move", ["", "4R", "R4", "RR", "r", "R''", "Q", "123456789", "0R", "2M", "R" * 1000])
def test_what_is_no_move(move):
    assert _turn(3, move) is None
