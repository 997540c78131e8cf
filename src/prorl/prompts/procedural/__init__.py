"""The procedural suite: generated English problems at the level of a small real model, for every domain but logic.

Reasoning Gym serves logic. See `docs/tasks.md`.
"""

import random

from prorl.prompts.mini.problem import Family
from prorl.prompts.procedural import instructions, mathematics, programs, science
from prorl.records import Prompt

__all__ = ["FAMILIES", "make_prompt"]

FAMILIES: dict[str, Family] = {
    family.name: family for module in (mathematics, programs, science, instructions) for family in module.FAMILIES
}


def make_prompt(family: str, level: int, seed: int) -> Prompt:
    """Generate the problem number `seed` of one level; the same arguments always give the same prompt."""
    if family not in FAMILIES:
        raise ValueError(f"procedural family {family!r}: must be one of {', '.join(FAMILIES)}")
    spec = FAMILIES[family]
    if not 1 <= level <= spec.max_level:
        raise ValueError(f"procedural level {family}/{level}: must be 1 to {spec.max_level}")
    problem = spec.generate(random.Random(f"procedural/{family}/{level}/{seed}"), level)
    return Prompt(
        id=f"procedural/{family}/{level}/{seed}",
        domain=spec.domain,
        task=family,
        content=problem.prompt,
        answer=problem.solution,
        metadata={"task": family, "level": level, **problem.metadata},
        verifier=spec.domain,
    )
