"""What to change in a recipe that does not fit its devices: one option that is enough, else several."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from prorl.config import Config
from prorl.models import Size
from prorl.planning.footprint import footprint, longest_row

MOST_RANKS = 1024


@dataclass(frozen=True, slots=True)
class Change:
    """A value of an option, as `learner.token_budget = 8192`, or a number of devices."""

    option: str
    value: Any

    def __str__(self) -> str:
        value = str(self.value).lower() if isinstance(self.value, bool) else self.value
        return f"--devices {value}" if self.option == "devices" else f"{self.option} = {value}"


def peak(config: Config, size: Size, ranks: int) -> float:
    """Bytes on each device."""
    return footprint(config, size, ranks).peak


def enough(config: Config, size: Size, ranks: int, capacity: float) -> list[Change] | None:
    """Changes after which `capacity` bytes a device are enough: none where they are, one where one is enough, else
    the savings in their order until it fits; None where nothing helps."""
    if peak(config, size, ranks) <= capacity:
        return []
    for option in SAVINGS:
        for change in SAVINGS[option](config, ranks):
            changed, more = _changed(config, ranks, change)
            if peak(changed, size, more) <= capacity:
                return [change]
    taken: list[Change] = []
    for option in SAVINGS:
        before = peak(config, size, ranks)
        for change in SAVINGS[option](config, ranks):
            changed, more = _changed(config, ranks, change)
            if peak(changed, size, more) <= capacity:
                return [*taken, change]
        values = list(SAVINGS[option](config, ranks))
        if option != "devices" and values:
            changed, _ = _changed(config, ranks, values[-1])
            if peak(changed, size, ranks) < before:
                config = changed
                taken.append(values[-1])
    return None


def _changed(config: Config, ranks: int, change: Change) -> tuple[Config, int]:
    if change.option == "devices":
        return config, int(change.value)
    section, _, name = change.option.partition(".")
    options: Any = {"learner": config.learner, "rollouts": config.rollouts, "optimizer": config.optimizer}[section]
    sections: dict[str, Any] = {section: replace(options, **{name: change.value})}
    return replace(config, **sections), ranks


def _checkpointing(config: Config, ranks: int) -> Iterator[Change]:
    if not config.learner.activation_checkpointing:
        yield Change("learner.activation_checkpointing", True)


def _learner_tokens(config: Config, ranks: int) -> Iterator[Change]:
    yield from _halved("learner.token_budget", config.learner.token_budget, longest_row(config))


def _engine_tokens(config: Config, ranks: int) -> Iterator[Change]:
    yield from _halved("rollouts.token_budget", config.rollouts.token_budget, longest_row(config))


def _halved(option: str, value: int, least: int) -> Iterator[Change]:
    while value > least:
        value = max(value // 2, least)
        yield Change(option, value)


def _on_host(config: Config, ranks: int) -> Iterator[Change]:
    if not config.learner.reference_on_host and not config.model.lora_rank:
        yield Change("learner.reference_on_host", True)


def _eight_bit(config: Config, ranks: int) -> Iterator[Change]:
    if config.optimizer.name != "adamw_8bit":
        yield Change("optimizer.name", "adamw_8bit")


def _devices(config: Config, ranks: int) -> Iterator[Change]:
    while ranks < MOST_RANKS:
        ranks *= 2
        yield Change("devices", ranks)


SAVINGS = {
    "learner.activation_checkpointing": _checkpointing,
    "learner.token_budget": _learner_tokens,
    "rollouts.token_budget": _engine_tokens,
    "learner.reference_on_host": _on_host,
    "optimizer.name": _eight_bit,
    "devices": _devices,
}
"""In the order in which they cost least."""
