"""What a run is put together from: built once by `open_run`, rebuilt in part at a new phase, closed at the end.

`train.py` uses the parts in the order of a step; nothing here decides anything.
"""

import logging
import math
import resource
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import torch
from transformers import PretrainedConfig

from prorl import distributed, models, schedule
from prorl.asynchronous.ahead import Batches, Phase, open_beside
from prorl.asynchronous.rollout_process import Order
from prorl.checkpoint import Checkpoints, Snapshot
from prorl.config import Config, Run
from prorl.errors import UserError
from prorl.evaluation.measure import evaluation_prompts, validate
from prorl.evaluation.problems import validation_problems
from prorl.evaluation.validate import check_problems
from prorl.learner.torch_learner import TorchLearner
from prorl.models import LoadedModel
from prorl.pool import Pool
from prorl.prompts.mixture import Stream
from prorl.prompts.sources import is_missing, no_such_file
from prorl.prompts.template import Template
from prorl.recipe import to_toml
from prorl.records import Prompt, Report
from prorl.rewards.readiness import check_rows, needed_verifiers, require_sandbox
from prorl.rewards.verifier import Reading, VerifierPool
from prorl.rollouts import vllm_support
from prorl.rollouts.engine import Engine
from prorl.rollouts.generate_engine import GenerateEngine
from prorl.rollouts.torch_engine import TorchEngine
from prorl.schedule import ResetAction, ScheduleState

_LOG = logging.getLogger(__name__)
_VERSIONED = ("prorl", "torch", "transformers")


@dataclass(slots=True)
class PhaseParts:
    """`Phase` in the learner's process."""

    config: Config
    seed: int
    template: Template
    engine: Engine
    verifiers: tuple[VerifierPool, ...]
    """By reading; the first is trained on."""
    problems: list[Prompt]
    pool: Pool

    def validate(self, progress: Callable[[str], None]) -> Report:
        return validate(
            self.problems,
            self.engine,
            self.template,
            self.verifiers[0],
            self.config,
            seed=self.seed,
            progress=progress,
        )

    def drain(self) -> None:
        """Nothing is sampled ahead."""

    def close(self) -> None:
        for verifiers in self.verifiers:
            verifiers.close()
        self.engine.close()


def engine_name(architecture: PretrainedConfig, config: Config) -> str:
    """The engine that the recipe names; `torch` falls back to `generate` for architectures it does not know."""
    name = config.rollouts.engine
    return "generate" if name == "torch" and not TorchEngine.supports(architecture) else name


def make_engine(loaded: LoadedModel, config: Config) -> Engine:
    """The engine for the recipe and the model, without weights."""
    name = engine_name(loaded.model.config, config)
    if name != config.rollouts.engine:
        kind = type(loaded.model).__name__
        _LOG.warning("the embedded engine does not know %s: rollouts go through transformers' generate, slower", kind)
    return ENGINES[name](loaded, config)


def _torch_engine(loaded: LoadedModel, config: Config) -> Engine:
    return TorchEngine(
        loaded.model.config,
        eos_ids=loaded.eos_ids,
        max_length=config.data.max_prompt_tokens + config.rollouts.max_response_tokens,
        token_budget=config.rollouts.token_budget,
        dtype=loaded.dtype,
        device=loaded.device,
    )


def _generate_engine(loaded: LoadedModel, config: Config) -> Engine:
    return GenerateEngine(
        models.same_architecture(loaded, config.model),
        eos_ids=loaded.eos_ids,
        max_length=config.data.max_prompt_tokens + config.rollouts.max_response_tokens,
        token_budget=config.rollouts.token_budget,
        dtype=loaded.dtype,
    )


ENGINES: dict[str, Callable[[LoadedModel, Config], Engine]] = {
    "torch": _torch_engine,
    "generate": _generate_engine,
    "vllm": vllm_support.open_engine,
}


def make_verifiers(config: Config, prompts: Iterable[Prompt], reading: Reading) -> VerifierPool:
    """The recipe's verifier processes, ready for prompts of these kinds. UserError: nobody can judge one of them."""
    options, kinds = config.reward, list(prompts)
    needed = needed_verifiers(kinds, options.functions)
    if "code" in needed:
        require_sandbox(options.sandbox)
    pool = VerifierPool(
        workers=options.workers,
        timeout_seconds=options.timeout_seconds,
        memory_mb=options.memory_mb,
        functions=options.functions,
        reading=reading,
        preload=needed,
        sandbox=options.sandbox,
    )
    try:
        for prompt in kinds:
            pool.spec_of(prompt)
    except UserError:
        pool.close()
        raise
    return pool


