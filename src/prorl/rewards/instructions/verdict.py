"""Stage 3, rewards: the verifier of instructions: the share of IFEval rules that the text after `</think>` follows.

`verify` reads the text as it stands, `verify_tolerant` as IFEval's loose accuracy does. Stretches copied from the
prompt bring nothing. Calls no model.
"""

import re
from collections.abc import Callable

from prorl.records import Prompt, Score
from prorl.rewards.answers import final_text
from prorl.rewards.functions import TwoStageVerifier, clean, fault
from prorl.rewards.instructions.arguments import Instruction
from prorl.rewards.instructions.copies import own_text
from prorl.rewards.instructions.rows import read_row
from prorl.rewards.instructions.rules import follows, follows_loosely

MAX_CHARACTERS = 1 << 17
"""Of an answer: 32,000 tokens of English. A loose reading tries every rule on eight texts of this length."""
_WORD = re.compile(r"\w")


def _answer(prompt: Prompt, response: str) -> str | Score:
    text = final_text(response)
    if text is None:
        return Score(0.0, "unparsable", "the thinking never ended")
    if len(text) > MAX_CHARACTERS:
        return Score(0.0, "unparsable", f"longer than {MAX_CHARACTERS} characters")
    if not _WORD.search(text):
        return Score(0.0, "unparsable", "no word in the answer")
    return text


def _judge(prompt: Prompt, text: str, followed: Callable[[str, Instruction], bool]) -> Score:
    try:
        instructions, all_or_nothing = read_row(prompt)
    except ValueError as error:
        return fault(f"malformed problem: {error}")
    own = own_text(text, prompt.text, instructions)
    if own is None:
        return Score(0.0, "wrong", "only repeats the prompt")
    # As a whole, so that a copy breaks what it breaks, and without copies, so that none brings what is asked for.
    missed = [given.rule for given in instructions if not all(followed(part, given) for part in {text, own})]
    if not missed:
        return Score(1.0, "correct")
    num_followed = len(instructions) - len(missed)
    detail = clean(f"{num_followed} of {len(instructions)} followed; not {', '.join(missed)}")
    if all_or_nothing or not num_followed:
        return Score(0.0, "wrong", detail)
    return Score(num_followed / len(instructions), "partial", detail)


verify = TwoStageVerifier(_answer, lambda prompt, text: _judge(prompt, text, follows))
verify_tolerant = TwoStageVerifier(_answer, lambda prompt, text: _judge(prompt, text, follows_loosely))
