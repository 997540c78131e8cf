"""The stream of prompts: exact quotas, held-out texts, lanes, and going on where it stopped."""

import json
from collections import Counter

import pytest

from prorl.config import Data, Filter, Source
from prorl.errors import UserError
from prorl.prompts.mini import make_prompt
from prorl.prompts.mixture import Stream
from prorl.prompts.sources import lane

NO_LANES = Filter(solved_streak=0, unsolved_streak=0)


def write_rows(path, mark="", **sizes):
    """`sizes` rows of each domain; the ids are `a0, a1, ...` for domain a, after a mark."""
    rows = [
        {"id": f"{mark}{domain}{i}", "domain": domain, "prompt": f"text {domain}{i}"}
        for domain, size in sizes.items()
        for i in range(size)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source(source=str(path))


def make_stream(*sources, options=NO_LANES, seed=0, held_out=(), **weights):
    data = Data(sources=tuple(sources), domain_weights=weights)
    return Stream(data, options, seed=seed, held_out=frozenset(held_out))


def domains(stream, count, boost=None):
    return [prompt.domain for _, prompt in stream.draw(count, boost or {})]


def ids(stream, count):
    return [prompt.id for _, prompt in stream.draw(count, {})]


def test_the_set_with_the_most_credit_is_next(tmp_path):
    """Credits of 2:1:1 before each draw: (.5 .25 .25), (0 .5 .5), (.5 -.25 .75), (1 0 0); then all are 0 again."""
    stream = make_stream(write_rows(tmp_path / "d", a=4, b=4, c=4), a=2, b=1, c=1)
    assert domains(stream, 12) == ["a", "b", "c", "a"] * 3


def test_any_stretch_holds_the_quotas_to_within_one(tmp_path):
    stream = make_stream(write_rows(tmp_path / "d", a=7, b=3, c=5), a=5, b=3, c=2)
    drawn = domains(stream, 1000)
    assert Counter(drawn) == {"a": 500, "b": 300, "c": 200}
    for start in range(900):
        counts = Counter(drawn[start : start + 97])
        for domain, quota in (("a", 48.5), ("b", 29.1), ("c", 19.4)):
            assert abs(counts[domain] - quota) < 1


def test_the_quotas_hold_however_the_stream_is_cut_into_draws(tmp_path):
    source = write_rows(tmp_path / "d", a=4, b=4)
    whole, parts = (make_stream(source, a=3, b=2) for _ in range(2))
    assert ids(whole, 30) == [name for size in (1, 2, 3, 4, 20) for name in ids(parts, size)]


def test_sources_share_by_weight_and_a_source_splits_by_its_rows(tmp_path):
    """Weight 3 over 3 rows of a and 1 of b, weight 1 for c: shares 9/16, 3/16, 4/16."""
    one = write_rows(tmp_path / "one", a=3, b=1)
    two = write_rows(tmp_path / "two", c=10)
    stream = make_stream(Source(source=one.source, weight=3.0), two)
    assert stream.shares == {"a": 9 / 16, "b": 3 / 16, "c": 1 / 4}
    assert Counter(domains(stream, 160)) == {"a": 90, "b": 30, "c": 40}
    assert stream.domains == ["a", "b", "c"]


def test_domain_weights_spread_over_the_sources_of_a_domain(tmp_path):
    """By size the weights are 1 for a of the one source, 1/4 and 3/4 for a and b of the other; quotas are 1 to 1."""
    one = write_rows(tmp_path / "one", "1", a=30)
    two = write_rows(tmp_path / "two", "2", a=10, b=30)
    stream = make_stream(one, two, a=1, b=1)
    assert stream.shares == {"a": 0.5, "b": 0.5}
    # The quota of a is split 4 to 1 between its sources.
    assert Counter(name[:2] for name in ids(stream, 100)) == {"1a": 40, "2a": 10, "2b": 50}


def test_boost_multiplies_a_quota(tmp_path):
    stream = make_stream(write_rows(tmp_path / "d", a=4, b=4, c=4), a=2, b=1, c=1)
    assert Counter(domains(stream, 500, {"b": 2.0})) == {"a": 200, "b": 200, "c": 100}
    assert Counter(domains(stream, 400)) == {"a": 200, "b": 100, "c": 100}


def test_a_source_of_weight_zero_is_never_drawn(tmp_path):
    none = write_rows(tmp_path / "none", b=4)
    stream = make_stream(write_rows(tmp_path / "d", a=4), Source(source=none.source, weight=0.0))
    assert set(domains(stream, 50)) == {"a"}


def test_quotas_must_name_the_domains_there_are(tmp_path):
    source = write_rows(tmp_path / "d", a=1, b=1)
    with pytest.raises(UserError, match=r"data\.domain_weights: c: name each domain of the sources \(a, b\)"):
        make_stream(source, a=1, b=1, c=1)
    with pytest.raises(UserError, match=r"data\.domain_weights: b: "):
        make_stream(source, a=1)


def test_positions_count_on(tmp_path):
    stream = make_stream(write_rows(tmp_path / "d", a=2))
    assert [position for position, _ in stream.draw(3, {}) + stream.draw(2, {})] == [0, 1, 2, 3, 4]


def test_every_row_comes_once_in_each_pass_in_another_order(tmp_path):
    stream = make_stream(write_rows(tmp_path / "d", a=20))
    passes = [ids(stream, 20) for _ in range(3)]
    everything = sorted(f"a{i}" for i in range(20))
    assert [sorted(names) for names in passes] == [everything] * 3
    assert passes[0] != passes[1] != passes[2]
    assert passes[0] != everything
    assert ids(make_stream(Source(source=str(tmp_path / "d")), seed=1), 20) != passes[0]


def test_held_out_rows_are_never_drawn_and_the_others_alike(tmp_path):
    source = write_rows(tmp_path / "d", a=10)
    stream = make_stream(source, held_out={f"text a{i}" for i in (0, 3, 4, 9)})
    assert Counter(ids(stream, 60)) == {f"a{i}": 10 for i in (1, 2, 5, 6, 7, 8)}


def test_held_out_problems_are_never_drawn():
    """Level 1 of `sort` has few problems, so an unguarded stream meets a held-out one often."""
    source = Source(source="mini", tasks=("sort",), max_level=1)
    held_out = {make_prompt("sort", 1, seed).text for seed in range(40)}
    free = [prompt.text for _, prompt in make_stream(source).draw(300, {})]
    assert len(held_out & set(free)) > 10
    assert not held_out & {prompt.text for _, prompt in make_stream(source, held_out=held_out).draw(300, {})}


def test_a_source_that_is_wholly_held_out_is_refused(tmp_path):
    """Unless it is never drawn."""
    source, other = write_rows(tmp_path / "d", a=2), write_rows(tmp_path / "e", b=2)
    held_out = {"text a0", "text a1"}
    with pytest.raises(UserError, match=r"data\.sources: a: .* evaluation\.problems_per_level"):
        make_stream(source, other, held_out=held_out)
    stream = make_stream(Source(source=source.source, weight=0.0), other, held_out=held_out)
    assert sorted(ids(stream, 2)) == ["b0", "b1"]


def test_equal_seeds_give_equal_problems_and_others_do_not():
    source = Source(source="mini", max_level=2)
    assert ids(make_stream(source, seed=3), 50) == ids(make_stream(source, seed=3), 50)
    assert not set(ids(make_stream(source, seed=3), 50)) & set(ids(make_stream(source, seed=4), 50))


def test_a_mini_source_draws_its_levels_equally_often_and_no_problem_twice():
    stream = make_stream(Source(source="mini", tasks=("sort", "chain"), max_level=3))
    drawn = [prompt for _, prompt in stream.draw(600, {})]
    assert Counter((p.task, p.level) for p in drawn) == {(t, i): 100 for t in ("sort", "chain") for i in (1, 2, 3)}
    assert len({p.id for p in drawn}) == 600


def test_a_domain_of_the_source_names_every_prompt():
    stream = make_stream(Source(source="mini", tasks=("sort", "add"), max_level=1, domain="all"))
    assert stream.shares == {"all": 1.0}
    assert {p.domain for _, p in stream.draw(10, {})} == {"all"}


def solved_rows(source, share, name="a3"):
    """A stream in which row a3 was solved by every rollout three times in a row."""
    stream = make_stream(source, options=Filter(solved_streak=3, slow_lane_share=share))
    prompt = next(p for _, p in stream.draw(4, {}) if p.id == name)
    for _ in range(3):
        stream.observe(prompt, [1.0, 1.0])
    return stream, prompt


def test_a_solved_prompt_keeps_the_share_of_its_draws_and_comes_back(tmp_path):
    """Of 4 rows one keeps a tenth: 0.1 / 3.1 = 3.2 % of 4000 draws, 129 +- 11."""
    stream, prompt = solved_rows(write_rows(tmp_path / "d", a=4), 0.1)
    counts = Counter(ids(stream, 4000))
    assert 95 < counts["a3"] < 165
    assert max(counts[f"a{i}"] for i in range(3)) - min(counts[f"a{i}"] for i in range(3)) <= 1
    stream.observe(prompt, [1.0, 0.0])
    assert Counter(ids(stream, 4000)) == {f"a{i}": 1000 for i in range(4)}


def test_the_slow_lane_opens_at_the_streak_and_any_other_result_breaks_it(tmp_path):
    source = write_rows(tmp_path / "d", a=2)
    prompt = make_stream(source).draw(1, {})[0][1]

    def is_slow(*results):
        options = Filter(solved_streak=3, unsolved_streak=2, slow_lane_share=0.0)
        stream = make_stream(source, options=options)
        for scores in results:
            stream.observe(prompt, scores)
        return prompt.id not in ids(stream, 40)

    solved, failed, mixed = [1.0, 1.0], [0.0, 0.0], [0.5, 0.5]
    assert is_slow(solved, solved, solved)
    assert not is_slow(solved, solved)
    assert not is_slow(solved, solved, mixed, solved)
    assert not is_slow(solved, solved, failed, solved)
    assert is_slow(failed, solved, solved, solved)
    assert is_slow(failed, failed)
    assert is_slow(solved, solved, solved, failed, failed)
    assert not is_slow(failed, [0.0, 0.1], failed)


def test_streaks_of_zero_switch_the_lanes_off(tmp_path):
    source = write_rows(tmp_path / "d", a=2)
    stream = make_stream(source, options=Filter(solved_streak=0, unsolved_streak=0, slow_lane_share=0.0))
    first, second = (p for _, p in stream.draw(2, {}))
    for _ in range(5):
        stream.observe(first, [1.0])
        stream.observe(second, [0.0])
    assert Counter(ids(stream, 40)) == {"a0": 20, "a1": 20}


def test_when_every_prompt_is_slow_the_stream_still_goes_on(tmp_path):
    source = write_rows(tmp_path / "d", a=3)
    stream = make_stream(source, options=Filter(solved_streak=1, slow_lane_share=0.0))
    for _, prompt in stream.draw(3, {}):
        stream.observe(prompt, [1.0])
    assert set(ids(stream, 30)) == {"a0", "a1", "a2"}


def test_the_lane_of_a_generated_problem_is_its_level():
    (_, prompt), *_ = make_stream(Source(source="mini", tasks=("sort",), min_level=2, max_level=2)).draw(1, {})
    assert lane(prompt) == "sort/2"


def test_saved_through_json_and_restored_it_goes_on_identically(tmp_path):
    source = write_rows(tmp_path / "d", a=9, b=4)
    options = Filter(solved_streak=1, slow_lane_share=0.3)
    stream = make_stream(source, Source(source="mini", tasks=("sort",), max_level=4), options=options, held_out=["x"])
    for position, prompt in stream.draw(37, {"b": 1.7}):
        stream.observe(prompt, [1.0] if position % 3 == 0 else [0.0, 1.0])
    state = json.loads(json.dumps(stream.state_dict()))
    again = make_stream(
        source, Source(source="mini", tasks=("sort",), max_level=4), options=options, held_out=["x"], seed=0
    )
    again.load_state_dict(state)
    assert again.draw(50, {}) == stream.draw(50, {})
    assert again.state_dict() == stream.state_dict()
    assert state["position"] == 37  # a saved state is no view of the stream


def test_another_mixtures_state_is_refused(tmp_path):
    one, two = make_stream(write_rows(tmp_path / "one", a=2)), make_stream(write_rows(tmp_path / "two", a=3))
    with pytest.raises(UserError, match=r"data\.sources: .*\[\['a', 2\]\].*\[\['a', 3\]\]"):
        two.load_state_dict(one.state_dict())


def test_a_new_mixture_goes_on_at_the_position_with_the_lanes(tmp_path):
    old, _ = solved_rows(write_rows(tmp_path / "one", a=4), 0.0)
    new = make_stream(
        write_rows(tmp_path / "two", a=4, b=1), options=Filter(solved_streak=3, slow_lane_share=0.0), a=1, b=1
    )
    new.carry_over(old.state_dict())
    drawn = new.draw(40, {})
    assert [position for position, _ in drawn] == list(range(4, 44))
    assert Counter(p.domain for _, p in drawn) == {"a": 20, "b": 20}
    assert "a3" not in {p.id for _, p in drawn}


def test_a_new_mixture_repeats_no_generated_problem():
    """A level in the slow lane moves the set on faster than the stream: its numbers are used up beyond the position."""
    source = Source(source="mini", tasks=("sort", "chain"), max_level=1)
    options = Filter(solved_streak=1, slow_lane_share=0.0)
    old, new = (make_stream(source, options=options) for _ in range(2))
    solved = next(p for _, p in old.draw(2, {}) if p.task == "sort")
    old.observe(solved, [1.0])
    seen = set(ids(old, 100))
    new.carry_over(old.state_dict())
    new.observe(solved, [0.5])
    assert not seen & set(ids(new, 100))
