"""The sampling pool: which groups a step keeps, how it refills, where it stops, and what it counts."""

import json
import math

import pytest

from prorl.config import Config, Data, Filter, Rollouts, Source
from prorl.errors import RunFailed
from prorl.pool import Pool
from prorl.prompts.mixture import Stream
from prorl.rewards.verifier import VerifierPool
from stand_ins import REWARDS, ScriptedEngine, template, write_rows

MIXED, SOLVED, FAILED = "1100", "1111", "0000"


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    path = tmp_path_factory.mktemp("rewards") / "rewards.py"
    path.write_text(REWARDS)
    return dict.fromkeys(("a", "b"), f"{path}:grade")


@pytest.fixture(scope="module")
def verifiers(functions):
    with VerifierPool(workers=1, timeout_seconds=30.0, memory_mb=512, functions=functions) as pool:
        yield pool


@pytest.fixture
def source(tmp_path):
    return write_rows(tmp_path / "rows.jsonl", a=60)


def make_config(source, *, prompts=4, group=4, max_prompt_tokens=100, domain_weights=None, **options):
    chosen = {"oversampling": 1.0, "max_rounds": 3, "solved_streak": 0} | options
    return Config(
        data=Data(sources=(source,), max_prompt_tokens=max_prompt_tokens, domain_weights=domain_weights or {}),
        rollouts=Rollouts(prompts_per_step=prompts, group_size=group, max_response_tokens=8),
        filter=Filter(**chosen),
    )


def make_pool(config, verifiers, script, *, order=0):
    """`script`: what the rollouts of each position say, one letter each; or a function of position and index."""
    say = script if callable(script) else lambda position, index: script.get(position, FAILED)[index]
    engine = ScriptedEngine(say, order)
    pool = Pool(Stream(config.data, config.filter, seed=0), template(), engine, [verifiers], seed=5)
    return pool, engine


def fill(config, verifiers, script, *, order=0, step=1):
    return make_pool(config, verifiers, script, order=order)[0].fill(step, config)


def positions(filled):
    return [group.position for group in filled.groups]


def values(group):
    return [score.value for score in group.scores]


def timeless(metrics):
    return {name: value for name, value in metrics.items() if not name.startswith("seconds/")}


REFILL = dict.fromkeys((1, 5, 9, 10, 12), MIXED) | {0: SOLVED, 3: SOLVED}
"""By hand, for 4 groups: at an acceptance of 1/2 round 1 draws 8 prompts, of which 1 and 5 teach. Then that rate is
0.9^(8/16) / 2 + (1 - 0.9^(8/16)) * 2/8 = 0.4872, so round 2 draws ceil(2 / 0.4872) = 5: 8 to 12; 12 is a surplus."""


def test_a_batch_is_refilled_until_it_is_full_in_stream_order(source, verifiers):
    filled = fill(make_config(source), verifiers, REFILL)
    assert positions(filled) == [1, 5, 9, 10]
    assert [values(group) for group in filled.groups] == [[1.0, 1.0, 0.0, 0.0]] * 4
    assert [list(group.texts) for group in filled.groups] == [list(MIXED)] * 4
    assert [len(group.prompt_tokens) for group in filled.groups] == [len(group.prompt.text) for group in filled.groups]


def test_metrics_by_hand(source, verifiers):
    """13 groups of 4 answers of a letter and the end token: five with two 1s, two with four, one with four halves."""
    filled = fill(make_config(source), verifiers, REFILL | {2: "hhhh"})
    assert timeless(filled.metrics) == {
        "groups/drawn": 13,
        "groups/kept": 4,
        "groups/surplus": 1,
        "rounds": 2,
        "tokens/generated": 104,
        "response_length/mean": 2.0,
        "truncated_fraction": 0.0,
        "outcomes/correct": 18 / 52,
        "outcomes/partial": 4 / 52,
        "outcomes/wrong": 30 / 52,
        "score/a": 20 / 52,
        "score/mean": 20 / 52,
    }
    assert filled.metrics["seconds/rollout"] > 0.0


def test_truncated_answers_are_counted_by_their_finish(source, verifiers):
    """A round is at most four times the batch: 4 groups of 4. Three answers are cut, and so a token shorter."""

    def cut(position, index):
        return "1~" if position == 2 and index < 3 else "0"

    metrics = fill(make_config(source, prompts=1, max_rounds=1, oversampling=4.0), verifiers, cut).metrics
    assert metrics["groups/drawn"] == 4
    assert metrics["truncated_fraction"] == 3 / 16
    assert metrics["tokens/generated"] == 16 * 2 - 3


