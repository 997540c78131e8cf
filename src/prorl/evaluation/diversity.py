"""Stage 7: how many different things a model says to one problem: texts, answers, and what another model said too.

Pure functions of texts and of the digests that verifiers give answers (`records.Score.answer`). They judge nothing and
read no answer themselves.

Every estimate here depends on the number of samples, so that two models are compared at the same number only: the
first n samples of each problem, which an adaptive budget has drawn whatever it saw.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

NO_ANSWER = -1
"""The class of the samples in which no answer was found."""


def answer_class(text: str, answer: str, well_formed: bool) -> str:
    """A name that is equal for equal answers to one problem; empty where there is none.

    The verifier's digest. Where it gives none although it could judge the sample (it reads the text as a whole), the
    digest of the text without the blanks around it.
    """
    if answer or not well_formed:
        return answer
    return hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def answer_classes(
    texts: Sequence[Sequence[str]],
    answers: Sequence[Sequence[str]],
    well_formed: Sequence[Sequence[bool]],
    num_samples: int,
) -> Int[np.ndarray, "P n"]:
    """The answers of the first n samples of each problem, numbered as they appear: 0, 1, ..., and -1 for none.

    Numbers of two problems have nothing to do with one another.
    """
    numbered = np.full((len(texts), num_samples), NO_ANSWER, np.int64)
    for row, problem in zip(numbered, zip(texts, answers, well_formed, strict=True), strict=True):
        assert min(map(len, problem)) >= num_samples, (num_samples, [len(part) for part in problem])
        names: dict[str, int] = {}
        for place in range(num_samples):
            name = answer_class(problem[0][place], problem[1][place], bool(problem[2][place]))
            if name:
                row[place] = names.setdefault(name, len(names))
    return numbered


def answer_entropy(classes: Int[np.ndarray, "P n"]) -> Float[np.ndarray, " P"]:
    """Entropy of each problem's answers in nats; having none is an answer like any other.

    -sum_i (n_i / n) ln(n_i / n) + (m - 1) / (2 n)

    with n_i samples of the i-th of the m answers that were seen. The second term is the correction of Miller (1955)
    and Madow for the bias of the first, which is too small by about (number of possible answers - 1) / (2 n). Where
    there are more possible answers than samples the sum stays too small all the same. It may exceed ln n.
    """
    num_samples = classes.shape[1]
    assert num_samples, classes.shape
    found = np.empty(len(classes))
    for problem, row in enumerate(classes):
        counts = np.unique(row, return_counts=True)[1]
        shares = counts / num_samples
        found[problem] = -(shares * np.log(shares)).sum() + (len(counts) - 1) / (2 * num_samples)
    return found


def distinct_texts(texts: Sequence[Sequence[str]], num_samples: int) -> Float[np.ndarray, " P"]:
    """The share of different texts among the first n samples of each problem: from 1 / n, always the same, to 1."""
    assert all(len(of_problem) >= num_samples > 0 for of_problem in texts), num_samples
    return np.array([len(set(of_problem[:num_samples])) / num_samples for of_problem in texts], np.float64)


def overlap(
    texts: Sequence[Sequence[str]], right: Sequence[Bool[np.ndarray, " n"]], others: Sequence[Sequence[str]]
) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
    """How many of a model's right samples another model said word for word to the same problem, and how many there are.

    Both by problem; it grows with the number of the other model's samples. A text that a model gives twice counts
    twice. The share over problems is the quotient of the sums, where the second is not 0.
    """
    found = np.zeros((2, len(texts)), np.int64)
    for problem, (of_problem, is_right, other) in enumerate(zip(texts, right, others, strict=True)):
        known = set(other)
        chosen = [text for text, counts in zip(of_problem, is_right, strict=True) if counts]
        found[:, problem] = sum(text in known for text in chosen), len(chosen)
    return found[0], found[1]
