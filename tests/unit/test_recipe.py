"""Recipes: what lies on what, what is refused and how, and the way back to TOML."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from prorl.config import Source
from prorl.errors import UserError
from prorl.options import SECTIONS
from prorl.recipe import difference, load_run, recipe_names, to_toml

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a recipe into an empty working folder and gives its name."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes, name: str = "my.toml") -> str:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
        return name

    return write


SOURCES = '[data]\nsources = [{source = "mini"}]\n'


def refused(recipe: str, *overrides: str) -> str:
    """The message of a refusal, which is one line."""
    with pytest.raises(UserError) as caught:
        load_run(recipe, overrides)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_values_names_and_defaults(write: Write) -> None:
    run = load_run(
        write(SOURCES + "domain_weights = {math = 2, code = 1}\n[loss]\nclip_high = 1\n[train]\nsteps = 7\n")
    )
    config = run.phases[0]
    assert (run.name, config.name, len(run.phases)) == ("my", "my", 1)
    assert config.data.sources == (Source(),)
    assert config.data.domain_weights == {"math": 2.0, "code": 1.0}
    assert isinstance(config.loss.clip_high, float)
    assert (config.loss.clip_high, config.loss.clip_low, run.train.steps) == (1.0, 0.2, 7)
    assert load_run(write(f'name = "other"\n{SOURCES}')).name == "other"


def test_extends_merges_tables_and_replaces_the_rest(write: Write) -> None:
    write(
        "[data]\nsources = [{weight = 5}]\ndomain_weights = {math = 1, code = 1}\n[loss]\nclip_low = 0.1", "sub/a.toml"
    )
    write('name = "b"\nextends = "a"\n[data.domain_weights]\ncode = 2\nstem = 3\n[loss]\nclip_high = 0.3', "sub/b.toml")
    write('extends = "sub/b.toml"\n[data]\nsources = [{}, {weight = 2}]\n[loss]\nclip_low = 0.15', "c.toml")
    run = load_run("c.toml")
    data, loss = run.phases[0].data, run.phases[0].loss
    assert run.name == "c"
    assert [source.weight for source in data.sources] == [1.0, 2.0]
    assert data.domain_weights == {"math": 1.0, "code": 2.0, "stem": 3.0}
    assert (loss.clip_low, loss.clip_high) == (0.15, 0.3)


def test_empty_table_empties_and_empty_section_does_not(write: Write) -> None:
    write(f"{SOURCES}domain_weights = {{math = 1}}\n[loss]\nclip_low = 0.1", "a.toml")
    config = load_run(write('extends = "a"\n[data]\ndomain_weights = {}\n[loss]\n')).phases[0]
    assert config.data.domain_weights == {}
    assert config.loss.clip_low == 0.1
    over = load_run("a.toml", ["data.domain_weights={}", "data.domain_weights.code=3"]).phases[0]
    assert over.data.domain_weights == {"code": 3.0}


def test_own_quickstart_may_extend_the_packaged_one(write: Write) -> None:
    config = load_run(write('extends = "quickstart"\n[train]\nsteps = 3', "quickstart.toml")).phases[0]
    assert config == dataclasses.replace(
        load_run("quickstart").phases[0], train=dataclasses.replace(config.train, steps=3)
    )


def test_order_of_the_layers_of_a_phase(write: Write) -> None:
    """Each layer sets one option less than the one below it: the value of an option names the last to set it."""
    options = ("cooldown", "interval", "kl_window", "max_resets")
    layers = [[f"{option} = {number}" for option in options[number - 1 :]] for number in (1, 2, 3, 4)]
    root, own, phase = ("[reset]\n" + "\n".join(rows) for rows in layers[:3])
    write(f"{SOURCES}{root}", "root.toml")
    write(phase, "phase.toml")
    write(f'extends = "root"\nphases = [{{recipe = "phase", reset = {{{layers[3][0]}}}}}]\n{own}')
    reset = load_run("my.toml").phases[0].reset
    assert [getattr(reset, option) for option in options] == [1, 2, 3, 4]
    over = load_run("my.toml", [f"reset.{option}=5" for option in options]).phases[0].reset
    assert [getattr(over, option) for option in options] == [5, 5, 5, 5]


PHASED = f"""
phases = [
    {{recipe = "parts/one", steps = 3}},
    {{recipe = "parts/two.toml", steps = 4, loss = {{clip_high = 0.5}}}},
    {{name = "last", phase = {{steps = 9}}}},
]
[loss]
kl_coefficient = 0.5
clip_high = 0.7
[train]
steps = 100
{SOURCES}
"""


@pytest.fixture
def phased(write: Write) -> str:
    write("[loss]\nclip_low = 0.1\nkl_coefficient = 0.25", "parts/one.toml")
    write('extends = "one"\n[rollouts]\ngroup_size = 32', "parts/two.toml")
    return write(PHASED, "phased.toml")


def test_phases(phased: str) -> None:
    run = load_run(phased)
    assert run.name == "phased"
    assert [config.name for config in run.phases] == ["one", "two", "last"]
    assert [config.phase.steps for config in run.phases] == [3, 4, 9]
    assert [config.loss.clip_high for config in run.phases] == [0.7, 0.5, 0.7]
    assert [config.loss.clip_low for config in run.phases] == [0.1, 0.1, 0.2]
    assert [config.loss.kl_coefficient for config in run.phases] == [0.25, 0.25, 0.5]
    assert [config.rollouts.group_size for config in run.phases] == [16, 32, 16]
    assert run.train.steps == 100


def test_set_lies_on_top_of_every_phase(phased: str) -> None:
    run = load_run(phased, ["loss.clip_high=0.9", "train.steps=5", "loss.clip_high = 0.8"])
    assert [config.loss.clip_high for config in run.phases] == [0.8, 0.8, 0.8]
    assert {config.train.steps for config in run.phases} == {5}


def test_phases_are_inherited_with_their_own_paths_and_can_be_dropped(write: Write, phased: str) -> None:
    write('extends = "../phased"\n[reset]\ncooldown = 6', "elsewhere/longer.toml")
    run = load_run("elsewhere/longer.toml")
    assert (run.name, [config.name for config in run.phases]) == ("longer", ["one", "two", "last"])
    assert [config.reset.cooldown for config in run.phases] == [6, 6, 6]
    assert [config.name for config in load_run(write('extends = "phased"\nphases = []')).phases] == ["my"]


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("model.path=org/model-7b", "org/model-7b"),
        ("model.path='quoted'", "quoted"),
        ("model.path = spaced ", "spaced"),
        ("model.path=7", "7"),
        ("model.path=true", "true"),
        ("model.path=a=b", "a=b"),
        ("model.path=x\ny = 1", "x\ny = 1"),
        ("model.path=", ""),
        ("train.tensorboard=false", False),
        ("train.steps=1_000", 1000),
        ("loss.clip_low=1", 1.0),
        ("optimizer.learning_rate=1e-6", 1e-6),
        ("reward.functions.math=m:f", {"math": "m:f"}),
        ("data.sources=[{source='mini', weight=2, tasks=['add']}]", (Source(weight=2.0, tasks=("add",)),)),
    ],
)
def test_override_values(write: Write, override: str, value: object) -> None:
    section, option = override.partition("=")[0].strip().split(".")[:2]
    result = getattr(getattr(load_run(write(SOURCES), [override]).phases[0], section), option)
    assert result == value
    assert type(result) is type(value)


SECTION_LIST = ", ".join(SECTIONS)
WRONG_VALUES = [
    ("[loss]\nclip_hihg = 1", "loss.clip_hihg: unknown option (did you mean loss.clip_high?)"),
    ("[loss]\nclip_low = -1", "loss.clip_low = -1: must be between 0 and 1"),
    ("[loss]\nclip_low = 1.5", "loss.clip_low = 1.5: must be between 0 and 1"),
    ("[loss]\nclip_high = -0.1", "loss.clip_high = -0.1: must be at least 0"),
    ("[loss]\nclip_low = nan", "loss.clip_low = nan: must be a finite number"),
    ("[loss]\nclip_high = inf", "loss.clip_high = inf: must be a finite number"),
    ("[loss]\nclip_high = -inf", "loss.clip_high = -inf: must be a finite number"),
    ('[loss]\nclip_high = "0.3"', 'loss.clip_high = "0.3": must be a number'),
    ("[loss]\nclip_high = true", "loss.clip_high = true: must be a number"),
    ('[train]\nsteps = "many"', 'train.steps = "many": must be an integer'),
    ("[train]\nsteps = 10.0", "train.steps = 10.0: must be an integer"),
    ("[train]\nsteps = true", "train.steps = true: must be an integer"),
    ("[train]\nsteps = 2026-01-01", "train.steps = 2026-01-01: must be an integer"),
    ("[train]\nsteps = 9223372036854775808", "train.steps = 9223372036854775808: must fit in 64 bits"),
    ("[train]\ntensorboard = 1", "train.tensorboard = 1: must be true or false"),
    ("[train]\nseed = 2147483648", "train.seed = 2147483648: must be between 0 and 2147483647"),
    ("[model]\npath = 7", "model.path = 7: must be a string"),
    ('[loss]\nadvantage = "gae"', 'loss.advantage = "gae": must be one of group, batch, loo, dr'),
    (
        '[loss]\nkl_estimator = "k1"',
        'loss.kl_estimator = "k1": must be one of k2, k3, k3_unbiased '
        "(k1 has no gradient in expectation and is only a metric)",
    ),
    ('[data]\nsources = "mini"', 'data.sources = "mini": must be an array of tables'),
    ('[data]\nsources = ["mini"]', 'data.sources[0] = "mini": must be a table'),
    ("[[data.sources]]\nwieght = 2", "data.sources[0].wieght: unknown option (did you mean weight?)"),
    ("[[data.sources]]\n[[data.sources]]\nweight = -2", "data.sources[1].weight = -2: must be at least 0"),
    ("[[data.sources]]\ntasks = ['a', 3]", "data.sources[0].tasks[1] = 3: must be a string"),
    ("[data]\ndomain_weights = 3", "data.domain_weights = 3: must be a table of numbers"),
    ('[data.domain_weights]\nmath = "1"', 'data.domain_weights.math = "1": must be a number'),
    ('[data.domain_weights]\n"a b" = nan', 'data.domain_weights."a b" = nan: must be a finite number'),
    ("[reward.functions]\nmath = 1", "reward.functions.math = 1: must be a string"),
    ("loss = 3", "loss = 3: must be a table"),
    ("[[loss]]\nclip_low = 0", "loss = [{clip_low = 0}]: must be a table"),
    ("[los]\nclip_low = 0", "los: unknown section (did you mean loss?)"),
    ("[grpo]\nclip_low = 0", f"grpo: unknown section (sections: {SECTION_LIST})"),
    ("clip_low = 0", "clip_low: unknown option (did you mean loss.clip_low?)"),
    ("steps = 3", "steps: unknown option (did you mean phase.steps or train.steps?)"),
    ('extend = "a"', "extend: unknown option (did you mean extends?)"),
    ("[train]\nlearning_rate = 1", "train.learning_rate: unknown option (did you mean optimizer.learning_rate?)"),
    ('[train]\n"a\\nb" = 1', 'train."a\\nb": unknown option (train has steps, seed, checkpoint_every, '),
    ("name = 3", "name = 3: must be a string"),
    ('name = ""', 'name = "": must not be empty'),
    ("extends = []", "extends = []: must be a string"),
    ("phases = 3", "phases = 3: must be an array of tables"),
    ("phases = [3]", "phases[0] = 3: must be a table"),
    ("phases = [{steps = -1}]", "phases[0].steps = -1: must be at least 0"),
    ("phases = [{}, {los = {}}]", "phases[1].los: unknown section (did you mean loss?)"),
    ("phases = [{stps = 3}]", "phases[0].stps: unknown option (did you mean steps?)"),
    ("phases = [{loss = {clip_low = 2}}]", "phases[0].loss.clip_low = 2: must be between 0 and 1"),
    ("phases = [{loss = {clp_low = 2}}]", "phases[0].loss.clp_low: unknown option (did you mean loss.clip_low?)"),
    (
        "phases = [{steps = 3, phase = {steps = 3}}]",
        "phases[0].steps = 3: stands in phases[0].phase.steps too: keep one",
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG_VALUES, ids=[text for text, _ in WRONG_VALUES])
def test_wrong_values(write: Write, text: str, message: str) -> None:
    said = refused(write(text))
    assert said.startswith(f"my.toml: {message}")
    assert said == f"my.toml: {message}" or message.endswith(", ")


def test_long_values_are_cut_short(write: Write) -> None:
    said = refused(write(f'[train]\nsteps = "{"x" * 5000}"'))
    assert said == f'my.toml: train.steps = "{"x" * 99}...: must be an integer'
    assert refused(write(f"[train]\nsteps = 0x{'f' * 9000}")).endswith("...: must fit in 64 bits")
    assert refused(write(f"[loss]\nclip_high = 0x{'f' * 9000}")).endswith("...: must be a finite number")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss.clip_low", '--set "loss.clip_low": must be section.option=value, as loss.clip_high=0.28'),
        ("clip_low=1", '--set "clip_low=1": must be section.option=value, as loss.clip_high=0.28'),
        ("=1", '--set "=1": must be section.option=value, as loss.clip_high=0.28'),
        ("loss.=1", '--set "loss.=1": must be section.option=value, as loss.clip_high=0.28'),
        ("loss.clip_hihg=1", "--set: loss.clip_hihg: unknown option (did you mean loss.clip_high?)"),
        ("los.clip_high=1", "--set: los: unknown section (did you mean loss?)"),
        ("train.steps=many", '--set: train.steps = "many": must be an integer'),
        ("train.steps=", '--set: train.steps = "": must be an integer'),
        ("train.steps=1\nseed = 2", '--set: train.steps = "1\\nseed = 2": must be an integer'),
        ("loss.clip_low.x=1", "--set: loss.clip_low = {x = 1}: must be a number"),
        ("loss.clip_low=" + "[" * 5000, f'--set: loss.clip_low = "{"[" * 99}...: must be a number'),
        ("data.domain_weights.\udcff=1", '--set: data.domain_weights = "\\udcff": must be valid Unicode'),
        ("model.path=\udcff", '--set: model.path = "\\udcff": must be valid Unicode'),
    ],
)
def test_wrong_overrides(override: str, message: str) -> None:
    assert refused("quickstart", override) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[loss]\nclip_low = \n", "must be TOML: Invalid value (at line 2, column 12)"),
        (b"[loss]\nclip_low = 0.1\nclip_low = 0.2\n", "must be TOML: Cannot overwrite a value (at line 3, column 15)"),
        (b"[loss]\n[loss]\n", "must be TOML: Cannot declare ('loss',) twice (at line 2, column 6)"),
        (b"[train]\nsteps = [1,", "must be TOML: Invalid value (at line 2, column 12)"),
        (b"[loss]\n# caf\xe9\n", "must be UTF-8 text, has byte 0xe9 at line 2, column 6"),
        (b"a = " + b"[" * 20000, "must be TOML: maximum recursion depth exceeded"),
        (b"a = " + b"9" * 5000, "must be TOML: Exceeds the limit (4300 digits) for integer string conversion"),
    ],
)
def test_broken_files(write: Write, content: bytes, message: str) -> None:
    assert refused(write(content)).startswith(f"my.toml: {message}")


def test_byte_order_mark_and_carriage_returns_are_read(write: Write) -> None:
    text = SOURCES + "[train]\nsteps = 3\n"
    assert load_run(write(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())).train.steps == 3


def test_files_that_cannot_be_read(write: Write) -> None:
    names = ", ".join(name for name in recipe_names() if "/" not in name)  # not the phases of one
    end = f"packaged: {names}; or the path of a .toml file"
    Path("folder.toml").mkdir()
    Path("loop.toml").symlink_to("loop.toml")
    assert refused("folder.toml") == "folder.toml: cannot be read (Is a directory)"
    assert refused("loop.toml") == "loop.toml: cannot be read (Too many levels of symbolic links)"
    assert refused("quikstart") == f'recipe "quikstart": no such recipe; did you mean quickstart? {end}'
    assert refused("quickstart.toml") == f'recipe "quickstart.toml": no such recipe; did you mean quickstart? {end}'
    assert refused("xyz\0.toml") == f'recipe "xyz\\u0000.toml": no such recipe; {end}'
    assert refused("") == f'recipe "": no such recipe; {end}'
    assert refused(write('extends = "xyz\\u0000"')) == f'my.toml: extends = "xyz\\u0000": no such recipe; {end}'
    assert refused(write('phases = [{recipe = "xyz"}]')) == f'my.toml: phases[0].recipe = "xyz": no such recipe; {end}'
    assert refused(write('phases = [{recipe = ""}]')) == 'my.toml: phases[0].recipe = "": must not be empty'


def test_errors_name_the_file_that_has_them(write: Write) -> None:
    write("[loss]\nclip_low = 3", "sub/a.toml")
    assert refused(write('extends = "sub/a"')) == "sub/a.toml: loss.clip_low = 3: must be between 0 and 1"


def test_circles_are_refused(write: Write) -> None:
    write('extends = "b"', "a.toml")
    write('phases = [{recipe = "c"}]', "b.toml")
    write('extends = "a"', "c.toml")
    assert refused("a.toml") == "a.toml: recipes in a circle: a.toml -> b.toml -> c.toml -> a.toml"
    assert refused(write('extends = "my"')) == "my.toml: recipes in a circle: my.toml -> my.toml"


def test_phases_within_a_phase_are_refused(write: Write, phased: str) -> None:
    said = refused(write('phases = [{recipe = "phased"}]'))
    assert said == 'my.toml: phases[0].recipe = "phased": must be a recipe without phases'


def test_phase_must_not_change_what_belongs_to_the_run(write: Write) -> None:
    write(f"{SOURCES}[train]\nseed = 1\nsteps = 30\n", "one.toml")
    write('phases = [{recipe = "one"}]\n[train]\nsteps = 90\n', "my.toml")
    must = "must be 90 as in the recipe, it belongs to the whole run"
    assert refused("my.toml") == f"my.toml: phase 1: train.steps = 30: {must}"
    # The phases agree with each other, and with --set; the recipe itself is silent on the seed.
    write('phases = [{recipe = "one"}]\n', "my.toml")
    assert load_run("my.toml", ["train.steps=7"]).train.steps == 7
    assert load_run("my.toml").train.seed == 1


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipes_load_and_come_back(write: Write, name: str) -> None:
    run = load_run(name)
    assert load_run(write(to_toml(run), "config.toml")) == run


def test_packaged_recipes_by_name() -> None:
    assert "quickstart" in recipe_names()
    assert load_run("quickstart").name == "quickstart"


def test_phases_come_back(write: Write, phased: str) -> None:
    run = load_run(phased)
    text = to_toml(run)
    assert load_run(write(text, "config.toml")) == run
    assert text.index("[train]") < text.index("[[phases]]") < text.index("[phases.rollouts]")
    assert "clip_high" not in text[text.index("[loss]") : text.index("[[phases]]")]
    single = load_run(write(f'phases = [{{name = "part"}}]\n{SOURCES}'))
    assert (single.name, single.phases[0].name) == ("my", "part")
    assert load_run(write(to_toml(single), "config.toml")) == single


def test_difference(write: Write, phased: str) -> None:
    run = load_run(phased)
    assert difference(run, run) == []
    everywhere = load_run(phased, ["loss.clip_high=0.28", "train.steps=200", "data.domain_weights={math=2}"])
    assert difference(run, everywhere) == [
        "train.steps: 100 -> 200",
        "data.domain_weights.math: unset -> 2.0",
        "phase 1: loss.clip_high: 0.7 -> 0.28",
        "phase 2: loss.clip_high: 0.5 -> 0.28",
        "phase 3: loss.clip_high: 0.7 -> 0.28",
    ]
    one = load_run(write(SOURCES))
    two = dataclasses.replace(one, name="other", phases=one.phases * 2)
    assert difference(one, two) == ['name: "my" -> "other"', "phases: 1 -> 2"]
    renamed = dataclasses.replace(one, name="other", phases=(dataclasses.replace(one.phases[0], name="other"),))
    assert difference(one, renamed) == ['name: "my" -> "other"']
    weight = load_run("my.toml", ["data.sources=[{weight=2}]", "model.path=a b"])
    assert difference(one, weight) == ['model.path: "mini-base" -> "a b"', "data.sources[0].weight: 1.0 -> 2.0"]
