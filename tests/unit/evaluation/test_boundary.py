"""The analysis by hand-made counts: every number from an independent count over subsets."""

import json
import re
from dataclasses import replace
from itertools import combinations
from statistics import fmean

import numpy as np
import pytest

from prorl.evaluation.boundary import Analysis, ProblemCounts, boundary, powers_of_two
from prorl.evaluation.boundary_table import headline, one_model_table, table
from prorl.evaluation.budget import Budget

KS = (1, 2, 4)
DOMAINS = {"sort": "logic", "chain": "logic", "add": "math"}
ANALYSIS = Analysis(budget=Budget(4), ks=KS)


def subsets(num_samples: int, num_correct: int, k: int) -> float:
    """Share of the k-subsets of the samples that hold a right one, by listing them all."""
    right = [True] * num_correct + [False] * (num_samples - num_correct)
    return fmean(any(subset) for subset in combinations(right, k))


def counts(name: str, numbers: list[int], tolerant: int = 0, chance: float = 0.0, **values: float):
    """Problems of one level with 4 samples each; `tolerant` more are right in the tolerant reading, up to 4."""
    family, level = name.split("/")
    return [
        ProblemCounts(
            prompt_id=f"{name}/{number}",
            domain=DOMAINS[family],
            family=family,
            level=int(level),
            num_samples=4,
            num_correct=correct,
            num_correct_tolerant=min(4, correct + tolerant),
            suite="mini",
            trained_on=level == "1",
            chance=chance,
            values=values,
        )
        for number, correct in enumerate(numbers)
    ]


def measure(base, trained, analysis=ANALYSIS, **between):
    roles = {"base": base, **{role.removeprefix("step"): part for role, part in between.items()}, "trained": trained}
    return boundary(roles, analysis, settings={"temperature": 1.0})


def test_numbers_of_a_level() -> None:
    base = counts("add/1", [0, 1, 2], tolerant=1, well_formed=0.75)
    (level,) = measure(base, counts("add/1", [1, 4, 3], well_formed=1.0))["levels"]
    for k in KS:
        assert level["base"][f"pass@{k}"] == pytest.approx(fmean(subsets(4, c, k) for c in (0, 1, 2)))
        assert level["base"][f"tolerant/pass@{k}"] == pytest.approx(fmean(subsets(4, c, k) for c in (1, 2, 3)))
        assert level["trained"][f"pass@{k}"] == pytest.approx(fmean(subsets(4, c, k) for c in (1, 4, 3)))
    # 0, 1 and 2 of 4 right: pass@1 is 3/12, pass@2 is (0 + 3/6 + 5/6) / 3, pass@4 is 2/3; both of 2 right: 1/6 of one.
    assert level["base"]["pass@1"] == pytest.approx(0.25)
    assert level["base"]["pass@2"] == pytest.approx(4 / 9)
    assert level["base"]["pass@4"] == pytest.approx(2 / 3)
    assert level["base"]["all@2"] == pytest.approx(1 / 18)
    assert (level["base"]["well_formed"], level["trained"]["well_formed"]) == (0.75, 1.0)
    assert {
        name: level[name] for name in ("domain", "family", "level", "task", "name", "num_problems", "num_samples")
    } == {
        "domain": "math",
        "family": "add",
        "level": 1,
        "task": "add",
        "name": "add/1",
        "num_problems": 3,
        "num_samples": 4,
    }
    assert (level["suite"], level["trained_on"], level["chance"], level["k"]) == ("mini", True, 0.0, 4)
    assert level["solved"]["both"] == 2
    assert level["solved"]["trained_only"] == 1
    assert level["solved"]["base_only"] == level["solved"]["neither"] == 0
    # c of both together 1, 5, 5 of 8. Base has none: C(7,3)/C(8,4), 0, 0 - which is 1/2 where one of 8 is right.
    assert level["solved"]["expected_trained_only"] == pytest.approx(0.5)
    assert level["tolerant/solved"]["both"] == 3
    assert level["distribution"]["base"]["histogram"] == [1, 0, 1, 0, 0, 1, 0, 0, 0, 0]
    assert level["distribution"]["base"]["mean"] == pytest.approx(0.25)


