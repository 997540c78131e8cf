"""`prorl plan`: what a recipe means, phase by phase and as a whole, before anything runs."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

from prorl import models
from prorl.assembly import held_out_texts, missing_files, open_stream
from prorl.config import Config, Data, Model, Run
from prorl.errors import UserError
from prorl.evaluation.problems import validation_problems
from prorl.models import Size
from prorl.planning import fitting, footprint, workload
from prorl.planning.devices import split
from prorl.planning.probe import Probe, probe
from prorl.planning.workload import Assumptions, Machine, StepPlan
from prorl.recipe import load_run

AMOUNTS = {1e12: "trillion", 1e9: "billion", 1e6: "million"}
TIMES = {86400.0: "days", 3600.0: "hours", 60.0: "minutes"}


GB = 1e9
"""As a device's memory is named: 80 GB."""
GPU_MEMORY = 80.0


def run(arguments: argparse.Namespace) -> int:
    """Print the derived numbers of every phase and of the run; a plan that does not fit is refused."""
    plan = load_run(arguments.recipe, arguments.overrides)
    size = measured(plan.model)
    on_gpu = workload.is_for_gpu(plan.model, size)
    assumed = _assumed(arguments, workload.H100 if on_gpu else workload.CPU_CORE)
    memory = arguments.device_memory or (GPU_MEMORY if on_gpu else 0.0)
    if memory:
        refuse_too_large(plan, size, assumed.devices, memory)
    found = None
    if arguments.probe:
        config = plan.phases[0]
        found = probe(config, assumed.response_tokens or config.rollouts.max_response_tokens / 2)
        assumed = replace(
            assumed, tokens_per_second=found.sampled_per_second, trained_per_second=found.trained_per_second
        )
    for line in describe(plan, size, assumed):
        sys.stdout.write(line + "\n")
    for line in _limits(assumed, memory, found):
        sys.stdout.write(line + "\n")
    return 0


def refuse_too_large(plan: Run, size: Size, devices: int, memory: float) -> None:
    """UserError for the first phase that needs more than `memory` GB of a device, with what to change."""
    for number, config in enumerate(plan.phases, 1):
        needed = footprint.footprint(config, size, devices)
        if needed.peak <= memory * GB:
            continue
        half = "updating and sampling" if needed.at_once else "updating"
        if sum(needed.sampling.values()) == needed.peak:
            half = "sampling"
        changes = fitting.enough(config, size, devices, memory * GB)
        advice = "no option and no number of devices is enough; use larger devices or a smaller model"
        if changes:
            text = ", ".join(map(str, changes))
            advice = f"set {text}" if not text.startswith("--") else f"use {text}"
        raise UserError(
            f"phase {number} does not fit: {_gigabytes(needed.peak)} while {half} on each of {devices} device"
            f"{'s' * (devices > 1)}, which has {memory:g} GB (--device-memory); {advice}"
        )


def _gigabytes(size: float) -> str:
    return f"{size / GB:.1f} GB" if size >= GB else f"{size / GB:.2g} GB"


def _limits(assumed: Assumptions, memory: float, found: Probe | None) -> Iterator[str]:
    if memory:
        yield f"            a device has {memory:g} GB (--device-memory): every phase fits"
    if found:
        yield f"measured    here, on one device (--probe): {found.text}"
        sampled, trained = found.sampled_per_second, found.trained_per_second
        yield f"            {sampled:.3g} tokens sampled a second, {trained:.3g} trained"
        yield "            computed from it, by tokens: the times above"


def measured(options: Model) -> Size:
    """The model's size, as computed where it is planned for and not where the plan is made."""
    size = models.measure(replace(options, device="cpu"))
    if options.dtype == "auto" and workload.is_for_gpu(options, size):
        return replace(size, itemsize=workload.BFLOAT16_BYTES)
    return size


def _assumed(arguments: argparse.Namespace, machine: Machine) -> Assumptions:
    """What the options of the command say, and else the defaults."""
    bounds = {
        "devices": 1 << 20,
        "device_memory": 1e6,
        "flops": 1e21,
        "tokens_per_second": 1e12,
        "response_tokens": 1e9,
        "acceptance": 1.0,
    }
    for name, most in bounds.items():
        value = vars(arguments)[name]
        if value is not None and not 0 < value <= most:
            raise UserError(f"--{name.replace('_', '-')} {value}: must be above 0 and at most {most:g}")
    if arguments.flops:
        machine = replace(machine, name="device", flops=arguments.flops)
    return Assumptions(
        machine=machine,
        devices=arguments.devices,
        acceptance=arguments.acceptance,
        response_tokens=arguments.response_tokens or 0.0,
        tokens_per_second=arguments.tokens_per_second or 0.0,
    )


