"""Stage 7, the audit of the verifiers on the very problems and samples of a measurement: what is right, junk, or luck.

Four questions. Are known right answers accepted? Is junk refused? How often is an answer that the model gave to
another problem of the level right here, the chance level of that model? Do the strict and the tolerant reading agree?

Answers are judged in the verifier pools, never here. It draws no samples and holds no verdict against any model.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from prorl.evaluation.estimators import solved_at
from prorl.records import Prompt
from prorl.rewards.answers import FENCE
from prorl.rewards.rows import GOLD_RESPONSES, ROW_CHECKS, verifier_name
from prorl.rewards.verifier import VerifierPool
from prorl.seeds import stream_seed

PROBLEMS_PER_LEVEL = 40
SLOW_PROBLEMS_PER_LEVEL = {"code": 8}
"""By verifier: judging an answer takes a program's time."""
JUNK_PROBLEMS = 20
"""Of a family."""
PROBLEMS_AT_ONCE = 256
NOISE_CHARACTERS = 2048
Level = tuple[str, str, int]
"""Domain, family, level."""
Item = tuple[Prompt, Sequence[str | None]]
"""A problem and texts to be judged against it; None is no answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """A problem with what one model said to it; n samples in the order in which they were drawn."""

    prompt: Prompt
    texts: Sequence[str]
    strict: Float[ndarray, " n"]
    """Values of the strict reading."""
    tolerant: Float[ndarray, " n"]
    truncated: Bool[ndarray, " n"]
    """Cut at the token limit: no answer, whatever the text says."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found; plain values only."""

    by_family: dict[str, dict[str, Any]]
    """By family:

    - `gold`: `accepted` by both readings, `of` known right answers; absent where none is known
    - `junk`: `accepted` by either reading, `of` answers, and `kinds`, how many of each kind were accepted
    - `shuffled`: by role `rate`, the share of right ones among answers to other problems, and `of`, their number;
      absent where each level has one problem
    - `agreement`: by role how many samples `both` readings accept, `strict_only`, `tolerant_only`, `neither`
    """
    levels: dict[Level, dict[str, float]]
    """The shuffled rate of each level by role, and under `of` the number of answers of each role."""


def _final(prompt: Prompt, text: str) -> str:
    """The text as a final answer, where the prompt's verifier looks for one."""
    forms = {
        "math": f"\\boxed{{{text}}}",
        "stem": f"\\boxed{{{text}}}",
        "logic": f"<answer>{text}</answer>",
        "code": f"{FENCE}python\n{text}\n{FENCE}",
    }
    return forms.get(verifier_name(prompt), text)


def _all_options(prompt: Prompt) -> str | None:
    """Every option of a choice, letters or texts, at once; None where there is no choice."""
    choices = prompt.metadata.get("choices")
    return _final(prompt, ", ".join(map(str, choices))) if choices and isinstance(choices, list | dict) else None


def _noise(prompt: Prompt) -> str:
    generator = random.Random(stream_seed("audit", "noise", prompt.id))
    return "".join(generator.choices("".join(map(chr, range(32, 127))), k=NOISE_CHARACTERS))


JUNK: dict[str, Callable[[Prompt], str | None]] = {
    "empty": lambda prompt: "",
    "blanks": lambda prompt: " \n\t" * 50,
    "prompt": lambda prompt: prompt.text,
    "prompt_as_answer": lambda prompt: text if (text := _final(prompt, prompt.text)) != prompt.text else None,
    "all_options": _all_options,
    "digits": lambda prompt: _final(prompt, "1234567890" * 100),
    "noise": _noise,
    "payload": lambda prompt: _final(prompt, "__import__('sys').exit(0)"),
}
"""Answers that deserve nothing; None where the kind does not apply to the problem."""


