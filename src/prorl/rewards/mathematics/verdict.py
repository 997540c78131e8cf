"""Stage 3, rewards: judges math answers: 1 where the answer equals the gold, 0 otherwise.

Cheap tests come first: equal notation, option letters, words; then both sides are read into trees and compared by
value (`equality.py`); math-verify is asked only about notations that the reader does not know. Answers over a limit are
not judged: `unparsable`. A gold answer that is empty or over the limits is the row's fault: `error`.
"""

import json

from prorl.records import Prompt, Score
from prorl.rewards.functions import TwoStageVerifier, describe, fault
from prorl.rewards.mathematics import symbolic
from prorl.rewards.mathematics.equality import same_answer
from prorl.rewards.mathematics.extraction import strict_answer, tolerant_answer
from prorl.rewards.mathematics.nodes import EMPTY, REALS, Node, Refused, Unreadable
from prorl.rewards.mathematics.parsing import readings
from prorl.rewards.mathematics.tokens import clean
from prorl.rewards.mathematics.words import EMPTY_SET_WORDS, REAL_WORDS, choice, notation, prose, surely_words

RIGHT = Score(1.0, "correct")
PLAIN_ANSWER = "1"
_FAILURES = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError)


def judge(prompt: Prompt, answer: str) -> Score:
    """Compare an answer's text with the prompt's gold answer."""
    gold = _gold_text(prompt.answer)
    try:
        clean(gold)
    except Refused as refusal:
        return fault(f"gold answer: {refusal}")
    if not gold:
        return fault("gold answer: empty")
    try:
        return RIGHT if _is_right(gold, answer) else Score(0.0, "wrong", f"expected {gold}")
    except Refused as refusal:
        return Score(0.0, "unparsable", str(refusal))
    except _FAILURES as error:
        return fault(f"gold answer: {describe(error)}") if _fails(gold) else Score(0.0, "unparsable", describe(error))


def _fails(gold: str) -> bool:
    """Whether the gold cannot even be compared with a plain number."""
    try:
        _is_right(gold, PLAIN_ANSWER)
    except Refused:
        return False
    except _FAILURES:
        return True
    return False


def _is_right(gold: str, answer: str) -> bool:
    gold, answer = clean(gold), clean(answer)
    if notation(gold) == notation(answer):
        return True
    if (gold_letter := choice(gold)) is not None and choice(answer) == gold_letter:
        return True
    gold_words, words = prose(gold), prose(answer)
    if gold_words is not None and words is not None and (surely_words(gold) or surely_words(answer)):
        return gold_words == words
    try:
        gold_trees, trees = _trees(gold, gold_words), _trees(answer, words)
    except Unreadable:
        return _symbolic(gold, answer)
    return any(same_answer(one, two) for one in gold_trees for two in trees)


def _trees(text: str, words: str | None) -> tuple[Node, ...]:
    if words is None or not surely_words(text):
        return readings(text)
    if words == EMPTY_SET_WORDS:
        return (EMPTY,)
    if words in REAL_WORDS:
        return (REALS,)
    raise Unreadable("words")


def _symbolic(gold: str, answer: str) -> bool:
    try:
        return symbolic.agree(gold, answer)
    except Unreadable:
        return False


def _gold_text(answer: str) -> str:
    """The gold; a JSON list of strings as one list of answers."""
    gold = answer.strip()
    if gold.startswith('["') and gold.endswith("]"):
        try:
            parts = json.loads(gold)
        except ValueError:
            return gold
        if all(isinstance(part, str) for part in parts):
            gold = ", ".join(part.strip().strip("$") for part in parts)
    return gold


verify = TwoStageVerifier(lambda prompt, response: strict_answer(response), judge)
verify_tolerant = TwoStageVerifier(lambda prompt, response: tolerant_answer(response), judge)
