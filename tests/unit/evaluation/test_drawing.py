"""Drawing what is lacking, and counting it: scripted engines, real verifier processes, a real store."""

import itertools

import pytest

from prorl.evaluation.budget import Budget
from prorl.evaluation.drawing import _blocks, digests, draw, encoded
from prorl.evaluation.samples import SampleStore, Stream, read_samples
from prorl.evaluation.suites import Problem
from prorl.evaluation.tally import answered, tally
from prorl.judging import Judge
from prorl.records import Prompt, Sampling
from stand_ins import ScriptedEngine, template, two_readings

STREAM = Stream(model="m" * 32, role="base", seed=3, temperature=0.7, top_p=0.9, max_tokens=9)


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    with two_readings(tmp_path_factory.mktemp("rewards")) as made:
        yield made


def make_problems(count):
    return [
        Problem(Prompt(id=f"p{i}", domain="d", task="t", content=f"{i}", metadata={"level": 2}), "suite", i == 0, 0.25)
        for i in range(count)
    ]


class Bench:
    """A folder, and an engine whose answer is a function of problem and index (told by the seed that is asked for)."""

    def __init__(self, folder, pools, script, count=2, role="base"):
        self.problems = make_problems(count)
        self.prompts = [problem.prompt for problem in self.problems]
        self.tokens = encoded(self.prompts, template())
        self.stream = Stream(**{**{name: getattr(STREAM, name) for name in STREAM.__slots__}, "role": role})
        self.folder, self.pools, self.script = folder, pools, script
        self.requests = []

    def draw(self, budget):
        def say(key, index):
            request = next(request for request in reversed(engine.requests) if request.key == key)
            return self.script(*self.places[request.seeds[index]])

        engine = ScriptedEngine(say, order=5)
        with SampleStore(self.folder, self.stream, digests(self.prompts, self.tokens)) as store:
            judge = Judge(engine, template(), self.pools)
            drawn = draw(self.prompts, self.tokens, store, judge, stream=self.stream, budget=budget)
        self.requests += engine.requests
        return drawn

    @property
    def places(self):
        from prorl.seeds import stream_seed  # noqa: PLC0415

        indices = itertools.product([prompt.id for prompt in self.prompts], range(512))
        return {stream_seed(3, "boundary", self.stream.role, id, index): (id, index) for id, index in indices}

    def samples(self):
        return dict(read_samples(self.folder / self.stream.file_name, [prompt.id for prompt in self.prompts]))

    def tally(self, budget, threshold=1.0):
        return tally(self.problems, self.folder / self.stream.file_name, budget, threshold)


def by_hand(id, index):
    return {"p0": ["1", "1x", "0", "1~"], "p1": ["h", "0", "q", "!"]}[id][index % 4]


def test_counts_of_both_readings_by_hand(tmp_path, pools):
    """Strict: `1` alone is right. Tolerant: what begins with 1. `1~` is cut at the limit, `!` breaks a verifier."""
    bench = Bench(tmp_path, pools, by_hand)
    assert bench.draw(Budget(4)) == 8
    first, second = bench.tally(Budget(4))
    assert (first.num_samples, first.num_correct, first.num_correct_tolerant, first.num_errors) == (4, 1, 2, 0)
    assert (second.num_samples, second.num_correct, second.num_correct_tolerant, second.num_errors) == (4, 0, 0, 1)
    assert (first.prompt_id, first.domain, first.family, first.level, first.suite) == ("p0", "d", "t", 2, "suite")
    assert (first.trained_on, second.trained_on, first.chance) == (True, False, 0.25)
    # p0: strict values 1, 0, 0, 0; three texts were judged and one was cut; `1`, `1x` and `0` are three texts of four.
    assert first.values["mean_score"] == 0.25
    assert first.values["truncated"] == 0.25
    assert first.values["well_formed"] == 0.75
    assert first.values["distinct_texts"] == 0.75
    assert {request.sampling for request in bench.requests} == {Sampling(0.7, 0.9, 9)}
    # The tolerant reading gives 1/2 for h: right from a threshold of 1/2 on.
    assert [counts.num_correct_tolerant for counts in bench.tally(Budget(4), threshold=0.5)] == [2, 1]