def _readings(config: Config) -> tuple[Reading, ...]:
    """The reading that is trained on, and the other one where it is to be logged."""
    first: Reading = "tolerant" if config.reward.reading == "tolerant" else "strict"
    other: Reading = "strict" if first == "tolerant" else "tolerant"
    return (first, other) if config.reward.log_other_reading else (first,)


def missing_files(run: Run) -> dict[str, str]:
    """Data files of the recipe that are not there, with the section that names them, in the recipe's order."""
    missing: dict[str, str] = {}
    for config in run.phases:
        measured = config.evaluation.every or config.evaluation.boundary_samples
        named = {"data": config.data.sources, "evaluation": config.evaluation.sources if measured else ()}
        for section, sources in named.items():
            for source in filter(is_missing, sources):
                missing.setdefault(source.source, section)
    return missing


def held_out_texts(run: Run) -> frozenset[str]:
    """What no phase trains on: the evaluation problems of all of them, for the last phase judges what all did."""
    return frozenset(prompt.text for config in run.phases for prompt in evaluation_prompts(config))


def open_stream(config: Config, seed: int, held_out: frozenset[str]) -> Stream:
    """The phase's stream of prompts at its start."""
    return Stream(config.data, config.filter, seed=seed, held_out=held_out)


def _refuse_too_long(problems: Sequence[Prompt], template: Template, config: Config) -> None:
    """Training drops a prompt that is too long; a measurement must not change its problems silently."""
    limit = config.data.max_prompt_tokens
    for problem in problems:
        size = len(template.encode(problem))
        if size > limit:
            raise UserError(
                f"data.max_prompt_tokens = {limit}: the evaluation problem {problem.id} has {size} tokens; raise the "
                "limit, or name evaluation.sources with shorter problems"
            )


def open_data(
    loaded: LoadedModel, config: Config, seed: int, held_out: frozenset[str]
) -> tuple[Stream, Template, tuple[VerifierPool, ...]]:
    """The phase's stream at its start, its template and its verifiers; refused here if they do not fit its data."""
    stream = open_stream(config, seed, held_out)
    template = Template(loaded.tokenizer, loaded.eos_ids, config.data.system_prompt)
    problems = evaluation_prompts(config)
    if config.evaluation.every:
        check_problems(validation_problems(config), config.evaluation.domain_weights)
    _refuse_too_long(problems, template, config)
    check_rows((*stream.rows(), *problems), config.reward.functions)
    kinds = (*stream.kinds(), *problems)
    with ExitStack() as opened:
        verifiers = tuple(opened.enter_context(make_verifiers(config, kinds, reading)) for reading in _readings(config))
        opened.pop_all()
    return stream, template, verifiers


def open_phase(
    loaded: LoadedModel, config: Config, seed: int, held_out: frozenset[str], progress: Callable[[str], None]
) -> PhaseParts:
    """Build the parts of a phase, its stream at the start."""
    problems = validation_problems(config) if config.evaluation.every else []
    engine = make_engine(loaded, config)
    stream, template, verifiers = open_data(loaded, config, seed, held_out)  # last, for it starts processes
    pool = Pool(stream, template, engine, verifiers, seed=seed, progress=progress)
    return PhaseParts(config, seed, template, engine, verifiers, problems, pool)


def boundary_steps(run: Run, step: int) -> range:
    """The steps before `step` whose checkpoints the boundary measures besides base and last model."""
    every = run.train.boundary_every
    return range(every, step, every) if every else range(0)


