"""Diversity of samples: classes of answers, their entropy, different texts, and duplicates between two models."""

import hashlib
import math
import random
from collections import Counter
from itertools import product

import numpy as np
import pytest

from prorl.evaluation.diversity import NO_ANSWER, answer_class, answer_classes, answer_entropy, distinct_texts, overlap


def slow_entropy(row):
    """The same from shares one at a time, with the standard library."""
    counts = Counter(row)
    plug_in = math.fsum(count / len(row) * math.log(len(row) / count) for count in counts.values())
    return plug_in + (len(counts) - 1) / (2 * len(row))


def test_the_class_of_an_answer_is_its_digest_or_that_of_the_whole_text_or_none():
    # The digest counts, whatever the text and the form are: a tolerant reader may have found it.
    assert answer_class("so it is 5", "ab", well_formed=True) == answer_class("5", "ab", well_formed=False) == "ab"
    text = hashlib.blake2b(b"4 2", digest_size=16).hexdigest()
    assert answer_class(" 4 2\n", "", well_formed=True) == answer_class("4 2", "", well_formed=True) == text
    assert answer_class("42", "", well_formed=True) != text
    assert answer_class("4 2", "", well_formed=False) == ""
    assert len(answer_class("\ud800", "", well_formed=True)) == 32  # half a surrogate pair is text too


def test_classes_are_numbered_by_problem_as_they_appear():
    texts = [["x", "y", " x", "z", "left out"], ["a", "b", "c", "d"]]
    answers = [["", "", "", "", ""], ["q", "p", "", "q"]]
    well_formed = [[True, True, True, False, True], [True, True, False, True]]
    # First problem: x is 0, y is 1, x with a blank is 0 again, z was no answer. Second: by digest, q p none q.
    assert answer_classes(texts, answers, well_formed, 4).tolist() == [[0, 1, 0, NO_ANSWER], [0, 1, NO_ANSWER, 0]]
    assert answer_classes(texts, answers, well_formed, 2).tolist() == [[0, 1], [0, 1]]
    with pytest.raises(AssertionError):
        answer_classes(texts, answers, well_formed, 5)
    assert answer_classes([], [], [], 3).shape == (0, 3)


def test_entropy_by_hand():
    entropy = answer_entropy(np.array([[0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 2, 3], [0, 0, -1, -1]]))
    # 3 and 1 of 4: 2 ln 2 - 3/4 ln 3, and one answer more than one: 1/8. All different: ln 4 + 3/8.
    expected = [2 * math.log(2) - 0.75 * math.log(3) + 1 / 8, 0.0, math.log(4) + 3 / 8, math.log(2) + 1 / 8]
    assert entropy == pytest.approx(expected, abs=1e-15)
    assert entropy[1] == 0.0


def test_entropy_agrees_with_a_slow_twin_whatever_the_numbers_of_the_classes():
    rng = random.Random(0)
    rows = [[rng.choice([-1, 0, 1, 2, 7]) for _ in range(9)] for _ in range(50)]
    assert answer_entropy(np.array(rows)) == pytest.approx([slow_entropy(row) for row in rows], abs=1e-14)


def test_the_correction_takes_most_of_the_bias():
    # Three answers with the probabilities 1/2, 1/4, 1/4, eight samples: the mean over all 3^8 outcomes is exact.
    probabilities = np.array([0.5, 0.25, 0.25])
    outcomes = np.array(list(product(range(3), repeat=8)))
    weights = probabilities[outcomes].prod(1)
    corrected = weights @ answer_entropy(outcomes)
    num_seen = np.array([len(set(row)) for row in outcomes.tolist()])
    plug_in = corrected - weights @ (num_seen - 1) / 16
    truth = 1.5 * math.log(2)
    assert weights.sum() == pytest.approx(1.0)
    assert truth - plug_in > 0.12
    assert abs(truth - corrected) < 0.25 * (truth - plug_in)


def test_distinct_texts_are_those_of_the_first_samples():
    texts = [["a", "a", "b", "a"], ["a", " a", "A", "a"], ["a", "a", "a", "a", "b"]]
    assert distinct_texts(texts, 4).tolist() == [2 / 4, 3 / 4, 1 / 4]
    assert distinct_texts(texts, 2).tolist() == [1 / 2, 1.0, 1 / 2]
    with pytest.raises(AssertionError):
        distinct_texts(texts, 5)


def test_overlap_counts_right_samples_that_the_other_model_said_word_for_word():
    trained = [["a", "a", "b", "c"], ["a", "b"], ["a"]]
    right = [np.array([True, True, False, True]), np.array([True, True]), np.array([False])]
    base = [["b", "a"], ["A", "c", "b "], ["a"]]
    # First problem: a twice is known, c is not, b is wrong. Second: none word for word. Third: nothing right.
    found, of = overlap(trained, right, base)
    assert (found.tolist(), of.tolist()) == ([2, 0, 0], [3, 2, 0])
