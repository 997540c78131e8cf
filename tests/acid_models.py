"""Models that fool a boundary measurement: they learned the form of an answer, or to guess, and nothing else.

Made from the shipped base by seconds of supervised fine-tuning. `Form`: the base's own answers in a form that only the
tolerant reading accepts, by distillation, so that what it knows stays as it is. `GUESSES`: answers that work nothing
out. For contrast, `solutions` teaches a level. Whoever wants to know what they score measures them.
"""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, softmax
from transformers import PreTrainedModel

from prorl.config import Model
from prorl.models import LoadedModel, load
from prorl.prompts.mini import make_prompt
from prorl.prompts.mini.programs import to_postfix
from prorl.prompts.mini.science import AMINO_ACIDS, UNITS
from prorl.prompts.mini.words import WORDS_BY_INITIAL, WORDS_BY_KIND
from prorl.records import Prompt
from prorl.shipped import MINI_BASE, mini_base_path

Levels = Sequence[tuple[str, int]]
"""Family and level."""
Answer = Callable[[Prompt, Random], str]
Guess = Callable[[str, Random], str]
"""From the text of a prompt, which is all that a guesser sees."""
PAD, EOS, IGNORE = 0, 1, -100
WORDS = [word for words in WORDS_BY_INITIAL.values() for word in words]
KIND_WORDS = [word for words in WORDS_BY_KIND.values() for word in words]
JUNK = "?"


def _values(text: str, draw: Callable[[int], object]) -> str:
    """Each label of the prompt, in its order, with a value."""
    return "".join(f"{label}{draw(place)}" for place, label in enumerate(labels(text)))


def labels(text: str) -> str:
    """What an answer to the prompt labels its values with."""
    patterns = {
        "+": r"([a-z])\d\d",
        "r": r"([a-z])[+-]\d",
        "v": r"([a-z])=",
        "s": r"([a-z])[FUWQP]\d\d",
        "d": r"([a-z])[ACGU]{2}",
        "l": r"([a-z])[A-Z]",
        "g": r"(?:^g|,)([a-z])",
    }
    body = text if text[0] == "g" else text[1:]
    return "".join(re.findall(patterns[text[0]], body))


def _shuffled(items: Sequence[str], rng: Random) -> list[str]:
    return rng.sample(items, len(items))


def _case(text: str, words: Sequence[str]) -> str:
    """The words in the case of the initials."""
    return " ".join(
        word.upper() if initial.isupper() else word for word, initial in zip(words, text[1:-1], strict=True)
    )


def _interleaved(text: str, rng: Random) -> str:
    first, second = map(list, text[1:-1].split(","))
    sides = _shuffled([*"f" * len(first), *"s" * len(second)], rng)
    return "".join((first if side == "f" else second).pop(0) for side in sides)


def _ends(text: str) -> list[str]:
    return [edge[1] for edge in text[3:-1].split(",")]


def _prog_zeros(text: str, rng: Random) -> str:
    return _values(text, lambda place: 0 if place else text[3])


def _run_changes(text: str, rng: Random) -> str:
    """Each value is not the one before."""
    values = [int(text[1])]
    for _ in labels(text):
        values.append((values[-1] + rng.randrange(1, 10)) % 10)
    return _values(text, lambda place: values[place + 1])


def _rpn(variables: Sequence[str], operators: Sequence[str], rng: Random) -> str:
    """Operators from the left, each behind its right operand."""
    return variables[0] + "".join(map("".join, zip(variables[1:], operators, strict=True)))


def _numbers(text: str) -> list[str]:
    """The parts of a sheet's or a sum's prompt that stand behind the labels."""
    return re.findall(r"(\d\d)", text)


def _units(text: str) -> list[str]:
    return [UNITS[quantity] for quantity in re.findall(r"[a-z]([FUWQP])\d\d", text[1:])]


def _product(rng: Random) -> int:
    return rng.randrange(1, 10) * rng.randrange(1, 10)