@dataclass(slots=True)
class Parts:
    """Everything a run has that is not a pure function."""

    run: Run
    loaded: LoadedModel
    learner: TorchLearner
    checkpoints: Checkpoints
    phase: Phase
    opening: Callable[[Config, int], Phase]
    """Opens a phase, given the step after which it began."""
    progress: Callable[[str], None]
    closed: bool = False
    versions: Mapping[str, str] = field(default_factory=lambda: {name: version(name) for name in _VERSIONED})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the engine and the verifiers; what was measured and saved is not theirs."""
        if not self.closed:
            self.closed = True
            self.phase.close()

    @property
    def pool(self) -> Batches:
        return self.phase.pool

    def sync(self) -> None:
        """Bring the engine to the learner's weights."""
        if self.phase.engine.version != self.learner.version:
            self.phase.engine.load_weights(self.learner.weights(), self.learner.version)

    def validate(self, config: Config) -> Report:
        assert config is self.phase.config, "the phase in force is validated"
        return self.phase.validate(self.progress)

    def reset(self, action: ResetAction) -> None:
        """Apply a reset to the learner; the best policy comes from its checkpoint."""
        best = None
        if action.reference == "best" or action.roll_back:
            which: Literal["adapter", "policy"] = "adapter" if self.run.model.lora_rank else "policy"
            best = self.checkpoints.load_weights(self.checkpoints.at(action.reference_step), which)
        self.learner.reset(
            best if action.reference == "best" else None, best if action.roll_back else None, self.phase.config
        )

    def enter_phase(self, config: Config, step: int) -> None:
        """Rebuild what the new phase's recipe changes after that step; the stream goes on at its position."""
        position = self.phase.pool.state_dict()
        self.phase.close()
        self.phase = self.opening(config, step)
        self.phase.pool.carry_over(position)

    def save(self, state: ScheduleState, *, reset: bool) -> Path:
        """Write the checkpoint of the step that `state` has completed."""
        self.phase.drain()
        learner = self.learner.state_dict()
        snapshot = Snapshot(
            step=state.step,
            state={"schedule": state.to_json(), "pool": self.phase.pool.state_dict()},
            weights=learner["weights"],
            adapter=learner["adapter"],
            reference=learner["reference"],
            reference_id=f"{self.run.model.path}@{state.last_reset}",
            optimizer=learner["optimizer"],
            config_toml=to_toml(self.run),
            versions=self.versions,
        )
        pinned = {f"boundary {step}": step for step in boundary_steps(self.run, state.step)}
        if state.best_step:
            pinned["best"] = state.best_step
        return self.checkpoints.save(
            snapshot, write_model_files=self._write_model_files, pinned=pinned, kind="reset" if reset else "regular"
        )

    def restore(self, snapshot: Snapshot) -> ScheduleState:
        """Put a checkpoint's state into the parts."""
        state = ScheduleState.from_json(snapshot.state["schedule"])
        self.learner.load_state_dict(
            {
                "weights": snapshot.weights,
                "adapter": snapshot.adapter,
                "reference": snapshot.reference,
                "optimizer": snapshot.optimizer,
            }
        )
        config = schedule.phase(self.run, state)
        if config is not self.phase.config:
            self.phase.close()
            self.phase = self.opening(config, state.step - state.phase_step)
        self.phase.pool.load_state_dict(snapshot.state["pool"])
        return state

    def _write_model_files(self, folder: Path) -> None:
        model = self.loaded.model
        model.config.save_pretrained(folder)
        if model.generation_config is not None:
            model.generation_config.save_pretrained(folder)
        self.loaded.tokenizer.save_pretrained(folder)


def _ready(run: Run) -> tuple[LoadedModel, frozenset[str]]:
    """The model, and what is held out: all that this rank's machine may lack is looked for, and nothing shared yet."""
    if missing := missing_files(run):  # before the model, which may be a long download
        name, section = next(iter(missing.items()))
        raise no_such_file(section, name, len(missing))
    for phase_config in run.phases:
        vllm_support.refuse_unready(phase_config)
    if run.model.lora_rank:
        models.load_adapters(run.model)
    if run.model.threads:
        torch.set_num_threads(run.model.threads)
    loaded, held_out = models.load(run.model), held_out_texts(run)
    for later in run.phases[1:]:
        for verifiers in open_data(loaded, later, run.train.seed, held_out)[-1]:
            verifiers.close()  # what is wrong is said now, not after days
    return loaded, held_out


def open_run(run: Run, folder: Path, sampling: Callable[[str], None], progress: Callable[[str], None]) -> Parts:
    """Load the model and build the parts of the first phase; `sampling` is told of rollouts and may abandon them."""
    loaded, held_out = distributed.each(lambda: _ready(run))  # the ranks build the rest together
    config = run.phases[0]
    learner = TorchLearner(loaded, config, progress)
    checkpoints = Checkpoints(folder / "checkpoints", keep=run.train.keep_checkpoints)

    def opening(config: Config, begun: int) -> Phase:
        if not config.rollouts.process:
            return open_phase(loaded, config, run.train.seed, held_out, sampling)
        order = Order(
            run=run,
            phase=run.phases.index(config),
            held_out=held_out,
            architecture=loaded.model.config,
            tokenizer=loaded.tokenizer,
            eos_ids=loaded.eos_ids,
            device=loaded.device.type,
            dtype=loaded.dtype,
        )
        return open_beside(order, begun + config.phase.steps if config.phase.steps else math.inf, folder, sampling)

    return Parts(run, loaded, learner, checkpoints, opening(config, 0), opening, progress)


def host_bytes() -> int:
    """Largest resident size of this process so far, in bytes."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
