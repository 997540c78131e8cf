"""The creativity index by hand, by a slow twin, over problems; and the reading of a reference corpus."""

import json

import numpy as np
import pytest

from prorl.errors import UserError
from prorl.evaluation.novelty import (
    characters,
    corpus_digest,
    corpus_documents,
    coverage,
    creativity_index,
    halves,
    novelty,
)
from prorl.evaluation.suffixes import SuffixIndex
from prorl.prompts.parquet import write_parquet


def index_of(*texts, **options):
    return SuffixIndex.build(map(characters, texts), unit="character", **options)


def rng():
    return np.random.default_rng(0)


def by_hand(documents, text, length):
    """Slow twin of the covered share: mark every n-gram of at least `length` that a document holds."""
    covered = [False] * len(text)
    for size in range(length, len(text) + 1):
        for start in range(len(text) - size + 1):
            if any(text[start : start + size] in document for document in documents):
                covered[start : start + size] = [True] * size
    return sum(covered) / len(text)


def test_an_example_by_hand():
    """Corpus abcdef; of the text abcXdefa: abc, def are matches of 3, a one of 1 (fa is none), X none of any.

    Covered at 1: all but X, 7/8; at 2 and 3: abc and def, 6/8; at 4: nothing. Sum of what is not: 1/8+2/8+2/8+1 = 13/8.
    """
    shares = coverage(index_of("abcdef"), characters("abcXdefa"), range(1, 5))
    assert shares == {1: 7 / 8, 2: 6 / 8, 3: 6 / 8, 4: 0.0}
    assert creativity_index(shares) == 13 / 8


def test_matches_that_overlap_cover_their_union():
    """abcd and cdef, each of 4: all of abcdef is covered at 4, nothing at 5."""
    assert coverage(index_of("abcd", "cdef"), characters("abcdef"), [4, 5]) == {4: 1.0, 5: 0.0}


def test_extremes():
    index = index_of("the same text")
    assert creativity_index(coverage(index, characters("the same text"), range(5, 12))) == 0
    assert creativity_index(coverage(index, characters("0123456789" * 3), range(5, 12))) == 7
    # Nothing of 4 units is covered by a match of 5, even where it stands in the corpus.
    assert coverage(index, characters("same"), [4, 5]) == {4: 1.0, 5: 0.0}


@pytest.mark.parametrize("seed", range(20))
def test_random_texts_by_the_slow_twin(seed):
    draw = np.random.default_rng(seed)
    texts = ["".join(draw.choice(list("abc"), draw.integers(1, 60))) for _ in range(10)]
    corpus, asked = texts[:6], texts[6:]
    index = index_of(*corpus)
    expected = [{length: by_hand(corpus, text, length) for length in range(2, 9)} for text in asked]
    assert [coverage(index, characters(text), range(2, 9)) for text in asked] == expected
    # All texts at once, as one problem: the same, averaged.
    found = novelty(
        {"base": {"p": [tuple(characters(x)) for x in asked]}}, index, min_length=2, max_length=8, rng=rng()
    )
    for length in range(2, 9):
        assert found["coverage"]["base"][str(length)] == pytest.approx(np.mean([x[length] for x in expected]))
    mean = np.mean([creativity_index(shares) for shares in expected])
    assert found["roles"]["base"]["index"] == pytest.approx(mean)


def test_problems_weigh_the_same():
    """Lengths 2 and 3, corpus abc. Problem p: abc and xyz three times, indices 0, 2, 2, 2: mean 3/2. Problem q: abc: 0.

    Mean of the problems 3/4, where the mean of the five texts is 6/5. Covered at both lengths: (1/4 + 1) / 2 = 5/8.
    """
    abc, xyz = tuple(characters("abc")), tuple(characters("xyz"))
    texts = {"base": {"q": [abc], "p": [abc, xyz, xyz, xyz]}, "trained": {"p": [abc]}}
    found = novelty(texts, index_of("abc"), min_length=2, max_length=3, rng=rng())
    base, trained = found["roles"]["base"], found["roles"]["trained"]
    assert (base["index"], base["num_texts"], base["num_problems"], base["mean_length"]) == (0.75, 5, 2, 3.0)
    assert found["coverage"] == {"base": {"2": 0.625, "3": 0.625}, "trained": {"2": 1.0, "3": 1.0}}
    # Two problems: each resample is one of them.
    assert base["interval"] == [0.0, 1.5]
    # Of one problem the spread over problems is unknown.
    assert trained["index"] == 0
    assert "interval" not in trained
    assert (found["unit"], found["min_length"], found["max_length"]) == ("character", 2, 3)
    json.dumps(found, allow_nan=False)


