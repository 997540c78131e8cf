"""The index against Python's own `in`, over a file and back, and with files that are not what they seem."""

import errno
import tracemalloc
from itertools import chain

import numpy as np
import pytest

from prorl.errors import RunFailed, UserError
from prorl.evaluation import suffixes
from prorl.evaluation.suffixes import SuffixIndex


def by_hand(documents, text, longest):
    """Slow twin: one character a unit, so that `in` looks for a run of units within one document."""
    corpus, words = ["".join(map(chr, x)) for x in documents], "".join(map(chr, text))
    return [
        max(n for n in range(min(longest, len(text) - at) + 1) if any(words[at : at + n] in x for x in corpus))
        for at in range(len(text))
    ]


def build(*texts, **options):
    return SuffixIndex.build([[ord(x) for x in text] for text in texts], unit="character", **options)


def lengths(index, *texts, longest=11):
    return [found.tolist() for found in index.match_lengths([[ord(x) for x in text] for text in texts], longest)]


def test_an_example_by_hand():
    """abcab: at the places of xbcabc: nothing, bcab, cab, ab (c), b (c), c."""
    assert lengths(build("abcab"), "xbcabc") == [[0, 4, 3, 3, 2, 1]]


def test_no_match_goes_over_the_end_of_a_document_or_of_a_text():
    index = build("abcd", "efgh")
    assert lengths(index, "cdef") == [[2, 1, 2, 1]]
    assert lengths(index, "ab", "cd", "", "gh") == [[2, 1], [2, 1], [], [2, 1]]


def test_the_longest_that_is_asked_for_cuts():
    index = build("a" * 40)
    assert lengths(index, "a" * 6, longest=4) == [[4, 4, 4, 3, 2, 1]]
    with pytest.raises(AssertionError, match="beyond the 16"):
        lengths(index, "a", longest=17)


def repetitive(rng, alphabet, num_documents):
    """Documents of phrases that come again and again, and one with every unit of the alphabet.

    With A different units the first sort sees 63 // bits of A + 1 numbers: 31 for 2, 7 for 300. So the phrases make
    further rounds necessary, up to the depth.
    """
    phrases = [rng.integers(0, min(alphabet, 3), rng.integers(1, 30)).tolist() for _ in range(4)]
    picks = [rng.integers(0, 4, rng.integers(0, 4)) for _ in range(num_documents)]
    documents = [list(chain.from_iterable(phrases[i] for i in pick)) for pick in picks]
    return [*documents, list(range(alphabet))]


