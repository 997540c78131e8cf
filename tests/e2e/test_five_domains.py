"""A training run on all five domains in which every fifth answer is hostile: nothing stalls, fails or runs."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from five_domains import DOMAINS, measure


@pytest.mark.slow
def test_hostile_answers_cost_a_run_nothing_but_their_time() -> None:
    result = measure(steps=4, hostile_share=0.2)
    assert result["steps"] == 4
    assert not result["payload_ran"]
    assert result["answers"]["hostile"] > 10
    assert "error" not in result["outcomes"]
    # A third of the answers is right; of these every one scores 1 in every domain that knows one.
    assert all(0.1 < result["scores"][domain] < 0.7 for domain in DOMAINS)
