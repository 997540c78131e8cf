"""Stage 7: several answers to each of many problems, judged: what validation and the boundary measurement share."""

from collections.abc import Iterable, Sequence

from prorl import distributed
from prorl.judging import Judge, Judged
from prorl.prompts.template import Template
from prorl.records import Prompt, Request, Sampling, Score
from prorl.seeds import stream_seed

TRUNCATED = Score(0.0, "unparsable", "cut at the token limit")


def answer(
    problems: Sequence[Prompt],
    judge: Judge,
    template: Template,
    *,
    sampling: Sampling,
    samples: int,
    seed: Iterable[int | str],
) -> list[tuple[tuple[Score, ...], ...]]:
    """Scores of `samples` answers to each problem: by problem, then by reading, then by sample.

    The i-th sample of a problem has a random stream of its own, from `seed`, the problem's id and i. A truncated
    answer scores 0 under every reading. On several ranks each samples every world-th problem.
    """
    prefix = tuple(seed)
    requests = [
        Request(
            number,
            template.encode(problem),
            samples,
            sampling,
            tuple(stream_seed(*prefix, problem.id, i) for i in range(samples)),
        )
        for number, problem in enumerate(problems)
    ]
    mine = requests[distributed.rank() :: distributed.world()]
    found = distributed.together(lambda: [_scores(item) for item in judge.run(mine, dict(enumerate(problems)))])
    return [found[number % len(found)][number // len(found)] for number in range(len(requests))]


def _scores(item: Judged) -> tuple[tuple[Score, ...], ...]:
    return tuple(
        tuple(
            TRUNCATED if rollout.finish_reason == "length" else score
            for rollout, score in zip(item.rollouts, scores, strict=True)
        )
        for scores in item.scores
    )
