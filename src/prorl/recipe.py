"""Recipes: TOML files with `extends` and `phases`, made into a `Run`; and a `Run` written back as TOML.

Stage 0, configuration. Layers of options lie on each other in this order, the later one in force: what the recipe
extends, its own sections, a phase's recipe (with what that extends), what stands in the phase itself, `--set`. Tables
merge, everything else replaces; `{}` empties a table. The options themselves are in `config.py`; their types and the
wording of refusals in `options.py`, the rules between them in `checks.py`.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import reduce
from pathlib import Path
from typing import Any

from prorl.checks import RUN_SECTIONS, check
from prorl.config import Cluster, Config, Phase, Run
from prorl.errors import UserError
from prorl.options import (
    Sections,
    key_text,
    literal,
    make_config,
    option_field,
    option_rows,
    plain_sections,
    refusal,
    typed_option,
    typed_sections,
    typed_value,
)

__all__ = ["difference", "load_run", "option_rows", "recipe_names", "to_toml", "without_placement"]

PACKAGED = Path(__file__).parent / "recipes"
RECIPE_KEYS = ("name", "extends", "phases")
MEASURED = ("model", "data", "rollouts", "reward")
PHASE_KEYS = ("name", "recipe", "steps")
(STEPS,) = (field for field in fields(Phase) if field.name == "steps")


@dataclass(frozen=True, slots=True)
class _Phase:
    name: str
    """Empty for the run's own."""
    layers: tuple[Sections, ...]


@dataclass(frozen=True, slots=True)
class _Recipe:
    name: str
    layers: tuple[Sections, ...] = ()
    phases: tuple[_Phase, ...] = ()


def load_run(recipe: str, overrides: Sequence[str] = ()) -> Run:
    """The run of a packaged recipe or a `.toml` file, under `section.option=value` overrides; UserError in one line."""
    path = _find(recipe)
    read = _read(path, ())
    over = tuple(map(_override, overrides))
    with _named(_label(path)):
        _refuse_run_options(read)
        phases = tuple(
            make_config(phase.name or read.name, _stacked((*read.layers, *phase.layers, *over)))
            for phase in read.phases or (_Phase("", ()),)
        )
        run = Run(name=read.name, phases=phases)
        check(run)
    return run


def measurement_config(overrides: Sequence[str], sections: Sections) -> Config:
    """What models are measured with: the defaults under `sections`, and under `section.option=value` overrides.

    UserError in one line, also for a section that only training has.
    """
    for override in overrides:
        section = override.partition("=")[0].partition(".")[0].strip()
        if section not in MEASURED:
            allowed = ", ".join(MEASURED)
            raise UserError(f"--set {literal(override)}: a measurement has the sections {allowed}; remove it")
        if override.strip().startswith("model.lora_"):
            raise UserError(f"--set {literal(override)}: a measurement trains nothing; name a checkpoint's policy/")
    return make_config("measurement", _stacked((sections, *map(_override, overrides))))


def recipe_names() -> list[str]:
    """The packaged recipes, as `load_run` takes them."""
    return sorted(path.relative_to(PACKAGED).with_suffix("").as_posix() for path in PACKAGED.rglob("*.toml"))


def to_toml(run: Run) -> str:
    """Every option of the run; `load_run` of the written text gives an equal run.

    What all phases share stands above, what differs in the phases.
    """
    plain = [plain_sections(config) for config in run.phases]
    varying = {
        (section, option)
        for section, options in plain[0].items()
        for option, value in options.items()
        if any(other[section][option] != value for other in plain[1:])
    }
    lines = [f"name = {literal(run.name)}"]
    for section, options in plain[0].items():
        shared = {option: value for option, value in options.items() if (section, option) not in varying}
        lines += _table(f"[{section}]", shared)
    if len(plain) > 1 or run.phases[0].name != run.name:
        for config, sections in zip(run.phases, plain, strict=True):
            lines += _table("[[phases]]", {"name": config.name})
            for section, options in sections.items():
                own = {option: value for option, value in options.items() if (section, option) in varying}
                lines += _table(f"[phases.{section}]", own)
    return "\n".join(lines) + "\n"


def without_placement(run: Run) -> Run:
    """The run less where it runs: what may differ between a start and a resume, and what a checkpoint does not mind."""
    return replace(run, phases=tuple(replace(config, cluster=Cluster()) for config in run.phases))


