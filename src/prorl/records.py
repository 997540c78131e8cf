"""The nouns of the project, in data order: Prompt, Request, Rollout, Score, Group, Row, Batch, Report.

Every record is frozen; a value that exists only later is another type, not a field that is None until then.

Axis letters, fixed for the whole project:

    P  prompts of a step                 T  response tokens
    G  rollouts of one prompt (a group)  S  prompt and response tokens
    B  rollouts (P * G)                  V  vocabulary
    N  tokens of a packed micro-batch    H  hidden size
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

Outcome = Literal["correct", "partial", "wrong", "unparsable", "timeout", "error"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
FinishReason = Literal["stop", "length"]
Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One problem: what the model is asked, and what its verifier needs to judge the answer."""

    id: str
    domain: str
    task: str
    content: str | tuple[Message, ...]
    """Plain text, or chat messages `{"role": ..., "content": ...}`."""
    answer: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    verifier: str = ""
    """Name in `rewards.verifier.VERIFIERS`; empty for the one named like the domain."""

    @property
    def level(self) -> int:
        """Difficulty within the task; 0 where the data has none."""
        return int(self.metadata.get("level", 0))

    @property
    def text(self) -> str:
        """The last user message, or the text itself."""
        return self.content if isinstance(self.content, str) else self.content[-1]["content"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a response is drawn. Temperature 0 is greedy."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 64


@dataclass(frozen=True, slots=True)
class Request:
    """`num_rollouts` responses to one tokenised prompt."""

    key: int
    """The caller's name for the request; it comes back in each `Rollout`."""
    tokens: tuple[int, ...]
    num_rollouts: int
    sampling: Sampling
    seeds: tuple[int, ...]
    """One 64-bit seed a rollout: what a rollout says depends on its seed, never on what it was batched with."""


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """One response as the engine gives it."""

    key: int
    index: int
    tokens: np.ndarray
    """Response tokens, int64 `[T]`, the end token included when the model wrote one."""
    logprobs: np.ndarray
    """float32 `[T]`: natural-log probability of each token under the distribution it was sampled from."""
    finish_reason: FinishReason
    versions: tuple[tuple[int, int], ...]
    """Spans `(weights version, number of tokens)` that add up to the response."""


@dataclass(frozen=True, slots=True)
class Score:
    """A verifier's judgement: a value in [0, 1], its class, and a short reason."""

    value: float
    outcome: Outcome
    detail: str = ""
    answer: str = field(default="", compare=False)
    """Digest of the answer that was found: equal for equal answers to one problem, empty where none is known of."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The rollouts of one prompt with their scores. `position` is the prompt's place in the stream."""

    position: int
    prompt: Prompt
    prompt_tokens: tuple[int, ...]
    rollouts: tuple[Rollout, ...]
    texts: tuple[str, ...]
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One trained rollout: a line of the `Batch`."""

    prompt_tokens: tuple[int, ...]
    response_tokens: np.ndarray
    behaviour_logprobs: np.ndarray
    advantage: float


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The trained rollouts of one step, split into mini-batches: one optimizer step each."""

    minibatches: tuple[tuple[Row, ...], ...]
    metrics: Mapping[str, float]

    @property
    def num_tokens(self) -> int:
        """Loss tokens of the whole batch."""
        return sum(len(row.response_tokens) for rows in self.minibatches for row in rows)


@dataclass(frozen=True, slots=True)
class LevelReport:
    """Validation of one level of one task."""

    domain: str
    task: str
    level: int
    num_problems: int
    num_samples: int
    mean_score: float


@dataclass(frozen=True, slots=True)
class Report:
    """Validation by level, by domain, and the one number the schedule looks at."""

    score: float
    """Weighted blend over domains."""
    domains: Mapping[str, float]
    levels: tuple[LevelReport, ...]
