"""The files of a run: names, torn lines, cutting back, TensorBoard."""

import json
import runpy
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from prorl.errors import UserError
from prorl.metrics import METRICS, MetricsWriter, read_jsonl

ROOT = Path(__file__).parents[2]


def test_one_object_a_step_and_events_beside(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path / "run", tensorboard=False)
    writer.write(1, {"phase": 0, "score/mean": 0.25, "score/math": 0.5})
    writer.write(2, {"validation/sort/9": 1.0, "outcomes/correct": 0.125})
    writer.event({"step": 2, "event": "reset", "trigger": "stagnation", "best": 0.5})
    # Flushed as they come: a killed run leaves what it wrote.
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text()
    events = (tmp_path / "run" / "events.jsonl").read_text()
    writer.close()
    assert metrics == (
        '{"step": 1, "phase": 0, "score/mean": 0.25, "score/math": 0.5}\n'
        '{"step": 2, "validation/sort/9": 1.0, "outcomes/correct": 0.125}\n'
    )
    assert json.loads(events) == {"step": 2, "event": "reset", "trigger": "stagnation", "best": 0.5}
    assert not (tmp_path / "run" / "tensorboard").exists()


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"score/mean/deep": 1.0}, "not in prorl.metrics.METRICS"),
        ({"scores/mean": 1.0}, "not in prorl.metrics.METRICS"),
        ({"score/": 1.0}, "not in prorl.metrics.METRICS"),
        ({"step": 3}, "not in prorl.metrics.METRICS"),
        ({"entropyx": 1.0}, "not in prorl.metrics.METRICS"),
        ({"entropy": float("nan")}, "entropy is nan at step 7"),
        ({"entropy": float("inf")}, "entropy is inf at step 7"),
        ({"entropy": "0.5"}, "entropy is a str"),
    ],
)
def test_a_bad_record_is_refused_and_not_written(tmp_path: Path, metrics: dict, message: str) -> None:
    writer = MetricsWriter(tmp_path, tensorboard=False)
    with pytest.raises(AssertionError, match=message):
        writer.write(7, metrics)
    writer.close()
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_resume_cuts_both_files_back_to_the_checkpoint(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path, tensorboard=False)
    for step in (1, 2, 3):
        writer.write(step, {"entropy": step / 10})
        writer.event({"step": step, "event": "alarm"})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "entr')
    writer = MetricsWriter(tmp_path, tensorboard=False, resume_from=2)
    writer.write(3, {"entropy": 0.75})
    writer.close()
    assert read_jsonl(tmp_path / "metrics.jsonl") == [
        {"step": 1, "entropy": 0.1},
        {"step": 2, "entropy": 0.2},
        {"step": 3, "entropy": 0.75},
    ]
    assert [event["step"] for event in read_jsonl(tmp_path / "events.jsonl")] == [1, 2]
    MetricsWriter(tmp_path, tensorboard=False).close()
    assert read_jsonl(tmp_path / "metrics.jsonl") == []


def test_numbers_survive_the_cut_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    line = json.dumps({"step": 1, "entropy": 0.1 + 0.2, "kl/reference": 1e-17 / 3}) + "\n"
    path.write_text(line + '{"step": 2}\n')
    MetricsWriter(tmp_path, tensorboard=False, resume_from=1).close()
    assert path.read_text() == line


def test_reading_forgives_the_last_line_only(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_jsonl(path) == []
    path.write_text('{"step": 1}\n{"st')
    assert read_jsonl(path) == [{"step": 1}]
    path.write_bytes(b'{"step": 1}\n\xff\xfe')
    assert read_jsonl(path) == [{"step": 1}]
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2: not JSON"):
        read_jsonl(path)
    path.write_text("3\n")
    with pytest.raises(UserError, match="line 1: must be a JSON object"):
        read_jsonl(path)


def test_tensorboard_forgets_what_was_cut(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path, tensorboard=True)
    for step in (1, 2, 3):
        writer.write(step, {"score/mean": step / 4})
    writer.close()
    writer = MetricsWriter(tmp_path, tensorboard=True, resume_from=1)
    writer.write(2, {"score/mean": 1.0})
    writer.close()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [(point.step, point.value) for point in board.Scalars("score/mean")] == [(1, 0.25), (2, 1.0)]


def test_declared_names_are_those_of_the_interface() -> None:
    # The list that the run folder promises, written out by hand.
    promised = """step phase score/mean score/<domain> reward/mean validation/mean validation/<domain>
        validation/<family>/<level> groups/drawn groups/kept groups/surplus groups/dead_after_shaping rounds entropy
        kl/reference kl/engine importance_weight/mean clip_fraction/low clip_fraction/high grad_norm updates_skipped
        response_length/mean truncated_fraction tokens/generated tokens/trained outcomes/<outcome> learning_rate
        seconds/rollout seconds/reward seconds/update seconds/sync seconds/validate seconds/step memory/host_bytes"""
    assert set(promised.split()) <= set(METRICS)
    assert all(meaning.endswith(".") and "\n" not in meaning and "|" not in meaning for meaning in METRICS.values())
    for name, meaning in METRICS.items():
        clocked = name.startswith(("seconds/", "memory/", "time/"))
        assert clocked == ("in seconds" in meaning or "in bytes" in meaning), name


def test_the_page_is_current() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "write_metrics_doc.py"))["document"]()
    assert (ROOT / "docs" / "metrics.md").read_text() == page, "run python scripts/write_metrics_doc.py"