@pytest.mark.parametrize("order", range(1, 6))
def test_what_is_kept_does_not_depend_on_the_order_of_arrival(source, verifiers, order):
    script = {p: "".join("10hq"[(p * p + i * (p % 3)) % 4] for i in range(4)) for p in range(60)}
    config = make_config(source, prompts=6)
    reference, shuffled = (fill(config, verifiers, script, order=n) for n in (0, order))
    assert len(reference.groups) == 6
    assert positions(shuffled) == positions(reference)
    assert [g.scores for g in shuffled.groups] == [g.scores for g in reference.groups]
    assert [g.texts for g in shuffled.groups] == [g.texts for g in reference.groups]
    for one, other in zip(shuffled.groups, reference.groups, strict=True):
        assert [r.tokens.tolist() for r in one.rollouts] == [r.tokens.tolist() for r in other.rollouts]
    assert timeless(shuffled.metrics) == timeless(reference.metrics)


def test_rounds_are_bounded_and_the_step_trains_on_what_there_is(source, verifiers):
    filled = fill(make_config(source, max_rounds=2), verifiers, {3: MIXED})
    assert positions(filled) == [3]
    assert filled.metrics["rounds"] == 2
    assert filled.metrics["groups/kept"] == 1
    assert filled.metrics["groups/surplus"] == 0


def test_or_it_stops_the_run_and_says_why(source, verifiers):
    config = make_config(source, max_rounds=2, on_exhausted="stop")
    # Acceptance after round 1: 0.9^0.5 / 2 + (1 - 0.9^0.5) / 8 = 0.4808; ceil(3 / 0.4808) = 7 more groups of 8 tokens.
    message = r"step 9: 1 of 4 informative groups after 2 rounds and 120 tokens; raise filter\.max_rounds or set "
    with pytest.raises(RunFailed, match=message):
        fill(config, verifiers, {3: MIXED}, step=9)


@pytest.mark.parametrize(("max_tokens", "rounds"), [(64, 1), (65, 2), (0, 3)])
def test_generated_tokens_are_bounded_between_rounds(source, verifiers, max_tokens, rounds):
    """A first round is 8 groups of 4 answers of 2 tokens: 64."""
    filled = fill(make_config(source, max_tokens=max_tokens), verifiers, {})
    assert filled.metrics["rounds"] == rounds
    assert filled.groups == ()


def test_an_answer_whose_verifier_failed_is_left_out_and_is_no_zero(source, verifiers):
    """1!1! is flat without its errors, and would not be if they were zeros."""
    script = {0: "1!0!", 1: "1!1!", 2: "!!!1", 3: "!!!!", 4: "!110"}
    config = make_config(source, prompts=4, max_rounds=1)
    pool, _ = make_pool(config, verifiers, script)
    filled = pool.fill(1, config)
    assert positions(filled) == [0, 4]
    assert [values(group) for group in filled.groups] == [[1.0, 0.0], [1.0, 1.0, 0.0]]
    assert [group.texts for group in filled.groups] == [("1", "0"), ("1", "1", "0")]
    assert [[r.index for r in group.rollouts] for group in filled.groups] == [[0, 2], [1, 2, 3]]
    # 8 groups drawn, 12 errors among 32 answers; the mean score is over the other 20: six are 1.
    assert filled.metrics["outcomes/error"] == 12 / 32
    assert filled.metrics["score/mean"] == 6 / 20
    # Two of the 8 teach: 1!1! does not count as one that does.
    assert pool.state_dict()["acceptance"]["a"] == pytest.approx(0.5 * 0.9**0.5 + (1 - 0.9**0.5) * 2 / 8)


def test_lanes_see_scores_and_never_errors(source, verifiers):
    config = make_config(source, prompts=4, max_rounds=1, solved_streak=3, unsolved_streak=3)
    pool, _ = make_pool(config, verifiers, {0: "1!11", 1: "!!!!", 2: "1!0!", 3: "!000", 4: SOLVED})
    pool.fill(1, config)
    streams = pool.state_dict()["stream"]
    by_position = [prompt.id for _, prompt in Stream(config.data, config.filter, seed=0).draw(8, {})]
    expected = {0: 1, 3: -1, 4: 1, 5: -1, 6: -1, 7: -1}
    assert streams["streaks"] == {by_position[position]: streak for position, streak in expected.items()}


def test_without_the_filter_every_group_is_kept(source, verifiers):
    script = {0: SOLVED, 1: FAILED, 2: MIXED, 3: "hhhh"}
    filled = fill(make_config(source, enabled=False), verifiers, script)
    assert positions(filled) == [0, 1, 2, 3]
    assert filled.metrics["rounds"] == 1


def test_without_the_filter_a_group_needs_two_rollouts_all_the_same(source, verifiers):
    """The refill then draws just what is missing."""
    filled = fill(make_config(source, enabled=False), verifiers, {0: "!!!!", 2: "1!!!", 3: "!1!0"})
    assert positions(filled) == [1, 3, 4, 5]
    assert [len(group.rollouts) for group in filled.groups] == [4, 2, 4, 4]
    assert filled.metrics["groups/drawn"] == 6


