"""STEM families: a formula sheet with units, and translation of codons."""

import random

from prorl.prompts.mini.problem import Family, Problem, labels

UNITS = {"F": "N", "U": "V", "W": "J", "Q": "C", "P": "W"}
"""Quantity -> unit. Each is a product: F = m a, U = I R, W = F s, Q = I t, P = U I."""

AMINO_ACIDS = {
    "UU": "F", "UC": "S", "UA": "Y", "UG": "C", "CU": "L", "CC": "P", "CA": "Q", "CG": "R",
    "AU": "I", "AC": "T", "AA": "K", "AG": "N", "GU": "V", "GC": "A", "GA": "D", "GG": "G",
}  # fmt: skip
"""A two-base genetic code: the first two bases of the standard one, with AG and CA given a letter of their own."""


def generate_sheet(rng: random.Random, level: int) -> Problem:
    """Answer `level` formula questions with units: `skF34dU25:` -> `k12Nd10V`."""
    prompt, solution = "s", ""
    for label in labels(rng, level):
        quantity = rng.choice("FUWQP")
        first, second = rng.randrange(1, 10), rng.randrange(1, 10)
        prompt += f"{label}{quantity}{first}{second}"
        solution += f"{label}{first * second}{UNITS[quantity]}"
    return Problem(prompt + ":", solution, {})


def generate_gene(rng: random.Random, level: int) -> Problem:
    """Translate `level` labelled codons: `dkACpGU:` -> `kTpV`."""
    prompt, solution = "d", ""
    for label in labels(rng, level):
        codon = rng.choice("ACGU") + rng.choice("ACGU")
        prompt += label + codon
        solution += label + AMINO_ACIDS[codon]
    return Problem(prompt + ":", solution, {})


SHEET = Family(
    name="sheet",
    domain="stem",
    max_level=10,
    train_levels=8,
    generate=generate_sheet,
    chance=lambda level: (4 / 81) ** level,  # the right units with 12, which four of the 81 pairs give
    description="Products of physical quantities, each with its unit.",
)
GENE = Family(
    name="gene",
    domain="stem",
    max_level=18,
    train_levels=16,
    generate=generate_gene,
    chance=lambda level: (1 / len(AMINO_ACIDS)) ** level,
    description="Translate labelled codons to amino acids.",
)
