r"""Stage 3, the STEM verifier: is the final answer the gold one? Score 1 or 0.

The gold answer decides how: an option of a multiple choice, quantities with units, a chemical formula or reaction, a
mathematical expression, or else a short phrase. Works on the answer's text alone; executes and evaluates none of it
outside its own bounded grammars.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from prorl.records import Prompt, Score
from prorl.rewards.answers import final_text, last_answer_tag, last_boxed
from prorl.rewards.functions import TwoStageVerifier, clean, describe, fault
from prorl.rewards.science.choices import read_choice
from prorl.rewards.science.conversion import Measure, measure
from prorl.rewards.science.expressions import is_expression, same_expression
from prorl.rewards.science.formulas import read_configuration, read_formula, read_reaction
from prorl.rewards.science.markup import MAX_ANSWER_CHARS, bare, plain
from prorl.rewards.science.options import Options, read_options
from prorl.rewards.science.phrases import same_phrase
from prorl.rewards.science.quantities import Quantity, equal, read_quantities, read_ratio, read_stated_ratio
from prorl.rewards.science.rows import check_row
from prorl.rewards.science.units import read_unit

MAX_TAIL_CHARS = 4000
"""The tolerant reading looks for a stated answer this far from the end."""
MAX_LINE_CHARS = 200

_STATED = re.compile(r"\banswer ?(?:is|:|=) ?:? ?([^\n]+)", re.IGNORECASE)
_BLANKS = re.compile(r"[^\S\n]+|\*\*")
_END_OF_SENTENCE = re.compile(r"[.!](?:\s+[A-Z].*|\s*)$")
_BOLD_LINE = re.compile(r"\s*\*\*([^*\n]{1,200})\*\*[.\s]*")
# What reading a number, unit or formula may raise where it meets a text that its grammar did not foresee.
_READING_ERRORS = (ArithmeticError, TypeError, ValueError, KeyError, IndexError, RecursionError)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The asked unit and the tolerance of a row."""

    unit: Measure | None
    tolerance: float | None
    allows_bare: bool


def extract(prompt: Prompt, response: str) -> str | Score:
    r"""The content of the last `\boxed{}` of what follows the thinking."""
    text = final_text(response)
    if text is None:
        return Score(0.0, "unparsable", "the thinking never ends")
    boxed = last_boxed(text)
    return Score(0.0, "unparsable", "no boxed answer") if boxed is None else _checked(boxed)


def extract_tolerant(prompt: Prompt, response: str) -> str | Score:
    """The boxed answer, or one that is tagged, stated (`The answer is ...`), bold on a last line, or all there is."""
    text = final_text(response)
    if text is None:
        return Score(0.0, "unparsable", "the thinking never ends")
    boxed = last_boxed(text)
    found = last_answer_tag(text) if boxed is None else boxed
    if found is None and "\\boxed" not in text:  # a box that never closes is no answer yet
        found = _stated(text[-MAX_TAIL_CHARS:], is_whole=len(text) <= MAX_TAIL_CHARS)
    return Score(0.0, "unparsable", "no final answer") if found is None else _checked(found)


def judge(prompt: Prompt, answer: str) -> Score:
    """Compare the answer's text; a number needs its unit unless `metadata.unit` says it."""
    return _judge(prompt, answer, allows_bare=False)


def judge_tolerant(prompt: Prompt, answer: str) -> Score:
    """As `judge`; a number without a unit is in the gold answer's."""
    return _judge(prompt, answer, allows_bare=True)


verify = TwoStageVerifier(extract, judge)
verify_tolerant = TwoStageVerifier(extract_tolerant, judge_tolerant)


def _checked(answer: str) -> str | Score:
    if len(answer) > MAX_ANSWER_CHARS:
        return Score(0.0, "unparsable", f"the answer has {len(answer)} characters, over {MAX_ANSWER_CHARS}")
    return answer.strip() or Score(0.0, "unparsable", "the answer is empty")


