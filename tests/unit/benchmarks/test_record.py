"""A result file says where it was measured and nothing about the machine's names."""

import json
from pathlib import Path

import pytest
import record as record_module
from record import ROOT, command, options_parser, record, run, whole_number

from prorl.errors import UserError


def test_a_command_has_no_paths_of_the_machine() -> None:
    folder = Path.home() / "somewhere"
    line = command([str(folder / "update.py"), "--out", str(folder / "x"), f"--at={ROOT}/runs/a", "--share", "1/2"])
    assert line == "python benchmarks/update.py --out x --at=runs/a --share 1/2"


def test_files_of_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "RESULTS", tmp_path)
    path = record("speed", {"ratio": 2.0}, "| a |\n")
    content = json.loads(path.read_text())
    date = content["machine"]["date"]
    assert path.name == f"speed_{date}.json"
    assert content["ratio"] == 2.0
    named = "date command commit cpu cores memory_gib load_at_start python prorl torch transformers"
    assert content["machine"].keys() == set(named.split())
    text = path.with_suffix(".md").read_text()
    assert text.endswith("\n\n| a |\n")


def test_a_wrong_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="--nonsense"):
        options_parser("").parse_args(["--nonsense"])

    def fail() -> None:
        raise UserError("--repeats 0: must be at least 1")

    with pytest.raises(SystemExit) as ended:
        run(fail)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_whole_number_is_at_least_one(capsys: pytest.CaptureFixture[str]) -> None:
    parser = options_parser("")
    parser.add_argument("--repeats", type=whole_number)
    assert parser.parse_args(["--repeats", "12"]).repeats == 12
    for text in ("0", "-1", "1.5", "x", ""):
        with pytest.raises(UserError, match=f"--repeats: {text}: must be a whole number of at least 1"):
            parser.parse_args([f"--repeats={text}"])