def test_the_interval_is_over_problems_not_texts():
    """40 problems of 50 equal texts each, half of them copied: index 0 or 1. The interval is that of 40 coin flips.

    Standard error sqrt(.25 / 39) = .08: about .5 +- .157. Were the 2,000 texts independent it would be .5 +- .022.
    """
    copied, new = tuple(characters("abcde")), tuple(characters("vwxyz"))
    texts = {"base": {str(p): [copied if p % 2 else new] * 50 for p in range(40)}}
    entry = novelty(texts, index_of("abcde"), min_length=5, max_length=5, rng=rng())["roles"]["base"]
    assert entry["index"] == pytest.approx(0.5)
    assert entry["interval"] == pytest.approx([0.5 - 0.157, 0.5 + 0.157], abs=0.025)


def test_texts_and_roles_without_units_are_left_out():
    abc = tuple(characters("abcde"))
    texts = {"base": {"p": [(), abc], "q": [()], "r": []}, "500": {"p": [()]}, "trained": {}}
    found = novelty(texts, index_of("abcde"), rng=rng())
    assert found["roles"].keys() == found["coverage"].keys() == {"base"}
    assert (found["roles"]["base"]["num_texts"], found["roles"]["base"]["num_problems"]) == (1, 1)
    # At 5 all of it is covered, at 6 to 11 it is too short: 6 lengths of 7.
    assert found["roles"]["base"]["index"] == 6


@pytest.mark.parametrize(("shortest", "longest"), [(0, 5), (6, 5), (5, 17)])
def test_lengths_that_cannot_be(shortest, longest):
    with pytest.raises(UserError, match=f"lengths {shortest} to {longest}: must be .* <= 16"):
        novelty({}, index_of("abc"), min_length=shortest, max_length=longest, rng=rng())


def test_halves():
    even, odd = halves({"p": ["a", "b", "c"], "q": ["d"]})
    assert even == {"p": ["a", "c"], "q": ["d"]}
    assert odd == {"p": ["b"], "q": []}


def test_hostile_texts_cost_what_others_do():
    """A megabyte of one letter, and the corpus the same: each place of the text matches every place of the corpus."""
    text = tuple(characters("a" * 1_000_000))
    shares = coverage(index_of("a" * 100_000), text, range(5, 12))
    assert set(shares.values()) == {1.0}


def test_characters_are_code_points():
    assert characters("a\u00e9\U0001f600\ud800") == [97, 0xE9, 0x1F600, 0xD800]


def documents(path):
    return ["".join(map(chr, x)) for x in corpus_documents(path, characters)]


def test_a_corpus_of_every_kind_of_file(tmp_path):
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbftwo\r\nlines")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "rows.jsonl").write_text('{"text": "one"}\n\n{"text": "", "more": 1}\n')
    (tmp_path / "rows.csv").write_text('text\n"three"\n')
    (tmp_path / "README.md").write_text("not of the corpus")
    write_parquet(tmp_path / "c.parquet", {"text": "text"}, [[{"text": "four"}], [{"text": "five"}]])
    assert documents(tmp_path) == ["one", "", "two\nlines", "four", "five", "three"]
    assert documents(tmp_path / "c.parquet") == ["four", "five"]
    assert documents(tmp_path / "b.txt") == ["two\nlines"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "one"}\n{"text": 3}\n', r"a.jsonl:2: `text` must be a text, not int"),
        ("a.jsonl", b'{"content": "one"}\n', r"a.jsonl:1: `text` must be a text, not NoneType"),
        ("a.jsonl", b"{\n", r"a.jsonl:1: not a JSON object"),
        ("a.txt", b"abc\xff", r"a.txt: must be UTF-8 \(invalid start byte at byte 3\)"),
        ("a.parquet", b"PAR1", r"a.parquet: cannot be read"),
        ("a.bin", b"abc", r"reference corpus .*a.bin: must be a file that ends in .txt, .jsonl"),
        ("a.bin/x.md", b"", r"reference corpus .*a.bin/x.md: must be"),
    ],
)
def test_a_corpus_that_cannot_be_read(tmp_path, name, content, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        documents(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("folder", ["none", "empty"])
def test_a_folder_without_a_corpus(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="must be a file that ends in"):
        documents(tmp_path / folder)


def test_the_digest_tells_corpora_apart(tmp_path):
    for folder, name, text in [("1", "a", "x"), ("2", "a", "y"), ("3", "b", "x"), ("4", "a", "x")]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.txt").write_text(text)
    one, *others = [corpus_digest(tmp_path / folder, "tokenizer 1") for folder in "123"]
    assert one not in others
    assert one != corpus_digest(tmp_path / "1", "tokenizer 2")
    assert one == corpus_digest(tmp_path / "4", "tokenizer 1")
    single = [corpus_digest(tmp_path / folder / "a.txt", "tokenizer 1") for folder in "14"]
    assert single[0] == single[1]