def test_spread_and_floor_of_the_filter(source, verifiers):
    """Scores 0.25 and 0.5 differ by 0.25; below a floor of 0.4 a 0.25 counts as 0, and 0.5 does not."""
    script = {0: "qhqh", 1: "q0q0", 2: MIXED}
    kept = {}
    for name, options in {
        "plain": {},
        "spread": {"min_spread": 0.25},
        "floor": {"min_spread": 0.25, "score_floor": {"a": 0.4}},
    }.items():
        kept[name] = positions(fill(make_config(source, max_rounds=1, **options), verifiers, script))
    assert kept == {"plain": [0, 1, 2], "spread": [2], "floor": [0, 2]}


def test_draws_follow_the_acceptance_of_each_domain(tmp_path, verifiers):
    """Acceptances 0.8 and 0.2 at equal quotas: a needs 1.25 draws a group and b 5, the mean group 3.125.

    So five groups need 15.6 draws: 16, of which a gets 1.25 parts and b 5, that is 3.2 and 12.8.
    """
    source = write_rows(tmp_path / "rows.jsonl", a=30, b=30)
    config = make_config(source, prompts=5, max_rounds=1, domain_weights={"a": 1.0, "b": 1.0})
    pool, engine = make_pool(config, verifiers, {})
    state = json.loads(json.dumps(pool.state_dict()))
    assert state["acceptance"] == {"a": 0.5, "b": 0.5}
    state["acceptance"] = {"a": 0.8, "b": 0.2}
    pool.load_state_dict(state)
    filled = pool.fill(1, config)
    assert filled.metrics["groups/drawn"] == 16
    drawn = [len([r for r in engine.requests if r.tokens[0] == template().encode(p)[0]]) for p in both(source)]
    assert drawn == [3, 13]
    # None taught: 0.9^(n / 16) of the old rates is left.
    after = pool.state_dict()["acceptance"]
    assert after["a"] == pytest.approx(0.8 * 0.9 ** (3 / 16))
    assert after["b"] == pytest.approx(0.2 * 0.9 ** (13 / 16))


def both(source):
    """A prompt of each domain; their texts begin with its name."""
    prompts = [p for _, p in Stream(Data(sources=(source,)), Filter(), seed=0).draw(2, {})]
    return sorted(prompts, key=lambda prompt: prompt.domain)


def test_a_domain_that_never_teaches_is_drawn_ten_times_and_a_round_four_batches_at_most(tmp_path, verifiers):
    source = write_rows(tmp_path / "rows.jsonl", a=30, b=30)
    config = make_config(source, prompts=11, max_rounds=1, domain_weights={"a": 1.0, "b": 1.0})
    pool, engine = make_pool(config, verifiers, {})
    pool.load_state_dict(pool.state_dict() | {"acceptance": {"a": 1.0, "b": 0.0}})
    pool.fill(1, config)
    # 11 * (0.5 / 1 + 0.5 / 0.1) = 60.5 is over four batches: 44 draws, 1 to 10.
    first = template().encode(both(source)[0])[0]
    assert [sum(r.tokens[0] == first for r in engine.requests), len(engine.requests)] == [4, 44]
    pool.load_state_dict(pool.state_dict() | {"acceptance": {"a": 0.0, "b": 0.0}})
    assert pool.fill(2, config).metrics["groups/drawn"] == 44


def test_oversampling_multiplies_the_draws(source, verifiers):
    """ceil(4 * 1.1 / 0.5) = 9."""
    filled = fill(make_config(source, max_rounds=1, oversampling=1.1), verifiers, {})
    assert filled.metrics["groups/drawn"] == math.ceil(8.8)


def test_prompts_that_are_too_long_are_dropped_and_counted(tmp_path, verifiers):
    """Ids a0 to a9 have two characters, a10 to a59 three: a pass over 20 rows has ten of each."""
    source = write_rows(tmp_path / "rows.jsonl", a=20)
    config = make_config(source, prompts=10, max_rounds=1, max_prompt_tokens=2)
    pool, engine = make_pool(config, verifiers, lambda position, index: "10"[index % 2])
    filled = pool.fill(1, config)
    assert filled.metrics["prompts/too_long"] == 10
    assert filled.metrics["groups/drawn"] == 10
    assert {len(request.tokens) for request in engine.requests} == {2}
    assert [len(group.prompt.text) for group in filled.groups] == [2] * 10
    assert "prompts/too_long" not in fill(make_config(source), verifiers, {}).metrics