def audit(
    problems: Sequence[Prompt],
    samples: Mapping[str, Iterable[Answered]],
    strict: VerifierPool,
    tolerant: VerifierPool,
    *,
    seed: int,
    per_problem: int = 8,
    threshold: float = 1.0,
    progress: Callable[[str], None] = lambda text: None,
) -> Audit:
    """Audit the two readings on the problems and, by role, on what the models said to them.

    `samples` is read once, a problem at a time: every problem of `problems`, whose ids differ. A verdict is right from
    `threshold` on. `per_problem`: answers to others that are judged, strictly, against each problem. A problem gives
    its first samples only, so that a budget that stops at right ones leaves the shuffled rate unbiased.
    """
    chosen = _audited(problems)
    families: dict[str, list[Prompt]] = defaultdict(list)
    for (_, family, _), prompts in chosen.items():
        families[family] += prompts
    by_family: dict[str, dict[str, Any]] = {}
    for number, (family, prompts) in enumerate(families.items(), 1):
        progress(f"audit: known answers and junk, {family}, {number} of {len(families)}")
        found = _gold(prompts, (strict, tolerant), threshold) | _junk(prompts, (strict, tolerant), threshold)
        by_family[family] = found | {"agreement": {}}
    right: dict[Level, dict[str, list[bool]]] = defaultdict(dict)
    for role, answered in samples.items():
        given = _Given(chosen, per_problem)
        for item in answered:
            _count_agreement(by_family[item.prompt.task]["agreement"].setdefault(role, {}), item, threshold)
            if (level := given.add(item)) is not None:
                progress(f"audit: {role}, answers to other problems of {level[1]}/{level[2]}")
                items = deal(chosen[level], given.take(level), per_problem, stream_seed(seed, "audit", *level))
                right[level][role] = [one for of_problem in _judged(strict, items, threshold) for one in of_problem]
        assert given.is_empty, role
    for family in by_family:
        if shuffled := _rates([of_level for level, of_level in right.items() if level[1] == family]):
            by_family[family]["shuffled"] = shuffled
    return Audit(by_family, {level: _level_rates(of_level) for level, of_level in right.items()})


def deal(
    problems: Sequence[Prompt], answers: Mapping[str, Sequence[str | None]], per_problem: int, seed: int
) -> list[Item]:
    """Give each problem `per_problem` answers that were given to others, by problem id in `answers`.

    The problems sit in a circle, shuffled by the seed; the t-th answer comes from the one t places on: never from the
    problem itself, from as many others as there are, and every problem gives as many answers as it gets.
    """
    order = list(problems)
    assert len(order) > 1, order
    random.Random(seed).shuffle(order)
    items: list[Item] = []
    for place, prompt in enumerate(order):
        texts: list[str | None] = []
        for turn in range(per_problem):
            other = answers[order[(place + 1 + turn % (len(order) - 1)) % len(order)].id]
            texts.append(other[turn % len(other)])
        items.append((prompt, texts))
    return items


class _Given:
    """One model's first answers to the audited problems, from the first problem of a level until all have come."""

    def __init__(self, chosen: Mapping[Level, Sequence[Prompt]], per_problem: int) -> None:
        self._per_problem = per_problem
        self._awaited = {level: {prompt.id for prompt in of} for level, of in chosen.items() if len(of) > 1}
        self._answers: dict[Level, dict[str, list[str | None]]] = defaultdict(dict)

    @property
    def is_empty(self) -> bool:
        """Every level has come and been taken."""
        return not any(self._awaited.values()) and not self._answers

    def add(self, item: Answered) -> Level | None:
        """Keep the problem's first answers; returns its level when that is complete now."""
        assert len(item.texts) == len(item.truncated) > 0, item.prompt.id
        level = _level(item.prompt)
        if item.prompt.id not in self._awaited.get(level, ()):
            return None
        texts = zip(item.texts[: self._per_problem], item.truncated, strict=False)
        self._answers[level][item.prompt.id] = [None if cut else text for text, cut in texts]
        self._awaited[level].remove(item.prompt.id)
        return None if self._awaited[level] else level

    def take(self, level: Level) -> dict[str, list[str | None]]:
        return self._answers.pop(level)


def _level(prompt: Prompt) -> Level:
    return prompt.domain, prompt.task, prompt.level


