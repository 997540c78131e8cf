"""The plan's arithmetic by hand, for the paper's first phase, and what it is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from prorl.cli import main
from prorl.commands.plan import measured
from prorl.config import Config, Filter, Loss, Model, Optimizer, Phase, Rollouts, Run, Train
from prorl.models import Size
from prorl.planning import workload
from prorl.planning.workload import CPU_CORE, H100, Assumptions
from prorl.recipe import load_run

PAPER = Assumptions(machine=H100, devices=32)


@pytest.fixture(scope="module")
def phase_1() -> Config:
    return load_run("prorl_1.5b").phases[0]


@pytest.fixture(scope="module")
def size(phase_1: Config) -> Size:
    return measured(phase_1.model)


def test_prompts_rollouts_and_tokens_of_a_step(phase_1: Config, size: Size) -> None:
    """256 * 1.1 / 0.5 = 563.2 prompts for 256 that teach; a response is half of 8,192."""
    step = workload.plan_step(phase_1, size, PAPER)
    assert (step.prompts, step.rollouts, step.updates) == (256, 4096, 4)
    assert (step.drawn, step.most_drawn) == (564, 10 * 4 * 256)
    assert step.generated == 564 * 16 * 4096 == 36_962_304
    assert step.trained == 4096 * 4096 == 16_777_216
    assert step.most_generated == 10_240 * 16 * 8192
    assert step.most_trained == 4096 * 8192


def test_seconds_of_a_step(phase_1: Config, size: Size) -> None:
    """Multiplied are 1,777,088,000 - 233,373,696 parameters; the mean token looks back on 2,048.

    2 * 1,543,714,304 + 4 * 28 * 1536 * 2048 = 3,439,750,144 operations a token and pass.
    """
    assert workload.forward_flops(size, 4096) == 3_439_750_144
    # Forward and backward 3, recomputed 1, reference 1, the old policy for three mini-batches of four.
    assert workload.num_passes(phase_1) == 5.75
    step = workload.plan_step(phase_1, size, PAPER)
    assert step.sampling_seconds == pytest.approx(36_962_304 * 3_439_750_144 / (32 * 989e12 * 0.018))
    assert step.updating_seconds == pytest.approx(16_777_216 * 5.75 * 3_439_750_144 / (32 * 989e12 * 0.08))
    one = workload.plan_step(phase_1, size, Assumptions(machine=H100))
    assert one.sampling_seconds == pytest.approx(32 * step.sampling_seconds)
    told = workload.plan_step(phase_1, size, Assumptions(machine=H100, devices=2, tokens_per_second=5000.0))
    assert told.sampling_seconds == pytest.approx(36_962_304 / 10_000)
    assert told.updating_seconds == pytest.approx(one.updating_seconds / 2)


def test_a_rollout_process_samples_during_the_update_where_it_has_devices(phase_1: Config, size: Size) -> None:
    told = Assumptions(machine=H100, devices=5, tokens_per_second=1000.0, trained_per_second=2000.0)
    beside = replace(phase_1, rollouts=replace(phase_1.rollouts, process=True, max_staleness=1))
    step = workload.plan_step(beside, size, told)  # two learn, two sample, one is left
    assert step.sampling_seconds == pytest.approx(36_962_304 / 2000)
    assert step.updating_seconds == pytest.approx(16_777_216 / 4000)
    assert step.seconds == step.sampling_seconds
    exact = replace(beside, rollouts=replace(beside.rollouts, max_staleness=0))
    assert workload.plan_step(exact, size, told).seconds == step.sampling_seconds + step.updating_seconds
    shared = workload.plan_step(beside, size, replace(told, devices=1))
    assert shared.seconds == pytest.approx(36_962_304 / 1000 + 16_777_216 / 2000)


def test_what_bounds_a_step() -> None:
    rollouts = Rollouts(prompts_per_step=10, group_size=2, max_response_tokens=100)
    config = Config(rollouts=rollouts, filter=Filter(max_rounds=2, oversampling=1.0), loss=Loss(kl_coefficient=0.0))
    size = measured(Model())
    told = Assumptions(machine=CPU_CORE, acceptance=0.25, response_tokens=30.0)
    step = workload.plan_step(config, size, told)
    assert (step.drawn, step.most_drawn, step.generated, step.most_generated) == (40, 80, 40 * 2 * 30, 80 * 2 * 100)
    # Two rounds of forty are the most, however few teach; and no response is longer than its limit.
    bound = workload.plan_step(config, size, replace(told, acceptance=0.01, response_tokens=1000.0))
    assert (bound.drawn, bound.generated) == (80, 80 * 2 * 100)
    # A token bound is looked at between rounds: 500, and one more round of 40 * 2 * 100.
    tokens = replace(config, filter=replace(config.filter, max_tokens=500))
    assert workload.plan_step(tokens, size, told).most_generated == 500 + 8000
    off = workload.plan_step(replace(config, filter=Filter(enabled=False)), size, told)
    assert (off.drawn, off.most_drawn, off.generated) == (10, 10, 10 * 2 * 30)
    assert workload.num_passes(config) == 3.0
    assert workload.num_updates(replace(config, optimizer=Optimizer(minibatch_prompts=4))) == 3


def test_steps_of_the_phases_stay_within_the_run() -> None:
    def phases(*steps: int) -> tuple[Config, ...]:
        return tuple(Config(phase=Phase(steps=number), train=Train(steps=10)) for number in steps)

    assert workload.phase_steps(Run(name="", phases=phases(3, 4, 0))) == [3, 4, 3]
    assert workload.phase_steps(Run(name="", phases=phases(3, 9, 4))) == [3, 7, 0]
    assert workload.phase_steps(Run(name="", phases=phases(0))) == [10]


def test_what_is_planned_for_does_not_depend_on_where() -> None:
    """A large model is planned for a GPU in bfloat16 on any machine, a small one for a core, and an option decides."""
    paper = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
    assert measured(Model(path=paper)).itemsize == measured(Model(path=paper, device="cuda")).itemsize == 2
    assert measured(Model(path=paper, dtype="float32")).itemsize == 4
    assert measured(Model(path=paper, device="cpu")).itemsize == measured(Model()).itemsize == 4
    assert measured(Model(device="cuda")).itemsize == 2
    assert workload.is_for_gpu(Model(), measured(Model(path=paper)))
    assert not workload.is_for_gpu(Model(), measured(Model()))


def test_a_plan_says_what_it_assumes_and_takes_what_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def plan(*options: str) -> str:
        assert main(["plan", "quickstart", *options]) == 0
        return capsys.readouterr().out

    text = plan()
    assert "50% of the sampled groups teach (--acceptance)" in text
    assert "half of its limit in the mean (--response-tokens)" in text
    assert "1 CPU core" in text
    # 32 * 1.1 / 0.4 = 88 prompts of 16 rollouts of 12 tokens, 400 times.
    text = plan("--acceptance", "0.4", "--response-tokens", "12", "--devices", "2", "--tokens-per-second", "1408")
    assert "draws     88 prompts = 1,408 rollouts a step; at most 384 = 6,144" in text
    assert "tokens    16,896 generated a step, 6,144 trained; at most 294,912 and 24,576" in text
    assert (
        "35,200 prompts, 563,200 rollouts, 6.8 million tokens generated; 2.5 million trained in 1,600 updates" in text
    )
    assert "time      6 s sampling" in text
    assert "on 2 CPU cores" in text
    assert "1408 tokens a second while sampling (--tokens-per-second)" in text
    assert "device: 2e+12 operations a second (--flops)" in plan("--flops", "2e12")


def test_phases_and_totals_of_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "prorl_1.5b", "--devices", "32"]) == 0
    text = capsys.readouterr().out
    # 564 prompts a step: 1,770 steps of 16 rollouts, 480 of 32, 200 of 16.
    prompts, rollouts = 2450 * 564, (1770 + 960 + 200) * 564 * 16
    assert (prompts, rollouts) == (1_381_800, 26_440_320)
    generated = ((1770 + 960) * 4096 + 200 * 8192) * 564 * 16
    assert f"{prompts:,} prompts, {rollouts:,} rollouts, {generated / 1e9:.1f} billion tokens generated" in text
    assert "9,800 updates" in text
    assert "batch     256 prompts x 32 rollouts = 8192 rollouts a step, 4 updates" in text
    assert "reset     on entering: reference <- policy, optimizer clear" in text
    assert text.count("on entering") == 7


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--acceptance", "0"),
        ("--acceptance", "1.5"),
        ("--devices", "0"),
        ("--device-memory", "-1"),
        ("--flops", "-1"),
        ("--response-tokens", "nan"),
        ("--tokens-per-second", "inf"),
    ],
)
def test_impossible_assumptions_are_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "quickstart", f"{option}={value}"]) == 2
    assert capsys.readouterr().err.startswith(f"prorl: {option} ")


def test_a_recipe_with_some_of_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """What is there is read, and what is not there is said and weighed as the recipe states it."""
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(
        'extends = "quickstart"\n[data]\nsources = [{source = "mini", tasks = ["sort"], weight = 3, domain = "logic"}, '
        '{source = "rows.jsonl", weight = 1}]\n[evaluation]\nevery = 7\nboundary_samples = 0\n'
    )
    assert main(["plan", "own.toml"]) == 0
    text = capsys.readouterr().out
    assert "data        not found here: rows.jsonl\n" in text
    assert "  data      logic 75%, rows.jsonl 25% (by the weights)\n" in text
    assert "  validate  2 sources, 6 problems of each level at most, x 4 samples every 7 steps\n" in text
    Path("rows.jsonl").write_text(
        "".join(f'{{"domain": "chess", "prompt": "move {number}", "verifier": "mini"}}\n' for number in range(20))
    )
    assert main(["plan", "own.toml"]) == 0
    text = capsys.readouterr().out
    assert "not found here" not in text
    assert "  data      chess 25%, logic 75%\n" in text
