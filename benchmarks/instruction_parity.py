"""Our 25 IFEval rules against lm-eval's checkers, on thousands of generated triples (rule, arguments, response).

    make bench-venv
    python benchmarks/instruction_parity.py
    python benchmarks/instruction_parity.py --cases 50 --examples 5 --json

A column each for the strict and the loose reading. Where they differ, the first reason that applies is named: the known
oddity of one side. `open` counts those without a reason: goal 0. lm-eval runs in `.venv-bench` (`lm_eval_worker.py`),
there without nltk's trained models, so `number_sentences` is compared with an untrained splitter.
"""

import collections
import json
import re
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from instruction_cases import Case, cases
from record import ROOT, finish, options_parser, run, whole_number

from prorl.errors import UserError
from prorl.rewards.instructions.arguments import ARGUMENTS, Instruction
from prorl.rewards.instructions.language import SCRIPTS, SHORT_LETTERS
from prorl.rewards.instructions.rules import follows, follows_loosely, loose_texts

PYTHON = ROOT / ".venv-bench" / "bin" / "python"
WORKER = ROOT / "benchmarks" / "lm_eval_worker.py"

Applies = Callable[[str, Mapping[str, Any]], bool]


def _holds(pattern: str, flags: int = 0) -> Applies:
    """The text holds the pattern."""
    compiled = re.compile(pattern, flags)
    return lambda text, arguments: compiled.search(text) is not None


def _is_pattern(text: str, arguments: Mapping[str, Any]) -> bool:
    words = [arguments.get("keyword", ""), *arguments.get("keywords", ()), *arguments.get("forbidden_words", ())]
    return any(re.search(r"[^\w\s'-]", word) for word in words)


def _num_letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def _is_short(text: str, arguments: Mapping[str, Any]) -> bool:
    return any(_num_letters(part) < SHORT_LETTERS for part in loose_texts(text))


def _is_own_script(text: str, arguments: Mapping[str, Any]) -> bool:
    return arguments["language"] in SCRIPTS or arguments["language"] == "ja"


def _is_prompt_alone(text: str, arguments: Mapping[str, Any]) -> bool:
    prompt = arguments["prompt_to_repeat"].lower()
    parts = [part.strip().lower() for part in loose_texts(text)]
    return any(part.startswith(prompt) and not re.search(r"\w", part[len(prompt) :]) for part in parts)


_PATTERN = ("a keyword is a pattern to lm-eval: C++ matches CC, e.g. matches edge", _is_pattern)
_CAPITALS = (
    "lm-eval has langdetect read capitals, which it takes for another language",
    lambda text, _: any(part.isupper() for part in loose_texts(text)),
)
_BRIEF = ("lm-eval takes langdetect's first guess for a few words, or any language for no letters", _is_short)

REASONS: dict[str, tuple[tuple[str, Applies], ...]] = {
    "keywords:existence": (_PATTERN,),
    "keywords:frequency": (_PATTERN,),
    "keywords:forbidden_words": (_PATTERN,),
    "keywords:letter_frequency": (
        (
            "lm-eval draws a random letter in place of a character that is none",
            lambda _, given: given["letter"] in "#!",
        ),
    ),
    "language:response_language": (
        ("lm-eval has no name for Dutch and raises", lambda _, given: given["language"] == "nl"),
        _BRIEF,
        _CAPITALS,
        ("ours: most letters are of the language's own script", _is_own_script),
    ),
    "change_case:english_capital": (
        _BRIEF,
        _CAPITALS,
    ),
    "change_case:english_lowercase": (_BRIEF,),
    "length_constraints:number_sentences": (
        (
            "untrained splitter: abbreviations, initials, ellipses, list numbers, other scripts, marks without words",
            _holds(
                r"\.\.|\b(dr|e\.g|u\.s|p\.\s?s|\d+|[a-z])\.|[\u3002\u0964]|[!?.][\W_]*\s[\W_]+(\s|$)|^\W+([!?.]\s|$)",
                re.IGNORECASE | re.MULTILINE,
            ),
        ),
    ),
    "length_constraints:nth_paragraph_first_word": (
        (
            "lm-eval counts empty paragraphs when it looks for the n-th, and blanks on an empty line",
            _holds(r"\n\s*\n\s*\n|\n[^\S\n]+\n"),
        ),
        ("lm-eval keeps a colon or a bracket with the word", _holds(r"\w[:;)\]]")),
    ),
    "detectable_content:number_placeholders": (
        (
            "lm-eval counts brackets with nothing in them, and those around another bracket",
            _holds(r"\[\]|\[[^\]\n]*\["),
        ),
    ),
    "detectable_format:number_bullet_lists": (
        (
            "lm-eval counts rules, a mark alone, and emphasis at the start of a line",
            _holds(r"^\s*(-[-\s*]*$|\*\s*$|\*[^*\n]+\*)", re.MULTILINE),
        ),
    ),
    "detectable_format:number_highlighted_sections": (("lm-eval counts ***this*** twice", _holds(r"\*{3}")),),
    "detectable_format:constrained_response": (
        ("lm-eval accepts several of the three answers at once", _holds(r"My answer is.*My answer is", re.DOTALL)),
    ),
    "detectable_format:json_format": (
        (
            "lm-eval accepts a bare text or number, NaN, and refuses numbers of over 4,300 digits",
            lambda text, given: True,
        ),
    ),
    "combination:repeat_prompt": (("lm-eval accepts the repeated prompt with nothing after it", _is_prompt_alone),),
    "startend:quotation": (('lm-eval accepts ""', _holds(r"^\W*$")),),
    "change_case:capital_word_frequency": (
        ("lm-eval splits contractions in two: CAN'T is CA and N'T", _holds(r"['\u2019]")),
    ),
    "punctuation:no_comma": (("lm-eval knows the ASCII comma only", _holds("[\uff0c\u060c\u3001]")),),
}


