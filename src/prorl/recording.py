"""What of a step goes into the run's folder beside its metrics: sample rollouts, and batches that went wrong."""

import json
import math
from pathlib import Path
from typing import Any

from prorl.records import Batch, Group


def sample_records(step: int, groups: tuple[Group, ...], count: int) -> list[dict[str, Any]]:
    """A rollout of each of the first groups, another one each step."""
    records = []
    for group in groups[:count]:
        index = step % len(group.rollouts)
        score = group.scores[index]
        records.append(
            {
                "step": step,
                "position": group.position,
                "domain": group.prompt.domain,
                "task": group.prompt.task,
                "level": group.prompt.level,
                "prompt": group.prompt.text,
                "response": group.texts[index],
                "score": score.value,
                "outcome": score.outcome,
                "detail": score.detail,
            }
        )
    return records


def batch_records(batch: Batch) -> list[dict[str, Any]]:
    """The rows of a batch whose update was not finite."""
    return [
        {
            "minibatch": number,
            "prompt_tokens": list(row.prompt_tokens),
            "response_tokens": row.response_tokens.tolist(),
            "behaviour_logprobs": [_json_number(value) for value in row.behaviour_logprobs.tolist()],
            "advantage": _json_number(row.advantage),
        }
        for number, rows in enumerate(batch.minibatches)
        for row in rows
    ]


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def append(path: Path, records: list[dict[str, Any]]) -> None:
    if records:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