def test_a_group_is_the_mean_over_its_levels_whatever_their_size() -> None:
    base = (
        counts("sort/1", [4, 4, 4, 4]) + counts("sort/2", [0, 0]) + counts("chain/1", [2, 2]) + counts("add/1", [1, 1])
    )
    groups = {group["name"]: group for group in measure(base, base)["groups"]}
    assert list(groups) == ["all", "logic", "math", "chain", "sort", "add"]
    # By level: 1, 0, 1/2, 1/4.
    expected = {"all": 1.75 / 4, "logic": 1.5 / 3, "math": 0.25, "sort": 0.5, "chain": 0.5, "add": 0.25}
    assert {name: group["base"]["pass@1"] for name, group in groups.items()} == pytest.approx(expected)
    assert (groups["all"]["num_levels"], groups["all"]["num_problems"]) == (4, 10)
    # No problem changed; ten problems leave room for 1.96 / 12 of a range of 2.
    assert groups["all"]["interval"]["change"]["pass@1"] == pytest.approx([-2 * 1.96 / 12, 2 * 1.96 / 12], abs=1e-4)


def test_intervals_of_a_level_and_of_the_change() -> None:
    """All problems alike: Clopper-Pearson. 20 of 20 lie above (0.025)^(1/20) = 0.8316; 0 of 20 below 0.1684."""
    (level,) = measure(counts("add/1", [0] * 20), counts("add/1", [4] * 20))["levels"]
    assert level["interval"]["base"]["pass@1"] == pytest.approx([0.0, 0.1684], abs=0.02)
    assert level["interval"]["trained"]["pass@1"] == pytest.approx([0.8316, 1.0], abs=0.02)
    assert level["interval"]["change"]["pass@4"] == pytest.approx([2 * 0.8316 - 1, 1.0], abs=0.04)
    assert level["sample_interval"]["base"]["pass@1"] == [0.0, 0.0]
    assert "pass@4" not in level["sample_interval"]["base"]


LEVELS = {
    # name: (base, trained, verdict, opened)
    "sort/9": ([0] * 30, [2] * 30, "expanded", True),  # pass@1 is 0.5 exactly
    "sort/8": ([0] * 30, [1] * 30, "expanded", False),  # pass@1 0.25: pass@4 rose from nothing, and is not solved yet
    "sort/7": ([1] * 3 + [0] * 27, [4] * 30, "expanded", False),  # the base solves 3 of 30
    "add/2": ([2] * 30, [2] * 10 + [0] * 20, "diminished", False),
    "add/3": ([0] * 30, [0] * 30, "unsolved", False),
    "chain/1": ([1] * 30, [4] * 30, "sharpened", False),  # pass@4 1 both, pass@1 0.25 -> 1
    "chain/2": ([3] * 30, [3] * 30, "unchanged", False),
    "chain/3": ([2] * 4, [2] * 4, "unclear", False),  # four problems
}


@pytest.fixture(scope="module")
def result():
    base = [problem for name, (numbers, *_) in LEVELS.items() for problem in counts(name, numbers)]
    trained = [problem for name, (_, numbers, *_) in LEVELS.items() for problem in counts(name, numbers)]
    return measure(base, trained)


def test_verdicts_and_the_summary(result) -> None:
    found = {level["name"]: (level["verdict"], level["opened"]) for level in result["levels"]}
    assert found == {name: (verdict, opened) for name, (_, _, verdict, opened) in LEVELS.items()}
    summary = result["summary"]
    assert summary["expanded_levels"] == ["sort/9"]
    assert summary["expanded_families"] == ["sort"]
    assert summary["verdicts"]["expanded"] == ["sort/7", "sort/8", "sort/9"]
    assert summary["verdicts"]["diminished"] == ["add/2"]
    assert summary["settings"] == {"temperature": 1.0, "alpha": 0.05, "margin": 0.2}
    # pass@4 by level, in LEVELS' order: base 0 0 .1 1 0 1 1 1, trained 1 1 1 1/3 0 1 1 1.
    assert summary["mean"]["base"]["pass@4"] == pytest.approx(4.1 / 8)
    assert summary["mean"]["trained"]["pass@4"] == pytest.approx((6 + 1 / 3) / 8)
    assert summary["generalisation"]["trained_on"]["num_levels"] == 1
    assert summary["generalisation"]["trained_on"]["trained"]["pass@1"] == 1.0
    # Gain against the base's pass@4 over the levels.
    gains = np.corrcoef([0, 0, 0.1, 1, 0, 1, 1, 1], [1, 1, 0.9, -2 / 3, 0, 0, 0, 0])[0, 1]
    assert summary["correlation"]["pearson"] == pytest.approx(gains)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_the_same_whatever_the_order_of_the_problems(result) -> None:
    base = [problem for name, (numbers, *_) in LEVELS.items() for problem in counts(name, numbers)]
    trained = [problem for name, (_, numbers, *_) in LEVELS.items() for problem in counts(name, numbers)]
    assert measure(list(reversed(base)), trained) == result