@pytest.mark.parametrize(("alphabet", "depth"), [(1, 16), (2, 5), (2, 40), (3, 40), (300, 7), (300, 16), (300, 50)])
def test_random_corpora_by_the_slow_twin(alphabet, depth, monkeypatch):
    """Blocks of 7 places make the search stop and start again in the midst of a text."""
    monkeypatch.setattr(suffixes, "ROWS", 7)
    rng = np.random.default_rng(alphabet)
    documents = repetitive(rng, alphabet, 12)
    # Runs of the corpus with foreign units between, some outside the alphabet.
    texts = []
    for _ in range(8):
        text = rng.integers(0, alphabet + 2, 3).tolist()
        for _ in range(3):
            document = documents[rng.integers(12)]
            start = int(rng.integers(len(document) + 1))
            text += [*document[start : start + int(rng.integers(60))], int(rng.integers(alphabet + 2))]
        texts.append(text)
    index = SuffixIndex.build(documents, depth=depth)
    for longest in (1, depth // 2, depth):
        found = index.match_lengths(texts, longest)
        assert [x.tolist() for x in found] == [by_hand(documents, text, longest) for text in texts]


@pytest.mark.parametrize(("alphabet", "depth"), [(2, 40), (300, 16), (300, 50), (3000, 16)])
def test_the_order_is_that_of_the_suffixes(alphabet, depth):
    documents = repetitive(np.random.default_rng(alphabet), alphabet, 60)
    index = SuffixIndex.build(documents, depth=depth)
    windows = [tuple(index.text[at : at + depth].tolist()) for at in index.suffixes]
    assert windows == sorted(windows)
    size = sum(len(document) + 1 for document in documents)
    assert sorted(index.suffixes.tolist()) == list(range(size))
    assert index.num_units == size - 61


def test_numbers_from_the_whole_range():
    """0 and the largest token of 32 bits are units like others, and neither is the separator."""
    top = 2**31 - 1
    index = SuffixIndex.build([[0, top, 0], [top]])
    assert [x.tolist() for x in index.match_lengths([[top, 0, 0, top, 1, 0]], 5)] == [[2, 1, 2, 1, 0, 1]]


def test_a_corpus_without_text():
    for documents in ([], [[]], [[], []]):
        with pytest.raises(UserError, match="no text"):
            SuffixIndex.build(documents)
    assert lengths(build("a")) == []
    assert lengths(build("a"), "") == [[]]


def test_a_corpus_of_one_letter_costs_what_another_does():
    """The worst case of a suffix sort: every suffix is like every other. Memory is bounded too: 45 bytes a unit."""
    tracemalloc.start()
    index = build("a" * 300_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The list of the corpus (8 bytes a unit) is the test's own.
    assert peak < (45 + 8) * 300_000
    assert lengths(index, "a" * 100_000, longest=16)[0][:-16] == [16] * (100_000 - 16)


@pytest.fixture
def saved(tmp_path):
    index = build("the quick brown fox", "jumps over", digest="corpus 1", depth=9)
    index.save(tmp_path / "corpus.index")
    return index, tmp_path / "corpus.index"


def load(path, unit="character", digest="corpus 1"):
    return SuffixIndex.load(path, unit=unit, digest=digest)


def test_a_saved_index_is_the_same(saved):
    index, path = saved
    again = load(path)
    for name in ("units", "text", "suffixes"):
        np.testing.assert_array_equal(vars_of(again)[name], vars_of(index)[name])
    assert (again.unit, again.digest, again.depth) == ("character", "corpus 1", 9)
    assert lengths(again, "a brown dog", longest=9) == lengths(index, "a brown dog", longest=9)
    assert isinstance(again.text.base, np.memmap)


def vars_of(index):
    return {"units": index.units, "text": index.text, "suffixes": index.suffixes}


@pytest.mark.parametrize("wanted", [{"unit": "token"}, {"digest": "corpus 2"}])
def test_an_index_of_another_corpus(saved, wanted):
    with pytest.raises(UserError, match="index of another corpus") as error:
        load(saved[1], **wanted)
    assert "\n" not in str(error.value)


def test_every_damage_is_seen(saved):
    """Every third byte but the spaces before the arrays changed by one bit, and lengths cut."""
    _, path = saved
    whole = path.read_bytes()
    spaces = range(whole.index(b"\n", 20) + 1, len(whole) - 4 * (len(saved[0].units) + 2 * 31 + 9))
    for at in set(range(0, len(whole), 3)) - set(spaces):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(UserError, match=r"is damaged|is not an index") as error:
            load(path)
        assert "\n" not in str(error.value)
    for size in [*range(0, len(whole), 17), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"is damaged|is not an index"):
            load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(UserError, match="is damaged"):
        load(path)


def test_files_that_cannot_be_read_or_written(saved, tmp_path, monkeypatch):
    index, _ = saved
    with pytest.raises(UserError, match="cannot be read: No such file"):
        load(tmp_path / "none")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load(tmp_path)

    def full(path, chunks):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(suffixes, "replace_file", full)
    with pytest.raises(RunFailed, match="No space left"):
        index.save(tmp_path / "other")


def test_too_large_a_corpus(monkeypatch):
    monkeypatch.setattr(suffixes, "MAX_UNITS", 1000)
    with pytest.raises(UserError, match="more than 1,000 units"):
        SuffixIndex.build([[1] * 10] * 100)
