"""Tiny measurements of the shipped base by the command line, and what is in their stores."""

import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from prorl import laboratory
from prorl.cli import main
from prorl.evaluation import drawing

SMALL = ("--task", "sort", "--min-level", 7, "--max-level", 8, "--problems", 2, "--set", "model.threads=1")
"""Four problems, of which the base solves some."""
PROBLEMS = 4
LOGPROB = 6
"""Column of a row."""

DRIVER = """
import os
import sys

import prorl.environment
from prorl.cli import main
from prorl.evaluation import drawing

os.cpu_count = lambda: int(sys.argv[1])
drawing.COMMIT = 64
sys.exit(main(sys.argv[2:]))
"""
"""The command line on a machine of so many cores, with samples written in small parts."""


def driven(cores: int, *arguments: object) -> list[str]:
    """The command of a process of its own."""
    return [sys.executable, "-c", DRIVER, str(cores), *map(str, arguments)]


def rows(folder: Path) -> dict[str, dict[tuple[str, int], tuple]]:
    """By stream and (problem, index): all that the stores of a measurement hold; readable while they are written."""
    found = {}
    query = "SELECT problem.id, sample.* FROM sample JOIN problem ON problem.number = sample.key >> 20"
    for path in sorted((folder / "samples").glob("*.sqlite")):
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
                found[path.stem] = {(id, key & 0xFFFFF): of_it for id, key, *of_it in database.execute(query)}
        except sqlite3.OperationalError:  # made a moment ago, without tables yet
            found[path.stem] = {}
    return found


def assert_same_rows(found: dict, expected: dict) -> None:
    """Equal samples; the log-probability up to float32, for a sample's neighbours in the batch move its rounding."""
    assert found.keys() == expected.keys()
    for name, of_stream in expected.items():
        assert found[name].keys() == of_stream.keys()
        for place, row in of_stream.items():
            other = found[name][place]
            assert (other[:LOGPROB], other[LOGPROB + 1 :]) == (row[:LOGPROB], row[LOGPROB + 1 :])
            assert other[LOGPROB] == pytest.approx(row[LOGPROB], rel=1e-4, abs=1e-4)


def num_rows(folder: Path) -> int:
    return sum(map(len, rows(folder).values()))


def result_of(folder: Path, name: str = "boundary.json") -> dict:
    return json.loads((folder / name).read_text(), parse_constant=pytest.fail)


class Bench:
    """Runs commands in this process, as on a machine with one core; knows what they printed and drew."""

    def __init__(self, monkeypatch, capfd) -> None:
        self._capfd = capfd
        self.drawn = 0
        self.out = self.err = ""
        monkeypatch.setattr(os, "cpu_count", lambda: 1)
        monkeypatch.setattr(laboratory, "draw", self._draw)

    def _draw(self, *arguments, **options) -> int:
        number = drawing.draw(*arguments, **options)
        self.drawn += number
        return number

    def __call__(self, *arguments: object) -> int:
        self._capfd.readouterr()
        self.drawn = 0
        code = main([str(argument) for argument in arguments])
        self.out, self.err = self._capfd.readouterr()
        return code
