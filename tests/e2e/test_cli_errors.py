"""Every mistake is one line that says what to do, exit code 2, and nothing on the disk is touched."""

import fcntl
import hashlib
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from prorl.cli import main
from prorl.shipped import mini_base_path
from runs import RECIPE, prorl, records, write_recipe


def listing(folder):
    """Every entry below a folder: size and content of a file, and what else there is by name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "other"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd):
    """Run a command that is wrong; gives its line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, prints=False):
        before = listing(tmp_path)
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert code == 2, err
        assert err.startswith("prorl: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert "Traceback" not in out + err
        assert prints or out == ""
        assert listing(tmp_path) == before
        return err.removeprefix("prorl: ").removesuffix("\n")

    return run


@pytest.fixture
def recipe(tmp_path):
    return write_recipe(tmp_path)


def copy_model(folder):
    shutil.copytree(mini_base_path(), folder)
    (folder / "model.safetensors").chmod(0o644)
    return folder


def test_arguments(refused):
    assert "arguments are required: COMMAND" in refused()
    assert "invalid choice: 'trian'" in refused("trian")
    assert "arguments are required: RECIPE" in refused("train")
    assert "unrecognized arguments: --ressume" in refused("train", "quickstart", "--ressume")
    assert "arguments are required: RUN" in refused("reset")
    assert "arguments are required: ACTION" in refused("data")
    assert "arguments are required: --domain" in refused("verify")
    assert "expected one argument" in refused("train", "quickstart", "--set")


@pytest.mark.parametrize("command", ["train", "plan"])
def test_recipes(refused, tmp_path, command):
    line = refused(command, "quikstart")
    assert line.startswith('recipe "quikstart": no such recipe; did you mean quickstart? packaged: ')
    assert line.endswith(", quickstart; or the path of a .toml file")
    assert "no such recipe" in refused(command, "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[train]\nsteps = = 3\n")
    assert "broken.toml: must be TOML: Invalid value (at line 2, column 9)" in refused(command, broken)
    broken.write_bytes(b"\xff\xfe")
    assert "broken.toml: must be UTF-8 text" in refused(command, broken)
    (tmp_path / "folder.toml").mkdir()
    assert "folder.toml: cannot be read (Is a directory)" in refused(command, tmp_path / "folder.toml")
    broken.write_text('extends = "broken.toml"')
    assert "recipes in a circle: broken.toml -> broken.toml" in refused(command, broken)


WRONG_OPTIONS = {
    "rollouts.grup_size=4": "did you mean rollouts.group_size?",
    "rolouts.group_size=4": "rolouts: unknown section (did you mean rollouts?)",
    "rollouts.group_size=many": 'rollouts.group_size = "many": must be an integer',
    "rollouts.group_size=1": "rollouts.group_size = 1: must be at least 2",
    "rollouts.group_size=4.0": "rollouts.group_size = 4.0: must be an integer",
    "loss.clip_low=1.5": "loss.clip_low = 1.5: must be between 0 and 1",
    "loss.kl_estimator=k1": "k1 has no gradient in expectation and is only a metric",
    "train.tensorboard=1": "train.tensorboard = 1: must be true or false",
    "train.steps": "must be section.option=value",
    "data.sources=[]": "data.sources = []: name at least one source",
    "rollouts.token_budget=300": "must hold one rollout",
    "optimizer.minibatch_prompts=33": "must be at most rollouts.prompts_per_step (32)",
}


@pytest.mark.parametrize("override", WRONG_OPTIONS)
def test_options(refused, override):
    options = [override] if "token_budget" not in override else [override, "rollouts.max_response_tokens=500"]
    line = refused("train", "quickstart", "--out", "run", *(f"--set={option}" for option in options))
    assert WRONG_OPTIONS[override] in line


WRONG_DATA = {
    '[{source = "mini", tasks = ["sorting"]}]': "tasks = sorting: not in mini; it has add, run,",
    '[{source = "mini", min_level = 40}]': "no level of mini lies between 40 and",
    '[{source = "mini", min_level = 4, max_level = 3}]': "min_level = 4: must be at most its max_level (3)",
    '[{source = "rows.jsonl"}]': "rows.jsonl:2: prompt must be a text or a list of",
    '[{source = "unknown.jsonl"}]': "no verifier 'chess': must be one of code, instruction, logic, math, mini, stem",
    '[{source = "long.jsonl", domain = "logic"}]': (
        "data.max_prompt_tokens = 48: the evaluation problem long has 60 tokens; raise the limit"
    ),
    '[{source = "few.jsonl"}]': "problems in a row are held out for evaluation",
    '[{source = "nowhere.jsonl"}]': "source = nowhere.jsonl: no such file; use mini, mini_hard, procedural,",
    '[{source = ""}]': 'data.sources[0].source = "": must be mini or a JSON Lines file',
    '[{sorce = "mini"}]': "did you mean source?",
}


@pytest.fixture
def rows(tmp_path):
    def write(name, *rows):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    good = {"id": "g", "domain": "logic", "prompt": "a", "verifier": "mini"}
    write("rows.jsonl", good, {**good, "prompt": 3})
    chess = {"domain": "chess", "prompt": "e4"}
    write("unknown.jsonl", *({**good, "prompt": f"{i}"} for i in range(3)), chess, {**chess, "prompt": "d4"})
    write("long.jsonl", {**good, "id": "long", "prompt": "b" * 60}, *({**good, "id": f"{i}"} for i in range(9)))
    write("few.jsonl", good)


@pytest.mark.parametrize("sources", WRONG_DATA)
def test_data(refused, recipe, rows, sources):
    assert WRONG_DATA[sources] in refused("train", recipe, "--out", "run", f"--set=data.sources={sources}")


def test_domain_weights(refused, recipe):
    line = refused("train", recipe, "--out", "run", "--set=data.domain_weights={chess = 1}")
    assert "data.domain_weights: " in line
    assert "name each domain of the sources (code, logic)" in line


def test_models(refused, recipe, tmp_path):
    def wrong(path):
        return refused("train", recipe, "--out", "run", f"--set=model.path={path}")

    assert "model.path = ./nowhere: no config.json there" in wrong("./nowhere")
    line = wrong("some-owner/some-model")
    assert "model.path = some-owner/some-model: cannot load it; give a folder, a hub name that this machine can" in line
    weights = copy_model(tmp_path / "torn") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "model.path = ./torn: cannot load it" in wrong("./torn")
    weights = copy_model(tmp_path / "noise") / "model.safetensors"
    weights.write_bytes(b"\x00" * 1000)
    assert "model.path = ./noise: cannot load it" in wrong("./noise")
    copy_model(tmp_path / "empty").joinpath("model.safetensors").unlink()
    assert "model.path = ./empty: cannot load it" in wrong("./empty")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy_model(tmp_path / "mute") if name == "tokenizer.json" else tmp_path / "mute").joinpath(name).unlink()
    assert "model.path = ./mute: " in (line := wrong("./mute"))
    assert "tokenizer" in line
    assert "model.path = ./nowhere: no config.json there" in refused(
        "plan", recipe, "--set=model.path=./nowhere", prints=True
    )