def test_formatting_is_not_expansion() -> None:
    (level,) = measure(counts("sort/9", [0] * 30, tolerant=3), counts("sort/9", [3] * 30))["levels"]
    assert (level["base"]["pass@4"], level["base"]["tolerant/pass@4"], level["trained"]["pass@4"]) == (0, 1, 1)
    assert (level["verdict"], level["opened"]) == ("unchanged", False)
    assert level["reason"].startswith("only the form")


def test_guessing_is_not_expansion() -> None:
    """Two answers to choose from: a base that never answers, a model that guesses, and one that knows."""
    base = counts("add/2", [0] * 30, chance=0.5)
    (guesser,) = measure(base, counts("add/2", [2] * 30, chance=0.5))["levels"]
    assert (guesser["k"], guesser["verdict"]) == (1, "unclear")
    assert guesser["trained"]["pass@4"] == 1.0
    assert guesser["trained"]["corrected/pass@1"] == pytest.approx(0.0)
    # pass@2 of 2 right of 4 is 5/6; guessing gives 3/4: (5/6 - 3/4) / (1/4) = 1/3.
    assert guesser["trained"]["corrected/pass@2"] == pytest.approx(1 / 3)
    both = measure(base + counts("add/1", [0] * 30), counts("add/2", [4] * 30, chance=0.5) + counts("add/1", [0] * 30))
    _, knower = both["levels"]  # a level with a chance and one without are summed up together
    assert (knower["verdict"], knower["opened"]) == ("expanded", True)
    measured = replace(ANALYSIS, guessed={("math", "add", 2): 0.5})
    (unstated,) = measure(counts("add/2", [0] * 30), counts("add/2", [2] * 30), measured)["levels"]
    assert (unstated["chance"], unstated["verdict"]) == (0.5, "unclear")


def test_a_rare_guess_that_the_audit_may_have_missed_is_not_expansion() -> None:
    """12 of 30 problems solved, one sample each: 12 right of 120. None of 30 others is right: 0.8^12 = 0.07."""
    base, trained = counts("add/2", [0] * 30), counts("add/2", [1] * 12 + [0] * 18)
    (level,) = measure(base, trained)["levels"]
    assert level["verdict"] == "expanded"
    few, many = (replace(ANALYSIS, shuffled={("math", "add", 2): (0, of)}) for of in (30, 120))
    (missed,) = measure(base, trained, few)["levels"]
    assert (missed["verdict"], missed["reason"]) == ("unclear", "what rose is no more than guessing")
    (sure,) = measure(base, trained, many)["levels"]  # 0.5^12
    assert sure["verdict"] == "expanded"


def test_a_group_of_single_problems_has_an_interval() -> None:
    """Thirty levels of one problem, 17 of them solved: 17/30 +- 1.96 * 0.5/sqrt(30), about 0.39 to 0.74."""
    problems = [replace(counts("add/1", [4 * (n < 17)])[0], level=n, prompt_id=str(n)) for n in range(30)]
    everything = measure(problems, problems)["groups"][0]
    low, high = everything["interval"]["base"]["pass@1"]
    assert 0.33 < low < 0.44
    assert 0.69 < high < 0.80
    same = measure(
        counts("add/1", [0] * 98) + counts("add/2", [0] * 100), counts("add/1", [0] * 98) + counts("add/2", [0] * 100)
    )
    assert same["groups"][0]["interval"]["base"]["pass@1"] == pytest.approx([0.0, 1.96 / 200], abs=1e-4)