def _stated(tail: str, is_whole: bool) -> str | None:
    lines = [line for line in tail.split("\n") if line.strip()]
    if not lines:
        return None
    # Without runs of blanks and bold marks the pattern is linear.
    statements = _STATED.findall(_BLANKS.sub(" ", tail).replace("  ", " "))
    if statements and len(statements[-1]) <= MAX_LINE_CHARS:
        return _END_OF_SENTENCE.sub("", statements[-1].strip()) or None
    bold = _BOLD_LINE.fullmatch(lines[-1])
    if bold is not None:
        return bold[1]
    is_alone = is_whole and len(lines) == 1 and len(lines[0]) <= MAX_LINE_CHARS
    return lines[0] if is_alone else None


def _judge(prompt: Prompt, answer: str, allows_bare: bool) -> Score:
    try:
        check_row(prompt)
        options = read_options(prompt.answer, prompt.metadata)
        for text in (prompt.answer, *(options.texts.values() if options else ())):
            _try_gold(text)
        unit, tolerance = prompt.metadata.get("unit"), prompt.metadata.get("tolerance")
        wanted = _Wanted(_unit(unit), None if tolerance is None else float(tolerance), allows_bare)
    except _READING_ERRORS as error:
        return fault(f"malformed problem: {error}")
    try:
        reason = _judge_choice(options, answer) if options else _difference(prompt.answer, answer, wanted)
    except (
        _READING_ERRORS
    ) as error:  # the row reads well, so the answer is at fault: no `error`, which is not trained on
        return Score(0.0, "unparsable", clean(f"unreadable: {describe(error)}"))
    return Score(0.0, "wrong", reason) if reason else Score(1.0, "correct")


def _judge_choice(options: Options, answer: str) -> str:
    chosen = read_choice(plain(answer), options, _same_option)
    if isinstance(chosen, str):
        return chosen
    return "" if chosen == options.right else "another option"


def _same_option(option: str, answer: str) -> bool:
    """Exactly: other options may be close."""
    return not _difference(option, answer, _Wanted(None, 0.0, allows_bare=False))


def _unit(unit: str | None) -> Measure | None:
    factors = read_unit(plain(unit)) if unit else None
    return measure(factors) if factors else None


@lru_cache(maxsize=4096)
def _gold_quantities(gold: str) -> tuple[Quantity, ...] | None:
    return read_quantities(plain(gold))


@lru_cache(maxsize=4096)
def _try_gold(gold: str) -> None:
    """Read a text of the row in every way, so that one that cannot be read raises before any answer is."""
    _gold_quantities(gold)
    text = plain(gold)
    for read in (read_ratio, read_configuration, read_reaction, read_formula):
        read(text)


def _difference(gold: str, answer: str, wanted: _Wanted) -> str:
    """Empty where the answer is right, else why not."""
    if bare(gold) == bare(answer):
        return "" if bare(gold) else "the answer is empty"
    quantities = _gold_quantities(gold)
    if quantities is not None:
        return _quantity_difference(quantities, gold, answer, wanted)
    gold_text, answer_text = plain(gold), plain(answer)
    for read, read_answer in ((read_ratio, read_stated_ratio), (read_configuration, read_configuration)):
        expected = read(gold_text)
        if expected is not None:
            return "" if expected == read_answer(answer_text) else "another ratio or configuration"
    is_same_substance = _same_substance(gold_text, answer_text)
    if is_same_substance is not None:
        return "" if is_same_substance else "another formula"
    if same_phrase(gold_text, answer_text) or (is_expression(gold) and same_expression(gold, answer)):
        return ""
    return "another answer"


def _quantity_difference(quantities: Sequence[Quantity], gold: str, answer: str, wanted: _Wanted) -> str:
    found = read_quantities(plain(answer))
    if found is not None:
        return equal(quantities, found, tolerance=wanted.tolerance, unit=wanted.unit, bare=wanted.allows_bare)
    has_unit = wanted.unit is not None or any(quantity.has_unit for quantity in quantities)
    if not has_unit and is_expression(answer) and same_expression(gold, answer):
        return ""
    return "no quantity"


def _same_substance(gold: str, answer: str) -> bool | None:
    """None where one of the two is no chemical formula or reaction."""
    reaction, other_reaction = read_reaction(gold), read_reaction(answer)
    if reaction is not None and other_reaction is not None:
        return reaction.equals(other_reaction)
    formula, other_formula = read_formula(gold), read_formula(answer)
    if formula is not None and other_formula is not None:
        return formula.equals(other_formula)
    return None
