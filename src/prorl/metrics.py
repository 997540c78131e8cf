"""What a run writes down: the declared metric names, the files `metrics.jsonl` and `events.jsonl`, and their mirrors.

Computes no metric and reads no clock. `docs/metrics.md` is generated from `METRICS`.
"""

import importlib
import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self, TextIO

from torch.utils.tensorboard import SummaryWriter

from prorl.durable import truncate_jsonl
from prorl.errors import UserError

Number = int | float

METRICS: dict[str, str] = {
    "step": "Steps of the run that are complete, this one included.",
    "phase": "Index of the phase in force, from 0.",
    "score/mean": "Mean verifier score of the step's rollouts, flat groups included, before shaping and filter.",
    "score/<domain>": "The same, of one domain's prompts.",
    "score_other/mean": "Mean score by the other reading (`reward.log_other_reading`); nothing is trained on it.",
    "score_other/<domain>": "The same, of one domain's prompts.",
    "reward/mean": "Mean reward of the trained rollouts: the score after truncation and length terms.",
    "validation/mean": "Weighted blend of the validation scores over domains: the number that resets look at.",
    "validation/<domain>": "Validation score of one domain: mean over its families.",
    "validation/<family>/<level>": "Validation score of one level of one task family: mean over its problems.",
    "groups/drawn": "Groups sampled and verified, over all rounds of the step.",
    "groups/kept": "Groups trained on.",
    "groups/surplus": "Informative groups beyond those asked for, dropped so that the batch stays on-policy.",
    "groups/dead_after_shaping": "Groups whose scores differed and whose rewards did not, dropped.",
    "prompts/too_long": "Prompts dropped because they exceed `data.max_prompt_tokens`; absent when there were none.",
    "rounds": "Sampling rounds until the batch was full or a bound was hit.",
    "entropy": "Mean entropy of the policy at the sampling temperature over the trained tokens, in nats a token.",
    "kl/reference": "KL of the policy from the reference over the trained tokens, in nats a token.",
    "kl/clamped_fraction": "Share of trained tokens whose KL term was cut at its bound.",
    "kl/engine": "KL between engine and learner log-probabilities of the same tokens and weights, in nats a token.",
    "importance_weight/mean": "Mean weight that corrects for the engine's log-probabilities, 1 where they agree.",
    "staleness/mean": "Updates between the weights that sampled a token and those it is trained on, mean over the kept "
    "groups' tokens; absent where `rollouts.max_staleness` is 0.",
    "clip_fraction/low": "Share of trained tokens whose importance ratio was held at the lower clip.",
    "clip_fraction/high": "Share of trained tokens whose importance ratio was held at the upper clip.",
    "grad_norm": "Gradient norm before clipping, mean over the step's updates.",
    "updates_skipped": "Optimizer steps left out because loss or gradient was not finite.",
    "response_length/mean": "Mean length of the step's responses, in tokens.",
    "truncated_fraction": "Share of the step's responses that were cut at the token limit.",
    "tokens/generated": "Response tokens sampled in the step, dropped groups included.",
    "tokens/trained": "Response tokens in the loss of the step.",
    "outcomes/<outcome>": "Share of the step's rollouts with this verdict of the verifier.",
    "learning_rate": "Learning rate of the step's last update.",
    "seconds/rollout": "Time in which the engine was sampling, in seconds.",
    "seconds/reward": "Time waited for verifiers beyond sampling, in seconds.",
    "seconds/wait": "Time that the learner waited for a rollout process (`rollouts.process`), in seconds.",
    "seconds/update": "Time of the policy update, in seconds.",
    "seconds/sync": "Time to bring the engine to the learner's weights, in seconds.",
    "seconds/validate": "Time of the validation, in seconds.",
    "seconds/step": "Time of the whole step, in seconds.",
    "memory/host_bytes": "Resident memory of the process, in bytes.",
}
"""Every name in `metrics.jsonl` with its meaning; `<...>` stands for one path component.

A name that depends on the clock or the machine starts with `seconds/`, `memory/` or `time/`, and no other does.
"""


def _pattern(name: str) -> str:
    return "".join("[^/]+" if part.startswith("<") else re.escape(part) for part in re.split("(<[^>]+>)", name))