def test_the_bound_of_a_group_holds_for_its_pass_at_k() -> None:
    """A level of 40 problems at 0 and a level of one at 1: mean 1/2, variance 1/4, the bound is 1 - (1/2)^(4/2)."""
    problems = counts("add/1", [0] * 40) + counts("add/2", [4])
    everything = measure(problems, problems)["groups"][0]
    assert everything["base"]["pass@4"] == 0.5
    assert everything["distribution"]["base"]["bound"]["pass@4"] == pytest.approx(0.75)


def test_checkpoints_on_the_way() -> None:
    base, middle, end = (counts("sort/1", [number] * 150) for number in (0, 1, 4))
    found = measure(base, end, step40=middle)
    (level,) = found["levels"]
    assert level["checkpoints"]["40"]["pass@1"] == 0.25
    assert level["interval"]["40"]["pass@4"][1] == 1.0
    assert found["summary"]["checkpoints"] == [40]
    assert [(row["role"], row["pass@1"]) for row in found["summary"]["duration"]] == [
        ("base", 0.0),
        ("40", 0.25),
        ("trained", 1.0),
    ]
    # pass@4 is 1 at the middle already: a plateau.
    assert found["groups"][0]["regime"]["verdict"] == "plateau"


def test_one_model_alone() -> None:
    part = counts("sort/1", [1, 3], mean_score=0.5, truncated=0.25)
    found = boundary({"model": part}, ANALYSIS, settings={})
    assert found["groups"][0]["model"]["pass@1"] == 0.5
    assert "verdict" not in found["levels"][0]
    assert "verdicts" not in found["summary"]
    assert one_model_table(found, "model").splitlines()[1].split()[:3] == ["all", "2", "0.500"]
    assert one_model_table(found, "model").splitlines()[1].split()[-3:] == ["1.000", "0.500", "0.25"]


def test_an_adaptive_budget_uses_its_own_estimate() -> None:
    """Stages 2 and 4, stop at 1 right. Left after 2 with 1 right: of RW and WR one is right first, so pass@1 is 1/2."""
    budget = Budget(4, stop_after=1, first_stage=2)
    problems = [replace(problem, num_samples=2) for problem in counts("add/1", [1, 1])]
    (level,) = measure(problems, problems, Analysis(budget=budget, ks=KS))["levels"]
    assert level["base"]["pass@1"] == 0.5
    assert level["base"]["pass@4"] == 1.0
    assert "expected_trained_only" not in level["solved"]
    late = counts("add/1", [1, 1])  # of 4, and none of the first 2: the right one is third or fourth
    (level,) = measure(late, late, Analysis(budget=budget, ks=KS))["levels"]
    assert level["base"]["pass@1"] == level["base"]["pass@2"] == 0.0
    assert level["base"]["pass@4"] == 1.0


def test_the_models_answer_the_same_problems_once() -> None:
    base = counts("add/1", [1, 1, 2])
    with pytest.raises(AssertionError, match="answers other problems"):
        measure(base, base[:2])
    with pytest.raises(AssertionError, match="counted twice"):
        measure(base + base[:1], base + base[:1])
    with pytest.raises(AssertionError, match="more right than drawn"):
        measure(base, [replace(problem, num_correct=5, num_correct_tolerant=5) for problem in base])
    with pytest.raises(AssertionError, match="more right strictly"):
        measure(base, [replace(problem, num_correct_tolerant=0) for problem in base])


def test_ks() -> None:
    assert powers_of_two(128) == (1, 2, 4, 8, 16, 32, 64, 128)
    assert powers_of_two(100) == (1, 2, 4, 8, 16, 32, 64)
    assert powers_of_two(1) == (1,)


def test_the_table(result) -> None:
    text = table(result)
    assert headline(result) == text.splitlines()[1]
    assert (
        headline(result) == "3 of 8 levels expanded, 1 of them opened from nothing in 1 family; 1 diminished (pass@4)"
    )
    assert text.isascii()
    rows = {line.split()[0]: line for line in text.splitlines() if "/" in line.split(" ")[0]}
    assert list(rows) == ["sort/9", "sort/7", "sort/8", "add/2"]
    assert rows["sort/9"].split()[1:7] == ["0.000", "->", "0.500", "0.000", "->", "1.000"]
    assert "logic        1 sharpened, 1 unchanged, 1 unclear" in text.replace("unclear, 1 ", "") or "1 unclear" in text
    assert re.sub("\x1b\\[[0-9]+m", "", table(result, colour=True)) == text