def judge_theirs(triples: list[Case]) -> list[dict[str, Any]]:
    """What lm-eval says to each triple."""
    lines = "".join(json.dumps(triple) + "\n" for triple in triples)
    try:
        done = subprocess.run([PYTHON, WORKER], input=lines, capture_output=True, text=True, cwd=ROOT)
    except FileNotFoundError:
        raise UserError("no lm-eval: .venv-bench is missing; make bench-venv") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"lm-eval cannot be run in .venv-bench ({last}); make bench-venv")
    return [json.loads(line) for line in done.stdout.splitlines()]


def reason_of(rule: str, arguments: Mapping[str, Any], text: str) -> str:
    """The first reason that applies; empty where none does."""
    return next((reason for reason, applies in REASONS.get(rule, ()) if applies(text, arguments)), "")


def compare(triples: list[Case], theirs: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of one rule: cases, followed by ours, agreements, errors, reasons, and the open differences."""
    result: dict[str, Any] = {"cases": len(triples), "followed": 0, "strict": 0, "loose": 0, "errors": 0, "open": []}
    reasons: collections.Counter[str] = collections.Counter()
    for (rule, arguments, text), verdict in zip(triples, theirs, strict=True):
        instruction = Instruction(rule, arguments)
        ours = {"strict": follows(text, instruction), "loose": follows_loosely(text, instruction)}
        result["followed"] += ours["strict"]
        result["errors"] += "error" in verdict
        differs = False
        for reading, value in ours.items():
            same = verdict.get(reading) == value
            result[reading] += same
            differs |= not same
        if not differs:
            continue
        reason = reason_of(rule, arguments, text)
        if reason:
            reasons[reason] += 1
        else:
            result["open"].append({"arguments": arguments, "response": text, "ours": ours, "lm_eval": verdict})
    return result | {"reasons": dict(reasons)}


def table_of(results: Mapping[str, Mapping[str, Any]], num_examples: int) -> str:
    lines = ["| rule | cases | followed | strict equal | loose equal | lm-eval raises | differ, explained | open |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for rule, result in results.items():
        shares = [f"{100 * result[reading] / result['cases']:.1f} %" for reading in ("strict", "loose")]
        explained = sum(result["reasons"].values())
        cells = [rule, result["cases"], result["followed"], *shares, result["errors"], explained, len(result["open"])]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines.append("")
    for rule, result in results.items():
        lines += [f"- {rule}, {count}: {reason}" for reason, count in result["reasons"].items()]
        lines += [f"- {rule}, open: {json.dumps(example)}" for example in result["open"][:num_examples]]
    return "\n".join(lines)


def main() -> None:
    parser = options_parser(__doc__ or "")
    parser.add_argument("--cases", type=whole_number, default=400, help="triples a rule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=whole_number, default=3, help="open differences shown a rule")
    options = parser.parse_args()
    results = {}
    triples = {rule: list(cases(rule, options.cases, options.seed)) for rule in ARGUMENTS}
    theirs = iter(judge_theirs([triple for rule in ARGUMENTS for triple in triples[rule]]))
    for rule in ARGUMENTS:
        results[rule] = compare(triples[rule], [next(theirs) for _ in triples[rule]])
    finish(options, "instruction_parity", {"rules": results}, table_of(results, options.examples))


if __name__ == "__main__":
    run(main)
