"""Several processes compute what one computes, up to rounding; one that dies is one line, never a hang."""

import copy
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from prorl.assembly import make_engine
from prorl.config import Config, Data, Learner, Loss, Model, Optimizer, Reset, Rollouts
from prorl.errors import RunFailed, UserError
from prorl.learner.learner import Share
from prorl.learner.packing import shares
from prorl.learner.torch_learner import TorchLearner
from prorl.models import resolve_device
from prorl.records import Batch, Request, Row, Sampling
from prorl.replicas import Replicas, SplitEngine, anonymous_file, bind, mapped
from tiny_models import loaded, random_prompts, random_rows, tiny_model

RATE = 1e-3


def make_config(processes=3, *, reset=None, checkpointing=False, max_rows=24, **loss):
    return Config(
        model=Model(processes=processes),
        data=Data(max_prompt_tokens=12),
        rollouts=Rollouts(temperature=1.2, max_response_tokens=20, token_budget=max_rows * 32),
        loss=Loss(**{"kl_coefficient": 0.05, "engine_logprobs_below": 0.0} | loss),
        optimizer=Optimizer(max_grad_norm=0.0),
        learner=Learner(token_budget=64, logprob_chunk=16, activation_checkpointing=checkpointing),
        reset=Reset(**reset or {}),
    )


class Together:
    """A learner whose work three processes share, and one alone, from the same weights."""

    def __init__(self, kind="llama", config=None):
        self.config = config or make_config()
        self.loaded = loaded(tiny_model(kind))
        self.alone = TorchLearner(loaded(tiny_model(kind)), self.config)
        self.replicas = Replicas(self.loaded, self.config)
        self.learner = TorchLearner(self.loaded, self.config, others=self.replicas)
        self.begun = copy.deepcopy(self.learner.state_dict())

    def restore(self):
        for learner in (self.learner, self.alone):
            learner.load_state_dict(copy.deepcopy(self.begun))

    def both(self, act):
        return act(self.learner), act(self.alone)

    def update(self, batch, config):
        """The same update by both; their metrics."""
        return self.both(lambda learner: learner.update(batch, config, RATE))

    def assert_same(self, atol=1e-7):
        mine, theirs = self.both(lambda learner: learner.state_dict())
        for part in ("weights", "reference"):
            for name, value in theirs[part].items():
                torch.testing.assert_close(mine[part][name], value, atol=atol, rtol=0)


@pytest.fixture(scope="module")
def opened():
    together = Together()
    yield together
    together.replicas.close()


@pytest.fixture
def together(opened):
    opened.restore()
    return opened


def batch_of(*sizes):
    rows = iter(random_rows(sum(sizes), seed=5))
    return Batch(tuple(tuple(next(rows) for _ in range(size)) for size in sizes), {})


def row(prompt, size):
    return Row(prompt, np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.float32), 0.0)


def test_shares_are_runs_of_about_as_many_tokens_and_a_prompt_counts_once():
    # Costs 4 + 2, 2, 2, 4 + 2: the middles 3, 7, 9, 13 of 16; halves end at 8.
    rows = [row((1, 2, 3, 4), 2), row((1, 2, 3, 4), 2), row((1, 2, 3, 4), 2), row((5, 6, 7, 8), 2)]
    assert shares(rows, 2) == [rows[:2], rows[2:]]
    # Quarters end at 4, 8, 12.
    assert shares(rows, 4) == [rows[:1], rows[1:2], rows[2:3], rows[3:]]


def test_no_share_is_empty_when_there_are_fewer_rows_or_one_is_long():
    one, long = row((1,), 3), row((1, 2), 98)
    assert shares([one], 5) == [[one]]
    assert shares([one, long], 4) == [[one], [long]]


def test_memory_is_shared_without_a_name():
    before = set(os.listdir("/dev/shm")) if Path("/dev/shm").is_dir() else set()
    shapes = [torch.zeros(3), torch.zeros(2, 5), torch.zeros(1)]
    file = anonymous_file()
    one, other = mapped(file, shapes), mapped(file, shapes)
    after = set(os.listdir("/dev/shm")) if Path("/dev/shm").is_dir() else set()
    os.close(file)
    one[1][1, 2] = 7.0
    assert other[1][1, 2] == 7.0
    assert [tensor.data_ptr() % 64 for tensor in one] == [0, 0, 0]
    assert not {name for name in after - before if "prorl" in name}


def test_tied_weights_stay_tied():
    model = tiny_model("gpt2")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    parameters, file = list(model.parameters()), anonymous_file()
    bind(parameters, mapped(file, parameters))
    os.close(file)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