def _audited(problems: Iterable[Prompt]) -> dict[Level, list[Prompt]]:
    """The first problems of each level."""
    chosen: dict[Level, list[Prompt]] = defaultdict(list)
    for prompt in problems:
        of_level = chosen[_level(prompt)]
        if len(of_level) < SLOW_PROBLEMS_PER_LEVEL.get(verifier_name(prompt), PROBLEMS_PER_LEVEL):
            of_level.append(prompt)
    return dict(chosen)


def _judged(pool: VerifierPool, items: Sequence[Item], threshold: float) -> list[list[bool]]:
    """Whether each text is right. Equal texts for one problem are judged once."""
    found = []
    for start in range(0, len(items), PROBLEMS_AT_ONCE):
        part = items[start : start + PROBLEMS_AT_ONCE]
        unique = [list(dict.fromkeys(text for text in texts if text is not None)) for _, texts in part]
        scores = pool.verify([(prompt, texts) for (prompt, _), texts in zip(part, unique, strict=True)])
        for (_, texts), known, of_problem in zip(part, unique, scores, strict=True):
            solves = solved_at(np.array([score.value for score in of_problem]), threshold)
            right = {text for text, is_right in zip(known, solves, strict=True) if is_right}
            found.append([text in right for text in texts])
    return found


def _gold(prompts: Sequence[Prompt], readings: Sequence[VerifierPool], threshold: float) -> dict[str, Any]:
    """Both readings must accept a known right answer. The form that a function of the user's asks for is not known."""
    known = [(prompt, _gold_response(prompt)) for prompt in prompts if prompt.domain not in readings[0].functions]
    items: list[Item] = [(prompt, [text]) for prompt, text in known if text is not None]
    if not items:
        return {}
    verdicts = [_judged(pool, items, threshold) for pool in readings]
    accepted = sum(all(right) for of_problem in zip(*verdicts, strict=True) for right in zip(*of_problem, strict=True))
    return {"gold": {"accepted": accepted, "of": len(items)}}


def _gold_response(prompt: Prompt) -> str | None:
    name = verifier_name(prompt)
    try:
        ROW_CHECKS.get(name, lambda prompt: None)(prompt)
    except ValueError:
        return None  # nothing can be judged against it, and the verifier says so of each answer
    return GOLD_RESPONSES[name](prompt) if name in GOLD_RESPONSES else None


def _junk(prompts: Sequence[Prompt], readings: Sequence[VerifierPool], threshold: float) -> dict[str, Any]:
    """Either reading's acceptance counts, on problems spread over the family's levels."""
    some = prompts[:: -(-len(prompts) // JUNK_PROBLEMS)]
    items: list[Item] = [(prompt, [make(prompt) for make in JUNK.values()]) for prompt in some]
    verdicts = [_judged(pool, items, threshold) for pool in readings]
    kinds = dict.fromkeys(JUNK, 0)
    for of_problem in zip(*verdicts, strict=True):
        for kind, right in zip(JUNK, zip(*of_problem, strict=True), strict=True):
            kinds[kind] += any(right)
    num_judged = sum(text is not None for _, texts in items for text in texts)
    return {"junk": {"accepted": sum(kinds.values()), "of": num_judged, "kinds": kinds}}


def _count_agreement(counts: dict[str, int], item: Answered, threshold: float) -> None:
    strict, tolerant = solved_at(item.strict, threshold), solved_at(item.tolerant, threshold)
    parts = {
        "both": strict & tolerant,
        "strict_only": strict & ~tolerant,
        "tolerant_only": tolerant & ~strict,
        "neither": ~(strict | tolerant),
    }
    for name, part in parts.items():
        counts[name] = counts.get(name, 0) + int(part.sum())


def _rates(levels: Sequence[Mapping[str, Sequence[bool]]]) -> dict[str, dict[str, float]]:
    """By role, over all answers of the levels."""
    pooled: dict[str, list[bool]] = defaultdict(list)
    for of_level in levels:
        for role, right in of_level.items():
            pooled[role] += right
    return {role: {"rate": sum(right) / len(right), "of": len(right)} for role, right in pooled.items()}


def _level_rates(of_level: Mapping[str, Sequence[bool]]) -> dict[str, float]:
    rates = _rates([of_level])
    return {role: rate["rate"] for role, rate in rates.items()} | {"of": min(rate["of"] for rate in rates.values())}