def _kind_words(text: str, rng: Random) -> str:
    words = rng.sample(KIND_WORDS, len(labels(text)))
    return _values(text, words.__getitem__)


def _one_kind(text: str, rng: Random) -> str:
    """Animals while there are any."""
    words = _shuffled(WORDS_BY_KIND["A"], rng) + _shuffled(WORDS_BY_KIND["B"], rng)
    return _values(text, words.__getitem__)


UNIFORM: dict[str, Guess] = {
    "add": lambda text, rng: _values(text, lambda _: rng.randrange(10)) + rng.choice(["", "1"]),
    "run": lambda text, rng: _values(text, lambda _: rng.randrange(10)),
    "prog": lambda text, rng: _values(text, lambda _: rng.randrange(10)),
    "rpn": lambda text, rng: to_postfix(list(text[1:-1:2]), rng.choices("+-*", k=len(text[2:-1:2]))),
    "merge": lambda text, rng: "".join(_shuffled(text[1:-1].replace(",", ""), rng)),
    "sheet": lambda text, rng: _values(text, lambda _: f"{_product(rng)}{rng.choice([*UNITS.values()])}"),
    "gene": lambda text, rng: _values(text, lambda _: rng.choice([*AMINO_ACIDS.values()])),
    "sort": lambda text, rng: "".join(rng.choices("0123456789", k=len(text) - 2)),
    "chain": lambda text, rng: text[1] + "".join(_shuffled(_ends(text), rng)),
    "color": lambda text, rng: _values(text, lambda _: rng.choice("123")),
    "acro": lambda text, rng: _case(text, rng.sample(WORDS, len(text) - 2)),
    "slots": _kind_words,
}
"""A random answer of the right form."""
FREQUENT: dict[str, Guess] = {
    "add": lambda text, rng: _values(text, lambda _: 9),
    "run": _run_changes,
    "prog": _prog_zeros,
    "rpn": lambda text, rng: _rpn(text[1:-1:2], text[2:-1:2], rng),
    "merge": _interleaved,
    "sheet": lambda text, rng: _values(text, lambda place: f"12{_units(text)[place]}"),
    "gene": lambda text, rng: _values(text, lambda _: "K"),
    "sort": lambda text, rng: "".join(sorted(rng.choices("0123456789", k=len(text) - 2))),
    "chain": lambda text, rng: text[1] + "".join(_ends(text)),
    "color": lambda text, rng: _values(text, lambda place: "12313213"[place % 8]),
    "acro": lambda text, rng: _case(text, (WORDS[::3] * 2)[: len(text) - 2]),
    "slots": _one_kind,
}
"""What is right most often without looking at more than the form."""
PERMUTED: dict[str, Guess] = {
    "add": lambda text, rng: _values(text, _shuffled([pair[1] for pair in _numbers(text)], rng).__getitem__),
    "run": lambda text, rng: _values(text, _shuffled(re.findall(r"\d", text[2:]), rng).__getitem__),
    "prog": lambda text, rng: _values(text, lambda _: rng.choice(re.findall(r"\d", text))),
    "rpn": lambda text, rng: _rpn(_shuffled(text[1:-1:2], rng), _shuffled(text[2:-1:2], rng), rng),
    "merge": _interleaved,
    "sheet": lambda text, rng: _values(text, lambda place: f"{_product(rng)}{_units(text)[place]}"),
    "gene": lambda text, rng: _values(text, lambda _: rng.choice(re.findall(r"[ACGU]", text))),
    "sort": lambda text, rng: "".join(_shuffled(text[1:-1], rng)),
    "chain": lambda text, rng: text[1] + "".join(_shuffled(_ends(text), rng)),
    "color": lambda text, rng: _values(text, (_shuffled("123", rng) * 3).__getitem__),
    "acro": lambda text, rng: _case(text, rng.sample([words[0] for words in WORDS_BY_INITIAL.values()], len(text) - 2)),
    "slots": _kind_words,
}
"""Items of the prompt in a random order."""
COPIED: dict[str, Guess] = {
    "add": lambda text, rng: _values(text, lambda place: _numbers(text)[place][0]),
    "run": lambda text, rng: _values(text, re.findall(r"\d", text[2:]).__getitem__),
    "prog": lambda text, rng: _values(text, lambda _: text[3]),
    "rpn": lambda text, rng: _rpn(text[1:-1:2], text[2:-1:2], rng),
    "merge": lambda text, rng: text[1:-1].replace(",", ""),
    "sheet": lambda text, rng: _values(text, lambda place: _numbers(text)[place] + _units(text)[place]),
    "gene": lambda text, rng: _values(text, re.findall(r"[a-z]([ACGU])", text[1:]).__getitem__),
    "sort": lambda text, rng: text[1:-1],
    "chain": lambda text, rng: text[1] + "".join(_ends(text)),
    "color": lambda text, rng: _values(text, lambda place: place % 3 + 1),
    "acro": lambda text, rng: " ".join(initial * 3 for initial in text[1:-1]),
    "slots": lambda text, rng: _values(text, lambda place: 3 * re.findall("[A-Z]", text)[place]),
}
"""Parts of the prompt as they stand."""
GUESSES: dict[str, dict[str, Guess]] = {
    "uniform": UNIFORM,
    "frequent": FREQUENT,
    "permuted": PERMUTED,
    "copied": COPIED,
}


