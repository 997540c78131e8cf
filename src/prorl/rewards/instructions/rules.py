"""Stage 3, rewards: all 25 IFEval rules in one table, and the texts that the loose reading tries. Reads no row."""

from prorl.rewards.instructions.arguments import Instruction
from prorl.rewards.instructions.language import LANGUAGE_RULES
from prorl.rewards.instructions.layout import LAYOUT_RULES
from prorl.rewards.instructions.wording import WORDING_RULES, Rule

RULES: dict[str, Rule] = {**WORDING_RULES, **LAYOUT_RULES, **LANGUAGE_RULES}


def follows(text: str, instruction: Instruction) -> bool:
    """Strict: the text as it stands. An empty one follows nothing."""
    return bool(text.strip()) and RULES[instruction.rule](text, instruction.arguments)


def follows_loosely(text: str, instruction: Instruction) -> bool:
    """Whether any of the loose texts follows."""
    return any(follows(variant, instruction) for variant in loose_texts(text))


def loose_texts(text: str) -> list[str]:
    """The text, also without its first line, its last, or both (a greeting, a closing), each with and without `*`."""
    lines = text.split("\n")
    cuts = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return list(dict.fromkeys([*cuts, *(cut.replace("*", "") for cut in cuts)]))
