"""Rows of one's own through the whole loop: what stands in them may be odd, and must not end a run half way."""

import io
import json

import pytest

from prorl.errors import RunFailed
from prorl.recipe import load_run
from prorl.train import train
from runs import records, write_recipe


def run(folder, recipe, *overrides, resume=False):
    changes = [override.partition("=")[0] for override in overrides]
    loaded = load_run(str(recipe), overrides)
    return train(loaded, folder, resume=resume, changes=changes, terminal=io.StringIO())


def sort_row(number, **fields):
    """A problem that the shipped base solves now and then."""
    digits = f"{number:06d}"
    row = {"id": f"r{number}", "domain": "logic", "task": "sort", "prompt": f"o{digits}:", "verifier": "mini"}
    return row | {"answer": "".join(sorted(digits)), "metadata": {"task": "sort", "level": 5}} | fields


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f'data.sources=[{{source = "{path}"}}]'


def test_a_round_of_too_long_prompts_is_no_reason_to_stop(tmp_path):
    """Most rows are too long, so that some rounds draw no other; a step stops only where all of its rounds do."""
    recipe = write_recipe(tmp_path)
    long = [sort_row(number, prompt="o" + "1" * 90 + ":") for number in range(80)]
    options = ("evaluation.every=0", "reset.patience=0", "rollouts.prompts_per_step=2", "train.steps=6")
    source = write(tmp_path / "some.jsonl", [*long, *map(sort_row, range(100, 130))])
    assert run(tmp_path / "run", recipe, *options, "filter.max_rounds=12", source).outcome == "done"
    steps = records(tmp_path / "run")
    assert any(record["prompts/too_long"] > record["groups/drawn"] for record in steps)
    source = write(tmp_path / "none.jsonl", long)
    with pytest.raises(RunFailed, match=r"step 1: all \d+ prompts drawn are longer than data.max_prompt_tokens = 48"):
        run(tmp_path / "stopped", recipe, *options, "filter.max_rounds=3", source)
