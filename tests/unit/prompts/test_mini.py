"""The mini families: pinned examples, determinism, sizes, independent recomputation of the gold answers, chance."""

import itertools
import json
import random
import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer

import prorl
from prorl.config import Source
from prorl.prompts.mini import FAMILIES, make_prompt
from prorl.prompts.mini.programs import _zero_share
from prorl.prompts.mini.science import UNITS
from prorl.prompts.mini.words import WORDS_BY_INITIAL
from prorl.prompts.suites import levels
from prorl.rewards.mini import verify

ALL_LEVELS = [(name, level) for name, family in FAMILIES.items() for level in range(1, family.max_level + 1)]
ASSET = Path(prorl.__file__).parent / "assets" / "mini_base"

PINNED = {
    "add": ("+m23e17y70:", "m5e8y7"),
    "run": ("r1z+2l-3p+3:", "z3l0p3"),
    "prog": ("ve=6,r=e+e,v=r-3,i=v+e:", "e6r2v9i5"),
    "rpn": ("xw*e-o-t:", "we*o-t-"),
    "merge": ("mv,bkw:", "bkvw"),
    "sheet": ("stU17yW12wQ83:", "t7Vy2Jw24C"),
    "gene": ("dgAUvUGuAA:", "gIvCuK"),
    "sort": ("o0805:", "0058"),
    "chain": ("hd;aj,pa,dp:", "dpaj"),
    "color": ("gh,rh,nh,ihnr,xnrh:", "h3r2n2i1x1"),
    "acro": ("aGIc:", "GEM IVY cap"),
    "slots": ("lqVmAfA:", "qSUBmANTfDOG"),
}


def test_every_family_is_pinned():
    assert PINNED.keys() == FAMILIES.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_pinned_example(family):
    prompt = make_prompt(family, 3, 0)
    assert (prompt.content, prompt.answer) == PINNED[family]
    assert prompt.id == f"mini/{family}/3/0"
    assert prompt == make_prompt(family, 3, 0)
    assert json.loads(json.dumps(dict(prompt.metadata))) == prompt.metadata
    assert prompt.level == 3
    assert prompt.metadata["task"] == prompt.task == family


def test_suites_split_the_levels():
    pairs = [*levels(Source(source="mini")), *levels(Source(source="mini_hard"))]
    assert sorted(pairs) == sorted(ALL_LEVELS)
    assert {FAMILIES[name].domain for name, _ in pairs} == {"math", "code", "stem", "logic", "instruction"}
    assert all(family.max_level - family.train_levels >= 2 for family in FAMILIES.values())


@pytest.mark.parametrize(("family", "level"), [("summ", 1), ("add", 0), ("add", 99)])
def test_unknown_family_or_level_is_refused(family, level):
    with pytest.raises(ValueError, match="must be"):
        make_prompt(family, level, 0)


@pytest.mark.parametrize(("family", "level"), ALL_LEVELS)
def test_sizes_and_distinctness(family, level):
    prompts = [make_prompt(family, level, seed) for seed in range(100)]
    assert max(len(prompt.text) + len(prompt.answer) for prompt in prompts) <= 128
    assert max(len(prompt.answer) for prompt in prompts) <= 48
    assert len({prompt.text[0] for prompt in prompts}) == 1
    if level >= 5:
        assert len({prompt.text for prompt in prompts}) == 100


