"""The boundary by hand-made counts: every number from an independent count over subsets, every rule by a level."""

import json
import re
from dataclasses import replace
from itertools import combinations, product
from statistics import fmean

import pytest

from prorl.evaluation.boundary import ProblemCounts, boundary, headline, powers_of_two, table

KS = (1, 2, 4)
DOMAINS = {"sort": "logic", "chain": "logic", "add": "math"}


def subsets(num_samples: int, num_correct: int, k: int) -> float:
    """Share of the k-subsets of the samples that hold a right one, by listing them all."""
    right = [True] * num_correct + [False] * (num_samples - num_correct)
    return fmean(any(subset) for subset in combinations(right, k))


def counts(name: str, select: list[int], report: list[int], tolerant: int = 0, formed: int = 4) -> list[ProblemCounts]:
    """Problems of one level with 4 samples each; `tolerant` more are right in the tolerant reading, up to 4."""
    family, level = name.split("/")
    return [
        ProblemCounts(
            prompt_id=f"{name}/{fold}/{number}",
            domain=DOMAINS[family],
            family=family,
            level=int(level),
            fold=fold,
            num_samples=4,
            num_correct=correct,
            num_correct_tolerant=min(4, correct + tolerant),
            num_well_formed=formed,
            suite="mini",
            trained_on=level == "1",
        )
        for fold, numbers in (("select", select), ("report", report))
        for number, correct in enumerate(numbers)
    ]


def measure(base: list[ProblemCounts], trained: list[ProblemCounts]) -> dict:
    return boundary(base, trained, ks=KS, settings={"temperature": 1.0})


def test_numbers_are_those_of_the_report_fold() -> None:
    base = counts("add/1", [4, 4], [0, 1, 2], tolerant=1, formed=3)
    trained = counts("add/1", [0, 0], [1, 4, 3])
    (level,) = measure(base, trained)["levels"]
    for k in KS:
        assert level["base"][f"pass@{k}"] == pytest.approx(fmean(subsets(4, c, k) for c in (0, 1, 2)))
        assert level["base"][f"tolerant/pass@{k}"] == pytest.approx(fmean(subsets(4, c, k) for c in (1, 2, 3)))
        assert level["trained"][f"pass@{k}"] == pytest.approx(fmean(subsets(4, c, k) for c in (1, 4, 3)))
    # 0, 1 and 2 of 4 right: pass@1 is 3/12, pass@2 is (0 + 3/6 + 5/6) / 3, pass@4 is 2/3.
    assert level["base"]["pass@1"] == pytest.approx(0.25)
    assert level["base"]["pass@2"] == pytest.approx(4 / 9)
    assert level["base"]["pass@4"] == pytest.approx(2 / 3)
    assert level["base"]["well_formed"] == 0.75
    assert {name: level[name] for name in ("domain", "family", "level", "task", "num_problems", "num_samples")} == {
        "domain": "math",
        "family": "add",
        "level": 1,
        "task": "add",
        "num_problems": 3,
        "num_samples": 4,
    }
    assert level["suite"] == "mini"
    assert level["trained_on"] is True


LEVELS = {
    # name: (base select, base report, trained select, trained report)
    "sort/9": ([0, 0], [0, 0], [4, 4], [2, 2]),  # expanded: trained pass@1 is 0.5 exactly
    "sort/8": ([0, 0], [0, 0], [4, 4], [1, 2]),  # pass@1 0.375 on the report fold: not confirmed, pass@4 gained
    "sort/7": ([0, 1], [0, 0], [4, 4], [4, 4]),  # the base solves one of the select fold: not selected
    "add/1": ([2], [2] * 8 + [0] * 2, [4], [2] * 7 + [0] * 3),  # 0.8 -> 0.7: 0.1 exactly is not lost
    "add/2": ([2], [2] * 10, [4], [2] * 8 + [0] * 2),  # lost 2 of 10
    "add/3": ([0], [0], [0], [0]),  # unsolved
    "chain/1": ([1], [1], [4], [4]),  # pass@4 1 both, pass@1 0.25 -> 1: sharpened
    "chain/2": ([1], [3], [4], [3]),  # unchanged
}
VERDICTS = {
    "sort/9": "expanded",
    "sort/8": "gained",
    "sort/7": "gained",
    "add/1": "unchanged",
    "add/2": "lost",
    "add/3": "unsolved",
    "chain/1": "sharpened",
    "chain/2": "unchanged",
}


@pytest.fixture
def result() -> dict:
    base = [problem for name, (b1, b2, _, _) in LEVELS.items() for problem in counts(name, b1, b2)]
    trained = [problem for name, (_, _, t1, t2) in LEVELS.items() for problem in counts(name, t1, t2)]
    return measure(base, trained)


