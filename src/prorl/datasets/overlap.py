"""Stage 1, data sets: which rows say the same: duplicates, and training rows that overlap evaluation suites.

A row overlaps a suite that shares 13 words in a row with it. Runs of words that stand in several problems of a suite
are its boilerplate and prove nothing. Generated puzzles share their wording, so they are compared as a whole.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prorl.config import Source
from prorl.datasets.wording import without_ending
from prorl.prompts.sources import read_rows
from prorl.prompts.suites import is_generated
from prorl.records import Prompt

NGRAM = 13
"""Words; as in the decontamination of GPT-3 (arXiv 2005.14165, appendix C)."""
BOILERPLATE_PROBLEMS = 4
"""A run of words in this many problems of a suite is no evidence."""
MAX_EXAMPLES = 20
_WORD = re.compile(r"\w+")


def words_of(prompt: Prompt) -> list[str]:
    """The problem's words in small letters, without the instruction that ends it."""
    return _WORD.findall(unicodedata.normalize("NFKC", without_ending(prompt.text)).casefold())


def ngrams(words: Sequence[str]) -> Iterator[bytes]:
    """A key for each run of 13 words; of a shorter text for the whole of it."""
    if 0 < len(words) <= NGRAM:
        yield _digest(" ".join(words))
    for start in range(len(words) - NGRAM + 1 if len(words) > NGRAM else 0):
        yield _digest(" ".join(words[start : start + NGRAM]))


def is_compared_whole(prompt: Prompt) -> bool:
    """Whether its wording says nothing: a puzzle, or a problem of a generator."""
    return prompt.domain == "logic" or is_generated(prompt)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


class Duplicates:
    """The texts that have been seen."""

    def __init__(self) -> None:
        self._exact: set[bytes] = set()
        self._normalised: set[bytes] = set()

    def kind_of(self, prompt: Prompt) -> str:
        """`exact duplicate`, `near duplicate` (but for case, blanks and width of letters) or nothing; remembers it."""
        text = prompt.text
        exact = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        # In a puzzle the case of a letter and the number of blanks may be the problem.
        plain = text if is_compared_whole(prompt) else " ".join(unicodedata.normalize("NFKC", text).casefold().split())
        normalised = hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        kind = "exact duplicate" if exact in self._exact else "near duplicate" if normalised in self._normalised else ""
        self._exact.add(exact)
        self._normalised.add(normalised)
        return kind


@dataclass(slots=True)
class Overlaps:
    """The runs of words of suites, and how many rows had one of them."""

    suites: dict[bytes, str] = field(default_factory=dict)
    whole: dict[bytes, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add_suite(self, name: str, prompts: Iterable[Prompt]) -> None:
        """Take in the problems of a suite."""
        problems_with: Counter[bytes] = Counter()
        for prompt in prompts:
            self.whole.setdefault(_digest(" ".join(prompt.text.split())), name)
            if not is_compared_whole(prompt):
                problems_with.update(set(ngrams(words_of(prompt))))
        for key, problems in problems_with.items():
            if problems < BOILERPLATE_PROBLEMS:
                self.suites.setdefault(key, name)

    def suite_of(self, prompt: Prompt) -> str:
        """The name of a suite that the row overlaps, which is counted; empty where there is none."""
        name = self.whole.get(_digest(" ".join(prompt.text.split())), "")
        if not name and not is_compared_whole(prompt) and self.suites:
            name = next((self.suites[key] for key in ngrams(words_of(prompt)) if key in self.suites), "")
        if name:
            self.counts[name] += 1
            found = self.examples.setdefault(name, [])
            if len(found) < MAX_EXAMPLES:
                found.append(prompt.id)
        return name


def read_overlaps(files: Sequence[Path]) -> Overlaps:
    """The problems of prepared files, each under its file's name."""
    overlaps = Overlaps()
    for file in files:
        overlaps.add_suite(file.stem, read_rows(Source(source=str(file))))
    return overlaps
