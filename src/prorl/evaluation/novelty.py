"""Stage 7: how much of the models' texts is not in a reference corpus word for word: an n-gram creativity index.

After Lu et al., arXiv 2410.04265, with verbatim matches only and a corpus that is at hand. It reads the corpus and
compares; it samples nothing, judges no answer, and does not know which texts the caller left out.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from prorl.durable import sha256
from prorl.errors import UserError
from prorl.evaluation.intervals import stratified_interval
from prorl.evaluation.suffixes import SuffixIndex
from prorl.prompts.tables import READERS, BrokenRow, read_table, table_format

MIN_LENGTH, MAX_LENGTH = 5, 11
PLAIN = ".txt"
COLUMN = "text"
Sample = TypeVar("Sample")


def coverage(index: SuffixIndex, tokens: Sequence[int], lengths: Iterable[int]) -> dict[int, float]:
    """For each length L: share of a text's units that lie in a match of at least L units with the corpus, 0 to 1.

    One minus the L-uniqueness of arXiv 2410.04265. A text of fewer than L units has none covered. The text must not
    be empty.
    """
    chosen = sorted(set(lengths))
    return dict(zip(chosen, _shares(index, [tokens], chosen)[0].tolist(), strict=True))


def creativity_index(coverages: Mapping[int, float]) -> float:
    """Sum over the lengths L of the share not covered: 0 for a text that is all copied, at most the number of lengths.

    CI = sum over L of (1 - coverage_L); the area under the L-uniqueness curve of arXiv 2410.04265.
    """
    return math.fsum(1 - share for share in coverages.values())


def novelty(
    texts: Mapping[str, Mapping[str, Sequence[tuple[int, ...]]]],
    index: SuffixIndex,
    *,
    min_length: int = MIN_LENGTH,
    max_length: int = MAX_LENGTH,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Creativity index and coverage of each role's texts, given as role -> problem -> unit sequences of the responses.

    Every problem with a text weighs the same, and within it every text. The 95 % interval is over problems (bootstrap
    of whole problems); absent for one problem. A text without units is left out, and so is a role without texts.
    """
    if not 1 <= min_length <= max_length <= index.depth:
        raise UserError(
            f"lengths {min_length} to {max_length}: must be 1 <= shortest <= longest <= {index.depth}, "
            "the depth of the index"
        )
    lengths = list(range(min_length, max_length + 1))
    roles: dict[str, Any] = {}
    covered: dict[str, Any] = {}
    for role, problems in texts.items():
        kept = {name: [text for text in sequences if text] for name, sequences in problems.items()}
        flat = [text for name in sorted(kept) for text in kept[name]]
        if not flat:
            continue
        problem = np.repeat(np.arange(len(kept)), [len(kept[name]) for name in sorted(kept)])
        roles[role], covered[role] = _of_role(_shares(index, flat, lengths), problem, rng)
        roles[role]["mean_length"] = sum(map(len, flat)) / len(flat)
        covered[role] = dict(zip(map(str, lengths), covered[role], strict=True))
    return {"unit": index.unit, "min_length": min_length, "max_length": max_length, "roles": roles, "coverage": covered}


def _of_role(shares: np.ndarray, problem: np.ndarray, rng: np.random.Generator) -> tuple[dict[str, Any], list[float]]:
    """Summary of shares `[T, K]` of texts that belong to problems `[T]`; and the mean share of each length."""
    means = _problem_means(shares, problem)
    uncovered = (1 - means).sum(axis=1, keepdims=True)
    entry: dict[str, Any] = {"index": float(uncovered.mean()), "num_texts": len(shares), "num_problems": len(means)}
    if len(means) > 1:
        low, high = stratified_interval(uncovered, np.zeros(len(means), dtype=np.int64), rng=rng)
        entry["interval"] = [float(low[0]), float(high[0])]
    return entry, means.mean(axis=0).tolist()


def _problem_means(values: np.ndarray, problem: np.ndarray) -> np.ndarray:
    """Means of values `[T, K]` over the entries of each problem, `[P, K]`; `problem` `[T]` is ascending."""
    _, starts, counts = np.unique(problem, return_index=True, return_counts=True)
    means: np.ndarray = np.add.reduceat(values, starts, axis=0) / counts[:, None]
    return means


def _shares(index: SuffixIndex, texts: Sequence[Sequence[int]], lengths: Sequence[int]) -> np.ndarray:
    """Covered share of each text at each length, `[T, K]`; time linear in the units of the texts, whatever they are."""
    sizes = np.array([len(text) for text in texts])
    assert sizes.all(), "a text without units has no coverage"
    # One after the other: a match ends within its text, so it covers no unit of the next one.
    found = np.concatenate(index.match_lengths(texts, max(lengths)))
    places = np.arange(len(found))
    starts = np.cumsum(sizes) - sizes
    shares = np.empty((len(texts), len(lengths)))
    for column, length in enumerate(lengths):
        reach = np.maximum.accumulate(np.where(found >= length, places + found, 0))
        shares[:, column] = np.add.reduceat((reach > places).astype(np.int64), starts) / sizes
    return shares


def halves(
    samples: Mapping[str, Sequence[Sample]],
) -> tuple[dict[str, list[Sample]], dict[str, list[Sample]]]:
    """Each problem's samples of even and of odd place.

    Where the corpus is what the base says: index the base's even samples, and ask about the odd ones of every role.
    No sample is then compared with itself, and all roles with the same corpus. Take the halves before wrong answers
    are left out of the questions.
    """
    return ({name: list(x[::2]) for name, x in samples.items()}, {name: list(x[1::2]) for name, x in samples.items()})


def characters(text: str) -> list[int]:
    """Code points: the units of a comparison by characters."""
    return [ord(character) for character in text]


def corpus_documents(path: Path, encode: Callable[[str], Sequence[int]]) -> Iterator[list[int]]:
    """The documents of a reference corpus, encoded: a .txt file is one, a row with `text` of a table is one.

    `path` is a file or a folder, which is searched with what is below it. UserError: a path, file or row that cannot
    be read.
    """
    for file in _corpus_files(path):
        for text in _texts(file):
            yield list(encode(text))


def corpus_digest(path: Path, encoding: str) -> str:
    """Name of a corpus as it is encoded: SHA-256 over `encoding`, the names of its files and their bytes."""
    total = hashlib.sha256(encoding.encode())
    for file in _corpus_files(path):
        try:
            total.update(f"\0{file.relative_to(path) if file != path else file.suffix}\0{sha256(file)}".encode())
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    return total.hexdigest()


def _corpus_files(path: Path) -> list[Path]:
    if path.is_file() and _is_corpus(path):
        return [path]
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and _is_corpus(file)] if path.is_dir() else []
    if not files:
        raise UserError(
            f"reference corpus {path}: must be a file that ends in {PLAIN}, {', '.join(READERS)}, or a folder with "
            "such files; check the path"
        )
    return files


def _is_corpus(path: Path) -> bool:
    return path.suffix.lower() == PLAIN or bool(table_format(path))


def _texts(path: Path) -> Iterator[str]:
    if path.suffix.lower() == PLAIN:
        try:
            yield path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: must be UTF-8 ({error.reason} at byte {error.start}); convert it") from None
        return
    for row in read_table(path):
        if isinstance(row, BrokenRow):
            raise UserError(f"{row.where}: {row.reason}; correct or remove the row")
        text = row.value.get(COLUMN)
        if not isinstance(text, str):
            raise UserError(f"{row.where}: `{COLUMN}` must be a text, not {type(text).__name__}; correct or remove it")
        yield text