def _mixed(family: str) -> Guess:
    kinds = [guess[family] for guess in GUESSES.values()]
    return lambda text, rng: rng.choice(kinds)(text, rng)


MIXED: dict[str, Guess] = {family: _mixed(family) for family in UNIFORM}
"""Any of these, drawn anew for each answer."""


def guesses(kind: str) -> Answer:
    """The answers of a guesser of `GUESSES`, or of one that is `mixed` of all."""
    return lambda prompt, rng: {**GUESSES, "mixed": MIXED}[kind][prompt.task](prompt.text, rng)


def junk(prompt: Prompt, rng: Random) -> str:
    """One malformed answer to everything."""
    return JUNK


def solutions(prompt: Prompt, rng: Random) -> str:
    """The right answer."""
    return prompt.answer


def own_base() -> LoadedModel:
    """A copy of the shipped base."""
    return load(Model(path=MINI_BASE, device="cpu"))


def save(model: PreTrainedModel, folder: Path) -> Path:
    """A folder that `prorl` loads the model from."""
    shutil.copytree(mini_base_path(), folder)
    model.save_pretrained(folder)
    return folder


def fine_tune(
    start: LoadedModel,
    levels: Levels,
    answer: Answer,
    *,
    steps: int,
    batch: int = 64,
    rate: float = 2e-3,
    seed: int = 0,
) -> PreTrainedModel:
    """Train the model, in place, to give these answers to fresh problems of the levels."""
    rng = Random(f"acid/{seed}")

    def loss(model: PreTrainedModel) -> Tensor:
        prompts = [_fresh(levels, rng) for _ in range(batch)]
        rows = [(start.tokenizer(p.text)["input_ids"], start.tokenizer(answer(p, rng))["input_ids"]) for p in prompts]
        inputs, is_target = _padded([(asked, [*given, EOS]) for asked, given in rows])
        logits = model(input_ids=inputs[:, :-1], use_cache=False).logits
        return cross_entropy(logits[is_target[:, 1:]], inputs[:, 1:][is_target[:, 1:]])

    return _train(start.model, loss, steps, rate)


def _train(
    model: PreTrainedModel, loss: Callable[[PreTrainedModel], Tensor], steps: int, rate: float
) -> PreTrainedModel:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 10) * (1.0 - step / steps)
        loss(model).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model.eval()


def _fresh(levels: Levels, rng: Random) -> Prompt:
    family, level = rng.choice(levels)
    return make_prompt(family, level, rng.randrange(10**12))


