"""The procedural suite: generated English problems at the level of a small real model, for every domain but logic.

Reasoning Gym serves logic. See `docs/tasks.md`.
"""

from dataclasses import replace

from prorl.prompts.mini.problem import Family, prompt_of
from prorl.prompts.procedural import instructions, mathematics, programs, science
from prorl.records import Prompt

__all__ = ["FAMILIES", "make_prompt"]

FAMILIES: dict[str, Family] = {
    family.name: family for module in (mathematics, programs, science, instructions) for family in module.FAMILIES
}


def make_prompt(family: str, level: int, seed: int) -> Prompt:
    """The problem number `seed` of one level; the same arguments always give the same prompt."""
    prompt = prompt_of("procedural", FAMILIES, family, level, seed)
    return replace(prompt, verifier=prompt.domain)
