"""Instruction families: words with given initials and case, words of given kinds in labelled slots."""

import math
import random

from prorl.prompts.mini.problem import Family, Problem, labels

WORDS_BY_INITIAL = {
    group[0]: tuple(group.split())
    for group in (
        "act air ape", "bag bed bow", "cap cot cub", "den dew dim", "elf elk elm", "fan fog fur", "gap gem gum",
        "hat hay hut", "ice ink ivy", "jar jet joy", "key kid kit", "law log lot", "map mud mug", "net new now",
        "oak oil owl", "pad pig pot", "rat red rug", "sky son sun", "tap ten toy", "web win wig",
    )
}  # fmt: skip
"""Three words for each of twenty initials."""

WORDS_BY_KIND = {
    "A": ("ANT", "BAT", "COW", "DOG", "FOX", "HEN"),
    "B": ("ARM", "EAR", "EYE", "HIP", "LEG", "TOE"),
    "F": ("BUN", "EGG", "FIG", "HAM", "NUT", "PIE"),
    "T": ("AXE", "CUP", "MOP", "PAN", "PEN", "SAW"),
    "V": ("BUS", "CAB", "CAR", "SUB", "TUG", "VAN"),
}
"""Six words for each kind: animals, body, food, tools, vehicles."""


def generate_acro(rng: random.Random, level: int) -> Problem:
    """Write a word for each initial, in the initial's case: `acAt:` -> `cap APE toy`."""
    initials = rng.sample(sorted(WORDS_BY_INITIAL), level)
    words: list[str] = []
    for position, initial in enumerate(initials):
        word = rng.choice(WORDS_BY_INITIAL[initial])
        upper = rng.random() < 0.5
        initials[position] = initial.upper() if upper else initial
        words.append(word.upper() if upper else word)
    return Problem(f"a{''.join(initials)}:", " ".join(words), {"initials": "".join(initials)})


def generate_slots(rng: random.Random, level: int) -> Problem:
    """Fill each labelled slot with a word of its kind, all words distinct: `lkAdFpA:` -> `kCOWdFIGpHEN`."""
    unused = {kind: rng.sample(words, len(words)) for kind, words in WORDS_BY_KIND.items()}
    slots: list[list[str]] = []
    solution = ""
    for label in labels(rng, level):
        kind = rng.choice([kind for kind, words in unused.items() if words])
        slots.append([label, kind])
        solution += label + unused[kind].pop()
    return Problem(f"l{''.join(label + kind for label, kind in slots)}:", solution, {"slots": slots})


ACRO = Family(
    name="acro",
    domain="instruction",
    max_level=12,
    train_levels=10,
    generate=generate_acro,
    chance=lambda level: 1 / math.perm(len(WORDS_BY_INITIAL), level),  # any distinct initials, in the prompt's case
    description="Distinct words with the given initials, each in the case of its initial.",
)
SLOTS = Family(
    name="slots",
    domain="instruction",
    max_level=12,
    train_levels=10,
    generate=generate_slots,
    chance=lambda level: (1 / len(WORDS_BY_KIND)) ** level,
    description="Distinct words of the given kinds, each after its label.",
)
