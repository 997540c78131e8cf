"""Procedural science families."""

from prorl.prompts.mini.problem import Family

FAMILIES: tuple[Family, ...] = ()
