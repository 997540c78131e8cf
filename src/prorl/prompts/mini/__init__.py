"""The mini suite: verifiable tasks for a character-level transformer, made by seeded generators.

Suite `mini` holds the levels that may be trained on, `mini_hard` the held-out ones above them. See `docs/mini.md`.
"""

from dataclasses import replace

from prorl.prompts.mini.arithmetic import ADD, RUN
from prorl.prompts.mini.problem import Family, Problem, prompt_of
from prorl.prompts.mini.programs import MERGE, PROG, RPN
from prorl.prompts.mini.puzzles import CHAIN, COLOR, SORT
from prorl.prompts.mini.science import GENE, SHEET
from prorl.prompts.mini.words import ACRO, SLOTS
from prorl.records import Prompt

__all__ = ["FAMILIES", "Family", "Problem", "make_prompt"]

FAMILIES: dict[str, Family] = {
    "add": ADD,
    "run": RUN,
    "prog": PROG,
    "rpn": RPN,
    "merge": MERGE,
    "sheet": SHEET,
    "gene": GENE,
    "sort": SORT,
    "chain": CHAIN,
    "color": COLOR,
    "acro": ACRO,
    "slots": SLOTS,
}


def make_prompt(family: str, level: int, seed: int) -> Prompt:
    """The problem number `seed` of one level; the same arguments always give the same prompt."""
    return replace(prompt_of("mini", FAMILIES, family, level, seed), verifier="mini")