def difference(old: Run, new: Run) -> list[str]:
    """What changed, a line an option: `phase 2: loss.clip_high: 0.4 -> 0.28`; without a phase what changed in all."""
    lines = [] if old.name == new.name else [f"name: {literal(old.name)} -> {literal(new.name)}"]
    if len(old.phases) != len(new.phases):
        lines.append(f"phases: {len(old.phases)} -> {len(new.phases)}")
    changes = [_changes(before, after) for before, after in zip(old.phases, new.phases, strict=False)]
    everywhere = [line for line in changes[0] if all(line in others for others in changes)]
    lines += everywhere
    for number, phase in enumerate(changes, start=1):
        lines += [f"phase {number}: {line}" for line in phase if line not in everywhere]
    return list(dict.fromkeys(lines))


def _table(header: str, options: Mapping[str, Any]) -> list[str]:
    rows = [f"{option} = {literal(value)}" for option, value in options.items()]
    return ["", header, *rows] if rows else []


def _changes(old: Config, new: Config) -> list[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    return [
        f"{key}: {before.get(key, 'unset')} -> {after.get(key, 'unset')}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]


def _leaves(config: Config) -> Iterator[tuple[str, str]]:
    """Each value with its full key, both as TOML; tables and sources taken apart."""
    yield "name", literal(config.name)
    for section, options in plain_sections(config).items():
        for option, value in options.items():
            key = f"{section}.{option}"
            if isinstance(value, dict):
                yield from ((f"{key}.{key_text(name)}", literal(item)) for name, item in value.items())
            elif isinstance(value, tuple) and any(isinstance(item, dict) for item in value):
                for number, source in enumerate(value):
                    yield from ((f"{key}[{number}].{name}", literal(item)) for name, item in source.items())
            else:
                yield key, literal(value)


def _stacked(layers: Iterable[Sections]) -> Sections:
    """The layers as one, later ones in force."""
    return reduce(_merged, layers, Sections())


def _merged(lower: Sections, upper: Sections) -> Sections:
    """The two layers as one: `upper` in force, tables merged unless `upper` empties one."""
    result = {section: dict(options) for section, options in lower.items()}
    for section, options in upper.items():
        target = result.setdefault(section, {})
        for option, value in options.items():
            merge = isinstance(value, dict) and value
            target[option] = {**target.get(option, {}), **value} if merge else value
    return result


def _refuse_run_options(recipe: _Recipe) -> None:
    """A phase must not change what the recipe itself says of the whole run."""
    own = _stacked(recipe.layers)
    for number, phase in enumerate(recipe.phases, start=1):
        changed = _stacked(phase.layers)
        for section in RUN_SECTIONS:
            for option, value in changed.get(section, {}).items():
                if own.get(section, {}).get(option, value) != value:
                    must = f"must be {literal(own[section][option])} as in the recipe, it belongs to the whole run"
                    raise refusal(f"phase {number}: {section}.{option}", value, must)


def _override(text: str) -> Sections:
    """`section.option=value`: a TOML value, or a bare string for an option that takes one."""
    key, equals, value = text.partition("=")
    section, _, rest = key.strip().partition(".")
    option, _, entry = rest.partition(".")
    if not (equals and section and option):
        raise UserError(f"--set {literal(text)}: must be section.option=value, as loss.clip_high=0.28")
    field = option_field(section, option)
    is_text = field is not None and field.type == (dict[str, str] if entry else str)
    parsed = _override_value(value.strip(), is_text=is_text)
    with _named("--set"):
        return typed_sections({section: {option: {entry: parsed} if entry else parsed}})


def _override_value(text: str, *, is_text: bool) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    if set(table) != {"value"} or (is_text and not isinstance(table["value"], str)):
        return text
    return table["value"]


def _read(path: Path, trail: tuple[str, ...]) -> _Recipe:
    """A recipe file with what it extends below it; `trail` holds the files on the way here."""
    table = _parse(path)
    real = os.path.realpath(path)
    if real in trail:
        circle = " -> ".join(Path(name).name for name in (*trail[trail.index(real) :], real))
        raise UserError(f"{_label(path)}: recipes in a circle: {circle}")
    trail = (*trail, real)
    with _named(_label(path)):
        name, extends = (_text(table, key) for key in ("name", "extends"))
        entries = _phase_entries(table)
        own = typed_sections({key: table[key] for key in table if key not in RECIPE_KEYS}, others=RECIPE_KEYS)
        parent = _find_beside(path, "extends", extends) if "extends" in table else None
    below = _read(parent, trail) if parent else _Recipe("")
    phases = tuple(_phase(path, trail, number, entry) for number, entry in enumerate(entries))
    return _Recipe(
        name=name or path.stem,
        layers=(*below.layers, own),
        phases=phases if "phases" in table else below.phases,
    )


def _phase_entries(table: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = table.get("phases", [])
    if not isinstance(entries, list):
        raise refusal("phases", entries, "must be an array of tables")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise refusal(f"phases[{number}]", entry, "must be a table")
    return entries


def _phase(path: Path, trail: tuple[str, ...], number: int, entry: Mapping[str, Any]) -> _Phase:
    """One entry of `phases`: a recipe, steps, and sections of its own, each of them optional."""
    place = f"phases[{number}]."
    with _named(_label(path)):
        name, recipe = _text(entry, "name", place), _text(entry, "recipe", place)
        sections = {key: entry[key] for key in entry if key not in PHASE_KEYS}
        own = typed_sections(sections, prefix=place, others=PHASE_KEYS)
        if "steps" in entry:
            if "steps" in own.get("phase", {}):
                raise refusal(f"{place}steps", entry["steps"], f"stands in {place}phase.steps too: keep one")
            steps = typed_option(f"{place}steps", STEPS, entry["steps"])
            own = _merged(own, {"phase": {"steps": steps}})
        file = _find_beside(path, f"{place}recipe", recipe) if "recipe" in entry else None
    if file is None:
        return _Phase(name, (own,))
    read = _read(file, trail)
    if read.phases:
        raise UserError(f"{_label(path)}: {place}recipe = {literal(recipe)}: must be a recipe without phases")
    return _Phase(name or read.name, (*read.layers, own))


def _text(table: Mapping[str, Any], key: str, place: str = "") -> str:
    """A key that names something; empty where it is left out."""
    if key not in table:
        return ""
    text: str = typed_value(place + key, str, table[key])
    if not text:
        raise refusal(place + key, text, "must not be empty")
    return text


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        text = content.decode().removeprefix("\ufeff")
        return tomllib.loads(text)
    except OSError as error:
        raise UserError(f"{_label(path)}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        where = _place(content[: error.start].decode())
        raise UserError(f"{_label(path)}: must be UTF-8 text, has byte 0x{content[error.start]:02x} {where}") from None
    except (ValueError, RecursionError) as error:
        reason = str(error).replace("at end of document", _place(text))
        raise UserError(f"{_label(path)}: must be TOML: {reason}") from None


def _place(before: str) -> str:
    """Where a text ends, in the words of `tomllib`."""
    return f"at line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _find(recipe: str) -> Path:
    """The file of a recipe as the user names it."""
    if recipe in recipe_names():
        return PACKAGED / f"{recipe}.toml"
    path = Path(recipe)
    if recipe.endswith(".toml") and os.path.lexists(path):
        return path
    raise _no_recipe(f"recipe {literal(recipe)}", recipe)


def _find_beside(path: Path, key: str, recipe: str) -> Path:
    """The file of a recipe as another one names it: relative to that, or packaged. A file is never its own parent."""
    beside = path.parent / (recipe if recipe.endswith(".toml") else f"{recipe}.toml")
    packaged = recipe in recipe_names()
    if os.path.lexists(beside) and not (packaged and os.path.realpath(beside) == os.path.realpath(path)):
        return beside
    if packaged:
        return PACKAGED / f"{recipe}.toml"
    raise _no_recipe(f"{key} = {literal(recipe)}", recipe)


def _no_recipe(what: str, recipe: str) -> UserError:
    names = recipe_names()
    near = difflib.get_close_matches(recipe.removesuffix(".toml"), names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    whole = ", ".join(name for name in names if "/" not in name)
    return UserError(f"{what}: no such recipe; {hint}packaged: {whole}; or the path of a .toml file")


def _label(path: Path) -> str:
    """The file as errors name it: a packaged one by its place among the recipes."""
    return (path.relative_to(PACKAGED) if path.is_relative_to(PACKAGED) else path).as_posix()


@contextmanager
def _named(label: str) -> Iterator[None]:
    """Errors of the block begin with the file, or other place, they are about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{label}: {error}") from None