def test_folders_that_cannot_be_written(refused, recipe, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "--out file: cannot write there (File exists); choose another" in refused("train", recipe, "--out", "file")
    line = refused("train", recipe, "--out", "file/run")
    assert "--out file/run: cannot write there (Not a directory)" in line
    line = refused("train", recipe, "--out", "/proc/prorl")
    assert line.startswith("--out /proc/prorl: cannot write there (No such file or directory)")
    assert "File name too long" in refused("train", recipe, "--out", "x" * 300)
    (tmp_path / "loop").symlink_to("loop")
    assert "--out loop/run: cannot" in refused("train", recipe, "--out", "loop/run")


def test_a_report_that_cannot_be_written(refused, a_run):
    (a_run / "report.html").unlink()
    (a_run / "report.html").mkdir()
    assert "run: cannot read and write there (Is a directory)" in refused("report", "run")


def test_a_folder_that_holds_a_run(refused, recipe, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("mine")
    line = refused("train", recipe, "--out", "run")
    assert line == "run: holds a run already; go on with --resume, or choose another folder with --out"


def test_a_run_folder_that_another_process_works_in(refused, recipe, tmp_path):
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert "another process is running in it" in refused("train", recipe, "--out", "run")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two steps with one checkpoint."""
    folder = tmp_path_factory.mktemp("finished")
    recipe = write_recipe(folder, RECIPE.replace("every = 3", "every = 0").replace("patience = 1", "patience = 0"))
    done = prorl(
        "train", recipe, "--out", folder / "run", "--set", "train.steps=2", "--set", "train.keep_checkpoints=1"
    )
    assert done.returncode == 0, done.stderr
    return recipe, folder / "run"


@pytest.fixture
def a_run(finished, tmp_path):
    recipe, folder = finished
    shutil.copy(recipe, tmp_path / "tiny.toml")
    shutil.copytree(folder, tmp_path / "run")
    steps = [path.name for path in (tmp_path / "run" / "checkpoints").glob("step_*")]
    assert steps == ["step_2"]
    return tmp_path / "run"


RESUME = ("train", "tiny.toml", "--out", "run", "--resume", "--set=train.steps=3", "--set=train.keep_checkpoints=1")


def test_resuming_a_torn_checkpoint(refused, a_run):
    weights = a_run / "checkpoints" / "step_2" / "policy" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    line = refused(*RESUME)
    assert line.startswith(
        "no checkpoint in run/checkpoints can be used: checkpoint run/checkpoints/step_2 is refused:"
    )
    assert "policy/model.safetensors has" in line
    assert line.endswith(": torn")


def test_resuming_a_damaged_checkpoint(refused, a_run):
    state = a_run / "checkpoints" / "step_2" / "state.json"
    state.write_bytes(state.read_bytes().replace(b"1", b"2", 1))
    assert "state.json is damaged (its checksum differs)" in refused(*RESUME)


def test_resuming_what_another_program_wrote(refused, a_run):
    (a_run / "checkpoints" / "step_2" / "manifest.json").write_text('{"program": "other", "format": 1}')
    assert "checkpoint run/checkpoints/step_2 is refused: another program wrote it" in refused(*RESUME)
    (a_run / "checkpoints" / "step_2" / "manifest.json").unlink()
    assert "is refused: it has no manifest.json: torn, or not a checkpoint" in refused(*RESUME)


def test_resuming_with_another_recipe(refused, a_run):
    line = refused("train", "tiny.toml", "--out", "run", "--resume", "--set=train.steps=3", "--set=train.seed=4")
    assert "the recipe has changed since this checkpoint: train.keep_checkpoints: 1 -> 2; resume with the" in line


def test_reset_and_report_need_a_run(refused, tmp_path):
    (tmp_path / "folder").mkdir()
    for folder in ("folder", "nowhere"):
        assert f"{folder}: no run there (config.toml is missing)" in refused("reset", folder)
        assert "metrics.jsonl is missing or has no complete step" in refused("report", folder)
    for command in ("reset", "report"):
        assert "File name too long" in refused(command, "x" * 300)
    (tmp_path / "folder" / "metrics.jsonl").write_text('{"step": 1\n{"step": 2}\n')
    assert "line 1: not JSON; repair or remove that line" in refused("report", "folder")


def test_a_reset_request_that_cannot_be_left(refused, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("")
    (tmp_path / "run" / "reset.request").symlink_to("nowhere/at/all")
    assert "run: cannot write there (No such file or directory)" in refused("reset", "run")


def test_verify(refused):
    assert "verify --domain chess: must be one of math, code, stem" in refused("verify", "--domain", "chess")
    assert "--workers must be at least 1" in refused("verify", "--domain", "mini", "--workers", "0")
    assert "--timeout above 0" in refused("verify", "--domain", "mini", "--timeout", "0")
    assert "--timeout above 0" in refused("verify", "--domain", "mini", "--timeout", "nan")
    assert "invalid int value: 'two'" in refused("verify", "--domain", "mini", "--workers", "two")


def test_data_show(refused):
    allowed = "must be one of mini, mini_hard, procedural, procedural_hard, mini-base"
    assert f"data show maxi: {allowed}" in refused("data", "show", "maxi")
    assert "only mini-base has a folder" in refused("data", "show", "mini", "--path")
    assert "tasks = chess: not in mini;" in refused("data", "show", "mini", "--task", "chess")
    assert "no level of mini lies between 99 and 99" in refused("data", "show", "mini", "--level", "99")
    assert "--count must be at least 1" in refused("data", "show", "mini", "--count", "0")
    assert "invalid int value: 'x'" in refused("data", "show", "mini", "--seed", "x")


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "tiny.toml", "--out", "run", "--set=model.path=./torn"],
        ["train", "tiny.toml", "--out", "run", "--set=model.path=./lossy"],
        ["train", "quikstart"],
        ["verify", "--domain", "chess"],
    ],
    ids=["torn weights", "a missing tensor", "unknown recipe", "unknown domain"],
)
def test_a_process_of_its_own_says_no_more(recipe, tmp_path, arguments):
    """Libraries write to standard error too: not here."""
    weights = copy_model(tmp_path / "torn") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    path = copy_model(tmp_path / "lossy") / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.norm.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    before = listing(tmp_path)
    done = prorl(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("prorl: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert listing(tmp_path) == before


def test_resume_without_a_checkpoint_starts_at_step_0(recipe, tmp_path, capfd):
    arguments = ["train", str(recipe), "--set=evaluation.every=0", "--set=reset.patience=0", "--set=train.steps=1"]
    out = tmp_path / "run"
    out.mkdir()
    assert main([*arguments, "--out", str(out), "--resume"]) == 0
    assert "starting at step 0" in capfd.readouterr().out
    assert [record["step"] for record in records(out)] == [1]
    assert (out / "checkpoints" / "step_1").is_dir()
