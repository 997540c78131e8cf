"""Sampling and verification side by side: results in the order of the requests, equal answers judged once."""

import pytest

from prorl.judging import Judge
from prorl.records import Prompt, Request, Sampling
from prorl.rewards.verifier import VerifierPool
from prorl.rollouts.engine import Engine
from stand_ins import EOS, REWARDS, ScriptedEngine, template, tokenizer

ANSWERS = {7: ["1", "h", "1", "0"], 3: ["0", "0", "0", "0"], 5: ["q", "1", "!", "x"]}


@pytest.fixture(scope="module")
def open_pool(tmp_path_factory):
    path = tmp_path_factory.mktemp("rewards") / "rewards.py"
    path.write_text(REWARDS)
    pools = []

    def make(function):
        pools.append(
            VerifierPool(workers=1, timeout_seconds=30.0, memory_mb=512, functions={"d": f"{path}:{function}"})
        )
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture(scope="module")
def grade(open_pool):
    return open_pool("grade")


@pytest.fixture(scope="module")
def harsh(open_pool):
    return open_pool("harsh")


def requests_for(answers):
    return [Request(key, (4, 5), len(texts), Sampling(), tuple(range(len(texts)))) for key, texts in answers.items()]


def prompts_for(answers):
    return {key: Prompt(id=f"p{key}", domain="d", task="t", content="x") for key in answers}


def run(pools, answers=None, order=0, progress=lambda text: None):
    answers = answers or ANSWERS
    engine = ScriptedEngine(lambda key, index: answers[key][index], order)
    assert isinstance(engine, Engine)
    judge = Judge(engine, template(), pools, progress)
    return judge, judge.run(requests_for(answers), prompts_for(answers))


@pytest.mark.parametrize("order", range(5))
def test_results_are_in_the_order_of_requests_and_rollouts_whatever_finished_first(grade, order):
    _, judged = run([grade], order=order)
    assert [item.request.key for item in judged] == [7, 3, 5]
    assert [item.prompt.id for item in judged] == ["p7", "p3", "p5"]
    assert [list(item.texts) for item in judged] == list(ANSWERS.values())
    assert [[rollout.index for rollout in item.rollouts] for item in judged] == [[0, 1, 2, 3]] * 3
    for item in judged:
        for rollout, text in zip(item.rollouts, item.texts, strict=True):
            assert rollout.tokens.tolist() == [*tokenizer().convert_tokens_to_ids(list(text)), EOS]
    values = [[score.value for score in item.scores[0]] for item in judged]
    assert values == [[1.0, 0.5, 1.0, 0.0], [0.0] * 4, [0.25, 1.0, 0.0, 0.0]]
    outcomes = [score.outcome for score in judged[2].scores[0]]
    assert outcomes == ["partial", "correct", "error", "wrong"]


def test_equal_answers_to_one_prompt_are_verified_once(grade):
    """7 has three different answers, 3 one, 5 four; an answer that two prompts share is judged for each."""
    before = sum(grade.outcomes.values())
    run([grade])
    assert sum(grade.outcomes.values()) - before == 3 + 1 + 4
    assert grade.num_pending == 0


@pytest.mark.parametrize("order", range(3))
def test_several_readings_stay_apart(grade, harsh, order):
    _, judged = run([grade, harsh], order=order)
    assert [len(item.scores) for item in judged] == [2, 2, 2]
    assert [score.value for score in judged[0].scores[0]] == [1.0, 0.5, 1.0, 0.0]
    assert [score.value for score in judged[0].scores[1]] == [1.0, 0.0, 1.0, 0.0]
    assert [score.outcome for score in judged[2].scores[1]] == ["wrong", "correct", "wrong", "wrong"]


def test_progress_counts_rollouts_and_then_waits_for_the_verifiers(grade):
    said = []
    answers = {key: ["1"] * 50 for key in range(3)}
    judge, _ = run([grade], answers, progress=said.append)
    assert said == ["rollout 64/150", "rollout 128/150", "verify"]
    assert judge.seconds_rollout > 0.0


def test_no_requests_no_results(grade):
    judge = Judge(ScriptedEngine(lambda key, index: "1"), template(), [grade])
    assert judge.run([], {}) == []
