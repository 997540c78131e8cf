"""Stage 1, data sets: instruction following: Llama-Nemotron to train on, IFEval to measure with."""

import json
from typing import Any

from prorl.datasets.record import BadRow, Dataset, Dropped, Files, RawRow, Row

NO_INSTRUCTIONS = Dropped("no instructions to check")


def nemotron_row(raw: RawRow) -> Row | Dropped:
    """A conversation whose last message carries checkable instructions. The paper adds no wording of its own."""
    messages = raw.messages("input")
    arguments = raw.value("args", dict, str)
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError as error:
            raise BadRow(f"args is not JSON text ({error})") from None
    metadata = instructions(arguments, "instruction_kwargs", messages[-1]["content"])
    if isinstance(metadata, Dropped):
        return metadata
    prompt = messages if len(messages) > 1 else messages[0]["content"]
    return {"prompt": prompt, "answer": "", "metadata": metadata}


def ifeval_row(raw: RawRow) -> Row | Dropped:
    prompt = str(raw.value("prompt", str))
    metadata = instructions(raw.values, "kwargs", prompt)
    if isinstance(metadata, Dropped):
        return metadata
    return {"id": raw.number("key"), "prompt": prompt, "answer": "", "metadata": metadata}


def instructions(arguments: Any, kwargs_name: str, prompt: str) -> Row | Dropped:
    """The rules of a row with their arguments. Null says that a rule lacks the argument; 0 and "" are values."""
    if not isinstance(arguments, dict) or not {"instruction_id_list", kwargs_name} <= arguments.keys():
        raise BadRow(f"must have instruction_id_list and {kwargs_name}")
    names, kwargs = arguments["instruction_id_list"], arguments[kwargs_name]
    if not isinstance(names, list) or not isinstance(kwargs, list) or not all(isinstance(name, str) for name in names):
        raise BadRow(f"instruction_id_list must be a list of texts and {kwargs_name} a list")
    if not names:
        return NO_INSTRUCTIONS
    if len(names) != len(kwargs) or not all(given is None or isinstance(given, dict) for given in kwargs):
        raise BadRow(f"{kwargs_name} must have an object for each of the {len(names)} instructions")
    known = [{key: value for key, value in (given or {}).items() if value is not None} for given in kwargs]
    return {"instruction_id_list": names, "kwargs": known, "prompt": prompt}


DATASETS = (
    Dataset(
        name="nemotron_instruction",
        kind="training",
        domain="instruction",
        about="Llama-Nemotron post-training, reinforcement learning, instruction following",
        rows=56_339,
        licence="CC-BY-4.0",
        origin=Files(
            hub="nvidia/Llama-Nemotron-Post-Training-Dataset",
            patterns=("RL/instruction_following/*.jsonl", "*instruction_following*"),
            columns={"input": ("input",), "args": ("args",)},
            convert=nemotron_row,
        ),
    ),
    Dataset(
        name="ifeval",
        kind="suite",
        domain="instruction",
        about="prompts with instructions of 25 checkable kinds",
        rows=541,
        licence="Apache-2.0",
        origin=Files(
            hub="google/IFEval",
            columns={name: (name,) for name in ("key", "prompt", "instruction_id_list", "kwargs")},
            convert=ifeval_row,
        ),
    ),
)
