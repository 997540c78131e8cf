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


def random_answer(family, prompt, rng):
    """A uniformly random well-formed answer, for the families whose chance is worth measuring."""
    gold = prompt.answer
    if family == "sort":
        return "".join(rng.sample(gold, len(gold)))
    if family == "chain":
        return gold[0] + "".join(rng.sample(gold[1:], len(gold) - 1))
    if family == "merge":
        first, second = prompt.text[1:-1].split(",")
        order = rng.sample([0] * len(first) + [1] * len(second), len(gold))
        sources = [iter(first), iter(second)]
        return "".join(next(sources[source]) for source in order)
    if family == "color":
        return "".join(node + rng.choice("123") for node in prompt.metadata["nodes"])
    labels = re.findall(r"[a-z]", gold)
    digits = "".join(label + str(rng.randrange(10)) for label in labels)
    return digits + ("1" if family == "add" and rng.random() < 0.5 else "")


@pytest.mark.parametrize("family", ["add", "run", "prog", "merge", "sort", "chain", "color"])
def test_chance_against_monte_carlo(family):
    for level in (1, 2):
        rng = random.Random(level)
        hits = 0
        for seed in range(4000):
            prompt = make_prompt(family, level, seed)
            hits += verify(prompt, random_answer(family, prompt, rng)).value
        chance = FAMILIES[family].chance(level)
        # Five standard errors of a proportion over 4000 draws.
        assert abs(hits / 4000 - chance) < 5 * (chance * (1 - chance) / 4000) ** 0.5 + 1e-3


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
