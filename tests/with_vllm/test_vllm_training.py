"""Runs on vLLM's CPU build, end to end: resumed like uninterrupted, and a learner that computes as without vLLM."""

import json
import subprocess
import sys

import pytest

from prorl.shipped import mini_base_path
from runs import ENVIRONMENT, prorl, records, write_recipe

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(3600)]
CLOCKS = ("seconds/", "memory/", "time/")


def metrics(folder) -> list[dict[str, float]]:
    return [
        {name: value for name, value in record.items() if not name.startswith(CLOCKS)}
        for record in records(folder, "metrics")
    ]


def train(recipe, out, *more: str) -> str:
    done = prorl("train", recipe, "--out", out, "--set", "rollouts.engine=vllm", *more)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path):
    """Two validations, resets by stagnation, a checkpoint every two steps."""
    recipe = write_recipe(tmp_path)
    assert train(recipe, tmp_path / "whole") == ""
    train(recipe, tmp_path / "parts", "--set", "train.steps=6")
    train(recipe, tmp_path / "parts", "--set", "train.steps=12", "--resume")
    whole, parts = metrics(tmp_path / "whole"), metrics(tmp_path / "parts")
    assert [record["step"] for record in whole] == list(range(1, 13))
    assert parts == whole
    assert max(record["kl/engine"] for record in whole) < 1e-8
    assert any(event["event"] == "reset" for event in records(tmp_path / "whole", "events"))


UPDATES = """
import hashlib, json, os, sys
import prorl.environment
import torch
from prorl.config import Config, Data, Learner, Loss, Model, Optimizer, Rollouts
from prorl.models import load
from prorl.records import Batch, Request, Row, Sampling
from prorl.learner.torch_learner import TorchLearner
from prorl.rollouts import vllm_support

config = Config(
    model=Model(path=sys.argv[1], device="cpu"),
    data=Data(max_prompt_tokens=64),
    rollouts=Rollouts(engine="vllm", max_response_tokens=32, token_budget=4096),
    loss=Loss(kl_coefficient=0.1),
    optimizer=Optimizer(learning_rate=1e-3),
)

def digest():
    learner = TorchLearner(load(config.model), config)
    generator = torch.Generator().manual_seed(0)
    draw = lambda size: torch.randint(2, 99, (size,), generator=generator)
    rows = tuple(
        Row(tuple(draw(40).tolist()), draw(20).numpy(), -torch.rand(20, generator=generator).numpy(), 1.0 - (i % 3))
        for i in range(24)
    )
    for _ in range(3):
        learner.update(Batch((rows[:12], rows[12:]), {}), config, 1e-3)
    found = hashlib.sha256()
    for value in learner.weights().values():
        found.update(value.detach().numpy().tobytes())
    return found.hexdigest()

def state():
    tiny = float(torch.tensor([1e-40]) * 0.5)
    own = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    return [digest(), torch.get_num_threads(), tiny, torch.get_default_dtype() == torch.float32, own]

before = state()
loaded = load(config.model)
random = torch.get_rng_state()
engine = vllm_support.open_engine(loaded, config)
engine.load_weights(dict(loaded.model.named_parameters()), 0)
spoken = list(engine.generate([Request(0, (5, 6, 7), 4, Sampling(1.0, 1.0, 8), (1, 2, 3, 4))]))
same = [torch.equal(random, torch.get_rng_state())]
during = state()
random = torch.get_rng_state()
engine.close()
same.append(torch.equal(random, torch.get_rng_state()))
print(json.dumps([before == during == state(), all(same), len(spoken), before[2]]))
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_learner_computes_as_without_vllm(threads):
    """Weights after three updates, threads, numbers below the smallest normal one, generators, the environment."""
    done = subprocess.run(
        [sys.executable, "-c", UPDATES, str(mini_base_path())],
        capture_output=True,
        text=True,
        timeout=1200,
        env={**ENVIRONMENT, "OMP_NUM_THREADS": threads},
    )
    assert done.returncode == 0, done.stderr
    # Nothing on standard output but the last line: what vLLM says goes to its log.
    same, generators, spoken, tiny = json.loads(done.stdout)
    assert same
    assert generators
    assert spoken == 4
    assert tiny > 0
