"""Any run written as TOML is read back as the same run."""

import dataclasses
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest

from prorl.config import Config, Run, Source
from prorl.options import SECTIONS
from prorl.recipe import difference, load_run, to_toml


def random_value(rng: random.Random, kind: Any, field: dataclasses.Field[Any] | None) -> Any:
    """Any value of a type, within what its option allows: an independent reading of the declarations."""
    bounds: Mapping[str, Any] = field.metadata if field else {"low": None, "high": None, "choices": ()}
    if get_origin(kind) is tuple:
        return tuple(random_value(rng, get_args(kind)[0], None) for _ in range(rng.randrange(3)))
    if get_origin(kind) is dict:
        return {random_text(rng): random_value(rng, get_args(kind)[1], None) for _ in range(rng.randrange(3))}
    if kind is Source:
        return Source(**{field.name: random_value(rng, field.type, field) for field in dataclasses.fields(Source)})
    if kind is bool:
        return rng.random() < 0.5
    if kind is str:
        return rng.choice(bounds["choices"]) if bounds["choices"] else random_text(rng)
    low = -1e12 if bounds["low"] is None else bounds["low"]
    high = max(1e12, low) if bounds["high"] is None else bounds["high"]
    number = rng.choice([low, high, rng.uniform(low, high), low + (high - low) * 10 ** rng.uniform(-12, 0)])
    return float(number) if kind is float else math.ceil(number)


def random_text(rng: random.Random) -> str:
    awkward = "ab .\"'\\\n\r\t\0\x1f\x7f\x85\u2028=#[]{}\xe9\U0001f600\ufeff"
    return "".join(rng.choice(awkward) for _ in range(rng.randrange(6)))


def random_config(rng: random.Random, share: float) -> dict[str, Any]:
    return {
        name: owner(
            **{
                field.name: random_value(rng, field.type, field)
                for field in dataclasses.fields(owner)
                if rng.random() < share
            }
        )
        for name, owner in SECTIONS.items()
    }


@pytest.mark.parametrize("seed", range(20))
def test_any_run_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr("prorl.recipe.check", lambda run: None)  # any values, also those that do not go together
    first = random_config(rng, 0.9)
    others = [random_config(rng, 0.2) for _ in range(seed % 3)]
    together = {"model": first["model"], "train": first["train"]}
    phases = [Config(name="p", **first)] + [Config(name=random_text(rng) or "q", **(c | together)) for c in others]
    run = Run(name=random_text(rng) or "r", phases=tuple(phases))
    text = to_toml(run)
    file = tmp_path / "config.toml"
    file.write_bytes(text.encode())
    back = load_run(str(file))
    assert back == run
    assert to_toml(back) == text
    assert difference(run, back) == []
