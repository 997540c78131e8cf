"""Stage 1, data sets: instruction following: Llama-Nemotron to train on, IFEval to measure with."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from prorl.datasets.record import BadRow, Dataset, Dropped, Files, RawRow, Row
from prorl.rewards.instructions.rows import from_ifeval, from_nemotron

Converter = Callable[[Mapping[str, Any]], tuple[list[str], list[dict[str, Any]]]]
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
    metadata = instructions(arguments, from_nemotron, messages[-1]["content"])
    if isinstance(metadata, Dropped):
        return metadata
    prompt = messages if len(messages) > 1 else messages[0]["content"]
    return {"prompt": prompt, "answer": "", "metadata": metadata}


def ifeval_row(raw: RawRow) -> Row | Dropped:
    prompt = str(raw.value("prompt", str))
    metadata = instructions(dict(raw.values), from_ifeval, prompt)
    if isinstance(metadata, Dropped):
        return metadata
    return {"id": raw.number("key"), "prompt": prompt, "answer": "", "metadata": metadata}


def instructions(arguments: Any, convert: Converter, prompt: str) -> Row | Dropped:
    """The rules of a row with their arguments, as their verifier reads them."""
    if not isinstance(arguments, dict):
        raise BadRow(f"the instructions are of type {type(arguments).__name__}, not dict")
    if arguments.get("instruction_id_list") == []:
        return NO_INSTRUCTIONS
    given = {key: _without_null(value) for key, value in arguments.items()}
    try:
        names, kwargs = convert(given)
    except ValueError as error:
        raise BadRow(str(error)) from None
    return {"instruction_id_list": names, "kwargs": kwargs, "prompt": prompt}


def _without_null(value: Any) -> Any:
    """A rule without arguments may have null for them."""
    return [{} if item is None else item for item in value] if isinstance(value, list) else value


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