def describe(plan: Run, size: Size, assumed: Assumptions) -> Iterator[str]:
    """The plan's lines; they need no weights, and no data where it is not there."""
    known = " (published shape, no file was read)" if size.published else ""
    phases = f"{len(plan.phases)} phase{'s' * (len(plan.phases) > 1)}"
    yield f"recipe      {plan.name}: {phases}, {plan.train.steps} steps"
    yield f"model       {plan.model.path}: {size.parameters:,} parameters, vocabulary {size.vocabulary:,}{known}"
    if size.trained != size.parameters:
        yield f"            an adapter of rank {plan.model.lora_rank} trains, {size.trained:,} parameters"
    missing = missing_files(plan)
    if missing:
        yield f"data        not found here: {', '.join(missing)}"
        yield "            docs/paper_recipe.md describes the files of the paper's recipes, docs/data.md the format"
    held_out = frozenset() if missing else held_out_texts(plan)
    counts = workload.phase_steps(plan)
    steps = [workload.plan_step(config, size, assumed) for config in plan.phases]
    for number, (config, step, count) in enumerate(zip(plan.phases, steps, counts, strict=True), 1):
        yield ""
        yield f"phase {number}     {config.name}, {count} steps at most"
        yield from _batch(config, step)
        yield from _stream(config, held_out, missing)
        yield from _memory(config, size, assumed.devices)
        yield f"  reset     {_triggers(config, first=number == 1)}"
        yield from _time(step, count, assumed)
    yield ""
    yield from _whole(steps, counts, assumed)
    yield from _assumptions(plan, assumed)


def _batch(config: Config, step: StepPlan) -> Iterator[str]:
    rollouts, filters, group = config.rollouts, config.filter, config.rollouts.group_size
    batch = f"{step.prompts} prompts x {group} rollouts = {step.rollouts} rollouts a step"
    yield f"  batch     {batch}, {step.updates} updates"
    drawn = f"at most {filters.max_rounds} rounds" if filters.enabled else "one round, no filter"
    yield f"  sampling  T {rollouts.temperature:g}, up to {rollouts.max_response_tokens} tokens, {drawn}"
    yield (
        f"  draws     {step.drawn:,} prompts = {step.drawn * group:,} rollouts a step; "
        f"at most {step.most_drawn:,} = {step.most_drawn * group:,}"
    )
    yield (
        f"  tokens    {_amount(step.generated)} generated a step, {_amount(step.trained)} trained; "
        f"at most {_amount(step.most_generated)} and {_amount(step.most_trained)}"
    )
    yield (
        f"  loss      clip {config.loss.clip_low:g}/{config.loss.clip_high:g}, {config.loss.advantage} advantages, "
        f"KL {config.loss.kl_coefficient:g} ({config.loss.kl_estimator}), truncation {config.reward.truncation}"
    )
    yield f"  optimizer AdamW {config.optimizer.learning_rate:g}, {config.optimizer.schedule}"


def _stream(config: Config, held_out: frozenset[str], missing: dict[str, str]) -> Iterator[str]:
    options = config.evaluation
    sources = {source.source for source in (*config.data.sources, *options.sources)}
    if sources & missing.keys():
        yield f"  data      {_shares(_weights(config.data))} (by the weights)"
        named = len(options.sources or config.data.sources)
        if options.every:
            yield (
                f"  validate  {named} sources, {options.problems_per_level} problems of each level at most, "
                f"x {options.samples} samples every {options.every} steps"
            )
        return
    yield f"  data      {_shares(open_stream(config, 0, held_out).shares)}"
    if options.every:
        count = len(validation_problems(config))
        yield f"  validate  {count} problems x {options.samples} samples every {options.every} steps"


def _weights(data: Data) -> dict[str, float]:
    """Quotas of the stream as the recipe states them; a source whose domain it does not name goes by its own name."""
    weights: dict[str, float] = {}
    for source in data.sources:
        name = source.domain or source.source
        weights[name] = weights.get(name, 0.0) + source.weight
    return data.domain_weights or weights


def _shares(weights: Mapping[str, float]) -> str:
    total = sum(weights.values())
    return ", ".join(f"{name} {weight / total:.0%}" for name, weight in weights.items())


