"""Stage 1, data sets: all sources and suites by name, and the paper's mixture."""

from prorl.datasets import instructions, logic, mathematics, programs, science
from prorl.datasets.record import Dataset
from prorl.errors import UserError

_MODULES = (mathematics, programs, science, logic, instructions)
DATASETS: dict[str, Dataset] = {dataset.name: dataset for module in _MODULES for dataset in module.DATASETS}

MIXTURE = "prorl"
MIXTURE_FILES: dict[str, tuple[str, int]] = {
    "validation/aime_2024.jsonl": ("aime24", 0),
    "validation/codeforces.jsonl": ("codeforces", 0),
    "validation/gpqa_diamond.jsonl": ("gpqa_diamond", 0),
    "validation/ifeval.jsonl": ("ifeval", 0),
    "validation/graph_color.jsonl": ("graph_color", 0),
    "deepscaler.jsonl": ("deepscaler", 40_000),
    "eurus_code.jsonl": ("eurus_code", 24_000),
    "scp_116k.jsonl": ("scp_116k", 25_000),
    "reasoning_gym.jsonl": ("reasoning_gym", 37_000),
    "nemotron_instruction.jsonl": ("nemotron_instruction", 10_000),
}
"""The 136k problems of the paper's table 4 with its validation sets, as its recipes name the files; 0: all rows.

The validation sets come first: training rows that overlap them are left out.
"""


def find_dataset(name: str) -> Dataset:
    """The source or suite of that name."""
    if name not in DATASETS:
        raise UserError(f"data set {name}: must be one of {', '.join(DATASETS)}, {MIXTURE}, or a file of rows")
    return DATASETS[name]