def test_first_character_names_the_family():
    assert len({make_prompt(family, 1, 0).text[0] for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_level_is_longer(family):
    levels = range(1, FAMILIES[family].max_level + 1)
    sizes = [sum(len(make_prompt(family, level, seed).answer) for seed in range(50)) for level in levels]
    assert all(low < high for low, high in itertools.pairwise(sizes))


# Independent recomputation: other algorithms than the generators', from the prompt's text alone.


def recompute_add(text):
    columns = re.findall(r"([a-z])(\d)(\d)", text)
    first = int("".join(a for _, a, _ in reversed(columns)))
    second = int("".join(b for _, _, b in reversed(columns)))
    digits = str(first + second).zfill(len(columns))[::-1]
    answer = "".join(label + digit for (label, _, _), digit in zip(columns, digits, strict=False))
    return answer + digits[len(columns) :]


def recompute_run(text):
    value, answer = int(text[1]), ""
    for label, operator, operand in re.findall(r"([a-z])([-+*])(\d)", text[2:]):
        step = int(operand)
        value = value * step if operator == "*" else value + (step if operator == "+" else -step)
        answer += label + str(value)[-1] if value >= 0 else label + str(value % 10)
        value %= 10
    return answer


def recompute_prog(text):
    names = {}
    for line in text[1:-1].split(","):
        name, expression = line.split("=")
        left, operator, right = (expression + "+0" if len(expression) == 1 else expression)[:3]
        a, b = (int(names.get(term, term)) for term in (left, right))
        names[name] = str((a + b if operator == "+" else a - b if operator == "-" else a * b) % 10)
    return "".join(name + value for name, value in names.items())


def recompute_rpn(text):
    # Recursive descent: a sum of products.
    terms = re.split(r"([-+])", text[1:-1])
    products = ["*".join(t.split("*")) for t in terms[::2]]
    compiled = [p[0] + "".join(v + "*" for v in p.split("*")[1:]) for p in products]
    answer = compiled[0]
    for operator, term in zip(terms[1::2], compiled[1:], strict=True):
        answer += term + operator
    return answer


def recompute_merge(text):
    return "".join(sorted(text[1:-1].replace(",", "")))


def recompute_sheet(text):
    unit = {"F": "N", "U": "V", "W": "J", "Q": "C", "P": "W"}
    items = re.findall(r"([a-z])([A-Z])(\d)(\d)", text[1:])
    return "".join(f"{label}{int(a) * int(b)}{unit[q]}" for label, q, a, b in items)


def recompute_gene(text):
    # The table as a string, first base by rows, second by columns, in the order U C A G.
    table = "FSYCLPQRITKNVADG"
    items = re.findall(r"([a-z])([ACGU])([ACGU])", text[1:])
    return "".join(label + table[4 * "UCAG".index(a) + "UCAG".index(b)] for label, a, b in items)


def recompute_sort(text):
    return "".join(digit * text.count(digit) for digit in "0123456789")


def recompute_chain(text):
    start, edges = text[1:-1].split(";")
    following = {edge[0]: edge[1] for edge in edges.split(",")}
    path = start
    while path[-1] in following:
        path += following[path[-1]]
    return path


RECOMPUTE = {
    "add": recompute_add,
    "run": recompute_run,
    "prog": recompute_prog,
    "rpn": recompute_rpn,
    "merge": recompute_merge,
    "sheet": recompute_sheet,
    "gene": recompute_gene,
    "sort": recompute_sort,
    "chain": recompute_chain,
}


@pytest.mark.parametrize("family", RECOMPUTE)
def test_gold_equals_an_independent_computation(family):
    for level in range(1, FAMILIES[family].max_level + 1):
        for seed in range(50):
            prompt = make_prompt(family, level, seed)
            assert prompt.answer == RECOMPUTE[family](prompt.text), prompt.text


COLORS = {1: "123", 2: "1232", 3: "12323", 4: "123213", 5: "1231323", 6: "12321312"}
"""The best rows of colours that are the same for all graphs, found among all of them."""


def guess_run(text, labels, rng):
    """Never the value that the guess has before."""
    values = [int(text[0])]
    for _ in labels:
        values.append((values[-1] + rng.randrange(1, 10)) % 10)
    return "".join(label + str(value) for label, value in zip(labels, values[1:], strict=True))


def guess_merge(text, labels, rng):
    first, second = text.split(",")
    order = rng.sample([0] * len(first) + [1] * len(second), len(labels))
    sources = [iter(first), iter(second)]
    return "".join(next(sources[source]) for source in order)


def guess_chain(text, labels, rng):
    ends = [edge[1] for edge in text.split(";")[1].split(",")]
    return text[0] + "".join(rng.sample(ends, len(ends)))


def guess_color(text, labels, rng):
    return "".join(group[0] + color for group, color in zip(text.split(","), COLORS[len(labels) - 2], strict=True))


def guess_slots(text, labels, rng):
    words = ("ANT", "BAT", "COW", "DOG", "FOX", "HEN")
    return "".join(label + word for label, word in zip(text[::2], words, strict=False))


def guess_acro(text, labels, rng):
    words = (words[0] for words in WORDS_BY_INITIAL.values())
    return " ".join(word.upper() if initial.isupper() else word for initial, word in zip(text, words, strict=False))


GUESSES = {
    "add": lambda text, labels, rng: "".join(f"{label}9" for label in labels),
    "run": guess_run,
    "prog": lambda text, labels, rng: f"{labels[0]}{text[2]}" + "".join(f"{label}0" for label in labels[1:]),
    "rpn": lambda text, labels, rng: text[0] + "".join(text[i + 1] + text[i] for i in range(1, len(text), 2)),
    "merge": guess_merge,
    "sheet": lambda text, labels, rng: "".join(f"{a}12{UNITS[q]}" for a, q in re.findall("([a-z])([A-Z])", text)),
    "gene": lambda text, labels, rng: "".join(f"{label}K" for label in labels),
    "sort": lambda text, labels, rng: text,
    "chain": guess_chain,
    "color": guess_color,
    "acro": guess_acro,
    "slots": guess_slots,
}
"""Answers of the right form out of the prompt's parts and what is common, with nothing worked out."""


@pytest.mark.parametrize("family", FAMILIES)
def test_chance_is_the_rate_of_a_guess(family):
    for level in (1, 2, 3):
        rng = random.Random(level)
        hits = 0
        for seed in range(1500):
            prompt = make_prompt(family, level, seed)
            labels = re.findall(r"[a-z]", prompt.answer)
            hits += verify(prompt, GUESSES[family](prompt.text[1:-1], labels, rng)).value
        chance = FAMILIES[family].chance(level)
        # Five standard errors of a proportion over 1500 draws.
        assert abs(hits / 1500 - chance) < 5 * (chance * (1 - chance) / 1500) ** 0.5 + 2e-3, (level, hits)


def test_chance_of_prog_by_all_next_values():
    """After the values 3 and 0, 0 comes from x - x and 0 + 0 (3 of 8 ways) or 3 + 7, 3 - 3 (2 of 32 ways)."""
    assert _zero_share([3, 0]) == pytest.approx(0.4 * 3 / 8 + 0.6 * 2 / 32)
    # One variable: x - x always, x + x for 0 and 5; a literal y of 2 to 9 with x = y or x = 10 - y: 16 of 160 ways.
    assert FAMILIES["prog"].chance(1) == pytest.approx(0.4 * (10 + 2) / 20 + 0.6 * 16 / 160)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_chance_of_rpn_by_all_operators(level):
    """Every row of operators, each guess run on Python's own reading of the expression."""
    right = 0
    for row in itertools.product("+-*", repeat=level):
        values = [3, 11, 101, 1009, 10007]
        expected = eval("".join(f"{value}{operator}" for value, operator in zip(values, [*row, ""], strict=False)))
        result = values[0]
        for operator, value in zip(row, values[1:], strict=False):
            result = eval(f"{result}{operator}{value}" if result >= 0 else f"({result}){operator}{value}")
        right += result == expected
    assert FAMILIES["rpn"].chance(level) == pytest.approx(right / 3**level)


@pytest.mark.parametrize("family", FAMILIES)
def test_chance_falls_with_the_level(family):
    chances = [FAMILIES[family].chance(level) for level in range(1, FAMILIES[family].max_level + 1)]
    assert all(1 >= low > high > 0 for low, high in itertools.pairwise(chances))


def test_tokenizer_round_trip_of_every_level():
    tokenizer = AutoTokenizer.from_pretrained(ASSET)
    for family, level in ALL_LEVELS:
        prompt = make_prompt(family, level, 7)
        for text in (prompt.text, prompt.answer):
            ids = tokenizer(text)["input_ids"]
            assert len(ids) == len(text)
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == text