def _memory(config: Config, size: Size, devices: int) -> Iterator[str]:
    parts = footprint.footprint(config, size, devices)
    unit, value = ("GB", GB) if parts.peak >= GB else ("MB", 1e6)
    sides = split(config, devices)
    each = "" if devices == 1 else " a device"
    if config.rollouts.process:
        own = f"have {sides.samplers} of {devices} devices" if sides.apart else "share the learner's device"
        yield f"  devices   the rollouts, in a process beside the learner, {own}"
    for half, uses in (("sampling", parts.sampling), ("updating", parts.updating)):
        texts = [f"{name} {number / value:.1f}" for name, number in uses.items() if number]
        label = "memory" if half == "sampling" else ""
        first, *rest = [", ".join(part) for part in (texts[:5], texts[5:]) if part]
        yield f"  {label:<9} {half} {sum(uses.values()) / value:.1f} {unit}{each}: {first}{',' if rest else ''}"
        yield from (f"            {text}" for text in rest)
    recomputed = "recomputed" if config.learner.activation_checkpointing else "kept"
    yield (
        f"            (cache: {footprint.cache_rows(config)} rows of {footprint.longest_row(config)}; activations: "
        f"{footprint.micro_batch_tokens(config)} tokens, {recomputed}; log-probs: {config.learner.logprob_chunk} rows)"
    )


def _triggers(config: Config, *, first: bool) -> str:
    options = config.reset
    named = {
        "on entering": config.phase.reset and not first,
        f"{options.patience} validations without a new best": options.patience,
        f"validation {options.max_drop:g} below its best": options.max_drop,
        f"every {options.interval} steps": options.interval,
        f"KL above {options.max_kl:g} for {options.kl_window} steps": options.max_kl,
    }
    triggers = [text for text, value in named.items() if value]
    what = f"reference <- {options.reference}, optimizer {options.optimizer}"
    return f"{'; '.join(triggers) or 'by hand only'}: {what}"


def _time(step: StepPlan, count: int, assumed: Assumptions) -> Iterator[str]:
    sampling, updating = step.sampling_seconds, step.updating_seconds
    sign = "beside" if step.at_once else "+"
    yield (
        f"  time      {_duration(sampling)} sampling {sign} {_duration(updating)} updating a step, "
        f"{_duration(step.seconds * count)} the phase, on {_devices(assumed)}"
    )
    yield f"  phase     {_totals([step], [count])}"


def _totals(steps: list[StepPlan], counts: list[int]) -> str:
    """Sums over the steps of some phases."""
    pairs = list(zip(steps, counts, strict=True))
    drawn = sum(step.drawn * count for step, count in pairs)
    rollouts = sum(step.drawn * count * (step.rollouts // step.prompts) for step, count in pairs)
    generated, trained = (
        sum(step.generated * count for step, count in pairs),
        sum(step.trained * count for step, count in pairs),
    )
    updates = sum(step.updates * count for step, count in pairs)
    return (
        f"{drawn:,} prompts, {rollouts:,} rollouts, {_amount(generated)} tokens generated; "
        f"{_amount(trained)} trained in {updates:,} updates"
    )


def _whole(steps: list[StepPlan], counts: list[int], assumed: Assumptions) -> Iterator[str]:
    pairs = list(zip(steps, counts, strict=True))
    seconds = sum(step.seconds * count for step, count in pairs)
    most = sum(step.most_generated * count for step, count in pairs)
    hours = seconds * assumed.devices / 3600
    spent = f"{hours:,.{0 if hours >= 100 else 1}f} device-hours"
    yield f"whole run   {sum(counts):,} steps, {_duration(seconds)} on {_devices(assumed)}, {spent}"
    yield f"            {_totals(steps, counts)}"
    yield f"            at most {_amount(most)} tokens generated"


def _assumptions(plan: Run, assumed: Assumptions) -> Iterator[str]:
    machine = assumed.machine
    length = f"{assumed.response_tokens:g} tokens" if assumed.response_tokens else "half of its limit"
    yield f"assumed     {assumed.acceptance:.0%} of the sampled groups teach (--acceptance)"
    yield f"            a response has {length} in the mean (--response-tokens)"
    speed = f"{machine.sampling:.1%} of it while sampling"
    if assumed.tokens_per_second:
        speed = f"{assumed.tokens_per_second:g} tokens a second while sampling (--tokens-per-second)"
    yield f"            {machine.name}: {machine.flops:.3g} operations a second (--flops),"
    updating = f"{machine.updating:.1%} of it while updating"
    if assumed.trained_per_second:
        updating = f"{assumed.trained_per_second:.3g} response tokens a second while updating"
    yield f"            {speed}, {updating}"
    yield "            devices share the work evenly (--devices); each has its own engine"
    yield "            prompts, validation, verifiers and checkpoints take no time"
    if any(config.phase.until_stagnation for config in plan.phases):
        yield "            no phase ends before its steps"


def _devices(assumed: Assumptions) -> str:
    return f"{assumed.devices} {assumed.machine.name}{'s' * (assumed.devices > 1)}"


def _amount(number: float) -> str:
    for unit, word in AMOUNTS.items():
        if number >= unit:
            return f"{number / unit:.1f} {word}"
    return f"{number:,.0f}"


def _duration(seconds: float) -> str:
    for unit, word in TIMES.items():
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {word}"
    return f"{seconds:.2g} s"
