"""The rule, level by level, from evidence made by hand."""

import pytest

from prorl.evaluation.verdicts import Change, LevelEvidence, is_opened, judge_levels, judged_k, rules


def change(base=(0.0, 0.0), trained=(0.0, 0.0), *, half=0.05, p=1.0, p_guess=0.0, intervals=None):
    """A change with intervals of `half` to both sides of the differences."""
    differences = [after - before for before, after in zip(base, trained, strict=True)]
    given = intervals or tuple((value - half, value + half) for value in differences)
    return Change(base=base, trained=trained, intervals=given, p_values=(p, p), p_guess=p_guess)


SAME = change((0.5, 0.5), (0.5, 0.5))
UP = change((0.2, 0.2), (0.8, 0.8), p=0.001)
DOWN = change((0.8, 0.8), (0.2, 0.2), p=0.001)
FORM = change((0.0, 0.8), (0.8, 0.8), p=0.001)
"""The strict reading rose only: the base had the answers in another form."""


def verdict(at_1, at_k, **options):
    (judgement,) = judge_levels([LevelEvidence(at_1, at_k)], **options)
    return judgement.verdict, judgement.reason


CASES = {
    "nobody solves it": (change(), change((0.0, 0.05), (0.05, 0.05)), "unsolved"),
    "one reading above the bound": (change(), change((0.0, 0.06), (0.05, 0.05), half=0.3), "unclear"),
    "both rose": (UP, UP, "expanded"),
    "pass@k rose alone": (SAME, UP, "expanded"),
    "both fell": (DOWN, DOWN, "diminished"),
    "pass@1 rose and pass@k fell": (UP, DOWN, "diminished"),
    "pass@1 rose alone": (UP, SAME, "sharpened"),
    "nothing changed": (SAME, SAME, "unchanged"),
    "only the form changed": (FORM, FORM, "unchanged"),
    "pass@1 fell alone": (DOWN, SAME, "unclear"),
    "interval too wide": (SAME, change((0.5, 0.5), (0.5, 0.5), half=0.2), "unclear"),
    "interval just inside": (SAME, change((0.5, 0.5), (0.5, 0.5), half=0.199), "unchanged"),
    "judged at k = 1, a rise is an expansion or nothing": (UP, None, "expanded"),
    "interval excludes 0, the test does not": (SAME, change((0.2, 0.2), (0.8, 0.8), p=0.06), "unclear"),
    "the test is sure, an interval is not": (
        SAME,
        change((0.2, 0.2), (0.8, 0.8), p=0.001, intervals=((0.1, 0.9), (-0.01, 0.9))),
        "unclear",
    ),
    "no better than guessing": (UP, change((0.0, 0.0), (0.6, 0.6), p=0.001, p_guess=0.2), "unclear"),
    "pass@1 rose to guessing": (change((0.0, 0.0), (0.4, 0.4), p=0.001, p_guess=0.5), SAME, "unclear"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_verdict(name):
    at_1, at_k, expected = CASES[name]
    assert verdict(at_1, at_k or at_1)[0] == expected


def test_reasons_say_what_is_missing():
    assert verdict(FORM, FORM)[1].startswith("only the form of the answer changed")
    guessed = change((0.0, 0.0), (0.6, 0.6), p=0.001, p_guess=0.2)
    assert verdict(UP, guessed)[1] == "what rose is no more than guessing"
    assert verdict(DOWN, SAME)[1] == "pass@1 fell"
    assert "number of levels" in verdict(SAME, change((0.2, 0.2), (0.8, 0.8), p=0.06))[1]
    assert verdict(SAME, change((0.5, 0.5), (0.5, 0.5), half=0.2))[1] == "too few problems to tell"


def test_many_levels_need_smaller_p_values():
    """p = 0.01 is sure for one level (q = 0.01), and not as the smallest of ten (q = 0.1); ten of them are again."""
    weak = LevelEvidence(SAME, change((0.2, 0.2), (0.8, 0.8), p=0.01))
    none = LevelEvidence(SAME, SAME)
    assert [j.verdict for j in judge_levels([weak])] == ["expanded"]
    first, *others = judge_levels([weak, *[none] * 9])
    assert first.verdict == "unclear"
    assert first.q_k == pytest.approx(0.1)
    assert {j.verdict for j in others} == {"unchanged"}
    assert {j.verdict for j in judge_levels([weak] * 10)} == {"expanded"}


def test_each_kind_of_claim_is_corrected_by_itself():
    """Twenty sure falls and one rise at p = 0.04: by itself its q-value is 0.04 * 21, whatever has fallen."""
    weak = LevelEvidence(SAME, change((0.2, 0.2), (0.8, 0.8), p=0.04))
    *_, last = judge_levels([*[LevelEvidence(SAME, DOWN)] * 20, weak])
    assert (last.verdict, last.q_k) == ("unclear", pytest.approx(0.84))


def test_levels_that_nobody_solves_do_not_help_the_others():
    tiny = LevelEvidence(SAME, change((0.0, 0.0), (0.04, 0.04), half=0.01, p=0.0001))
    weak = LevelEvidence(SAME, change((0.2, 0.2), (0.8, 0.8), p=0.04))
    assert [j.verdict for j in judge_levels([*[tiny] * 20, weak])][-2:] == ["unsolved", "unclear"]


def test_a_coin_toss_that_got_better_is_not_sharpened():
    """Judged at k = 1: p = 0.03 beside nine sharpened levels."""
    toss = change((0.5, 0.5), (0.6, 0.6), p=0.03)
    sharp = LevelEvidence(UP, SAME)
    assert [j.verdict for j in judge_levels([LevelEvidence(toss, toss), *[sharp] * 9])][:2] == [
        "unchanged",
        "sharpened",
    ]


def test_the_larger_p_value_of_the_two_readings_counts():
    split = Change(
        base=(0.2, 0.2), trained=(0.8, 0.8), intervals=((0.5, 0.7), (0.5, 0.7)), p_values=(0.001, 0.2), p_guess=0.0
    )
    assert split.p_rise() == 0.2
    assert split.p_fall() == 1.0
    assert DOWN.p_rise() == 1.0
    assert DOWN.p_fall() == 0.001
    assert verdict(SAME, split)[0] == "unclear"


def test_alpha_and_margin_are_the_callers():
    near = change((0.2, 0.2), (0.8, 0.8), p=0.06)
    assert verdict(SAME, near, alpha=0.1)[0] == "expanded"
    assert verdict(SAME, change((0.5, 0.5), (0.5, 0.5), half=0.2), margin=0.25)[0] == "unchanged"
    assert "0.25" in rules(0.1, 0.25)["unchanged"]


def test_the_k_a_level_is_judged_at():
    """Guessing at 1/2: pass@1 is 0.5, pass@2 0.75. At 1/6: pass@2 is 0.306, pass@4 0.518. At 0.001: pass@128 0.12."""
    ks = (1, 2, 4, 8, 128)
    assert [judged_k(ks, chance) for chance in (0.0, 0.001, 1 / 6, 0.5, 0.9)] == [128, 128, 2, 1, 1]


def test_opened_levels():
    base, trained = {"pass@4": 0.05, "tolerant/pass@4": 0.05}, {"pass@1": 0.5}
    assert is_opened("expanded", base, trained, 4, 0.0)
    assert not is_opened("sharpened", base, trained, 4, 0.0)
    assert not is_opened("expanded", base | {"tolerant/pass@4": 0.06}, trained, 4, 0.0)
    assert not is_opened("expanded", base, {"pass@1": 0.49}, 4, 0.0)
    # Above a chance of 1/2, 0.5 is nothing and 0.75 is half of what there is to learn.
    assert not is_opened("expanded", base, {"pass@1": 0.74}, 4, 0.5)
    assert is_opened("expanded", base, {"pass@1": 0.75}, 4, 0.5)