def test_each_verdict_by_its_rule(result: dict) -> None:
    assert {f"{level['family']}/{level['level']}": level["verdict"] for level in result["levels"]} == VERDICTS
    summary = result["summary"]
    assert summary["expanded_levels"] == ["sort/9"]
    assert summary["expanded_families"] == ["sort"]
    assert summary["selected_not_confirmed"] == ["sort/8"]
    assert summary["confirmed_not_selected"] == ["sort/7"]
    assert summary["gained_levels"] == ["sort/7", "sort/8", "sort/9"]
    assert summary["lost_levels"] == ["add/2"]
    assert summary["settings"] == {"temperature": 1.0}
    # pass@4 by level, in LEVELS' order: base 0 0 0 .8 1 0 1 1, trained 1 1 1 .7 .8 0 1 1.
    assert summary["mean"]["base"]["pass@4"] == pytest.approx(3.8 / 8)
    assert summary["mean"]["trained"]["pass@4"] == pytest.approx(6.5 / 8)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_twenty_problems_with_one_solved_by_the_base_still_expand() -> None:
    # 1 of 20 is pass@4 = 0.05, the bound itself; 2 of 20 is over it.
    for solved, verdict in ((1, "expanded"), (2, "gained")):
        numbers = [1] * solved + [0] * (20 - solved)
        base = counts("sort/9", numbers, numbers)
        assert measure(base, counts("sort/9", [2] * 20, [2] * 20))["levels"][0]["verdict"] == verdict


def test_formatting_is_not_expansion() -> None:
    # The base never writes the form but is right when read tolerantly.
    base = counts("sort/9", [0, 0], [0, 0], tolerant=1, formed=0)
    result = measure(base, counts("sort/9", [4, 4], [4, 4]))
    assert result["levels"][0]["base"]["pass@4"] == 0
    assert result["levels"][0]["base"]["tolerant/pass@4"] == 1
    assert result["summary"]["expanded_levels"] == []
    assert result["summary"]["selected_not_confirmed"] == []


def test_the_bootstrap_agrees_with_all_resamples() -> None:
    # Three problems have 27 resamples: the exact quantiles of their means, where the level's interval must lie.
    base, trained = counts("add/1", [0], [0, 1, 3]), counts("add/1", [0], [4, 1, 4])
    (level,) = measure(base, trained)["levels"]
    for role, values in (("base", [0, 0.25, 0.75]), ("trained", [1, 0.25, 1]), ("change", [1, 0, 0.25])):
        means = sorted(fmean(drawn) for drawn in product(values, repeat=3))
        low, high = level["interval"][role]["pass@1"]
        # Each of the 27 has probability 1/27 > 2.5 %, so the 95 % interval runs from the least to the greatest.
        assert (low, high) == pytest.approx((means[0], means[-1])), role
    again = measure(list(reversed(base)), trained)["levels"][0]["interval"]
    assert again == level["interval"]


def test_the_models_answer_the_same_problems() -> None:
    base = counts("add/1", [1, 1], [2, 2])
    with pytest.raises(AssertionError, match="same problems"):
        measure(base, counts("add/1", [1, 1], [2]))
    with pytest.raises(AssertionError, match="same levels"):
        measure(base, counts("add/2", [1, 1], [2, 2]))
    with pytest.raises(AssertionError, match="no problems in fold select"):
        measure(base[2:], base[2:])
    with pytest.raises(AssertionError, match="counted twice"):
        measure(base + base[:1], base + base[:1])
    with pytest.raises(AssertionError, match="more right than drawn"):
        measure(base, [replace(problem, num_correct=5) for problem in base])


def test_ks() -> None:
    assert powers_of_two(128) == (1, 2, 4, 8, 16, 32, 64, 128)
    assert powers_of_two(100) == (1, 2, 4, 8, 16, 32, 64)
    assert powers_of_two(1) == (1,)


def test_the_table(result: dict) -> None:
    assert table(result) == TABLE
    assert headline(result) == TABLE.splitlines()[1]
    assert table(result).isascii()
    coloured = table(result, colour=True)
    assert "\x1b[32mEXPANDED" in coloured
    assert re.sub("\x1b\\[[0-9]+m", "", coloured) == TABLE


TABLE = """\
Reasoning boundary
1 of 8 levels expanded, in 1 family; pass@4 rose on 3 levels, fell on 1
expanded: base pass@4 <= 0.05, also read tolerantly, and trained pass@1 >= 0.5

EXPANDED  base                           trained
         pass@1    pass@4  tolerant     pass@1    pass@4  trained on
sort/9    0.000     0.000     0.000  ->  0.500     1.000  no
Chosen, but not confirmed on other problems: sort/8

LOST pass@4 (1)                           GAINED pass@4, not expanded (2)
add/2    1.00 -> 0.80  (-0.50 to +0.00)   sort/7   0.00 -> 1.00  (+1.00 to +1.00)
                                          sort/8   0.00 -> 1.00  (+1.00 to +1.00)
(in brackets: 95 % interval of the change)

OTHER LEVELS
logic        1 sharpened, 1 unchanged; pass@1 0.50 -> 0.88, pass@4 1.00 -> 1.00
math         1 unchanged, 1 unsolved; pass@1 0.20 -> 0.17, pass@4 0.40 -> 0.35
"""
