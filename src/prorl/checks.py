"""The rules between options: what each value allows by itself stands in `config.py`, what they allow together here.

Stage 0, configuration. `load_run` and `train` call `check` before anything else. It reads options only: no file, no
device, no model.
"""

from collections.abc import Callable, Iterator

from prorl.config import ALL_LINEAR, Config, Model, Run, Source
from prorl.errors import UserError
from prorl.options import key_text, literal, plain_sections, typed_sections

RUN_SECTIONS = ("model", "train", "cluster")
"""What belongs to the run and not to a phase."""


def check(run: Run) -> None:
    """UserError for the first value or combination of values that cannot be run."""
    if not run.phases:
        raise UserError("phases: a run needs at least one")
    for number, config in enumerate(run.phases, start=1):
        place = f"phase {number}: " if len(run.phases) > 1 else ""
        typed_sections(plain_sections(config), prefix=place)
        for rule in RULES:
            for problem in rule(config):
                raise UserError(place + problem)
    for problem in _phases(run):
        raise UserError(problem)


def _data(config: Config) -> Iterator[str]:
    if not config.data.sources:
        yield 'data.sources = []: name at least one source, as [{source = "mini"}]'
    elif not any(source.weight > 0 for source in config.data.sources):
        yield "data.sources: at least one weight must be above 0"
    yield from _sources("data", config.data.sources)
    yield from _sources("evaluation", config.evaluation.sources)


def _sources(section: str, sources: tuple[Source, ...]) -> Iterator[str]:
    for number, source in enumerate(sources):
        key = f"{section}.sources[{number}]"
        if not source.source:
            yield f'{key}.source = "": must be mini or a JSON Lines file'
        if "/" in source.domain or source.domain == "mean":
            rule = 'must not contain "/" nor be "mean", for metrics are named after it'
            yield f"{key}.domain = {literal(source.domain)}: {rule}"
        if 0 < source.max_level < source.min_level:
            yield f"{key}.min_level = {source.min_level}: must be at most its max_level ({source.max_level})"


def _domains(config: Config) -> Iterator[str]:
    for section, weights in (("data", config.data.domain_weights), ("evaluation", config.evaluation.domain_weights)):
        for domain, weight in weights.items():
            if weight <= 0:
                yield f"{section}.domain_weights.{key_text(domain)} = {weight}: must be above 0"
    for domain, floor in config.filter.score_floor.items():
        if not 0 <= floor <= 1:
            yield f"filter.score_floor.{key_text(domain)} = {floor}: must be between 0 and 1"
    for domain, function in config.reward.functions.items():
        module, colon, name = function.partition(":")
        if not (module and colon and name):
            yield f"reward.functions.{key_text(domain)} = {literal(function)}: must be module:function"


def _sandbox(config: Config) -> Iterator[str]:
    sandbox = config.reward.sandbox
    if sandbox not in ("auto", "landlock", "bubblewrap", "unsafe") and not sandbox.startswith(("http://", "https://")):
        yield (
            f"reward.sandbox = {literal(sandbox)}: must be auto, landlock, bubblewrap, unsafe or the URL of a Sandbox "
            "Fusion server"
        )


def _lengths(config: Config) -> Iterator[str]:
    response = config.rollouts.max_response_tokens
    buffer, budget = config.reward.soft_buffer_tokens, config.rollouts.token_budget
    if config.reward.truncation == "soft" and not 0 < buffer < response:
        yield (
            f"reward.soft_buffer_tokens = {buffer}: must be above 0 and below rollouts.max_response_tokens ({response})"
            ' for reward.truncation = "soft"'
        )
    longest = config.data.max_prompt_tokens + response
    if budget < longest:
        yield (
            f"rollouts.token_budget = {budget}: must hold one rollout, "
            f"data.max_prompt_tokens + rollouts.max_response_tokens ({longest})"
        )


def _engine(config: Config) -> Iterator[str]:
    options = config.rollouts
    of_vllm = {
        "tensor_parallel_size": (options.tensor_parallel_size, 1),
        "gpu_memory_utilization": (options.gpu_memory_utilization, 0.0),
    }
    for name, (value, default) in of_vllm.items():
        if options.engine != "vllm" and value != default:
            yield f'rollouts.{name} = {value} is for rollouts.engine = "vllm"; set that, or leave it at {default}'


