"""Samples of several models on the same problems, into stores: the part of a measurement that takes long.

Whatever stops it, it goes on where it was. What the samples mean is the business of `findings.py`.
"""

import prorl.environment  # noqa: F401, I001  (before torch, where this module is the program)

import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from prorl import models
from prorl.assembly import make_engine, make_verifiers
from prorl.config import Config, Model
from prorl.durable import sha256
from prorl.errors import RunFailed, UserError
from prorl.evaluation.budget import Budget
from prorl.evaluation.drawing import digests, draw, encoded
from prorl.evaluation.samples import SampleStore, Stream
from prorl.evaluation.suites import Problem
from prorl.judging import Judge
from prorl.models import LoadedModel
from prorl.prompts.template import Template
from prorl.records import Sampling

_POLL_SECONDS = 0.2
_OF_THE_FILE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures", "use_cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be sampled: which models answer which problems, how often and how."""

    config: Config
    """Engine, verifiers and system prompt."""
    problems: tuple[Problem, ...]
    models: Mapping[str, Model]
    """By role, in the order base, checkpoints by their steps, trained."""
    budget: Budget
    sampling: Sampling
    seed: int
    threshold: float
    """A sample solves a problem where its score is at least this."""
    folder: Path
    """Of the stores."""


def sample(order: Order, progress: Callable[[str], None]) -> dict[str, Stream]:
    """Bring every store to what the order asks for; returns the stream of each role. `progress` may raise to give up.

    On a CPU with a core to spare a second process takes the first half of the roles meanwhile. UserError: a model, a
    problem or a store cannot be used. RunFailed: the other process ended.
    """
    roles = tuple(order.models)
    device = models.resolve_device(order.config.model)
    if device.type != "cpu" or len(roles) < 2 or torch.get_num_threads() >= (os.cpu_count() or 1):
        return {role: _sample_role(order, role, progress) for role in roles}
    first, second = (
        replace(order, models={role: order.models[role] for role in half})
        for half in (roles[: len(roles) // 2], roles[len(roles) // 2 :])
    )
    with _Beside(first) as beside:

        def watched(text: str) -> None:
            beside.check()
            progress(text)

        last = {role: _sample_role(second, role, watched) for role in second.models}
        return {**beside.result(progress), **last}


def check(order: Order) -> None:
    """Look at every model before hours of sampling. UserError: one cannot be loaded, or is too small for the order."""
    for options in dict.fromkeys(order.models.values()):
        loaded = models.load(options)
        template = Template(loaded.tokenizer, loaded.eos_ids, order.config.data.system_prompt)
        lengths = {problem.prompt.id: len(template.encode(problem.prompt)) for problem in order.problems}
        longest, limit = max(lengths, key=lambda id: lengths[id]), models.max_positions(options)
        if limit is not None and lengths[longest] + order.sampling.max_tokens > limit:
            raise UserError(
                f"--max-tokens {order.sampling.max_tokens}: model {options.path} holds {limit} tokens, of which "
                f"problem {longest} takes {lengths[longest]}; ask for {max(limit - lengths[longest], 0)} or fewer"
            )


def model_digest(loaded: LoadedModel) -> str:
    """A name for a model: a digest of its weights as float32, its buffers, its configuration and its end tokens.

    Whatever file they came from: where it lies, and the type it is stored in, are left out.
    """
    settings = {name: value for name, value in loaded.model.config.to_dict().items() if name not in _OF_THE_FILE}
    digest = hashlib.blake2b(
        json.dumps([settings, loaded.eos_ids], sort_keys=True, default=str).encode(), digest_size=16
    )
    values: dict[str, Tensor] = {**dict(loaded.model.named_parameters()), **dict(loaded.model.named_buffers())}
    for name in sorted(values):
        value = values[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name} {list(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def _sample_role(order: Order, role: str, progress: Callable[[str], None]) -> Stream:
    config = order.config
    loaded = models.load(order.models[role])
    weights = dict(loaded.model.named_parameters())
    template = Template(loaded.tokenizer, loaded.eos_ids, config.data.system_prompt)
    prompts = [problem.prompt for problem in order.problems]
    tokens = encoded(prompts, template)
    stream = Stream(
        model=model_digest(loaded),
        role=role,
        computed=f"{config.rollouts.engine} {loaded.dtype}".replace("torch.", ""),
        seed=order.seed,
        temperature=order.sampling.temperature,
        top_p=order.sampling.top_p,
        max_tokens=order.sampling.max_tokens,
        judges=_judges(config.reward.functions),
    )
    longest = max(len(of_prompt) for of_prompt in tokens.values())
    config = replace(
        config,
        data=replace(config.data, max_prompt_tokens=longest),
        rollouts=replace(config.rollouts, max_response_tokens=order.sampling.max_tokens),
    )
    engine = make_engine(loaded, config)
    engine.load_weights(weights, 0)
    with (
        make_verifiers(config, prompts, "strict") as strict,
        make_verifiers(config, prompts, "tolerant") as tolerant,
        SampleStore(order.folder, stream, digests(prompts, tokens)) as store,  # last: what is refused leaves no file
    ):
        judge = Judge(engine, template, [strict, tolerant])
        draw(
            prompts,
            tokens,
            store,
            judge,
            stream=stream,
            budget=order.budget,
            threshold=order.threshold,
            progress=lambda text: progress(f"{_told(role)}: {text}"),
        )
        engine.close()
    return stream


def _judges(functions: Mapping[str, str]) -> str:
    """Name of the user's reward functions: one that is edited judges anew, into another store."""
    if not functions:
        return ""
    files = {domain: Path(spec.rpartition(":")[0]) for domain, spec in functions.items()}
    named = {
        domain: [spec, sha256(files[domain]) if files[domain].is_file() else ""] for domain, spec in functions.items()
    }
    return json.dumps(named, sort_keys=True)