LOSSES = {
    "plain": {},
    "no KL": {"kl_coefficient": 0.0},
    "old log-probs of the engine": {"engine_logprobs_below": 1e9},
    "icepop": {"behaviour_correction": "icepop", "behaviour_low": 0.01, "behaviour_high": 50.0},
    "weighted KL": {"kl_importance": True, "kl_estimator": "k2"},
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_three_processes_train_as_one(together, loss):
    """Several packs a share, one mini-batch with fewer rows than processes, three updates."""
    config = make_config(**loss)
    for _ in range(3):
        mine, theirs = together.update(batch_of(9, 2, 12), config)
        assert mine.keys() == theirs.keys()
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    # AdamW steps by the learning rate whatever the gradient's size, so where it is nearly 0 its rounding shows.
    together.assert_same(atol=9 * RATE * 0.05)


def test_the_first_gradient_is_that_of_one_process(together):
    together.update(batch_of(11), make_config())
    mine, theirs = together.both(lambda learner: learner.state_dict()["optimizer"]["state"])
    for number, state in theirs.items():
        # (1 - beta1) times the gradient.
        torch.testing.assert_close(10 * mine[number]["exp_avg"], 10 * state["exp_avg"], atol=1e-6, rtol=1e-5)


def test_the_same_update_twice_is_the_same_bit_for_bit(together):
    results = []
    for _ in range(2):
        together.restore()
        together.learner.update(batch_of(9, 2, 12), make_config(), RATE)
        results.append(copy.deepcopy(together.learner.state_dict()))
    for name, value in results[0]["weights"].items():
        assert torch.equal(value, results[1]["weights"][name])


def test_a_reset_with_a_roll_back_reaches_the_replicas(together):
    config = make_config()
    batch = batch_of(6, 6)
    together.update(batch, config)
    best = {name: value.clone() for name, value in together.alone.weights().items()}
    together.update(batch, config)
    for learner in (together.learner, together.alone):
        learner.reset(best, best, config)
    mine, theirs = together.update(batch, config)
    assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    together.assert_same(atol=2 * RATE * 0.05)


def test_an_update_that_is_not_finite_in_one_process_is_skipped(together):
    rows = batch_of(9).minibatches[0]
    bad = Batch(((*rows[:-1], replace(rows[-1], advantage=float("nan"))), rows), {})
    work = [Share(part, 60, is_first=True) for part in shares(bad.minibatches[0], 3)]
    assert not together.learner._accumulate_all(work, make_config(), defaultdict(float))
    together.learner._optimizer.zero_grad()
    mine, theirs = together.update(bad, make_config())
    assert mine["updates_skipped"] == theirs["updates_skipped"] == 1.0
    assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    together.assert_same(atol=RATE * 0.05)


def test_dropout_and_activation_checkpointing_in_the_replicas():
    config = make_config(2, checkpointing=True)
    together = Together("gpt2", config)
    try:
        mine, theirs = together.update(batch_of(8), config)
    finally:
        together.replicas.close()
    assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)


def requests(count, max_tokens=20):
    sampling = Sampling(1.0, 1.0, max_tokens)
    prompts = random_prompts(count, seed=2)
    return [Request(100 + i, prompt, 3, sampling, (7 * i, 7 * i + 1, 7 * i + 2)) for i, prompt in enumerate(prompts)]


def spoken(rollouts):
    return {(r.key, r.index): (r.tokens.tolist(), r.finish_reason, r.versions) for r in rollouts}


def engines(together, config, weights, version):
    """One over three processes, and one alone, of these weights."""
    alone = make_engine(together.loaded, replace(config, model=Model()))
    split = SplitEngine(make_engine(together.loaded, config), together.replicas, config)
    for engine in (alone, split):
        engine.load_weights(weights, version)
    return split, alone


@pytest.mark.parametrize("count", [1, 2, 40])
def test_three_processes_sample_as_one(together, count):
    split, alone = engines(together, make_config(), together.learner.weights(), 3)
    assert split.version == 3
    assert spoken(split.generate(requests(count))) == spoken(alone.generate(requests(count)))


def test_the_replicas_follow_weights_that_are_not_the_policys_and_a_new_phase(together):
    other = {name: value.detach() * 1.5 for name, value in together.learner.weights().items()}
    split, alone = engines(together, make_config(max_rows=6), other, -1)
    before = copy.deepcopy(together.learner.state_dict()["weights"])
    assert spoken(split.generate(requests(12))) == spoken(alone.generate(requests(12)))
    assert all(torch.equal(before[name], value) for name, value in together.learner.weights().items())


def test_a_call_that_is_given_up_leaves_nothing_to_the_next(together):
    split, alone = engines(together, make_config(), together.learner.weights(), 1)
    next(split.generate(requests(30)))
    assert spoken(split.generate(requests(5))) == spoken(alone.generate(requests(5)))
    together.learner.update(batch_of(6), make_config(), RATE)


def test_what_goes_wrong_in_a_replica_is_told_in_one_line():
    together = Together(config=make_config(2))
    split, _ = engines(together, together.config, together.learner.weights(), 1)
    short, long = requests(2)
    long = replace(long, tokens=(5,) * 13)
    with pytest.raises(RunFailed) as caught:
        list(split.generate([short, long]))
    together.replicas.close()
    text = str(caught.value)
    assert text.startswith("process 2 of 2 of this run ended with 1 prorl.errors.UserError: a prompt of 13 tokens")
    assert "--resume" in text
    assert "\n" not in text


def test_a_replica_that_is_killed_is_a_failure_and_all_are_gone_after_close():
    together = Together(config=make_config(3))
    split, _ = engines(together, together.config, together.learner.weights(), 1)
    processes = [replica._process for replica in together.replicas._replicas]
    assert len(processes) == 2
    processes[1].kill()
    with pytest.raises(RunFailed, match="process 3 of 3 of this run ended with -9"):
        list(split.generate(requests(9)))
    with pytest.raises(RunFailed, match="process 3 of 3"):
        together.learner.update(batch_of(6), together.config, RATE)
    together.replicas.close()
    assert [process.poll() for process in processes] == [-9, -9]


def test_several_processes_on_a_gpu_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(UserError, match=r"model\.processes = 2: must be 1 on a GPU; or set model\.device = cpu"):
        resolve_device(Model(processes=2))
    assert resolve_device(Model(processes=2, device="cpu")).type == "cpu"