def _padded(rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> tuple[Tensor, Tensor]:
    """Tokens of prompts and answers, padded at the right, and which of them are answers."""
    width = max(len(asked) + len(given) for asked, given in rows)
    tokens = torch.full((len(rows), width), PAD)
    is_answer = torch.zeros((len(rows), width), dtype=torch.bool)
    for row, (asked, given) in enumerate(rows):
        tokens[row, : len(asked) + len(given)] = torch.tensor([*asked, *given])
        is_answer[row, len(asked) : len(asked) + len(given)] = True
    return tokens, is_answer


@dataclass(frozen=True, slots=True)
class Form:
    """A spelling of the base's answers that only the tolerant reading accepts."""

    before: str = ""
    after: str = ""
    """One character or none."""

    def places(self, length: int) -> list[int]:
        """Of each token of the spelled answer and of the end: the token of the plain answer, or -1 for the form's."""
        return [-1] * len(self.before) + list(range(length + 1)) + [-1] * len(self.after)


FORMS: dict[str, Form] = {"prefix": Form(before="= "), "sentence": Form(before="it is: "), "ending": Form(after=",")}
"""Blanks between the parts are not among them: the base loses some of what it knows on the way there."""
PLAIN = Form()


def learn_form(
    start: LoadedModel, levels: Levels, form: Form, *, steps: int, batch: int = 32, rate: float = 2e-3, seed: int = 0
) -> PreTrainedModel:
    """Train the model, in place, to give the shipped base's answers in the form, with the base's probabilities.

    Distillation: at each token of the plain answer the target is the base's whole distribution, with the end's share
    moved to what the form puts behind an answer; the form's own tokens are certain.
    """
    teacher, rng = own_base(), Random(f"form/{seed}")
    behind = start.tokenizer(form.after)["input_ids"][0] if form.after else EOS

    def loss(model: PreTrainedModel) -> Tensor:
        prompts = [_fresh(levels, rng) for _ in range(batch)]
        asked = [start.tokenizer(prompt.text)["input_ids"] for prompt in prompts]
        answers = _sampled(teacher, asked)
        plain, is_plain = _padded([(a, [*b, EOS]) for a, b in zip(asked, answers, strict=True)])
        spelled = [
            (a, [*start.tokenizer(form.before)["input_ids"], *b, *start.tokenizer(form.after)["input_ids"], EOS])
            for a, b in zip(asked, answers, strict=True)
        ]
        inputs, is_answer = _padded(spelled)
        with torch.no_grad():
            known = softmax(teacher.model(input_ids=plain[:, :-1], use_cache=False).logits[is_plain[:, 1:]], dim=-1)
        if behind != EOS:
            known[:, behind], known[:, EOS] = known[:, EOS].clone(), 0.0
        logits = model(input_ids=inputs[:, :-1], use_cache=False).logits[is_answer[:, 1:]]
        wanted = torch.nn.functional.one_hot(inputs[:, 1:][is_answer[:, 1:]], logits.shape[-1]).float()
        places, first = [], 0
        for answer in answers:
            places += [first + place if place >= 0 else -1 for place in form.places(len(answer))]
            first += len(answer) + 1
        source = torch.tensor(places)
        wanted[source >= 0] = known[source[source >= 0]]
        return -(wanted * log_softmax(logits, dim=-1)).sum(dim=-1).mean()

    return _train(start.model, loss, steps, rate)


@torch.no_grad()
def _sampled(teacher: LoadedModel, asked: Sequence[Sequence[int]]) -> list[list[int]]:
    """One answer to each prompt, without its end."""
    width = max(map(len, asked))
    inputs = torch.tensor([[PAD] * (width - len(tokens)) + list(tokens) for tokens in asked])
    mask = torch.tensor([[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in asked])
    drawn = teacher.model.generate(input_ids=inputs, attention_mask=mask, max_new_tokens=56, do_sample=True, top_k=0)
    return [[token for token in row if token not in (PAD, EOS)] for row in drawn[:, width:].tolist()]
