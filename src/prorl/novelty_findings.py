"""How new the trained model's texts are: against a corpus or the base's own samples, and in the eyes of the base."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from prorl import models
from prorl.assembly import make_engine
from prorl.evaluation.entries import generator
from prorl.evaluation.estimators import solved_at
from prorl.evaluation.likelihood import Pair, ResponseLogprob, base_logprobs, summary
from prorl.evaluation.novelty import corpus_digest, corpus_documents, halves, novelty
from prorl.evaluation.samples import Sample, Stream, problem_digest, read_samples
from prorl.evaluation.suffixes import SuffixIndex
from prorl.laboratory import Order
from prorl.models import LoadedModel
from prorl.prompts.template import Template

SAMPLES = 32
"""Of each problem and role that are looked at: half as corpus, half as questions, where the base is the corpus."""
OWN = "base"
UNIT = "token"

Encoded = dict[str, list[tuple[tuple[int, ...], bool]]]
"""By problem: tokens of a text in the base's tokenizer, without an end token, and whether it is a right solution."""


def measure_novelty(
    order: Order, streams: Mapping[str, Stream], corpus: str, progress: Callable[[str], None]
) -> dict[str, Any]:
    """The object `novelty` of `boundary.json`: of the right solutions of base and trained model.

    `corpus`: a file or folder, or `base` for the base's own samples. Texts are cut into the base's tokens again, so a
    trained model with another tokenizer is compared in the same units.
    """
    loaded = models.load(order.models["base"])
    progress("boundary: reading the samples for novelty")
    encoded = {role: _encoded(order, streams[role], loaded) for role in ("base", "trained")}
    parts = {role: halves(texts) for role, texts in encoded.items()}
    if corpus == OWN:
        documents = [list(tokens) for texts in parts["base"][0].values() for tokens, _ in texts]
        index = SuffixIndex.build(documents, unit=UNIT, digest=streams["base"].model)
    else:
        index = _indexed(Path(corpus).expanduser(), order.folder, loaded, progress)
    asked = {
        role: {id: [tokens for tokens, right in texts if right and tokens] for id, texts in odd.items()}
        for role, (_, odd) in parts.items()
    }
    progress("boundary: comparing texts")
    found = novelty(asked, index, rng=generator("novelty"))
    progress("boundary: the base's log-probabilities of the solutions")
    likelihood = _likelihood(order, loaded, asked)
    return {"corpus": "base samples" if corpus == OWN else corpus, **found, "base_logprob": likelihood}


def _encoded(order: Order, stream: Stream, loaded: LoadedModel) -> Encoded:
    def tokens(sample: Sample) -> tuple[int, ...]:
        return tuple(loaded.tokenizer(sample.text, add_special_tokens=False)["input_ids"])

    path = order.folder / stream.file_name
    return {
        id: list(zip(map(tokens, samples[:SAMPLES]), _right(samples[:SAMPLES], order.threshold), strict=True))
        for id, samples in read_samples(path, [problem.prompt.id for problem in order.problems])
    }


def _right(samples: Sequence[Sample], threshold: float) -> list[bool]:
    return [bool(right) for right in solved_at(np.array([sample.strict for sample in samples]), threshold)]


def _indexed(corpus: Path, folder: Path, loaded: LoadedModel, progress: Callable[[str], None]) -> SuffixIndex:
    """The index of a corpus, built once for a tokenizer and kept beside the samples."""
    words = sorted(loaded.tokenizer.get_vocab().items())
    digest = corpus_digest(corpus, problem_digest([words, repr(loaded.tokenizer.backend_tokenizer.normalizer)]))
    path = folder / f"corpus-{digest[:16]}.index"
    if path.exists():
        return SuffixIndex.load(path, unit=UNIT, digest=digest)
    progress("boundary: indexing the corpus")

    def encode(text: str) -> list[int]:
        return list(loaded.tokenizer(text, add_special_tokens=False)["input_ids"])

    index = SuffixIndex.build(corpus_documents(corpus, encode), unit=UNIT, digest=digest)
    index.save(path)
    return index


def _all_pairs(solutions: Mapping[str, Mapping[str, list[Pair]]]) -> list[Pair]:
    return [pair for of_role in solutions.values() for texts in of_role.values() for pair in texts]


def _likelihood(
    order: Order, loaded: LoadedModel, asked: Mapping[str, Mapping[str, list[tuple[int, ...]]]]
) -> dict[str, Any]:
    """Of each solution with an end token: what the base would have to draw to say it."""
    template = Template(loaded.tokenizer, loaded.eos_ids, order.config.data.system_prompt)
    prompts = {problem.prompt.id: template.encode(problem.prompt) for problem in order.problems}
    end = loaded.eos_ids[:1]
    solutions = {
        role: {id: [(prompts[id], (*tokens, *end)) for tokens in texts] for id, texts in of_role.items()}
        for role, of_role in asked.items()
    }
    longest = [max(map(len, parts), default=1) for parts in zip(*_all_pairs(solutions), strict=True)] or [1, 1]
    config = replace(
        order.config,
        data=replace(order.config.data, max_prompt_tokens=longest[0]),
        rollouts=replace(order.config.rollouts, max_response_tokens=longest[1]),
    )
    engine = make_engine(loaded, config)
    engine.load_weights(dict(loaded.model.named_parameters()), 0)
    values: dict[str, dict[str, list[ResponseLogprob]]] = {}
    for role, of_role in solutions.items():
        scored = iter(base_logprobs(engine, [pair for texts in of_role.values() for pair in texts]))
        values[role] = {id: [next(scored) for _ in texts] for id, texts in of_role.items()}
    engine.close()
    return summary(values, num_samples=order.budget.samples, rng=np.random.default_rng(0))
