"""The fits of the scaling benchmark, on points that lie on a curve or beside it by a known share."""

import pytest
from scaling import SWEEPS, fit, make_batch, requests

from prorl.records import Rollout


def test_a_line_is_found() -> None:
    found = fit([1, 2, 4], [5, 8, 14])  # 2 + 3 x
    assert found["line_intercept_seconds"] == pytest.approx(2.0)
    assert found["line_slope_seconds"] == pytest.approx(3.0)
    assert found["line_residual"] == pytest.approx(0.0, abs=1e-9)


def test_a_power_is_found() -> None:
    found = fit([1, 2, 4], [5, 20, 80])  # 5 x^2
    assert found["power_slope"] == pytest.approx(2.0)
    assert found["power_residual"] == pytest.approx(0.0, abs=1e-9)


def test_residual_of_a_power_by_hand() -> None:
    """Logs 0, 3, 0 at 0, 1, 2 (in units of log 2): slope 0, constant 1, left over -1, 2, -1: sqrt(6 / 3) log 2."""
    found = fit([1, 2, 4], [1, 8, 1])
    assert found["power_slope"] == pytest.approx(0.0, abs=1e-9)
    assert found["power_residual"] == pytest.approx(2**0.5 * 0.693147, rel=1e-5)


def test_a_sweep_changes_one_quantity() -> None:
    points = SWEEPS["group_size"].points("tiny3m")
    assert {(point.model, point.num_prompts, point.longest) for point in points} == {("tiny3m", 8, 64)}
    assert [point.group_size for point in points] == list(SWEEPS["group_size"].values)


def test_a_batch_keeps_groups_together() -> None:
    asked = requests([(3, (2,)), (4, (5,))], 2, vocabulary=50)
    tokens = {0: [1, 2], 1: [1, 2, 3, 4, 5]}
    rollouts = [Rollout(key, index, tokens[key], tokens[key], "length", ()) for index in (1, 0) for key in (1, 0)]
    batch = make_batch(asked, rollouts)
    rows = [row for part in batch.minibatches for row in part]
    assert len(batch.minibatches) == 4
    assert [row.prompt_tokens for row in rows] == [asked[0].tokens] * 2 + [asked[1].tokens] * 2
    assert batch.num_tokens == 2 * 2 + 2 * 5
