"""`prorl plan`: what a recipe means, phase by phase, before anything runs."""

import argparse
import sys
from collections.abc import Iterator

from prorl import models
from prorl.assembly import held_out_texts, open_stream
from prorl.config import Config, Run
from prorl.evaluation.problems import validation_problems
from prorl.models import Size
from prorl.recipe import load_run

MIB = 2**20
ADAM_BYTES, GRADIENT_BYTES, MASTER_BYTES = 8, 4, 4


def run(arguments: argparse.Namespace) -> int:
    """Print the derived numbers of every phase."""
    for line in describe(load_run(arguments.recipe, arguments.overrides)):
        sys.stdout.write(line + "\n")
    return 0


def describe(plan: Run) -> Iterator[str]:
    """The plan's lines; they need no weights, only the model's configuration."""
    size = models.measure(plan.model)
    yield f"recipe      {plan.name}: {len(plan.phases)} phase{'s' * (len(plan.phases) > 1)}, {plan.train.steps} steps"
    yield f"model       {plan.model.path}: {size.parameters:,} parameters, vocabulary {size.vocabulary:,}"
    held_out = held_out_texts(plan)
    for number, config in enumerate(plan.phases, 1):
        yield ""
        yield f"phase {number}     {config.name}, {config.phase.steps or plan.train.steps} steps at most"
        yield from _batch(config)
        yield from _stream(config, held_out)
        yield from _memory(config, size)
        yield f"  reset     {_triggers(config)}"


def _batch(config: Config) -> Iterator[str]:
    rollouts, filters = config.rollouts, config.filter
    prompts, group = rollouts.prompts_per_step, rollouts.group_size
    updates = -(-prompts // config.optimizer.minibatch_prompts)
    yield f"  batch     {prompts} prompts x {group} rollouts = {prompts * group} rollouts a step, {updates} updates"
    most = prompts * group * rollouts.max_response_tokens
    drawn = f"at most {filters.max_rounds} rounds" if filters.enabled else "one round, no filter"
    yield f"  sampling  T {rollouts.temperature:g}, up to {rollouts.max_response_tokens} tokens, {drawn}"
    yield f"  tokens    at most {most:,} trained a step"
    yield (
        f"  loss      clip {config.loss.clip_low:g}/{config.loss.clip_high:g}, {config.loss.advantage} advantages, "
        f"KL {config.loss.kl_coefficient:g} ({config.loss.kl_estimator})"
    )
    yield f"  optimizer AdamW {config.optimizer.learning_rate:g}, {config.optimizer.schedule}"


def _stream(config: Config, held_out: frozenset[str]) -> Iterator[str]:
    shares = open_stream(config, 0, held_out).shares
    yield "  data      " + ", ".join(f"{domain} {share:.0%}" for domain, share in shares.items())
    if config.evaluation.every:
        count = len(validation_problems(config))
        options = config.evaluation
        yield f"  validate  {count} problems x {options.samples} samples every {options.every} steps"


def _memory(config: Config, size: Size) -> Iterator[str]:
    """Bytes that the options and the model fix; activations are left out and said to be."""
    copies = {
        "policy": MASTER_BYTES,
        "gradients": GRADIENT_BYTES,
        "AdamW": ADAM_BYTES,
        "reference": MASTER_BYTES,
        "engine": size.itemsize,
    }
    parts = [f"{name} {size.parameters * each / MIB:.1f}" for name, each in copies.items()]
    length = config.data.max_prompt_tokens + config.rollouts.max_response_tokens
    rows = config.rollouts.token_budget // length
    cache = rows * length * size.cache_bytes / MIB
    logits = config.learner.logprob_chunk * size.vocabulary * 4 / MIB
    yield f"  memory    MiB: {', '.join(parts)}, cache {cache:.1f} ({rows} rows of {length}), logits {logits:.1f}"
    yield "            and the activations of one micro-batch of learner.token_budget tokens"


def _triggers(config: Config) -> str:
    options = config.reset
    named = {
        f"{options.patience} validations without a new best": options.patience,
        f"validation {options.max_drop:g} below its best": options.max_drop,
        f"every {options.interval} steps": options.interval,
        f"KL above {options.max_kl:g} for {options.kl_window} steps": options.max_kl,
    }
    triggers = [text for text, value in named.items() if value]
    what = f"reference <- {options.reference}, optimizer {options.optimizer}"
    return f"{'; '.join(triggers) or 'by hand only'}: {what}"
