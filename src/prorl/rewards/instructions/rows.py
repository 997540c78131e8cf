"""Stage 3, rewards: the rows of the instruction domain: check, convert from the public data sets, and a gold response.

Imports nothing heavy and judges no answer.
"""

from collections.abc import Mapping
from typing import Any

from prorl.records import Prompt
from prorl.rewards.instructions.arguments import Instruction, read_instructions
from prorl.rewards.instructions.gold import build_response


def read_row(prompt: Prompt) -> tuple[tuple[Instruction, ...], bool]:
    """The row's instructions, and whether only following all of them counts. ValueError: it cannot be judged."""
    if not isinstance(prompt.metadata, Mapping):
        raise ValueError("metadata must be an object")
    all_or_nothing = prompt.metadata.get("all_or_nothing", False)
    if not isinstance(all_or_nothing, bool):
        raise ValueError(f"metadata.all_or_nothing = {str(all_or_nothing)[:80]!r}: must be true or false")
    return read_instructions(prompt.metadata), all_or_nothing


def check_row(prompt: Prompt) -> None:
    """ValueError names the rule and the argument where the row cannot be judged against."""
    read_row(prompt)


def gold_response(prompt: Prompt) -> str | None:
    """A response that follows all instructions; None where they exclude one another or none could be built."""
    instructions, _ = read_row(prompt)
    return build_response(instructions)


def from_nemotron(args: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """Ids and arguments of a Llama-Nemotron row's `args`. ValueError where they are not two lists of one length."""
    return _converted(args, "instruction_kwargs")


def from_ifeval(row: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """Ids and arguments of a google/IFEval row. ValueError where they are not two lists of one length."""
    return _converted(row, "kwargs")


def _converted(row: Mapping[str, Any], column: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Both sources give each instruction every key of every rule, with null where it does not apply; 0 and "" stay."""
    names, kwargs = row.get("instruction_id_list"), row.get(column)
    if not isinstance(names, list | tuple) or not isinstance(kwargs, list | tuple) or len(names) != len(kwargs):
        raise ValueError(f"instruction_id_list and {column} must be two lists of the same length")
    if not all(isinstance(given, Mapping) for given in kwargs):
        raise ValueError(f"{column} must hold objects")
    return list(names), [{key: value for key, value in given.items() if value is not None} for given in kwargs]