def _adapter(config: Config) -> Iterator[str]:
    model, default = config.model, Model()
    for name, value, usual in (
        ("lora_alpha", model.lora_alpha, default.lora_alpha),
        ("lora_targets", model.lora_targets, default.lora_targets),
    ):
        if not model.lora_rank and value != usual:
            yield f"model.{name} = {literal(value)} is for an adapter; set model.lora_rank, or leave it out"
    if not model.lora_targets or (ALL_LINEAR in model.lora_targets and len(model.lora_targets) > 1):
        yield f'model.lora_targets = {literal(model.lora_targets)}: must be ["{ALL_LINEAR}"] or names of layers'
    if model.lora_rank and config.learner.reference_on_host:
        yield (
            "learner.reference_on_host = true: with model.lora_rank the reference is an adapter on the policy's own "
            "weights; leave it out"
        )


def _asynchronous(config: Config) -> Iterator[str]:
    stale = config.rollouts.max_staleness
    if stale and not config.rollouts.process:
        yield f"rollouts.max_staleness = {stale} needs a process that samples ahead: set rollouts.process = true"
    if stale and config.loss.behaviour_correction == "none":
        yield (
            f"rollouts.max_staleness = {stale}: older weights sample than are trained, which is to be corrected for: "
            'set loss.behaviour_correction = "truncated" or "icepop"'
        )


def _update(config: Config) -> Iterator[str]:
    loss, optimizer = config.loss, config.optimizer
    if 0 < loss.dual_clip <= 1:
        yield f"loss.dual_clip = {loss.dual_clip}: must be 0 (off) or above 1"
    if loss.behaviour_low > loss.behaviour_high:
        yield f"loss.behaviour_low = {loss.behaviour_low}: must be at most loss.behaviour_high ({loss.behaviour_high})"
    for name, value in (("beta1", optimizer.beta1), ("beta2", optimizer.beta2)):
        if value >= 1:
            yield f"optimizer.{name} = {value}: must be below 1"
    if optimizer.minibatch_prompts > config.rollouts.prompts_per_step:
        yield (
            f"optimizer.minibatch_prompts = {optimizer.minibatch_prompts}: "
            f"must be at most rollouts.prompts_per_step ({config.rollouts.prompts_per_step})"
        )


def _validation(config: Config) -> Iterator[str]:
    reset, phase = config.reset, config.phase
    needs = (
        ("reset.patience", reset.patience, reset.patience > 0),
        ("reset.max_drop", reset.max_drop, reset.max_drop > 0),
        ("reset.roll_back", reset.roll_back, reset.roll_back),
        ("reset.reference", reset.reference, reset.reference == "best"),
        ("phase.until_stagnation", phase.until_stagnation, phase.until_stagnation),
    )
    for key, value, used in needs:
        if used and not config.evaluation.every:
            yield f"{key} = {literal(value)} needs validation: set evaluation.every"
    if phase.until_stagnation and not (reset.patience and reset.max_resets):
        missing = "reset.max_resets" if reset.patience else "reset.patience"
        yield f"phase.until_stagnation = true ends a phase after its last allowed reset: set {missing}"


def _divergence(config: Config) -> Iterator[str]:
    for key, bound in (("reset.max_kl", config.reset.max_kl), ("health.max_kl", config.health.max_kl)):
        if bound > 0 and not config.loss.kl_coefficient:
            yield f"{key} = {bound} needs the KL to the reference: set loss.kl_coefficient above 0"


RULES: tuple[Callable[[Config], Iterator[str]], ...] = (
    _data,
    _domains,
    _sandbox,
    _lengths,
    _engine,
    _adapter,
    _asynchronous,
    _update,
    _validation,
    _divergence,
)


def _phases(run: Run) -> Iterator[str]:
    first = plain_sections(run.phases[0])
    for number, config in enumerate(run.phases[1:], start=2):
        for section in RUN_SECTIONS:
            for option, value in plain_sections(config)[section].items():
                if value != first[section][option]:
                    must = f"must be {literal(first[section][option])} as in phase 1, it belongs to the whole run"
                    yield f"phase {number}: {section}.{option} = {literal(value)}: {must}"
    for number, config in enumerate(run.phases[:-1], start=1):
        if not config.phase.steps and not config.phase.until_stagnation:
            yield f"phase {number}: phase.steps = 0: only the last phase may be without a bound"