_DECLARED = re.compile("|".join(_pattern(name) for name in METRICS))


class Mirror(Protocol):
    """Where the records of a run go besides its own files. It must not raise: the run goes on without it."""

    def write(self, step: int, metrics: Mapping[str, Number]) -> None: ...

    def event(self, event: Mapping[str, Any]) -> None: ...

    def close(self, *, failed: bool) -> None: ...


class MetricsWriter:
    """Appends the records of a run to its folder.

    `resume_from` is the step of the checkpoint that the run continues; what was recorded after it is cut away. The
    default, -1, starts afresh.
    """

    def __init__(self, folder: Path, tensorboard: bool, resume_from: int = -1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = {name: _reopen(folder / f"{name}.jsonl", resume_from) for name in ("metrics", "events")}
        self._tensorboard = None
        if tensorboard:
            self._tensorboard = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_from + 1)
        self._mirrors: list[Mirror] = []
        self._resumed, self._folder = resume_from >= 0, folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(failed=kind is not None)

    def mirror_to_wandb(self, project: str, note: Callable[[str], None]) -> None:
        """From here on, send everything to a project of Weights & Biases too, with the folder's `config.toml`."""
        module = load_wandb(project)
        if module is None:
            return
        config = tomllib.loads((self._folder / "config.toml").read_text(encoding="utf-8"))
        past = read_jsonl(self._folder / "events.jsonl")
        mirror = module.WandbMirror(project, self._folder, config, past, resumed=self._resumed, note=note)
        self._mirrors.append(mirror)

    def write(self, step: int, metrics: Mapping[str, Number]) -> None:
        """Record one step. Every name is declared and every value finite: what does not apply is absent."""
        for name, value in metrics.items():
            declared = name != "step" and _DECLARED.fullmatch(name) is not None
            assert declared, f"metric {name!r} is not in prorl.metrics.METRICS"
            assert isinstance(value, int | float), f"metric {name} is a {type(value).__name__}, not a number"
            assert math.isfinite(value), f"metric {name} is {value} at step {step}: absent where it does not apply"
        self._append("metrics", {"step": step, **metrics})
        if self._tensorboard is not None:
            for name, value in metrics.items():
                self._tensorboard.add_scalar(name, value, step)
        for mirror in self._mirrors:
            mirror.write(step, metrics)

    def event(self, event: Mapping[str, Any]) -> None:
        """Record something that happened: `step`, `event`, and the numbers behind it."""
        assert {"step", "event"} <= event.keys(), f"an event names its step and its kind: {event}"
        self._append("events", event)
        for mirror in self._mirrors:
            mirror.event(event)

    def close(self, *, failed: bool = False) -> None:
        """End the files. What could not be written has been said by then, and must not hide why the run ends."""
        for file in self._files.values():
            with suppress(OSError):
                file.close()
        if self._tensorboard is not None:
            with suppress(OSError):
                self._tensorboard.close()
        for mirror in self._mirrors:
            mirror.close(failed=failed)

    def _append(self, name: str, record: Mapping[str, Any]) -> None:
        self._files[name].write(json.dumps(record, allow_nan=False) + "\n")
        self._files[name].flush()


def load_wandb(project: str) -> ModuleType | None:
    """The module that logs to Weights & Biases, None for no project; UserError where it could not take a run."""
    if not project:
        return None
    try:
        module = importlib.import_module("prorl.weights_and_biases")
    except ImportError as error:
        raise UserError(
            f"train.wandb = {project!r}: Weights & Biases is not installed ({error}); pip install 'prorl[wandb]', or "
            "leave the option empty"
        ) from None
    module.refuse_unready(project)
    return module


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON Lines file; none where it is missing, and without a last line that a crash cut short."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            if number == len(lines):
                break
            raise UserError(f"{path} line {number}: not JSON; repair or remove that line") from None
        if not isinstance(record, dict):
            raise UserError(
                f"{path} line {number}: must be a JSON object, is {type(record).__name__}; remove that line"
            )
        records.append(record)
    return records


def _reopen(path: Path, step: int) -> TextIO:
    truncate_jsonl(path, step)
    return path.open("a", encoding="utf-8")