def test_what_the_audit_reads(tmp_path, pools):
    bench = Bench(tmp_path, pools, by_hand)
    bench.draw(Budget(4))
    (first, second) = answered(bench.problems, tmp_path / bench.stream.file_name, Budget(4), 1.0)
    assert (first.prompt.id, list(first.texts)) == ("p0", ["1", "1x", "0", "1"])
    assert first.strict.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert first.tolerant.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert first.truncated.tolist() == [False, False, False, True]
    assert second.tolerant.tolist() == [0.5, 0.0, 0.25, 0.0]
    (fewer, _) = answered(bench.problems, tmp_path / bench.stream.file_name, Budget(2), 1.0)
    assert list(fewer.texts) == ["1", "1x"]


def test_only_what_is_lacking_is_drawn(tmp_path, pools):
    bench = Bench(tmp_path / "a", pools, lambda id, index: f"{id[1]}{index % 7}")
    assert [bench.draw(Budget(count)) for count in (3, 3, 40, 5)] == [6, 0, 74, 0]
    whole = Bench(tmp_path / "b", pools, bench.script)
    whole.draw(Budget(40))
    assert bench.samples() == whole.samples()
    seeds = [seed for request in bench.requests for seed in request.seeds]
    assert len(seeds) == len(set(seeds)) == 80
    assert [counts.num_samples for counts in bench.tally(Budget(5))] == [5, 5]


def test_blocks_hold_about_as_many_tokens_each():
    """32,768 tokens: 32 responses of 1,024; never fewer than 16, of 8,192, nor more than 256, of 48."""
    sizes = {limit: [len(part) for _, part in _blocks({"p": range(300)}, limit)] for limit in (48, 1024, 8192)}
    assert sizes == {48: [256, 44], 1024: [32] * 9 + [12], 8192: [16] * 18 + [12]}


def test_a_gap_is_filled(tmp_path, pools):
    """Blocks are kept as they come, so a kill may leave a later one and not an earlier one."""
    bench = Bench(tmp_path, pools, lambda id, index: str(index % 10))
    bench.draw(Budget(4))
    whole = bench.samples()
    store = SampleStore(tmp_path, bench.stream, digests(bench.prompts, bench.tokens))
    store._database.execute("DELETE FROM sample WHERE key & 1048575 = 1")
    store.close()
    assert bench.draw(Budget(4)) == 2
    assert bench.samples() == whole


def test_an_adaptive_budget_leaves_what_is_solved(tmp_path, pools):
    """p0 is always right: 16 samples. p1 never: all 64. p2 from its 20th sample on: at 32 it has 12 right."""
    script = {"p0": lambda index: "1", "p1": lambda index: "0", "p2": lambda index: "01"[index >= 20]}
    bench = Bench(tmp_path, pools, lambda id, index: script[id](index), count=3)
    budget = Budget(64, stop_after=4)
    assert bench.draw(budget) == 16 + 64 + 32
    found = bench.tally(budget)
    assert [(counts.num_samples, counts.num_correct) for counts in found] == [(16, 16), (64, 0), (32, 12)]
    assert bench.draw(Budget(64)) == 48 + 32
    assert [counts.num_samples for counts in bench.tally(budget)] == [16, 64, 32]
    assert [counts.num_correct for counts in bench.tally(Budget(64))] == [64, 0, 44]


def test_roles_have_streams_of_their_own(tmp_path, pools):
    base, trained = (Bench(tmp_path, pools, lambda id, index: "1", role=role) for role in ("base", "trained"))
    for bench in (base, trained):
        bench.draw(Budget(8))
    of_base, of_trained = ({seed for request in bench.requests for seed in request.seeds} for bench in (base, trained))
    assert len(of_base) == len(of_trained) == 16
    assert not of_base & of_trained