def _told(role: str) -> str:
    return f"checkpoint {role}" if role.isdigit() else role


class _Beside:
    """Roles that a fresh interpreter samples meanwhile, which does not run the caller's program again."""

    def __init__(self, order: Order) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # In a session of its own, so that Ctrl-C reaches the caller alone, which then ends this process too.
        self._process = subprocess.Popen(
            # -P: a file of the user's that is named like a module must not stand in for it.
            [sys.executable, "-P", "-m", "prorl.laboratory"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._lifeline = self._process.stdin
        self._process.stdin = None  # or `communicate` would close it, which says that nobody waits any more
        self._streams: dict[str, Stream] | None = None
        with suppress(BrokenPipeError):  # `result` says why it died
            self._lifeline.write(pickle.dumps(order))
            self._lifeline.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        with suppress(BrokenPipeError):
            self._lifeline.close()
        if self._streams is None:
            self._process.communicate()

    def check(self) -> None:
        """Raise what has ended the process, if anything has."""
        if self._streams is None and self._process.poll() is not None:
            self._streams = self._answer(*self._process.communicate())

    def result(self, progress: Callable[[str], None]) -> dict[str, Stream]:
        """Wait for the streams by role; `progress` is called meanwhile and may raise to give up."""
        while self._streams is None:
            try:
                self._streams = self._answer(*self._process.communicate(timeout=_POLL_SECONDS))
            except subprocess.TimeoutExpired:
                progress("the other process")
        return self._streams

    def _answer(self, output: bytes, errors: bytes) -> dict[str, Stream]:
        if self._process.returncode:
            last = errors.decode(errors="replace").strip().splitlines()[-1:]
            raise RunFailed(
                f"the process that sampled the base ended with {self._process.returncode} {' '.join(last)}; "
                "start again to go on: no sample is lost"
            )
        found = json.loads(output)
        for name, kind in (("refused", UserError), ("failed", RunFailed)):
            if name in found:
                raise kind(found[name])
        return {role: Stream(**stream) for role, stream in found["streams"].items()}


def _sample_beside(order: Order) -> str:
    """What the second process answers: the streams by role, or why there are none."""
    if order.config.model.threads:
        torch.set_num_threads(order.config.model.threads)
    try:
        streams = {role: _sample_role(order, role, lambda text: None) for role in order.models}
    except UserError as error:
        return json.dumps({"refused": str(error)})
    except RunFailed as error:
        return json.dumps({"failed": str(error)})
    return json.dumps({"streams": {role: asdict(stream) for role, stream in streams.items()}})


def _end_with_caller() -> None:
    """The pipe from the caller ends when the caller does, however that was: its stores are free again at once."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    # The pickled class was named in the parent's module, which is imported here under that name too.
    _order = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_caller, daemon=True).start()
    sys.stdout.write(_sample_beside(_order))
    sys.stdout.flush()
    os._exit(0)  # the thread holds standard input, which an ordinary end would wait for