def test_requests_carry_the_recipes_sampling_and_a_stream_for_each_rollout(source, verifiers):
    config = make_config(source, max_rounds=1)
    pool, engine = make_pool(config, verifiers, {})
    pool.fill(1, config)
    pool.fill(2, config)
    assert {(r.sampling.temperature, r.sampling.top_p, r.sampling.max_tokens) for r in engine.requests} == {
        (1.2, 1.0, 8)
    }
    assert [r.key for r in engine.requests] == list(range(len(engine.requests)))
    seeds = [seed for request in engine.requests for seed in request.seeds]
    assert len(set(seeds)) == len(seeds) == 4 * len(engine.requests)


def test_a_restored_pool_fills_the_same_next_batch(tmp_path, verifiers):
    source = write_rows(tmp_path / "rows.jsonl", a=20, b=10)
    config = make_config(source, solved_streak=1, slow_lane_share=0.5, oversampling=1.1)
    script = {p: (MIXED, SOLVED, FAILED, "1!!!")[p * p % 7 % 4] for p in range(500)}
    pool, _ = make_pool(config, verifiers, script)
    for step in (1, 2):
        pool.fill(step, config)
    state = json.loads(json.dumps(pool.state_dict()))
    again, _ = make_pool(config, verifiers, script, order=3)
    again.load_state_dict(state)
    for step in (3, 4):
        one, other = pool.fill(step, config), again.fill(step, config)
        assert positions(one) == positions(other)
        assert [g.prompt.id for g in one.groups] == [g.prompt.id for g in other.groups]
        assert timeless(one.metrics) == timeless(other.metrics)
    assert pool.state_dict() == again.state_dict()
    assert state["stream"]["position"] < pool.state_dict()["stream"]["position"]


def test_a_new_phase_keeps_position_lanes_and_known_acceptances(tmp_path, verifiers):
    old_config = make_config(write_rows(tmp_path / "old.jsonl", a=20), max_rounds=1, solved_streak=1)
    old, _ = make_pool(old_config, verifiers, dict.fromkeys(range(8), SOLVED))
    old.fill(1, old_config)
    new_config = make_config(write_rows(tmp_path / "new.jsonl", a=20, b=20), max_rounds=1, solved_streak=1)
    new, engine = make_pool(new_config, verifiers, {})
    new.carry_over(old.state_dict())
    state = new.state_dict()
    assert state["acceptance"] == {"a": pytest.approx(0.5 * 0.9**0.5), "b": 0.5}
    assert state["stream"]["position"] == 8
    assert state["stream"]["streaks"] == old.state_dict()["stream"]["streaks"]
    new.fill(2, new_config)
    assert engine.requests[0].key == 8


def test_an_answer_that_runs_out_of_time_scores_zero_and_is_told_of(source, functions):
    config = make_config(source, prompts=1, group=2, max_rounds=1)
    with VerifierPool(workers=1, timeout_seconds=1.0, memory_mb=512, functions=functions) as verifiers:
        pool, _ = make_pool(config, verifiers, {1: "1z"})
        filled = pool.fill(1, config)
        assert positions(filled) == [1]
        assert values(filled.groups[0]) == [1.0, 0.0]
        assert [score.outcome for score in filled.groups[0].scores] == ["correct", "timeout"]
        assert filled.timeouts == ((filled.groups[0].prompt.id, 1),)
        assert pool.fill(2, config).timeouts == ()


def test_prompts_of_the_mini_suite_reach_their_verifier(verifiers):
    config = make_config(Source(source="mini", tasks=("sort",), max_level=1), max_rounds=1)
    answers = {p: prompt.answer for p, prompt in Stream(config.data, config.filter, seed=0).draw(8, {})}
    filled = fill(config, verifiers, lambda position, index: answers[position] if index == 2 else "x")
    assert [values(group) for group in filled.groups] == [[0.0, 0.0, 1.0, 0.0]] * 4
    assert filled.metrics["score/logic"] == 0.25


def test_the_other_reading_is_logged_and_never_trained_on(source, verifiers, tmp_path):
    path = tmp_path / "other.py"
    path.write_text("def half(prompt, response): return 0.5")
    functions = {"a": f"{path}:half"}
    config = make_config(source)
    with VerifierPool(workers=1, timeout_seconds=30.0, memory_mb=512, functions=functions) as other:
        engine = ScriptedEngine(lambda position, index: REFILL.get(position, FAILED)[index], 0)
        stream = Stream(config.data, config.filter, seed=0)
        both = Pool(stream, template(), engine, [verifiers, other], seed=5).fill(1, config)
    alone = fill(config, verifiers, REFILL)
    assert positions(both) == positions(alone)
    assert [values(group) for group in both.groups] == [values(group) for group in alone.groups]
    added = {"score_other/a": 0.5, "score_other/mean": 0.5}
    assert timeless(both.metrics) == timeless(alone.metrics) | added
